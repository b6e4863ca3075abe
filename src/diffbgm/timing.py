"""Time as types: bars, beats and steps on one side, seconds on the other.

The grid is fixed: 4/4, four steps (sixteenth notes) to a beat. Second 0 is the first video frame and
beat 0 is the first downbeat. `TempoMap` is the only place where seconds turn into beats and back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

STEPS_PER_BEAT = 4
BEATS_PER_BAR = 4
STEPS_PER_BAR = STEPS_PER_BEAT * BEATS_PER_BAR

FloatArray = NDArray[np.float64]
_F = TypeVar("_F", float, FloatArray)

Span = tuple[float, float]
"""From second to second."""

SHORTEST_PAUSE_S: Final = 2.0
"""Between words a shorter pause belongs to the speech: neither arrangement nor level comes back for less."""


def merge_spans(spans: Iterable[Span], shortest_gap_s: float) -> tuple[Span, ...]:
    """In order of time, those joined that overlap or lie closer than `shortest_gap_s`."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start - merged[-1][1] < shortest_gap_s:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def divide_exactly(numerator: int, denominator: int) -> int:
    """Integer division that refuses a remainder: guards arithmetic between steps, beats and bars."""
    quotient, rest = divmod(numerator, denominator)
    if rest:
        raise ValueError(f"{numerator} is not a multiple of {denominator}")
    return quotient


@dataclass(frozen=True)
class TempoMap:
    """One tempo a bar, beginning at second 0.

    `bar_starts_s` has one entry more than there are bars: the start of each bar and the end of the
    last. Strictly increasing, first entry 0. Positions before the first bar or after the last one
    extrapolate its tempo, so that conversion never fails.
    """

    bar_starts_s: tuple[float, ...]

    def __post_init__(self) -> None:
        starts = self.bar_starts_s
        if len(starts) < 2 or starts[0] != 0.0:
            raise ValueError("a tempo map needs at least one bar and begins at second 0")
        if any(b <= a for a, b in pairwise(starts)):
            raise ValueError("bar starts must increase")

    @property
    def n_bars(self) -> int:
        return len(self.bar_starts_s) - 1

    @property
    def n_beats(self) -> int:
        return self.n_bars * BEATS_PER_BAR

    @property
    def end_s(self) -> float:
        return self.bar_starts_s[-1]

    def bpm_of_bars(self) -> FloatArray:
        """Quarter notes a minute of each bar, float64 (bars,)."""
        return 60.0 * BEATS_PER_BAR / np.diff(np.asarray(self.bar_starts_s))

    @overload
    def seconds(self, beats: float) -> float: ...
    @overload
    def seconds(self, beats: FloatArray) -> FloatArray: ...
    def seconds(self, beats: float | FloatArray) -> float | FloatArray:
        """Seconds from the first frame at which `beats` (quarter notes from beat 0) falls."""
        starts = np.asarray(self.bar_starts_s)
        bars = np.asarray(beats, dtype=np.float64) / BEATS_PER_BAR
        index = np.clip(np.floor(bars).astype(np.int64), 0, self.n_bars - 1)
        out = starts[index] + (bars - index) * (starts[index + 1] - starts[index])
        return float(out) if np.ndim(beats) == 0 else out

    @overload
    def beats(self, seconds: float) -> float: ...
    @overload
    def beats(self, seconds: FloatArray) -> FloatArray: ...
    def beats(self, seconds: float | FloatArray) -> float | FloatArray:
        """Inverse of `seconds`."""
        starts = np.asarray(self.bar_starts_s)
        at = np.asarray(seconds, dtype=np.float64)
        index = np.clip(np.searchsorted(starts, at, side="right") - 1, 0, self.n_bars - 1)
        out = BEATS_PER_BAR * (index + (at - starts[index]) / (starts[index + 1] - starts[index]))
        return float(out) if np.ndim(seconds) == 0 else out

    def nearest_step(self, second: float) -> int:
        """The sixteenth nearest to `second`, counted from beat 0; never negative."""
        return max(0, round(self.beats(second) * STEPS_PER_BEAT))
