from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from diffbgm.metrics.pitch import histogram_entropy, pitch_class_counts, scale_share
from diffbgm.metrics.rhythm import grooving_similarity

GOLDEN = Path(__file__).parents[1] / "golden" / "musdr"


def test_entropy_of_known_histograms() -> None:
    counts = np.array([[4] + [0] * 11, [1] * 12, [2, 2] + [0] * 10, [0] * 12])
    np.testing.assert_allclose(histogram_entropy(counts), [0, np.log2(12), 1, np.nan])


def test_groove_of_known_bars() -> None:
    same = np.zeros((3, 16), bool)
    assert grooving_similarity(same) == 1.0
    assert grooving_similarity(np.array([[True] * 16, [False] * 16])) == 0.0
    assert grooving_similarity(np.array([[True, False], [True, True]])) == pytest.approx(0.5)
    assert np.isnan(grooving_similarity(same[:1]))


def test_pitch_classes_and_scale() -> None:
    onsets = np.zeros(88, int)
    onsets[[60 - 21, 61 - 21, 72 - 21]] = 1
    counts = pitch_class_counts(onsets)
    assert counts.tolist() == [2, 1] + [0] * 10
    assert scale_share(counts) == pytest.approx(2 / 3)
    assert scale_share(counts, tonic=1) == pytest.approx(1.0)  # C and Db are both in Db major


@pytest.mark.parametrize("name", ["benny_carter", "dickie_wells"])
def test_entropy_and_groove_match_musdr(name: str) -> None:
    """Values that MusDr's own functions gave for its own test pieces (golden/musdr)."""
    expected = json.loads((GOLDEN / "expected.json").read_text())[name]
    bars: list[np.ndarray] = []
    pitches: list[list[int]] = []
    with (GOLDEN / f"{name}.remi.csv").open() as file:
        for row in csv.DictReader(file):
            code = int(row["ENCODING"])
            if code == 192:
                bars.append(np.zeros(64, bool))
                pitches.append([])
            elif 193 <= code <= 256:
                position = code - 193
            elif row["EVENT"] == "Note-On":
                bars[-1][position] = True
                pitches[-1].append(code % 12)
    assert grooving_similarity(np.array(bars)) == pytest.approx(expected["GS_all_pairs"], abs=1e-6)
    counts = np.array([np.bincount(bar, minlength=12) for bar in pitches])
    assert np.nanmean(histogram_entropy(counts)) == pytest.approx(expected["H1"], abs=1e-6)
