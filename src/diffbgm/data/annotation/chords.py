"""Chords from notes: which of 14 kinds of chord on which root, beat by beat.

Every chord predicts how the notes of a beat spread over the pitch classes above its root, and which of them
lies lowest (two multinomials a quality, counted on annotated songs, the same for all roots). A path over the
beats takes the chords that predict best, a change costing something (Viterbi). Sheh and Ellis, "Chord
segmentation and recognition using EM-trained hidden Markov models", ISMIR 2003, on notes instead of sound.

Departures: beats are no independent observations, so each counts as `NOTES` notes however many it holds;
a chord is as likely after one chord as after any other; there is no prior from the key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.data.annotation.grid import GridNotes, sounding
from diffbgm.data.annotation.model import best_path, table
from diffbgm.data.annotation.music import Span
from diffbgm.errors import InputError
from diffbgm.metrics.tonality import NOTE_NAMES
from diffbgm.pitch import pitch_class
from diffbgm.timing import FloatArray

QUALITIES: Final = {
    "": "maj", "m": "min", "sus2": "sus2", "m7": "min7", "maj7": "maj7", "sus4": "sus4", "7": "7",
    "7sus4": "sus4(b7)", "6": "maj6", "dim": "dim", "m7b5": "hdim7", "aug": "aug", "m6": "min6",
    "dim7": "dim7",
}  # fmt: skip
"""Suffix of the chord symbol -> name of the quality in Harte's syntax; the order of the model's rows."""

NO_CHORD: Final = "N"
VOICE_WEIGHT: Final = np.array([0.5, 0.7, 1.0])
"""How much a note of melody, counter-melody and accompaniment says about the chord."""
NOTES: Final = 4.0
BASS_WEIGHT: Final = 0.5
CHANGE: Final = -1.5
"""Weights of the evidence, chosen on the training songs."""

_USUAL_VELOCITY: Final = 80.0
_BASS_ABOVE: Final = 24  # a bass is sought in the accompaniment; other voices count as two octaves higher
_ANTICIPATED: Final = 0.0625  # beats: a bass note this early belongs to the next beat
_CHORD_TONE: Final = 0.1
"""A pitch class that makes this share of a quality's notes belongs to the chord."""
_DEGREE: Final = {
    0: "1", 1: "b2", 2: "2", 3: "b3", 4: "3", 5: "4", 6: "b5", 7: "5", 8: "b6", 9: "6", 10: "b7", 11: "7",
}  # fmt: skip
_SYMBOL: Final = re.compile(r"([A-G][#b]?)([^/]*)(?:/([A-G][#b]?))?")


@dataclass(frozen=True)
class ChordEvidence:
    """What chords are told from. sounds: float64 (beats, 12), weighted beats for which each pitch class
    sounds; lowest: int64 (beats,), pitch class of the lowest note struck in the beat, -1 = none."""

    sounds: FloatArray
    lowest: NDArray[np.int64]


def chord_evidence(notes: GridNotes) -> ChordEvidence:
    """The evidence of each beat, loud notes and those of the accompaniment counting more."""
    weights = VOICE_WEIGHT[notes.voice] * notes.velocity / _USUAL_VELOCITY
    lowest = np.full(notes.n_beats, 999)
    beat = np.minimum((notes.start + _ANTICIPATED).astype(int), notes.n_beats - 1)
    np.minimum.at(lowest, beat, np.where(notes.voice == 2, notes.pitch, notes.pitch + _BASS_ABOVE))
    return ChordEvidence(sounding(notes, weights), np.where(lowest < 999, lowest % 12, -1))


def estimate_chords(evidence: ChordEvidence) -> tuple[Span, ...]:
    """Chords as symbols: `C`, `Am7`, `F/A`, and `N` where nothing sounds; every beat lies in one span.

    confidence: probability of root and quality given the notes of the span and no other knowledge; high
    throughout, since it takes the beats' notes for independent.
    """
    scores = _scores(evidence)
    prior = np.tile(np.log(table("chords", "quality")), 12)
    path = best_path(scores, CHANGE + prior)
    path[evidence.sounds.sum(axis=1) <= 0] = -1
    borders = np.concatenate([[0], np.flatnonzero(np.diff(path)) + 1, [len(path)]])
    return tuple(
        _span(int(path[a]), a, b, scores[a:b].sum(axis=0) + prior, evidence)
        for a, b in pairwise(borders.tolist())
    )


def harte_of(symbol: str) -> str:
    """`F/A` -> `F:maj/3`: a symbol of ours in the syntax of Harte et al. 2005, which POP909 and mir_eval use.

    Raises InputError for a symbol of another kind.
    """
    if symbol == NO_CHORD:
        return symbol
    match = _SYMBOL.fullmatch(symbol)
    if match is None or match[2] not in QUALITIES:
        raise InputError(
            f"chord {symbol!r}: expected a note, one of {', '.join(QUALITIES)}, and /bass if any"
        )
    root, suffix, bass = match.groups()
    name = f"{root}:{QUALITIES[suffix]}"
    return f"{name}/{_DEGREE[(pitch_class(bass) - pitch_class(root)) % 12]}" if bass else name


def _scores(evidence: ChordEvidence) -> FloatArray:
    """Log-likelihood of the notes of each beat under each chord, float64 (beats, 12 * qualities)."""
    tones, bass = np.log(table("chords", "tones")), np.log(table("chords", "bass"))
    total = evidence.sounds.sum(axis=1, keepdims=True)
    shares = evidence.sounds / np.maximum(total, 1e-9)
    amount = NOTES * np.minimum(total, 1.0)
    scores = np.zeros((len(shares), 12, len(QUALITIES)))
    for root in range(12):
        lowest = np.where(evidence.lowest >= 0, (evidence.lowest - root) % 12, 12)
        scores[:, root] = (
            amount * (np.roll(shares, -root, axis=1) @ tones.T) + BASS_WEIGHT * bass[:, lowest].T
        )
    return scores.reshape(len(shares), -1)


def _span(state: int, start: int, end: int, scores: FloatArray, evidence: ChordEvidence) -> Span:
    if state < 0:
        return Span(start, end, NO_CHORD)
    root, quality = divmod(state, len(QUALITIES))
    symbol = NOTE_NAMES[root] + list(QUALITIES)[quality]
    lowest = evidence.lowest[start:end]
    heard = np.bincount((lowest[lowest >= 0] - root) % 12, minlength=12)
    bass = int(heard.argmax())
    if bass and heard[bass] > heard[0] and table("chords", "tones")[quality][bass] >= _CHORD_TONE:
        symbol += "/" + NOTE_NAMES[(root + bass) % 12]
    return Span(start, end, symbol, float(np.exp(scores[state] - np.logaddexp.reduce(scores))))
