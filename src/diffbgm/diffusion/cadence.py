"""The composed ending: what the last two bars are held to while the rest is sampled.

The last bar of a plan is the final chord alone. It is clamped to the tonic triad, struck on its downbeat
and held; the second half of the bar before is clamped to the dominant in the chord planes only, so that the
model writes its own way into the cadence.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from diffbgm.diffusion.roll import LOWEST_PITCH, ONSET, SUSTAIN
from diffbgm.diffusion.sampler import Clamp
from diffbgm.diffusion.tokens import (
    BITS,
    BITS_SHAPE,
    CHORD,
    CHORD_AMPLITUDE,
    TOKEN_SIZE,
    VELOCITIES,
    amplitudes,
)
from diffbgm.timing import BEATS_PER_BAR

MELODY: Final = 0
ACCOMPANIMENT: Final = 2

CADENCE_BEATS: Final = BEATS_PER_BAR + BEATS_PER_BAR // 2
"""From the dominant to the end."""


def final_cadence(n_beats: int, piece_beats: int, minor: bool) -> Clamp:
    """Clamp of shape (n_beats, 2148) for a piece of `piece_beats` in C major or A minor."""
    mask = np.zeros((n_beats, TOKEN_SIZE), bool)
    values = np.zeros((n_beats, TOKEN_SIZE), np.float32)
    tonic = 9 if minor else 0
    third = 3 if minor else 4
    last_bar = piece_beats - BEATS_PER_BAR

    bits = np.zeros((BEATS_PER_BAR, *BITS_SHAPE), bool)
    low = 45 if minor else 48
    for pitch in (low - 12, low, low + 7, low + 12, low + 12 + third):
        bits[0, ACCOMPANIMENT, ONSET, 0, pitch - LOWEST_PITCH] = True
        bits[:, ACCOMPANIMENT, SUSTAIN, :, pitch - LOWEST_PITCH] = True
    bits[0, MELODY, ONSET, 0, low + 24 - LOWEST_PITCH] = True
    bits[:, MELODY, SUSTAIN, :, low + 24 - LOWEST_PITCH] = True
    bits[0, :, SUSTAIN, 0] = False
    signs = np.where(bits.reshape(BEATS_PER_BAR, -1), 1, -1).astype(np.float32)
    final = slice(last_bar, piece_beats)
    mask[final] = True
    values[final, BITS] = signs * amplitudes()[BITS]
    values[final, VELOCITIES] = 0.0
    values[final, CHORD] = _chord_bits({tonic, tonic + third, tonic + 7}, tonic)

    if last_bar >= BEATS_PER_BAR:
        dominant = (tonic + 7) % 12
        before = slice(last_bar - BEATS_PER_BAR // 2, last_bar)
        mask[before, CHORD] = True
        values[before, CHORD] = _chord_bits({dominant, dominant + 4, dominant + 7}, dominant)
    return Clamp(mask, values)


def _chord_bits(classes: set[int], bass: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    out = np.full(24, -CHORD_AMPLITUDE, np.float32)
    out[[pitch % 12 for pitch in classes]] = CHORD_AMPLITUDE
    out[12 + bass % 12] = CHORD_AMPLITUDE
    return out
