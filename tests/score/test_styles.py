from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from diffbgm.errors import OptionError
from diffbgm.score.arrange import arrange
from diffbgm.score.instruments import DRUMS, INSTRUMENTS
from diffbgm.score.styles import load_style, style_names

from .example_music import make_plan, make_roll

EXPECTED = {
    "piano", "piano-strings", "acoustic", "cinematic", "lofi", "electronic", "ambient", "playful", "rock",
    "jazz", "bossa", "funk", "folk", "synthwave", "orchestral", "documentary", "suspense",
}  # fmt: skip

SMALL = """
description = "One piano"
[[parts]]
name = "Piano"
instrument = "Acoustic Grand Piano"
plays = ["melody", "counter", "accompaniment"]
accent = true
"""

BASS = """
[[parts]]
name = "Bass"
instrument = "Acoustic Bass"
plays = ["bass"]
range = [28, 50]
patterns = ["1---------------", "1-------5-------", "1---5---8-----p-"]
"""


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_shipped_styles_load_and_say_what_they_are() -> None:
    assert set(style_names()) >= EXPECTED
    descriptions = {load_style(name).description for name in style_names()}
    assert len(descriptions) == len(style_names())
    for name in ("piano", "piano-strings", "ambient"):
        assert load_style(name).drums is None
    for name in ("piano", "piano-strings"):
        assert any(part.pedal for part in load_style(name).parts)


def test_general_midi_names() -> None:
    assert len(INSTRUMENTS) == len(set(INSTRUMENTS)) == 128
    assert INSTRUMENTS[0] == "Acoustic Grand Piano"
    assert INSTRUMENTS[48] == "String Ensemble 1"
    assert INSTRUMENTS[127] == "Gunshot"
    assert (DRUMS["Bass Drum 1"], DRUMS["Crash Cymbal 1"], DRUMS["Open Triangle"]) == (36, 49, 81)


def test_a_style_of_ones_own(tmp_path: Path) -> None:
    style = load_style(written(tmp_path, SMALL + BASS))
    assert style.name == "mine"
    assert [part.program for part in style.parts] == [0, 32]


def test_an_unknown_name_lists_the_styles_and_the_closest() -> None:
    with pytest.raises(OptionError, match=r"did you mean 'cinematic'.*acoustic, ambient"):
        load_style("cinematik")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("this is = not = toml", "cannot be read"),
        (SMALL.replace("Grand Piano", "Grand Pianna"), "did you mean 'Acoustic Grand Piano'"),
        (SMALL.replace("accent = true", ""), "accent = true"),
        (SMALL + "colour = 3", "parts.0.colour"),
        (SMALL + BASS.replace("1-------5-------", "1-------5----"), "whole bars of 16"),
        (SMALL + BASS.replace("1-------5-------", "1-------y-------"), "holds 'y'"),
        (SMALL + BASS.replace(', "1---5---8-----p-"', ""), "expected 3 patterns"),
        (SMALL + BASS.replace("[28, 50]", "[28, 30]"), "at least an octave"),
        (SMALL + BASS.replace('["bass"]', '["bass", "melody"]'), "stand alone"),
        (SMALL + 'patterns = ["X---------------"]', "plays tracks"),
        (SMALL + "[drums]\n[drums.patterns]\n'Bas Drum 1' = ['', '', '']", "did you mean 'Bass Drum 1'"),
        (SMALL + "[drums]\npatterns = {}\nfills = {'Low Tom' = '1234'}", "one bar of 16"),
        (SMALL + BASS.replace('"Bass"', '"Piano"'), "same name"),
        ("levels = [0.7, 0.4]" + SMALL, "increasing"),
        ("levels = 3" + SMALL, "levels"),
        ("pulse = [1, 2]" + SMALL, "pulse"),
        ("swing_of = 'quarters'" + SMALL, "swing_of"),
        (SMALL + "strum_ms = 90", "parts.0.strum_ms"),
        (SMALL + "[drums]\npatterns = {}\nvariations = {'Low Tom' = ['1234']}", "one bar of 16"),
        (SMALL + "[drums]\npatterns = {}\nvariations = {'Low Tom' = ['']}", "expected 3 patterns"),
        (SMALL + "[drums]\npatterns = {}\nbuilds = {'Low Tom' = '1234'}", "whole bars of 16"),
        (
            SMALL
            + f"[drums]\npatterns = {{}}\nbuilds = {{'Low Tom' = '{'1' * 16}', 'Cabasa' = '{'1' * 32}'}}",
            "same number of bars",
        ),
        (SMALL + "[drums]\npatterns = {}\nlag_ms = {'Low Tum' = 3}", "did you mean 'Low Tom'"),
        (SMALL + "volume = 200", "parts.0.volume"),
    ],
)
def test_a_wrong_style_file_is_refused_by_field(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(OptionError, match=r"mine\.toml") as caught:
        load_style(written(tmp_path, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_style_file() -> None:
    with pytest.raises(OptionError, match="cannot be read"):
        load_style("nowhere/none.toml")


@lru_cache
def described(name: str, seed: int) -> tuple[frozenset[int], NDArray[np.float64]]:
    """The programs of a style's parts, and how it plays one and the same roll."""
    plan = make_plan(12, name, roles=((4, "theme", 0.3), (4, "theme", 0.55), (4, "climax", 0.9)), seed=seed)
    score = arrange(make_roll(12), plan, load_style(name))
    notes = [note for part in score.parts for note in part.notes]
    melodic = [note for part in score.parts if not part.is_drums for note in part.notes]
    starts = np.array([note.start_s for note in notes])
    places = plan.tempo_map.beats(starts) * 4 % 16
    figures = [
        np.log(len(melodic)),
        np.log(1 + len(notes) - len(melodic)),
        np.log(len({round(at, 1) for at in starts})),
        np.mean([note.pitch for note in melodic]) / 4,
        4 * np.mean(np.log2([note.end_s - note.start_s for note in melodic])),
        np.std([note.velocity for note in melodic]) / 4,
        *(np.histogram(np.round(places) % 16, bins=16, range=(0, 16))[0] / len(notes) * 16),
    ]
    programs = frozenset(part.program for part in score.parts if not part.is_drums)
    return programs, np.array(figures)


@pytest.mark.parametrize(("one", "other"), [*combinations(sorted(EXPECTED), 2)])
def test_styles_differ_in_instruments_and_in_how_they_play(one: str, other: str) -> None:
    instruments, figures = described(one, 1)
    others, figures_of_other = described(other, 1)
    assert len(instruments & others) / len(instruments | others) <= 0.5
    by_hand = [np.linalg.norm(described(name, 1)[1] - described(name, 2)[1]) for name in (one, other)]
    assert np.linalg.norm(figures - figures_of_other) > max(1.0, 4 * max(by_hand))
