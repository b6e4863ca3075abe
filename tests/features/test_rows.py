"""Features of a film on the beats of its music: shots as segments, rows a beat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diffbgm.features.rows import rows_on_beats, shots_of_beats
from diffbgm.timing import TempoMap
from tests.film_features import features_of


@pytest.fixture
def features(tmp_path: Path):
    """Twelve seconds, cuts at 2.0, 4.2, 4.4 and 11.9."""
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    return features_of(film, 12.0, (2.0, 4.2, 4.4, 11.9))


def test_a_beat_lies_in_the_shot_that_runs_when_it_begins(features) -> None:
    edges_s = np.arange(25) * 0.5
    # The cut at 4.2 counts from the next beat on; what is shorter than a bar joins the shot before.
    assert shots_of_beats(features, edges_s, "time").tolist() == [0] * 4 + [1] * 5 + [2] * 15
    # Stretched over other beats the same shares of the film.
    assert shots_of_beats(features, np.arange(25) * 7.0, "stretched").tolist() == [0] * 4 + [1] * 5 + [2] * 15


def test_rows_and_segments_of_a_piece(features) -> None:
    rows = rows_on_beats(features, TempoMap((0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0)), "time")
    assert rows.visual.shape == (24, 512)
    assert rows.caption.shape == (24, 768)
    np.testing.assert_allclose(rows.visual[3], features.visual[3], atol=1e-6)
    np.testing.assert_array_equal(rows.caption[0], features.language[0])
    assert rows.segments.sum(axis=1).tolist() == [1] * 24
    assert rows.segments.sum(axis=0).tolist() == [4, 5, 15]
