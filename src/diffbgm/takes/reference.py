"""Real songs as a Gaussian: how far a stretch lies from them, and where their middle 99 % ends.

The numbers were counted on the training songs' windows by `benchmarks/takes_fit.py`; nothing of a single song
is in them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np

from diffbgm.takes.features import FEATURES
from diffbgm.timing import FloatArray

FILE: Final = "songs.json"
LENGTHS: Final = (16, 8, 4)
"""Bars of the stretches that were counted, the longest first."""


@dataclass(frozen=True)
class Reference:
    """Stretches of songs of `bars` bars.

    mean: float64 (23,), covariance: (23, 23), of `FEATURES`. low, high: their 0.5 and 99.5 percentiles.
    usual, far: the median and the 99.5 percentile of `distance`. off_key: the 99.5 percentile of the share of
    notes outside the scale.
    """

    bars: int
    mean: FloatArray
    covariance: FloatArray
    low: FloatArray
    high: FloatArray
    usual: float
    far: float
    off_key: float

    def distance(self, features: FloatArray) -> float:
        """Squared Mahalanobis distance a dimension, over the features that are not NaN; NaN for none.

        1 on average for the songs themselves.
        """
        known = np.isfinite(features)
        if not known.any():
            return float("nan")
        apart = (features - self.mean)[known]
        within = self.covariance[np.ix_(known, known)]
        return float(apart @ np.linalg.solve(within, apart) / known.sum())

    def standard(self, features: FloatArray, name: str) -> float:
        """How many standard deviations a feature lies above the songs' mean."""
        at = FEATURES.index(name)
        return float((features[at] - self.mean[at]) / np.sqrt(self.covariance[at, at]))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, rounded to five digits; of the covariance the lower triangle, row by row."""
        rows = np.tril_indices(len(FEATURES))
        return {
            "bars": self.bars, "mean": _rounded(self.mean), "covariance": _rounded(self.covariance[rows]),
            "low": _rounded(self.low), "high": _rounded(self.high), "usual": round(self.usual, 4),
            "far": round(self.far, 4), "off_key": round(self.off_key, 4),
        }  # fmt: skip

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> Reference:
        """What `to_json` gave."""
        covariance = np.zeros((len(FEATURES), len(FEATURES)))
        covariance[np.tril_indices(len(FEATURES))] = data["covariance"]
        covariance += np.tril(covariance, -1).T
        mean, low, high = (np.array(data[name], np.float64) for name in ("mean", "low", "high"))
        return cls(data["bars"], mean, covariance, low, high, data["usual"], data["far"], data["off_key"])


def _rounded(values: FloatArray) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


@cache
def references() -> dict[int, Reference]:
    """The references in the package by their length in bars; read once."""
    text = (resources.files("diffbgm.takes") / FILE).read_text(encoding="utf-8")
    return {each["bars"]: Reference.of_json(each) for each in json.loads(text)["songs"]}


def reference_for(n_bars: int) -> Reference | None:
    """The one of the longest stretches that fit into `n_bars`; None below four bars."""
    fitting = [length for length in LENGTHS if length <= n_bars]
    return references()[fitting[0]] if fitting else None
