"""Where one shot ends and the next begins: cuts, dissolves and fades, from the small frames.

A candidate is found by something cheap (a sudden change, a stretch of mixing, a blank picture) and then
has to show that the scene really is another one, by `similarity`. What is sudden is judged against the
frames around it, so that shaking, flicker and fast subjects raise the bar for themselves. Where
candidates overlap, fades outrank the rest, and otherwise the larger change stays.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from diffbgm.video.analysis import Transition
from diffbgm.video.cuts import CutFinder
from diffbgm.video.dissolves import LONGEST_S, DissolveFinder
from diffbgm.video.fades import FadeFinder
from diffbgm.video.window import Candidate, Window

_APART_S = 0.2  # two cuts closer than this are one
_LAG_S = LONGEST_S + 1.0  # by then everything that could outrank a candidate is known


class ShotDetector:
    """Feed it the frames in order; it tells transitions, in order, some seconds later.

    Memory does not grow: some seconds of small frames are kept.
    """

    def __init__(self) -> None:
        self._window = Window()
        self._cuts = CutFinder(self._window)
        self._dissolves = DissolveFinder(self._window)
        self._fades = FadeFinder(self._window)
        self._pending: list[Candidate] = []
        self._told: list[Candidate] = []

    def push(self, time_s: float, yuv: NDArray[np.uint8]) -> Iterator[Transition]:
        """yuv: uint8 (height, width, 3), Y Cb Cr full range; time_s increases from frame to frame."""
        self._window.push(time_s, yuv)
        self._pending += self._cuts.step() + self._dissolves.step() + self._fades.step()
        return self._tell(min(time_s - _LAG_S, self._cuts.reached_s))

    def finish(self) -> Iterator[Transition]:
        """The transitions not yet told when the film has ended."""
        if self._window.frames:
            self._pending += (
                self._cuts.step(last=True) + self._dissolves.step(last=True) + self._fades.step(last=True)
            )
        return self._tell(float("inf"))

    def _tell(self, until_s: float) -> Iterator[Transition]:
        ripe = [c for c in self._pending if c.transition.time_s <= until_s]
        if not ripe:
            return iter(())
        kept: list[Candidate] = []
        for candidate in sorted(self._pending, key=lambda c: -c.rank):
            if not any(_overlap(candidate.transition, other.transition) for other in self._told + kept):
                kept.append(candidate)
        told = sorted((c for c in kept if c in ripe), key=lambda c: c.transition.time_s)
        self._pending = [c for c in self._pending if c not in ripe]
        self._told = (self._told + told)[-4:]
        return iter([c.transition for c in told])


def _overlap(a: Transition, b: Transition) -> bool:
    apart_s = _APART_S if a.from_s == a.to_s and b.from_s == b.to_s else 0.0
    return a.from_s < b.to_s + apart_s and b.from_s < a.to_s + apart_s
