"""From noise to clean tokens along the straight-line schedule.

| here | meaning |
|---|---|
| s | noise level, 0 = clean .. 1 = noise |
| x | clean tokens; the denoiser's estimate of them |
| n | noise: z = (1 - s) x + s n |
| z | noisy tokens |

A denoiser is any callable (z, s) -> x: which network, which windows and which guidance stand behind it
is not known here. Randomness comes from the generator handed in, and from nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
Denoiser = Callable[[F32, float], F32]


@dataclass(frozen=True)
class Clamp:
    """Entries held to given values: `mask` bool and `values` float32, both of the tokens' shape."""

    mask: NDArray[np.bool_]
    values: F32

    def apply(self, tokens: F32) -> F32:
        return np.where(self.mask, self.values, tokens)


def noise_levels(steps: int) -> NDArray[np.float64]:
    """`steps` + 1 levels from 1 to 0, equally spaced. Raises ValueError for less than one step."""
    if steps < 1:
        raise ValueError(f"{steps} steps: at least one is needed")
    return np.linspace(1.0, 0.0, steps + 1)


def sample(
    denoise: Denoiser,
    shape: tuple[int, ...],
    levels: NDArray[np.float64],
    rng: np.random.Generator,
    eta: float = 0.0,
    clamp: Clamp | None = None,
    progress: Callable[[float], None] | None = None,
) -> F32:
    """Draw clean tokens, float32 of `shape`.

    At each level the clean estimate x = D(z, s) and the noise it implies, n = (z - (1 - s) x) / s, are
    put together anew at the next level: z' = (1 - s') x + s' n'. With eta 0 this is DDIM (Song et al.
    2021, arXiv 2010.02502) for this schedule and n' = n; with eta > 0 a part of the noise is drawn
    afresh, n' = sqrt(1 - eta^2) n + eta e, which lets later steps mend what earlier ones decided.

    `clamp` entries take part in every step at their given values and are exact in what is returned.
    `progress` is called with the share of the steps done.
    """
    z = rng.standard_normal(shape, dtype=np.float32)
    estimate = z
    for done, (s, s_next) in enumerate(pairwise(levels.tolist())):
        estimate = denoise(z, s)
        if clamp is not None:
            estimate = clamp.apply(estimate)
        noise = (z - (1 - s) * estimate) / s
        if eta > 0:
            fresh = rng.standard_normal(shape, dtype=np.float32)
            noise = np.sqrt(1 - eta**2) * noise + eta * fresh
        z = ((1 - s_next) * estimate + s_next * noise).astype(np.float32)
        if progress is not None:
            progress((done + 1) / (len(levels) - 1))
    return estimate
