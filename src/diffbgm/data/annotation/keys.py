"""Key and modulations from notes and chords.

As in `metrics.tonality.key_of`, profiles of the 24 keys are compared with what sounds, but beat by beat and
on three kinds of evidence, each a multinomial counted on annotated songs: the pitch classes that sound,
those of the melody, and the chord (degree and quality). The chords tell a key from its relative,
which shares its notes. A path over the beats (Viterbi) pays for every change of key, so that only a lasting
one is taken for a modulation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from diffbgm.data.annotation.chords import NO_CHORD, QUALITIES, ChordEvidence, harte_of
from diffbgm.data.annotation.grid import GridNotes
from diffbgm.data.annotation.model import best_path, table
from diffbgm.data.annotation.music import Span
from diffbgm.pitch import pitch_class
from diffbgm.timing import FloatArray

KEY_NAMES: Final = (
    "C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B",
    "Cm", "C#m", "Dm", "Ebm", "Em", "Fm", "F#m", "Gm", "G#m", "Am", "Bbm", "Bm",
)  # fmt: skip
"""The states: major keys from C, then minor ones."""

SOUNDS_WEIGHT, MELODY_WEIGHT, CHORD_WEIGHT = 1.0, 0.5, 0.5
CHANGE: Final = -60.0
"""Weights of the evidence, chosen on the training songs. A change costs as much as two bars or so of notes
that plainly belong to another key."""
_LONGEST_MELODY_BEATS: Final = 2.0
_INDEPENDENT_SHARE: Final = 0.1


def estimate_keys(notes: GridNotes, evidence: ChordEvidence, chords: Sequence[Span]) -> tuple[Span, ...]:
    """Keys as `C`, `F#m`, several spans where the music modulates; they cover all beats.

    A song without pitched notes has none. confidence: probability of the key against the 23 others over its
    span, every beat counting as a tenth of an observation.
    """
    if not len(notes):
        return ()
    scores = key_scores(notes, evidence, chords)
    path = best_path(scores, CHANGE)
    borders = np.concatenate([[0], np.flatnonzero(np.diff(path)) + 1, [len(path)]])
    spans = []
    for a, b in pairwise(borders.tolist()):
        total = scores[a:b].sum(axis=0) * _INDEPENDENT_SHARE
        probability = float(np.exp(total[path[a]] - np.logaddexp.reduce(total)))
        spans.append(Span(a, b, KEY_NAMES[path[a]], probability))
    return tuple(spans)


def key_scores(notes: GridNotes, evidence: ChordEvidence, chords: Sequence[Span]) -> FloatArray:
    """Log-likelihood of each beat in each key, float64 (beats, 24), keys as in `KEY_NAMES`."""
    total = evidence.sounds.sum(axis=1, keepdims=True)
    shares = evidence.sounds / np.maximum(total, 1e-9)
    melody = melody_sounds(notes)
    root, quality = chord_states(chords, notes.n_beats)
    heard = root >= 0
    scores = np.zeros((notes.n_beats, 24))
    for mode in range(2):
        sounds = np.log(table("keys", "sounds")[mode])
        sung = np.log(table("keys", "melody")[mode])
        degrees = np.log(table("keys", "chords")[mode])  # (12 degrees, qualities)
        for tonic in range(12):
            column = scores[:, 12 * mode + tonic]
            column += SOUNDS_WEIGHT * (np.roll(shares, -tonic, axis=1) @ sounds)
            column += MELODY_WEIGHT * (np.roll(melody, -tonic, axis=1) @ sung)
            column[heard] += CHORD_WEIGHT * degrees[(root[heard] - tonic) % 12, quality[heard]]
    return scores


def melody_sounds(notes: GridNotes) -> FloatArray:
    """For how long the melody holds the notes struck in each beat, float64 (beats, 12); at most 2 a note."""
    out = np.zeros((notes.n_beats, 12))
    sung = notes.voice == 0
    beat = np.minimum(notes.start[sung].astype(int), notes.n_beats - 1)
    held = np.minimum(notes.end[sung] - notes.start[sung], _LONGEST_MELODY_BEATS)
    np.add.at(out, (beat, notes.pitch[sung] % 12), held)
    return out


def chord_states(chords: Sequence[Span], n_beats: int) -> tuple[np.ndarray, np.ndarray]:
    """Root (-1 = none) and index of the quality in `chords.QUALITIES` of each beat, int64 (beats,) both."""
    names = list(QUALITIES.values())
    root, quality = np.full(n_beats, -1), np.zeros(n_beats, np.int64)
    for chord in chords:
        if chord.label != NO_CHORD:
            note, kind = harte_of(chord.label).split("/")[0].split(":")
            root[chord.start_beat : chord.end_beat] = pitch_class(note)
            quality[chord.start_beat : chord.end_beat] = names.index(kind)
    return root, quality
