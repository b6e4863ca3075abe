"""Whether a melody is one: phrases that arch, repeat with variation, and end at rest.

All of it is to be compared with real songs, since none of these has a best value. The rule for arches is
that of Huron, "The melodic arch in Western folksongs", Computing in Musicology 10 (1996): a phrase's first
note, its last one and the mean of those between.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.roll import LOWEST_PITCH, ONSET, SUSTAIN, PianoRoll
from diffbgm.timing import STEPS_PER_BAR, STEPS_PER_BEAT

MELODY: Final = 0
LEAST_NOTES: Final = 4  # of a phrase that is judged
SAME: Final = 0.5  # semitones within which pitches count as equal, the mean between not being whole

Line = NDArray[np.int64]


def melody_line(roll: PianoRoll) -> Line:
    """The melody's notes, int64 (notes, 3): step, pitch, length in steps. Of several at once the highest."""
    bits = roll.bits[MELODY]
    steps = np.flatnonzero(bits[ONSET].any(axis=1))
    out = []
    for k, step in enumerate(steps):
        key = int(np.flatnonzero(bits[ONSET, step]).max())
        following = steps[k + 1] if k + 1 < len(steps) else bits.shape[1]
        held = bits[SUSTAIN, step + 1 : following, key]
        length = 1 + (int(held.argmin()) if not held.all() else len(held))
        out.append((step, key + LOWEST_PITCH, length))
    return np.array(out, np.int64).reshape(-1, 3)


def melody_figures(roll: PianoRoll, phrases: Sequence[tuple[int, int]]) -> dict[str, float]:
    """Shares between 0 and 1, NaN where there is nothing to judge.

    phrases: first and end beat of each; those of less than four melody notes are left out.

    | name | share |
    |---|---|
    | melody_arch | phrases whose middle lies above both their ends |
    | melody_ends_on_chord | last notes of phrases that are tones of the chord there |
    | melody_ends_long | phrases whose last note has twice the room of their median one or more |
    | melody_rhythm_again | sung bars with the rhythm of an earlier bar |
    | melody_again | sung bars with rhythm and intervals of an earlier bar |
    | melody_steps | intervals of two semitones at most |
    """
    line = melody_line(roll)
    arches, on_chord, long_ends = [], [], []
    for first, end in phrases:
        steps = line[:, 0]
        phrase = line[(steps >= first * STEPS_PER_BEAT) & (steps < end * STEPS_PER_BEAT)]
        if len(phrase) < LEAST_NOTES:
            continue
        pitch, middle = phrase[:, 1], float(phrase[1:-1, 1].mean())
        arches.append(middle > pitch[0] + SAME and middle > pitch[-1] + SAME)
        beat = min(int(phrase[-1, 0]) // STEPS_PER_BEAT, len(roll.chroma) - 1)
        if roll.chroma[beat].any():
            on_chord.append(bool(roll.chroma[beat, pitch[-1] % 12]))
        apart = np.diff(phrase[:, 0])
        long_ends.append(end * STEPS_PER_BEAT - phrase[-1, 0] >= 2 * np.median(apart))
    return {
        "melody_arch": _share(arches),
        "melody_ends_on_chord": _share(on_chord),
        "melody_ends_long": _share(long_ends),
        **_recurrence(line),
        "melody_steps": _share(np.abs(np.diff(line[:, 1])) <= 2),
    }


def _recurrence(line: Line) -> dict[str, float]:
    """Sung bars that take up an earlier one: bars with two notes or more, since one note is no figure."""
    rhythms: set[tuple[int, ...]] = set()
    figures: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
    rhythm_again, again = [], []
    bar = line[:, 0] // STEPS_PER_BAR
    for number in np.unique(bar):
        notes = line[bar == number]
        if len(notes) < 2:
            continue
        rhythm = tuple((notes[:, 0] % STEPS_PER_BAR).tolist())
        figure = (rhythm, tuple(np.diff(notes[:, 1]).tolist()))
        rhythm_again.append(rhythm in rhythms)
        again.append(figure in figures)
        rhythms.add(rhythm)
        figures.add(figure)
    return {"melody_rhythm_again": _share(rhythm_again), "melody_again": _share(again)}


def _share(values: Sequence[Any] | NDArray[Any]) -> float:
    return float(np.mean(values)) if len(values) else math.nan
