"""Single upright pictures of a film, as networks want to see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.video.decode import Picture, PictureReader, scaling_graph

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Pixels = NDArray[np.uint8]

# Twice what the networks look at (224 to 384 pixels): their own scaling still decides what is lost.
SHORT_SIDE: Final = 768


def pictures_at(film: Path, times_s: Sequence[float]) -> Iterator[Pixels]:
    """The picture on screen at each of the times: uint8 (height, width, 3), RGB, upright, true proportions.

    times_s: rising. After the last frame that one stays. The film is decoded once, from its beginning;
    two frames are in memory. Raises InputError if there is nothing to decode.
    """
    reader = PictureReader(film)
    waiting = iter(times_s)
    at_s = next(waiting, None)
    shown: VideoFrame | None = None
    for time_s, frame in reader.frames():
        while shown is not None and at_s is not None and at_s < time_s:
            yield _upright(shown, reader.facts)
            at_s = next(waiting, None)
        if at_s is None:
            return
        shown = frame
    while shown is not None and at_s is not None:
        yield _upright(shown, reader.facts)
        at_s = next(waiting, None)


def _upright(frame: VideoFrame, facts: Picture) -> Pixels:
    """The frame turned and stretched to what is displayed, its shorter side at most SHORT_SIDE."""
    height = float(frame.height)
    width = height * float(facts.aspect)
    share = min(1.0, SHORT_SIDE / min(width, height))
    size = (max(1, round(width * share)), max(1, round(height * share)))
    graph = scaling_graph(frame, size, "rgb24")
    graph.vpush(frame)
    picture = graph.vpull().to_ndarray()
    return np.ascontiguousarray(np.rot90(picture, round(facts.rotation / 90) % 4))
