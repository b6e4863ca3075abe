"""What is known about a film once it has been decoded: the data type of the first station."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

TransitionKind = Literal["cut", "dissolve", "fade"]


@dataclass(frozen=True)
class Shot:
    """One continuous take; `end_s` of a shot is `start_s` of the next."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class Transition:
    """A border between two shots.

    `time_s` is where the eye sees the change: the first frame of the new shot at a cut, the middle of
    a dissolve, the frame where the new picture appears at a fade. `from_s..to_s` is its whole extent
    (equal for a cut). `strength` in 0..1 says how large the change of picture is.
    """

    time_s: float
    kind: TransitionKind
    from_s: float
    to_s: float
    strength: float


@dataclass(frozen=True)
class Curve:
    """A quantity over time: value k holds for the time from k/hz to (k+1)/hz. float32 (n,)."""

    hz: float
    values: NDArray[np.float32]


@dataclass(frozen=True)
class Thumbnail:
    """A small JPEG of the frame at `time_s`."""

    time_s: float
    jpeg: bytes = field(repr=False)


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """What the picture looks like over time (`diffbgm.video.fingerprints`).

    times_s: float64 (frames,), ascending, when each frame comes up. bits: uint8 (frames, 16).
    """

    times_s: NDArray[np.float64]
    bits: NDArray[np.uint8] = field(repr=False)

    @classmethod
    def none(cls) -> Fingerprints:
        """Of a film that is known by its numbers alone."""
        return cls(np.zeros(0), np.zeros((0, 16), np.uint8))

    def on_screen(self, times_s: NDArray[np.float64]) -> NDArray[np.uint8]:
        """The fingerprints of the frames to be seen at these times, uint8 (times, 16)."""
        index = np.searchsorted(self.times_s, times_s + _ROUNDING_S, side="right") - 1
        return self.bits[np.clip(index, 0, len(self.bits) - 1)]


_ROUNDING_S = 1e-3


@dataclass(frozen=True)
class Analysis:
    """Everything the later stations know about the film. All times: seconds from the first frame.

    motion: how much the subject moves, after the camera's own motion was taken out, 0 (still) .. 1.
    camera: how much the camera moves, 0 .. 1. brightness, saturation: 0 .. 1.
    warmth: -1 (blue) .. 1 (orange). All curves have the same rate and length.
    source_lufs: integrated loudness of the film's own sound (EBU R128), None where it has none or it
    is silent throughout. has_music: the film's own sound seems to carry music already.
    """

    video: str
    container: str
    duration_s: float
    frame_rate: Fraction
    n_frames: int
    width: int
    height: int
    rotation: int
    has_audio: bool
    shots: tuple[Shot, ...]
    transitions: tuple[Transition, ...]
    motion: Curve
    camera: Curve
    brightness: Curve
    saturation: Curve
    warmth: Curve
    speech_spans: tuple[tuple[float, float], ...]
    source_lufs: float | None
    has_music: bool
    thumbnails: tuple[Thumbnail, ...]
    warnings: tuple[str, ...]
    fingerprints: Fingerprints = field(default_factory=Fingerprints.none, repr=False)

    @property
    def fps(self) -> float:
        return float(self.frame_rate)
