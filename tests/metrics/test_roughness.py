"""Roughness against published values and what is known of chords."""

from __future__ import annotations

import numpy as np
import pytest

from diffbgm.metrics.roughness import mean_roughness, roughness


@pytest.mark.parametrize(
    ("pitches", "expected"), [((60, 61), 0.484), ((60, 64, 67), 0.120), ((60, 63, 67), 0.130)]
)
def test_values_of_another_implementation(pitches: tuple[int, ...], expected: float) -> None:
    """tests/testthat/test-hutch.R of the R package dycon (Peter Harrison), eleven harmonics."""
    assert roughness(pitches) == pytest.approx(expected, abs=1e-3)


def test_order_of_chords() -> None:
    assert roughness(()) == 0.0
    assert roughness((60,)) < 0.01
    assert roughness((60, 72)) < roughness((60, 67)) < roughness((60, 64)) < roughness((60, 62))
    major, diminished = roughness((60, 64, 67, 72)), roughness((60, 63, 66, 69))
    assert major < diminished < roughness((60, 61, 62, 63))
    assert roughness((36, 40, 43)) > 2 * roughness((60, 64, 67)), "low chords are rough"


def test_mean_over_moments_with_two_notes_or_more() -> None:
    sounding = np.zeros((4, 88), bool)
    sounding[0, [39, 40]] = sounding[1, 39] = sounding[3, [39, 43, 46]] = True
    assert mean_roughness(sounding, 21) == pytest.approx((roughness((60, 61)) + roughness((60, 64, 67))) / 2)
    assert mean_roughness(sounding[1:3], 21) == 0.0
