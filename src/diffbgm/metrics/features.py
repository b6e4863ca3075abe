"""What a stretch of music is like, in numbers: the features that realism compares.

The musical features of Yang and Lerch, "On the evaluation of generative models in music", Neural
Computing and Applications 32 (2020), section 3, for whole textures instead of one melody:

- lengths and distances in time are in quarters, not seconds, so that tempo plays no part;
- transitions and inter-onset intervals follow the moments at which notes start; within one moment notes
  are ordered by pitch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from diffbgm.metrics.notes import Notes
from diffbgm.timing import FloatArray

WINDOW_BARS: Final = 16

LENGTHS_STEPS: Final = (1, 2, 3, 4, 6, 8, 12, 16)
"""Lower borders of the classes of note length, in sixteenths."""

NAMES: Final = (
    "pitch_count",
    "pitch_class_histogram",
    "pitch_class_transitions",
    "pitch_range",
    "inter_onset_interval",
    "note_length",
    "notes_per_bar",
    "polyphony",
)


def windows(notes: Notes, bars: int = WINDOW_BARS, hop: int | None = None) -> list[Notes]:
    """Stretches of `bars` whole bars, one every `hop` bars (default: side by side), those with notes.

    Raises ValueError unless both are positive.
    """
    hop = bars if hop is None else hop
    if bars < 1 or hop < 1:
        raise ValueError("windows need one bar or more")
    firsts = range(0, notes.n_bars - bars + 1, hop)
    return [window for first in firsts if len(window := notes.bars(first, bars))]


def features_of(notes: Notes, bars: int = WINDOW_BARS) -> dict[str, FloatArray]:
    """Each feature of a stretch of `bars` bars as a vector of float64; names as in `NAMES`.

    pitch_count (1,): different pitches. pitch_class_histogram (12,): shares, 0 = C.
    pitch_class_transitions (144,): shares of moves from class row to class column.
    pitch_range (1,): semitones. inter_onset_interval (1,): mean, quarters. note_length (8,): shares by
    `LENGTHS_STEPS`. notes_per_bar (1,). polyphony (1,): notes sounding at a sixteenth, mean over those at
    which any does. Raises ValueError where there are no notes.
    """
    if not len(notes):
        raise ValueError("a stretch without notes has no features")
    classes = notes.pitch % 12
    moves = np.bincount(12 * classes[:-1] + classes[1:], minlength=144).astype(np.float64)
    moments = np.unique(notes.start_q)
    steps = np.maximum(np.rint(4 * (notes.end_q - notes.start_q)).astype(np.int64), 1)
    lengths = np.bincount(np.searchsorted(LENGTHS_STEPS, steps, side="right") - 1, minlength=8)
    interval = float(np.diff(moments).mean()) if len(moments) > 1 else 4.0 * bars
    values = {
        "pitch_count": [len(np.unique(notes.pitch))],
        "pitch_class_histogram": np.bincount(classes, minlength=12) / len(notes),
        "pitch_class_transitions": moves / max(1.0, moves.sum()),
        "pitch_range": [np.ptp(notes.pitch)],
        "inter_onset_interval": [interval],
        "note_length": lengths / len(notes),
        "notes_per_bar": [len(notes) / bars],
        "polyphony": [polyphony(notes)],
    }
    return {name: np.asarray(values[name], np.float64) for name in NAMES}


def polyphony(notes: Notes) -> float:
    """Mean number of notes sounding at the sixteenths at which any sounds; NaN where there are none."""
    if not len(notes):
        return float("nan")
    first = np.floor(4 * notes.start_q + 0.5).astype(np.int64)
    last = np.maximum(np.floor(4 * notes.end_q + 0.5).astype(np.int64), first + 1)
    change = np.zeros(int(last.max()) + 1, np.int64)
    np.add.at(change, first, 1)
    np.add.at(change, last, -1)
    sounding = np.cumsum(change)
    return float(sounding[sounding > 0].mean())


def table(pieces: Sequence[Notes], bars: int = WINDOW_BARS) -> dict[str, FloatArray]:
    """Features of many stretches: name -> float64 (stretches, dimensions)."""
    rows = [features_of(piece, bars) for piece in pieces]
    return {name: np.array([row[name] for row in rows]).reshape(len(rows), -1) for name in NAMES}
