"""Do the music's events fall on the picture's cuts? Pure functions on times in seconds, with baselines.

A *cut* is the moment a shot changes (the first new frame; the middle of a dissolve). An *event* is a
moment in the music, and which ones are meant must be said beside every figure, because dense events meet
anything: all onsets, accented onsets only, beats, or downbeats.

Baselines use the same music, so its density and rhythm are held fixed and only the timing is put to the test:
- random offset: all events moved by one offset, going round at the end;
- fixed tempo: the music's bends undone, so that every bar lasts equally long, over the phases of one bar.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffbgm.timing import BEATS_PER_BAR, TempoMap

FloatArray = NDArray[np.float64]
Score = Callable[[FloatArray], float]

_PHASES = 16
_CLEAR_S = 0.5  # an offset smaller than the widest tolerance is no chance
_ROUNDING_S = 1e-9


@dataclass(frozen=True)
class Compared:
    """A figure beside what the same music reaches by chance.

    value: as composed. random: mean over random offsets, random_ci95: their central 95 %.
    p: share of the offsets that reach at least `value` (the value itself counted), so never 0.
    fixed_tempo: mean over the phases of a bar, None without a tempo map. NaN where there is no cut.
    """

    value: float
    random: float
    random_ci95: tuple[float, float]
    p: float
    fixed_tempo: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain values; None for NaN."""
        low, high = self.random_ci95
        return {
            "value": finite(self.value),
            "random": finite(self.random),
            "random_ci95": [finite(low), finite(high)],
            "p": finite(self.p),
            "fixed_tempo": None if self.fixed_tempo is None else finite(self.fixed_tempo),
        }


def finite(value: float) -> float | None:
    """`value` rounded to six digits for JSON, None for NaN."""
    return round(float(value), 6) + 0.0 if np.isfinite(value) else None


def share_met(cuts_s: FloatArray, events_s: FloatArray, tolerance_s: float) -> float:
    """Share of the cuts that have an event within `tolerance_s`, bounds included, 0 .. 1; NaN without cuts.

    One event may meet several cuts. Both float64 (n,), in rising order.
    """
    if not len(cuts_s):
        return float("nan")
    return float((nearest_errors(cuts_s, events_s) <= tolerance_s + _ROUNDING_S).mean())


def nearest_errors(cuts_s: FloatArray, events_s: FloatArray) -> FloatArray:
    """Seconds from each cut to the nearest event, float64 (cuts,); infinite without events."""
    if not len(events_s):
        return np.full(len(cuts_s), np.inf)
    after = np.searchsorted(events_s, cuts_s)
    left = np.abs(cuts_s - events_s[np.maximum(after - 1, 0)])
    right = np.abs(cuts_s - events_s[np.minimum(after, len(events_s) - 1)])
    return np.minimum(left, right)


def pairs_within(cuts_s: FloatArray, events_s: FloatArray, tolerance_s: float) -> int:
    """The most pairs (cut, event) at most `tolerance_s` apart in which none occurs twice.

    On a line with one tolerance, pairing in time order is a maximum matching.
    """
    if not len(cuts_s):
        return 0
    # Events far from every cut pair with none; leaving them out keeps a long film's loop short.
    events_s = events_s[nearest_errors(events_s, cuts_s) <= tolerance_s + _ROUNDING_S]
    cut = event = pairs = 0
    while cut < len(cuts_s) and event < len(events_s):
        gap = events_s[event] - cuts_s[cut]
        if abs(gap) <= tolerance_s + _ROUNDING_S:
            pairs, cut, event = pairs + 1, cut + 1, event + 1
        elif gap < 0:
            event += 1
        else:
            cut += 1
    return pairs


def tbiou(cuts_s: FloatArray, events_s: FloatArray, tolerance_s: float) -> float:
    """Transition-beat intersection over union, |cuts n events| / |cuts u events|, 0 .. 1.

    After VeM (arXiv 2511.09585), whose tolerance is 0.5 s. The intersection is the largest one-to-one
    pairing within the tolerance, the union is cuts + events - intersection; so every event that meets no
    cut lowers the figure, and 1 needs a cut at every event. NaN without cuts.
    """
    if not len(cuts_s):
        return float("nan")
    common = pairs_within(cuts_s, events_s, tolerance_s)
    return common / (len(cuts_s) + len(events_s) - common)


def accented(times_s: FloatArray, strength: FloatArray, reach_s: float = 2.0) -> NDArray[np.bool_]:
    """Onsets stronger than three quarters of those within `reach_s`, themselves included, bool (n,).

    Local, so that quiet passages have accents too. About a quarter of the onsets; a lone onset is none.
    """
    out = np.zeros(len(times_s), np.bool_)
    first = np.searchsorted(times_s, times_s - reach_s)
    last = np.searchsorted(times_s, times_s + reach_s, side="right")
    for index, (low, high) in enumerate(zip(first, last, strict=True)):
        around = strength[low:high]
        out[index] = (around < strength[index]).sum() >= 0.75 * (len(around) - 1) and len(around) > 1
    return out


def heard_at(grid_s: FloatArray, onsets_s: FloatArray, tolerance_s: float = 0.04) -> FloatArray:
    """Onsets nearest to the grid's positions where one is within `tolerance_s`: what is heard of the grid."""
    if not len(onsets_s):
        return np.zeros(0)
    after = np.clip(np.searchsorted(onsets_s, grid_s), 1, max(len(onsets_s) - 1, 1))
    left, right = onsets_s[after - 1], onsets_s[np.minimum(after, len(onsets_s) - 1)]
    nearest = np.where(grid_s - left <= right - grid_s, left, right)
    return np.unique(nearest[np.abs(nearest - grid_s) <= tolerance_s])


def at_steady_tempo(events_s: FloatArray, tempo_map: TempoMap) -> FloatArray:
    """The events as they would fall if every bar lasted equally long, the whole as long as before."""
    return tempo_map.beats(events_s) * (tempo_map.end_s / tempo_map.n_beats)


def compare(
    score: Score,
    events_s: FloatArray,
    duration_s: float,
    *,
    rng: np.random.Generator,
    tempo_map: TempoMap | None = None,
    n_offsets: int = 500,
) -> Compared:
    """`score` of the events beside both baselines. `score` takes event times in rising order."""
    value = score(events_s)
    clear = min(_CLEAR_S, duration_s / 4)
    offsets = rng.uniform(clear, duration_s - clear, n_offsets)
    by_chance = np.array([score(_moved(events_s, offset, duration_s)) for offset in offsets])
    steady = None
    if tempo_map is not None:
        events = at_steady_tempo(events_s, tempo_map)
        bar_s = tempo_map.end_s / tempo_map.n_beats * BEATS_PER_BAR
        phases = np.arange(_PHASES) / _PHASES * bar_s
        steady = float(np.mean([score(_moved(events, phase, duration_s)) for phase in phases]))
    if np.isnan(value):
        return Compared(value, value, (value, value), value, steady)
    low, high = np.percentile(by_chance, [2.5, 97.5])
    reached = (1 + (by_chance >= value - 1e-12).sum()) / (1 + n_offsets)
    return Compared(value, float(by_chance.mean()), (float(low), float(high)), float(reached), steady)


@dataclass(frozen=True)
class AccentsAt:
    """How strongly the music speaks at given moments.

    heard: share of the moments with an onset within the tolerance. percentile: mean over the moments of
    the share of all other onsets that are weaker than the one there (0 .. 1, chance is near 0.5 times
    `heard`; 0 where there is none). local_percentile: the same among the onsets within 4 s.
    strength_ratio: median strength there over the median of all other onsets. NaN without moments or onsets.
    """

    heard: float
    percentile: float
    local_percentile: float
    strength_ratio: float


def accents_at(
    moments_s: FloatArray, times_s: FloatArray, strength: FloatArray, tolerance_s: float = 0.04
) -> AccentsAt:
    """Strength of the strongest onset within `tolerance_s` of each moment against the other onsets."""
    if not len(moments_s) or len(times_s) < 2:
        return AccentsAt(*[float("nan")] * 4)
    overall, local, there = [], [], []
    for moment in moments_s:
        near = np.flatnonzero(np.abs(times_s - moment) <= tolerance_s)
        if not len(near):
            overall.append(0.0)
            local.append(0.0)
            continue
        best = int(near[strength[near].argmax()])
        there.append(best)
        others = np.delete(strength, best)
        around = np.delete(np.abs(times_s - moment) <= 4.0, best)
        overall.append(_weaker(others, strength[best]))
        local.append(_weaker(others[around], strength[best]) if around.any() else overall[-1])
    rest = np.delete(strength, there)
    ratio = float("nan")
    if there and len(rest):
        ratio = float(np.median(strength[there]) / max(float(np.median(rest)), 1e-12))
    return AccentsAt(len(there) / len(moments_s), float(np.mean(overall)), float(np.mean(local)), ratio)


def _weaker(others: FloatArray, strength: float) -> float:
    """Share of the others that are weaker; equal ones count half."""
    return float(((others < strength) + 0.5 * (others == strength)).mean())


def _moved(events_s: FloatArray, offset_s: float, duration_s: float) -> FloatArray:
    return np.sort((events_s + offset_s) % duration_s)
