"""Room for words: what rests, what carries, and how it leaves and comes back."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffbgm.score.arrange import arrange
from diffbgm.score.decode import GridNote, notes_of
from diffbgm.score.form import Form
from diffbgm.score.harmony import Key, chords_of
from diffbgm.score.instruments import DRUMS
from diffbgm.score.score import Note, Score
from diffbgm.score.speech import joined, leaving_room, thinned, thinned_drums
from diffbgm.score.styles import Style, load_style, style_names
from diffbgm.spotting.cuesheet import Plan
from diffbgm.timing import STEPS_PER_BAR, STEPS_PER_BEAT
from tests.score.example_music import make_plan, make_roll

N_BARS = 16
ROLES = ((4, "theme", 0.5), (8, "climax", 0.9), (4, "theme", 0.5))
SPEECH = ((9.3, 14.0), (15.1, 19.2), (26.0, 31.0))
"""Two sentences with a short pause, a long pause, another sentence."""


def plan_of(style: str, speech: tuple[tuple[float, float], ...] = SPEECH) -> Plan:
    hits = (20, 64, 90, 133, 203)
    return make_plan(N_BARS, style, hit_steps=hits, roles=ROLES, speech=speech)


@lru_cache
def played(style: str, speech: tuple[tuple[float, float], ...] = SPEECH) -> tuple[Plan, Score]:
    plan = plan_of(style, speech)
    return plan, arrange(make_roll(N_BARS), plan, load_style(style))


def form_of(plan: Plan) -> Form:
    roll, key = make_roll(N_BARS), Key.parse(plan.key)
    return Form.of(plan, key, chords_of(roll, notes_of(roll), key), load_style(plan.style))


def spoken_s(plan: Plan) -> list[tuple[float, float]]:
    edges = np.flatnonzero(np.diff(plan.spoken_beats.astype(int), prepend=0, append=0)).reshape(-1, 2)
    seconds = plan.tempo_map.seconds
    return [(seconds(float(a)), seconds(float(b))) for a, b in edges]


def within(notes: list[Note], spans: list[tuple[float, float]], margin_s: float = 0.06) -> list[Note]:
    """The notes that begin in the spans, the human hand allowed for."""
    return [n for n in notes if any(a + margin_s <= n.start_s < b - margin_s for a, b in spans)]


@pytest.fixture(params=style_names())
def style(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_melody_rests_under_words_and_fills_the_long_pause(style: str) -> None:
    plan, score = played(style)
    spans = spoken_s(plan)
    assert len(spans) == 2, "a pause of a second is part of the speech"
    singing = [
        part.name for part in load_style(style).parts if "melody" in part.plays and len(part.plays) == 1
    ]
    for part in score.parts:
        if part.name in singing:
            assert not within(list(part.notes), spans), part.name
    pause = [(spans[0][1], spans[1][0])]
    heard = [n for part in score.parts if part.name in singing for n in within(list(part.notes), pause)]
    assert len(heard) > 4 or not singing


def test_what_carries_lies_low_and_begins_on_beats(style: str) -> None:
    plan, score = played(style)
    spans = spoken_s(plan)
    beats_s = plan.tempo_map.seconds(np.arange(4.0 * N_BARS))
    hits_s = [hit.landed_s for hit in plan.hits]
    places = np.array([*beats_s, *hits_s])
    notes = [n for part in score.parts if not part.is_drums for n in within(list(part.notes), spans)]
    assert notes
    assert max(note.pitch for note in notes) <= 76
    assert np.mean([note.pitch <= 71 for note in notes]) > 0.9
    assert max(np.abs(places - note.start_s).min() for note in notes) < 0.09


def test_every_second_of_speech_has_music(style: str) -> None:
    plan, score = played(style)
    for begin, end in spoken_s(plan):
        notes = [n for part in score.parts if not part.is_drums for n in part.notes]
        for at in np.arange(begin + 0.5, end, 0.5):
            assert any(n.start_s <= at + 0.6 and n.end_s > at - 0.6 for n in notes), f"nothing at {at:.1f} s"


def test_hits_under_words_are_met_by_low_parts(style: str) -> None:
    plan, score = played(style)
    spoken = [hit for hit in plan.hits if any(a <= hit.landed_s < b for a, b in spoken_s(plan))]
    assert spoken
    for hit in spoken:
        struck = [
            n for part in score.parts if not part.is_drums for n in part.notes
            if abs(n.start_s - hit.landed_s) < 1e-9
        ]  # fmt: skip
        assert struck, f"nothing at the hit of {hit.landed_s:.2f} s"
        assert max(n.pitch for n in struck) <= 76


@pytest.mark.parametrize("style", [name for name in style_names() if load_style(name).drums])
def test_percussion_is_a_soft_pulse(style: str) -> None:
    plan, score = played(style)
    _, plain = played(style, ())
    words = ("Cymbal", "Snare", "Open", "Ride", "Clap", "Crash", "Splash", "Tambourine")
    bright = {pitch for name, pitch in DRUMS.items() if any(word in name for word in words)}
    spans = spoken_s(plan)

    def drums(of: Score) -> list[Note]:
        return within([n for part in of.parts if part.is_drums for n in part.notes], spans)

    assert len(drums(score)) < len(drums(plain))
    assert not bright & {note.pitch for note in drums(score)}


def test_before_the_last_bar_that_leads_to_speech_nothing_changes(style: str) -> None:
    plan, score = played(style)
    _, plain = played(style, ())
    until_s = spoken_s(plan)[0][0] - 2.7
    for part in (part for part in plain.parts if not part.is_drums):  # a fill into the words is left out
        own = next((p for p in score.parts if p.name == part.name), None)
        before, now = (
            sorted(n.pitch for n in each.notes if n.start_s < until_s) if each else [] for each in (part, own)
        )
        assert before == now, part.name


def test_bright_parts_sit_out_but_never_all() -> None:
    rock = load_style("rock")
    under = thinned(rock.parts)
    names = [part.name for part in under if part]
    assert "Rhythm guitar" not in names
    assert any(part and part.written != "bass" for part in under)
    assert any(part and part.accent for part in under)


@pytest.mark.parametrize("name", style_names())
def test_a_thinned_style_is_one_that_can_be_played(name: str) -> None:
    style = load_style(name)
    parts = [part for part in thinned(style.parts) if part]
    assert any(part.from_level == 0 and part.written != "bass" for part in parts)
    drums = thinned_drums(style.drums) if style.drums else None
    Style.model_validate(style.model_copy(update={"parts": tuple(parts), "drums": drums}).model_dump())


def test_a_line_ends_on_a_chord_tone_on_a_beat_and_comes_back_on_a_beat() -> None:
    plan = plan_of("piano", ((10.0, 15.0),))
    form = form_of(plan)
    begin, end = np.flatnonzero(np.diff(form.speech.astype(int), prepend=0))
    eighths = [
        GridNote(step, step + 2, 60 + (form.chord(step).tones[0] if step % 8 == 0 else 1 + step % 3), 80)
        for step in range(0, form.final_step, 2)
    ]
    line = leaving_room((tuple(eighths), (), ()), form)[0]
    before = [note for note in line if note.start_step < begin]
    last = before[-1]
    assert last.start_step % STEPS_PER_BEAT == 0
    assert last.pitch % 12 in form.chord(last.start_step).tones
    assert begin - STEPS_PER_BAR <= last.start_step
    assert last.start_step + 2 < last.end_step <= begin + STEPS_PER_BEAT
    assert last.end_step % STEPS_PER_BEAT == 0
    after = [note for note in line if note.start_step >= begin]
    assert after[0].start_step == end
    assert after == [note for note in eighths if note.start_step >= end]


def test_a_phrase_that_has_only_just_begun_does_not_begin() -> None:
    form = form_of(plan_of("piano", ((10.0, 15.0),)))
    begin = int(np.argmax(form.speech))
    line = (GridNote(0, 8, 60, 80), *(GridNote(begin - 4 + k, begin - 3 + k, 64, 80) for k in range(8)))
    assert leaving_room((line, (), ()), form)[0] == line[:1]


SPANS = st.lists(st.tuples(st.floats(0, 38), st.floats(0.2, 9)), max_size=6)


@settings(max_examples=30, deadline=None)
@given(SPANS, st.integers(0, 2**32 - 1))
def test_joined_parts_neither_lose_nor_cut_notes(spans: list[tuple[float, float]], seed: int) -> None:
    form = form_of(plan_of("piano", tuple((a, a + length) for a, length in spans)))
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, form.final_step, 40)
    free = sorted(GridNote(int(s), int(s + rng.integers(1, 24)), 60, 80) for s in starts)
    thin = sorted(GridNote(int(s) // 4 * 4, int(s) // 4 * 4 + 8, 50, 60) for s in starts)
    out = joined(free, thin, form)
    wanted = [n for n in free if not form.speech[n.start_step]] + [
        n for n in thin if form.speech[n.start_step]
    ]
    assert sorted((n.start_step, n.pitch) for n in out) == sorted((n.start_step, n.pitch) for n in wanted)
    ends = {(n.start_step, n.pitch, n.end_step) for n in wanted}
    starts_out = {n.start_step for n in out}
    for note in out:
        assert note.end_step > note.start_step
        assert (note.start_step, note.pitch, note.end_step) in ends or note.end_step in starts_out
