"""Plans and notes on the bars of a new cut: what moves with its bars, and what is new."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from diffbgm.diffusion.roll import ONSET, SUSTAIN, PianoRoll
from diffbgm.editing.alignment import Span
from diffbgm.editing.bars import NewBars
from diffbgm.editing.conform import carried, carried_melody, composed_stretches, conformed, taken_over
from diffbgm.spotting.cuesheet import CaptionWish, Hit, HitWish, MelodyNote, Plan, SectionWish, Wishes

from ..diffusion.plans import BAR_S, make_plan


def new_bars(was: list[int], *, bent: tuple[int, ...] = (), with_next: tuple[int, ...] = ()) -> NewBars:
    return NewBars(
        tuple(k * BAR_S for k in range(len(was) + 1)),
        tuple(was),
        tuple(each >= 0 and k not in bent for k, each in enumerate(was)),
        tuple(k in with_next for k in range(len(was))),
    )


def varied(bars: int = 20) -> Plan:
    """A plan whose every beat has an energy of its own."""
    plan = make_plan(bars)
    curve = tuple(round(0.2 + 0.005 * beat, 3) for beat in range(4 * bars))
    return plan.model_copy(update={"energy": curve, "density": curve})


def fresh_plan(bars: int) -> Plan:
    plan = make_plan(bars)
    flat = (0.9,) * (4 * bars)
    named = [each.model_copy(update={"label": name}) for each, name in zip(plan.sections, "AB", strict=True)]
    changes = {"energy": flat, "density": flat, "hits": (), "sections": tuple(named), "solved_from": "fresh"}
    return plan.model_copy(update=changes)


def test_a_plan_in_place_stays_as_it_is() -> None:
    plan = varied()
    out = conformed(plan, fresh_plan(20), new_bars(list(range(20))))
    assert out == plan.model_copy(update={"solved_from": "fresh"})


def test_bars_take_their_energy_sections_and_hits_along() -> None:
    plan = varied().model_copy(update={"chords": None})
    was = [*range(10, 14), -1, *range(0, 6), -1, -1]
    out = conformed(plan, fresh_plan(13), new_bars(was, with_next=(4,)))
    assert out.energy[:16] == plan.energy[40:56]
    assert out.energy[20:44] == plan.energy[:24]
    between = np.array(out.energy[15:21])
    np.testing.assert_allclose(np.diff(between), np.diff(between)[0], atol=2e-3)
    assert out.energy[44:] == (0.9,) * 8, "the new ending is that of the new film"
    told = [(each.start_bar, each.end_bar, each.label, each.role) for each in out.sections]
    assert told == [(0, 4, "B", "climax"), (4, 13, "A", "intro")]
    (hit,) = out.hits
    assert (hit.time_s, hit.landed_s, hit.step) == (5.25 + 3 * BAR_S + 2 * BAR_S, 15.25, 42 + 5 * 16)
    assert (out.key, out.style, out.seed) == (plan.key, plan.style, plan.seed)


def test_a_hit_of_a_bent_bar_is_that_of_the_new_film() -> None:
    there = Hit(time_s=5.0, weight=0.5, source="cut", landed_s=5.0, error_ms=0, on="beat", step=40)
    fresh = fresh_plan(20).model_copy(update={"hits": (there,)})
    out = conformed(varied(), fresh, new_bars(list(range(20)), bent=(2,)))
    assert out.hits == (there,)


def test_a_long_new_scene_is_a_section_of_its_own() -> None:
    was = [*range(8), *[-1] * 6, *range(8, 20)]
    fresh = fresh_plan(26)
    new = fresh.sections[0].model_copy(update={"role": "calm", "label": "C"})
    edges = [(0, 8), (8, 14), (14, 26)]
    sections = [
        each.model_copy(
            update={"start_bar": a, "end_bar": b, "start_s": a * BAR_S, "end_s": b * BAR_S, "label": name}
        )
        for each, (a, b), name in zip((new, new, new), edges, "PQP", strict=True)
    ]
    out = conformed(varied(), fresh.model_copy(update={"sections": tuple(sections)}), new_bars(was))
    told = [(each.start_bar, each.end_bar, each.label, each.role) for each in out.sections]
    assert told == [
        (0, 8, "A", "intro"),
        (8, 14, "C", "calm"),
        (14, 16, "A", "intro"),
        (16, 26, "B", "climax"),
    ]
    assert set(out.energy[32:56]) == {0.9}


def test_chords_that_were_asked_for_stay_with_their_bars() -> None:
    plan = make_plan(20).model_copy(update={"chords": "Am F C G"})
    out = conformed(plan, fresh_plan(13), new_bars([*range(5, 9), -1, *range(2, 8), -1, -1]))
    texts = [None if chord is None else chord.text for chord in out.asked_chords[::4]]
    assert texts[:4] == ["F", "C", "G", "Am"]
    assert texts[4] == "F", "a bar that leads over goes on with the next chord"
    assert texts[5:11] == ["C", "G", "Am", "F", "C", "G"]
    assert out.chords is None


def test_wishes_move_with_their_scenes() -> None:
    wishes = Wishes(
        key="D",
        hits=(HitWish(time_s=3.0), HitWish(time_s=12.0), HitWish(time_s=25.0)),
        removed_hits_s=(21.0,),
        sections=(SectionWish(at_s=22.0, start_s=20.5, energy=0.3), SectionWish(at_s=12.0, energy=0.9)),
        captions=(CaptionWish(start_s=8.0, end_s=22.0, text="a storm"),),
    )
    spans = (Span(20.0, 0.0, 10.0), Span(0.0, 10.0, 10.0))
    out = carried(wishes, spans)
    assert [hit.time_s for hit in out.hits] == [13.0, 5.0]
    assert out.removed_hits_s == (1.0,)
    assert [(each.at_s, each.start_s, each.energy) for each in out.sections] == [(2.0, 0.5, 0.3)]
    assert [(each.start_s, each.end_s) for each in out.captions] == [(0.0, 2.0), (18.0, 20.0)]
    assert out.key == "D"


def test_a_given_melody_moves_with_its_bars() -> None:
    notes = [MelodyNote(beat=beat, beats=2, pitch=60 + beat, velocity=80) for beat in (0, 7, 9)]
    out = carried_melody(notes, new_bars([2, -1, 0, 1]))
    assert [(note.beat, note.beats, note.pitch) for note in out] == [(1, 2, 69), (8, 2, 60), (15, 1, 67)]


def full_roll(bars: int, seed: int = 1) -> PianoRoll:
    rng = np.random.default_rng(seed)
    bits = rng.random((3, 2, 16 * bars, 88)) < 0.05
    velocity = np.where(bits[:, ONSET].any(axis=2), rng.integers(1, 128, (3, 16 * bars)), 0)
    return PianoRoll(
        bits,
        velocity.astype(np.uint8),
        rng.random((4 * bars, 12)) < 0.3,
        rng.integers(-1, 12, 4 * bars, np.int8),
    )


def test_notes_are_taken_over_bit_for_bit() -> None:
    roll = full_roll(8)
    was = [4, 5, -1, 1, 2, -1]
    out = taken_over(roll, new_bars(was))
    assert out.n_beats == 24
    for bar, old in enumerate(was):
        if old < 0:
            continue
        steps, source = slice(16 * bar, 16 * bar + 16), slice(16 * old, 16 * old + 16)
        np.testing.assert_array_equal(out.bits[:, :, steps], roll.bits[:, :, source])
        np.testing.assert_array_equal(out.velocity[:, steps], roll.velocity[:, source])
        np.testing.assert_array_equal(out.chroma[4 * bar : 4 * bar + 4], roll.chroma[4 * old : 4 * old + 4])
        np.testing.assert_array_equal(out.bass[4 * bar : 4 * bar + 4], roll.bass[4 * old : 4 * old + 4])
    assert not out.bits[:, SUSTAIN, 80:].any()
    assert (out.bass[20:] == -1).all()
    np.testing.assert_array_equal(out.bits[:, :, 32:48], roll.bits[:, :, :16])
    assert composed_stretches(new_bars(was)) == [(2, 3), (5, 6)]


def test_the_file_of_unchanged_notes_is_the_same(tmp_path: Path) -> None:
    roll = full_roll(4)
    kept = taken_over(roll, new_bars([0, 1, 2, 3]))
    assert kept.digest == roll.digest
    paths = [tmp_path / name for name in ("a.npz", "b.npz")]
    for path, each in zip(paths, (roll, kept), strict=True):
        each.save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
