"""What a film asked of the music, and what the music gave, as curves that can be compared.

Both sides give the same five curves, each resampled to 16 points over the piece, so that a row can be
looked up among the rows of other films (`diffbgm.metrics.retrieval.video_and_music`):

| curve | asked: the cue sheet's plan | given: measured in the notes |
|---|---|---|
| density | density a beat | notes that start a second |
| energy | energy a beat | mean velocity, softer where fewer notes start |
| valence | valence of the section | share of major against minor thirds above the sounding bass |
| arousal | arousal of the section | register: mean pitch |
| tempo | BPM of the bar | BPM of the bar |

Tempo is copied from the plan into the music, so it alone would find every film: leave it out
(`tempo=False`) when the question is what the model made of the picture.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from diffbgm.metrics.notes import Notes
from diffbgm.spotting.cuesheet import Plan
from diffbgm.timing import BEATS_PER_BAR, FloatArray

POINTS: Final = 16
CURVES: Final = ("density", "energy", "valence", "arousal", "tempo")


def asked(plan: Plan, *, tempo: bool = True) -> FloatArray:
    """The plan's curves one after the other, float64 (16 a curve,)."""
    beats = plan.tempo_map.n_beats
    section = np.zeros(beats, np.int64)
    for number, part in enumerate(plan.sections):
        section[part.start_bar * BEATS_PER_BAR : part.end_bar * BEATS_PER_BAR] = number
    curves = [
        np.asarray(plan.density, np.float64),
        np.asarray(plan.energy, np.float64),
        np.array([part.valence for part in plan.sections])[section],
        np.array([part.arousal for part in plan.sections])[section],
    ]
    if tempo:
        curves.append(np.log2(np.repeat(plan.tempo_map.bpm_of_bars(), BEATS_PER_BAR)))
    return np.concatenate([_resampled(curve) for curve in curves])


def given(notes: Notes, plan: Plan, *, tempo: bool = True) -> FloatArray:
    """The same curves measured in the notes of the finished music, over the same beats.

    Beats in which nothing starts take the value of the nearest one in which something does.
    """
    tempo_map = plan.tempo_map
    borders = tempo_map.seconds(np.arange(tempo_map.n_beats + 1, dtype=np.float64))
    beat = np.searchsorted(borders, notes.start_s + 1e-6, side="right") - 1
    inside = (beat >= 0) & (beat < tempo_map.n_beats)
    notes, beat = notes.select(inside), beat[inside]
    count = np.bincount(beat, minlength=tempo_map.n_beats).astype(np.float64)
    strength = np.bincount(beat, notes.velocity, tempo_map.n_beats)
    register = np.bincount(beat, notes.pitch, tempo_map.n_beats)
    curves = [
        count / np.diff(borders),
        strength / np.maximum(count, 1) + np.minimum(count, 4),
        _thirds(notes, beat, tempo_map.n_beats),
        _filled(np.divide(register, count, out=np.full_like(count, np.nan), where=count > 0)),
    ]
    if tempo:
        curves.append(np.log2(np.repeat(tempo_map.bpm_of_bars(), BEATS_PER_BAR)))
    return np.concatenate([_resampled(curve) for curve in curves])


def _thirds(notes: Notes, beat: np.ndarray[tuple[int], np.dtype[np.int64]], n_beats: int) -> FloatArray:
    """Share of major minus share of minor thirds above each bar's lowest note, repeated on its beats."""
    out = np.full(n_beats, np.nan)
    for first in range(0, n_beats, BEATS_PER_BAR):
        here = (beat >= first) & (beat < first + BEATS_PER_BAR)
        if here.any():
            above = (notes.pitch[here] - notes.pitch[here].min()) % 12
            out[first : first + BEATS_PER_BAR] = ((above == 4).sum() - (above == 3).sum()) / here.sum()
    return _filled(out)


def _filled(values: FloatArray) -> FloatArray:
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return np.zeros_like(values)
    return np.asarray(np.interp(np.arange(len(values)), known, values[known]))


def _resampled(curve: FloatArray) -> FloatArray:
    """Means over 16 equal stretches."""
    sums = np.concatenate([[0.0], np.cumsum(curve)])
    at = np.interp(np.linspace(0, len(curve), POINTS + 1), np.arange(len(sums)), sums)
    return np.asarray(np.diff(at) * POINTS / len(curve))
