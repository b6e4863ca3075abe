"""What can be counted in a take: how far it does as it was asked, and how far it is like music."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from diffbgm.diffusion.roll import ONSET, PianoRoll
from diffbgm.metrics.notes import Notes, notes_of_roll
from diffbgm.takes.asked import Asked
from diffbgm.takes.features import FEATURES, features_of
from diffbgm.takes.novelty_index import NoveltyIndex, shipped_index, voices_of
from diffbgm.takes.reference import Reference, reference_for
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BAR, FloatArray

_NOT_SPARSE: Final = 4  # notes a bar


@dataclass(frozen=True)
class Measures:
    """NaN where there is nothing to measure.

    hits: share of the hits' weight with an onset there. density_error: mean distance of the notes a bar from
    what was asked, as a share of that. melody_wrong: share of bars with a melody where there is to be none or
    the reverse. empty: share of the bars that were to have four notes or more and have none.
    distance: `Reference.distance`, mean over the piece. off_key: share of notes outside the scale.
    copied_notes: longest passage of melody or counter-melody that a training song may share.
    repetition: of `likeness` and `gps`, clutter: of `clash` and `pche`, by how much they are more than one
    standard deviation above the songs' mean, in such deviations. features: means over the piece, by name.
    """

    hits: float
    density_error: float
    melody_wrong: float
    empty: float
    distance: float
    off_key: float
    copied_notes: int
    repetition: float
    clutter: float
    features: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain values, None for NaN, without the features."""
        return {
            name: None if isinstance(value, float) and math.isnan(value) else round(value, 4)
            for name, value in asdict(replace(self, features={})).items()
            if name != "features"
        }


def measure(roll: PianoRoll, asked: Asked, index: NoveltyIndex | None = None) -> Measures:
    """The measures of a roll of at least as many beats as are asked; what lies behind them does not count.

    index: of the songs not to be copied, by default the one in the package.
    """
    n_bars = asked.n_beats // BEATS_PER_BAR
    n_steps = n_bars * STEPS_PER_BAR
    struck = roll.bits[:, ONSET, :n_steps].sum(axis=(0, 2))
    by_bar = struck.reshape(n_bars, -1).sum(axis=1)
    singing = roll.bits[0, :, :n_steps].reshape(2, n_bars, -1).any(axis=(0, 2))
    wanted = asked.onsets >= _NOT_SPARSE
    notes = notes_of_roll(roll)
    notes = notes.select(notes.start_q < asked.n_beats)
    taken_over = (notes.part == 0) & (notes.start_q >= asked.given[0]) & (notes.start_q < asked.given[1])
    reference = reference_for(n_bars)
    rows = features_by_stretch(notes, roll, n_bars, n_bars if reference is None else reference.bars)
    return Measures(
        hits=_share(asked.hit_weights[struck[asked.hit_steps] > 0].sum(), asked.hit_weights.sum()),
        density_error=_share(np.abs(by_bar - asked.onsets).sum(), asked.onsets.sum()),
        melody_wrong=float((singing != asked.melody).mean()),
        empty=_share((by_bar[wanted] == 0).sum(), wanted.sum()),
        distance=_mean([reference.distance(row) for row in rows]) if reference else math.nan,
        off_key=_off_key(notes, asked),
        copied_notes=(index or shipped_index()).longest(voices_of(notes.select(~taken_over))),
        repetition=_above(reference, rows, ("likeness", "gps")),
        clutter=_above(reference, rows, ("clash", "pche")),
        features={name: _mean(rows[:, at]) for at, name in enumerate(FEATURES)},
    )


def features_by_stretch(notes: Notes, roll: PianoRoll, n_bars: int, length: int) -> FloatArray:
    """`FEATURES` of stretches of `length` bars, half of one apart, the last at the end: float64 (n, 23)."""
    last = n_bars - length
    firsts = sorted({*range(0, last + 1, max(1, length // 2)), last})
    beats = length * BEATS_PER_BAR
    return np.array(
        [
            features_of(
                notes.bars(first, length),
                roll.chroma[first * BEATS_PER_BAR : first * BEATS_PER_BAR + beats],
            )
            for first in firsts
        ]
    )


def _off_key(notes: Notes, asked: Asked) -> float:
    beat = notes.start_q.astype(np.int64)
    return float((~asked.scale[beat, notes.pitch % 12]).mean()) if len(notes) else math.nan


def _above(reference: Reference | None, rows: FloatArray, names: tuple[str, ...]) -> float:
    if reference is None:
        return math.nan
    by_name = [_mean([reference.standard(row, name) for row in rows]) for name in names]
    return sum(max(0.0, each - 1.0) for each in by_name if not math.isnan(each))


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan


def _mean(values: Sequence[float] | FloatArray) -> float:
    known = [float(value) for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
