"""What a plan asks of its notes, as far as it can be counted in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.conditions import DYNAMIC_INDEX, conditions_of
from diffbgm.metrics.pitch import MAJOR_SCALE
from diffbgm.pitch import transposition
from diffbgm.spotting.cuesheet import Plan
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BEAT, FloatArray

ONSETS_A_CODE: Final = 2
"""Onsets a bar from one code of density to the next."""


@dataclass(frozen=True)
class Asked:
    """One row a bar or a beat of the stretch; the last bar of a film, its final chord, is left out.

    onsets: float64 (bars,), notes to be struck in the bar. melody: bool (bars,), whether there is to be one.
    scale: bool (beats, 12), the pitch classes of the key, of chords and melodies that a person gave.
    hit_steps: int64 (n,), hit_weights: float64 (n,): the kept hits, in sixteenths. given: (first beat, beat
    after the last) of a given melody, which no take can change.
    """

    onsets: FloatArray
    melody: NDArray[np.bool_]
    scale: NDArray[np.bool_]
    hit_steps: NDArray[np.int64]
    hit_weights: FloatArray
    given: tuple[int, int] = (0, 0)

    @property
    def n_beats(self) -> int:
        return len(self.scale)

    @classmethod
    def of_plan(cls, plan: Plan) -> Asked:
        """What a film's plan asks."""
        n_bars = max(1, plan.tempo_map.n_bars - 1)
        n_beats = n_bars * BEATS_PER_BAR
        codes = conditions_of(plan).dynamic[:n_beats:BEATS_PER_BAR, DYNAMIC_INDEX["density"]]
        melody = np.zeros(n_bars, bool)
        for section in plan.sections:
            melody[section.start_bar : section.end_bar] = section.melody
        if plan.melody:
            melody[plan.melody_span[0] // BEATS_PER_BAR : plan.melody_span[1] // BEATS_PER_BAR] = True
        hits = [(hit.step, hit.weight) for hit in plan.hits if hit.step is not None]
        kept = [(step, weight) for step, weight in hits if step < n_beats * STEPS_PER_BEAT]
        return cls(
            onsets=ONSETS_A_CODE * (codes - 1.0),
            melody=melody,
            scale=_scale(plan, n_beats),
            hit_steps=np.array([step for step, _ in kept], np.int64),
            hit_weights=np.array([weight for _, weight in kept], np.float64),
            given=plan.melody_span,
        )


def scale_of(key: str) -> NDArray[np.bool_]:
    """The pitch classes of a key, natural minor for a minor one: bool (12,)."""
    out = np.zeros(12, bool)
    out[[(degree + transposition(key)) % 12 for degree in MAJOR_SCALE]] = True
    return out


def _scale(plan: Plan, n_beats: int) -> NDArray[np.bool_]:
    out = np.zeros((n_beats, 12), bool)
    for section in plan.sections:
        out[section.start_bar * BEATS_PER_BAR : section.end_bar * BEATS_PER_BAR] = scale_of(
            section.key or plan.key
        )
    for beat, chord in enumerate(plan.asked_chords[:n_beats]):
        if chord is not None:
            out[beat, [*chord.tones, *([chord.bass] if chord.bass >= 0 else [])]] = True
    for note in plan.melody:
        beats = slice(int(note.beat), int(np.ceil(note.beat + note.beats)))
        out[beats, note.pitch % 12] = True
    return out
