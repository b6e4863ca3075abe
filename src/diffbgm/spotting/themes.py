"""Which theme each section plays: what looks alike shares one, and a film always comes back to its themes.

A film need not return to a scene, but its music returns to a theme: heard once, a tune is nobody's. So there
are fewer themes than sections, and where too many scenes look different, the themes of those join that have
most in common in look, energy and role.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np

from diffbgm.spotting.cuesheet import Role
from diffbgm.spotting.look import FloatArray
from diffbgm.spotting.sections import Stretch, letters

SHORT_FILM_S: Final = 45.0
"""A shorter film of two sections has one theme, one of more sections two."""

_THEMES, _NEW_THEME_S = 2, 90.0  # at most so many, and one more for each so many seconds

_BARS_OF_ONE_THEME: Final = 16

# What sets two sections apart beside their looks, in units of `Look.distance`.
_BY_ENERGY: Final = 0.3
_NEIGHBOURS: Final = 0.3  # A B A rather than A A B
_ROLES: Final[dict[frozenset[Role], float]] = {
    frozenset[Role](("theme", "climax")): -0.2,
    frozenset[Role](("intro", "outro")): -0.1,
    frozenset[Role](("intro", "theme")): -0.1,
    frozenset[Role](("theme", "outro")): -0.1,
    frozenset[Role](("calm", "climax")): 0.1,
}


def themes(names: Sequence[str], roles: Sequence[Role], stretches: Sequence[Stretch]) -> list[str]:
    """A letter a section, in order of first appearance: the form of the piece, such as A B A C A.

    names: equal where scenes look alike, which part only where one theme would go on
    for too long; there are at most `most_themes` letters, and one for what comes between.
    """
    found = list(dict.fromkeys(names))
    groups = np.array([[each == name for each in names] for name in found], np.float64)
    apart = _apart(roles, stretches)
    while len(groups) > most_themes(len(names), stretches[-1].end_s - stretches[0].start_s):
        size = groups.sum(axis=1)
        between = groups @ apart @ groups.T / np.outer(size, size) + np.diag(np.full(len(groups), np.inf))
        first, second = sorted(divmod(int(np.argmin(between)), len(groups)))
        groups[first] += groups[second]
        groups = np.delete(groups, second, axis=0)
    number = _contrasted(np.argmax(groups, axis=0).tolist(), stretches)
    order = list(dict.fromkeys(number))
    return [letters(order.index(each)) for each in number]


def most_themes(sections: int, length_s: float) -> int:
    """How many themes a film has room for: two for five sections."""
    if length_s < SHORT_FILM_S:
        return 1 if sections <= 2 else 2
    return min(max(2, 2 * sections // 5), _THEMES + int(length_s // _NEW_THEME_S))


def _contrasted(number: Sequence[int], stretches: Sequence[Stretch]) -> list[int]:
    """The themes, with other music between where one would go on through one section after the other.

    The section that begins after so many bars of one theme has it, if another follows.
    """
    out = list(number)
    played = 0
    for k in range(len(number) - 1):
        played = played if k and out[k - 1] == number[k] else 0
        if played >= _BARS_OF_ONE_THEME and number[k + 1] == number[k]:
            out[k] = -1
        else:
            played += stretches[k].end_bar - stretches[k].start_bar
    return out


def _apart(roles: Sequence[Role], stretches: Sequence[Stretch]) -> FloatArray:
    """How ill it would do for two sections to share a theme, float64 (sections, sections)."""
    out = np.zeros((len(roles), len(roles)))
    for a, b in combinations(range(len(roles)), 2):
        out[a, b] = stretches[a].look.distance(stretches[b].look)
        out[a, b] += _BY_ENERGY * abs(stretches[a].energy - stretches[b].energy)
        out[a, b] += _ROLES.get(frozenset((roles[a], roles[b])), 0.0)
        out[a, b] += _NEIGHBOURS if b == a + 1 else 0.0
    return out + out.T
