"""How predictable the chord progression is.

Chord-progression irregularity (CPI): the share of chord trigrams that occur for the first time. 1 = no
progression returns, near 0 = one progression throughout.
Wu and Yang, ISMIR 2020 (arXiv 2008.01307), section 4. MusDr reads chords from its own event files; here
they are found in the notes, or given by the piano roll, so figures compare only among themselves.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

import numpy as np

from diffbgm.metrics.notes import Notes

CHORD_QUARTERS: Final = 2
"""One chord is looked for in each half bar."""

_SHAPES: Final = {"maj": (0, 4, 7), "min": (0, 3, 7), "dim": (0, 3, 6), "aug": (0, 4, 8), "sus4": (0, 5, 7)}
_ROOTS: Final = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
_BASS_WEIGHT: Final = 0.5  # of the sounding lowest pitch class on top of its share


def validate(n: int) -> None:
    """Raises ValueError unless an n-gram has one chord or more."""
    if n < 1:
        raise ValueError(f"{n}-grams of chords; expected 1 or more")


def chord_progression_irregularity(chords: Sequence[Hashable], n: int = 3) -> float:
    """Share of distinct n-grams among the n-grams of a chord sequence, 0 .. 1 (MusDr's CPI).

    As MusDr counts: n-grams begin at chords 0 .. len - n - 1 (the last possible one is left out), and a
    sequence of n chords or fewer has irregularity 1. NaN where there is no chord.
    """
    validate(n)
    if not chords:
        return float("nan")
    grams = [tuple(chords[k : k + n]) for k in range(len(chords) - n)]
    return len(set(grams)) / len(grams) if grams else 1.0


def chords_of(notes: Notes) -> list[str]:
    """The chords of a piece such as `C:maj`, one a change; half bars without notes are passed over.

    In each half bar pitch classes are weighted by how long they sound, the lowest more; the triad or
    sus4 chord that shares most with them wins (cosine), the first in order of root where several do.
    """
    if not len(notes):
        return []
    templates, names = _templates()
    count = int(np.ceil(notes.end_q.max() / CHORD_QUARTERS))
    found: list[str] = []
    for span in range(count):
        start, end = span * CHORD_QUARTERS, (span + 1) * CHORD_QUARTERS
        sounding = np.minimum(notes.end_q, end) - np.maximum(notes.start_q, start)
        inside = sounding > 0
        if not inside.any():
            continue
        weight = np.bincount(notes.pitch[inside] % 12, sounding[inside], minlength=12)
        weight[notes.pitch[inside].min() % 12] += _BASS_WEIGHT * weight.sum()
        name = names[int(np.argmax(np.round(templates @ weight, 9)))]
        if not found or found[-1] != name:
            found.append(name)
    return found


def _templates() -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float64]], list[str]]:
    rows, names = [], []
    for quality, shape in _SHAPES.items():
        for root in range(12):
            row = np.zeros(12)
            row[[(root + step) % 12 for step in shape]] = 1 / np.sqrt(len(shape))
            rows.append(row)
            names.append(f"{_ROOTS[root]}:{quality}")
    return np.array(rows), names


def evaluate(notes: Notes) -> dict[str, float]:
    """All harmony figures of a piece by name; NaN where there are no notes."""
    return {"chord_irregularity": chord_progression_irregularity(chords_of(notes))}
