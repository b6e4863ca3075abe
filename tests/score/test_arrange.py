from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
import pytest

from diffbgm.diffusion.roll import ONSET, SUSTAIN, PianoRoll
from diffbgm.errors import OptionError
from diffbgm.score.arrange import arrange
from diffbgm.score.harmony import Key
from diffbgm.score.score import Score
from diffbgm.score.styles import load_style, style_names
from diffbgm.spotting.cuesheet import Plan
from diffbgm.timing import STEPS_PER_BAR
from tests.score.example_music import make_plan, make_roll

HITS = (21, 32, 55, 64, 90, 96, 133, 203)
ROLES = ((2, "intro", 0.2), (4, "theme", 0.5), (2, "build", 0.65), (4, "climax", 0.9), (4, "outro", 0.2))
SPEECH = ((20.0, 26.0),)


@lru_cache
def film(style: str, **changes: object) -> tuple[Plan, Score]:
    plan = make_plan(16, style, hit_steps=HITS, roles=ROLES, **changes)  # type: ignore[arg-type]
    return plan, arrange(make_roll(16), plan, load_style(style))


def onsets(score: Score, low_s: float, high_s: float) -> list[float]:
    return [n.start_s for p in score.parts for n in p.notes if low_s <= n.start_s < high_s]


@pytest.fixture(params=style_names())
def style(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_an_accent_sounds_exactly_at_each_hit(style: str) -> None:
    plan, score = film(style)
    beat = float(np.diff(plan.bar_starts_s).min()) / 4 - 0.02
    for hit in plan.hits:
        assert hit.landed_s is not None
        struck = 0
        for part in score.parts:
            at = np.array([note.start_s for note in part.notes]) - hit.landed_s
            velocity = np.array([note.velocity for note in part.notes])
            now = np.abs(at) < 1e-9
            near = velocity[(np.abs(at) < beat) & ~now]
            if now.any():
                assert velocity[now].max() >= near.max(initial=0) + 8, f"{part.name}: weak at {hit.step}"
            struck += int(now.sum())
        assert struck >= 3, f"no chord at step {hit.step}"


def test_an_accent_sounds_even_where_the_roll_is_silent(style: str) -> None:
    silent = PianoRoll(
        np.zeros((3, 2, 256, 88), np.bool_),
        np.zeros((3, 256), np.uint8),
        np.zeros((64, 12), np.bool_),
        np.full(64, -1, np.int8),
    )
    plan = make_plan(16, style, hit_steps=HITS, roles=ROLES)
    score = arrange(silent, plan, load_style(style))
    for hit in plan.hits:
        assert any(abs(n.start_s - hit.landed_s) < 1e-9 for p in score.parts for n in p.notes)


def test_the_final_bar_is_the_tonic_chord_alone_and_everything_ends_with_the_film(style: str) -> None:
    plan, score = film(style)
    final_s = plan.bar_starts_s[-2]
    assert {round(t, 9) for t in onsets(score, final_s - 1e-9, plan.duration_s)} == {round(final_s, 9)}
    for part in score.parts:
        last = [n for n in part.notes if n.start_s >= final_s]
        assert all(n.end_s <= plan.duration_s for n in part.notes)
        if part.is_drums:
            assert len(last) <= 1
            continue
        assert {n.pitch % 12 for n in last} <= {0, 4, 7}
        assert all(n.end_s <= final_s for n in part.notes if n.start_s < final_s)
        assert all(0.2 < plan.duration_s - n.end_s < 1.1 for n in last), "no room for the release"
    melodic = [n for p in score.parts if not p.is_drums for n in p.notes if n.start_s >= final_s]
    assert {n.pitch % 12 for n in melodic} == {0, 4, 7}
    assert min(n.pitch for n in melodic) % 12 == 0, "the root is in the bass"


def test_a_roll_that_goes_on_playing_is_silenced_for_the_final_chord(style: str) -> None:
    longer = make_roll(6)
    bits = longer.bits[:, :, : 5 * STEPS_PER_BAR].copy()
    bits[:, ONSET, 4 * STEPS_PER_BAR - 2, [30, 50]] = True
    bits[:, SUSTAIN, 4 * STEPS_PER_BAR - 1 : 4 * STEPS_PER_BAR + 9, [30, 50]] = True
    roll = PianoRoll(bits, longer.velocity[:, : 5 * STEPS_PER_BAR], longer.chroma[:20], longer.bass[:20])
    plan = make_plan(5, style, key="Dm")
    final_s = plan.bar_starts_s[-2]
    notes = [n for p in arrange(roll, plan, load_style(style)).parts if not p.is_drums for n in p.notes]
    assert {n.start_s for n in notes if n.start_s > final_s - 0.01} == {final_s}
    assert {n.pitch % 12 for n in notes if n.start_s == final_s} == {2, 5, 9}
    assert all(n.end_s <= final_s for n in notes if n.start_s < final_s)


def test_the_ending_is_written_where_the_roll_does_not_hold_it() -> None:
    plan = make_plan(4, key="Am")
    score = arrange(make_roll(4), plan, load_style("piano"))
    last = [n.pitch % 12 for p in score.parts for n in p.notes if n.start_s >= plan.bar_starts_s[-2]]
    assert set(last) == {9, 0, 4}


def test_parts_are_playable(style: str) -> None:
    _, score = film(style, speech=SPEECH)
    ranges = {part.name: part.range for part in load_style(style).parts}
    for part in score.parts:
        assert part.notes == tuple(sorted(part.notes, key=lambda n: (n.start_s, n.pitch)))
        ends: dict[int, float] = {}
        for note in part.notes:
            assert 0 <= note.start_s < note.end_s
            assert 1 <= note.velocity <= 127
            assert note.start_s >= ends.get(note.pitch, 0.0), f"{part.name}: overlap on {note.pitch}"
            ends[note.pitch] = note.end_s
            if not part.is_drums:
                assert ranges[part.name][0] <= note.pitch <= ranges[part.name][1]
        for before, after in itertools.pairwise(part.pedals):
            assert before.start_s < before.end_s <= after.start_s
            assert after.end_s <= score.duration_s


def test_the_human_hand_is_seeded_and_leaves_hits_and_downbeats_alone(style: str) -> None:
    plan, score = film(style)
    assert arrange(make_roll(16), plan, load_style(style)) == score
    other = film(style, seed=8)[1]
    assert (other == score) == (load_style(style).humanise_ms == 0)
    grid = plan.tempo_map.seconds(np.arange(16 * STEPS_PER_BAR + 1) / 4)
    played = {part.name: part for part in load_style(style).parts}
    for part in score.parts:
        starts = np.array([n.start_s for n in part.notes])
        own = played.get(part.name)
        lag = abs(own.lag_ms) if own else max(map(abs, load_style(style).drums.lag_ms.values()), default=0)
        strum = own.strum_ms * 2 / 3 * 5 if own else 0
        stray = (lag + strum) / 1000
        from_downbeat = np.abs(starts[:, None] - grid[None, ::STEPS_PER_BAR]).min(axis=1)
        assert ((from_downbeat <= 0.0031 + stray) | (from_downbeat > 0.05)).all(), part.name
        if load_style(style).swing == 0:
            limit = 3 * load_style(style).humanise_ms / 1000 + 0.0021 + stray
            assert np.abs(starts[:, None] - grid[None]).min(axis=1).max() <= limit, part.name


def test_dynamics_follow_energy(style: str) -> None:
    plan = make_plan(16, style, roles=ROLES)
    part = arrange(make_roll(16), plan, load_style(style)).parts[0]
    intro, theme, build, climax, outro = (
        np.mean([n.velocity for n in part.notes if s.start_s + 0.1 < n.start_s < s.end_s - 0.1])
        for s in plan.sections
    )
    assert intro < theme < build < climax
    assert outro < theme
    assert climax - intro > 20 * min(1.0, load_style(style).dynamics)


@pytest.mark.parametrize("style", [name for name in style_names() if load_style(name).drums])
def test_percussion_grows_with_energy_and_fills_lead_into_sections(style: str) -> None:
    plan = make_plan(
        17, style, roles=((4, "theme", 0.1), (4, "theme", 0.5), (4, "theme", 0.9), (5, "theme", 0.9))
    )
    score = arrange(make_roll(17), plan, load_style(style))
    drums = next(part for part in score.parts if part.is_drums)

    def strokes(bar: int) -> list[tuple[int, float]]:
        begin, end = plan.bar_starts_s[bar], plan.bar_starts_s[bar + 1]
        return [
            (n.pitch, int((n.start_s - begin) / (end - begin) * 16 + 0.25))
            for n in drums.notes
            if begin - 0.004 <= n.start_s < end - 0.02
        ]

    per_level = [len(strokes(2)), len(strokes(5)), len(strokes(10))]
    assert per_level[0] < per_level[1] < per_level[2]
    assert set(strokes(11)) != set(strokes(9)), "no fill into the last section"
    assert set(strokes(14)) == set(strokes(12)), "a fill where no section begins"
    assert set(strokes(15)) != set(strokes(13)), "the fourth bar is as the second"
    assert set(strokes(7)) != set(strokes(5)), "no build into the climax"
    assert len(strokes(16)) <= 1, "percussion in the final bar"


def test_calm_styles_have_no_percussion() -> None:
    for style in ("piano", "piano-strings", "ambient"):
        assert not any(part.is_drums for part in film(style)[1].parts)


def test_bass_line_plays_the_chord_roots_on_the_downbeats() -> None:
    plan, score = film("rock")
    bass = next(part for part in score.parts if part.name == "Bass")
    for bar, root in enumerate([0, 7, 9, 5] * 4):
        at = plan.bar_starts_s[bar]
        struck = [n.pitch % 12 for n in bass.notes if abs(n.start_s - at) < 0.0031]
        assert struck == [0 if bar == 15 else root]
    scale = Key.parse("C").scale
    assert all(n.pitch % 12 in scale for n in bass.notes)


def test_pads_move_by_small_steps() -> None:
    _, score = film("ambient")
    pad = next(part for part in score.parts if part.name == "Warm pad")
    chords = [
        sorted(n.pitch for n in group)
        for _, group in itertools.groupby(pad.notes, key=lambda n: round(n.start_s, 1))
    ]
    moves = [
        sum(abs(a - b) for a, b in zip(x, y, strict=True))
        for x, y in itertools.pairwise(chords)
        if len(x) == len(y)
    ]
    assert len(moves) > 10
    assert np.mean(moves) < 8


def test_a_section_without_melody_has_none() -> None:
    plan = make_plan(8, "acoustic")
    section = plan.sections[0].model_copy(update={"melody": False})
    score = arrange(make_roll(8), plan.model_copy(update={"sections": (section,)}), load_style("acoustic"))
    guitar = next(part for part in score.parts if part.name == "Nylon guitar")
    assert all(n.start_s >= plan.bar_starts_s[-2] for n in guitar.notes)


def test_a_film_of_one_bar(style: str) -> None:
    for bpm in (240.0, 60.0):
        plan = make_plan(1, style, bpm=bpm, hit_steps=(0,))
        score = arrange(make_roll(1), plan, load_style(style))
        notes = [n for p in score.parts for n in p.notes]
        assert {n.start_s for n in notes} == {0.0}
        assert max(n.end_s for n in notes) < plan.duration_s
        assert min(n.end_s for n in notes if n.end_s > 0.2) > 0.5 * plan.duration_s


def test_a_hit_inside_the_final_bar_strikes_the_chord_again() -> None:
    plan = make_plan(2, "piano", hit_steps=(16, 24))
    score = arrange(make_roll(2), plan, load_style("piano"))
    again = plan.tempo_map.seconds(6.0)
    struck = [n for p in score.parts for n in p.notes if abs(n.start_s - again) < 1e-9]
    assert struck
    assert all(n.end_s - again > 0.5 * (plan.duration_s - again) for n in struck), "cut off"


def test_markers_name_sections_and_hits() -> None:
    plan, score = film("piano")
    assert [m.time_s for m in score.markers] == sorted(m.time_s for m in score.markers)
    assert next(m.text for m in score.markers if m.kind == "section") == "intro A"
    assert [m.time_s for m in score.markers if m.kind == "hit"] == [h.landed_s for h in plan.hits]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="beats"):
        arrange(make_roll(3), make_plan(4), load_style("piano"))
    with pytest.raises(OptionError, match="key"):
        arrange(make_roll(4), make_plan(4).model_copy(update={"key": "Q"}), load_style("piano"))
