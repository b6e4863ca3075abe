"""Percussion that leads somewhere: variations, fills by how much is to come, builds, crashes."""

from __future__ import annotations

import pytest

from diffbgm.score.drums import drum_part
from diffbgm.score.form import Form
from diffbgm.score.harmony import Key
from diffbgm.score.instruments import DRUMS
from diffbgm.score.styles import StyleDrums, load_style, style_names
from diffbgm.spotting.cuesheet import Role
from diffbgm.timing import STEPS_PER_BAR

from .example_music import make_plan

C = Key.parse("C")
SNARE, HAT, KICK, CRASH = (
    DRUMS[name] for name in ("Acoustic Snare", "Closed Hi-hat", "Bass Drum 1", "Crash Cymbal 1")
)
KIT = StyleDrums.model_validate(
    {
        "patterns": {"Bass Drum 1": ["", "9...............", "9.......9......."]},
        "variations": {"Closed Hi-hat": ["", "5...............", "5.5............."]},
        "fills": {"Acoustic Snare": "1234123412345678"},
        "builds": {"Acoustic Snare": "1...1...1...1...5.5.5.5.7777....", "Bass Drum 1": "." * 32},
        "crash": "Crash Cymbal 1",
    }
)
DRUMMED = [name for name in style_names() if load_style(name).drums]


def played(
    *roles: tuple[int, Role, float], speech: tuple[tuple[float, float], ...] = ()
) -> list[dict[int, list[tuple[int, int]]]]:
    """For each bar: pitch -> steps within the bar and velocities."""
    n_bars = sum(bars for bars, _, _ in roles)
    style = load_style("rock")
    plan = make_plan(n_bars, "rock", bpm=120.0, roles=roles, speech=speech, bends=False)
    form = Form.of(plan, C, (C.tonic_chord,) * (4 * n_bars), style)
    bars: list[dict[int, list[tuple[int, int]]]] = [{} for _ in range(n_bars)]
    for note in sorted(drum_part(KIT, form)):
        bar, within = divmod(note.start_step, STEPS_PER_BAR)
        bars[bar].setdefault(note.pitch, []).append((within, note.velocity))
    return bars


def test_fills_are_longer_the_more_is_to_come() -> None:
    def fill(before: float, after: float) -> int:
        return len(played((4, "theme", before), (4, "theme", after), (4, "theme", after))[3].get(SNARE, ()))

    assert fill(0.45, 0.47) == 4, "one beat at level 1"
    assert fill(0.7, 0.72) == 8
    assert fill(0.45, 0.55) == 12
    assert fill(0.7, 0.82) == 16, "a whole bar"
    assert fill(0.9, 0.4) == 0, "a fill into calm"
    assert fill(0.2, 0.25) == 0, "a fill where no percussion plays"


def test_a_build_leads_into_a_climax_and_drops_the_drums_before_it() -> None:
    bars = played((6, "theme", 0.5), (6, "climax", 0.9))
    assert [len(bars[bar].get(SNARE, ())) for bar in (3, 4, 5)] == [0, 4, 8]
    assert KICK not in bars[4]
    assert KICK not in bars[5]
    loud = [velocity for bar in (4, 5) for _, velocity in bars[bar][SNARE]]
    assert loud == sorted(loud)
    assert CRASH in bars[6]
    short = played((2, "theme", 0.5), (6, "climax", 0.9))
    assert len(short[1][SNARE]) == 12, "a build of two bars in a section of two leaves no groove: a fill"


def test_nothing_leads_out_of_speech() -> None:
    bars = played((6, "theme", 0.5), (6, "climax", 0.9), speech=((10.0, 14.0),))
    assert not any(SNARE in bar or CRASH in bar for bar in bars)


def test_a_crash_falls_only_where_energy_rises() -> None:
    bars = played((4, "theme", 0.5), (4, "theme", 0.52), (4, "theme", 0.9), (4, "theme", 0.5))
    assert [at for at, bar in enumerate(bars) if CRASH in bar] == [8]


def test_each_fourth_bar_of_a_section_varies() -> None:
    bars = played((9, "theme", 0.5), (8, "calm", 0.7))
    assert [at for at, bar in enumerate(bars) if HAT in bar] == [3, 7, 12]
    assert len(bars[3][HAT]) == 1


def test_a_ghost_note_is_heard_and_far_below_a_backbeat() -> None:
    bars = played((4, "theme", 0.45), (4, "theme", 0.55), (4, "theme", 0.5))
    velocity = {within % 4: v for within, v in bars[3][SNARE] if within < 12}
    assert velocity == {0: 30, 1: 42, 2: 54, 3: 66}


@pytest.mark.parametrize("name", DRUMMED)
def test_every_kit_varies_fills_and_builds(name: str) -> None:
    drums = load_style(name).drums
    assert drums is not None
    assert drums.variations
    assert drums.fills
    assert drums.builds
    for signs in drums.builds.values():
        assert len(signs) in (STEPS_PER_BAR, 2 * STEPS_PER_BAR)
    middle = len(signs) // 2
    halves = [
        [int(sign) for signs in drums.builds.values() for sign in signs[half] if sign.isdigit()]
        for half in (slice(0, middle), slice(middle, None))
    ]
    assert sum(halves[1]) / len(halves[1]) >= sum(halves[0]) / len(halves[0]), "a build that goes down"
