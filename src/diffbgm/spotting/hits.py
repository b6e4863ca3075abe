"""Which moments of the film ask to be met by the music.

Candidates are the borders between shots that are at least a second apart, and whatever the person named.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

from diffbgm.spotting.cuesheet import Wishes
from diffbgm.video.analysis import Analysis, Transition

MIN_GAP_S = 1.0
SAME_MOMENT_S = 0.1
# Times come from frame counts divided by rates, so a gap of exactly one second may read 0.9999999.
_ROUNDING_S = 1e-6
_LONG_SHOT_S = 4.0


@dataclass(frozen=True)
class Candidate:
    """A moment to meet. `weight` in 0..1 says how much it matters."""

    time_s: float
    weight: float
    source: Literal["cut", "dissolve", "fade", "user"]


def candidate_hits(analysis: Analysis, wishes: Wishes) -> tuple[Candidate, ...]:
    """The candidates in time order.

    The borders are walked in time order and each is taken that comes at least `MIN_GAP_S` after the
    last one taken; then those a person removed, or replaced by an own hit at the same moment
    (`SAME_MOMENT_S`), go. Removing a hit never brings up a border that had been passed over.
    """
    taken: list[Transition] = []
    for transition in sorted(analysis.transitions, key=lambda each: each.time_s):
        inside = 0.0 < transition.time_s < analysis.duration_s
        if inside and (not taken or transition.time_s - taken[-1].time_s >= MIN_GAP_S - _ROUNDING_S):
            taken.append(transition)
    gone = [*wishes.removed_hits_s, *(hit.time_s for hit in wishes.hits)]
    starts = [shot.start_s for shot in analysis.shots]
    found = [
        Candidate(each.time_s, _weight(each, starts, analysis.duration_s), each.kind)
        for each in taken
        if all(abs(each.time_s - time_s) > SAME_MOMENT_S + _ROUNDING_S for time_s in gone)
    ]
    found += [Candidate(hit.time_s, hit.weight, "user") for hit in wishes.hits]
    return tuple(sorted(found, key=lambda each: each.time_s))


def _weight(transition: Transition, starts: list[float], duration_s: float) -> float:
    """A large change of picture between two long shots weighs most; never as much as a person's wish."""
    after = bisect_right(starts, transition.time_s + _ROUNDING_S)
    here = starts[after - 1] if after else 0.0
    before_s = here - (starts[after - 2] if after > 1 else 0.0)
    after_s = (starts[after] if after < len(starts) else duration_s) - here
    shots = 0.15 * min(before_s / _LONG_SHOT_S, 1.0) + 0.15 * min(after_s / _LONG_SHOT_S, 1.0)
    return round(min(0.2 + 0.4 * transition.strength + max(shots, 0.0), 0.9), 3)
