"""Notes on a song's beats: positions, the packed roll, what sounds in each beat, how well they fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.roll import LOWEST_PITCH, N_PITCHES, ONSET, SUSTAIN, TRACKS
from diffbgm.diffusion.tokens import BITS_SHAPE, N_BITS
from diffbgm.timing import STEPS_PER_BEAT, FloatArray

EARLY_S: Final = 0.1
"""A note this much before the first beat still belongs to it."""
FIT_TOLERANCE: Final = 0.125
"""Share of a grid step by which an onset may be off and still count as on the grid."""

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Tones:
    """Pitched notes of a song in seconds; every array has one entry a note.

    start_s, end_s: float64. pitch, velocity: int64, MIDI. voice: int64, index into `diffusion.roll.TRACKS`.
    """

    start_s: FloatArray
    end_s: FloatArray
    pitch: IntArray
    velocity: IntArray
    voice: IntArray

    def __len__(self) -> int:
        return len(self.pitch)


@dataclass(frozen=True)
class GridNotes:
    """The notes that begin on the grid. start, end: float64, beats; the others as in `Tones`."""

    n_beats: int
    start: FloatArray
    end: FloatArray
    pitch: IntArray
    velocity: IntArray
    voice: IntArray

    def __len__(self) -> int:
        return len(self.pitch)


def on_grid(tones: Tones, beats_s: FloatArray) -> GridNotes:
    """Notes in beats, linear between the beats; those that begin outside the grid are left out.

    beats_s: float64 (n_beats + 1,), rising. A note up to 0.1 s early begins with the first beat.
    """
    inside = (tones.start_s >= beats_s[0] - EARLY_S) & (tones.start_s < beats_s[-1])
    beats = np.arange(len(beats_s))
    return GridNotes(
        n_beats=len(beats_s) - 1,
        start=np.interp(tones.start_s[inside], beats_s, beats),
        end=np.interp(tones.end_s[inside], beats_s, beats),
        pitch=tones.pitch[inside],
        velocity=tones.velocity[inside],
        voice=tones.voice[inside],
    )


def roll_of(notes: GridNotes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Note bits and velocities a beat as `MusicAnnotation` holds them: uint8 (beats, 264), (beats, 3, 4).

    Every note lasts a step at least; a note struck again ends the one before.
    """
    n_steps = notes.n_beats * STEPS_PER_BEAT
    bits = np.zeros((len(TRACKS), 2, n_steps, N_PITCHES), bool)
    total = np.zeros((len(TRACKS), n_steps))
    count = np.zeros((len(TRACKS), n_steps))
    first = np.rint(notes.start * STEPS_PER_BEAT).astype(int)
    last = np.maximum(first + 1, np.rint(notes.end * STEPS_PER_BEAT).astype(int))
    pitch = notes.pitch - LOWEST_PITCH
    kept = (first < n_steps) & (pitch >= 0) & (pitch < N_PITCHES)
    voice, first, last, pitch = notes.voice[kept], first[kept], last[kept], pitch[kept]
    for one, a, b, key in zip(voice, first + 1, last, pitch, strict=True):
        bits[one, SUSTAIN, a:b, key] = True
    bits[voice, ONSET, first, pitch] = True
    bits[:, SUSTAIN] &= ~bits[:, ONSET]
    np.add.at(total, (voice, first), notes.velocity[kept])
    np.add.at(count, (voice, first), 1)
    velocity = np.where(count > 0, np.rint(total / np.maximum(count, 1)), 0).astype(np.uint8)
    shape = (len(TRACKS), 2, notes.n_beats, STEPS_PER_BEAT, N_PITCHES)
    by_beat = bits.reshape(shape).transpose(2, 0, 1, 3, 4)
    packed = np.packbits(by_beat.reshape(notes.n_beats, -1), axis=1)
    return packed, velocity.reshape(len(TRACKS), notes.n_beats, STEPS_PER_BEAT).transpose(1, 0, 2)


def unpacked(bits: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """bool (beats, 3, 2, 4, 88) from uint8 (beats, 264)."""
    return np.unpackbits(bits, axis=1, count=N_BITS).reshape(-1, *BITS_SHAPE).astype(bool)


def sounding(notes: GridNotes, weights: FloatArray, parts: int = 1) -> FloatArray:
    """How long each pitch class sounds in each beat, weighted by note: float64 (beats * parts, 12), 0 = C.

    weights: float64, one a note. parts: pieces into which each beat is divided; durations are in pieces.
    """
    n = notes.n_beats * parts
    out = np.zeros((n, 12))
    start, end = notes.start * parts, np.minimum(notes.end * parts, n)
    at = np.floor(start).astype(int)
    classes = notes.pitch % 12
    live = np.flatnonzero(end > start)
    while len(live):
        where = at[live]
        length = np.minimum(end[live], where + 1) - np.maximum(start[live], where)
        np.add.at(out, (where, classes[live]), length * weights[live])
        at[live] += 1
        live = live[end[live] > at[live]]
    return out


def dynamics_of(notes: GridNotes) -> NDArray[np.float32]:
    """Mean velocity of the onsets in each beat, float32 (beats,), interpolated over beats without any."""
    beat = np.minimum(np.rint(notes.start * STEPS_PER_BEAT) // STEPS_PER_BEAT, notes.n_beats - 1).astype(int)
    count = np.bincount(beat, minlength=notes.n_beats)
    struck = np.flatnonzero(count)
    if not len(struck):
        return np.zeros(notes.n_beats, np.float32)
    mean = np.bincount(beat, weights=notes.velocity, minlength=notes.n_beats)[struck] / count[struck]
    return np.interp(np.arange(notes.n_beats), struck, mean).astype(np.float32)


def grid_fit(notes: GridNotes, steps_per_beat: int = STEPS_PER_BEAT) -> float:
    """Share of onsets within an eighth of a step of a step of the grid; 1.0 without notes.

    Notes spread evenly in time give 0.25.
    """
    if not len(notes):
        return 1.0
    steps = notes.start * steps_per_beat
    return float((np.abs(steps - np.rint(steps)) <= FIT_TOLERANCE).mean())
