"""Rhythm metrics of the paper and of the field, on plain arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def grooving_similarity(bars: NDArray[np.bool_]) -> float:
    """Mean similarity of the onset patterns of all pairs of bars, 0 .. 1 (GPS).

    GS(a, b) = 1 - (1/Q) sum_i XOR(a_i, b_i) (Wu and Yang 2020, arXiv 2008.01307), averaged over every
    pair of different bars. bars: bool (bars, positions). NaN for fewer than two bars.
    """
    count = len(bars)
    if count < 2:
        return float("nan")
    signs = np.where(bars, 1.0, -1.0)
    agreement = signs @ signs.T / bars.shape[1]  # 1 - 2 Hamming / Q
    similarity = (1 + agreement) / 2
    return float((similarity.sum() - count) / (count * (count - 1)))
