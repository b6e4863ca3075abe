from __future__ import annotations

import sys

import numpy as np
import pytest

from diffbgm.errors import MissingToolError
from diffbgm.metrics.features import table
from diffbgm.metrics.realism import auc, evaluate, feature_distances, two_sample_test
from tests.metrics.pieces import tune


def gaussian(
    rng: np.random.Generator, n: int, mean: float = 0.0, spread: float = 1.0, width: int = 1
) -> np.ndarray:
    return mean + spread * rng.standard_normal((n, width))


def test_sets_alike_overlap_and_sets_apart_do_not() -> None:
    rng = np.random.default_rng(0)
    same = feature_distances(gaussian(rng, 300), gaussian(rng, 300))
    assert same.overlap > 0.93
    assert same.kl < 0.03
    apart = feature_distances(gaussian(rng, 300), gaussian(rng, 300, mean=10))
    assert apart.overlap < 0.05
    assert apart.kl > 3
    assert apart.across == pytest.approx(10, abs=0.5)
    narrow = feature_distances(gaussian(rng, 300, spread=0.1), gaussian(rng, 300))
    assert apart.overlap < narrow.overlap < same.overlap


def test_overlap_of_two_normals_is_the_known_one() -> None:
    """Distances of a line of points from themselves and from a distant point are shifted copies."""
    rng = np.random.default_rng(1)
    first = gaussian(rng, 400, width=30)
    second = gaussian(rng, 400, width=30) + 0.0
    near = feature_distances(first, second)
    # In many dimensions distances are nearly normal; inside and across share mean and spread.
    assert near.inside == pytest.approx(near.across, rel=0.02)
    assert near.overlap > 0.97


def test_constant_features_are_alike_or_not_at_all() -> None:
    ones = np.ones((5, 1))
    assert feature_distances(ones, ones).overlap == pytest.approx(1.0)
    assert feature_distances(ones, ones).kl == pytest.approx(0.0)
    assert feature_distances(ones, 3 * ones).overlap == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.zeros((1, 2)), np.zeros((4, 2))),
        (np.zeros((4, 2)), np.zeros((4, 3))),
        (np.full((4, 1), np.nan), np.zeros((4, 1))),
    ],
)
def test_distances_refuse_what_cannot_be_compared(first: np.ndarray, second: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"features|rows"):
        feature_distances(first, second)


def test_real_music_against_itself_by_feature() -> None:
    first, second = table([tune(k, 16) for k in range(20)]), table([tune(k, 16) for k in range(100, 120)])
    high = table([tune(k, 16, low=84) for k in range(20)])
    alike, shifted = evaluate(first, second), evaluate(first, high)
    assert min(each.overlap for each in alike.values()) > 0.5
    assert shifted["pitch_range"].overlap > 0.5  # the range is the same two octaves higher
    assert shifted["pitch_class_histogram"].overlap > 0.5


def test_auc_of_known_orders() -> None:
    labels = np.array([0, 0, 1, 1])
    assert auc(np.array([1.0, 2.0, 3.0, 4.0]), labels) == 1.0
    assert auc(np.array([4.0, 3.0, 2.0, 1.0]), labels) == 0.0
    assert auc(np.array([1.0, 3.0, 2.0, 4.0]), labels) == 0.75
    assert auc(np.ones(4), labels) == 0.5
    assert np.isnan(auc(np.ones(4), np.zeros(4)))


def songs(count: int, each: int) -> list[str]:
    return [f"song {k // each}" for k in range(count)]


def test_the_classifier_tells_different_sets_and_not_equal_ones() -> None:
    pytest.importorskip("sklearn", reason="the classifier test needs scikit-learn")
    rng = np.random.default_rng(0)
    groups = songs(200, 10)
    alike = two_sample_test(
        gaussian(rng, 200, width=3), gaussian(rng, 200, width=3), groups, groups, rounds=200
    )
    assert alike.auc == pytest.approx(0.5, abs=0.12)
    assert alike.auc_ci95[0] < alike.auc < alike.auc_ci95[1]
    assert alike.accuracy_ci95[0] < alike.accuracy < alike.accuracy_ci95[1]
    apart = two_sample_test(gaussian(rng, 200), gaussian(rng, 200, mean=3), groups, groups, rounds=200)
    assert apart.auc > 0.95
    assert apart.accuracy > 0.88
    assert apart.n == 200


def test_songs_never_stand_on_both_sides_of_a_fold() -> None:
    """Windows of a song are copies and labels belong to songs: a leak would be learnt by heart."""
    pytest.importorskip("sklearn", reason="the classifier test needs scikit-learn")
    rng = np.random.default_rng(0)
    first = np.repeat(gaussian(rng, 20, width=2), 10, axis=0)
    second = np.repeat(gaussian(rng, 20, width=2), 10, axis=0)
    found = two_sample_test(
        first, second, songs(200, 10), [f"other {name}" for name in songs(200, 10)], rounds=200
    )
    assert found.auc < 0.8


def test_too_few_songs_and_a_missing_library_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.zeros((10, 1))
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(MissingToolError, match="scikit-learn"):
        two_sample_test(rows, rows, songs(10, 1), songs(10, 1))
    monkeypatch.undo()
    pytest.importorskip("sklearn", reason="the classifier test needs scikit-learn")
    with pytest.raises(ValueError, match="5 folds"):
        two_sample_test(rows, rows, songs(10, 5), songs(10, 5))
