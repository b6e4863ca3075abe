"""A rhythm kept while its pitches are drawn anew: how many notes each track strikes at each step.

A clamp holds single bits; that one note of 88 is struck, whichever, is no single bit. So the network's
estimate is changed: with independent onsets of probabilities p, those under the condition that they add up to
k are close to p tilted, sigmoid(logit p + b), with the one b for which they add up to k.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.roll import N_PITCHES, ONSET, TRACKS
from diffbgm.diffusion.sampler import Clamp, Denoiser
from diffbgm.diffusion.tokens import BITS, BITS_SHAPE, F32, TRACK_AMPLITUDE
from diffbgm.timing import STEPS_PER_BEAT

_HALVINGS = 40
_WIDEST = 40.0


def striking(denoise: Denoiser, struck: NDArray[np.int64], held: Clamp) -> Denoiser:
    """The denoiser with estimates whose onsets add up to `struck`, int64 (3, steps), over what is not held.

    Where `struck` is 0 or -1 the estimate stays. Tokens: float32 (beats, 2148).
    """
    track, step = np.nonzero(struck > 0)
    count = struck[track, step]
    free = ~_onsets(held.mask)[track, step]
    amplitude = np.array(TRACK_AMPLITUDE)[track, None]

    def see(z: F32, s: float) -> F32:
        out = denoise(z, s).copy()
        onsets = _onsets(out)
        sure = np.clip(onsets[track, step] / amplitude, -1 + 1e-6, 1 - 1e-6)
        logits = np.where(free, 2 * np.arctanh(sure), -np.inf)
        onsets[track, step] = np.where(free, amplitude * (2 * tilted(logits, count) - 1), onsets[track, step])
        return with_onsets(out, onsets)

    return see


def tilted(logits: NDArray[np.float64], count: NDArray[np.int64]) -> NDArray[np.float64]:
    """sigmoid(logits + b), float64 (rows, 88), with a b for each row so that it adds up to `count` (rows,).

    Rows with no more finite logits than `count` are ones there.
    """
    low, high = (np.full((len(logits), 1), side * _WIDEST) for side in (-1, 1))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        few = _sigmoid(logits + middle).sum(axis=1, keepdims=True) < count[:, None]
        low, high = np.where(few, middle, low), np.where(few, high, middle)
    return _sigmoid(logits + high)


def struck_exactly(tokens: F32, struck: NDArray[np.int64], held: Clamp) -> F32:
    """Tokens in which each track strikes, of the keys that are not held, the `struck` most certain."""
    onsets, fixed = _onsets(tokens), _onsets(held.mask)
    for track, step in np.argwhere(struck >= 0).tolist():
        row, amplitude = onsets[track, step], TRACK_AMPLITUDE[track]
        certain = np.where(fixed[track, step], -np.inf, row)
        chosen = np.argsort(-certain, kind="stable")[: struck[track, step]]
        row[~fixed[track, step]] = -amplitude
        row[chosen[np.isfinite(certain[chosen])]] = amplitude
    return with_onsets(tokens, onsets)


def with_onsets(tokens: F32, onsets: F32) -> F32:
    """A copy of the tokens with other onsets, (3, steps, 88); steps beyond those given stay."""
    out = tokens.copy()
    bits = out[:, BITS].reshape(len(out), *BITS_SHAPE)
    by_beat = onsets.reshape(len(TRACKS), len(out), STEPS_PER_BEAT, N_PITCHES)
    bits[:, :, ONSET] = by_beat.transpose(1, 0, 2, 3)
    out[:, BITS] = bits.reshape(len(out), -1)
    return out


def _onsets(tokens: NDArray[Any]) -> NDArray[Any]:
    """Onset entries of tokens or of a mask of them, (3, steps, 88), a copy."""
    onsets = tokens[:, BITS].reshape(len(tokens), *BITS_SHAPE)[:, :, ONSET]
    return onsets.transpose(1, 0, 2, 3).reshape(len(TRACKS), -1, N_PITCHES).copy()


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return (1 + np.tanh(logits / 2)) / 2
