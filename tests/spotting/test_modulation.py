"""Key changes: when a mood turns, where it leads, and what prepares it."""

from __future__ import annotations

import pytest

from diffbgm.pitch import parse_progression
from diffbgm.spotting.cuesheet import SectionWish, Wishes
from diffbgm.spotting.modulation import parallel, preparation, prepared, with_keys
from diffbgm.spotting.spot import digest, spot

from .films import film

LOOKS = [(0.9, 0.5, 0.3, 0.2), (0.03, 0.02, -0.4, 0.1), (0.9, 0.5, 0.3, 0.2)]
FILM = film(60.0, [20.0, 40.0], looks=LOOKS)
MAJOR = {0, 2, 4, 5, 7, 9, 11}


@pytest.mark.parametrize(
    ("old", "new", "bar"),
    [
        ("C", "D", "Em,A7"),
        ("C", "G", "Am,D7"),
        ("C", "Am", "Dm,E7"),
        ("Am", "C", "Dm,G7"),
        ("C", "Cm", "G7"),
        ("Ebm", "Gb", "G#m,Db7"),
    ],
)
def test_a_change_is_prepared_by_a_chord_of_both_keys(old: str, new: str, bar: str) -> None:
    assert preparation(old, new) == bar
    ((*pivot, dominant),) = parse_progression(bar)
    assert dominant is not None
    if pivot and old == "C":
        assert pivot[0] is not None
        assert MAJOR.issuperset(pivot[0].tones)


@pytest.mark.parametrize(
    ("key", "other"), [("C", "Cm"), ("Am", "A"), ("Db", "C#m"), ("G#m", "Ab"), ("Gb", "F#m")]
)
def test_parallel_keys(key: str, other: str) -> None:
    assert parallel(key) == other


def test_keys_change_only_where_asked_and_where_the_mood_turns() -> None:
    plan = spot(FILM, Wishes(key="D"))
    assert [section.key for section in plan.sections] == [None] * len(plan.sections)
    assert plan.chords is None
    turned = spot(FILM, Wishes(key="D", modulate=True))
    valences = [section.valence for section in turned.sections]
    assert [section.key for section in turned.sections] == [
        "Dm" if 0 < index < len(valences) - 1 and valence <= -0.15 else None
        for index, valence in enumerate(valences)
    ]
    assert "Dm" in {section.key for section in turned.sections}
    assert digest(Wishes(key="D"), FILM) != digest(Wishes(key="D", modulate=True), FILM)


def test_the_bar_before_a_change_is_the_pivots() -> None:
    plan = spot(FILM, Wishes(key="D", sections=(SectionWish(at_s=30.0, key="E major"),)))
    here = next(index for index, section in enumerate(plan.sections) if section.key)
    assert plan.sections[here].key == "E"
    before = plan.sections[here - 1]
    asked = plan.asked_chords
    border = 4 * plan.sections[here].start_bar
    assert [chord.text for chord in asked[border - 4 : border] if chord] == ["F#m", "F#m", "B7", "B7"]
    assert not any(asked[4 * before.start_bar : border - 4])
    back = 4 * plan.sections[here].end_bar
    assert [chord.text for chord in asked[back - 4 : back] if chord] == ["A7"] * 4  # they share no chord


def test_chords_of_ones_own_are_not_prepared() -> None:
    plan = spot(FILM, Wishes(key="D", chords="D G", sections=(SectionWish(at_s=30.0, key="E"),)))
    assert [section.chords for section in plan.sections] == [None] * len(plan.sections)
    own = plan.sections[0].model_copy(update={"chords": "D"})
    assert prepared((own, *plan.sections[1:]), "D")[0].chords == "D"


def test_given_chords_keep_their_key() -> None:
    plan = spot(FILM, Wishes(chords="D G A", modulate=True))
    assert {section.key for section in plan.sections} == {None}
    assert [said for said in plan.warnings if "modulate: the key stays" in said]


def test_a_wished_key_stays() -> None:
    plan = spot(FILM, Wishes(key="D"))
    sections = tuple(section.model_copy(update={"valence": -0.9, "key": "G"}) for section in plan.sections)
    assert {section.key for section in with_keys(sections, "D")} == {"G"}
