"""Films as the editing commands know them, cut from an endless supply of takes, without any picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from diffbgm.video.analysis import Analysis, Fingerprints

from ..spotting.films import film

Part = tuple[int, int, int]
"""A take, and its frames first..end-1."""

STILL = 50
"""In takes from this number on nothing moves."""

FPS = 24
_LONGEST = 2000


def takes_on_film(parts: Sequence[Part], *, noise: float = 0.0, fps: int = FPS, seed: int = 0) -> Analysis:
    """A film of these parts, one after the other, with a cut wherever the picture jumps.

    noise: share of the fingerprints' bits that another encoding turned over.
    """
    bits = np.concatenate([_take(take)[first:end] for take, first, end in parts])
    flipped = np.random.default_rng(seed).random(bits.shape) < noise
    edges = list(accumulate(end - first for _, first, end in parts))
    joined = zip(parts, parts[1:], edges, strict=False)
    cuts = [edge / fps for before, after, edge in joined if after[:2] != (before[0], before[2])]
    times = np.arange(len(bits)) / fps
    return replace(
        film(len(bits) / fps, cuts, fps),
        fingerprints=Fingerprints(times, np.packbits(bits ^ flipped, axis=1)),
    )


def _take(number: int) -> np.ndarray:
    """128 bits of which one or two change from frame to frame, or none; bool (frames, 128)."""
    rng = np.random.default_rng(1000 + number)
    turned = rng.random((_LONGEST, 128)) < (0.0 if number >= STILL else 1.5 / 128)
    turned[0] = rng.random(128) < 0.5
    return np.logical_xor.accumulate(turned, axis=0)
