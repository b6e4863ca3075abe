"""Bars for a new cut: those of scenes that survived stay on their picture, the others fit in between.

A bar survives if all of its picture does. Between two runs of surviving bars there is time for some number
of bars, hardly ever a whole one. As few of the neighbouring bars as will do give up their place and, with
what is new between them, share the time evenly: each bar up to 8 % longer or shorter than its scene's, and up
to 4 % than the bar beside it, but where the picture jumps. Bars that are composed anew take up more, a
closing one may be held half as long again. Cuts in there are met where that holds as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from diffbgm.editing.alignment import Span
from diffbgm.editing.bend import MOST_COMPOSED, MOST_HELD, Bend
from diffbgm.spotting.hits import Candidate
from diffbgm.spotting.search import STEP_VALUE
from diffbgm.timing import STEPS_PER_BAR

FloatArray = NDArray[np.float64]

# A bar may reach this far over the end of its scene.
_OVER_S: Final = 0.25
_MOST_GIVEN_UP: Final = 16
_ENDING_BARS: Final = 2  # the last bar and the one that leads to it
# Worth of meeting a hit of full weight on a downbeat, in squared relative tempo.
_HIT_WORTH: Final = 0.01
_USER_WORTH: Final = 5.0
_GRIDS: Final = (STEPS_PER_BAR, 4, 2, 1)


@dataclass(frozen=True)
class NewBars:
    """The bars of a new cut.

    starts_s: bars + 1 of them, from 0 to the end. was: which bar of the old music each one is, -1 where it
    has to be composed. tempo_kept: whether it lies on the picture as it did. with_next: of bars to be
    composed, whether the scene they belong to is the one that follows.
    """

    starts_s: tuple[float, ...]
    was: tuple[int, ...]
    tempo_kept: tuple[bool, ...]
    with_next: tuple[bool, ...]


@dataclass(frozen=True)
class _Run:
    """Old bars first..end-1, `shift_s` later in the new cut, in a scene from start_s to end_s there."""

    first: int
    end: int
    shift_s: float
    start_s: float
    end_s: float

    def __len__(self) -> int:
        return self.end - self.first


class _Bars(NamedTuple):
    """Bars of a gap: their lengths, the first one of the scene that follows, what they cost."""

    lengths_s: FloatArray
    jump: int
    cost: float


@dataclass(frozen=True)
class _Filled:
    """A gap filled: how many bars the neighbours gave up, and how many of those keep their notes."""

    gave: tuple[int, int]
    keep: tuple[int, int]
    bars: _Bars


def lay_bars(
    old_starts_s: Sequence[float],
    spans: Sequence[Span],
    duration_s: float,
    frame_s: float,
    hits: Sequence[Candidate],
) -> NewBars | None:
    """The bars of a new cut of `duration_s`; None where not one bar of the old music survives.

    spans: in the order of the new cut. hits: what should be met in it.
    """
    layout = _Layout(np.array(old_starts_s), duration_s, frame_s, hits)
    runs = layout.runs(spans)
    while runs:
        filled = layout.fill(runs)
        if isinstance(filled, _Run):
            runs = [run for run in runs if run is not filled]
        else:
            return layout.assembled(runs, filled)
    return None


class _Layout:
    def __init__(
        self, old_s: FloatArray, duration_s: float, frame_s: float, hits: Sequence[Candidate]
    ) -> None:
        self.old_s, self.duration_s, self.frame_s, self.hits = old_s, duration_s, frame_s, hits
        self.last = len(old_s) - 2  # the old music's closing bar

    def runs(self, spans: Sequence[Span]) -> list[_Run]:
        """The bars that survive. The closing bar does where the new cut ends with it."""
        out: list[_Run] = []
        for span in spans:
            inside = np.flatnonzero(
                (self.old_s[:-1] >= span.old_s - _OVER_S) & (self.old_s[1:] <= span.old_end_s + _OVER_S)
            )
            if not len(inside):
                continue
            first, end = int(inside[0]), int(inside[-1]) + 1
            ends = abs(float(self.old_s[-1]) + span.shift_s - self.duration_s) <= _OVER_S
            if end > self.last and not ends:
                end = self.last
            if end > first:
                out.append(_Run(first, end, span.shift_s, span.new_s, span.new_end_s))
        return out

    def fill(self, runs: list[_Run]) -> list[_Filled] | _Run:
        """Each gap filled, before, between and after the runs; or the run that is too short to stay."""
        out = []
        # Bars not yet given up. What comes before a run takes half of it at most, so that as much is left.
        left = [len(run) for run in runs]
        for k in range(len(runs) + 1):
            before = runs[k - 1] if k else None
            after = runs[k] if k < len(runs) else None
            room = (left[k - 1] if k else 0, (left[k] + 1) // 2 if after else 0)
            filled = self._gap(before, after, room)
            if filled is None:
                near = [run for run in (before, after) if run is not None]
                return min(near, key=len)
            out.append(filled)
            if k:
                left[k - 1] -= filled.gave[0]
            if after:
                left[k] -= filled.gave[1]
        return out

    def assembled(self, runs: list[_Run], filled: list[_Filled]) -> NewBars:
        starts: list[float] = [0.0]
        was: list[int] = []
        kept: list[bool] = []
        with_next: list[bool] = []
        for k, gap in enumerate(filled):
            lengths_s = gap.bars.lengths_s
            before_end = runs[k - 1].end - gap.gave[0] if k else 0
            after_first = runs[k].first if k < len(runs) else 0
            count = len(lengths_s)
            base_s = starts[-1]
            for index, end_s in enumerate(np.cumsum(lengths_s).tolist()):
                starts.append(base_s + end_s)
                if index < gap.keep[0]:
                    was.append(before_end + index)
                elif index >= count - gap.keep[1]:
                    was.append(after_first + gap.gave[1] - (count - index))
                else:
                    was.append(-1)
                kept.append(False)
                with_next.append(index >= gap.bars.jump)
            if k == len(runs):
                break
            run = runs[k]
            for bar in range(run.first + gap.gave[1], run.end - filled[k + 1].gave[0]):
                starts.append(float(self.old_s[bar + 1]) + run.shift_s)
                was.append(bar)
                kept.append(True)
                with_next.append(False)
        starts = [0.0, *(round(each, 6) for each in starts[1:-1]), self.duration_s]
        return NewBars(tuple(starts), tuple(was), tuple(kept), tuple(with_next))

    def _gap(self, before: _Run | None, after: _Run | None, room: tuple[int, int]) -> _Filled | None:
        """The gap filled with as few bars given up as will do; None where the runs are too short for it."""
        if before is None and after is not None and abs(self._start_s(after)) <= self.frame_s / 2:
            return _NOTHING
        closes = before is not None and after is None and before.end == self.last + 1
        if closes and before is not None and abs(self._end_s(before) - self.duration_s) <= self.frame_s / 2:
            return _NOTHING
        for gave in _shares(room):
            filled = self._shared(before, after, gave, closes=closes)
            if filled is not None:
                return filled
        if closes and before is not None and len(before) > 1:  # without the old closing bar
            opened = replace(before, end=before.end - 1)
            filled = self._gap(opened, None, (room[0] - 1, 0)) if room[0] else None
            return None if filled is None else replace(filled, gave=(filled.gave[0] + 1, 0))
        return None

    def _shared(
        self, before: _Run | None, after: _Run | None, gave: tuple[int, int], *, closes: bool
    ) -> _Filled | None:
        """The gap filled where the neighbours give up so many bars; None where no number of bars fits."""
        from_s = 0.0 if before is None else float(self.old_s[before.end - gave[0]]) + before.shift_s
        to_s = self.duration_s if after is None else float(self.old_s[after.first + gave[1]]) + after.shift_s
        usual = (self._bar_s(before, -1 - gave[0]), self._bar_s(after, gave[1]))
        best: _Filled | None = None
        for count, jump in self._counts(from_s, to_s, usual, before, after):
            if closes and count != gave[0]:
                continue
            keep = (count, 0) if closes else self._keep(before, after, gave, count, jump)
            target = np.where(np.arange(count) < jump, usual[0], usual[1])
            composed = slice(keep[0], count - keep[1])
            beside = (from_s > 0, to_s < self.duration_s)
            bend = Bend(target, to_s - from_s, jump, composed, beside, closing=after is None and not closes)
            bars = self._solve(bend, from_s, to_s)
            if bars is not None and (best is None or bars.cost < best.bars.cost):
                best = _Filled(gave, keep, bars)
        return best

    def _keep(
        self, before: _Run | None, after: _Run | None, gave: tuple[int, int], count: int, jump: int
    ) -> tuple[int, int]:
        """How many of the bars that were given up keep their notes, at either end of the gap."""
        if after is None:
            return max(0, min(gave[0], count - _ENDING_BARS)), 0
        if before is None:
            return 0, min(gave[1], count)
        if self._goes_on(before, after, count - sum(gave)):
            return count, 0
        first = min(gave[0], jump, count - 1)  # at least one bar leads over
        return first, max(0, min(gave[1], count - jump, count - 1 - first))

    def _goes_on(self, before: _Run, after: _Run, between: int) -> bool:
        """Whether little was cut out or put in, and the old music just goes on over it."""
        little = after.start_s - before.end_s <= self._bar_s(before, -1)
        return little and after.first - before.end == between

    def _counts(
        self,
        from_s: float,
        to_s: float,
        usual: tuple[float, float],
        before: _Run | None,
        after: _Run | None,
    ) -> Iterator[tuple[int, int]]:
        """Numbers of bars that may fit, each with the bars before the picture jumps."""
        length_s = to_s - from_s
        shortest, longest = min(usual) * (1 - MOST_COMPOSED), max(usual) * (1 + MOST_COMPOSED)
        least = _ENDING_BARS if after is None and self.duration_s > 2 * longest else 1
        fewest = int(np.ceil((length_s - (MOST_HELD * usual[1] if after is None else 0.0)) / longest))
        for count in range(max(least, fewest), int(length_s / shortest) + 1):
            if before is None or after is None:
                yield count, 0 if before is None else count
                continue
            places = [(before.end_s - from_s) / usual[0], count - (to_s - after.start_s) / usual[1]]
            jumps = {int(np.clip(each, 0, count)) for place in places for each in (place, np.ceil(place))}
            for jump in sorted(jumps):
                yield count, jump

    def _solve(self, bend: Bend, from_s: float, to_s: float) -> _Bars | None:
        """The smoothest lawful bars, with as many hits met as can be; None without any."""
        change = bend.solve([])
        if change is None:
            return None
        count = len(bend.target)
        margin = self.frame_s
        hits = [each for each in self.hits if from_s + margin < each.time_s < to_s - margin]
        rows: list[tuple[int, float]] = []
        met = 0.0
        for hit in sorted(hits, key=_worth, reverse=True):
            starts = np.concatenate(([0.0], np.cumsum(bend.target * (1 + change))))
            at = float(np.interp(hit.time_s - from_s, starts, np.arange(count + 1))) * STEPS_PER_BAR
            for grid in _GRIDS:
                step = min(round(at / grid) * grid, count * STEPS_PER_BAR - 1)
                bent = bend.solve([*rows, (step, hit.time_s - from_s)]) if step > 0 else None
                if bent is not None:
                    change = bent
                    rows.append((step, hit.time_s - from_s))
                    met += _worth(hit) * float(STEP_VALUE[step % STEPS_PER_BAR])
                    break
        return _Bars(bend.target * (1 + change), bend.jump, float((change**2).sum()) - _HIT_WORTH * met)

    def _bar_s(self, run: _Run | None, index: int) -> float:
        """How long a bar of a run is, counted from its start or, below 0, its end; of no run, the usual."""
        lengths = np.diff(self.old_s)
        if run is None:
            return float(np.median(lengths[:-1])) if len(lengths) > 1 else float(lengths[0])
        bar = run.first + index if index >= 0 else run.end + index
        return float(lengths[int(np.clip(bar, 0, len(lengths) - 1))])

    def _start_s(self, run: _Run) -> float:
        return float(self.old_s[run.first]) + run.shift_s

    def _end_s(self, run: _Run) -> float:
        return float(self.old_s[run.end]) + run.shift_s


_NOTHING: Final = _Filled((0, 0), (0, 0), _Bars(np.zeros(0), 0, 0.0))


def _shares(room: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """How many bars each side gives up, the fewest in all first and then the most even."""
    for total in range(min(sum(room), _MOST_GIVEN_UP) + 1):
        pairs = [(first, total - first) for first in range(total + 1)]
        fitting = [each for each in pairs if each[0] <= room[0] and each[1] <= room[1]]
        yield from sorted(fitting, key=lambda each: abs(each[0] - each[1]))


def _worth(hit: Candidate) -> float:
    return hit.weight * (_USER_WORTH if hit.source == "user" else 1.0)


def stretches_of(was: Sequence[int], tempo_kept: Sequence[bool]) -> Iterator[tuple[int, int, int, bool]]:
    """(first bar, end bar, old bar of the first or -1, tempo kept) of bars that go on as they did."""

    def together(bar: int) -> tuple[int, bool]:
        return (was[bar] - bar, tempo_kept[bar]) if was[bar] >= 0 else (-len(was) - 1, False)

    for _, group in itertools.groupby(range(len(was)), key=together):
        bars = list(group)
        yield bars[0], bars[-1] + 1, was[bars[0]], tempo_kept[bars[0]]
