"""Cuts: the picture changes far more than around it, and the scene is another one afterwards."""

from __future__ import annotations

from statistics import median

import numpy as np

from diffbgm.video.window import NEAR_S, NO_TRACE, OTHER_SCENE, Candidate, Frame, Window, transition

_REACH = 4  # neighbours on either side with which a change is compared
_SUDDEN = 1.8  # times their median
_LEAST_CHANGE = 1.5  # levels of 255
_LEAST_RESHAPING = 0.25  # standard deviations
_OTHER_COLOUR = 15.0  # levels: where both pictures are plain, only their colour can differ

_DROP = 0.25  # local_match is this much lower than between the frames around it
_FLASH_S = 0.2
_LOOK_AHEAD_S = 0.55

_DIM = 0.35  # share of the detail around it below which a junction lies in the dip of a fast fade


class CutFinder:
    """Judges each frame as the first one of a shot, once enough frames after it are known.

    `reached_s`: time of the last frame that was judged.
    """

    def __init__(self, window: Window) -> None:
        self.reached_s = 0.0
        self._window = window
        self._next = 1

    def step(self, last: bool = False) -> list[Candidate]:
        """Candidates among the frames that can be judged by now; with `last`, among all that remain."""
        frames = self._window.frames
        found = []
        while self._next <= frames[-1].number:
            frame = frames[self._next - frames[0].number]
            known = (
                frames[-1].time_s - frame.time_s >= _LOOK_AHEAD_S and frames[-1].number - self._next >= _REACH
            )
            if not (known or last):
                break
            self._next += 1
            self.reached_s = frame.time_s
            candidate = self._judge(frame)
            if candidate is not None:
                found.append(candidate)
        return found

    def _judge(self, new: Frame) -> Candidate | None:
        old = self._window.neighbour(new, -1)
        if old is None or not self._is_sudden(new):
            return None
        if old.blank != new.blank:  # a fade's business
            return None
        match = None if old.blank else self._window.match(old, new)
        if match is None:
            if new.change < _OTHER_COLOUR:
                return None
            return Candidate(
                transition("cut", new.time_s, (new.time_s, new.time_s), 0.5, new.change), new.change
            )
        if match >= OTHER_SCENE or match > self._usual_match(old, new) - _DROP:
            return None
        if self._is_flash(old, new, match) or (match > NO_TRACE and self._window.same_view(old, new)):
            return None
        return self._cut_or_fast_fade(old, new, match)

    def _is_sudden(self, frame: Frame) -> bool:
        around = self._window.around(frame, _REACH)
        if not around:
            return True
        return (
            frame.change >= _LEAST_CHANGE and frame.change >= _SUDDEN * median(f.change for f in around)
        ) or (
            frame.reshaping >= _LEAST_RESHAPING
            and frame.reshaping >= _SUDDEN * median(f.reshaping for f in around)
        )

    def _usual_match(self, old: Frame, new: Frame) -> float:
        """How well frames match just before and just after this place, on average."""
        before, after = self._window.neighbour(old, -1), self._window.neighbour(new, 1)
        pairs = [
            (a, b) for a, b in ((before, old), (new, after)) if a and b and b.time_s - a.time_s <= NEAR_S
        ]
        values = [self._steadiness(a, b) for a, b in pairs]
        return sum(values) / len(values) if values else 1.0

    def _steadiness(self, a: Frame, b: Frame) -> float:
        if b.change < _LEAST_CHANGE and b.reshaping < _LEAST_RESHAPING:
            return 1.0
        match = self._window.match(a, b)
        return 1.0 if match is None else match

    def _is_flash(self, old: Frame, new: Frame, match: float) -> bool:
        """Does the old scene come back at once, or had the new one been there just before?"""
        window = self._window
        apart = float(np.abs(new.tiny - old.tiny).mean())
        pairs = [(old, f) for f in window.between(new.time_s, new.time_s + _FLASH_S) if f is not new]
        pairs += [(f, new) for f in window.between(old.time_s - _FLASH_S, old.time_s)]
        for a, b in pairs:
            if a.blank or b.blank or float(np.abs(a.tiny - b.tiny).mean()) > 0.7 * apart:
                continue
            again = window.match(a, b)
            if again is not None and again > max(OTHER_SCENE, match + _DROP):
                return True
        return False

    def _cut_or_fast_fade(self, old: Frame, new: Frame, match: float) -> Candidate:
        before = self._window.between(old.time_s - _LOOK_AHEAD_S, new.time_s)
        after = self._window.between(new.time_s, new.time_s + _LOOK_AHEAD_S)
        full_before, full_after = (max(frames, key=lambda f: f.detail) for frames in (before, after))
        dim = max(old.detail, new.detail) < _DIM * min(full_before.detail, full_after.detail)
        if not dim:
            cut = transition("cut", new.time_s, (new.time_s, new.time_s), match, new.change)
            return Candidate(cut, new.change)
        change = float(np.abs(full_after.tiny - full_before.tiny).mean())
        fade = transition("fade", new.time_s, (full_before.time_s, full_after.time_s), match, change)
        return Candidate(fade, change)
