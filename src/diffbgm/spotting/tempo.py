"""What a tempo solution is: the question, the answer, and the tempi it may use.

Bars are 4/4 with one tempo each. Tempi are levels about 0.5 % apart, so that four levels stay within the
2 % a bar may differ from the one before it, and nine within the 5 % it may differ from its section's tempo.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffbgm.timing import BEATS_PER_BAR

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

DEFAULT_RANGE_BPM = (60.0, 140.0)
BAR_TO_BAR = 1.02
SECTION_BEND = 1.05
# Between sections more than this is a leap, which costs where neither words nor wishes ask for it.
LEAP = 1.08
MIN_SECTION_BARS = 2
# The promise is half a frame; staying below it keeps rounding from ever breaking it.
TOLERANCE_FRAMES = 0.45

LEVEL_STEP = 0.0049
BAR_LEVELS = 4
SECTION_LEVELS = 9
# Below 5 %, so that the correction after the search has room.
BEND_MARGIN = 1.048
# Bar starts are written in whole microseconds; tempi keep this share away from the bounds.
_ROUNDING = 1e-5
# Cost a bar of a section 30 % away from the tempo preferred, in hits of full weight.
_TEMPO_COST = 0.05


@dataclass(frozen=True)
class Border:
    """Where a section should or may begin.

    value: what it is worth that a section begins exactly here, negative where it may but need not.
    window_s: how far off it may begin, 0 where only the exact place will do. missed_cost: price of no
    section beginning here. tempo_bpm: tempo of the section that begins here, where a person set it.
    """

    time_s: float
    value: float = 0.0
    window_s: float = 0.0
    missed_cost: float = 0.0
    tempo_bpm: float | None = None
    preferred_bpm: float | None = None


@dataclass(frozen=True)
class Task:
    """What to solve. Times in seconds from the first frame.

    hit_s: float64 (hits,), ascending. hit_value: float64 (hits,), what meeting each on a downbeat is
    worth. borders: ascending, the first at 0. tempo_weight: how much the tempo preferred counts, 1 for as
    little as where nobody asked for one.
    """

    duration_s: float
    fps: float
    hit_s: FloatArray
    hit_value: FloatArray
    borders: tuple[Border, ...] = (Border(0.0),)
    tempo_range: tuple[float, float] = DEFAULT_RANGE_BPM
    preferred_bpm: float = 96.0
    tempo_weight: float = 1.0

    @property
    def tolerance_s(self) -> float:
        return TOLERANCE_FRAMES / self.fps


@dataclass(frozen=True)
class Bars:
    """The answer.

    starts_s: float64 (bars + 1,), from 0 to the film's end. section_bars: first bar of each section.
    section_borders: index of the border each section answers to; a border that could not be had is
    not among them. fermata: the last bar is free of the tempo rules.
    """

    starts_s: FloatArray
    section_bars: tuple[int, ...]
    section_borders: tuple[int, ...]
    fermata: bool


def bar_bounds(tempo_range: tuple[float, float]) -> tuple[float, float]:
    """Lowest and highest tempo of a single bar.

    A range narrower than the bend allowed is widened to it: at one rigid tempo neither the film's end
    nor any hit could be met.
    """
    low, high = tempo_range
    middle = math.sqrt(low * high)
    low, high = min(low, middle / BEND_MARGIN), max(high, middle * BEND_MARGIN)
    return low * (1 + _ROUNDING), high * (1 - _ROUNDING)


def range_of(task: Task, border: int) -> tuple[float, float]:
    """Tempo range wished for the section that begins at this border."""
    wished = task.borders[border].tempo_bpm
    return task.tempo_range if wished is None else (wished, wished)


@dataclass(frozen=True)
class Levels:
    """The tempo levels, ascending, and which of them each section may use.

    bar_s: float64 (levels,), length of a bar. cost: float64 (borders, levels), of every bar of the section
    that answers to a border and begins at a level. references, bars: int64 (borders, 2), lowest and highest
    level of the section's tempo, and of any of its bars. preferred: int64 (borders,), the level nearest to
    the tempo that each section is wished or preferred to have, also where that lies outside the range.
    """

    bar_s: FloatArray
    cost: FloatArray
    references: IntArray
    bars: IntArray
    preferred: IntArray

    @classmethod
    def of(cls, task: Task) -> Levels:
        ranges = [range_of(task, index) for index in range(len(task.borders))]
        bounds = [bar_bounds(each) for each in ranges]
        low, high = min(each[0] for each in bounds), max(each[1] for each in bounds)
        bpm = np.geomspace(low, high, math.ceil(math.log(high / low) / LEVEL_STEP) + 1)
        bars = [_inside(bpm, each) for each in bounds]
        references = []
        for each in ranges:
            lowest, highest = _inside(bpm, each)
            if lowest > highest:  # one tempo, between two levels
                lowest = highest = int(np.argmin(np.abs(np.log(bpm / each[0]))))
            references.append((lowest, highest))
        preferred = np.array(
            [each.tempo_bpm or each.preferred_bpm or task.preferred_bpm for each in task.borders]
        )
        cost = task.tempo_weight * _TEMPO_COST * (np.log(bpm / preferred[:, None]) / 0.3) ** 2
        nearest = np.rint(np.log(preferred / low) / math.log(bpm[1] / low))
        return cls(
            bar_s=60.0 * BEATS_PER_BAR / bpm,
            cost=cost,
            references=np.array(references, np.int64),
            bars=np.array(bars, np.int64),
            preferred=nearest.astype(np.int64),
        )


def _inside(bpm: FloatArray, bounds: tuple[float, float]) -> tuple[int, int]:
    rounding = 1e-9
    return (
        int(np.searchsorted(bpm, bounds[0] - rounding)),
        int(np.searchsorted(bpm, bounds[1] + rounding)) - 1,
    )
