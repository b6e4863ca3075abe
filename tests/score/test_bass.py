"""Bass lines: near, singable, on the chord's bass where a chord begins, and walking."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from diffbgm.score.bass import bass_line, bass_pitch
from diffbgm.score.form import Form
from diffbgm.score.harmony import Chord, Key
from diffbgm.score.styles import Style, StylePart, load_style, style_names
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BEAT

from .example_music import make_plan

C = Key.parse("C")
D_MINOR_7, G_7 = Chord((2, 5, 9, 0), 2), Chord((7, 11, 2, 5), 7)
C_MAJOR_7, A_7 = Chord((0, 4, 7, 11), 0), Chord((9, 1, 4, 7), 9)
A_MINOR_7, E_MINOR_7 = Chord((9, 0, 4, 7), 9), Chord((4, 7, 11, 2), 4)
BASSES = [(name, part) for name in style_names() for part in load_style(name).parts if part.written == "bass"]


def form_of(chords: list[Chord], style: Style, beats_each: int = BEATS_PER_BAR) -> Form:
    """The chords one after another, then the tonic's bar; loud enough for the style's highest level."""
    beats = [chord for chord in chords for _ in range(beats_each)]
    n_bars = len(beats) // BEATS_PER_BAR + 1
    plan = make_plan(n_bars, style.name, roles=((n_bars, "climax", 0.95),))
    return Form.of(plan, C, (*beats, *[C.tonic_chord] * BEATS_PER_BAR), style)


def walking(patterns: tuple[str, ...] = ("1---w---w---w---",) * 3, **changes: object) -> StylePart:
    part = next(part for part in load_style("jazz").parts if part.written == "bass")
    return part.model_copy(update={"patterns": patterns, **changes})


@pytest.mark.parametrize(("name", "part"), BASSES, ids=lambda value: getattr(value, "name", value))
def test_no_leap_beyond_an_octave_and_each_chord_on_its_bass(name: str, part: StylePart) -> None:
    rng = np.random.default_rng(3)
    qualities = ((0, 4, 7), (0, 3, 7), (0, 3, 6, 10), (0, 4, 7, 10))
    chords = []
    for _ in range(40):
        tones = tuple((int(rng.integers(12)) + step) % 12 for step in qualities[rng.integers(4)])
        chords.append(Chord(tones, int(rng.choice(tones))))
    for beats_each in (4, 2):
        form = form_of(chords, load_style(name), beats_each)
        line = bass_line(part, form)
        assert all(part.range[0] <= note.pitch <= part.range[1] for note in line)
        assert max((abs(a.pitch - b.pitch) for a, b in pairwise(line)), default=0) <= 12
        begun = [note for note in line if form.chord_begins(note.start_step)]
        assert all(note.pitch % 12 == form.chord(note.start_step).bass for note in begun)


def test_the_bass_goes_to_the_nearest_octave() -> None:
    part = walking(("1---------------",) * 3, range=(28, 52))
    for before in range(28, 53):
        for bass in range(12):
            pitch = bass_pitch(Chord((bass, (bass + 4) % 12, (bass + 7) % 12), bass), before, *part.range)
            assert pitch % 12 == bass
            assert abs(pitch - before) <= 7 or before in (*range(28, 33), *range(47, 53))


@pytest.mark.parametrize(
    "chords", [[D_MINOR_7, G_7, C_MAJOR_7, A_7] * 6, [A_MINOR_7, C_MAJOR_7, A_MINOR_7, E_MINOR_7] * 6]
)
def test_a_walk_goes_on_and_leads_into_the_next_chord(chords: list[Chord]) -> None:
    form = form_of(chords, load_style("jazz"))
    line = bass_line(walking(), form)
    assert [note.start_step for note in line] == list(range(0, form.final_step, STEPS_PER_BEAT))
    assert all(a.pitch != b.pitch for a, b in pairwise(line)), "a note repeated"
    moves = [abs(a.pitch - b.pitch) for a, b in pairwise(line)]
    assert np.mean(moves) < 4
    led = [
        abs(line[at].pitch - line[at + 1].pitch) <= 2
        for at in range(3, len(line) - 1, BEATS_PER_BAR)
    ]  # fmt: skip
    assert np.mean(led) >= 0.9, "the fourth beat does not lead anywhere"
    foreign = [
        note for at, note in enumerate(line)
        if at % BEATS_PER_BAR != 3 and note.pitch % 12 not in C.scale | set(form.chord(note.start_step).tones)
    ]  # fmt: skip
    assert not foreign, "chromatic notes belong before a change"


def test_approaches_are_of_the_scale_or_a_semitone_away() -> None:
    for approach, foreign in (("scale", False), ("chromatic", True)):
        part = walking(("1-----------p---",) * 3, approach=approach)
        line = bass_line(part, form_of([C.tonic_chord, D_MINOR_7] * 2, load_style("jazz")))
        leading = [note.pitch for note in line if note.start_step % 16 == 12]
        targets = [note.pitch for note in line if note.start_step % 16 == 0][1:]
        gaps = [abs(a - b) for a, b in zip(leading, targets, strict=False)]
        assert all(0 < gap <= 2 for gap in gaps)
        assert all(gap == 1 for gap in gaps) or not foreign
        assert foreign or all(pitch % 12 in C.scale for pitch in leading)
