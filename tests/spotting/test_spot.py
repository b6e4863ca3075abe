"""What a person wishes, the plan does; what they leave open, the film decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffbgm.diffusion.conditions import DYNAMIC_INDEX, conditions_of
from diffbgm.errors import OptionError
from diffbgm.options import ComposeOptions
from diffbgm.score.styles import style_names
from diffbgm.spotting.cuesheet import CueSheet, HitWish, Plan, Section, SectionWish, Wishes
from diffbgm.spotting.hits import candidate_hits
from diffbgm.spotting.settle import settled
from diffbgm.spotting.spot import resolve, spot
from diffbgm.spotting.wishes import wishes_from

from .films import check_rules, film, steady_cuts

BRIGHT = (0.7, 0.5, 0.4, 0.1)
DARK = (0.1, 0.1, -0.3, 0.1)
LIVELY = (0.7, 0.5, 0.4, 0.9)
FILM = film(60.0, (15.0, 30.0, 45.0), looks=(BRIGHT, DARK, LIVELY, BRIGHT))


@pytest.fixture(scope="module")
def plan() -> Plan:
    return spot(FILM, Wishes())


def at(plan: Plan, time_s: float) -> Section:
    return next(section for section in plan.sections if section.start_s <= time_s < section.end_s)


def test_scenes_become_sections_at_their_cuts(plan: Plan) -> None:
    check_rules(plan)
    assert [round(section.start_s, 2) for section in plan.sections] == [0.0, 15.0, 30.0, 45.0]
    assert [hit.on for hit in plan.hits] == ["downbeat"] * 3


def test_scenes_that_look_alike_share_a_label(plan: Plan) -> None:
    """And so does the climax, which looks like them but for its motion."""
    assert [section.label for section in plan.sections] == ["A", "B", "A", "A"]


def test_the_picture_sets_mood_energy_and_roles(plan: Plan) -> None:
    bright, dark, lively, _ = plan.sections
    assert bright.valence > dark.valence + 0.2
    assert lively.energy > dark.energy + 0.2
    assert lively.arousal > dark.arousal
    assert lively.role == "climax"
    assert (plan.sections[0].role, plan.sections[-1].role) == ("intro", "outro")
    assert plan.warnings == ()
    assert plan.mood_understood == ()


def test_long_takes_are_cut_into_sections() -> None:
    plan = spot(film(70.0), Wishes())
    lengths = [section.end_s - section.start_s for section in plan.sections]
    assert min(lengths) >= 8
    assert max(lengths) <= 50


def test_curves_follow_the_picture_beat_by_beat(plan: Plan) -> None:
    times = plan.tempo_map.seconds(np.arange(plan.tempo_map.n_beats, dtype=np.float64))
    energy, density = np.array(plan.energy), np.array(plan.density)
    lively = (times > 32) & (times < 43)
    assert energy[lively].min() > energy[(times > 17) & (times < 28)].max()
    assert density[lively].mean() > density[times < 28].mean()
    assert set(density[-4:]) == {0.1}


def test_words_come_before_the_picture() -> None:
    sad = spot(FILM, Wishes(mood="very sad"))
    happy = spot(FILM, Wishes(mood="happy, energetic"))
    assert all(a.valence < b.valence for a, b in zip(sad.sections, happy.sections, strict=False))
    assert sad.key.endswith("m")
    assert not happy.key.endswith("m")
    assert np.mean(happy.energy) > np.mean(sad.energy) + 0.15
    assert sad.mood_understood == ("very sad: valence -1.0, arousal -0.6",)


def test_a_mood_that_says_nothing_is_warned_about() -> None:
    plan = spot(FILM, Wishes(mood="zxqv"))
    assert len(plan.warnings) == 1
    assert "zxqv" in plan.warnings[0]


@pytest.mark.parametrize("energy", [0.15, 0.5, 0.9])
def test_energy_wish_is_the_mean_and_keeps_the_shape(energy: float) -> None:
    plan = spot(FILM, Wishes(energy=energy))
    assert np.mean(plan.energy) == pytest.approx(energy, abs=0.02)
    assert at(plan, 35).energy > at(plan, 20).energy


@pytest.mark.parametrize(
    ("mood", "style"),
    [
        ("calm, dark", "ambient"),
        ("calm, tender, loving", "acoustic"),
        ("epic battle", "cinematic"),
        ("party, energetic", "electronic"),
        ("neutral", "piano-strings"),
        ("lo-fi", "lofi"),
        ("piano and strings", "piano-strings"),
        ("jazzy, a little sad", "jazz"),
        ("warm folk", "folk"),
        ("80s, driving", "synthwave"),
        ("orchestral and proud", "orchestral"),
        ("funky", "funk"),
        ("not jazz, calm, dark", "ambient"),
    ],
)
def test_style_by_mood(mood: str, style: str) -> None:
    assert spot(film(8.0), Wishes(mood=mood)).style == style


def test_every_style_can_be_named_in_words() -> None:
    for name in style_names():
        if name != "playful":  # a mood, for any style
            assert spot(film(8.0), Wishes(mood=f"{name}, calm")).style == name


def test_plain_wishes_pass_through() -> None:
    plan = spot(film(8.0), Wishes(style="banjo", key="eb minor", seed=7))
    assert (plan.style, plan.key, plan.seed) == ("banjo", "Ebm", 7)


def test_speech_thins_the_music() -> None:
    quiet = spot(film(40.0), Wishes())
    spoken = spot(film(40.0, speech=((5.0, 20.0),)), Wishes())
    assert spoken.speech_spans == ((5.0, 20.0),)
    assert spoken.bar_starts_s == quiet.bar_starts_s
    times = quiet.tempo_map.seconds(np.arange(quiet.tempo_map.n_beats, dtype=np.float64))
    ratio = np.array(spoken.density) / np.array(quiet.density)
    assert np.all(ratio[(times > 8) & (times < 17)] < 0.8)
    assert np.all(ratio[times > 25] > 0.99)


# --- hits


def test_candidates_are_a_second_apart_and_weighed() -> None:
    cuts = [2.0, 2.96, 3.0, 3.5, 4.0, 10.0]
    found = candidate_hits(film(20.0, cuts, strengths=[0.1, 1, 1, 1, 1, 1]), Wishes())
    assert [hit.time_s for hit in found] == [2.0, 3.0, 4.0, 10.0]
    assert found[0].weight < found[-1].weight < 1.0


def test_own_hits_join_and_removed_ones_go_without_waking_others() -> None:
    wishes = Wishes(hits=(HitWish(time_s=7.0), HitWish(time_s=9.96, weight=0.5)), removed_hits_s=(2.05,))
    found = candidate_hits(film(20.0, [2.0, 2.5, 5.0, 10.0]), wishes)
    assert [(hit.time_s, hit.source, hit.weight) for hit in found[1:]] == [
        (7.0, "user", 1.0),
        (9.96, "user", 0.5),
    ]
    assert [hit.time_s for hit in found] == [5.0, 7.0, 9.96]


def test_a_hit_that_cannot_be_met_stays_and_is_reported() -> None:
    plan = spot(film(20.0), Wishes(hits=(HitWish(time_s=5.0), HitWish(time_s=5.04))))
    check_rules(plan)
    assert [hit.on is None for hit in plan.hits].count(True) == 1
    assert any("cannot be met" in warning for warning in plan.warnings)


# --- sections a person set


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("role", "calm"),
        ("label", "love theme"),
        ("energy", 0.93),
        ("valence", -0.77),
        ("arousal", 0.66),
        ("tempo_bpm", 117.0),
        ("melody", False),
    ],
)
def test_each_field_of_a_section_can_be_set(field: str, value: Any, plan: Plan) -> None:
    wished = spot(FILM, Wishes(sections=(SectionWish(at_s=20.0, **{field: value}),)))
    check_rules(wished)
    assert getattr(at(plan, 20.0), field) != value
    got = getattr(at(wished, 20.0), field)
    assert got == (pytest.approx(value, abs=0.002) if isinstance(value, float) else value)
    assert [s.start_s for s in wished.sections] == pytest.approx([s.start_s for s in plan.sections], abs=0.05)
    assert wished.warnings == ()


def test_start_moves_a_border() -> None:
    wished = spot(FILM, Wishes(sections=(SectionWish(at_s=20.0, start_s=12.0),)))
    check_rules(wished)
    assert at(wished, 20.0).start_s == pytest.approx(12.0, abs=0.02)
    assert len(wished.sections) == 4
    assert wished.warnings == ()


def test_start_makes_a_border() -> None:
    wished = spot(film(60.0), Wishes(sections=(SectionWish(at_s=41.0, start_s=40.2, role="climax"),)))
    section = at(wished, 41.0)
    assert section.start_s == pytest.approx(40.2, abs=0.02)
    assert section.role == "climax"


def test_borders_too_close_together_are_reported() -> None:
    wishes = Wishes(sections=(SectionWish(at_s=20.0, start_s=20.0), SectionWish(at_s=20.5, start_s=20.5)))
    wished = spot(film(60.0), wishes)
    check_rules(wished)
    assert any("start_s" in warning for warning in wished.warnings)


@pytest.mark.parametrize(
    ("wishes", "name"),
    [
        ({"hits": ({"time_s": 1.0}, {"time_s": 99.0})}, "wishes.hits.1.time_s"),
        ({"removed_hits_s": (60.0,)}, "wishes.removed_hits_s.0"),
        ({"sections": ({"at_s": 61.0},)}, "wishes.sections.0.at_s"),
        ({"sections": ({"at_s": 10.0, "start_s": 12.0},)}, "wishes.sections.0.start_s"),
        ({"key": "H"}, "wishes.key"),
    ],
)
def test_wishes_that_do_not_fit_the_film_name_their_field(wishes: dict[str, Any], name: str) -> None:
    with pytest.raises(OptionError, match=name):
        spot(FILM, Wishes.model_validate(wishes))


# --- the sheet


def test_a_plan_that_still_holds_is_kept_with_what_a_person_changed(tmp_path: Path) -> None:
    sheet = resolve(CueSheet(video="film.mp4", wishes=Wishes(seed=4)), FILM)
    assert sheet.plan is not None
    edited = sheet.model_copy(update={"plan": sheet.plan.model_copy(update={"style": "banjo"})})
    edited.save(tmp_path / "film.cues.json")
    loaded = CueSheet.load(tmp_path / "film.cues.json")
    assert loaded == edited
    assert resolve(loaded, FILM) == edited


def test_other_wishes_or_another_film_solve_anew_and_leave_the_wishes() -> None:
    sheet = resolve(CueSheet(video="film.mp4"), film(20.0, [8.0]))
    assert sheet.plan is not None
    wishes = Wishes(hits=(HitWish(time_s=5.0),))
    again = resolve(sheet.model_copy(update={"wishes": wishes}), film(20.0, [8.0]))
    assert again.wishes == wishes
    assert again.plan is not None
    assert [hit.time_s for hit in again.plan.hits] == [5.0, 8.0]
    other = resolve(sheet, film(21.0, [8.0]))
    assert other.plan is not None
    assert other.plan.duration_s == 21.0


def test_options_go_over_wishes() -> None:
    base = Wishes(mood="sad", key="C", seed=3, hits=(HitWish(time_s=4.0, weight=0.5),))
    options = ComposeOptions.build({"tempo": "90-100", "key": "a minor", "hit": (4.05, 6.0), "energy": 0.4})
    got = wishes_from(options, base)
    assert got == Wishes(
        mood="sad",
        key="Am",
        seed=3,
        tempo_bpm=(90, 100),
        energy=0.4,
        hits=(HitWish(time_s=4.0, weight=0.5), HitWish(time_s=6.0)),
    )
    assert wishes_from(ComposeOptions(), base) == base
    with pytest.raises(OptionError, match="key"):
        wishes_from(ComposeOptions(key="H"), base)


def test_a_crowded_film_gets_a_plan() -> None:
    plan = spot(film(24.0, steady_cuts(24.0, 0.2)), Wishes())
    check_rules(plan)
    assert np.mean(plan.energy) > 0.4


def test_a_sections_energy_edited_in_the_plan_reaches_what_is_composed() -> None:
    analysis = film(60.0, (20.0, 40.0), looks=[(0.5, 0.3, 0.0, motion) for motion in (0.1, 0.4, 0.2)])
    sheet = resolve(CueSheet(), analysis)
    plan = sheet.plan
    assert plan is not None
    assert settled(plan) is plan, "as solved, nothing moves"
    first = plan.sections[0]
    changed = first.model_copy(update={"energy": 0.6})
    edited = plan.model_copy(update={"sections": (changed, *plan.sections[1:])})
    again = resolve(sheet.model_copy(update={"plan": edited}), analysis).plan
    assert again is not None
    end = first.end_bar * 4
    before, after = np.array(plan.energy), np.array(again.energy)
    assert after[:end].mean() == pytest.approx(0.6, abs=0.002)
    assert np.diff(after[:end]) == pytest.approx(np.diff(before[:end]), abs=0.0021), "its course stays"
    assert again.energy[end:] == plan.energy[end:]
    assert again.density[end:] == plan.density[end:]
    density = DYNAMIC_INDEX["density"]
    codes, was = conditions_of(again).dynamic[:, density], conditions_of(plan).dynamic[:, density]
    assert np.all(codes[:end] >= was[:end])
    assert codes[:end].mean() > was[:end].mean() + 1.0


def test_density_follows_motion_over_more_than_a_note_or_two() -> None:
    looks = [(0.5, 0.3, 0.0, motion) for motion in (0.05, 0.5, 0.1, 0.4)]
    plan = spot(film(80.0, (20.0, 40.0, 60.0), looks=looks), Wishes())
    codes = conditions_of(plan).dynamic[:-4, DYNAMIC_INDEX["density"]]
    assert np.ptp(codes) >= 4
