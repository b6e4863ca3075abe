"""Small upright JPEGs of each shot, chosen while the film is read once."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from diffbgm.video.analysis import Thumbnail

WIDTH = 160
MOST = 240
EVERY_S = 5.0
_SAMPLE_S = 0.2
# The end of a shot may be told this much later.
_RECENT_S = 6.0


class Album:
    """Keeps a picture of every shot, and of every `EVERY_S` of a long one, in bounded memory.

    Samples are taken densely; once a stretch is known to be one shot, the one nearest to its middle stays.
    """

    def __init__(self) -> None:
        self._samples: list[Thumbnail] = []
        self._kept: list[Thumbnail] = []
        self._start_s = 0.0

    def push(self, time_s: float, yuv: NDArray[np.uint8], aspect: Fraction, rotation: int) -> None:
        """Keep a JPEG of this frame unless the last one is recent. aspect: width/height as stored."""
        if self._samples and time_s - self._samples[-1].time_s < _SAMPLE_S:
            return
        self._samples.append(Thumbnail(time_s, encode(yuv, aspect, rotation)))
        if time_s - _RECENT_S >= self._start_s + EVERY_S:
            self.close_shot(self._start_s + EVERY_S)

    def close_shot(self, end_s: float) -> None:
        """What ran until now is one shot, or one stretch of it: keep its picture, drop its other samples."""
        inside = [s for s in self._samples if self._start_s <= s.time_s < end_s]
        if inside:
            middle = (self._start_s + end_s) / 2
            self._kept.append(min(inside, key=lambda s: abs(s.time_s - middle)))
        self._samples = [s for s in self._samples if s.time_s >= end_s]
        self._start_s = end_s
        if len(self._kept) > 4 * MOST:
            self._kept = self._kept[::2]

    def thumbnails(self) -> tuple[Thumbnail, ...]:
        """At most MOST, evenly chosen, in order of time."""
        chosen = np.unique(
            np.linspace(0, len(self._kept) - 1, min(len(self._kept), MOST)).round().astype(int)
        )
        return tuple(self._kept[k] for k in chosen)


def encode(yuv: NDArray[np.uint8], aspect: Fraction, rotation: int) -> bytes:
    """JPEG of a small frame in its true proportions, WIDTH wide (portrait: WIDTH high), turned upright.

    yuv: uint8 (height, width, 3), Y Cb Cr full range. rotation: counterclockwise degrees, as PyAV gives it.
    """
    long, short = WIDTH, round(WIDTH * float(min(aspect, 1 / aspect)) / 2) * 2
    size = (long, max(short, 2)) if aspect >= 1 else (max(short, 2), long)
    bgr = cv2.cvtColor(np.ascontiguousarray(yuv[..., [0, 2, 1]]), cv2.COLOR_YCrCb2BGR)
    picture = np.rot90(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), round(rotation / 90) % 4)
    ok, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(picture), [cv2.IMWRITE_JPEG_QUALITY, 82])
    if not ok:
        raise RuntimeError("OpenCV was built without JPEG")
    return jpeg.tobytes()
