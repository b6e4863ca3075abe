"""Where sections should begin: neighbouring shots that look alike make a scene.

Three kinds of border go to the tempo solver. Scene borders, chosen here; places that cut a long take into
musical lengths; and every other hit, where a section may begin if that lets more hits be met.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from diffbgm.spotting.cuesheet import Wishes
from diffbgm.spotting.hits import Candidate
from diffbgm.spotting.look import Film
from diffbgm.spotting.tempo import Border
from diffbgm.video.analysis import Transition

MIN_SECTION_S = 8.0
MAX_SECTION_S = 45.0
_USUAL_SECTION_S = 20.0
_PIECE_S = 30.0
_CONTEXT_S = 8.0

# A scene is worth a border where the picture changes by this much more than nothing.
_BORDER_COST = 0.25
_LENGTH_COST = 0.3
_KIND_WORTH = {"cut": 0.0, "dissolve": 0.15, "fade": 0.3}

_SCENE = Border(0.0, value=0.8, window_s=3.0, missed_cost=1.5)
_SPLIT = Border(0.0, value=0.1, window_s=6.0, missed_cost=1.0)
_WISHED = Border(0.0, value=10.0, window_s=6.0, missed_cost=30.0)
_TURN = Border(0.0, value=0.5, window_s=4.0, missed_cost=2.0)
_MAY_BE = Border(0.0, value=-0.25)


@dataclass(frozen=True)
class _Place:
    time_s: float
    worth: float


def section_borders(
    film: Film, candidates: tuple[Candidate, ...], wishes: Wishes, turns_s: Sequence[float] = ()
) -> tuple[Border, ...]:
    """The borders for the tempo solver, ascending, the first at 0.

    turns_s: where words let the mood turn. A section begins near there, at a scene's border if there is one.
    """
    duration_s = film.analysis.duration_s
    wished = sorted({wish.start_s for wish in wishes.sections if wish.start_s is not None} - {0.0})
    kept_whole = [(wish.start_s, wish.at_s) for wish in wishes.sections if wish.start_s is not None]

    def free(time_s: float) -> bool:
        """A section that a person began earlier reaches at least to the place they named."""
        return not any(start_s < time_s <= at_s for start_s, at_s in kept_whole)

    places = [
        _Place(each.time_s, _worth(film, each))
        for each in film.analysis.transitions
        if 0.0 < each.time_s < duration_s and free(each.time_s)
    ]
    borders = {0.0: Border(0.0)}
    edges = [0.0, *wished, duration_s]
    for start_s, end_s in itertools.pairwise(edges):
        scenes = _scenes([place for place in places if start_s < place.time_s < end_s], start_s, end_s)
        inner = [start_s, *scenes, end_s]
        for low_s, high_s in itertools.pairwise(inner):
            for time_s in _splits(low_s, high_s):
                if free(time_s):
                    borders[time_s] = replace(_SPLIT, time_s=time_s)
        borders.update({time_s: replace(_SCENE, time_s=time_s) for time_s in scenes})
    for time_s in turns_s:
        near = any(abs(time_s - other) <= _TURN.window_s for other, each in borders.items() if each.value > 0)
        inside = MIN_SECTION_S / 2 <= time_s <= duration_s - MIN_SECTION_S / 2
        if inside and not near and free(time_s):
            borders[time_s] = replace(_TURN, time_s=time_s)
    for candidate in candidates:
        if candidate.time_s > 0.0 and free(candidate.time_s):
            borders.setdefault(candidate.time_s, replace(_MAY_BE, time_s=candidate.time_s))
    borders.update({time_s: replace(_WISHED, time_s=time_s) for time_s in wished})
    return tuple(borders[time_s] for time_s in sorted(borders))


def hold(border: Border, tempo_bpm: float | None) -> Border:
    """The border of a section already found, to be kept when the tempo is solved again."""
    return replace(_WISHED, time_s=border.time_s, tempo_bpm=tempo_bpm, preferred_bpm=border.preferred_bpm)


def _worth(film: Film, transition: Transition) -> float:
    """How much the look changes here, between the seconds before and after."""
    at_s = transition.time_s
    before = film.look(max(0.0, at_s - _CONTEXT_S), at_s)
    after = film.look(at_s, min(film.analysis.duration_s, at_s + _CONTEXT_S))
    contrast = min(before.distance(after) / 0.3, 1.5)
    return contrast + 0.2 * transition.strength + _KIND_WORTH[transition.kind] - _BORDER_COST


def _scenes(places: list[_Place], start_s: float, end_s: float) -> list[float]:
    """Of the places those that cut the stretch best: worth of the borders less a cost for odd lengths.

    Exact by dynamic programming; lengths beyond twice the longest section are looked at only where
    nothing shorter ends.
    """
    inside = [p for p in places if start_s + MIN_SECTION_S <= p.time_s <= end_s - MIN_SECTION_S]
    nodes = [_Place(start_s, 0.0), *inside, _Place(end_s, 0.0)]
    best = [0.0] + [-math.inf] * (len(nodes) - 1)
    came_from = [0] * len(nodes)
    for here in range(1, len(nodes)):
        for before in range(here - 1, -1, -1):
            length_s = nodes[here].time_s - nodes[before].time_s
            if length_s > 2 * MAX_SECTION_S and best[here] > -math.inf:
                break
            if length_s < MIN_SECTION_S and len(nodes) > 2:
                continue
            cost = _LENGTH_COST * math.log(max(length_s, 1.0) / _USUAL_SECTION_S) ** 2
            score = best[before] + nodes[here].worth - cost
            if score > best[here]:
                best[here], came_from[here] = score, before
    chosen: list[float] = []
    here = came_from[-1]
    while here > 0:
        chosen.append(nodes[here].time_s)
        here = came_from[here]
    return chosen[::-1]


def _splits(start_s: float, end_s: float) -> list[float]:
    """Even places that cut a long scene into sections."""
    length_s = end_s - start_s
    if length_s <= MAX_SECTION_S:
        return []
    pieces = max(2, round(length_s / _PIECE_S))
    return [round(start_s + length_s * k / pieces, 3) for k in range(1, pieces)]
