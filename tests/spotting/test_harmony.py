"""Wished chords and given melodies on their way into the plan."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from diffbgm.errors import CueSheetError, OptionError
from diffbgm.options import ComposeOptions
from diffbgm.pitch import pitch_class
from diffbgm.spotting.cuesheet import CueSheet, MelodyNote, SectionWish, Wishes
from diffbgm.spotting.harmonise import harmonise
from diffbgm.spotting.spot import digest, resolve, spot
from diffbgm.spotting.wishes import fitted_melody, wishes_from

from .films import film

FILM = film(60.0, [15.0, 30.0, 45.0], looks=[(0.8, 0.4, 0.2, 0.1), (0.1, 0.1, -0.2, 0.1)] * 2)
ODE = ((64, 1), (64, 1), (65, 1), (67, 1), (67, 1), (65, 1), (64, 1), (62, 1),
       (60, 1), (60, 1), (62, 1), (64, 1), (64, 1.5), (62, 0.5), (62, 2))  # fmt: skip


def tune(
    notes: tuple[tuple[int, float], ...] = ODE, first: float = 0.0, up: int = 0
) -> tuple[MelodyNote, ...]:
    out, beat = [], first
    for pitch, beats in notes:
        out.append(MelodyNote(beat=beat, beats=beats, pitch=pitch + up, velocity=80))
        beat += beats
    return tuple(out)


def test_chords_are_a_wish_and_the_key_follows_from_them() -> None:
    wishes = wishes_from(ComposeOptions.build({"chords": "F#m D A E"}))
    plan = spot(FILM, wishes)
    assert (plan.chords, plan.key) == ("F#m D A E", "F#m")
    assert spot(FILM, wishes.model_copy(update={"key": "A"})).key == "A"
    assert {chord.text for chord in plan.asked_chords if chord} == {"F#m", "D", "A", "E"}


def test_a_section_may_have_chords_of_its_own() -> None:
    wishes = Wishes(sections=(SectionWish(at_s=20.0, chords="Dm Gm"),))
    plan = spot(FILM, wishes)
    assert [section.chords for section in plan.sections] == [None, "Dm Gm", None, None]
    assert plan.key == "Dm"
    own = plan.sections[1]
    asked = {bar for bar in range(plan.tempo_map.n_bars) if plan.asked_chords[4 * bar]}
    assert asked == set(range(own.start_bar, own.end_bar))


@pytest.mark.parametrize(
    ("chords", "said"), [("Am X", "'X'"), ("", "expected chords"), ("C,D,E,F,G", "at most 4")]
)
def test_wrong_chords_are_refused_in_one_line(chords: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=f"option chords: .*{said}") as caught:
        ComposeOptions.build({"chords": chords})
    assert "\n" not in str(caught.value)
    sheet = json.loads(CueSheet().model_dump_json())
    sheet["wishes"]["sections"] = [{"at_s": 1.0, "chords": chords}]
    (tmp_path / "x.json").write_text(json.dumps(sheet))
    with pytest.raises(CueSheetError, match=rf"x\.json: wishes\.sections\.0\.chords: .*{said}"):
        CueSheet.load(tmp_path / "x.json")


def test_a_sheet_from_before_these_wishes_keeps_its_plan() -> None:
    """The digest for no wishes and this film that was written before, but for the version of spotting."""
    before = "22c62fa1b0b6dc299625a9dca338ca115b2d0a7303b2d31ffbddf8efe8fd1b34"
    assert digest(Wishes(), film(20.0, [8.0])) == before
    assert digest(Wishes(chords="C"), film(20.0, [8.0])) != before
    assert digest(Wishes(melody=tune()), film(20.0, [8.0])) != before


def test_chords_changed_in_a_plan_by_hand_are_kept() -> None:
    sheet = resolve(CueSheet(), FILM)
    assert sheet.plan is not None
    mine = sheet.model_copy(update={"plan": sheet.plan.model_copy(update={"chords": "C G"})})
    again = resolve(CueSheet.model_validate_json(mine.model_dump_json()), FILM)
    assert again.plan is not None
    assert again.plan.chords == "C G"


def test_a_melody_gets_a_key_and_chords() -> None:
    for up, key in ((0, "C"), (2, "D"), (-3, "A")):
        plan = spot(FILM, Wishes(melody=tune(up=up)))
        assert plan.key == key
        assert plan.melody == tune(up=up)
        asked = plan.asked_chords
        assert all(asked[:16])
        assert not any(asked[16:])
        inside = [
            note.pitch % 12 in asked[int(note.beat)].tones for note in plan.melody if asked[int(note.beat)]
        ]
        assert np.mean(inside) > 0.6
        assert asked[0] is not None
        assert asked[0].bass == pitch_class(key)


def test_chords_given_with_a_melody_count() -> None:
    plan = spot(FILM, Wishes(melody=tune(), chords="Am F"))
    assert (plan.chords, plan.key) == ("Am F", "Am")


def test_a_melody_in_the_middle_leaves_the_bars_around_it_open() -> None:
    text = harmonise(tune(first=8.0), "C", 2, 6, 12)
    bars = text.split()
    assert len(bars) == 12
    assert [bar == "*" for bar in bars] == [True] * 2 + [False] * 4 + [True] * 6


def test_harmony_moves_with_the_key_and_ends_on_the_tonic() -> None:
    in_c = harmonise(tune(), "C", 0, 4, 5)
    in_d = harmonise(tune(up=2), "D", 0, 4, 5)
    assert [chord.replace("#", "") for chord in in_d.split()] != in_c.split()
    plans = [spot(FILM, Wishes(chords=text)) for text in (in_c, in_d)]
    tones = [[chord.tones for chord in plan.asked_chords[:16] if chord] for plan in plans]
    assert [tuple((tone + 2) % 12 for tone in each) for each in tones[0]] == tones[1]
    assert in_c.split()[3].startswith(("G", "Dm,G", "F,G"))


def test_a_melody_longer_than_the_film_ends_with_a_note() -> None:
    notes = tune(first=1.0)  # ends at beat 17
    assert fitted_melody(notes, 5) == (notes, [])
    kept, said = fitted_melody(notes, 4)
    assert kept == notes[:11]  # those that end by beat 12, where the last bar begins
    assert said == ["the given melody is longer than the film's 4 bars: 4 of its 15 notes are left out"]
    assert fitted_melody((), 4) == ((), [])
    short = film(9.0)
    plan = spot(short, Wishes(melody=tune(ODE * 4)))
    assert any("longer than the film" in warning for warning in plan.warnings)
    assert plan.melody[-1].beat + plan.melody[-1].beats <= plan.tempo_map.n_beats - 4


def test_a_note_beyond_the_film_is_refused_in_a_plan() -> None:
    plan = spot(film(9.0), Wishes()).model_dump()
    plan["melody"] = [{"beat": 1.0, "beats": 1000.0, "pitch": 60, "velocity": 1}]
    with pytest.raises(ValueError, match=r"melody\.0: ends after the film"):
        type(spot(film(9.0), Wishes())).model_validate(plan)
