"""How strongly a piece repeats itself, on short, middle and long time scales (SI).

The structureness indicator is the greatest fitness of any segment whose length lies in a band. The
fitness of a segment (Mueller et al., "A segment-based fitness measure for capturing repetitive structures
of music recordings", ISMIR 2011) is the harmonic mean of how well its repetitions match it and how much
of the piece they cover. Wu and Yang, ISMIR 2020 (arXiv 2008.01307), section 4.

Bands: 3-8 s, 8-15 s, from 15 s (to 128 s as in MusDr), and any length. Which band the Diff-BGM paper used
for its 0.521 is not published. Figures from notes and from sound differ and are not comparable.

The published program walks one segment after the other in Python loops, which takes minutes for a song.
Here all segments of one length are solved at once (`fitness_scape_plot`), with its result to about 1e-12,
in 4 s for 3 minutes at 2 frames a second; the time grows with the fourth power of the length.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from diffbgm.metrics.chroma import FEATURE_HZ, chroma_of_notes, chroma_of_sound, smooth
from diffbgm.metrics.notes import Notes
from diffbgm.metrics.similarity import self_similarity
from diffbgm.timing import FloatArray

BANDS_S: Final = {"3_8": (3.0, 8.0), "8_15": (8.0, 15.0), "15": (15.0, 128.0), "any": (0.0, math.inf)}
LONGEST_S: Final = 360.0
"""Longer pieces are judged by their first six minutes."""

_PREFERENCE_BITS: Final = 2


def validate(ssm: ArrayLike) -> FloatArray:
    """The matrix as float64. Raises ValueError unless it is square, finite and nowhere above 1."""
    matrix = np.asarray(ssm, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise ValueError(f"self-similarity of shape {matrix.shape}; expected a finite square matrix")
    if matrix.size and matrix.max() > 1 + 1e-9:
        raise ValueError("self-similarity above 1; fitness needs S <= 1 with 1 on the diagonal")
    return matrix


def fitness_scape_plot(ssm: ArrayLike) -> FloatArray:
    """Fitness of every segment, float64 (frames, frames): row = length - 1, column = first frame.

    fitness = 2 s c / (s + c) with s = (score - M) / path cells and c = (coverage - M) / N for a segment
    of M of the N frames; score, cells and coverage are those of its optimal path family. Entries past
    the end of the piece are 0; the row of the full length is 0 too, as it repeats nothing else.
    ssm: self-similarity (N, N), at most 1, the diagonal 1, low or negative where nothing matches.

    Method: one dynamic programme a length M over (segment column, start), all starts at once. Score, rows
    left uncovered and number of path cells travel in one int64, so that a maximum picks all three; scores
    are rounded to a grid of at most 2^-20. Two bits below the score hold the published program's order of
    preference among equal predecessors, which decides between paths that tie.
    """
    matrix = validate(ssm)
    n = len(matrix)
    layout = _Layout.for_matrix(matrix)
    plot = np.zeros((n, n))
    for length in range(1, n + 1):
        final = layout.solve(length)
        score, uncovered, cells = layout.unpack(final)
        gain = (score - length) / cells
        cover = (n - uncovered - length) / n
        plot[length - 1, : n - length + 1] = 2 * gain * cover / (gain + cover + 1e-16)
    return plot


class _Layout:
    """Score | preference (2 bits) | uncovered rows | path cells, packed into int64."""

    def __init__(self, matrix: FloatArray, field: int, fraction: int) -> None:
        self.n = len(matrix)
        self.field, self.fraction = field, fraction
        self.shift = 2 * field + _PREFERENCE_BITS
        self.prefer = np.int64(1 << (2 * field))
        self.rest = np.int64((1 << (2 * field)) - 1)
        self.clear = ~np.int64(3 << (2 * field))
        self.skip = np.int64(1 << field)
        self.never = np.int64(-(1 << 62))
        self.cells = (np.rint(matrix * 2.0**fraction).astype(np.int64) << self.shift) + 1
        self._room = np.empty(5 * (self.n + 2) ** 2 // 4 + 10 * (self.n + 1), np.int64)

    @classmethod
    def for_matrix(cls, matrix: FloatArray) -> _Layout:
        n = len(matrix)
        field = n.bit_length()
        largest = n * max(1.0, float(np.abs(matrix).max(initial=0.0))) + 1
        fraction = 61 - 2 * field - _PREFERENCE_BITS - math.ceil(math.log2(largest))
        if fraction < 20:
            raise ValueError(f"a self-similarity of {n} frames is too large for the scape plot")
        return cls(matrix, field, fraction)

    def unpack(self, packed: NDArray[np.int64]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Score, uncovered rows and path cells."""
        mask = np.int64((1 << self.field) - 1)
        score = (packed >> self.shift).astype(np.float64) * 2.0**-self.fraction
        uncovered, cells = (packed >> self.field) & mask, packed & mask
        return score, uncovered.astype(np.float64), cells.astype(np.float64)

    def better(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the score of a is above that of b, whatever the other fields."""
        return (a >> self.shift) > (b >> self.shift)

    def solve(self, length: int) -> NDArray[np.int64]:
        """Optimal path families of all segments of a length, packed int64 (starts,).

        D[n, m] = S[n, m] + max(D[n-1, m-1], D[n-2, m-1], D[n-1, m-2]) for row n and column m of the
        segment, m = 1 .. length; column 0 waits between two paths:
        D[n, 0] = max(D[n-1, 0], D[n-1, length]) and D[n, 1] = D[n, 0] + S[n, 1].
        Only cells are computed from which the last column can still be reached.
        """
        n, starts = self.n, self.n - length + 1
        size = (length + 1) * starts
        room = self._room[: 5 * size].reshape(5, length + 1, starts)
        room.fill(self.never)
        plain, favoured = room[:2], room[2:]  # the latter with preference 2 a row back, 1 two rows back
        windows = np.lib.stride_tricks.sliding_window_view(self.cells, starts, axis=1)
        waiting = np.zeros(starts, np.int64)
        for row in range(n):
            now, before = plain[row % 2], plain[(row - 1) % 2]
            liked, less_liked = favoured[(row - 1) % 3], favoured[(row - 2) % 3]
            if row:
                done = before[length]
                waiting = np.where(self.better(done, waiting), done, waiting + self.skip)
            lowest = length - 2 * (n - 1 - row)
            first, last = max(3, lowest), min(length, 2 * row + 1)
            if first <= last:
                cell = now[first : last + 1]
                np.maximum(liked[first - 1 : last], less_liked[first - 1 : last], out=cell)
                np.maximum(cell, before[first - 2 : last - 1], out=cell)
                cell &= self.clear
                cell += windows[row, first - 1 : last]
            if lowest <= 2:
                now[0] = waiting
                now[1] = waiting + windows[row, 0]
                if length > 1 and row:
                    now[2] = self._second(row, before, less_liked) + windows[row, 1]
            np.add(
                now[max(1, lowest) : last + 1],
                2 * self.prefer,
                out=favoured[row % 3, max(1, lowest) : last + 1],
            )
            liked[max(1, lowest - 2) : last] -= self.prefer
        done = plain[(n - 1) % 2, length]
        return np.where(self.better(waiting, done), waiting + self.skip, done)

    def _second(
        self, row: int, before: NDArray[np.int64], less_liked: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Best predecessor of column 2.

        In the published program the score may come from the waiting column, leaving column 1 out, but the
        path that is counted always passes through column 1, and by two rows only from the fourth row on.
        """
        path = before[1]
        score = np.maximum(path, before[0])
        if row > 1:
            two_back = less_liked[1] & self.clear
            score = np.maximum(score, two_back)
            if row > 2:
                path = np.where(self.better(two_back, path), two_back, path)
        return np.asarray((score & ~self.rest) | (path & self.rest))


def structureness(
    scape_plot: ArrayLike, low_s: float, high_s: float | None = 128.0, rate_hz: float = FEATURE_HZ
) -> float:
    """Greatest fitness of a segment of low_s to high_s seconds, 0 .. 1 (SI).

    Rows int(low_s * rate_hz) - 1 up to int(high_s * rate_hz), the latter left out, as in MusDr; `high_s`
    None or infinite: no upper bound. 0 where the piece is shorter than the band, NaN where it is empty.
    scape_plot: as `fitness_scape_plot` gives it; rate_hz: its frames a second.
    Raises ValueError if the band is empty.
    """
    plot = np.asarray(scape_plot, np.float64)
    if plot.ndim != 2 or plot.shape[0] != plot.shape[1]:
        raise ValueError(f"scape plot of shape {plot.shape}; expected a square matrix")
    unbounded = high_s is None or math.isinf(high_s)
    if low_s < 0 or rate_hz <= 0 or (high_s is not None and high_s < low_s):
        raise ValueError(f"no band from {low_s} to {high_s} s at {rate_hz} frames a second")
    if not len(plot):
        return float("nan")
    first = max(0, int(low_s * rate_hz) - 1)
    last = len(plot) if unbounded or high_s is None else int(high_s * rate_hz)
    return float(plot[first:last].max(initial=0.0))


def structure_of(features: FloatArray) -> dict[str, float]:
    """SI in every band from feature frames (frames, 12), 2 a second; NaN for fewer than two frames."""
    if len(features) < 2:
        return {name: float("nan") for name in BANDS_S}
    plot = fitness_scape_plot(self_similarity(features[: int(LONGEST_S * FEATURE_HZ)]))
    return {name: structureness(plot, low, high) for name, (low, high) in BANDS_S.items()}


def evaluate(notes: Notes) -> dict[str, float]:
    """SI of notes in every band by name: `si_3_8`, `si_8_15`, `si_15`, `si_any`."""
    features = smooth(chroma_of_notes(notes)) if len(notes) else np.zeros((0, 12))
    return {f"si_{band}": value for band, value in structure_of(features).items()}


def evaluate_sound(samples: NDArray[np.floating]) -> dict[str, float]:
    """SI of mono sound at 22.05 kHz in every band by name: `si_audio_3_8` and so on."""
    features = smooth(chroma_of_sound(samples)) if np.any(samples) else np.zeros((0, 12))
    return {f"si_audio_{band}": value for band, value in structure_of(features).items()}
