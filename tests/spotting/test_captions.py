"""Captions set the mood of the sections that they lie in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from diffbgm.spotting.captions import CaptionMoods
from diffbgm.spotting.cuesheet import CaptionWish, CueSheet, Plan, Section, SectionWish, Wishes
from diffbgm.spotting.mood import read_mood
from diffbgm.spotting.spot import SPOTTING_VERSION, digest, spot

from ..conftest import Run
from .films import film

SAD = CaptionWish(start_s=0.0, end_s=20.0, text="A sad girl sits in the rain.")
HAPPY = CaptionWish(start_s=20.0, end_s=60.0, text="Happy people dance.")
PLAIN = CaptionWish(start_s=0.0, end_s=60.0, text="A man opens a door.")
FILM = film(60.0, (20.0, 40.0))


def at(plan: Plan, time_s: float) -> Section:
    return next(section for section in plan.sections if section.start_s <= time_s < section.end_s)


def test_the_mean_counts_each_by_the_time_it_shares() -> None:
    moods = CaptionMoods([SAD, HAPPY, PLAIN], 60.0)
    sad, happy = read_mood(SAD.text), read_mood(HAPPY.text)
    assert sad.valence is not None
    assert happy.valence is not None
    assert sad.valence < -0.2 < 0.4 < happy.valence
    assert moods.film.valence == pytest.approx((20 * sad.valence + 40 * happy.valence) / 60)
    assert moods.between(15.0, 30.0).valence == pytest.approx((5 * sad.valence + 10 * happy.valence) / 15)
    assert moods.between(0.0, 10.0).valence == pytest.approx(sad.valence)
    assert moods.between(60.0, 70.0).valence is None
    assert moods.warnings == []
    assert moods.leaning(0.0, 10.0)[0] == pytest.approx(sad.valence - moods.film.valence)
    assert moods.leaning(60.0, 70.0) == (0.0, 0.0)


def test_sections_take_the_mood_of_their_captions() -> None:
    plain = spot(FILM, Wishes())
    plan = spot(FILM, Wishes(captions=(SAD, HAPPY)))
    sad, happy = at(plan, 5.0), at(plan, 45.0)
    assert sad.valence < at(plain, 5.0).valence - 0.2
    assert happy.valence > at(plain, 45.0).valence + 0.2
    assert happy.arousal > sad.arousal + 0.3
    assert plan.mood_understood[0].startswith("0.0-20.0 s, sad")
    assert "happy" in plan.mood_understood[-1].lower()
    assert [s.start_s for s in plan.sections] == [s.start_s for s in plain.sections]
    liveliness = [sum(each.energy) / len(each.energy) for each in (plain, plan)]
    assert liveliness[0] == pytest.approx(liveliness[1], abs=0.01), "which stays with the picture"
    assert plan.solved_from != plain.solved_from


def test_words_set_the_level_and_captions_the_differences() -> None:
    calm = spot(FILM, Wishes(mood="calm"))
    both = spot(FILM, Wishes(mood="calm", captions=(SAD, HAPPY)))
    apart = at(both, 45.0).valence - at(both, 5.0).valence
    assert apart > 0.5
    middle = [
        sum(each.valence * (each.end_s - each.start_s) for each in p.sections) / 60 for p in (calm, both)
    ]
    assert middle[0] == pytest.approx(middle[1], abs=0.05)
    assert both.style == calm.style
    assert both.mood_understood[0] == calm.mood_understood[0]


def test_what_a_person_set_of_a_section_holds() -> None:
    wish = SectionWish(at_s=5.0, valence=0.9)
    plan = spot(FILM, Wishes(captions=(SAD, HAPPY), sections=(wish,)))
    assert at(plan, 5.0).valence == 0.9


def test_captions_without_a_mood_change_nothing_and_say_so() -> None:
    plain, plan = spot(FILM, Wishes()), spot(FILM, Wishes(captions=(PLAIN,)))
    assert plan.sections == plain.sections
    assert plan.mood_understood == ()
    assert plan.warnings == ("captions: no word of a mood is known in them, so the picture decides",)


def test_captions_after_the_end_are_told() -> None:
    late = CaptionWish(start_s=60.0, end_s=70.0, text="sad")
    over = CaptionWish(start_s=50.0, end_s=700.0, text="happy")
    plan = spot(FILM, Wishes(captions=(over, late)))
    assert plan.warnings == ("1 of 2 captions begin after the film's end",)
    assert CaptionMoods((SAD, over), 60.0).film.valence == pytest.approx(
        CaptionMoods((SAD, over.model_copy(update={"end_s": 60.0})), 60.0).film.valence
    )


def test_sheets_without_captions_keep_their_plans() -> None:
    """The digest of no wishes is still that of the fields that there were at first."""
    wishes = dict.fromkeys(("mood", "style", "tempo_bpm", "key", "energy", "seed"))
    lists = {"hits": [], "removed_hits_s": [], "sections": []}
    rate = [FILM.frame_rate.numerator, FILM.frame_rate.denominator]
    before = {"wishes": {**wishes, **lists}, "duration_s": 60.0, "fps": rate, "spotting": SPOTTING_VERSION}
    expected = hashlib.sha256(json.dumps(before, sort_keys=True).encode()).hexdigest()
    assert digest(Wishes(), FILM) == expected
    assert digest(Wishes(), FILM) != digest(Wishes(captions=(SAD,)), FILM)


@pytest.mark.usefixtures("stand_in_model")
def test_compose_takes_a_file(diffbgm: Callable[..., Run], film: Path, tmp_path: Path) -> None:
    captions = tmp_path / "words.vtt"
    captions.write_text("WEBVTT\n\n00:00.000 --> 00:06.000\nA sad, dark street.\n", encoding="utf-8")
    run = diffbgm("compose", film, "--captions", captions, "--json")
    assert run.code == 0, run.err
    said = json.loads(run.out)
    assert len(said["mood_understood"]) == len(said["sections"])
    assert all("sad, dark: valence -" in line for line in said["mood_understood"])
    assert all(section["valence"] < 0 for section in said["sections"])
    report = Path(said["outputs"]["report"]).read_text(encoding="utf-8")
    assert said["mood_understood"][0] in report
    sheet = CueSheet.load(Path(said["outputs"]["cues"]))
    assert sheet.wishes.captions == (CaptionWish(start_s=0.0, end_s=6.0, text="A sad, dark street."),)
    captions.write_text("WEBVTT\n\n00:00.000 -> 00:06.000\nA sad, dark street.\n", encoding="utf-8")
    run = diffbgm("cues", film, "--captions", captions, "--force")
    assert (run.code, run.err.count("\n")) == (3, 1)
    assert "words.vtt, line 3: expected times such as" in run.err
