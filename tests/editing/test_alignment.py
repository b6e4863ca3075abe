"""What is found of an old cut in a new one: cuts made on purpose, whose answers are known to the frame."""

from __future__ import annotations

import numpy as np
import pytest

from diffbgm.editing.alignment import Span, surviving
from diffbgm.spotting.provenance import Picture

from .cuts import FPS, Part, takes_on_film

OLD: list[Part] = [(1, 0, 200), (2, 0, 150), (3, 0, 260), (4, 0, 190)]
"""Takes 1 to 4 from frames 0, 200, 350 and 610 on, 800 frames in all."""


def frames(spans: tuple[Span, ...], fps: int = FPS) -> list[tuple[int, int, int]]:
    """(old frame, new frame, length in frames) of each span; they lie on whole frames."""
    values = np.array([(span.old_s, span.new_s, span.length_s) for span in spans]) * fps
    np.testing.assert_allclose(values, np.rint(values), atol=1e-6)
    return [tuple(row) for row in np.rint(values).astype(int).tolist()]


@pytest.mark.parametrize(
    ("new", "found"),
    [
        (OLD, [(0, 0, 800)]),
        ([*OLD[:2], (3, 0, 100)], [(0, 0, 450)]),
        ([*OLD[:1], *OLD[2:]], [(0, 0, 200), (350, 200, 450)]),
        ([*OLD[:2], (9, 0, 72), *OLD[2:]], [(0, 0, 350), (350, 422, 450)]),
        ([OLD[0], OLD[2], OLD[1], OLD[3]], [(0, 0, 200), (350, 200, 260), (200, 460, 150), (610, 610, 190)]),
        ([(1, 0, 200), (2, 25, 150), *OLD[2:]], [(0, 0, 200), (225, 200, 575)]),
        ([*OLD, OLD[1]], [(0, 0, 800), (200, 800, 150)]),
        ([(1, 61, 200), *OLD[1:]], [(61, 0, 739)]),
        ([(8, 0, 300)], []),
    ],
    ids=["same", "end", "middle", "insert", "swap", "trim", "repeat", "head", "other"],
)
@pytest.mark.parametrize("noise", [0.0, 0.04])
def test_cuts_are_found_to_the_frame(
    new: list[Part], found: list[tuple[int, int, int]], noise: float
) -> None:
    picture = Picture.of(takes_on_film(OLD))
    assert frames(surviving(picture, takes_on_film(new, noise=noise))) == found


def test_scenes_in_which_nothing_moves_are_laid_by_their_cuts() -> None:
    picture = Picture.of(takes_on_film([(51, 0, 201), (52, 0, 149), (53, 0, 260)]))
    new = takes_on_film([(51, 0, 201), (53, 0, 260), (52, 0, 149)], noise=0.02)
    assert frames(surviving(picture, new)) == [(0, 0, 201), (350, 201, 260), (201, 461, 149)]


def test_a_cut_within_a_take_is_found_to_a_moment() -> None:
    """Where the picture jumps without a cut that anyone sees, spans end up to 1/4 s too early."""
    picture = Picture.of(takes_on_film(OLD))
    inside = [(1, 0, 200), (2, 0, 150), (3, 0, 100), (3, 160, 260), (4, 0, 190)]
    new = takes_on_film(inside)
    cuts = [each for each in new.transitions if abs(each.time_s - 450 / FPS) > 0.01]
    first, second = surviving(picture, new.__class__(**{**vars(new), "transitions": tuple(cuts)}))
    assert (first.shift_s, second.shift_s) == pytest.approx((0.0, -60 / FPS))
    assert -2 <= 450 - first.new_end_s * FPS <= FPS / 4
    assert -2 <= second.new_s * FPS - 450 <= FPS / 4


def test_a_title_over_a_scene_parts_nothing_but_a_scene_replaced_does() -> None:
    picture = Picture.of(takes_on_film(OLD))
    title = takes_on_film([*OLD[:2], (3, 0, 100), (7, 0, 40), (3, 140, 260), OLD[3]])
    assert frames(surviving(picture, title)) == [(0, 0, 800)]
    scene = takes_on_film([*OLD[:2], (7, 0, 260), OLD[3]])
    assert frames(surviving(picture, scene)) == [(0, 0, 350), (610, 610, 190)]


def test_another_frame_rate_keeps_the_time() -> None:
    old = takes_on_film([(1, 0, 200), (2, 0, 200)])
    new = takes_on_film([(1, 0, 200), (2, 0, 200)])
    every_other = slice(None, None, 2)
    prints = new.fingerprints
    half = new.__class__(
        **{
            **vars(new),
            "frame_rate": new.frame_rate / 2,
            "fingerprints": prints.__class__(prints.times_s[every_other], prints.bits[every_other]),
        }
    )
    (span,) = surviving(Picture.of(old), half)
    assert span.shift_s == pytest.approx(0.0, abs=0.5 / FPS)
    assert span.length_s == pytest.approx(400 / FPS, abs=1 / FPS)
