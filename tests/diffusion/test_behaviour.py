"""The U-Net's ways: presets, what a beat sees, and what no condition is."""

from __future__ import annotations

import numpy as np
import pytest

from diffbgm.diffusion.behaviour import (
    PUBLISHED,
    REPAIRED,
    Behaviour,
    no_condition,
    stream_mask,
    visible_rows,
)

# Six beats: the first segment has four of them, the second one, the last beat has none.
SEGMENTS = np.array([[1, 0], [1, 0], [1, 0], [1, 0], [0, 1], [0, 0]], bool)


def test_presets_are_told_apart_in_every_field_that_matters() -> None:
    assert Behaviour.of("published") is PUBLISHED
    assert Behaviour.of("repaired") is REPAIRED
    assert Behaviour.of({}) == REPAIRED
    assert Behaviour.of({"null": -1.0, "segments": "global"}).segments == "global"
    assert (PUBLISHED.segments, PUBLISHED.n_blocks, PUBLISHED.mask_self_attention) == ("blocks", 2, True)
    assert (PUBLISHED.selector, PUBLISHED.null, PUBLISHED.alignment) == ("gate", -1.0, "stretched")
    with pytest.raises(ValueError, match="expected published or repaired"):
        Behaviour.of("mended")
    with pytest.raises(ValueError, match="unknown field blocks"):
        Behaviour.of({"blocks": 3})


def test_a_beat_sees_the_rows_of_its_own_segment() -> None:
    seen = visible_rows(SEGMENTS, "borders", 2)
    assert [np.flatnonzero(row).tolist() for row in seen] == [[0, 1, 2, 3]] * 4 + [[4], [5]]
    halves = visible_rows(SEGMENTS, "blocks", 2)
    assert [np.flatnonzero(row).tolist() for row in halves] == [[0, 1, 2]] * 3 + [[3, 4, 5]] * 3
    thirds = visible_rows(SEGMENTS, "blocks", 3)
    assert thirds.sum() == 12
    assert visible_rows(SEGMENTS, "global", 2).all()


def test_a_stream_that_does_not_speak_is_not_seen() -> None:
    seen = visible_rows(SEGMENTS, "borders", 2)
    nothing = np.zeros_like(seen)
    for semantic, dynamic, visual, caption in (
        (True, True, seen, seen), (True, False, nothing, seen), (False, True, seen, nothing),
    ):  # fmt: skip
        np.testing.assert_array_equal(
            stream_mask(seen, semantic=semantic, dynamic=dynamic), np.hstack([visual, caption])
        )


@pytest.mark.parametrize(("behaviour", "value"), [(PUBLISHED, -1.0), (REPAIRED, 0.0)])
def test_no_condition_is_visual_rows_of_one_value_and_no_captions(behaviour, value) -> None:
    given = np.random.default_rng(0).random((6, 512), np.float32)
    seen = visible_rows(SEGMENTS, "borders", 2)
    rows, mask = no_condition(given, seen, behaviour)
    assert rows.shape == given.shape
    assert (rows == value).all()
    np.testing.assert_array_equal(mask, stream_mask(seen, semantic=False, dynamic=True))
    assert mask.any(axis=1).all()
