"""The last few milliseconds: the search works on tempo levels, this lands its hits exactly and smooths
the tempo between them, without breaking any rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diffbgm.spotting.tempo import (
    BAR_TO_BAR,
    BEND_MARGIN,
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


def polish(bars: Bars, task: Task) -> Bars:
    """Move bar starts so that the hits the bars meet within tolerance are met exactly.

    In overlapping windows of bars with fixed ends: minimise the squared differences of neighbouring bars
    of a section, subject to each met hit lying on its step. Of the correction the largest share of
    1, 1/2, 1/4 that keeps the tempo rules is applied, or none.
    """
    starts = bars.starts_s.copy()
    n_bars = len(starts) - 1
    for first in range(0, max(n_bars - _HOP_BARS, 1), _HOP_BARS):
        last = min(first + _WINDOW_BARS, n_bars)
        change = _correction(replace(bars, starts_s=starts), task, first, last)
        for share in (1.0, 0.5, 0.25):
            moved = starts.copy()
            moved[first + 1 : last] += share * np.cumsum(change)[:-1]
            if lawful(replace(bars, starts_s=moved), task, max(first - 1, 0), min(last + 1, n_bars)):
                starts = moved
                break
    return replace(bars, starts_s=starts)


def met_steps(starts_s: FloatArray, task: Task) -> tuple[FloatArray, FloatArray]:
    """(step counted from beat 0, error in seconds) of every hit, float64 (hits,). The step is the nearest."""
    bar_s = np.diff(starts_s)
    bar = np.searchsorted(starts_s, task.hit_s + task.tolerance_s, side="right") - 1
    bar = np.clip(bar, 0, len(bar_s) - 1)
    position = (task.hit_s - starts_s[bar]) / bar_s[bar] * STEPS_PER_BAR
    step = np.clip(np.rint(position), 0, STEPS_PER_BAR - 1)
    return bar * STEPS_PER_BAR + step, (step - position) * bar_s[bar] / STEPS_PER_BAR


def _correction(bars: Bars, task: Task, first: int, last: int) -> FloatArray:
    """What to add to the lengths of the bars first..last-1, float64 (last - first,); its sum is 0."""
    starts = bars.starts_s
    bar_s = np.diff(starts)
    n = last - first
    steps, errors = met_steps(starts, task)
    bar, step = np.divmod(steps, STEPS_PER_BAR)
    inside = (
        (np.abs(errors) <= task.tolerance_s) & (bar >= first) & (bar < last) & (steps > first * STEPS_PER_BAR)
    )
    rows = np.ones((1 + int(inside.sum()), n))
    rows[1:] = np.arange(first, last) < bar[inside, None]
    rows[np.arange(1, len(rows)), bar[inside].astype(int) - first] = step[inside] / STEPS_PER_BAR
    wanted = np.concatenate(([0.0], -errors[inside]))

    # Differences of neighbours inside a section; the bars on either side of the window stay as they are.
    free = len(bar_s) - 1 if bars.fermata else len(bar_s)
    pairs = [right for right in range(max(first, 1), min(last + 1, free)) if right not in bars.section_bars]
    difference = np.zeros((len(pairs), n))
    for row, right in enumerate(pairs):
        if right < last:
            difference[row, right - first] = 1.0
        if right > first:
            difference[row, right - 1 - first] = -1.0
    now = np.array([bar_s[right] - bar_s[right - 1] for right in pairs])
    size = n + len(rows)
    system = np.zeros((size, size))
    system[:n, :n] = difference.T @ difference + _STAY * np.eye(n)
    system[:n, n:] = rows.T
    system[n:, :n] = rows
    right_side = np.concatenate((-difference.T @ now, wanted))
    solution: FloatArray = np.linalg.lstsq(system, right_side, rcond=None)[0][:n]
    return solution


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
        if ratio.max(initial=0.0) > np.log(BAR_TO_BAR) - _RULE_MARGIN:
            return False
        if here.max() / here.min() > BEND_MARGIN**2:
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
