"""What a person gave of the music, chords or a melody, held while the model writes the rest.

The chord planes of the tokens are clamped to the chords asked for, the melody's bits to the given notes. The
network was trained to find both in the noise together with the rest, so a clamp alone comes late: while noise
is high what is given is drowned in it. It is therefore shown at a lower noise level (`SHOWN_LEVEL`). What is
then still missing at a change of chords is the bass: `with_asked_basses` puts it right in the roll. Measured
in docs/harmony.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.roll import LOWEST_PITCH, N_PITCHES, ONSET, SUSTAIN, PianoRoll
from diffbgm.diffusion.sampler import Clamp, Denoiser
from diffbgm.diffusion.tokens import (
    BITS,
    BITS_SHAPE,
    CHORD,
    F32,
    TOKEN_SIZE,
    VELOCITIES,
    encode,
)
from diffbgm.spotting.cuesheet import MelodyNote, Plan
from diffbgm.timing import STEPS_PER_BEAT

SHOWN_LEVEL: Final = 0.8
"""Share of the noise level at which the network sees what is given. 1 follows loosely, 0 thins out the tune
and the counter-melody."""

_MELODY: Final = 0
_ACCOMPANIMENT: Final = 2
_LOWEST_BASS: Final = 31 - LOWEST_PITCH
"""Lowest key that a bass is moved to, G1."""


def given_clamp(plan: Plan, n_beats: int, semitones: int) -> Clamp | None:
    """Clamp of shape (n_beats, 2148) to the plan's chords and melody; None where it has neither.

    semitones: from the model's C major or A minor up to the plan's key.
    """
    if not plan.melody and not any(plan.asked_chords):
        return None
    bits = np.zeros((n_beats, *BITS_SHAPE), bool)
    velocity = np.zeros((n_beats, *BITS_SHAPE[::2]), np.uint8)
    chroma = np.zeros((n_beats, 12), bool)
    bass = np.full(n_beats, -1, np.int8)
    mask = np.zeros((n_beats, TOKEN_SIZE), bool)
    for beat, chord in enumerate(plan.asked_chords):
        if chord is None:
            continue
        mask[beat, CHORD] = True
        if chord.tones:
            chroma[beat, [(tone - semitones) % 12 for tone in (*chord.tones, chord.bass)]] = True
            bass[beat] = (chord.bass - semitones) % 12
    tune, strength = _melody_bits(plan.melody, n_beats * STEPS_PER_BEAT, semitones)
    bits[:, _MELODY] = tune.reshape(2, n_beats, STEPS_PER_BEAT, N_PITCHES).swapaxes(0, 1)
    velocity[:, _MELODY] = strength.reshape(n_beats, STEPS_PER_BEAT)
    span = slice(*plan.melody_span)
    # Melody is the first track, of bits as of velocities.
    mask[span, BITS.start : BITS.start + bits[0, _MELODY].size] = True
    mask[span, VELOCITIES.start : VELOCITIES.start + STEPS_PER_BEAT] = True
    return Clamp(mask, encode(bits, velocity, chroma, bass))


def _melody_bits(
    notes: tuple[MelodyNote, ...], n_steps: int, semitones: int
) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """Onset and sustain bits, (2, steps, 88), and velocities, (steps,), on the nearest sixteenths."""
    bits = np.zeros((2, n_steps, N_PITCHES), bool)
    velocity = np.zeros(n_steps, np.uint8)
    for note in notes:
        key = note.pitch - semitones - LOWEST_PITCH
        step = round(note.beat * STEPS_PER_BEAT)
        if step >= n_steps or not 0 <= key < N_PITCHES:
            continue
        bits[SUSTAIN, step + 1 : max(step + 1, round((note.beat + note.beats) * STEPS_PER_BEAT)), key] = True
        bits[ONSET, step, key] = True
        velocity[step] = max(velocity[step], note.velocity)
    bits[SUSTAIN] &= ~bits[ONSET]
    return bits, velocity


def over(first: Clamp, then: Clamp) -> Clamp:
    """Both clamps; where both hold an entry, `then` counts."""
    return Clamp(first.mask | then.mask, np.where(then.mask, then.values, first.values))


def padded(clamp: Clamp, n_beats: int) -> Clamp:
    """A clamp of tokens (beats, 2148) continued to `n_beats`; nothing is held there."""
    more = ((0, n_beats - len(clamp.mask)), (0, 0))
    return Clamp(np.pad(clamp.mask, more), np.pad(clamp.values, more))


def shown(denoise: Denoiser, given: Clamp, share: float = SHOWN_LEVEL) -> Denoiser:
    """The denoiser with the given entries shown at noise level `share` s instead of s.

    On the straight line z = (1 - s) x + s n the noise of a known entry is n = (z - (1 - s) x) / s; the same
    noise is mixed in anew at the lower level.
    """

    def see(z: F32, s: float) -> F32:
        noise = (z - (1 - s) * given.values) / s
        level = share * s
        clearer = ((1 - level) * given.values + level * noise).astype(np.float32)
        return denoise(np.where(given.mask, clearer, z), s)

    return see


def with_asked_basses(roll: PianoRoll, plan: Plan) -> PianoRoll:
    """The roll with the asked bass lowest wherever an asked chord begins. roll: in the plan's key.

    There, notes of the accompaniment held over from the chord before that do not belong or lie too low end;
    the lowest note struck moves to the bass below it, or is struck where the accompaniment strikes none.
    """
    asked = plan.asked_chords
    bits = roll.bits.copy()
    for beat, chord in enumerate(asked):
        begins = chord is not None and (beat == 0 or asked[beat - 1] != chord)
        if chord is not None and begins and chord.tones:
            _set_bass(bits, beat * STEPS_PER_BEAT, chord.bass, frozenset(chord.tones))
    return replace(roll, bits=bits) if any(asked) else roll


def _set_bass(bits: NDArray[np.bool_], step: int, bass: int, tones: frozenset[int]) -> None:
    """Make `bass` the lowest of counter-melody and accompaniment at a step, in place."""
    onset, sustain = bits[_ACCOMPANIMENT, ONSET], bits[_ACCOMPANIMENT, SUSTAIN]
    struck = np.flatnonzero(onset[step])
    counter = np.flatnonzero(bits[1, :, step].any(axis=0))
    above = int(min([*struck, *counter], default=48 - LOWEST_PITCH))
    if struck.size and above == struck[0] and (above + LOWEST_PITCH) % 12 == bass:
        target = above
    else:
        target = above - (above + LOWEST_PITCH - bass) % 12
        while target < _LOWEST_BASS:
            target += 12
        source = int(struck[0]) if struck.size else target
        _move(onset, sustain, step, source, target)
    for key in struck[struck < target]:
        onset[step, key] = False
        _end(onset, sustain, step + 1, int(key))
    for key in np.flatnonzero(sustain[step]):
        if key < target or (key + LOWEST_PITCH) % 12 not in tones:
            _end(onset, sustain, step, int(key))


def _move(onset: NDArray[np.bool_], sustain: NDArray[np.bool_], step: int, source: int, target: int) -> None:
    """Move the note struck at `step` to another key; with nothing struck there, strike it for the beat."""
    end = step + STEPS_PER_BEAT
    if onset[step, source]:
        end = step + 1
        while end < len(sustain) and sustain[end, source]:
            end += 1
        onset[step, source] = False
        sustain[step + 1 : end, source] = False
    again = np.flatnonzero(onset[step + 1 : end, target])
    end = step + 1 + int(again[0]) if again.size else end
    sustain[step, target] = False
    onset[step, target] = True
    sustain[step + 1 : end, target] = True


def _end(onset: NDArray[np.bool_], sustain: NDArray[np.bool_], step: int, key: int) -> None:
    """End the note that is held through `step`."""
    while step < len(sustain) and sustain[step, key] and not onset[step, key]:
        sustain[step, key] = False
        step += 1
