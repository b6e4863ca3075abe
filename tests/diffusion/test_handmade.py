"""Codes as rows for the paper's network: every code can be read back, unknown is zero."""

from __future__ import annotations

import numpy as np
import pytest

from diffbgm.diffusion.conditions import DYNAMIC_FIELDS, SEMANTIC_FIELDS, Conditions, conditions_of
from diffbgm.diffusion.handmade import handmade_rows, one_hot
from tests.diffusion.plans import make_plan


def test_every_code_has_a_column_of_its_own() -> None:
    for fields, width in ((DYNAMIC_FIELDS, 512), (SEMANTIC_FIELDS, 768)):
        seen = set()
        for field, size in enumerate(fields.values()):
            for code in range(1, size):
                codes = np.zeros((1, len(fields)), np.int64)
                codes[0, field] = code
                row = one_hot(codes, fields.values(), width)
                assert row.shape == (1, width)
                assert row.sum() == 1
                seen.add(int(row.argmax()))
        assert seen == set(range(sum(fields.values()) - len(fields)))


def test_codes_are_read_back_from_the_rows() -> None:
    given = conditions_of(make_plan())
    visual, caption = handmade_rows(given)
    assert visual.dtype == caption.dtype == np.float32
    assert visual.shape == (len(given.dynamic), 512)
    assert caption.shape == (len(given.dynamic), 768)
    for rows, codes, fields in (
        (visual, given.dynamic, DYNAMIC_FIELDS),
        (caption, given.semantic[given.mask.argmax(axis=1)], SEMANTIC_FIELDS),
    ):
        start = 0
        for field, size in enumerate(fields.values()):
            group = rows[:, start : start + size - 1]
            found = np.where(group.any(axis=1), group.argmax(axis=1) + 1, 0)
            np.testing.assert_array_equal(found, codes[:, field])
            start += size - 1
        assert not rows[:, start:].any()


def test_unknown_is_zero() -> None:
    given = conditions_of(make_plan())
    visual, caption = handmade_rows(given.without_dynamic())
    assert not visual.any()
    assert caption.any()
    visual, caption = handmade_rows(given.without_semantic())
    assert visual.any()
    assert not caption.any()


def test_a_beat_has_the_codes_of_all_its_segments_or_none() -> None:
    semantic = np.zeros((2, len(SEMANTIC_FIELDS)), np.int64)
    semantic[0, 0], semantic[1, 0] = 1, 3
    mask = np.array([[True, False], [True, True], [False, False]])
    _, caption = handmade_rows(Conditions(np.zeros((3, len(DYNAMIC_FIELDS)), np.int64), semantic, mask))
    assert [np.flatnonzero(row).tolist() for row in caption] == [[0], [0, 2], []]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit fields"):
        one_hot(np.array([[3]]), [3], 8)
    with pytest.raises(ValueError, match="do not fit fields"):
        one_hot(np.array([[1, 1]]), [3], 8)
    with pytest.raises(ValueError, match="do not fit into rows of 1"):
        one_hot(np.array([[1]]), [3], 1)
