"""Self-similarity matrix: which moments of a piece sound like which others.

The enhanced matrix of Mueller's audio thumbnailing with MusDr's settings: similar stretches appear as
paths in it, also where they are transposed or played up to twice as fast or slow.
Mueller, "Fundamentals of Music Processing", sections 4.2.2 and 4.2.3; settings as in MusDr
(github.com/slSeanWU/MusDr, `run_python_scapeplot.py`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from diffbgm.timing import FloatArray

SMOOTHING_LENGTH: Final = 16  # frames: 8 s
TEMPO_RATIOS: Final = np.exp(np.linspace(np.log(0.5), np.log(2), 7))
KEPT_SHARE: Final = 0.25
PENALTY: Final = -2.0


def self_similarity(features: FloatArray) -> FloatArray:
    """Enhanced self-similarity of feature frames, float64 (frames, frames): 1 = alike, -2 = not.

    S = max over 12 transpositions and 7 tempo ratios of the dot product smoothed over 16 frames along
    the diagonal, forwards and backwards. The highest quarter of the cells is kept and scaled to 0..1, the
    others become -2, the diagonal 1.
    features: (frames, 12), rows of length 1. Raises ValueError for another shape or values not finite.
    """
    if features.ndim != 2 or features.shape[1] != 12 or not np.isfinite(features).all():
        raise ValueError(f"features of shape {features.shape}; expected finite (frames, 12)")
    best = np.zeros((len(features), len(features)))
    for shift in range(12):
        plain = np.roll(features, shift, axis=1) @ features.T
        for ratio in TEMPO_RATIOS:
            np.maximum(best, _smoothed(plain, ratio), out=best)
    return _thresholded(best)


def _smoothed(plain: FloatArray, ratio: float) -> FloatArray:
    """Mean along the diagonal forwards or backwards, whichever is greater, with the columns stretched.

    Beyond the border the matrix counts as 0, so the mean falls towards the ends of a piece.
    """
    n = len(plain)
    stretched_length = int(np.ceil(n / ratio))
    stretched = plain[:, _resampling(stretched_length, n)]
    pad = SMOOTHING_LENGTH - 1
    sums = np.zeros((n + 2 * pad, stretched_length + 2 * pad))
    sums[pad : pad + n, pad : pad + stretched_length] = stretched
    reach = 1
    while reach < SMOOTHING_LENGTH:  # sums over 1, 2, 4, 8, 16 cells down the diagonal
        sums = sums[: len(sums) - reach, : sums.shape[1] - reach] + sums[reach:, reach:]
        reach *= 2
    forwards, backwards = sums[pad:, pad:], sums[:n, :stretched_length]
    both = np.maximum(forwards, backwards) / SMOOTHING_LENGTH
    return both[:, _resampling(n, stretched_length)]


def _resampling(count: int, source: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """`count` indices spread over 0 .. source - 1."""
    return np.maximum(np.around(np.arange(1, count + 1) / count * source) - 1, 0).astype(np.int64)


def _thresholded(similarity: FloatArray) -> FloatArray:
    below = round(similarity.size * (1 - KEPT_SHARE))
    limit = np.partition(similarity.ravel(), below)[below]
    kept = np.where(similarity >= limit, similarity, 0.0)
    positive = kept[kept > 0]
    if positive.size and positive.max() > positive.min():
        scaled = (kept - positive.min()) / (positive.max() - positive.min())
        kept = np.where(kept == 0, PENALTY, scaled)
    np.fill_diagonal(kept, 1.0)
    return kept
