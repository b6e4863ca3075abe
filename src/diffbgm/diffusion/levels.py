"""Noise levels: at which points between noise and music the network is asked.

Every sampler works on the straight line z = (1 - s) x + s n (Lipman et al. 2023, arXiv 2210.02747), whichever
network it drives. A network of the published variance-preserving chain, z_t = sqrt(ab) x + sqrt(1 - ab) n, is
brought onto it by equal signal-to-noise ratio:

    (1 - s) / s = sqrt(ab) / sqrt(1 - ab),    z = z_t / (sqrt(ab) + sqrt(1 - ab)).

So the published chain is a list of levels here, and nothing else: `published` spacing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.options import Spacing

PUBLISHED_STEPS: Final = 1000
BETA_FIRST, BETA_LAST = 0.00085, 0.012
SHIFT: Final = 3.0


def noise_levels(steps: int, spacing: Spacing = "linear") -> NDArray[np.float64]:
    """`steps` + 1 falling levels, the last 0; u is equally spaced from 1 to 0.

    | spacing | level | source |
    |---|---|---|
    | linear | u | |
    | cosine | sin a / (sin a + cos a), a = pi u / 2 | Nichol and Dhariwal 2021, arXiv 2102.09672 |
    | shifted | 3 u / (1 + 2 u): denser at high noise | Esser et al. 2024, arXiv 2403.03206, eq. 23 |
    | published | equal steps through the chain, from its last | Lin et al. 2023, arXiv 2305.08891, 3.3 |

    The first level is 1, with published spacing 0.936: that chain never is all noise.
    Raises ValueError for less than one step, for more than 1000 published ones, and for another spacing.
    """
    if steps < 1:
        raise ValueError(f"{steps} steps: at least one is needed")
    u = np.linspace(1.0, 0.0, steps + 1)
    if spacing == "linear":
        return u
    if spacing == "cosine":
        signal, noise = np.cos(np.pi / 2 * u), np.sin(np.pi / 2 * u)
        return np.asarray(noise / (signal + noise))
    if spacing == "shifted":
        return np.asarray(SHIFT * u / (1 + (SHIFT - 1) * u))
    if spacing == "published":
        if steps > PUBLISHED_STEPS:
            raise ValueError(f"{steps} steps: the published chain has {PUBLISHED_STEPS}")
        t = np.rint(PUBLISHED_STEPS * u[:-1]).astype(np.int64) - 1
        return np.append(level_of(alpha_bars()[t]), 0.0)
    raise ValueError(f"spacing {spacing!r}: expected linear, cosine, shifted or published")


def alpha_bars() -> NDArray[np.float64]:
    """Share of the signal's power left at each published step, float64 (1000,); sqrt(beta) is linear."""
    beta = np.linspace(BETA_FIRST**0.5, BETA_LAST**0.5, PUBLISHED_STEPS) ** 2
    return np.cumprod(1 - beta)


def level_of(alpha_bar: NDArray[np.float64]) -> NDArray[np.float64]:
    """Level of the straight line with the signal-to-noise ratio of `alpha_bar`; same shape."""
    signal, noise = np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)
    return np.asarray(noise / (signal + noise))
