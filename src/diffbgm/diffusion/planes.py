"""The paper's piano roll as a view of ours: two planes over all tracks, and the way back to tracks.

Planes are (2, steps, 128): onset and sustain, sixteenth steps, MIDI pitches; 0 where nothing is, 1 where
something is. An onset stands at a note's first step, sustains at its later ones. Which track a note belongs
to, how strongly it is struck and what the chord is are not in the planes; `roll_of_planes` fills them in.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.conditions import INTENSITY_EDGES
from diffbgm.diffusion.roll import LOWEST_PITCH, N_PITCHES, ONSET, SUSTAIN, TRACKS, PianoRoll
from diffbgm.diffusion.sampler import Clamp, Denoiser
from diffbgm.diffusion.tokens import (
    BITS,
    BITS_SHAPE,
    CHORD,
    VELOCITIES,
    VELOCITY_CENTRE,
    VELOCITY_SCALE,
    drop_orphans,
    shift_pitches,
)
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BAR, STEPS_PER_BEAT

F32 = NDArray[np.float32]
Bits = NDArray[np.bool_]

PLANE_PITCHES: Final = 128
KEYS: Final = slice(LOWEST_PITCH, LOWEST_PITCH + N_PITCHES)
MELODY: Final = TRACKS.index("melody")
ACCOMPANIMENT: Final = TRACKS.index("accompaniment")

LOWEST_MELODY: Final = 60 - LOWEST_PITCH
MELODY_WITHIN: Final = 9  # semitones under the highest note of the bars around: lower ones accompany
MAJOR_SCALE: Final = (0, 2, 4, 5, 7, 9, 11)
MINOR_SCALE: Final = (9, 11, 0, 2, 4, 5, 7, 8)  # A minor, with the leading note

# Major and minor triads on each pitch class, bool (24, 12).
TRIADS: Final = np.array(
    [[(pitch - root) % 12 in (0, third, 7) for pitch in range(12)] for third in (4, 3) for root in range(12)]
)


def merged_planes(bits: Bits) -> F32:
    """All tracks in one: float32 (2, steps, 128) from bool (tracks, 2, steps, 88)."""
    out = np.zeros((2, bits.shape[2], PLANE_PITCHES), np.float32)
    out[..., KEYS] = bits.any(axis=0)
    return out


def roll_of_planes(
    planes: F32, energy: NDArray[np.float64], semitones: int = 0, held: Clamp | None = None
) -> PianoRoll:
    """The roll that `planes` (2, steps, 128) say, transposed by `semitones`.

    energy: 0..1 a beat; velocities follow it along the octiles of the training songs. What exceeds 0.5 is
    set. Sustain that continues no note is dropped, as is what lies beyond a piano. The top line becomes the
    melody (`split_tracks`), all else the accompaniment; the chord of each half bar is the triad that fits
    its notes best, with the lowest note as bass. held: a clamp of tokens (beats, 2148); what it holds of a
    track is that track's, note for note, with its velocities, and chords that it holds are the roll's.
    """
    bits = drop_orphans((planes[..., KEYS] > 0.5)[None])[0]
    tracks = split_tracks(bits)
    strength = np.interp(energy, np.arange(1, len(INTENSITY_EDGES) + 1) / 8, INTENSITY_EDGES)
    velocity = np.tile(np.rint(strength).repeat(STEPS_PER_BEAT), (len(TRACKS), 1))
    if held is not None:
        tracks = _with_held(tracks, bits, held)
        by_track = (len(held.mask), len(TRACKS), STEPS_PER_BEAT)
        known, wanted = (
            part[:, VELOCITIES].reshape(by_track).transpose(1, 0, 2).reshape(velocity.shape)
            for part in (held.mask, held.values)
        )
        velocity = np.where(known, np.rint(wanted * VELOCITY_SCALE + VELOCITY_CENTRE), velocity)
    tracks = drop_orphans(shift_pitches(tracks, semitones))
    velocity = np.where(tracks[:, ONSET].any(axis=-1), velocity.clip(1, 127), 0).astype(np.uint8)
    chroma, bass = chords_of_bits(np.asarray(tracks.any(axis=0)))
    if held is not None:
        named = np.asarray(held.mask[:, CHORD].all(axis=1))
        wanted = held.values[named, CHORD]
        chroma[named] = np.roll(wanted[:, :12] > 0, semitones, axis=1)
        lowest = (wanted[:, 12:].argmax(axis=1) + semitones) % 12
        bass[named] = np.where(wanted[:, 12:].max(axis=1, initial=-1) > 0, lowest, -1)
    return PianoRoll(tracks, velocity, chroma, bass)


def split_tracks(bits: Bits) -> Bits:
    """The top line as melody, the rest as accompaniment: bool (3, 2, steps, 88) from (2, steps, 88).

    A note is melody if it is the highest struck at its step, nothing of the melody sounds above it, and it
    lies from middle C up within a sixth of the highest note struck in a bar's reach. Every note keeps its
    length, so merging the tracks gives the bits again. bits: without orphans.
    """
    steps = bits.shape[1]
    out = np.zeros((len(TRACKS), *bits.shape), bool)
    top = np.where(bits[ONSET].any(axis=1), N_PITCHES - 1 - bits[ONSET, :, ::-1].argmax(axis=1), -1)
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(top, STEPS_PER_BAR, constant_values=-1), 2 * STEPS_PER_BAR + 1
    ).max(axis=1)
    least = np.maximum(around - MELODY_WITHIN, LOWEST_MELODY)
    owner = np.full(N_PITCHES, ACCOMPANIMENT)
    for step in range(steps):
        sounding = np.flatnonzero(bits[SUSTAIN, step])
        held = sounding[owner[sounding] == MELODY]
        struck = np.flatnonzero(bits[ONSET, step])
        owner[struck] = ACCOMPANIMENT
        if top[step] >= max(least[step], held.max(initial=-1)):
            owner[top[step]] = MELODY
        for plane in (ONSET, SUSTAIN):
            keys = np.flatnonzero(bits[plane, step])
            out[owner[keys], plane, step, keys] = True
    return out


def chords_of_bits(bits: Bits) -> tuple[Bits, NDArray[np.int8]]:
    """Chroma bool (beats, 12) and bass int8 (beats,) of bits (2, steps, 88): one triad each half bar.

    The triad with the highest cosine to the time for which each pitch class sounds; where fewer than two
    classes sound, none (bass -1).
    """
    sounding = np.asarray(bits.any(axis=0))
    half = STEPS_PER_BAR // 2
    parts = len(sounding) // half
    by_key = sounding[: parts * half].reshape(parts, half, N_PITCHES).sum(axis=1)
    weights = np.zeros((parts, 12))
    np.add.at(weights.T, (np.arange(N_PITCHES) + LOWEST_PITCH) % 12, by_key.T)
    known = np.count_nonzero(weights, axis=1) >= 2
    chroma = TRIADS[(weights @ TRIADS.T).argmax(axis=1)] & known[:, None]
    bass = np.where(known, (by_key.astype(bool).argmax(axis=1) + LOWEST_PITCH) % 12, -1)
    beats = BEATS_PER_BAR // 2
    return np.repeat(chroma, beats, axis=0), np.repeat(bass.astype(np.int8), beats)


def clamp_of_planes(tokens: Clamp) -> Clamp:
    """What a clamp of tokens (beats, 2148) holds of the planes: mask and values of shape (2, 4 * beats, 128).

    A bit that any track is held to sounds; one that all tracks are held to leave out stays silent; velocities
    are not in the planes. Where a chord is held, no other pitch class may sound on the beat.
    """
    held = _by_step(tokens.mask[:, BITS])
    wanted = held & _by_step(tokens.values[:, BITS] > 0)
    beats = len(tokens.mask)
    mask = np.zeros((2, beats * STEPS_PER_BEAT, PLANE_PITCHES), bool)
    values = np.zeros(mask.shape, np.float32)
    chord_held = np.asarray(tokens.mask[:, CHORD].all(axis=1))
    foreign = ~(tokens.values[:, CHORD][:, :12] > 0) & chord_held[:, None]
    mask[:, ::STEPS_PER_BEAT] = foreign[:, np.arange(PLANE_PITCHES) % 12]
    sounds = np.asarray(wanted.any(axis=0))
    mask[..., KEYS] |= held.all(axis=0) | sounds
    values[..., KEYS] = sounds
    return Clamp(mask, values)


def within_scale(clamp: Clamp, minor: bool, offsets: NDArray[np.int64]) -> Clamp:
    """`clamp` of planes, with every pitch outside C major or A minor held silent where it holds nothing.

    For weights that were trained in all keys: it keeps the piece in the one that the plan wants. offsets:
    int64 (beats,), by how many semitones each beat's key lies above.
    """
    scale = MINOR_SCALE if minor else MAJOR_SCALE
    outside = ~np.isin((np.arange(PLANE_PITCHES) - offsets[:, None]) % 12, scale)
    return Clamp(clamp.mask | outside.repeat(STEPS_PER_BEAT, axis=0), clamp.values)


def planes_in_keys(denoise: Denoiser, offsets: NDArray[np.int64]) -> Denoiser:
    """The denoiser asked once for each key, with the planes moved so that this key is C major or A minor.

    As `diffbgm.diffusion.modulation.in_keys` for tokens. offsets: int64 (beats,), as there.
    """
    by_step = offsets.repeat(STEPS_PER_BEAT)

    def see(z: F32, s: float) -> F32:
        out = np.empty_like(z)
        for offset in np.unique(offsets).tolist():
            here = by_step == offset
            out[:, here] = np.roll(denoise(np.roll(z, -offset, axis=2), s), offset, axis=2)[:, here]
        return out

    return see


def _with_held(tracks: Bits, bits: Bits, held: Clamp) -> Bits:
    """Tracks with what is held of each; notes of `bits` that lose their track accompany, where they may."""
    fixed = _by_step(held.mask[:, BITS])
    wanted = fixed & _by_step(held.values[:, BITS] > 0)
    out = np.where(fixed, wanted, tracks & ~np.asarray(wanted.any(axis=0)))
    lost = bits & ~np.asarray(out.any(axis=0))
    out[ACCOMPANIMENT] |= lost & ~fixed[ACCOMPANIMENT]
    return out


def _by_step(flat: Bits) -> Bits:
    """Bits of tokens, (beats, 2112), as (tracks, planes, steps, 88)."""
    beats = len(flat)
    ordered = flat.reshape(beats, *BITS_SHAPE).transpose(1, 2, 0, 3, 4)
    return ordered.reshape(len(TRACKS), 2, beats * STEPS_PER_BEAT, N_PITCHES)
