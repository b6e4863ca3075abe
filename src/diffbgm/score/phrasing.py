"""Phrases of a part, and the slow wandering of a hand: what timing and dynamics are shaped by."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from diffbgm.score.decode import GridNote
from diffbgm.score.form import GROUP_BARS, Form
from diffbgm.timing import STEPS_PER_BAR, STEPS_PER_BEAT, FloatArray

_BREATH_STEPS: Final = STEPS_PER_BEAT
_MEMORY_STEPS: Final = (2.0, 8.0, 32.0)
"""How long the parts of the wandering last: half a beat, two beats, two bars."""


def phrases(notes: Sequence[GridNote], form: Form) -> list[range]:
    """The phrases of a part, as ranges of indices into its notes (sorted).

    A phrase ends before a rest of a beat or more, with its section, and with each four bars of it.
    """
    borders = [0]
    sounded = 0
    for index, note in enumerate(notes):
        if index and (
            note.start_step - sounded >= _BREATH_STEPS
            or _group(note.start_step, form) != _group(notes[index - 1].start_step, form)
        ):
            borders.append(index)
        sounded = max(sounded, note.end_step)
    borders.append(len(notes))
    return [range(begin, end) for begin, end in pairwise(borders) if end > begin]


def _group(step: int, form: Form) -> tuple[int, int]:
    bar = step // STEPS_PER_BAR
    section = form.section_of_bar[bar]
    return section, (bar - form.first_bars[section]) // GROUP_BARS


def wander(steps: Sequence[int], rng: np.random.Generator) -> FloatArray:
    """How a hand strays at each of these steps (increasing), in standard deviations; float64 (steps,).

    The sum of three first-order autoregressive processes of short, middle and long memory, whose spectrum
    falls about as 1/f between them, as that of human deviations from a beat does: Hennig et al. 2011,
    The nature and perception of fluctuations in human musical rhythms (PLoS ONE 6, e26457).
    """
    gaps = np.diff(np.asarray(steps, dtype=np.float64), prepend=steps[:1])
    out = np.zeros(len(steps))
    for memory in _MEMORY_STEPS:
        kept = np.exp(-gaps / memory)
        fresh = np.sqrt(1 - kept**2) * rng.normal(size=len(steps))
        value = float(rng.normal())
        for index in range(len(steps)):
            value = kept[index] * value + fresh[index]
            out[index] += value
    return np.asarray(out / np.sqrt(len(_MEMORY_STEPS)))
