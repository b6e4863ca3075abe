"""Sections in keys of their own: the network writes each in C major or A minor, as it learned to.

The tokens of a piece are in one frame, that of the film's key. For each key of the plan the whole piece is
moved so that this key lies on C major or A minor, denoised, and moved back; every beat takes the estimate of
its own section's key. What lies around it is then to the network what it is to a listener: another key.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.sampler import Denoiser
from diffbgm.diffusion.tokens import BITS, BITS_SHAPE, CHORD, F32
from diffbgm.pitch import transposition
from diffbgm.spotting.cuesheet import Plan
from diffbgm.timing import BEATS_PER_BAR


def key_offsets(plan: Plan, n_beats: int) -> NDArray[np.int64]:
    """Semitones, -6..5, from the film's key to each beat's, relative keys being one; int64 (n_beats,)."""
    out = np.zeros(n_beats, np.int64)
    for section in plan.sections:
        if section.key is not None:
            beats = slice(section.start_bar * BEATS_PER_BAR, section.end_bar * BEATS_PER_BAR)
            out[beats] = (transposition(section.key) - transposition(plan.key) + 6) % 12 - 6
    return out


def in_keys(denoise: Denoiser, offsets: NDArray[np.int64]) -> Denoiser:
    """The denoiser asked once for each key. Tokens: float32 (n_beats, 2148); offsets as of `key_offsets`."""

    def see(z: F32, s: float) -> F32:
        out = np.empty_like(z)
        for offset in np.unique(offsets).tolist():
            here = offsets == offset
            out[here] = moved(denoise(moved(z, -offset), s), offset)[here]
        return out

    return see


def moved(tokens: F32, semitones: int) -> F32:
    """Tokens, noisy or clean, moved up by `semitones`; what leaves the keyboard comes in at its other end."""
    out = tokens.copy()
    bits = tokens[:, BITS].reshape(len(tokens), *BITS_SHAPE)
    out[:, BITS] = np.roll(bits, semitones, axis=-1).reshape(len(tokens), -1)
    chord = tokens[:, CHORD].reshape(len(tokens), 2, 12)
    out[:, CHORD] = np.roll(chord, semitones, axis=-1).reshape(len(tokens), -1)
    return out
