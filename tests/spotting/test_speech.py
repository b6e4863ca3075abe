"""Where the music makes room for words, and what the plan asks there."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffbgm.diffusion.conditions import DYNAMIC_INDEX, MELODY_IN_PAUSES, UNKNOWN, conditions_of, melody_code
from diffbgm.options import ComposeOptions
from diffbgm.spotting.cuesheet import CueSheet, Wishes
from diffbgm.spotting.speech import spoken_beats
from diffbgm.spotting.spot import digest, resolve, spot
from diffbgm.spotting.wishes import wishes_from
from diffbgm.timing import TempoMap

from .films import film

BARS = TempoMap(tuple(2.0 * bar for bar in range(11)))  # a beat is half a second


@pytest.mark.parametrize(
    ("spans", "beats"),
    [
        ([], []),
        ([(3.1, 4.2)], [6, 7, 8]),
        ([(3.0, 4.0)], [6, 7]),
        ([(3.0, 4.0), (5.9, 7.0)], [*range(6, 14)]),  # a pause of 1.9 s
        ([(3.0, 4.0), (6.0, 7.0)], [6, 7, 12, 13]),  # of 2 s: four beats
        ([(3.0, 3.5)], []),  # a word alone
        ([(3.0, 3.5), (4.0, 4.5)], [6, 7, 8]),
        ([(19.2, 30.0)], [38, 39]),
    ],
)
def test_beats_of_speech(spans: list[tuple[float, float]], beats: list[int]) -> None:
    assert np.flatnonzero(spoken_beats(spans, BARS)).tolist() == beats


def test_a_pause_without_two_whole_beats_is_no_pause() -> None:
    slow = TempoMap((0.0, 6.0, 12.0))  # a beat is a second and a half
    assert np.flatnonzero(spoken_beats([(0.2, 1.7), (4.6, 5.9)], slow)).tolist() == [0, 1, 2, 3]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 19), st.floats(0.6, 6)), max_size=5))
def test_every_sentence_lies_in_room_that_comes_and_goes_no_faster_than_two_beats(
    found: list[tuple[float, float]],
) -> None:
    room = spoken_beats([(a, min(a + length, 20.0)) for a, length in found], BARS)
    starts = BARS.seconds(np.arange(40, dtype=np.float64))
    for a, length in found:
        end = min(a + length, 20.0)
        if end - a >= 0.6:
            assert room[(starts < end) & (starts + 0.5 > a)].all()
    edges = np.flatnonzero(np.diff(room.astype(int)))
    gaps = [b - a for a, b in itertools.pairwise(edges) if not room[a + 1]]
    assert min(gaps, default=2) >= 2


def test_bars_full_of_speech_ask_for_no_melody_and_fewer_notes() -> None:
    spoken, plain = spot(film(60.0, speech=((20.0, 40.0),)), Wishes()), spot(film(60.0), Wishes())
    bars = spoken.spoken_beats.reshape(-1, 4).all(axis=1)
    assert 4 < bars.sum() < len(bars) - 4
    asked, usual = conditions_of(spoken).dynamic[::4], conditions_of(plain).dynamic[::4]
    melody, density = DYNAMIC_INDEX["melody"], DYNAMIC_INDEX["density"]
    assert (asked[bars, melody] == melody_code(0.0)).all()
    free = ~spoken.spoken_beats.reshape(-1, 4).any(axis=1)
    assert (asked[free, melody] == usual[free, melody]).all()
    assert (usual[bars, melody] == UNKNOWN).any()
    assert (asked[bars, density] < usual[bars, density]).all()


def test_pauses_ask_for_a_melody_that_answers() -> None:
    plan = spot(film(60.0, speech=((5.0, 20.0), (40.0, 50.0))), Wishes())
    melody = conditions_of(plan).dynamic[::4, DYNAMIC_INDEX["melody"]]
    bars = plan.spoken_beats.reshape(-1, 4)
    starts = np.array(plan.bar_starts_s[:-1])
    pause = ~bars.any(axis=1) & (starts > 20.0) & (starts < 40.0)
    assert pause.sum() >= 4
    assert set(melody[pause]) == {int(melody_code(MELODY_IN_PAUSES))}
    assert set(melody[starts >= 50.5]) == {UNKNOWN}
    mute = tuple(section.model_copy(update={"melody": False}) for section in plan.sections)
    silent = conditions_of(plan.model_copy(update={"sections": mute})).dynamic[::4, DYNAMIC_INDEX["melody"]]
    assert set(silent) == {int(melody_code(0.0))}


def test_a_section_spoken_throughout_has_no_melody() -> None:
    spoken, plain = spot(film(30.0, speech=((0.0, 30.0),)), Wishes()), spot(film(30.0), Wishes())
    assert any(section.melody for section in plain.sections)
    assert not any(section.melody for section in spoken.sections)


def test_without_room_the_plan_is_that_of_a_film_in_which_nobody_speaks() -> None:
    talk, silent = film(40.0, speech=((5.0, 20.0),)), film(40.0)
    ignored = spot(talk, Wishes(room_for_speech=False))
    assert ignored.speech_spans == ()
    assert ignored.model_copy(update={"solved_from": ""}) == spot(silent, Wishes()).model_copy(
        update={"solved_from": ""}
    )
    assert digest(Wishes(room_for_speech=False), talk) != digest(Wishes(), talk)
    assert digest(Wishes(room_for_speech=False), silent) == digest(Wishes(), silent)
    sheet = resolve(CueSheet(wishes=Wishes(room_for_speech=False)), talk)
    assert sheet.plan is not None
    kept = sheet.model_copy(update={"plan": sheet.plan.model_copy(update={"key": "Db"})})
    assert resolve(kept, talk).plan == kept.plan, "a plan that was changed holds"


def test_room_is_made_unless_the_films_own_sound_is_dropped() -> None:
    assert wishes_from(ComposeOptions()).room_for_speech
    assert not wishes_from(ComposeOptions(original_audio="drop")).room_for_speech
    closed = Wishes(room_for_speech=False)
    assert not wishes_from(ComposeOptions(), closed).room_for_speech
    assert wishes_from(ComposeOptions(original_audio="keep"), closed).room_for_speech
