"""Chords for a given melody that has none: the likeliest progression under it.

The model would rather follow its own chords than find those of a tune put before it (docs/harmony.md), so
they are found first and then asked for like any others. A hidden Markov model, one state a half bar: the six
common triads of the key and the dominant of its minor, with the notes that melodies have over each and the
changes between them counted on the training songs. The best path is Viterbi's; it ends on the tonic of the
last bar.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.pitch import LEFT_OPEN, MAJOR_KEYS, MINOR_KEYS, pitch_class
from diffbgm.spotting.cuesheet import MelodyNote
from diffbgm.timing import BEATS_PER_BAR

_HALF: Final = BEATS_PER_BAR // 2

# Root and whether minor, in C major or A minor: C, Dm, Em, F, G, Am, E.
_CHORDS: Final = ((0, False), (2, True), (4, True), (5, False), (7, False), (9, True), (4, False))
_TONIC_MAJOR: Final = 0
_TONIC_MINOR: Final = 5

# Per mille of a melody's time on each pitch class over each chord.
_NOTES: Final = np.array(
    [
        [263, 1, 97, 1, 351, 13, 1, 192, 1, 65, 1, 18],
        [173, 1, 390, 1, 134, 108, 1, 58, 1, 124, 1, 12],
        [72, 1, 109, 1, 268, 7, 1, 347, 1, 83, 1, 112],
        [283, 1, 93, 1, 104, 54, 1, 96, 1, 339, 1, 30],
        [95, 1, 343, 1, 112, 14, 1, 248, 1, 86, 1, 102],
        [231, 1, 60, 1, 185, 4, 1, 68, 1, 403, 1, 48],
        [67, 1, 92, 2, 336, 15, 1, 83, 46, 72, 1, 286],
    ]
)
# Per mille of the chords that follow each chord: over a bar line, and in the middle of a bar.
_CHANGES: Final = np.array(
    [
        [
            [214, 119, 92, 177, 127, 254, 17],
            [88, 112, 96, 49, 489, 121, 44],
            [63, 169, 62, 332, 22, 342, 11],
            [283, 76, 131, 133, 267, 67, 43],
            [387, 28, 137, 131, 63, 236, 17],
            [71, 222, 86, 248, 118, 249, 6],
            [51, 74, 3, 154, 1, 643, 74],
        ],
        [
            [676, 18, 26, 31, 137, 92, 20],
            [38, 509, 71, 25, 284, 35, 36],
            [18, 27, 551, 26, 31, 334, 13],
            [79, 11, 55, 431, 385, 16, 22],
            [112, 10, 23, 26, 737, 88, 4],
            [48, 27, 61, 59, 93, 700, 12],
            [1, 13, 45, 1, 4, 212, 723],
        ],
    ]
)


def harmonise(melody: tuple[MelodyNote, ...], key: str, first_bar: int, end_bar: int, n_bars: int) -> str:
    """A progression of `n_bars` bars: chords for the melody from `first_bar` to `end_bar`, else left open.

    Chords of `key`, each lasting half a bar or more. The last bar of the film is the ending's in any case.
    """
    tonic = pitch_class(key) - (9 if key.endswith("m") else 0)
    last = min(end_bar, n_bars - 1)
    halves = 2 * (last - first_bar)
    if halves <= 0:
        return LEFT_OPEN
    weights = np.zeros((halves, 12))
    for note in melody:
        for half in range(halves):
            begin = first_bar * BEATS_PER_BAR + half * _HALF
            share = min(note.beat + note.beats, begin + _HALF) - max(note.beat, begin)
            if share > 0:
                weights[half, (note.pitch - tonic) % 12] += share
    ending = _TONIC_MINOR if key.endswith("m") else _TONIC_MAJOR
    path = _viterbi(weights, ending if last == n_bars - 1 else None)
    names = [_name(chord, tonic) for chord in path]
    bars = [a if a == b else f"{a},{b}" for a, b in zip(names[::2], names[1::2], strict=True)]
    return " ".join([LEFT_OPEN] * first_bar + bars + [LEFT_OPEN] * (n_bars - last))


def _viterbi(weights: NDArray[np.float64], ending: int | None) -> list[int]:
    """The likeliest chord of each half bar. weights: beats on each pitch class, float64 (half bars, 12)."""
    heard = weights @ np.log(_NOTES / _NOTES.sum(axis=1, keepdims=True)).T
    changes = np.log(_CHANGES / _CHANGES.sum(axis=2, keepdims=True))
    score, back = heard[0], []
    for half in range(1, len(heard)):
        ways = score[:, None] + changes[half % 2]
        back.append(ways.argmax(axis=0))
        score = ways.max(axis=0) + heard[half]
    if ending is not None:
        score = score + changes[0][:, ending]
    path = [int(score.argmax())]
    for before in reversed(back):
        path.append(int(before[path[-1]]))
    return path[::-1]


def _name(chord: int, tonic: int) -> str:
    root, minor = _CHORDS[chord]
    return (MINOR_KEYS if minor else MAJOR_KEYS)[(root + tonic) % 12]
