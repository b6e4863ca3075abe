"""The statistics against published values, scipy and brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from diffbgm.listening.statistics import (
    binomial_test,
    bootstrap_mean,
    holm,
    krippendorff_alpha,
    signed_rank_test,
)

NAN = np.nan
# Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), part C: 4 observers, 12 units.
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
)


@pytest.mark.parametrize(("scale", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_agreement_as_published(scale: str, alpha: float) -> None:
    assert krippendorff_alpha(PUBLISHED, scale) == pytest.approx(alpha, abs=5e-4)  # type: ignore[arg-type]


def test_agreement_at_its_ends() -> None:
    same = np.tile(np.array([1.0, 2, 3, 4, 5]), (4, 1))
    assert krippendorff_alpha(same, "ordinal") == 1.0
    opposed = np.array([[1.0, 5, 1, 5], [5, 1, 5, 1]])
    assert krippendorff_alpha(opposed, "ordinal") < -0.5
    assert np.isnan(krippendorff_alpha(np.ones((3, 4)), "ordinal"))
    assert np.isnan(krippendorff_alpha(np.full((3, 4), NAN), "ordinal"))
    assert np.isnan(krippendorff_alpha(np.array([[1.0, NAN], [NAN, 2.0]]), "ordinal"))
    random = np.random.default_rng(0).integers(1, 6, (8, 400)).astype(float)
    assert abs(krippendorff_alpha(random, "ordinal")) < 0.02


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_signed_ranks_against_all_signs(values: list[int]) -> None:
    differences = np.array(values, float)
    nonzero = differences[differences != 0]
    ranks = scipy.stats.rankdata(np.abs(nonzero))
    sums = [
        sum(r for r, s in zip(ranks, signs, strict=True) if s) for signs in product((0, 1), repeat=len(ranks))
    ]
    reached = ranks[nonzero > 0].sum()
    expected = min(1.0, 2 * min(np.mean(np.array(sums) <= reached), np.mean(np.array(sums) >= reached)))
    assert signed_rank_test(differences) == pytest.approx(expected)


def test_signed_ranks_against_scipy() -> None:
    values = np.random.default_rng(2).normal(0.4, 1.0, 24)
    assert signed_rank_test(values) == pytest.approx(scipy.stats.wilcoxon(values, mode="exact").pvalue)
    assert signed_rank_test(np.zeros(5)) == 1.0
    assert signed_rank_test(np.ones(6)) == pytest.approx(2 / 2**6)


@pytest.mark.parametrize(("k", "n"), [(0, 0), (0, 5), (5, 10), (17, 20), (60, 100), (400, 1100)])
def test_binomial_against_scipy(k: int, n: int) -> None:
    expected = scipy.stats.binomtest(k, n).pvalue if n else 1.0
    assert binomial_test(k, n) == pytest.approx(expected)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_bootstrap_interval_of_many_listeners_is_that_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(3.0, 1.0, (200, 1))
    mean, low, high = bootstrap_mean(values, np.random.default_rng(1))
    assert mean == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(200), rel=0.1)


def test_bootstrap_knows_that_videos_differ() -> None:
    """Many listeners who agree do not make five videos a larger sample of videos."""
    by_video = np.tile(np.array([1.0, 2, 3, 4, 5]), (100, 1))
    _, low, high = bootstrap_mean(by_video, np.random.default_rng(0))
    assert high - low > 1.5


def test_bootstrap_of_holes_and_of_nothing() -> None:
    table = np.array([[4.0, NAN], [NAN, 2.0], [NAN, NAN]])
    mean, low, high = bootstrap_mean(table, np.random.default_rng(0))
    assert mean == 3.0
    assert 2.0 <= low <= mean <= high <= 4.0
    assert all(np.isnan(bootstrap_mean(np.full((2, 2), NAN), np.random.default_rng(0))))
