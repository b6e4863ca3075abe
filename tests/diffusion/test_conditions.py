from __future__ import annotations

import numpy as np
import pytest

from diffbgm.diffusion import conditions as c

from .plans import make_plan


def column(given: c.Conditions, name: str) -> np.ndarray:
    return given.dynamic[:, c.DYNAMIC_INDEX[name]]


def test_plan_fills_the_streams() -> None:
    given = c.conditions_of(make_plan(bars=20, key="Em"))
    assert given.dynamic.shape == (80, len(c.DYNAMIC_FIELDS))
    np.testing.assert_array_equal(column(given, "beat")[:5], [1, 2, 3, 4, 1])
    # median density asks for the median bar of songs at 120 BPM: 5 onsets a beat, slowed to 3.9
    assert set(column(given, "density")) == {int(c.density_code(3.9))}
    # the hit at step 42 is the third sixteenth of beat 10, and nothing else is accented
    accents = given.dynamic[:, c.ACCENT]
    np.testing.assert_array_equal(np.argwhere(accents), [[10, 2]])
    # two sections of ten bars become four phrases of five, each its own material
    np.testing.assert_array_equal(given.mask.sum(axis=0), [20, 20, 20, 20])
    np.testing.assert_array_equal(given.mask.sum(axis=1), 1)
    np.testing.assert_array_equal(given.semantic[:, c.SEMANTIC_INDEX["label"]], [1, 2, 3, 4])
    assert set(given.semantic[:, c.SEMANTIC_INDEX["mode"]]) == {2}
    np.testing.assert_array_equal(column(given, "since")[:20:4], [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(column(given, "until")[:20:4], [5, 4, 3, 2, 1])


@pytest.mark.parametrize(
    ("bars", "lengths", "labels"),
    [
        (3, [3], [1]),
        (8, [8], [1]),
        (11, [6, 5], [1, 2]),
        (12, [8, 4], [1, 2]),
        (16, [8, 8], [1, 2]),
        (20, [8, 8, 4], [1, 2, 1]),
        (27, [8, 8, 6, 5], [1, 1, 2, 1]),
        (40, [8] * 5, [1, 1, 2, 1, 1]),
    ],
)
def test_a_section_is_made_of_phrases(bars: int, lengths: list[int], labels: list[int]) -> None:
    plan = make_plan(bars=2 * bars)
    second = plan.sections[1].model_copy(update={"label": plan.sections[0].label})
    given = c.conditions_of(plan.model_copy(update={"sections": (plan.sections[0], second)}))
    np.testing.assert_array_equal(given.mask.sum(axis=0), [4 * each for each in (*lengths, *lengths)])
    # a section that returns is made of the same
    np.testing.assert_array_equal(given.semantic[:, c.SEMANTIC_INDEX["label"]], [*labels, *labels])


def test_no_melody_asks_for_none() -> None:
    silent = c.conditions_of(make_plan(melody=False))
    assert set(column(silent, "melody")) == {1}
    sung = c.conditions_of(make_plan(melody=True))
    assert set(column(sung, "melody")) == {c.UNKNOWN}
    # the songs' intros have no melody: one that is to have it is asked for as a theme
    assert silent.semantic[0, c.SEMANTIC_INDEX["role"]] == 1 + c.ROLES.index("intro")
    assert sung.semantic[0, c.SEMANTIC_INDEX["role"]] == 1 + c.ROLES.index("theme")


def test_every_code_is_inside_its_field() -> None:
    for value in (0.0, 0.1, 4.9, 40.0):
        assert 1 <= c.density_code(value) < c.DYNAMIC_FIELDS["density"]
        assert 1 <= c.melody_code(value) < c.DYNAMIC_FIELDS["melody"]
    assert c.distance_code(np.arange(40)).max() == c.DYNAMIC_FIELDS["since"] - 1
    for edges, field in (
        (c.TEMPO_EDGES, "tempo"),
        (c.REGISTER_EDGES, "register"),
        (c.SIGNED_EDGES, "valence"),
    ):
        assert c.edge_code(1e9, edges) == c.SEMANTIC_FIELDS[field] - 1
        assert c.edge_code(-1e9, edges) == 1
    assert c.edge_code(1e9, c.INTENSITY_EDGES) == c.DYNAMIC_FIELDS["intensity"] - 1


def test_window_keeps_its_segments_and_fills_up_with_unknown() -> None:
    given = c.conditions_of(make_plan(bars=20))
    late = given.window(64, 64)  # 16 beats are left of the last phrase
    assert late.dynamic.shape == (64, len(c.DYNAMIC_FIELDS))
    np.testing.assert_array_equal(late.dynamic[:16], given.dynamic[64:])
    assert not late.dynamic[16:].any()
    assert late.semantic.shape[0] == 2
    assert not late.semantic[1].any()
    np.testing.assert_array_equal(late.mask.sum(axis=1), 1)
    assert late.semantic[0, c.SEMANTIC_INDEX["label"]] == 1  # numbered anew
