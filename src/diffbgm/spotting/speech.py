"""Where the music makes room for words: speech as the bars see it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.timing import SHORTEST_PAUSE_S, Span, TempoMap, merge_spans

_A_WORD_S: Final = 0.6
"""A word or two that stand alone are left to the ducking: music that stumbled would disturb more."""

_SHORTEST_PAUSE_BEATS: Final = 2


def spoken_beats(spans: Iterable[Span], tempo_map: TempoMap) -> NDArray[np.bool_]:
    """Beats on which the music makes room, bool (beats,).

    Every beat that speech touches, and those of pauses in which nothing could be said in music: shorter than
    SHORTEST_PAUSE_S, or with less than two whole beats in them. So music leaves and comes back on beats.
    """
    edges_s = tempo_map.seconds(np.arange(tempo_map.n_beats + 1, dtype=np.float64))
    stretches: list[tuple[int, int]] = []
    for start_s, end_s in merge_spans(spans, SHORTEST_PAUSE_S):
        if end_s - start_s < _A_WORD_S:
            continue
        first = max(0, int(np.searchsorted(edges_s, start_s, side="right")) - 1)
        end = min(tempo_map.n_beats, int(np.searchsorted(edges_s, end_s, side="left")))
        if stretches and first - stretches[-1][1] < _SHORTEST_PAUSE_BEATS:
            first = stretches.pop()[0]
        stretches.append((first, end))
    out = np.zeros(tempo_map.n_beats, dtype=np.bool_)
    for first, end in stretches:
        out[first:end] = True
    return out
