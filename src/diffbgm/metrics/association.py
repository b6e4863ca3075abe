"""Do two curves rise and fall together? Rank correlation with a null that knows about smooth curves.

Curves over time are smooth, so their values are far from independent and the textbook p-value of a
correlation is much too small. Here the null turns one curve round in time against the other: both keep
their shape, and only their alignment is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffbgm.metrics.alignment import finite

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Association:
    """rho: Spearman's rank correlation. null_mean, null_sd: over all circular shifts.

    p: share of the shifts that reach at least rho, rho itself counted (one-sided). n: values compared.
    NaN throughout where a curve is constant or too short to be shifted.
    """

    rho: float
    p: float
    null_mean: float
    null_sd: float
    n: int

    def to_json(self) -> dict[str, Any]:
        """Plain values; None for NaN."""
        return {
            "rho": finite(self.rho),
            "p": finite(self.p),
            "null_mean": finite(self.null_mean),
            "null_sd": finite(self.null_sd),
            "n": self.n,
        }


def ranks(values: FloatArray) -> FloatArray:
    """Ranks from 1, equal values sharing the mean of theirs, float64 (n,)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts).astype(np.float64)
    shared: FloatArray = (last - (counts - 1) / 2)[inverse]
    return shared


def spearman(a: FloatArray, b: FloatArray) -> float:
    """Spearman's rank correlation (ties by mean ranks), -1 .. 1; NaN for fewer than 3 or constant values."""
    if len(a) != len(b):
        raise ValueError(f"{len(a)} values against {len(b)}")
    if len(a) < 3:
        return float("nan")
    x, y = (ranks(np.asarray(values, np.float64)) - (len(a) + 1) / 2 for values in (a, b))
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0 else float("nan")


def circular_shift_test(a: FloatArray, b: FloatArray, min_shift: int) -> Association:
    """Spearman's correlation of two curves beside all circular shifts of at least `min_shift` values.

    min_shift: how far a curve must be moved before it counts as moved (the length of the averaging window).
    """
    nothing = float("nan")
    rho = spearman(a, b)
    shifts = np.arange(min_shift, len(a) - min_shift + 1)
    if np.isnan(rho) or len(shifts) < 3:
        return Association(rho, nothing, nothing, nothing, len(a))
    null = np.array([spearman(np.roll(a, shift), b) for shift in shifts])
    p = (1 + (null >= rho - 1e-12).sum()) / (1 + len(null))
    return Association(rho, float(p), float(null.mean()), float(null.std()), len(a))
