"""What is known of a song: metre, keys, chords, phrases, roles of its tracks, notes on the beat grid, lyrics.

Beat k of a song starts at `beats_s[k]` seconds of song time; all spans are in beats. What was given with the
song and what was computed from its notes are kept apart, so that one can be judged by the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion import tokens
from diffbgm.diffusion.roll import TRACKS
from diffbgm.timing import STEPS_PER_BEAT

Role = Literal["melody", "counter", "accompaniment"]
PhraseSource = Literal["given", "estimated"]

BITS_SHAPE: Final = tokens.BITS_SHAPE
"""Axes of a beat's note bits: track, plane (onset, sustain), step, pitch."""
PACKED_BYTES: Final = tokens.N_BITS // 8


@dataclass(frozen=True)
class Span:
    """A labelled stretch of beats [start_beat, end_beat).

    confidence: 0 .. 1; 1.0 where it was given with the song.
    """

    start_beat: int
    end_beat: int
    label: str
    confidence: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.start_beat < self.end_beat:
            raise ValueError(
                f"a span from beat {self.start_beat} to {self.end_beat} is empty or begins below 0"
            )


@dataclass(frozen=True)
class Lyric:
    """Words sung from `start_s` to `end_s` seconds of song time."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class MusicAnnotation:
    """One song. Raises ValueError when its arrays or spans do not fit each other.

    beats_s: float64 (n_beats + 1,), start of each beat and the end of the last, rising.
    downbeat: bool (n_beats,), true at the first beat of a bar.
    beats_per_bar: counted beats a bar: 4 in 4/4 and 12/8, 3 in 3/4 and 9/8.
    eighths_per_beat: 2, or 3 in compound time (6/8, 9/8, 12/8).
    keys, chords: estimated from the notes; keys as `C`, `F#`, `Am`, chords as `C`, `Am`, `G7`, `F/A`, `N`.
    given_keys, given_chords: as the data set writes them (`Gb:maj`, `C:min7/b3`), empty where it has none.
    phrases: labels as given, or letters of similar segments; `phrase_source` says which.
    roles: one a track of the source file, in its order.
    bits: uint8 (n_beats, 264), `numpy.packbits` of bool (n_beats, *BITS_SHAPE); tracks: the roles of
        `diffusion.roll.TRACKS`, not those of the file; pitch 0 = MIDI 21.
    velocity: uint8 (n_beats, 3, 4), mean MIDI velocity of the onsets at a step, 0 where there are none.
    dynamics: float32 (n_beats,), mean velocity of the onsets of a beat, interpolated where nothing starts;
        0 throughout for a song without notes.
    grid_fit: share of the note onsets that lie within an eighth of a step of a step of the grid, 0 .. 1.
    lyrics: in the order in which they begin; empty where none were given.
    """

    beats_s: NDArray[np.float64]
    downbeat: NDArray[np.bool_]
    beats_per_bar: int
    eighths_per_beat: int
    keys: tuple[Span, ...]
    given_keys: tuple[Span, ...]
    chords: tuple[Span, ...]
    given_chords: tuple[Span, ...]
    phrases: tuple[Span, ...]
    phrase_source: PhraseSource
    roles: tuple[Role, ...]
    bits: NDArray[np.uint8]
    velocity: NDArray[np.uint8]
    dynamics: NDArray[np.float32]
    grid_fit: float
    lyrics: tuple[Lyric, ...] = ()

    @property
    def n_beats(self) -> int:
        return len(self.beats_s) - 1

    def __post_init__(self) -> None:
        n = self.n_beats
        if n < 1 or not np.all(np.diff(self.beats_s) > 0):
            raise ValueError("beat times do not rise, or there are fewer than two")
        shapes = {
            "downbeat": (self.downbeat.shape, (n,)),
            "bits": (self.bits.shape, (n, PACKED_BYTES)),
            "velocity": (self.velocity.shape, (n, len(TRACKS), STEPS_PER_BEAT)),
            "dynamics": (self.dynamics.shape, (n,)),
        }
        for name, (found, expected) in shapes.items():
            if found != expected:
                raise ValueError(f"{name} of shape {found}, expected {expected} for {n} beats")
        for name in ("keys", "given_keys", "chords", "given_chords", "phrases"):
            spans: tuple[Span, ...] = getattr(self, name)
            if any(before.end_beat > after.start_beat for before, after in pairwise(spans)):
                raise ValueError(f"{name} overlap or are out of order")
            if spans and spans[-1].end_beat > n:
                raise ValueError(f"{name} reach beyond the last of {n} beats")
