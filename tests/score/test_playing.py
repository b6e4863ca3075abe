"""How notes are played: timing that wanders, strums, swing, phrases, dynamics and the pedal."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from diffbgm.score.decode import GridNote
from diffbgm.score.dynamics import drummed, expressed
from diffbgm.score.form import Form
from diffbgm.score.harmony import Chord, Key
from diffbgm.score.perform import Clock
from diffbgm.score.phrasing import phrases, wander
from diffbgm.score.styles import Style, StylePart, load_style
from diffbgm.spotting.cuesheet import Role

from .example_music import make_plan

C = Key.parse("C")
G = Chord((7, 11, 2), 7)
BAR_S = 2.5


def style_with(**changes: object) -> Style:
    return load_style("piano").model_copy(update={"humanise_ms": 0.0, "dynamics": 1.0, **changes})


def clock_of(
    style: Style,
    n_bars: int = 8,
    hits: tuple[int, ...] = (),
    roles: tuple[tuple[int, Role, float], ...] = (),
    chords: tuple[Chord, ...] = (),
    **changes: Any,
) -> Clock:
    """96 beats a minute, so a sixteenth lasts 0.15625 s."""
    plan = make_plan(n_bars, hit_steps=hits, roles=roles, bends=False, **changes)
    form = Form.of(plan, C, chords or (C.tonic_chord,) * (4 * n_bars), style)
    return Clock(form, style, plan.duration_s, plan.seed)


def part_with(**changes: object) -> StylePart:
    return load_style("piano").parts[1].model_copy(update={"strum_ms": 0.0, **changes})


def starts_ms(clock: Clock, part: StylePart, notes: list[GridNote], seed: int = 0) -> np.ndarray:
    """How late each note begins, in ms, in the order of the grid notes (one pitch each)."""
    played = clock.notes(part, notes, np.random.default_rng(seed))
    by_pitch = {note.pitch: note.start_s for note in played}
    return np.array([1000 * (by_pitch[n.pitch] - clock.form.second(n.start_step)) for n in sorted(notes)])


def test_a_hand_wanders_instead_of_jumping() -> None:
    strays = wander(range(0, 40_000, 2), np.random.default_rng(1))
    assert strays.std() == pytest.approx(1.0, abs=0.06)
    steps = [np.corrcoef(strays[:-lag], strays[lag:])[0, 1] for lag in (1, 4, 16)]
    assert steps[0] > 0.55 > steps[1] > steps[2] > 0.05
    power = np.abs(np.fft.rfft(strays)) ** 2
    hertz = np.fft.rfftfreq(len(strays))
    inside = (hertz > 0.01) & (hertz < 0.2)
    slope = np.polyfit(np.log(hertz[inside]), np.log(power[inside]), 1)[0]
    assert -1.5 < slope < -0.7, "not about 1/f"


def test_timing_strays_as_far_as_the_style_says_and_never_at_hits() -> None:
    style = style_with(humanise_ms=8.0)
    clock = clock_of(style, 40, hits=(36, 77))
    notes = [GridNote(step, step + 1, 21 + step % 88, 80) for step in range(1, 600, 7)]
    played = clock.notes(part_with(), notes, np.random.default_rng(4))
    late = np.array([
        1000 * (note.start_s - clock.form.second(step.start_step))
        for note, step in zip(sorted(played, key=lambda n: n.start_s), sorted(notes), strict=True)
    ])  # fmt: skip
    at_hit = np.array([note.start_step in (36, 77) for note in sorted(notes)])
    assert at_hit.any()
    assert (np.abs(late[at_hit]) < 1e-9).all()
    assert 5 < late[~at_hit].std() < 9
    assert np.abs(late).max() <= 2 * 8 + 8 + 2.1
    one, other = (clock.notes(part_with(), notes, np.random.default_rng(seed)) for seed in (5, 6))
    together = np.corrcoef(
        *([n.start_s - clock.form.second(s.start_step) for n, s in zip(side, sorted(notes), strict=True)]
          for side in (sorted(one, key=lambda n: n.start_s), sorted(other, key=lambda n: n.start_s)))
    )[0, 1]  # fmt: skip
    assert together > 0.3, "players do not follow each other"


def test_a_strum_goes_up_on_the_beat_and_down_between_and_hits_sound_as_one() -> None:
    clock = clock_of(style_with(), hits=(32,))
    part = part_with(strum_ms=10.0, plays=("chords",), patterns=("X",) * 3)
    for step, wanted in ((4, [-10, 0, 10, 20]), (6, [20, 10, 0, -10]), (32, [0, 0, 0, 0])):
        chord = [GridNote(step, step + 2, pitch, 80) for pitch in (50, 55, 60, 64)]
        assert starts_ms(clock, part, chord) == pytest.approx(wanted, abs=0.01)
    fast = [GridNote(4, 6, pitch, 80) for pitch in range(50, 60)]
    spread = starts_ms(clock, part.model_copy(update={"strum_ms": 40.0}), fast)
    assert spread.max() - spread.min() == pytest.approx(156.25 / 2, abs=0.01)


def test_a_part_keeps_its_lag_but_for_hits() -> None:
    clock = clock_of(style_with(), hits=(32,))
    notes = [GridNote(4, 5, 50, 80), GridNote(9, 10, 51, 80), GridNote(32, 33, 52, 80)]
    assert starts_ms(clock, part_with(lag_ms=9.0), notes) == pytest.approx([9, 9, 0], abs=1e-6)
    assert starts_ms(clock, part_with(lag_ms=-9.0), notes) == pytest.approx([-9, -9, 0], abs=1e-6)


def test_swing_of_eighths_and_of_sixteenths() -> None:
    step_ms = 1000 * BAR_S / 16
    notes = [GridNote(16 + step, 17 + step, 50 + step, 80) for step in range(5)]
    late = starts_ms(clock_of(style_with(swing=0.3, swing_of="eighths")), part_with(), notes)
    assert late / step_ms == pytest.approx([0, 0.3, 0.6, 0.3, 0], abs=1e-6)
    late = starts_ms(clock_of(style_with(swing=0.3)), part_with(), notes)
    assert late / step_ms == pytest.approx([0, 0.3, 0, 0.3, 0], abs=1e-6)


def test_phrases_end_at_rests_and_sections() -> None:
    form = clock_of(style_with(), 12, roles=((6, "theme", 0.5), (6, "theme", 0.5))).form
    steps = [0, 2, 4, 16, 18, 70, 94, 96, 98]
    notes = [GridNote(step, step + 2, 60, 80) for step in steps]
    assert [len(phrase) for phrase in phrases(notes, form)] == [3, 2, 1, 1, 2]


def velocities(notes: list[GridNote], part: StylePart, style: Style, **changes: Any) -> np.ndarray:
    form = clock_of(style, **changes).form
    return np.array([n.velocity for n in expressed(part, notes, form, style, np.random.default_rng(0))])


def test_a_phrase_grows_to_its_peak_and_falls() -> None:
    notes = [GridNote(s, s + 2, 60 + (s == 20), 80) for s in range(0, 34, 2)]
    flat = style_with(pulse=(0,) * 16)
    shape = velocities(notes, part_with(plays=("melody",)), flat)
    assert shape[10] == shape.max()
    assert (np.diff(shape[:11]) >= 0).all()
    assert (np.diff(shape[10:]) <= 0).all()
    assert 9 <= shape.max() - shape.min() <= 16
    still = velocities(notes, part_with(plays=("melody",)), style_with(pulse=(0,) * 16, dynamics=0.0))
    assert set(still) == {80}


def test_higher_and_longer_notes_of_a_melody_are_louder() -> None:
    flat = style_with(pulse=(0,) * 16)
    melody = part_with(plays=("melody",))
    leaps = [GridNote(s, s + 2, 60 + 12 * (s % 4 == 2), 80) for s in range(0, 32, 2)]
    line = velocities(leaps, melody, flat)
    assert line[1::2].mean() - line[::2].mean() > 2
    rhythm = [
        GridNote(s, s + (3 if s % 4 == 0 else 1), 60, 80)
        for s in sorted({*range(0, 32, 4), *range(3, 32, 4)})
    ]
    line = velocities(rhythm, melody, flat)
    assert line[::2].mean() - line[1::2].mean() > 1


def test_the_beat_weighs_as_the_style_says() -> None:
    notes = [GridNote(s, s + 1, 60, 80) for s in range(16, 32)]
    written = part_with(plays=("chords",), patterns=("X",) * 3)
    jazz = load_style("jazz").pulse
    arch = velocities(notes, written, style_with(pulse=(0,) * 16)).astype(float)
    plain = velocities(notes, written, style_with()) - arch
    assert plain[0] > plain[8] > plain[4] > plain[2] > plain[1]
    assert (velocities(notes, written, style_with(pulse=jazz)) - arch == np.array(jazz)).all()


def test_a_section_of_more_energy_is_led_into() -> None:
    notes = [GridNote(s, s + 4, 60, 80) for s in range(0, 128, 4)]
    part = part_with(plays=("chords",), patterns=("X",) * 3)
    style = style_with(pulse=(0,) * 16)
    level = velocities(notes, part, style, roles=((4, "theme", 0.5), (4, "theme", 0.5)))
    rising = velocities(notes, part, style, roles=((4, "theme", 0.4), (4, "climax", 0.9)))
    falling = velocities(notes, part, style, roles=((4, "theme", 0.9), (4, "calm", 0.2)))
    more = rising - level
    assert (more[:8] == 0).all()
    assert (np.diff(more[8:16]) >= 0).all()
    assert more[15] > 8
    assert (falling == level).all()


def test_drummers_wander_and_machines_do_not() -> None:
    hats = [GridNote(s, s + 1, 42, 60) for s in range(0, 120, 2)]
    for name, lowest, highest in (("rock", 2.0, 8.0), ("electronic", 0.0, 0.0)):
        style = load_style(name)
        form = clock_of(style).form
        found = [note.velocity for note in drummed(hats, form, style, np.random.default_rng(2))]
        assert lowest <= np.std(found) <= highest


def test_the_pedal_is_changed_after_each_chord_and_let_go_in_rests() -> None:
    bar = [C.tonic_chord] * 4
    chords = (*bar, *[G] * 4, *[C.tonic_chord] * 2, *[G] * 2, *bar, *bar, *bar)
    clock = clock_of(style_with(), 6, chords=chords)
    second = clock.form.second
    notes = [GridNote(step, step + 2, 60, 80) for step in (0, 4, 8, 12, 16, 32, 40)]
    pedals = clock.pedals(notes)
    assert [
        round(pedal.start_s - second(step), 4) for pedal, step in zip(pedals, (0, 16, 32, 40), strict=True)
    ] == [0.0781] * 4
    assert pedals[0].end_s == second(16), "up with the next chord"
    assert pedals[1].end_s == pytest.approx(second(18 + 8)), "held across a rest"
    assert pedals[2].end_s == second(40), "not changed with the chord within the bar"
    for before, after in pairwise(pedals):
        assert before.end_s < after.start_s
    slow = clock_of(style_with(), 3, bpm=40.0)
    (late, *_) = slow.pedals([GridNote(0, 8, 60, 80)])
    assert late.start_s == pytest.approx(0.12)
    (quick, *_) = clock_of(style_with(), 3, bpm=200.0).pedals([GridNote(0, 1, 60, 80)])
    assert quick.start_s == pytest.approx(0.06)
