"""A mood that changes over the film: the grammar of time, and what it does to a plan."""

from __future__ import annotations

import numpy as np
import pytest

from diffbgm.diffusion.conditions import SEMANTIC_INDEX, conditions_of
from diffbgm.spotting.cuesheet import Plan, Section, SectionWish, Wishes
from diffbgm.spotting.mood_arc import read_arc
from diffbgm.spotting.spot import spot

from .films import check_rules, film, steady_cuts

FILM = film(100.0, (20.0, 40.0, 60.0, 80.0))


def told(text: str, duration_s: float = 100.0) -> list[tuple[str, int, int]]:
    """Words of each part with its first and last second; words for the whole film with 0 and its end."""
    arc = read_arc(text)
    whole = [(each.words, 0, round(duration_s)) for each in arc.whole]
    return whole + [
        (each.words, round(start_s), round(end_s))
        for part, (start_s, end_s) in zip(arc.parts, arc.spans(duration_s), strict=True)
        for each in part.phrases
    ]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("bittersweet, hopeful at the end", "bittersweet 0 100, hopeful 75 100"),
        ("bittersweet, hopeful, at the end", "bittersweet 0 100, hopeful 75 100"),
        ("at the end, hopeful", "hopeful 75 100"),
        ("dark and tense at the beginning, hopeful", "hopeful 0 100, dark 0 25, tense 0 25"),
        ("sad at the beginning and happy at the end", "sad 0 25, happy 75 100"),
        ("starts sad and ends happy", "sad 0 25, happy 75 100"),
        ("at first sad, then hopeful", "sad 0 50, hopeful 50 100"),
        ("sad, then tense, then happy", "sad 0 33, tense 33 67, happy 67 100"),
        ("sad, then happy at the end", "sad 0 75, happy 75 100"),
        ("at first dark, tense, then warm. Calm", "calm 0 100, dark 0 50, tense 0 50, warm 50 100"),
        ("calm until tense", "calm 0 50, tense 50 100"),
        ("calm until 0:30, then tense", "calm 0 30, tense 30 100"),
        ("calm until 0:30, tense until 1:00, then happy", "calm 0 30, tense 30 60, happy 60 100"),
        ("calm from 0:10, tense from 0:40", "calm 10 40, tense 40 100"),
        ("tense from 0:30 to 1:00", "tense 30 60"),
        ("from 0:30 tense until 1:00", "tense 30 60"),
        ("tense between 30 and 45 s", "tense 30 45"),
        ("30-45 s: tense", "tense 30 45"),
        ("tense at 1:10", "tense 70 100"),
        ("tense after 70 %", "tense 70 100"),
        ("tense from the middle to the end", "tense 50 100"),
        ("first 20 seconds calm, tense in the last 10 s", "calm 0 20, tense 90 100"),
        ("in the second half less tense", "less tense 50 100"),
        ("in the middle playful but sad", "playful 35 65, sad 35 65"),
        ("calm throughout, sad at first", "calm 0 100, sad 0 25"),
        ("from calm to tense", "calm 0 50, tense 50 100"),
        ("gradually more tense", "more tense 0 100"),
        ("calm until 0:40, building to triumphant", "calm 0 40, triumphant 40 100"),
        ("ruhig, am Ende fröhlich", "ruhig 0 100, fröhlich 75 100"),
        ("triste au début, puis joyeuse", "triste 0 50, joyeuse 50 100"),
        ("tranquila, al final alegre", "tranquila 0 100, alegre 75 100"),
    ],
)
def test_times(text: str, parts: str) -> None:
    expected = [each.rsplit(" ", 2) for each in parts.split(", ")]
    assert told(text) == [(words, int(start), int(end)) for words, start, end in expected]


def test_the_course_turns_smoothly_and_reaches_what_is_said() -> None:
    course = read_arc("sad until 0:50, then happy").course(100.0, (0.0, 0.0))
    valence = course.values[:, 0]
    assert course.mean(0, 45)[0] == pytest.approx(-0.7)
    assert course.mean(55, 100)[0] == pytest.approx(0.8)
    assert np.all(np.diff(valence) >= -1e-9)
    assert np.abs(np.diff(valence)).max() < 0.1
    slow = read_arc("calm, building to triumphant").course(100.0, (0.0, 0.0)).values[:, 1]
    assert slow[:180] == pytest.approx(-0.6)
    assert slow[280] == pytest.approx((-0.6 + 0.7) / 2, abs=0.02), "half way after 40 % of its half"
    assert slow[-28:] == pytest.approx(0.7)


def test_where_nothing_is_said_the_picture_holds_and_between_parts_the_way() -> None:
    alone = read_arc("happy at the end").course(100.0, (-0.3, 0.2))
    assert alone.mean(0, 65) == pytest.approx((-0.3, 0.2))
    between = read_arc("sad at first, happy at the end").course(100.0, (0.0, 0.0))
    assert between.mean(49.9, 50.1)[0] == pytest.approx((-0.7 + 0.8) / 2, abs=0.02)
    whole = read_arc("bittersweet, happy at the end").course(100.0, (0.9, 0.9))
    assert whole.mean(0, 65)[0] == pytest.approx(-0.1), "words for the whole film, not the picture"
    assert whole.mean(85, 100)[0] == pytest.approx((2 * 0.8 - 0.1) / 3)


def test_unknown_words_and_times_outside_are_named() -> None:
    assert read_arc("calm, hopefull music with some strings").warnings(60.0) == [
        "mood: 'hopefull' is not known and counts for nothing; the nearest known word is 'hopeful'"
    ]
    assert read_arc("calm zxqvw").warnings(60.0) == ["mood: 'zxqvw' is not known and counts for nothing"]
    late = read_arc("calm, tense from 2:00")
    assert late.warnings(60.0) == [
        "mood: tense: counts for nothing, since the time said is empty or outside the film"
    ]
    assert late.course(60.0, (0, 0)).mean(0, 60) == pytest.approx((0.3, -0.6))


def near(plan: Plan, time_s: float) -> Section:
    return next(section for section in plan.sections if section.start_s <= time_s < section.end_s)


def test_sections_follow_the_words() -> None:
    plan = spot(FILM, Wishes(mood="sad and calm until 0:50, then joyful and energetic"))
    check_rules(plan)
    first, last = near(plan, 10.0), near(plan, 90.0)
    assert first.valence < -0.1 < 0.5 < last.valence
    assert last.arousal > first.arousal + 0.7
    assert last.energy > first.energy + 0.15
    assert last.tempo_bpm > first.tempo_bpm * 1.03
    assert "joyful: valence +0.9, arousal +0.5 (50.0-100.0 s, sections" in "\n".join(plan.mood_understood)


def test_a_section_begins_where_the_mood_turns() -> None:
    take = film(60.0)
    plain = spot(take, Wishes(mood="calm"))
    turned = spot(take, Wishes(mood="calm until 0:25, then tense"))
    check_rules(turned)
    assert min(abs(each.start_s - 25.0) for each in turned.sections) <= 4.0
    assert all(abs(each.start_s - 25.0) > 4.0 for each in plain.sections)


def test_words_choose_the_tempo_where_hits_would_have_chosen_another() -> None:
    cut_rich = film(40.0, steady_cuts(40.0, 1.9))
    tempo = {
        mood: float(np.median(spot(cut_rich, Wishes(mood=mood)).tempo_map.bpm_of_bars()))
        for mood in ("calm", "tense")
    }
    assert tempo["calm"] < 90.0 < tempo["tense"]


def test_tense_sections_ask_for_diminished_chords_and_others_for_none() -> None:
    take = film(40.0)
    tense, calm, plain, epic = (
        spot(take, Wishes(mood=mood, key="Am")) for mood in ("tense", "calm", None, "epic")
    )
    bars = (tense.sections[0].chords or "").split()
    assert bars[:4] == ["*", "G#dim7", "Bm7b5", "G#dim7"]
    assert len(bars) == tense.sections[0].end_bar - tense.sections[0].start_bar
    assert {each.chords for each in (*calm.sections, *plain.sections, *epic.sections)} == {None}
    asked = spot(take, Wishes(mood="tense", chords="Am F C G"))
    assert {each.chords for each in asked.sections} == {None}


def test_more_tension_asks_for_more_bars() -> None:
    take = film(40.0)
    asked = {
        mood: np.mean([chord is not None for chord in spot(take, Wishes(mood=mood, key="Am")).asked_chords])
        for mood in ("tense", "dark", "sad")
    }
    assert asked["tense"] > asked["dark"] + 0.1 > asked["sad"] + 0.4
    assert asked["sad"] == 0.0


def test_tension_resolves_at_the_end_of_a_section_and_leaves_the_last_cadence_alone() -> None:
    plan = spot(FILM, Wishes(mood="tense", key="C"))
    assert len(plan.sections) > 1
    for section in plan.sections[:-1]:
        assert (section.chords or "").split()[-1] == "Bdim7", "on to the next section's tonic"
    assert (plan.sections[-1].chords or "").split()[-2:] == ["*", "*"]
    by_label = {(section.label, (section.chords or "").split()[1]) for section in plan.sections}
    assert len(by_label) == len({section.label for section in plan.sections}), "one pattern a label"


def test_the_melody_lies_high_for_happy_words_and_low_for_sad_ones() -> None:
    take = film(30.0)
    codes = {}
    for mood in ("happy", "sad", None):
        row = conditions_of(spot(take, Wishes(mood=mood))).semantic[0]
        codes[mood] = row[SEMANTIC_INDEX["register"]]
    assert codes["happy"] > codes["sad"] > 0
    assert codes[None] == 0
    wished = Wishes(mood="sad", sections=(SectionWish(at_s=1.0, melody_register=1.0),))
    assert conditions_of(spot(take, wished)).semantic[0, SEMANTIC_INDEX["register"]] == 6
