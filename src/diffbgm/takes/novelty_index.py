"""The longest passage that a piece shares with the songs the models learned from, without the songs.

The package holds one bit for each value of a 22-bit hash: set where some figure of `FIGURE` symbols, that is
seven notes, of a song's melody or counter-melody has that hash (a Bloom filter with one hash function, Bloom
1970). A symbol is an interval and a time in sixteenths, as in `diffbgm.metrics.novelty`, so a passage is
found in any key and at any tempo. A shared passage of n notes is n - 6 figures in a row that are all there,
so none is missed; a passage may be told too long, where figures of different songs join or a hash agrees by
chance.

docs/takes.md says how often that is, and why the songs cannot be had back from the bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.metrics.notes import IntArray, Notes
from diffbgm.metrics.novelty import Line, lines_of

FIGURE: Final = 6
HASH_BITS: Final = 22
FILE: Final = "figures.npz"
VOICES: Final = 2
"""Melody and counter-melody; what accompanies is common property."""

_MULTIPLY: Final = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))


def figure_hashes(symbols: IntArray) -> IntArray:
    """Hash of the figure that begins at each symbol, int64 (n - 5,) below 2^22; empty for shorter lines."""
    count = max(0, len(symbols) - FIGURE + 1)
    mixed = np.zeros(count, np.uint64)
    for k in range(FIGURE):
        mixed = (mixed ^ symbols[k : k + count].astype(np.uint64)) * _MULTIPLY[0]
        mixed ^= mixed >> np.uint64(29)
    mixed *= _MULTIPLY[1]
    mixed ^= mixed >> np.uint64(32)
    return ((mixed * _MULTIPLY[0]) >> np.uint64(64 - HASH_BITS)).astype(np.int64)


def voices_of(notes: Notes) -> list[Line]:
    """The lines that are compared: of melody and counter-melody."""
    return lines_of(notes.select(notes.part < VOICES))


class NoveltyIndex:
    """present: bool (2^22,), True at the hashes of the songs' figures."""

    def __init__(self, present: NDArray[np.bool_]) -> None:
        self.present = present

    @classmethod
    def of_lines(cls, lines: Sequence[Line]) -> NoveltyIndex:
        """Of the lines of songs."""
        present = np.zeros(1 << HASH_BITS, bool)
        for line in lines:
            present[figure_hashes(line.symbols)] = True
        return cls(present)

    @property
    def chance(self) -> float:
        """Probability that a figure of no song is taken for one of theirs."""
        return float(self.present.mean())

    def longest(self, lines: Sequence[Line]) -> int:
        """Notes of the longest passage that may be the songs'; 0 below seven."""
        return max((self._longest(line.symbols) for line in lines), default=0)

    def _longest(self, symbols: IntArray) -> int:
        known = self.present[figure_hashes(symbols)]
        borders = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]])))
        figures = int((borders[1::2] - borders[::2]).max(initial=0))
        return figures + FIGURE if figures else 0


@cache
def shipped_index() -> NoveltyIndex:
    """The index in the package; read once."""
    with (
        (resources.files("diffbgm.takes") / FILE).open("rb") as file,
        np.load(file, allow_pickle=False) as data,
    ):
        return NoveltyIndex(np.unpackbits(data["present"]).astype(bool))
