"""Features of a film without the networks that make them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from diffbgm.features.film_features import Caption, FilmFeatures, Source, sha256_of
from diffbgm.video.analysis import Shot

MADE = Source("made for a test", "0" * 64)


def features_of(film: Path, duration_s: float = 6.0, cuts_s: tuple[float, ...] = (2.0, 4.25)) -> FilmFeatures:
    """Random rows, two a second, and a caption a shot."""
    rng = np.random.default_rng(0)
    edges = [0.0, *cuts_s, duration_s]
    shots = tuple(Shot(a, b) for a, b in pairwise(edges))
    return FilmFeatures(
        film=Source(film.name, sha256_of(film)),
        duration_s=duration_s,
        visual=rng.standard_normal((int(2 * duration_s), 512)).astype(np.float32),
        visual_hz=2.0,
        visual_by=MADE,
        shots=shots,
        shots_by="builtin",
        captions=tuple(Caption(shot.start_s, shot.end_s, "a shot") for shot in shots),
        captions_by=MADE,
        language=rng.standard_normal((len(shots), 768)).astype(np.float32),
        language_by=MADE,
    )
