"""Features of a film on the beats of its music: what steers a network that was trained on features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.behaviour import Alignment
from diffbgm.diffusion.unet import FeatureRows
from diffbgm.diffusion.weights import Weights
from diffbgm.errors import InputError
from diffbgm.features.film_features import FilmFeatures, beat_edges
from diffbgm.timing import BEATS_PER_BAR, FloatArray, TempoMap


def check_widths(features: FilmFeatures, weights: Weights) -> None:
    """Raises InputError unless the rows are as wide as the weights take them."""
    found = features.visual.shape[1], features.language.shape[1]
    expected = weights.feature_widths
    if found != expected:
        raise InputError(
            f"features of {features.film.name}: rows of {found[0]} and {found[1]} numbers; the weights "
            f"{weights.name} take {expected[0]} and {expected[1]}"
        )


def rows_on_beats(features: FilmFeatures, tempo_map: TempoMap, alignment: Alignment) -> FeatureRows:
    """A row of each stream for every beat, shots as segments. Raises InputError without captions."""
    edges_s = beat_edges(tempo_map)
    owner = shots_of_beats(features, edges_s, alignment)
    return FeatureRows(
        features.visual_on_beats(edges_s, alignment),
        features.language_on_beats(edges_s, alignment),
        owner[:, None] == np.arange(owner.max() + 1),
    )


def shots_of_beats(features: FilmFeatures, edges_s: FloatArray, alignment: Alignment) -> NDArray[np.int64]:
    """Number of the shot that each beat lies in, int64 (beats,), from 0.

    edges_s: float64 (beats + 1,), where each beat begins and the last one ends. stretched: the film is taken
    to last as long as the beats. A cut within a beat counts from the next beat on. Shots of less than a bar
    belong to the one before.
    """
    cuts_s = np.array([shot.start_s for shot in features.shots[1:]])
    if alignment == "stretched":
        edges_s = edges_s * (features.duration_s / edges_s[-1])
    owner = np.zeros(len(edges_s) - 1, np.int64)
    last = 0
    for start in np.searchsorted(edges_s[:-1], cuts_s - 1e-9).tolist():
        if start - last >= BEATS_PER_BAR and len(owner) - start >= BEATS_PER_BAR:
            owner[start:] += 1
            last = start
    return owner
