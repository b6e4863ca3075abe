"""Where one shot ends and the next begins."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from diffbgm.video.analysis import Transition


class ShotDetector:
    """Feed it the frames in order; it yields transitions some seconds later. Memory does not grow."""

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None

    def push(self, time_s: float, yuv: NDArray[np.uint8]) -> Iterator[Transition]:
        """yuv: uint8 (height, width, 3), Y Cb Cr full range."""
        small = cv2.resize(yuv, (48, 27), interpolation=cv2.INTER_AREA).astype(np.float32)
        if self._last is not None:
            change = float(np.abs(small - self._last).mean())
            if change > 25:
                yield Transition(time_s, "cut", time_s, time_s, min(change / 80, 1.0))
        self._last = small

    def finish(self) -> Iterator[Transition]:
        """The transitions not yet told when the film ends."""
        yield from ()
