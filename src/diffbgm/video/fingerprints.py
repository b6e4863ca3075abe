"""What each frame looks like, in 128 bits: enough to find it again in another cut of the film.

A frame is brought to 8x9 cells, upright, eight along its longer side; a bit says whether the picture grows
brighter by more than noise from a cell to the one on its right, or to the one below (the difference hash, in
both directions: 127 bits). Scaling, another encoding and mild grading leave nearly all of them as they are.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from diffbgm.video.analysis import Fingerprints

_LONG, _SHORT = 16, 9  # divides the small frames evenly, which is much the fastest
_NOISE = 2  # of 510; in an evenly coloured picture no bit is set


@dataclass
class FingerprintReader:
    """Collects the fingerprints of a film, frame by frame: 24 bytes a frame."""

    _times: array[float] = field(default_factory=lambda: array("d"))
    _bits: bytearray = field(default_factory=bytearray)

    def push(self, time_s: float, yuv: NDArray[np.uint8], rotation: int) -> None:
        """yuv: uint8 (height, width, 3), Y Cb Cr full range. rotation: counterclockwise degrees."""
        self._times.append(time_s)
        self._bits += fingerprint(np.asarray(cv2.extractChannel(yuv, 0), np.uint8), rotation)

    def fingerprints(self) -> Fingerprints:
        return Fingerprints(np.array(self._times), np.frombuffer(bytes(self._bits), np.uint8).reshape(-1, 16))


def fingerprint(luma: NDArray[np.uint8], rotation: int = 0) -> bytes:
    """The 16 bytes of one frame. luma: uint8 (height, width); rotation: what turns it upright."""
    size = (_LONG, _SHORT) if luma.shape[1] >= luma.shape[0] else (_SHORT, _LONG)
    cells = np.rot90(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), round(rotation / 90) % 4)
    cells = cells.astype(np.int16)
    cells = cells[:, ::2] + cells[:, 1::2] if cells.shape[1] == _LONG else cells[::2] + cells[1::2]
    across, down = cells[:, 1:] - cells[:, :-1], cells[1:] - cells[:-1]
    return np.packbits(np.concatenate((across.ravel(), down.ravel())) > _NOISE).tobytes()
