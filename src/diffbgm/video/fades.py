"""Fades: the picture goes blank, and another one appears."""

from __future__ import annotations

import numpy as np

from diffbgm.video.window import FAINT, OTHER_SCENE, Candidate, Frame, Window, transition

_BACK_S = 1.0  # how far before a blank its full picture is looked for
_AHEAD_S = 0.6  # ... and after it
_BLINK_S = 0.5  # the same picture after a blank this long counts as a new shot all the same
_FULL = 0.9  # of its greatest detail: from here on a picture counts as fully there
_ABRUPT = 0.6
_SAME_SHAPE = 0.6  # correlation of shapes: 1 for a picture that only fades, about 0 for another one
FADE_RANK = 1000.0  # cuts and dissolves within a fade are parts of it


class FadeFinder:
    """Follows the film from picture to blank to picture. One candidate a blank, when a picture appears."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._before: Frame | None = None  # the full picture before the blank
        self._blank: Frame | None = None  # first frame of the blank; None: not in a blank
        self._appeared: Frame | None = None  # first frame after a blank that is still to be judged

    def step(self, last: bool = False) -> list[Candidate]:
        """Call it once a frame, and with `last` when the film has ended."""
        newest = self._window.frames[-1]
        found: list[Candidate] = []
        due = self._appeared is not None and newest.time_s - self._appeared.time_s >= _AHEAD_S
        if due or (self._appeared is not None and (newest.blank or last)):
            found += self._judge()
        if last:
            return found
        if newest.blank and self._blank is None:
            self._go_blank(newest)
        elif not newest.blank and self._blank is not None and self._appeared is None:
            self._appeared = newest
        return found

    def _go_blank(self, newest: Frame) -> None:
        self._blank = newest
        lit = _one_picture(self._window.between(newest.time_s - _BACK_S, newest.time_s)[::-1])[::-1]
        self._before = None
        if lit:
            most = max(f.detail for f in lit)
            full = [f for f in lit if f.detail >= _FULL * most]
            self._before = full[-1]

    def _judge(self) -> list[Candidate]:
        new, before, blank = self._appeared, self._before, self._blank
        assert new is not None
        assert blank is not None
        blank_s = new.time_s - blank.time_s
        self._appeared = self._blank = None
        lit = _one_picture(self._window.between(new.time_s, new.time_s + _AHEAD_S))
        most = max(f.detail for f in lit)
        full = next(f for f in lit if f.detail >= _FULL * most)
        if before is None:  # the film begins blank: a picture that fades in is its first shot
            if new.detail < _ABRUPT * most or blank_s < _BLINK_S:
                return []
            cut = transition("cut", new.time_s, (new.time_s, new.time_s), 0.0, new.change)
            return [Candidate(cut, FADE_RANK)]
        match = self._window.match(before, full)
        same = match is not None and (match >= OTHER_SCENE or self._window.same_view(before, full))
        if same and blank_s < _BLINK_S:
            return []
        change = float(np.abs(full.tiny - before.tiny).mean())
        if full is new and before.number == blank.number - 1:
            cut = transition("cut", new.time_s, (new.time_s, new.time_s), match or 0.0, change)
            return [Candidate(cut, FADE_RANK)]
        fade = transition("fade", new.time_s, (before.time_s, full.time_s), match or 0.0, change)
        return [Candidate(fade, FADE_RANK)]


def _one_picture(frames: list[Frame]) -> list[Frame]:
    """The frames, up to the first that is blank or whose shape is not that of the first clear one."""
    clear: Frame | None = None
    for n, frame in enumerate(frames):
        if frame.blank:
            return frames[:n]
        if clear is None:
            clear = frame if frame.spread > FAINT else None
        elif float((clear.shape * frame.shape).mean()) < _SAME_SHAPE:
            return frames[:n]
    return frames
