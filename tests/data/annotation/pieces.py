"""Small pieces with known answers: block chords over a bass under a melody, on the grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diffbgm.data.annotation.grid import GridNotes

TRIADS = {"": (0, 4, 7), "m": (0, 3, 7), "7": (0, 4, 7, 10), "dim": (0, 3, 6), "sus4": (0, 5, 7)}

Note = tuple[float, float, int, int, int]
"""Start and end in beats, pitch, velocity, voice."""


def grid_notes(rows: Sequence[Note], n_beats: int) -> GridNotes:
    start, end, pitch, velocity, voice = zip(*rows, strict=True) if rows else ((),) * 5
    integer = [np.array(column, np.int64) for column in (pitch, velocity, voice)]
    return GridNotes(n_beats, np.array(start, float), np.array(end, float), *integer)


def block_chords(
    chords: Sequence[tuple[int, str]], beats_each: int = 4, first_beat: int = 0, bass: int | None = None
) -> list[Note]:
    """Struck every beat around middle C, the root (or `bass`) in the octave below."""
    rows: list[Note] = []
    for index, (root, quality) in enumerate(chords):
        for beat in range(first_beat + index * beats_each, first_beat + (index + 1) * beats_each):
            rows.append((beat, beat + 1, 36 + (root if bass is None else bass) % 12, 80, 2))
            for interval in TRIADS[quality]:
                rows.append((beat, beat + 1, 60 + (root + interval) % 12, 70, 2))
    return rows


def line(pitches: Sequence[int], step: float = 1.0, first_beat: float = 0.0) -> list[Note]:
    """A melody of equal notes; pitch 0 is a rest."""
    return [
        (first_beat + k * step, first_beat + (k + 1) * step, pitch, 90, 0)
        for k, pitch in enumerate(pitches)
        if pitch
    ]
