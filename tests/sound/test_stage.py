"""Where the shipped styles put their parts, in which rooms, and that they are heard in mono."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diffbgm.score.styles import Style, StylePart, load_style, style_names
from diffbgm.sound.figures import figures
from diffbgm.sound.synth import render_blocks

from .conftest import part, score

STYLES = {name: load_style(name) for name in style_names()}


def line(style: Style, each: StylePart) -> object:
    """The part as the style sets it up, on a scale in the middle of its range, each note 0.4 s long."""
    low = sum(each.range) // 2 - 4
    notes = [(0.1 + 0.4 * k, 0.5 + 0.4 * k, low + step, 70 + 8 * k) for k, step in enumerate((0, 4, 7, 12))]
    settings = {
        name: getattr(each, name) for name in ("volume", "pan", "reverb", "chorus", "touch", "width", "name")
    }
    return part(notes, each.program, tone=each.tone.tone(), **settings)


@pytest.mark.parametrize("name", STYLES)
def test_low_instruments_are_in_the_middle_and_the_rest_is_no_mud(name: str) -> None:
    style = STYLES[name]
    for each in style.parts:
        if each.written == "bass":
            assert 54 <= each.pan <= 76, each.name
        elif len(style.parts) > 2:  # a piano alone has its low end
            assert each.tone.low_cut_hz >= 60, each.name
    assert any(each.pan < 60 for each in style.parts)
    assert any(each.pan >= 68 for each in style.parts)


def test_every_style_has_a_room_of_its_own_and_large_ones_are_not_louder() -> None:
    rooms = {name: style.room for name, style in STYLES.items()}
    assert rooms["ambient"].size > rooms["piano"].size > rooms["rock"].size > rooms["funk"].size
    assert all(room.level <= 0.8 for room in rooms.values() if room.size > 0.75)
    assert (
        len({(room.size, room.damping, room.width, room.level) for room in rooms.values()}) >= len(rooms) - 2
    )


@pytest.mark.parametrize("name", ["ambient", "electronic", "synthwave", "cinematic"])  # the widest ones
def test_mono_loses_less_than_three_decibels(name: str) -> None:
    style = STYLES[name]
    parts = [line(style, each) for each in style.parts]
    played = replace(score(*parts, duration_s=3.0), room=style.room.room(), tone=style.tone.tone())  # type: ignore[arg-type]
    music = np.concatenate([stems.sum(axis=0) for stems in render_blocks(played)], axis=1)
    measured = figures([music], "stereo")
    assert measured.mono_loss_db is not None
    assert measured.side_db is not None
    assert measured.mono_loss_db < 3.0
    assert measured.side_db > -15.0
