"""One token a beat: the piano roll as the real numbers that diffusion noises and denoises.

A token is, in this order: the note bits (3 tracks x 2 planes x 4 steps x 88 pitches), the velocities
(3 tracks x 4 steps), the chord (12 pitch classes, 12 bass classes). A bit is +a or -a. The amplitude `a`
sets when a bit is decided: with the noise schedule the same for all, twice the amplitude means that it
stands out of the noise earlier. Melody, counter-melody and chord have 2, the accompaniment 1, so that
harmony and tune are settled together and the accompaniment is filled in under them.

Tokens are in C major or A minor; the target key is applied when the roll is made of them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.roll import N_PITCHES, ONSET, SUSTAIN, TRACKS, PianoRoll
from diffbgm.timing import STEPS_PER_BEAT

F32 = NDArray[np.float32]

BITS_SHAPE: Final = (len(TRACKS), 2, STEPS_PER_BEAT, N_PITCHES)
N_BITS: Final = int(np.prod(BITS_SHAPE))
N_VELOCITIES: Final = len(TRACKS) * STEPS_PER_BEAT
N_CHORD: Final = 24
TOKEN_SIZE: Final = N_BITS + N_VELOCITIES + N_CHORD

BITS: Final = slice(0, N_BITS)
VELOCITIES: Final = slice(N_BITS, N_BITS + N_VELOCITIES)
CHORD: Final = slice(N_BITS + N_VELOCITIES, TOKEN_SIZE)

TRACK_AMPLITUDE: Final = (2.0, 2.0, 1.0)
CHORD_AMPLITUDE: Final = 2.0

# How many notes a track may strike at once; 99.8 % of the songs' notes are within it.
STRUCK_TOGETHER: Final = (1, 2, 5)
VELOCITY_CENTRE: Final = 85.0
VELOCITY_SCALE: Final = 20.0


def amplitudes() -> F32:
    """Amplitude of each token entry, float32 (2148,); 1 for the velocities, which are no bits."""
    out = np.ones(TOKEN_SIZE, np.float32)
    out[BITS] = np.broadcast_to(
        np.array(TRACK_AMPLITUDE, np.float32)[:, None, None, None], BITS_SHAPE
    ).reshape(-1)
    out[CHORD] = CHORD_AMPLITUDE
    return out


def is_bit() -> NDArray[np.bool_]:
    """True for the entries that are bits, bool (2148,)."""
    out = np.ones(TOKEN_SIZE, bool)
    out[VELOCITIES] = False
    return out


def encode(
    bits: NDArray[np.bool_], velocity: NDArray[np.uint8], chroma: NDArray[np.bool_], bass: NDArray[np.int8]
) -> F32:
    """Clean tokens, float32 (..., beats, 2148).

    bits: (..., beats, 3, 2, 4, 88). velocity: (..., beats, 3, 4), 0 = no onset, which becomes the centre.
    chroma: (..., beats, 12). bass: (..., beats), -1 = none.
    """
    lead = bits.shape[:-4]
    signs = np.concatenate(
        [
            bits.reshape(*lead, N_BITS),
            np.zeros((*lead, N_VELOCITIES), bool),
            chroma,
            bass[..., None] == np.arange(12, dtype=np.int8),
        ],
        axis=-1,
    )
    tokens = np.where(signs, amplitudes(), -amplitudes())
    centred = (velocity.astype(np.float32) - VELOCITY_CENTRE) / VELOCITY_SCALE
    tokens[..., VELOCITIES] = np.where(velocity > 0, centred, 0).reshape(*lead, N_VELOCITIES)
    return tokens.astype(np.float32, copy=False)


def clean_estimate(prediction: F32) -> F32:
    """Expected token from what the network returns: logits for the bits, values for the velocities.

    E[x] = a (2 sigmoid(logit) - 1) = a tanh(logit / 2). float32 (..., 2148), new array.
    """
    estimate = amplitudes() * np.tanh(prediction / 2)
    estimate[..., VELOCITIES] = prediction[..., VELOCITIES]
    return estimate


def to_roll(tokens: F32, semitones: int = 0) -> PianoRoll:
    """The roll that clean `tokens` (beats, 2148) say, transposed by `semitones`.

    Of more onsets than a track may strike at once the most certain are kept (all, where they are equally
    certain). Sustain bits that continue no note are dropped, an onset cuts off the sustain bit under it,
    and what leaves the keyboard through the transposition is lost.
    """
    beats = len(tokens)
    values = tokens[:, BITS].reshape(beats, *BITS_SHAPE).transpose(1, 2, 0, 3, 4)
    values = values.reshape(len(TRACKS), 2, beats * STEPS_PER_BEAT, N_PITCHES)
    bits = values > 0
    for track, most in enumerate(STRUCK_TOGETHER):
        onsets = values[track, ONSET]
        least = np.partition(onsets, -most, axis=-1)[:, -most, None]
        bits[track, ONSET] &= onsets >= least
    bits = drop_orphans(shift_pitches(bits, semitones))
    velocity = np.rint(tokens[:, VELOCITIES] * VELOCITY_SCALE + VELOCITY_CENTRE).clip(1, 127)
    velocity = (
        velocity.reshape(beats, len(TRACKS), STEPS_PER_BEAT).transpose(1, 0, 2).reshape(len(TRACKS), -1)
    )
    velocity = np.where(bits[:, ONSET].any(axis=-1), velocity, 0).astype(np.uint8)
    chroma = np.roll(tokens[:, CHORD][:, :12] > 0, semitones, axis=1)
    bass_scores = tokens[:, CHORD][:, 12:]
    bass = np.where(bass_scores.max(axis=1) > 0, (bass_scores.argmax(axis=1) + semitones) % 12, -1)
    return PianoRoll(bits, velocity, chroma, bass.astype(np.int8))


def shift_pitches(bits: NDArray[np.bool_], semitones: int) -> NDArray[np.bool_]:
    """`bits` (..., 88) moved up by `semitones`; notes beyond the keyboard are lost. A new array."""
    out = np.zeros_like(bits)
    if semitones >= 0:
        out[..., semitones:] = bits[..., : N_PITCHES - semitones]
    else:
        out[..., :semitones] = bits[..., -semitones:]
    return out


def drop_orphans(bits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`bits` (tracks, 2, steps, 88) without sustain that no onset began or that lies under one."""
    out = bits.copy()
    sounding = np.zeros(bits[:, 0, 0].shape, bool)
    for step in range(bits.shape[2]):
        onset = bits[:, ONSET, step]
        out[:, SUSTAIN, step] = bits[:, SUSTAIN, step] & sounding & ~onset
        sounding = onset | out[:, SUSTAIN, step]
    return out
