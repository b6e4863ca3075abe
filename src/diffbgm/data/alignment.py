"""Everything on one time: what happens in film and notes, on each beat and on each tick of a clock.

song time = video time + offset_s (`diffbgm.data.manifest`). Values are brought from one grid to another by
how much time they truly share, never by stretching one over the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.data.annotation.music import BITS_SHAPE, MusicAnnotation
from diffbgm.data.schema import FILM_CURVES
from diffbgm.diffusion.roll import ONSET, TRACKS
from diffbgm.spotting.curves import speech_share
from diffbgm.timing import STEPS_PER_BEAT, FloatArray
from diffbgm.video.analysis import Analysis, Curve

CLOCK_HZ: Final = 4.0
MELODY: Final = TRACKS.index("melody")

Values = NDArray[np.float32]


@dataclass(frozen=True)
class GridCurves:
    """Film and notes on the steps of a grid; float32 (steps,), NaN where nothing is known.

    start_s: float64 (steps,), video time. covered: share of the step that lies in the film. motion ..
    warmth: means as in `video.analysis.Analysis`. speech: share of the time. cuts: transitions in the step.
    onsets, melody_onsets: notes that begin in it. velocity: their mean, NaN where none begins.
    """

    start_s: FloatArray
    covered: Values
    motion: Values
    camera: Values
    brightness: Values
    saturation: Values
    warmth: Values
    speech: Values
    cuts: Values
    onsets: Values
    melody_onsets: Values
    velocity: Values


@dataclass(frozen=True)
class Aligned:
    """Both grids. beat: float32 (ticks,), the position in the song at which a tick starts, NaN outside it."""

    on_beats: GridCurves
    on_clock: GridCurves
    clock_hz: float
    beat: Values


def align(music: MusicAnnotation, film: Analysis | None, offset_s: float) -> Aligned:
    """Film and notes on the song's beats, and on a clock that runs from video time 0 to the film's end.

    Without a film the clock runs until the song ends and the film's curves are unknown.
    """
    edges_s = clock_edges(music, film, offset_s)
    beats = np.arange(music.n_beats + 1, dtype=np.float64)
    beat = np.interp(edges_s[:-1] + offset_s, music.beats_s, beats, left=np.nan, right=np.nan)
    return Aligned(
        on_beats=_on_grid(music, film, offset_s, music.beats_s - offset_s),
        on_clock=_on_grid(music, film, offset_s, edges_s),
        clock_hz=CLOCK_HZ,
        beat=beat.astype(np.float32),
    )


def clock_edges(music: MusicAnnotation, film: Analysis | None, offset_s: float) -> FloatArray:
    """Edges of the clock's ticks, float64 (ticks + 1,), video time."""
    end_s = float(music.beats_s[-1]) - offset_s if film is None else film.duration_s
    return np.arange(max(int(np.ceil(end_s * CLOCK_HZ - 1e-6)), 1) + 1) / CLOCK_HZ


def overlap_mean(values: NDArray[np.floating], value_edges_s: FloatArray, edges_s: FloatArray) -> FloatArray:
    """Mean of a step function over each stretch, weighted by the time they share; NaN where they share none.

    values: (n,), value k holds from value_edges_s[k] to value_edges_s[k + 1]; both edges rise.
    Returns float64 (len(edges_s) - 1,). Only the part of a stretch that the values cover counts.
    """
    integral = np.concatenate(([0.0], np.cumsum(values * np.diff(value_edges_s), dtype=np.float64)))
    inside_s = np.clip(edges_s, value_edges_s[0], value_edges_s[-1])
    shared_s = np.diff(inside_s)
    area = np.diff(np.interp(inside_s, value_edges_s, integral))
    mean: FloatArray = np.where(shared_s > 1e-9, area / np.maximum(shared_s, 1e-9), np.nan)
    return mean


def majority(edges_s: FloatArray, grid_s: FloatArray) -> NDArray[np.int64]:
    """Which stretch of `grid_s` covers most of each step of `edges_s`; -1 where it lies mostly outside.

    Both: edges, float64, rising. Returns int64 (len(edges_s) - 1,). Of equal shares the first counts.
    """
    out = np.full(len(edges_s) - 1, -1, np.int64)
    for step, (start_s, end_s) in enumerate(pairwise(edges_s.tolist())):
        first = max(int(np.searchsorted(grid_s, start_s, side="right")) - 1, 0)
        last = min(int(np.searchsorted(grid_s, end_s, side="left")), len(grid_s) - 1)
        if first >= last:
            continue
        shared = np.minimum(grid_s[first + 1 : last + 1], end_s) - np.maximum(grid_s[first:last], start_s)
        if 2 * shared.sum() > end_s - start_s:
            out[step] = first + int(np.argmax(shared))
    return out


def curve_edges(curve: Curve, duration_s: float) -> FloatArray:
    """Edges of a curve's values, the last one at the film's end; float64 (values + 1,)."""
    edges = np.arange(len(curve.values) + 1) / curve.hz
    edges[-1] = max(duration_s, float(edges[-2]) + 1e-6)
    return edges


def _on_grid(
    music: MusicAnnotation, film: Analysis | None, offset_s: float, edges_s: FloatArray
) -> GridCurves:
    onset_s, melodic, velocity = _note_onsets(music)
    onsets, melody_onsets, mean_velocity = _counts(onset_s - offset_s, melodic, velocity, edges_s)
    inside = (edges_s[1:] > music.beats_s[0] - offset_s) & (edges_s[:-1] < music.beats_s[-1] - offset_s)
    unknown = np.full(len(edges_s) - 1, np.nan, np.float32)
    seen = dict.fromkeys((*FILM_CURVES, "speech", "cuts"), unknown)
    covered = np.zeros(len(edges_s) - 1)
    if film is not None:
        covered = np.diff(np.clip(edges_s, 0.0, film.duration_s)) / np.diff(edges_s)
        seen = _of_film(film, edges_s, covered > 0)
    return GridCurves(
        start_s=edges_s[:-1],
        covered=covered.astype(np.float32),
        onsets=np.where(inside, onsets, np.nan).astype(np.float32),
        melody_onsets=np.where(inside, melody_onsets, np.nan).astype(np.float32),
        velocity=mean_velocity.astype(np.float32),
        **seen,
    )


def _of_film(film: Analysis, edges_s: FloatArray, seen: NDArray[np.bool_]) -> dict[str, Values]:
    out = {}
    for name in FILM_CURVES:
        curve: Curve = getattr(film, name)
        out[name] = overlap_mean(curve.values, curve_edges(curve, film.duration_s), edges_s).astype(
            np.float32
        )
    inside_s = np.clip(edges_s, 0.0, film.duration_s)
    spoken = np.full(len(seen), np.nan)
    if seen.any():
        spoken[seen] = _speech(film, inside_s, seen)
    cuts, _ = np.histogram([each.time_s for each in film.transitions], edges_s)
    out["speech"] = spoken.astype(np.float32)
    out["cuts"] = np.where(seen, cuts, np.nan).astype(np.float32)
    return out


def _speech(film: Analysis, inside_s: FloatArray, seen: NDArray[np.bool_]) -> FloatArray:
    """Share of speech of the steps that lie in the film, which are neighbours."""
    first = int(np.argmax(seen))
    edges = inside_s[first : first + int(seen.sum()) + 1]
    return speech_share(film.speech_spans, edges)


def _note_onsets(music: MusicAnnotation) -> tuple[FloatArray, NDArray[np.bool_], FloatArray]:
    """Song time, whether in the melody, and velocity of every onset on the grid."""
    bits = np.unpackbits(music.bits, axis=1, count=int(np.prod(BITS_SHAPE)))
    beat, track, step, _ = np.nonzero(bits.reshape(-1, *BITS_SHAPE)[:, :, ONSET])
    at = beat + step / STEPS_PER_BEAT
    onset_s = np.interp(at, np.arange(music.n_beats + 1), music.beats_s)
    return onset_s, track == MELODY, music.velocity[beat, track, step].astype(np.float64)


def _counts(
    onset_s: FloatArray, melodic: NDArray[np.bool_], velocity: FloatArray, edges_s: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Onsets, melody onsets and mean velocity of each step; a note on an edge belongs to the later step."""
    n_steps = len(edges_s) - 1
    step = np.searchsorted(edges_s, onset_s + 1e-9, side="right") - 1
    inside = (step >= 0) & (step < n_steps)
    count = np.bincount(step[inside], minlength=n_steps)
    melody = np.bincount(step[inside & melodic], minlength=n_steps)
    total = np.bincount(step[inside], weights=velocity[inside], minlength=n_steps)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return count.astype(np.float64), melody.astype(np.float64), mean
