"""Pitch metrics of the paper and of the field, on plain arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)


def pitch_class_counts(onsets: NDArray[np.generic], lowest_pitch: int = 21) -> NDArray[np.int64]:
    """How often each pitch class starts, int64 (..., 12), from onset counts or bits (..., pitches)."""
    classes = (np.arange(onsets.shape[-1]) + lowest_pitch) % 12
    return np.stack([onsets[..., classes == c].sum(axis=-1) for c in range(12)], axis=-1).astype(np.int64)


def pitch_class_entropy(counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """Entropy of the pitch-class histogram in bits, float64 (...,), 0 .. log2 12 = 3.585 (PCHE).

    H = - sum_c p_c log2 p_c (Wu and Yang 2020, arXiv 2008.01307). counts: (..., 12); NaN where all are 0.
    """
    total = counts.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = counts / total
        terms = np.where(p > 0, p * np.log2(p), 0.0)
    return np.where(total[..., 0] > 0, -terms.sum(axis=-1), np.nan)


def scale_share(counts: NDArray[np.generic], tonic: int = 0) -> float:
    """Share of the notes that lie in the major scale on `tonic`; NaN where there are none."""
    inside = [(tonic + degree) % 12 for degree in MAJOR_SCALE]
    total = counts.sum()
    return float(counts[..., inside].sum() / total) if total else float("nan")
