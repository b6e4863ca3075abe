"""Where notes start in the bar: how alike the bars are, and how many stay empty.

A bar's groove is the set of positions at which notes start, whatever their pitch and number. Two variants
of grooving pattern similarity (GPS) exist and give different numbers:

- MusDr's (`grooving_similarity`): 64 positions a bar in its own data (16 here unless said otherwise),
  all bars; its program draws at most 1000 pairs, here all are taken.
- the notebook's (`notebook_gps`): 16 positions by truncation, the last bar dropped.

Sparse bars are alike because neither has notes, so GPS rises with the number of positions: compare only
figures of the same resolution. Wu and Yang, ISMIR 2020 (arXiv 2008.01307), section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from diffbgm.metrics.notes import Event, Notes
from diffbgm.timing import BEATS_PER_BAR

POSITIONS: Final = 16
"""Positions a bar, unless said otherwise: sixteenths of 4/4."""


def validate(onsets_by_bar: ArrayLike) -> NDArray[np.bool_]:
    """The onsets as bool (bars, positions). Raises ValueError for another shape or values but 0 and 1."""
    bars = np.asarray(onsets_by_bar)
    if bars.size == 0:
        return np.zeros((len(bars), POSITIONS), bool)
    if bars.ndim != 2:
        raise ValueError(f"onsets of shape {bars.shape}; expected (bars, positions)")
    if bars.dtype != bool and not np.isin(bars, (0, 1)).all():
        raise ValueError("onsets must be 0 or 1")
    return bars.astype(bool)


def grooving_similarity(onsets_by_bar: ArrayLike) -> float:
    """Mean similarity of the onset patterns of all pairs of bars, 0 .. 1 (GPS, MusDr's GS).

    GS(a, b) = 1 - (1/Q) sum_i XOR(a_i, b_i), averaged over every pair of different bars.
    onsets_by_bar: bool (bars, positions Q). NaN for fewer than two bars.
    """
    bars = validate(onsets_by_bar)
    count = len(bars)
    if count < 2:
        return float("nan")
    signs = np.where(bars, 1.0, -1.0)
    agreement = signs @ signs.T / bars.shape[1]  # 1 - 2 Hamming / Q
    similarity = (1 + agreement) / 2
    return float((similarity.sum() - count) / (count * (count - 1)))


def groove_consistency(onsets_by_bar: ArrayLike) -> float:
    """Mean similarity of each bar with the next one, 0 .. 1; NaN for fewer than two bars.

    1 - (1/(n-1)) sum_b Hamming(b, b+1) / Q (as muspy's `groove_consistency`).
    """
    bars = validate(onsets_by_bar)
    return float(1 - (bars[1:] != bars[:-1]).mean()) if len(bars) > 1 else float("nan")


def empty_bar_share(onsets_by_bar: ArrayLike) -> float:
    """Share of the bars in which no note starts, 0 .. 1; NaN where there are no bars."""
    bars = validate(onsets_by_bar)
    return float(1 - bars.any(axis=1).mean()) if len(bars) else float("nan")


def notebook_gps(events: Sequence[Event]) -> float:
    """GPS as the notebook published with Diff-BGM computes it; the paper reports 0.601.

    Bars of four quarters with 16 positions; an onset falls on int(4 * offset in the bar). A bar is closed
    when an event starts at or after its end; the last bar is never closed and so dropped.
    events: (offset in quarters, pitch classes) sorted by offset; offsets may be fractions.
    NaN for fewer than two closed bars. Raises ValueError if the offsets go back or are negative.
    """
    offsets = [offset for offset, _ in events]
    if any(b < a for a, b in zip([0, *offsets], offsets, strict=False)):
        raise ValueError("events must be sorted by offset and begin at 0 or later")
    if not offsets:
        return float("nan")
    closed = int(offsets[-1] // BEATS_PER_BAR)
    bars = np.zeros((closed + 1, POSITIONS), bool)
    for offset in offsets:
        bar = int(offset // BEATS_PER_BAR)
        bars[bar, int(4 * (offset - BEATS_PER_BAR * bar))] = True
    return grooving_similarity(bars[:closed])


def evaluate(notes: Notes) -> dict[str, float]:
    """All rhythm figures of a piece by name; NaN where there are too few bars."""
    bars = notes.onsets_by_bar(POSITIONS)
    return {
        "gps": grooving_similarity(bars),
        "gps_64": grooving_similarity(notes.onsets_by_bar(64)),
        "gps_notebook": notebook_gps(notes.events()),
        "groove_consistency": groove_consistency(bars),
        "empty_bars": empty_bar_share(bars),
        "notes_per_bar": len(notes) / notes.n_bars if len(notes) else float("nan"),
    }


def onset_density(notes: Notes, times_s: NDArray[Any]) -> NDArray[np.float64]:
    """Onsets a second in each span between consecutive `times_s`, float64 (spans,)."""
    edges = np.asarray(times_s, np.float64)
    return np.diff(np.searchsorted(notes.start_s, edges)) / np.maximum(np.diff(edges), 1e-9)
