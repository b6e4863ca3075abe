"""Songs that are nearly the same: covers, remixes and copies, in any key and at any tempo.

A tune is the sequence of intervals of its melody, the highest note at each moment. Two songs are compared by
the passages of ten intervals that both have; a passage must use four different intervals, since scales and
repeated notes are common property. Rhythm is left out: covers keep the tune and change the rhythm.

The share is over the shorter song's passages. In POP909 four pairs share 0.35 or more, which are covers by
title, and the next pair shares 0.07 (docs/pop909-findings.md), so that the threshold is not delicate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.timing import FloatArray

LEAST_SHARE: Final = 0.15
MIN_PASSAGES: Final = 20
"""A song with fewer is not compared: a share of so few says nothing."""

_LENGTH: Final = 10
_DIFFERENT: Final = 4
_LARGEST: Final = 12  # semitones; larger leaps count as this
_COMMON: Final = 20  # a passage that more songs have is nobody's
_ONE_MOMENT: Final = 1e-6


@dataclass(frozen=True)
class Likeness:
    """Two songs, by name in alphabetical order, the share of passages and their number."""

    first: str
    second: str
    share: float
    passages: int


def passages_of(start: FloatArray, pitch: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The different passages of a melody as numbers, rising; start in any unit, in any order."""
    order = np.lexsort((-pitch, start))
    start, pitch = start[order], pitch[order]
    top = np.diff(start, prepend=-np.inf) > _ONE_MOMENT
    intervals = np.clip(np.diff(pitch[top]), -_LARGEST, _LARGEST) + _LARGEST
    if len(intervals) < _LENGTH:
        return np.zeros(0, np.uint64)
    windows = np.lib.stride_tricks.sliding_window_view(intervals, _LENGTH).astype(np.uint64)
    different = 1 + (np.diff(np.sort(windows, axis=1), axis=1) > 0).sum(axis=1)
    base = np.uint64(2 * _LARGEST + 1)
    return np.unique(windows[different >= _DIFFERENT] @ base ** np.arange(_LENGTH, dtype=np.uint64))


def near_duplicates(
    tunes: Mapping[str, NDArray[np.uint64]], least_share: float = LEAST_SHARE
) -> list[Likeness]:
    """Pairs of songs that share at least this much, the likest first.

    tunes: passages of each song (`passages_of`). Time grows with the number of passages that songs share,
    not with the number of pairs.
    """
    names = sorted(name for name, passages in tunes.items() if len(passages) >= MIN_PASSAGES)
    if not names:
        return []
    passages = np.concatenate([tunes[name] for name in names])
    owner = np.repeat(np.arange(len(names)), [len(tunes[name]) for name in names])
    order = np.argsort(passages, kind="stable")
    borders = np.flatnonzero(np.diff(passages[order])) + 1
    shared: Counter[tuple[int, int]] = Counter()
    for owners in np.split(owner[order], borders):
        if 2 <= len(owners) <= _COMMON:
            shared.update(combinations(owners.tolist(), 2))
    found = []
    for (a, b), count in shared.items():
        share = count / min(len(tunes[names[a]]), len(tunes[names[b]]))
        if share >= least_share:
            found.append(Likeness(names[a], names[b], share, count))
    return sorted(found, key=lambda like: (-like.share, like.first, like.second))
