"""What a stretch of music is like, in two dozen numbers: what is compared with the songs.

All but the fit of chords follow from the notes alone. Pitches count in semitones, lengths in the logarithm of
sixteenths to base 2, so that a Gaussian fits them; nothing depends on the key or the tempo.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.metrics.harmony import chord_progression_irregularity, chords_of
from diffbgm.metrics.notes import Notes
from diffbgm.metrics.pitch import histogram_entropy
from diffbgm.metrics.rhythm import groove_consistency, grooving_similarity
from diffbgm.timing import STEPS_PER_BAR, STEPS_PER_BEAT, FloatArray

FEATURES: Final = (
    "notes", "moments", "melody_notes", "counter_notes", "polyphony", "length", "pitches", "range", "height",
    "melody_height", "melody_range", "melody_steps", "melody_repeats", "melody_length", "pche", "gps",
    "consistency", "irregularity", "likeness", "clash", "chord_fit", "off_beat", "velocity_spread",
)  # fmt: skip
"""In this order in every vector.

notes, moments, melody_notes, counter_notes: onsets a bar in all tracks, moments at which any note starts,
onsets of melody and counter-melody. polyphony: notes sounding at a step, mean over those at which any does.
length: mean logarithm of length. pitches, range, height: different ones, from lowest to highest, mean.
melody_*: mean pitch, range, share of moves of one or two semitones, share of repeated notes, mean logarithm
of length. pche, gps, consistency, irregularity: the metrics of these names. likeness: how much of its
(position, pitch) pairs a bar shares with the bar before (Jaccard). clash: share of the steps with onsets at
which neighbouring pitch classes sound. chord_fit: share of the sounding time in the chord of the beat.
off_beat: share of onsets off the eighths. velocity_spread: standard deviation.
"""

LEAST_MELODY: Final = 6
"""Notes below which nothing is said of a melody's shape: those entries are NaN."""


def features_of(notes: Notes, chroma: NDArray[np.bool_]) -> FloatArray:
    """The `FEATURES` of a stretch, float64 (23,); NaN where one says nothing, all NaN without notes.

    notes: from the stretch's first beat on, parts numbered as the tracks of a roll.
    chroma: bool (beats, 12), the chord at each beat of the stretch; whole bars.
    """
    n_bars = len(chroma) * STEPS_PER_BEAT // STEPS_PER_BAR
    if not len(notes):
        return np.full(len(FEATURES), np.nan)
    n_steps = n_bars * STEPS_PER_BAR
    first = np.rint(notes.start_q * STEPS_PER_BEAT).astype(np.int64)
    last = np.rint(notes.end_q * STEPS_PER_BEAT).astype(np.int64).clip(first + 1, n_steps)
    onsets = notes.onsets_by_bar()
    onsets = np.pad(onsets, ((0, max(0, n_bars - len(onsets))), (0, 0)))[:n_bars]
    sounding = _sounding(first, last, notes.pitch % 12, n_steps)
    struck = np.flatnonzero(onsets.reshape(-1))
    lengths = np.log2(last - first)
    count = np.bincount(notes.part, minlength=3)
    counts = np.bincount(notes.pitch % 12, minlength=12)
    voices = _total(first, last, n_steps)
    values = {
        "notes": len(notes) / n_bars,
        "moments": len(struck) / n_bars,
        "melody_notes": count[0] / n_bars,
        "counter_notes": count[1] / n_bars,
        "polyphony": float(voices[voices > 0].mean()),
        "length": float(lengths.mean()),
        "pitches": len(np.unique(notes.pitch)),
        "range": int(np.ptp(notes.pitch)),
        "height": float(notes.pitch.mean()),
        "pche": float(histogram_entropy(counts)),
        "gps": grooving_similarity(onsets),
        "consistency": groove_consistency(onsets),
        "irregularity": chord_progression_irregularity(chords_of(notes)),
        "likeness": _likeness(first, notes.pitch, n_bars),
        "clash": float((sounding[struck] & np.roll(sounding[struck], 1, axis=1)).any(axis=1).mean()),
        "chord_fit": _chord_fit(sounding, chroma),
        "off_beat": float((first % 2).mean()),
        "velocity_spread": float(notes.velocity.std()),
        **_melody(notes, lengths),
    }
    return np.array([values[name] for name in FEATURES], np.float64)


def _melody(notes: Notes, lengths: FloatArray) -> dict[str, float]:
    sung = notes.part == 0
    pitch = notes.pitch[sung]
    if len(pitch) < LEAST_MELODY:
        names = ("melody_height", "melody_range", "melody_steps", "melody_repeats", "melody_length")
        return dict.fromkeys(names, float("nan"))
    moves = np.abs(np.diff(pitch))
    return {
        "melody_height": float(pitch.mean()),
        "melody_range": float(np.ptp(pitch)),
        "melody_steps": float(((moves > 0) & (moves <= 2)).mean()),
        "melody_repeats": float((moves == 0).mean()),
        "melody_length": float(lengths[sung].mean()),
    }


def _total(first: NDArray[np.int64], last: NDArray[np.int64], n_steps: int) -> NDArray[np.int64]:
    """How many notes sound at each step, int64 (steps,)."""
    change = np.zeros(n_steps + 1, np.int64)
    np.add.at(change, first, 1)
    np.add.at(change, last, -1)
    return np.cumsum(change)[:-1]


def _sounding(
    first: NDArray[np.int64], last: NDArray[np.int64], classes: NDArray[np.int64], n_steps: int
) -> NDArray[np.bool_]:
    """Which pitch classes sound at each step, bool (steps, 12)."""
    change = np.zeros((n_steps + 1, 12), np.int64)
    np.add.at(change, (first, classes), 1)
    np.add.at(change, (last, classes), -1)
    return np.asarray(np.cumsum(change, axis=0)[:-1] > 0)


def _chord_fit(sounding: NDArray[np.bool_], chroma: NDArray[np.bool_]) -> float:
    by_step = np.repeat(chroma, STEPS_PER_BEAT, axis=0)
    heard = sounding & by_step.any(axis=1, keepdims=True)
    return float((heard & by_step).sum() / heard.sum()) if heard.any() else float("nan")


def _likeness(first: NDArray[np.int64], pitch: NDArray[np.int64], n_bars: int) -> float:
    cells = np.zeros((n_bars, STEPS_PER_BAR * 128), bool)
    cells[first // STEPS_PER_BAR, first % STEPS_PER_BAR * 128 + pitch] = True
    either = (cells[1:] | cells[:-1]).sum(axis=1)
    both = (cells[1:] & cells[:-1]).sum(axis=1)
    return float((both / np.maximum(either, 1)).mean()) if n_bars > 1 else float("nan")
