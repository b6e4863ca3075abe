"""The statistics of a listening test: exact tests, bootstrap intervals, agreement. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Scale = Literal["nominal", "ordinal", "interval"]

N_RESAMPLES = 4000


def signed_rank_test(differences: FloatArray) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test, exact also with ties; 1 where nothing differs.

    Wilcoxon 1945; differences of zero are left out. Under the null every sign is equally likely, and the
    distribution of the rank sum over all 2^n signs is counted, not approximated.
    """
    nonzero = differences[differences != 0]
    if not len(nonzero):
        return 1.0
    size = np.abs(nonzero)
    # Twice the mean rank, so that ties stay whole numbers.
    doubled = ((size[:, None] > size).sum(axis=1) * 2 + (size[:, None] == size).sum(axis=1) + 1).astype(int)
    ways = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1.0
    for rank in doubled:
        ways[rank:] = (ways[rank:] + ways[: len(ways) - rank]) / 2
        ways[:rank] /= 2
    reached = int(doubled[nonzero > 0].sum())
    return min(1.0, 2 * min(float(ways[: reached + 1].sum()), float(ways[reached:].sum())))


def binomial_test(successes: int, n: int) -> float:
    """Two-sided exact p-value of `successes` of `n` when both outcomes are equally likely; 1 for n = 0."""
    fewer = min(successes, n - successes)
    return float(min(1.0, 2 * sum(comb(n, k) for k in range(fewer + 1)) / 2**n))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for testing several hypotheses at once (Holm 1979), in the given order."""
    order = np.argsort(p_values, kind="stable")
    out = [1.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        out[int(index)] = largest
    return out


def bootstrap_mean(table: FloatArray, rng: np.random.Generator) -> tuple[float, float, float]:
    """Mean of a table and its 95 % interval over listeners and videos: (mean, low, high).

    table: float64 (listeners, videos), NaN where nothing was answered. Both axes are resampled at once
    (Owen 2007, the pigeonhole bootstrap), because other listeners and other videos would both have given
    other figures. An axis of length 1 is kept as it is, and then the interval knows nothing of it. NaN for
    an empty table.
    """
    known = np.isfinite(table)
    if not known.any():
        return (float("nan"),) * 3
    values = np.where(known, table, 0.0)
    listeners, videos = (_resampled(length, rng) for length in table.shape)
    total = np.einsum("bl,lv,bv->b", listeners, values, videos, optimize=True)
    count = np.einsum("bl,lv,bv->b", listeners, known.astype(np.float64), videos, optimize=True)
    means = total[count > 0] / count[count > 0]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(values.sum() / known.sum()), float(low), float(high)


def _resampled(length: int, rng: np.random.Generator) -> FloatArray:
    """How often each of `length` things is drawn, float64 (resamples, length)."""
    if length == 1:
        return np.ones((N_RESAMPLES, 1))
    return rng.multinomial(length, np.full(length, 1 / length), N_RESAMPLES).astype(np.float64)


def krippendorff_alpha(ratings: FloatArray, scale: Scale) -> float:
    """Agreement of raters: 1 perfect, 0 as by chance, below 0 worse (Krippendorff 2011).

    ratings: float64 (raters, units), NaN where missing. NaN where no unit has two ratings, or all are equal.
    """
    values = np.unique(ratings[np.isfinite(ratings)])
    counts = np.array([(ratings == value).sum(axis=0) for value in values], np.float64)  # (values, units)
    counts = counts[:, counts.sum(axis=0) >= 2] if len(values) else counts.reshape(0, 0)
    if counts.shape[1] == 0:
        return float("nan")
    per_unit = counts.sum(axis=0)
    pairs = (counts / (per_unit - 1)) @ counts.T - np.diag((counts / (per_unit - 1)).sum(axis=1))
    totals = pairs.sum(axis=1)
    n = totals.sum()
    difference = _differences(values, totals, scale)
    expected = float((np.outer(totals, totals) * difference).sum() / (n - 1))
    observed = float((pairs * difference).sum())
    return 1 - observed / expected if expected > 0 else float("nan")


def _differences(values: FloatArray, totals: FloatArray, scale: Scale) -> FloatArray:
    """Squared distances of all pairs of values, float64 (values, values)."""
    if scale == "nominal":
        return 1.0 - np.eye(len(values))
    at = values
    if scale == "ordinal":  # the distance is how many ratings lie between, half of both ends included
        at = np.cumsum(totals) - totals / 2
    return np.asarray((at[:, None] - at[None, :]) ** 2, np.float64)
