from __future__ import annotations

import numpy as np
import pytest

from diffbgm.diffusion.conditions import conditions_of
from diffbgm.diffusion.denoiser import Guidance
from diffbgm.diffusion.levels import alpha_bars, level_of
from diffbgm.diffusion.segments import SEGMENTS, segment_mask
from diffbgm.diffusion.selector import MODES, PUBLISHED_THRESHOLD, streams

from .plans import make_plan

LEVELS = np.array([0.99, 0.5, 0.365, PUBLISHED_THRESHOLD, 0.1, 0.0])
HIGH = LEVELS > PUBLISHED_THRESHOLD
TABLE = {
    "gate": (HIGH, ~HIGH),
    "reversed": (~HIGH, HIGH),
    "both": (HIGH | True, HIGH | True),
    "semantic": (HIGH | True, HIGH & False),
    "dynamic": (HIGH & False, HIGH | True),
}


def test_every_mode_is_in_the_truth_table_or_random() -> None:
    assert {*TABLE, "random"} == set(MODES)


@pytest.mark.parametrize("mode", TABLE)
def test_truth_table(mode) -> None:
    semantic, dynamic = streams(LEVELS, mode)
    np.testing.assert_array_equal(semantic, TABLE[mode][0])
    np.testing.assert_array_equal(dynamic, TABLE[mode][1])


def test_the_threshold_is_where_the_gate_turns() -> None:
    assert streams(np.array([0.6]), "gate", threshold=0.7)[1].all()
    assert streams(np.array([0.6]), "gate", threshold=0.5)[0].all()


def test_the_default_threshold_is_the_published_step() -> None:
    semantic, dynamic = streams(level_of(alpha_bars()), "gate")
    np.testing.assert_array_equal(semantic, np.arange(1000) > 200)
    np.testing.assert_array_equal(dynamic, np.arange(1000) <= 200)


def test_random_hears_one_stream_at_a_time_and_repeats_with_its_seed() -> None:
    levels = np.linspace(0, 1, 1000)
    semantic, dynamic = streams(levels, "random", rng=np.random.default_rng(3))
    np.testing.assert_array_equal(semantic, ~dynamic)
    assert 440 < semantic.sum() < 560
    np.testing.assert_array_equal(semantic, streams(levels, "random", rng=np.random.default_rng(3))[0])
    with pytest.raises(ValueError, match="generator"):
        streams(levels, "random")


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="soft"):
        streams(LEVELS, "soft")


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_that_does_not_speak_is_unknown_to_the_network(mode) -> None:
    given = conditions_of(make_plan())
    guidance = Guidance(selector=mode)
    for k, level in enumerate(LEVELS):
        seen = guidance.select(given, level)
        heard = (bool(seen.semantic.any()), bool(seen.dynamic.any()))
        if mode == "random":
            assert sum(heard) == 1
        else:
            assert heard == (TABLE[mode][0][k], TABLE[mode][1][k])
        np.testing.assert_array_equal(seen.mask, given.mask)


def test_segment_masks() -> None:
    borders = np.zeros((8, 2), bool)
    borders[:3, 0] = borders[3:, 1] = True
    np.testing.assert_array_equal(segment_mask(borders, "borders"), borders)
    np.testing.assert_array_equal(
        segment_mask(borders, "blocks"), np.repeat(np.eye(2, dtype=bool), 4, axis=0)
    )
    assert segment_mask(borders, "global").all()
    assert set(SEGMENTS) == {"borders", "blocks", "global"}
    with pytest.raises(ValueError, match="thirds"):
        segment_mask(borders, "thirds")
