"""How lively the music is at each beat: from motion and cuts, from words, or as a person asked."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from diffbgm.spotting.look import Film, FloatArray
from diffbgm.timing import BEATS_PER_BAR, TempoMap

# What counts as much, whatever else the film does: a share of the picture's full motion, cuts a second.
_MUCH_MOTION = 0.5
_MUCH_CUTTING = 0.6
_SMOOTH_BEATS = 2.0
_FINAL_DENSITY = 0.1
# Density by energy, and its bounds: steep, or a film's own ups and downs come to one or two notes a bar.
_USUAL_ENERGY, _USUAL_DENSITY, _DENSER = 0.46, 0.5, 1.1
_DENSITY_RANGE = (0.03, 0.93)
_THINNER_UNDER_SPEECH = 0.4


def picture_energy(film: Film, tempo_map: TempoMap) -> FloatArray:
    """Energy a beat as the picture suggests it, float64 (beats,) in 0.1..0.95.

    Motion and cut rate, each half by absolute amount and half by its place between the film's own 10th
    and 90th percentile, so that a quiet film stays quiet and yet has its own peaks. In a film that never
    cuts the place of its motion counts for that of its cutting too.
    """
    edges = tempo_map.seconds(np.arange(tempo_map.n_beats + 1, dtype=np.float64))
    motion = np.array([film.motion(a, b) for a, b in itertools.pairwise(edges)])
    moving = _place(motion, 0.15)
    cutting, cuts = np.zeros_like(motion), moving
    if film.analysis.transitions:
        cutting = np.array([film.cut_rate(a) for a in edges[:-1]])
        cuts = _place(cutting, 0.2)
    lively = 0.6 * _clipped(0.5 * motion / _MUCH_MOTION + 0.5 * moving)
    lively += 0.4 * _clipped(0.5 * cutting / _MUCH_CUTTING + 0.5 * cuts)
    return np.clip(smooth(0.15 + 0.75 * lively), 0.1, 0.95)


def smooth(values: FloatArray) -> FloatArray:
    """Gaussian mean over the neighbouring beats; the ends count their own values on."""
    reach = int(3 * _SMOOTH_BEATS)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _SMOOTH_BEATS) ** 2)
    padded = np.pad(values, reach, mode="edge")
    out: FloatArray = np.convolve(padded, kernel / kernel.sum(), mode="valid")
    return out


def shift_mean(values: FloatArray, wanted: float) -> FloatArray:
    """The curve moved to a mean, within 0..1; exact unless both borders of the range are in the way."""
    moved: FloatArray = np.clip(values + (wanted - values.mean()), 0.0, 1.0)
    for _ in range(8):  # what the borders cut off is spread over the rest
        moved = np.clip(moved + (wanted - moved.mean()), 0.0, 1.0)
    return moved


def density_curve(energy: FloatArray, spoken: NDArray[np.bool_], *, ends: bool = True) -> FloatArray:
    """How many notes a beat, float64 (beats,) in 0..1: follows energy, less under speech.

    spoken: beats on which somebody speaks, bool (beats,). ends: the last bar is the final chord alone.
    """
    wanted = np.clip(_USUAL_DENSITY + _DENSER * (energy - _USUAL_ENERGY), *_DENSITY_RANGE)
    density = wanted * (1.0 - _THINNER_UNDER_SPEECH * smooth(spoken.astype(np.float64)))
    if ends:
        density[-BEATS_PER_BAR:] = _FINAL_DENSITY
    return np.clip(density, 0.0, 1.0)


def speech_share(spans: tuple[tuple[float, float], ...], edges_s: FloatArray) -> FloatArray:
    """Share of each stretch between neighbouring edges that lies inside the spans, float64 (edges - 1,)."""
    starts = np.array([start for start, _ in spans])
    ends = np.array([end for _, end in spans])
    talked = np.zeros(len(edges_s))
    if len(spans):
        # seconds of speech before each edge
        before = np.concatenate(([0.0], np.cumsum(ends - starts)))
        index = np.searchsorted(starts, edges_s, side="right")
        last = np.maximum(index - 1, 0)
        inside = np.minimum(edges_s, ends[last]) - starts[last]
        talked = np.where(index > 0, before[last] + inside, 0.0)
    share: FloatArray = np.clip(np.diff(talked) / np.diff(edges_s), 0.0, 1.0)
    return share


def _place(values: FloatArray, least_span: float) -> FloatArray:
    """Where each value lies between the 10th and the 90th percentile, 0 to 1, and beyond."""
    low, high = np.percentile(values, (10, 90))
    place: FloatArray = (values - low) / max(high - low, least_span)
    return place


def _clipped(values: FloatArray) -> FloatArray:
    return np.clip(values, 0.0, 1.0)
