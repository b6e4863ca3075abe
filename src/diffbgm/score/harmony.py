"""Keys, chords and voice leading: what the added bass lines, pads and endings are written from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from diffbgm.diffusion.roll import TRACKS, PianoRoll
from diffbgm.errors import OptionError
from diffbgm.pitch import ChordSymbol, pitch_class
from diffbgm.score.decode import TrackNotes
from diffbgm.timing import STEPS_PER_BEAT

_MAJOR: Final = (0, 2, 4, 5, 7, 9, 11)
_MINOR: Final = (0, 2, 3, 5, 7, 8, 10)

_QUALITIES: Final = (
    (0, 4, 7),
    (0, 3, 7),
    (0, 4, 7, 10),
    (0, 3, 7, 10),
    (0, 4, 7, 11),
    (0, 3, 6),
    (0, 3, 6, 10),
    (0, 5, 7),
    (0, 2, 7),
    (0, 4, 8),
    (0, 3, 6, 9),
)
"""Intervals above the root, commonest first: of equal fits the first is taken."""

_ROOT_IN_BASS: Final = 0.06
_IN_KEY: Final = 0.02
"""What these are worth beside a cosine in 0..1: enough to decide between equal fits (C6 or Am7)."""

_STEP: Final = 2
_PARALLEL: Final = 3.0
"""Voices that all move further than a whole tone in one direction cost as much as three semitones."""

_HALF_BAR: Final = 2
_NOTES_WEIGHT: Final = 0.5
"""Weight of the notes sounding in a beat beside the chord that the roll names for it."""


@dataclass(frozen=True)
class Key:
    """A major or minor key; tonic as pitch class, 0 = C."""

    tonic: int
    minor: bool

    @classmethod
    def parse(cls, text: str) -> Key:
        """`C`, `F#`, `Am`, `Ebm`. Raises OptionError for anything else."""
        match = re.fullmatch(r"([A-G])([#b]?)(m?)", text)
        if match is None:
            raise OptionError(f"key {text!r}: expected a key such as C, F#, Am or Ebm")
        return cls(pitch_class(text), bool(match[3]))

    @property
    def scale(self) -> frozenset[int]:
        """Pitch classes of the major or natural minor scale."""
        return frozenset((self.tonic + step) % 12 for step in (_MINOR if self.minor else _MAJOR))

    @property
    def tonic_chord(self) -> Chord:
        third = 3 if self.minor else 4
        return Chord((self.tonic, (self.tonic + third) % 12, (self.tonic + 7) % 12), self.tonic)


@dataclass(frozen=True)
class Chord:
    """Pitch classes from the root upwards (root, third, fifth, and a seventh if any) and the bass."""

    tones: tuple[int, ...]
    bass: int

    @property
    def root(self) -> int:
        return self.tones[0]


@lru_cache(maxsize=4096)
def fit_chord(weights: tuple[float, ...], bass: int, key: Key) -> Chord:
    """The chord whose tones best match 12 weights of pitch classes (cosine).

    bass: pitch class of the lowest voice, -1 if unknown. It is kept below the chord where it belongs to
    chord or key, else the root goes there.
    """
    given = np.asarray(weights)
    scale = key.scale
    best, best_score = key.tonic_chord, -1.0
    for root in range(12):
        for quality in _QUALITIES:
            tones = tuple((root + step) % 12 for step in quality)
            score = float(given[list(tones)].sum()) / (float(np.linalg.norm(given)) * len(tones) ** 0.5)
            score += _ROOT_IN_BASS * (root == bass) + _IN_KEY * (scale.issuperset(tones))
            if score > best_score + 1e-9:
                best, best_score = Chord(tones, root), score
    return Chord(best.tones, bass) if bass in best.tones or bass in scale else best


def chords_of(roll: PianoRoll, notes: TrackNotes, key: Key) -> tuple[Chord, ...]:
    """One chord a beat.

    From the roll's chord and the notes of counter-melody and accompaniment in that beat; where the roll
    names none, from the notes of the half bar (broken chords need that long to be heard); where these say
    too little, the chord before holds on (at the very beginning the one after). A chord of one beat
    between two equal ones is taken for a passing note.
    """
    played, lowest = _played(notes, roll.n_beats)
    found: list[Chord | None] = []
    for beat in range(roll.n_beats):
        if roll.chroma[beat].any():
            weights = roll.chroma[beat] + _NOTES_WEIGHT * played[beat]
            bass = int(roll.bass[beat])
        else:
            half = slice(beat - beat % _HALF_BAR, beat - beat % _HALF_BAR + _HALF_BAR)
            weights = played[half].sum(axis=0)
            bass = int(lowest[half].min()) % 12
            if np.count_nonzero(weights) < 2:
                found.append(None)
                continue
        found.append(fit_chord(tuple(np.round(weights, 3).tolist()), bass, key))
    first = next((chord for chord in found if chord is not None), key.tonic_chord)
    chords: list[Chord] = []
    for chord in found:
        chords.append(chord or (chords[-1] if chords else first))
    for beat in range(1, len(chords) - 1):
        if chords[beat - 1] == chords[beat + 1] != chords[beat]:
            chords[beat] = chords[beat - 1]
    return tuple(chords)


def with_asked(
    chords: Sequence[Chord], roll: PianoRoll, asked: Sequence[ChordSymbol | None]
) -> tuple[Chord, ...]:
    """The chords found, with the asked ones in their place wherever the roll holds them.

    A roll that was composed before the chords were asked for keeps its own.
    """
    out = list(chords)
    for beat, symbol in enumerate(asked):
        if symbol is not None and symbol.tones and holds(roll, beat, symbol):
            third_and_fifth = symbol.tones if len(symbol.tones) > 2 else (*symbol.tones, symbol.tones[-1])
            out[beat] = Chord(third_and_fifth, symbol.bass)
    return tuple(out)


def holds(roll: PianoRoll, beat: int, symbol: ChordSymbol) -> bool:
    """Whether the roll names this chord for a beat."""
    return set(np.flatnonzero(roll.chroma[beat]).tolist()) == {*symbol.tones, symbol.bass} - {-1} and (
        int(roll.bass[beat]) == symbol.bass
    )


def _played(notes: TrackNotes, n_beats: int) -> tuple[np.ndarray, np.ndarray]:
    """Share of each beat through which each pitch class sounds, (beats, 12), and the lowest pitch."""
    played = np.zeros((n_beats, 12))
    lowest = np.full(n_beats, 127)
    for track in range(1, len(TRACKS)):
        for note in notes[track]:
            for beat in range(note.start_step // STEPS_PER_BEAT, -(-note.end_step // STEPS_PER_BEAT)):
                begin, end = beat * STEPS_PER_BEAT, (beat + 1) * STEPS_PER_BEAT
                share = (min(note.end_step, end) - max(note.start_step, begin)) / STEPS_PER_BEAT
                pitch_class = note.pitch % 12
                played[beat, pitch_class] = min(1.0, played[beat, pitch_class] + share)
                lowest[beat] = min(lowest[beat], note.pitch)
    return played, lowest


def voiced(
    tones: Sequence[int], previous: Sequence[int], low: int, high: int, voices: int
) -> tuple[int, ...]:
    """The chord as pitches, lowest first, in the inversion that moves least from `previous`.

    Close positions of the chord's tones, doubled upwards to `voices`, inside low..high. Cost = sum of
    the voices' movements + a pull towards the middle of the range, so that the pad doesn't wander off,
    + a little for voices that all leap the same way.
    Fewer voices where the range is too narrow for all.
    """
    classes = sorted(set(tones[:voices]))
    centre = (low + high) / 2
    for count in range(voices, 0, -1):
        candidates = [
            stack
            for first in range(low, high + 1)
            if first % 12 in classes and (stack := _stack(first, classes, count))[-1] <= high
        ]
        if candidates:
            break
    else:
        raise ValueError(f"no room for a chord between {low} and {high}")

    def cost(stack: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        away = abs(sum(stack) / len(stack) - centre)
        if len(previous) != len(stack):
            return away, stack
        moves = [a - b for a, b in zip(stack, previous, strict=True)]
        parallel = min(moves) > _STEP or max(moves) < -_STEP
        return 0.25 * away + sum(map(abs, moves)) + _PARALLEL * parallel, stack

    return min(candidates, key=cost)


def _stack(first: int, classes: Sequence[int], count: int) -> tuple[int, ...]:
    """`count` chord tones upwards from `first`, none left out."""
    at = classes.index(first % 12)
    out = [first]
    while len(out) < count:
        at += 1
        out.append(out[-1] + ((classes[at % len(classes)] - out[-1]) % 12 or 12))
    return tuple(out)


def nearest(pitch_class: int, to: float, low: int, high: int) -> int:
    """The pitch of that class inside low..high nearest to `to` (the lower of two).

    Raises ValueError if the range holds none, which a range of an octave never does.
    """
    inside = [pitch for pitch in range(low, high + 1) if pitch % 12 == pitch_class]
    return min(inside, key=lambda pitch: (abs(pitch - to), pitch))


def folded(pitch: int, low: int, high: int) -> int:
    """The pitch moved by octaves into low..high (at least an octave wide)."""
    if pitch < low:
        return pitch + 12 * -((pitch - low) // 12)
    if pitch > high:
        return pitch - 12 * -((high - pitch) // 12)
    return pitch
