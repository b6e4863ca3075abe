"""One sound going down under another: a gain curve from spans of time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from diffbgm.sound.files import Block
from diffbgm.sound.fluidsynth import SAMPLE_RATE
from diffbgm.timing import Span, merge_spans


@dataclass(frozen=True)
class Ducking:
    """Down by `depth_db` within the spans, which are in seconds: by one depth, or by one a span.

    The way down takes `ramp_s` and is over when a span begins, the way up begins when it ends; both are
    raised cosines in decibels. Spans too close for both ways become one, as deep as the deepest of them.
    """

    spans: tuple[Span, ...] = ()
    depth_db: float | tuple[float, ...] = 0.0
    ramp_s: float = 0.4

    @cached_property
    def _curve(self) -> tuple[tuple[Span, ...], NDArray[np.float64]]:
        """Spans apart from each other, and the depth of each in decibels."""
        merged = merge_spans(self.spans, 2 * self.ramp_s)
        begins = [begin for begin, _ in merged]
        wanted, depths = np.broadcast_to(self.depth_db, len(self.spans)), np.zeros(len(merged))
        for (begin, _), depth in zip(self.spans, wanted, strict=True):
            index = int(np.searchsorted(begins, begin, side="right")) - 1
            depths[index] = max(depths[index], depth)
        return merged, depths

    def down_db(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far down at each of these seconds, in decibels."""
        merged, depths = self._curve
        if not depths.any():
            return np.zeros(len(at_s))
        corners = [t for a, b in merged for t in (a - self.ramp_s, a, b, b + self.ramp_s)]
        share = np.interp(at_s, corners, np.tile([0.0, 1.0, 1.0, 0.0], len(merged)))
        latest = np.searchsorted(corners[::4], at_s, side="right") - 1
        return np.asarray(depths[np.maximum(latest, 0)] * (0.5 - 0.5 * np.cos(np.pi * share)))

    def gains(self, start: int, n_samples: int) -> Block:
        """Gain of each sample from sample `start` on, float32 (1, n_samples)."""
        if not self.spans:
            return np.ones((1, n_samples), np.float32)
        at_s = np.arange(start, start + n_samples) / SAMPLE_RATE
        return np.asarray(10.0 ** (-self.down_db(at_s) / 20.0), np.float32)[None]
