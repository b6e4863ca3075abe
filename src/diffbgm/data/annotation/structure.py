"""Phrases from notes: where they begin, and which are the same material.

Bars are compared by harmony, melody and rhythm. Measures of every bar line (checkerboard novelty of the
similarities after Foote 2000, repetitions that begin or end there, a rest or a held note of the melody, what
changes in texture and loudness) give the log-odds of a phrase beginning at it, by a logistic model fitted on
annotated songs. The phrases are the sequence with the highest sum of these and of the log-probability of the
phrases' lengths (dynamic programming). Phrases that are alike bar by bar get the same letter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.data.annotation.chords import ChordEvidence
from diffbgm.data.annotation.grid import GridNotes
from diffbgm.data.annotation.model import table
from diffbgm.data.annotation.music import Span
from diffbgm.timing import FloatArray

IntArray = NDArray[np.int64]

LONGEST_PHRASE: Final = 16  # bars
LENGTH_WEIGHT: Final = 0.7
"""Weight of the length prior beside the evidence of the bar lines, chosen on the training songs."""

BORDER_BONUS: Final = 1.0
"""Log-odds added to every bar line: of more and of fewer phrases than people mark, more are found again."""
JOINED_ABOVE: Final = 0.5
LENGTH_PENALTY: Final = 0.25
LETTER_WEIGHT: Final = np.array([0.3, 0.6, 0.1])
"""Which phrases get the same letter: similarity above which they do, what unequal lengths cost, and weights
of harmony, melody and rhythm."""

_CONTEXT: Final = 2  # bar lines before and after whose measures count too
_LONGEST_REST: Final = 4.0
_PARTS: Final = 8  # pieces of a bar in which melody and rhythm are compared
_KERNELS: Final = (2, 4, 8)  # bars on each side of a bar line
_REACH: Final = 4  # bars over which a repetition is looked at
_NEAREST: Final = 3  # bars: nothing nearer counts as a repetition


@dataclass(frozen=True)
class Bars:
    """A song by bars. start_beat: int64 (bars + 1,). harmony, melody, rhythm: float64 (bars, values), rows of
    length 1 or 0. texture: float64 (bars, 5): onsets a beat of each voice, mean velocity / 16, mean melody
    pitch / 12. rest: float64 (bars,), beats without a melody onset around the bar's beginning."""

    start_beat: IntArray
    harmony: FloatArray
    melody: FloatArray
    rhythm: FloatArray
    texture: FloatArray
    rest: FloatArray

    @property
    def n_bars(self) -> int:
        return len(self.harmony)


def bars_of(notes: GridNotes, evidence: ChordEvidence, downbeat: NDArray[np.bool_]) -> Bars:
    """The bars from the first downbeat on; the last may be short."""
    starts = np.append(np.flatnonzero(downbeat), notes.n_beats)
    n = len(starts) - 1
    # A performed note a little early belongs to what follows.
    bar = np.searchsorted(starts, notes.start + 0.125, side="right") - 1
    inside = (bar >= 0) & (bar < n)
    length = np.diff(starts).astype(np.float64)
    within = (notes.start + 0.125 - starts[np.clip(bar, 0, n - 1)]) / length[np.clip(bar, 0, n - 1)]
    part = np.clip((within * _PARTS).astype(int), 0, _PARTS - 1)
    melody = np.zeros((n, _PARTS, 12))
    rhythm = np.zeros((n, 2, _PARTS))
    sung, played = inside & (notes.voice == 0), inside & (notes.voice != 0)
    np.add.at(melody, (bar[sung], part[sung], notes.pitch[sung] % 12), 1.0)
    np.add.at(rhythm[:, 0], (bar[sung], part[sung]), 1.0)
    np.add.at(rhythm[:, 1], (bar[played], part[played]), 1.0)
    harmony = np.zeros((n, 2, 12))
    beat_bar = np.searchsorted(starts, np.arange(notes.n_beats), side="right") - 1
    known = beat_bar >= 0
    half = (np.arange(notes.n_beats) - starts[np.maximum(beat_bar, 0)]) * 2 >= length[np.maximum(beat_bar, 0)]
    np.add.at(harmony, (beat_bar[known], half[known].astype(int)), evidence.sounds[known])
    texture = np.zeros((n, 5))
    np.add.at(texture, (bar[inside], notes.voice[inside]), 1.0)
    texture[:, :3] /= length[:, None]
    struck = np.maximum(np.bincount(bar[inside], minlength=n), 1)
    texture[:, 3] = np.bincount(bar[inside], notes.velocity[inside], n) / struck / 16
    sung_notes = np.bincount(bar[sung], minlength=n)
    mean_pitch = np.bincount(bar[sung], notes.pitch[sung], n) / np.maximum(sung_notes, 1)
    texture[:, 4] = (
        np.where(sung_notes > 0, mean_pitch, notes.pitch[sung].mean() if sung.any() else 60.0) / 12
    )
    return Bars(
        starts,
        _unit(np.sqrt(harmony)),
        _unit(melody),
        _unit(np.sqrt(rhythm)),
        texture,
        _rests(notes, starts[:-1]),
    )


def estimate_phrases(
    notes: GridNotes, evidence: ChordEvidence, downbeat: NDArray[np.bool_]
) -> tuple[Span, ...]:
    """Phrases of whole bars that cover all beats; beats before the first downbeat belong to the first.

    Labels: equal letters for similar phrases, capitals where there is a melody, small letters where there is
    not, `i` for such a beginning and `o` for such an ending. confidence: probability that a phrase begins
    where this one does, by its bar line alone; 1 for the first.
    """
    bars = bars_of(notes, evidence, downbeat)
    alike = similarity(bars)
    odds = bar_line_features(bars, alike) @ table("phrases", "weights") + table("phrases", "bias")
    borders = _segmented(odds)
    letters = phrase_letters(bars, alike, borders)
    spans = []
    for index, letter in enumerate(letters):
        start = 0 if index == 0 else int(bars.start_beat[borders[index]])
        confidence = 1.0 if index == 0 else float(1 / (1 + np.exp(-odds[borders[index]])))
        spans.append(Span(start, int(bars.start_beat[borders[index + 1]]), letter, confidence))
    return tuple(spans)


def similarity(bars: Bars) -> FloatArray:
    """How alike two bars are, float64 (3, bars, bars), 0 .. 1: by harmony, melody, rhythm.

    Two bars without any melody are alike in it.
    """
    return np.stack([_compared(rows) for rows in (bars.harmony, bars.melody, bars.rhythm)])


def bar_line_features(bars: Bars, alike: FloatArray) -> FloatArray:
    """Measures of each bar line and of the two before and after it, float64 (bars, measures)."""
    columns = [_novelty(matrix, reach) for matrix in alike for reach in _KERNELS]
    for matrix in (alike[0], alike[1], alike.mean(axis=0)):
        columns += _repetition(matrix)
    for reach in (1, _REACH):
        change = _change(bars.texture, reach)
        columns += [*change.T, *np.abs(change).T]
    rest = np.minimum(bars.rest, _LONGEST_REST)
    sung = (bars.texture[:, 0] > 0).astype(np.float64)
    columns += [rest, rest - np.roll(rest, 1), rest - np.roll(rest, -1), sung]
    own = np.stack(columns, axis=1)
    padded = np.pad(own, ((_CONTEXT, _CONTEXT), (0, 0)), mode="edge")
    return np.concatenate([padded[k : k + len(own)] for k in range(2 * _CONTEXT + 1)], axis=1)


def phrase_letters(bars: Bars, alike: FloatArray, borders: IntArray) -> list[str]:
    """One letter a phrase, `borders` int64 (phrases + 1,) in bars: average-linkage clustering."""
    n = len(borders) - 1
    melodic = np.array([_has_melody(bars, borders[k], borders[k + 1]) for k in range(n)])
    close = np.full((n, n), -1.0)
    for one in range(n):
        for other in range(one):
            if melodic[one] == melodic[other]:
                close[one, other] = close[other, one] = _alike(alike, borders, one, other)
    group = np.arange(n)
    while True:
        names = np.unique(group)
        best, pair = JOINED_ABOVE, None
        for k, one in enumerate(names):
            for other in names[:k]:
                mean = float(close[np.ix_(group == one, group == other)].mean())
                if mean > best:
                    best, pair = mean, (one, other)
        if pair is None:
            break
        group[group == pair[0]] = pair[1]
    return _lettered(group, melodic)


def _lettered(group: IntArray, melodic: NDArray[np.bool_]) -> list[str]:
    """A, B, C ... with a melody, a, b, c ... without, in the order of appearance. i, o and x, which mean
    something of their own, are passed over; from the 23rd kind of phrase on all share the last letter."""
    letters = [""] * len(group)
    if len(group) > 1:
        letters[0] = "" if melodic[0] else "i"
        letters[-1] = "" if melodic[-1] else "o"
    for alphabet, chosen in (("ABCDEFGHJKLMNPQRSTUVWYZ", melodic), ("abcdefghjklmnpqrstuvwyz", ~melodic)):
        left = [k for k in np.flatnonzero(chosen).tolist() if not letters[k]]
        order = list(dict.fromkeys(group[left].tolist()))
        for k in left:
            letters[k] = alphabet[min(order.index(int(group[k])), len(alphabet) - 1)]
    return letters


def _has_melody(bars: Bars, first: int, last: int) -> bool:
    return bool(np.median(bars.texture[first:last, 0]) > 0)


def _alike(alike: FloatArray, borders: IntArray, one: int, other: int) -> float:
    """Mean similarity of two phrases bar by bar from their beginnings, less where lengths differ."""
    a, b = int(borders[one]), int(borders[other])
    lengths = int(borders[one + 1]) - a, int(borders[other + 1]) - b
    steps = np.arange(min(lengths))
    same = float((LETTER_WEIGHT[:, None] * alike[:, a + steps, b + steps]).sum(axis=0).mean())
    return float(same * (min(lengths) / max(lengths)) ** LENGTH_PENALTY)


def _segmented(odds: FloatArray) -> IntArray:
    """Borders of the phrases in bars, int64 (phrases + 1,), from 0 to the number of bars."""
    n = len(odds)
    length = LENGTH_WEIGHT * np.log(table("phrases", "length"))  # row k: k + 1 bars
    value, came_from = np.full(n + 1, -np.inf), np.zeros(n + 1, np.int64)
    value[0] = 0.0
    for end in range(1, n + 1):
        starts = np.arange(max(0, end - LONGEST_PHRASE), end)
        total = value[starts] + length[end - starts - 1]
        came_from[end] = starts[total.argmax()]
        value[end] = total.max() + (odds[end] + BORDER_BONUS if end < n else 0.0)
    borders = [n]
    while borders[-1] > 0:
        borders.append(int(came_from[borders[-1]]))
    return np.array(borders[::-1])


def _novelty(matrix: FloatArray, reach: int) -> FloatArray:
    """Similarity within the `reach` bars before and after each bar line, less that across it."""
    padded = np.pad(matrix, reach, mode="edge")
    total = np.pad(padded.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    at = np.arange(len(matrix))

    def block(row: int, column: int) -> FloatArray:
        r, c = at + row, at + column
        area = total[r + reach, c + reach] - total[r, c + reach] - total[r + reach, c] + total[r, c]
        return np.asarray(area / reach**2)

    return block(0, 0) + block(reach, reach) - 2 * block(0, reach)


def _repetition(matrix: FloatArray) -> list[FloatArray]:
    """For each bar line: how well what follows repeats elsewhere, what precedes, and the greatest rise and
    fall of that similarity at the line along any one repetition."""
    n = len(matrix)
    after = _along(matrix)
    before = np.zeros_like(matrix)
    before[1:, 1:] = _along(matrix[::-1, ::-1])[::-1, ::-1][:-1, :-1]
    bar = np.arange(n)
    far = np.abs(bar[:, None] - bar) >= _NEAREST
    return [
        np.where(far, values, -1.0).max(axis=1) for values in (after, before, after - before, before - after)
    ]


def _along(matrix: FloatArray) -> FloatArray:
    """Mean of `_REACH` cells down the diagonal from each cell, of fewer at the border."""
    total, count = np.zeros_like(matrix), np.zeros_like(matrix)
    n = len(matrix)
    for k in range(min(_REACH, n)):
        total[: n - k, : n - k] += matrix[k:, k:]
        count[: n - k, : n - k] += 1
    return total / count


def _change(values: FloatArray, reach: int) -> FloatArray:
    """Mean over the `reach` bars from each bar line on, less that over those before; 0 at the beginning."""
    n = len(values)
    total = np.concatenate([np.zeros((1, values.shape[1])), values.cumsum(axis=0)])
    at = np.arange(n)
    first, last = np.maximum(at - reach, 0), np.minimum(at + reach, n)
    after = (total[last] - total[at]) / (last - at)[:, None]
    before = (total[at] - total[first]) / np.maximum(at - first, 1)[:, None]
    return np.asarray(np.where(at[:, None] > 0, after - before, 0.0))


def _compared(rows: FloatArray) -> FloatArray:
    alike = np.asarray(rows @ rows.T)
    empty = ~rows.any(axis=1)
    alike[np.ix_(empty, empty)] = 1.0
    return alike


def _unit(values: FloatArray) -> FloatArray:
    flat = values.reshape(len(values), -1)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9))


def _rests(notes: GridNotes, starts: IntArray) -> FloatArray:
    """Beats between the last melody note before the middle of a bar's first beat and the next one."""
    onsets = np.unique(np.rint(notes.start[notes.voice == 0] * 4) / 4)
    if not len(onsets):
        return np.zeros(len(starts))
    padded = np.concatenate([[-8.0], onsets, [notes.n_beats + 8.0]])
    gaps = np.diff(padded)
    best = np.zeros(len(starts))
    for shift in (-1.0, -0.5, 0.0):
        index = np.clip(np.searchsorted(padded, starts + shift, side="right") - 1, 0, len(gaps) - 1)
        best = np.maximum(best, gaps[index])
    return best
