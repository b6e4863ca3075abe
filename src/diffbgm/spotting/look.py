"""How stretches of the film look: the means that scenes, labels and mood are judged by."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffbgm.video.analysis import Analysis, Curve

FloatArray = NDArray[np.float64]

# brightness, saturation, warmth, motion: how far apart each sets two pictures.
_SCALE: FloatArray = np.array([1.0, 1.0, 0.7, 0.7])
_CUT_WINDOW_S = 4.0


@dataclass(frozen=True)
class Look:
    """Means of a stretch, and how often it cuts (transitions a second)."""

    brightness: float
    saturation: float
    warmth: float
    motion: float

    def distance(self, other: Look) -> float:
        """How different two stretches look: 0 alike, from about 0.3 plainly different."""
        return float(np.linalg.norm((self._vector() - other._vector()) * _SCALE))

    def valence(self) -> float:
        """How friendly the picture is, -0.7..0.7: bright, warm and colourful against dark, blue and grey."""
        value = 0.05 + 1.2 * (self.brightness - 0.42) + 0.5 * self.warmth + 0.4 * (self.saturation - 0.3)
        return max(-0.7, min(0.7, value))

    def _vector(self) -> FloatArray:
        return np.array([self.brightness, self.saturation, self.warmth, self.motion])


class Film:
    """The analysis, prepared for asking about any stretch of it."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self._curves = tuple(
            _Means(curve)
            for curve in (analysis.brightness, analysis.saturation, analysis.warmth, analysis.motion)
        )
        self._cuts = sorted(each.time_s for each in analysis.transitions)

    def look(self, start_s: float, end_s: float) -> Look:
        return Look(*(curve.mean(start_s, end_s) for curve in self._curves))

    def motion(self, start_s: float, end_s: float) -> float:
        return self._curves[3].mean(start_s, end_s)

    def cut_rate(self, at_s: float) -> float:
        """Transitions a second around a moment."""
        low, high = max(0.0, at_s - _CUT_WINDOW_S), min(self.analysis.duration_s, at_s + _CUT_WINDOW_S)
        inside = bisect_right(self._cuts, high) - bisect_left(self._cuts, low)
        return inside / max(high - low, 1.0)


class _Means:
    """Mean of a curve over any stretch in constant time, by its running integral."""

    def __init__(self, curve: Curve) -> None:
        self._hz = curve.hz
        self._sum = np.concatenate(([0.0], np.cumsum(curve.values, dtype=np.float64)))

    def mean(self, start_s: float, end_s: float) -> float:
        last = len(self._sum) - 1
        if last == 0:
            return 0.0
        low = min(max(math.floor(start_s * self._hz), 0), last - 1)
        high = min(max(math.ceil(end_s * self._hz), low + 1), last)
        return float((self._sum[high] - self._sum[low]) / (high - low))
