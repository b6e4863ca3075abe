"""The last few milliseconds: the search works on tempo levels, this lands its hits exactly and smooths
the tempo between them, without breaking any rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diffbgm.spotting.tempo import (
    BAR_TO_BAR,
    BEND_MARGIN,
    LEAP,
    Bars,
    FloatArray,
    Task,
    bar_bounds,
    range_of,
)
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BAR

_WINDOW_BARS = 32
_HOP_BARS = 16
# How little a bar wants to leave its length, against how much neighbours want to be alike.
_STAY = 0.02
_RULE_MARGIN = 1e-4
_ROUNDS = 12
_EXACT_S = 1e-6


def polish(bars: Bars, task: Task) -> Bars:
    """Move bar starts so that the hits the bars meet within tolerance are met exactly.

    In overlapping windows of bars with fixed ends: minimise the squared differences of neighbouring bars
    of a section, subject to each met hit lying on its step and to the tempo rules. Where no such bars are
    found the hits keep the error they have.
    """
    starts = bars.starts_s.copy()
    n_bars = len(starts) - 1
    for first in range(0, max(n_bars - _HOP_BARS, 1), _HOP_BARS):
        window = _Window(replace(bars, starts_s=starts), task, first, min(first + _WINDOW_BARS, n_bars))
        moved = window.solve()
        if moved is not None:
            starts = moved
    return replace(bars, starts_s=starts)


class _Window:
    """The bars first..last-1, whose outer ends stay where they are.

    Linear in the changes d of their lengths. `rows d = wanted`: the sum stays, each met hit falls on its
    step. `limits d <= room`: the tempo rules. A quadratic programme with few active limits, solved by
    adding the limits that the solution breaks as equations until none is broken.
    """

    def __init__(self, bars: Bars, task: Task, first: int, last: int) -> None:
        self.bars, self.task, self.first, self.last = bars, task, first, last
        self.bar_s = np.diff(bars.starts_s)
        self.free = len(self.bar_s) - 1 if bars.fermata else len(self.bar_s)
        right = range(max(first, 1), min(last + 1, self.free))
        self.pairs = [bar for bar in right if bar not in bars.section_bars]
        self.borders = [bar for bar in right if bar in bars.section_bars]

    def solve(self) -> FloatArray | None:
        """The new bar starts of the whole film, None where no lawful ones were found."""
        rows, wanted = self._equations()
        limits, room = self._limits()
        active: list[int] = []
        for _ in range(_ROUNDS):
            change = self._least(
                np.concatenate((rows, limits[active])), np.concatenate((wanted, room[active]))
            )
            broken = np.flatnonzero(limits @ change > room + 1e-9)
            new = [int(each) for each in broken if each not in active]
            if not new:
                break
            active += new
        starts = self.bars.starts_s.copy()
        starts[self.first + 1 : self.last] += np.cumsum(change)[:-1]
        errors = np.abs(rows @ change - wanted).max()
        if errors > _EXACT_S or not lawful(replace(self.bars, starts_s=starts), self.task):
            return None
        return starts

    def _equations(self) -> tuple[FloatArray, FloatArray]:
        first, last = self.first, self.last
        steps, errors = met_steps(self.bars.starts_s, self.task)
        bar, step = np.divmod(steps, STEPS_PER_BAR)
        met = np.abs(errors) <= self.task.tolerance_s
        inside = met & (bar >= first) & (bar < last) & (steps > first * STEPS_PER_BAR)
        rows = np.ones((1 + int(inside.sum()), last - first))
        rows[1:] = np.arange(first, last) < bar[inside, None]
        rows[np.arange(1, len(rows)), bar[inside].astype(int) - first] = step[inside] / STEPS_PER_BAR
        return rows, np.concatenate(([0.0], -errors[inside]))

    def _limits(self) -> tuple[FloatArray, FloatArray]:
        """Neighbours within 2 % of each other, every bar within its bounds and its section's bend.

        Between sections the tempo may leap as far as it does, or up to `LEAP`.
        """
        limits, room = [], []
        most = dict.fromkeys(self.pairs, BAR_TO_BAR - _RULE_MARGIN)
        for right in self.borders:
            ratio = self.bar_s[right] / self.bar_s[right - 1]
            most[right] = max(LEAP, ratio, 1.0 / ratio)
        for right, ratio in most.items():
            for longer, shorter in ((right, right - 1), (right - 1, right)):
                limits.append(self._unit(longer) - ratio * self._unit(shorter))
                room.append(ratio * self.bar_s[shorter] - self.bar_s[longer])
        for bar in range(self.first, min(self.last, self.free)):
            shortest, longest = self._bounds(bar)
            limits += [self._unit(bar), -self._unit(bar)]
            room += [longest - self.bar_s[bar], self.bar_s[bar] - shortest]
        return np.array(limits).reshape(-1, self.last - self.first), np.array(room)

    def _bounds(self, bar: int) -> tuple[float, float]:
        """Shortest and longest this bar may be: in its range, and close to its section's present middle."""
        section = int(np.searchsorted(self.bars.section_bars, bar, side="right")) - 1
        low, high = bar_bounds(range_of(self.task, self.bars.section_borders[section]))
        tempo = section_tempo(self.bars, self.task, section)
        low, high = max(low, tempo / BEND_MARGIN), min(high, tempo * BEND_MARGIN)
        return 60.0 * BEATS_PER_BAR / high, 60.0 * BEATS_PER_BAR / low

    def _unit(self, bar: int) -> FloatArray:
        """The change of this bar as a row; of a bar outside the window it is 0."""
        row = np.zeros(self.last - self.first)
        if self.first <= bar < self.last:
            row[bar - self.first] = 1.0
        return row

    def _least(self, rows: FloatArray, wanted: FloatArray) -> FloatArray:
        """The changes that make neighbours most alike, subject to `rows d = wanted`."""
        n = self.last - self.first
        difference = np.zeros((len(self.pairs), n))
        for k, right in enumerate(self.pairs):
            difference[k] = self._unit(right) - self._unit(right - 1)
        now = np.array([self.bar_s[right] - self.bar_s[right - 1] for right in self.pairs])
        system = np.zeros((n + len(rows), n + len(rows)))
        system[:n, :n] = difference.T @ difference + _STAY * np.eye(n)
        system[:n, n:] = rows.T
        system[n:, :n] = rows
        right_side = np.concatenate((-difference.T @ now, wanted))
        solution: FloatArray = np.linalg.lstsq(system, right_side, rcond=None)[0][:n]
        return solution


def met_steps(starts_s: FloatArray, task: Task) -> tuple[FloatArray, FloatArray]:
    """(step counted from beat 0, error in seconds) of every hit, float64 (hits,). The step is the nearest."""
    bar_s = np.diff(starts_s)
    bar = np.searchsorted(starts_s, task.hit_s + task.tolerance_s, side="right") - 1
    bar = np.clip(bar, 0, len(bar_s) - 1)
    position = (task.hit_s - starts_s[bar]) / bar_s[bar] * STEPS_PER_BAR
    step = np.clip(np.rint(position), 0, STEPS_PER_BAR - 1)
    return bar * STEPS_PER_BAR + step, (step - position) * bar_s[bar] / STEPS_PER_BAR


def lawful(bars: Bars, task: Task, first: int = 0, last: int | None = None) -> bool:
    """Whether the bars first..last-1 keep the rules: range, bar to bar, and bend about the section's tempo.

    A fermata, and the only bar of a film of one bar, are free.
    """
    bar_s = np.diff(bars.starts_s)
    if not bool(np.all(bar_s > 0)):
        return False
    bpm = 60.0 * BEATS_PER_BAR / bar_s
    count = len(bpm) - 1 if bars.fermata else len(bpm)
    last = count if last is None else min(last, count)
    edges = [*bars.section_bars, count]
    for start, stop, border in zip(edges, edges[1:], bars.section_borders, strict=False):
        if stop <= first or start >= last or stop <= start:
            continue
        here = bpm[start:stop]
        low, high = bar_bounds(range_of(task, border))
        ratio = np.abs(np.diff(np.log(here)))
        if here.min() < low * (1 - 1e-9) or here.max() > high * (1 + 1e-9):
            return False
        if ratio.max(initial=0.0) > np.log(BAR_TO_BAR) - _RULE_MARGIN / 2:
            return False
        if here.max() / here.min() > BEND_MARGIN**2 * (1 + 1e-6):
            return False
    return True


def section_tempo(bars: Bars, task: Task, section: int) -> float:
    """The tempo of a section: a person's wish, else the middle of its bars', within the range wished."""
    edges = [*bars.section_bars, len(bars.starts_s) - 1]
    bpm = 60.0 * BEATS_PER_BAR / np.diff(bars.starts_s)[edges[section] : edges[section + 1]]
    if bars.fermata and section == len(bars.section_bars) - 1 and len(bpm) > 1:
        bpm = bpm[:-1]
    low, high = range_of(task, bars.section_borders[section])
    return float(np.clip(np.sqrt(bpm.min() * bpm.max()), low, high))
