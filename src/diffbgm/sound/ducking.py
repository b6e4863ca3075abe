"""One sound going down under another: a gain curve from spans of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.sound.files import Block
from diffbgm.sound.fluidsynth import SAMPLE_RATE

# Pauses shorter than this are part of the span: the level should not pump between sentences.
_SHORTEST_PAUSE_S: Final = 1.0

Span = tuple[float, float]


def merge_spans(spans: Iterable[Span], shortest_gap_s: float) -> tuple[Span, ...]:
    """In order of time, those joined that overlap or lie closer than `shortest_gap_s`."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start - merged[-1][1] < shortest_gap_s:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


@dataclass(frozen=True)
class Ducking:
    """Down by `depth_db` within the spans, which are in seconds.

    The way down takes `ramp_s` and is over when a span begins, the way up begins when it ends; both are
    raised cosines in decibels.
    """

    spans: tuple[Span, ...] = ()
    depth_db: float = 0.0
    ramp_s: float = 0.4

    @cached_property
    def _points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Corners of the curve: times, and how far down, 0..1."""
        spans = merge_spans(self.spans, max(_SHORTEST_PAUSE_S, 2 * self.ramp_s))
        times = [t for a, b in spans for t in (a - self.ramp_s, a, b, b + self.ramp_s)]
        return np.asarray(times), np.tile([0.0, 1.0, 1.0, 0.0], len(spans))

    def gains(self, start: int, n_samples: int) -> Block:
        """Gain of each sample from sample `start` on, float32 (1, n_samples)."""
        times, depths = self._points
        if not times.size or not self.depth_db:
            return np.ones((1, n_samples), np.float32)
        at = np.arange(start, start + n_samples) / SAMPLE_RATE
        down = 0.5 - 0.5 * np.cos(np.pi * np.interp(at, times, depths))
        return np.asarray(10.0 ** (-self.depth_db / 20.0 * down), np.float32)[None]
