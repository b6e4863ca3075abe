"""The last seconds of a film as small frames, with the few numbers by which shots are found."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from diffbgm.video.analysis import Transition, TransitionKind
from diffbgm.video.similarity import local_match, same_view

KEPT_S = 5.0
_KEPT_FRAMES = 16  # at least, for films of a frame in seconds
NEAR_S = 1.0  # frames further apart tell nothing about each other's motion

# local_match of frames of one scene is hardly ever below the first, of unrelated scenes never above it by
# much; below the second there is no need to look whether the view was only zoomed.
OTHER_SCENE = 0.6
NO_TRACE = 0.3
FAINT = 6.0  # spread up to which noise may hide the shape of a picture

_TINY = (48, 27)
_BLANK_SPREAD = 3.0  # of the tiny picture, in which noise has been averaged away
_BLANK_DARK, _BLANK_BRIGHT = 40.0, 215.0
_LIT = 32  # luma that a letterbox bar never reaches
_LEAST_PICTURE = 0.4  # of a side: less than this and the bars are part of the picture


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame and its numbers; levels are 0..255.

    tiny: float32 (rows, columns, 3). shape: its luma brought to mean 0 and deviation 1, so that fades and
    flashes hardly count; spread: that deviation. change, reshaping: mean difference of `tiny` and of `shape`
    to the frame before. detail: mean squared gradient of the luma. blank: evenly black or white.
    """

    number: int
    time_s: float
    luma: NDArray[np.uint8]
    tiny: NDArray[np.float32]
    shape: NDArray[np.float32]
    spread: float
    change: float
    reshaping: float
    detail: float
    blank: bool


@dataclass(frozen=True)
class Candidate:
    """A transition that may still be outranked by another one at the same place."""

    transition: Transition
    rank: float


class Window:
    """Frames of the last KEPT_S seconds or somewhat more, oldest first, in `frames`."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self._times: list[float] = []
        self._lit_rows = np.zeros(0, bool)
        self._lit_columns = np.zeros(0, bool)

    def push(self, time_s: float, yuv: NDArray[np.uint8]) -> Frame:
        """Take in the next frame. yuv: uint8 (height, width, 3), Y Cb Cr full range."""
        luma = np.ascontiguousarray(yuv[..., 0])
        if self.frames and luma.shape != self.frames[-1].luma.shape:  # the film turned from wide to tall
            rows, columns = self.frames[-1].luma.shape
            luma = np.asarray(cv2.resize(luma, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
        tiny = cv2.resize(yuv, _TINY, interpolation=cv2.INTER_AREA).astype(np.float32)
        mean, spread = (float(v[0, 0]) for v in cv2.meanStdDev(tiny[..., 0]))
        shape = (tiny[..., 0] - mean) / max(spread, 2.0)
        last = self.frames[-1] if self.frames else None
        frame = Frame(
            number=0 if last is None else last.number + 1,
            time_s=time_s,
            luma=luma,
            tiny=tiny,
            shape=shape,
            spread=spread,
            change=0.0 if last is None else cv2.norm(tiny, last.tiny, cv2.NORM_L1) / tiny.size,
            reshaping=0.0 if last is None else cv2.norm(shape, last.shape, cv2.NORM_L1) / shape.size,
            detail=_detail(luma),
            blank=spread < _BLANK_SPREAD and not _BLANK_DARK < mean < _BLANK_BRIGHT,
        )
        self._light_up(luma)
        self.frames.append(frame)
        self._times.append(time_s)
        # Trimmed in lumps; the oldest frames are of no use to anyone.
        if self._times[0] < time_s - 2 * KEPT_S:
            old = max(0, min(bisect_left(self._times, time_s - KEPT_S), len(self.frames) - _KEPT_FRAMES))
            del self.frames[:old], self._times[:old]
        return frame

    def at(self, time_s: float) -> Frame:
        """The first frame at or after `time_s`, or the newest."""
        return self.frames[min(bisect_left(self._times, time_s), len(self.frames) - 1)]

    def between(self, from_s: float, to_s: float) -> list[Frame]:
        """Frames with from_s <= time < to_s."""
        return self.frames[bisect_left(self._times, from_s) : bisect_left(self._times, to_s)]

    def around(self, frame: Frame, reach: int) -> list[Frame]:
        """Up to `reach` frames on either side of `frame`, without itself, as far as they are near in time."""
        at = frame.number - self.frames[0].number
        both = self.frames[max(at - reach, 0) : at] + self.frames[at + 1 : at + 1 + reach]
        return [f for f in both if abs(f.time_s - frame.time_s) <= NEAR_S]

    def neighbour(self, frame: Frame, step: int) -> Frame | None:
        """The frame `step` frames after `frame` (before it, where negative), if it is known."""
        at = frame.number - self.frames[0].number + step
        return self.frames[at] if 0 <= at < len(self.frames) else None

    def match(self, a: Frame, b: Frame) -> float | None:
        """`local_match` of two frames within the lit part of the picture."""
        return local_match(self._crop(a.luma), self._crop(b.luma))

    def same_view(self, a: Frame, b: Frame) -> bool:
        """`same_view` of two frames within the lit part of the picture."""
        return same_view(self._crop(a.luma), self._crop(b.luma))

    def _light_up(self, luma: NDArray[np.uint8]) -> None:
        """Remember which rows and columns ever held more than black: the rest is letterbox."""
        if self._lit_rows.all() and self._lit_columns.all() and self._lit_rows.size:
            return
        rows, columns = luma.max(axis=1) > _LIT, luma.max(axis=0) > _LIT
        if self._lit_rows.size == 0:
            self._lit_rows, self._lit_columns = rows, columns
        else:
            self._lit_rows |= rows
            self._lit_columns |= columns

    def _crop(self, luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
        rows, columns = np.flatnonzero(self._lit_rows), np.flatnonzero(self._lit_columns)
        if len(rows) < _LEAST_PICTURE * luma.shape[0] or len(columns) < _LEAST_PICTURE * luma.shape[1]:
            return luma
        return luma[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def transition(
    kind: TransitionKind | Literal["cut"],
    time_s: float,
    span: tuple[float, float],
    match: float,
    change: float,
) -> Transition:
    """A Transition whose strength weighs lost details (3) and changed colour (2), 0..1."""
    strength = 0.6 * (1.0 - match) + 0.4 * min(change / 50.0, 1.0)
    return Transition(time_s, kind, span[0], span[1], min(max(strength, 0.0), 1.0))


def _detail(luma: NDArray[np.uint8]) -> float:
    down = cv2.norm(luma[1:], luma[:-1], cv2.NORM_L2SQR)
    return (down + cv2.norm(luma[:, 1:], luma[:, :-1], cv2.NORM_L2SQR)) / luma.size
