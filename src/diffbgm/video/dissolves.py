"""Dissolves: for a while every frame is a mixture of the two pictures at the ends."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from diffbgm.video.window import FAINT, NO_TRACE, OTHER_SCENE, Candidate, Frame, Window, transition

LONGEST_S = 3.4

_LENGTHS_S = (0.2, 0.3, 0.45, 0.68, 1.0, 1.5, 2.3, LONGEST_S)
_EVERY_S = 0.08
_FEWEST_FRAMES = 4
_SETTLED_S = 1.0  # without a further stretch over the same place, the best one is taken

_LEAST_CHANGE = 10.0  # levels (root mean square) between the ends
_OFF_LINE = 0.4  # distance from the straight line between the ends, in parts of its length
_UNEVEN = 0.25  # departure of the share from a steady rise
_JUMP, _JUMP_FRAMES = 0.25, 2.5  # largest rise from frame to frame, at least 2.5 steady ones: more is a cut
_DETAIL = 1.5  # detail half way, over that of two unrelated pictures mixed: 1 there, 2 where a picture moves


@dataclass(frozen=True)
class _Stretch:
    """Frames that look like a dissolve. size: root mean square between the ends; rank: fit as well."""

    first: Frame
    last: Frame
    from_s: float
    to_s: float
    rank: float

    def overlaps(self, other: _Stretch) -> bool:
        return self.from_s < other.to_s and other.from_s < self.to_s


class DissolveFinder:
    """Looks at stretches of several lengths that end at the newest frame."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._looked_s = 0.0
        self._stretches: list[_Stretch] = []

    def step(self, last: bool = False) -> list[Candidate]:
        """Call it once a frame, and with `last` when the film has ended."""
        newest = self._window.frames[-1]
        if newest.time_s - self._looked_s >= _EVERY_S:
            self._looked_s = newest.time_s
            self._stretches += [s for length_s in _LENGTHS_S if (s := self._stretch(newest, length_s))]
        settled = self._stretches and newest.time_s - self._stretches[-1].last.time_s > _SETTLED_S
        return self._settle() if settled or (last and self._stretches) else []

    def _stretch(self, newest: Frame, length_s: float) -> _Stretch | None:
        first = self._window.at(newest.time_s - length_s)
        n_frames = newest.number - first.number
        complete = n_frames >= _FEWEST_FRAMES and newest.time_s - first.time_s > 0.8 * length_s
        if not complete or min(first.spread, newest.spread) < FAINT:  # fading out or in
            return None
        energy = cv2.norm(newest.tiny, first.tiny, cv2.NORM_L2SQR) / newest.tiny.size
        if energy < _LEAST_CHANGE**2:
            return None
        line = newest.tiny - first.tiny
        # Half way first: it turns nearly everything down.
        middle = self._window.at((first.time_s + newest.time_s) / 2)
        share, off = _on_line(middle, first, line, energy)
        mixed_detail = (1 - share) ** 2 * first.detail + share**2 * newest.detail
        if not 0.25 < share < 0.75 or off > _OFF_LINE or middle.detail > _DETAIL * mixed_detail:
            return None
        frames = [*self._window.between(first.time_s, newest.time_s), newest]
        times = np.array([f.time_s for f in frames])
        shares, offs = np.array([_on_line(f, first, line, energy) for f in frames]).T
        uneven = float(np.abs(shares - (times - times[0]) / (times[-1] - times[0])).max())
        jump = max(_JUMP, _JUMP_FRAMES / n_frames)
        if offs.max() > _OFF_LINE or uneven > _UNEVEN or np.diff(shares).max() > jump:
            return None
        from_s, to_s = _extent(times, shares)
        return _Stretch(first, newest, from_s, to_s, float(energy**0.5 * (1 - 2 * uneven) * (1 - offs.max())))

    def _settle(self) -> list[Candidate]:
        """The best stretch of each place whose ends really show different scenes."""
        waiting = sorted(self._stretches, key=lambda s: s.rank)
        self._stretches = []
        found = []
        while waiting:
            best = waiting.pop()
            match = self._window.match(best.first, best.last)
            if match is None or match >= OTHER_SCENE:
                continue
            if match > NO_TRACE and self._window.same_view(best.first, best.last):
                continue
            waiting = [s for s in waiting if not s.overlaps(best)]
            change = cv2.norm(best.first.tiny, best.last.tiny, cv2.NORM_L1) / best.last.tiny.size
            middle_s = (best.from_s + best.to_s) / 2
            mixed = transition("dissolve", middle_s, (best.from_s, best.to_s), match, change)
            found.append(Candidate(mixed, best.rank))
        return found


def _on_line(frame: Frame, first: Frame, line: NDArray[np.float32], energy: float) -> tuple[float, float]:
    """Share of the second picture in a frame, and how far from a mixture it is (parts of the line)."""
    way = frame.tiny - first.tiny
    share = float(np.vdot(way, line)) / (energy * line.size)
    off = float(np.vdot(way, way)) / (energy * line.size) - share**2
    return share, max(off, 0.0) ** 0.5


def _extent(times: NDArray[np.float64], shares: NDArray[np.float64]) -> tuple[float, float]:
    """Where the share of the second picture leaves 0 and reaches 1, by a straight fit to its middle."""
    inner = (shares > 0.1) & (shares < 0.9)
    if inner.sum() < 2:
        return float(times[0]), float(times[-1])
    slope, start = np.polyfit(shares[inner], times[inner], 1)
    return max(float(start), float(times[0])), min(float(start + slope), float(times[-1]))
