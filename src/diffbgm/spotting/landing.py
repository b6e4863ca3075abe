"""Where the candidates landed on the bars that were solved."""

from __future__ import annotations

import numpy as np

from diffbgm.spotting.cuesheet import GridUnit, Hit
from diffbgm.spotting.hits import Candidate
from diffbgm.spotting.polish import met_steps
from diffbgm.spotting.tempo import Task
from diffbgm.timing import STEPS_PER_BAR, STEPS_PER_BEAT, TempoMap


def met_hits(candidates: tuple[Candidate, ...], task: Task, tempo_map: TempoMap) -> tuple[Hit, ...]:
    """Each candidate with the sixteenth it is met on; without one where that is further off than promised."""
    steps, errors = met_steps(np.array(tempo_map.bar_starts_s), task)
    out = []
    for candidate, step, error in zip(candidates, steps.astype(int).tolist(), errors, strict=True):
        if abs(error) <= task.tolerance_s:
            out.append(landed(candidate, step, tempo_map))
        else:
            out.append(Hit(time_s=candidate.time_s, weight=candidate.weight, source=candidate.source))
    return tuple(out)


def landed(candidate: Candidate, step: int, tempo_map: TempoMap) -> Hit:
    """The candidate as met on a sixteenth, counted from beat 0."""
    landed_s = tempo_map.seconds(step / STEPS_PER_BEAT)
    return Hit(
        time_s=candidate.time_s,
        weight=candidate.weight,
        source=candidate.source,
        landed_s=round(landed_s, 6),
        error_ms=round((landed_s - candidate.time_s) * 1000, 3),
        on=grid_unit(step),
        step=step,
    )


def grid_unit(step: int) -> GridUnit:
    """What a sixteenth, counted from beat 0, is at best."""
    if step % STEPS_PER_BAR == 0:
        return "downbeat"
    if step % STEPS_PER_BEAT == 0:
        return "beat"
    return "eighth" if step % 2 == 0 else "sixteenth"
