"""Could the music be real? Distances between two sets of music, and a classifier that tries to tell.

Two views of the same features (`diffbgm.metrics.features`):

- `feature_distances`: overlapping area (OA) and Kullback-Leibler divergence (KL) between the distances
  inside a set and the distances from it to the other set, feature by feature (Yang and Lerch 2020,
  section 4.2). OA near 1 and KL near 0: the sets are as like each other as each is to itself.
- `two_sample_test`: gradient boosting learns to tell the sets apart and is asked about songs that it has
  not seen (Lopez-Paz and Oquab, ICLR 2017, arXiv 1610.06545). AUC 0.5: it cannot.

Real music does not reach the ideal exactly, so give the same figures of real against real beside them.
Departures from the published toolbox (github.com/RichardYang40148/mgeval): densities are kernel estimates
on a common grid of both ranges, so that OA and KL see the same two curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.errors import MissingToolError
from diffbgm.timing import FloatArray

_GRID: Final = 1000
_LEAST_DENSITY: Final = 1e-9
MOST_ROWS: Final = 800
"""Rows a side that distances are taken between; more are thinned evenly."""


@dataclass(frozen=True)
class Distances:
    """overlap: overlapping area, 0 .. 1. kl: divergence of inside from across, nats, 0 = alike.
    inside, across: mean distance within the first set and to the second."""

    overlap: float
    kl: float
    inside: float
    across: float


@dataclass(frozen=True)
class TwoSample:
    """accuracy and auc of a classifier on songs unseen in training; 0.5 = the sets cannot be told apart.

    auc_ci95, accuracy_ci95: bootstrap intervals over groups. n: windows a side.
    """

    accuracy: float
    auc: float
    auc_ci95: tuple[float, float]
    n: int
    accuracy_ci95: tuple[float, float]


def validate(first: FloatArray, second: FloatArray) -> None:
    """Raises ValueError unless both are finite (rows, same dimensions) with two rows or more."""
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"features of shapes {first.shape} and {second.shape}; expected (rows, same width)")
    if min(len(first), len(second)) < 2:
        raise ValueError("distances need two rows or more on each side")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("features must be finite")


def feature_distances(first: FloatArray, second: FloatArray) -> Distances:
    """OA and KL between distances inside `first` and from `first` to `second`.

    Euclidean distances over all pairs of different rows; densities by a Gaussian kernel of Scott's width.
    first, second: float64 (rows, dimensions), one feature. Raises ValueError as `validate`.
    """
    validate(first, second)
    a, b = _thinned(first), _thinned(second)
    inside = _pairwise(a, a)[np.triu_indices(len(a), 1)]
    across = _pairwise(a, b).ravel()
    p, q, step = _densities(inside, across)
    overlap = float(np.minimum(p, q).sum() * step)
    kl = float((p * np.log((p + _LEAST_DENSITY) / (q + _LEAST_DENSITY))).sum() * step)
    return Distances(min(1.0, overlap), max(0.0, kl), float(inside.mean()), float(across.mean()))


def evaluate(first: dict[str, FloatArray], second: dict[str, FloatArray]) -> dict[str, Distances]:
    """`feature_distances` of every feature of two tables from `features.table`."""
    return {name: feature_distances(first[name], second[name]) for name in first}


def two_sample_test(
    first: FloatArray,
    second: FloatArray,
    first_groups: Sequence[Any],
    second_groups: Sequence[Any],
    *,
    folds: int = 5,
    seed: int = 0,
    rounds: int = 1000,
) -> TwoSample:
    """Train a gradient-boosting classifier to tell `first` from `second`, test it on unseen groups.

    Rows of the larger set are thinned to the size of the smaller. Groups (songs) are dealt to the folds,
    so that no song is in training and test at once; the same name on both sides means the same song.
    first, second: float64 (windows, dimensions). Accuracy is at the threshold that training implies, 0.5.
    Raises ValueError for fewer groups than folds or shapes that differ, MissingToolError without
    scikit-learn.
    """
    boosting = _classifier()
    validate(first, second)
    size = min(len(first), len(second))
    keep_a, keep_b = _spread(len(first), size), _spread(len(second), size)
    x = np.concatenate([first[keep_a], second[keep_b]])
    y = np.repeat([0, 1], size)
    names = [str(first_groups[k]) for k in keep_a] + [str(second_groups[k]) for k in keep_b]
    groups = np.unique(names, return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    fold_of_group = _deal(groups, y, folds, rng)
    fold = fold_of_group[groups]
    scores = np.zeros(len(y))
    for k in range(folds):
        model = boosting(random_state=seed).fit(x[fold != k], y[fold != k])
        scores[fold == k] = model.predict_proba(x[fold == k])[:, 1]
    members = [np.flatnonzero(groups == group) for group in range(int(groups.max()) + 1)]
    draws = [
        np.concatenate([members[g] for g in rng.integers(0, len(members), len(members))])
        for _ in range(rounds)
    ]
    right = (scores > 0.5) == y
    return TwoSample(
        float(right.mean()),
        auc(scores, y),
        _central([auc(scores[d], y[d]) for d in draws]),
        size,
        _central([float(right[d].mean()) for d in draws]),
    )


def auc(scores: FloatArray, labels: NDArray[Any]) -> float:
    """Probability that a positive row scores above a negative one (ties count half); NaN without both."""
    values, ranks, counts = np.unique(scores, return_inverse=True, return_counts=True)
    del values
    middle = np.cumsum(counts) - (counts - 1) / 2
    positive = np.asarray(labels, bool)
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    if not n_pos or not n_neg:
        return float("nan")
    return float((middle[ranks][positive].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


def _central(values: Sequence[float]) -> tuple[float, float]:
    """The central 95 %."""
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


def _classifier() -> Any:
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
    except ImportError as error:
        raise MissingToolError(
            "the classifier test needs scikit-learn; install it with: pip install 'diffbgm[eval]'"
        ) from error
    return HistGradientBoostingClassifier


def _deal(
    groups: NDArray[Any], labels: NDArray[Any], folds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """A fold for each group; groups of either kind (or both) are dealt out evenly."""
    count = int(groups.max()) + 1
    kind = np.array([labels[groups == g].mean() for g in range(count)])
    if min((kind < 1).sum(), (kind > 0).sum()) < folds:
        raise ValueError(f"{folds} folds need as many songs on each side")
    fold = np.zeros(count, np.int64)
    for chosen in (kind == 0, kind == 1, (kind > 0) & (kind < 1)):
        members = np.flatnonzero(chosen)
        fold[rng.permutation(members)] = np.arange(len(members)) % folds
    return fold


def _spread(count: int, size: int) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, size).round().astype(np.int64)


def _thinned(rows: FloatArray) -> FloatArray:
    return rows[_spread(len(rows), min(len(rows), MOST_ROWS))]


def _pairwise(a: FloatArray, b: FloatArray) -> FloatArray:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def _densities(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Kernel densities of two samples on one grid, and its step."""
    low, high = min(first.min(), second.min()), max(first.max(), second.max())
    margin = 0.2 * (high - low) or 1.0
    edges = np.linspace(low - margin, high + margin, _GRID + 1)
    step = float(edges[1] - edges[0])
    return _density(first, edges, step), _density(second, edges, step), step


def _density(sample: FloatArray, edges: FloatArray, step: float) -> FloatArray:
    width = max(float(sample.std()) * len(sample) ** -0.2, step)
    reach = min(_GRID - 1, int(np.ceil(5 * width / step)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / width) ** 2)
    smooth = np.convolve(np.histogram(sample, edges)[0], kernel)[reach : reach + _GRID]
    return np.asarray(smooth / (smooth.sum() * step))
