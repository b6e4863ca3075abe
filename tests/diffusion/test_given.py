"""Chords and melody that were given: clamps, what the network is shown, the bass at a change."""

from __future__ import annotations

import numpy as np
import pytest

from diffbgm.diffusion.cadence import final_cadence
from diffbgm.diffusion.conditions import DYNAMIC_INDEX, conditions_of
from diffbgm.diffusion.given import SHOWN_LEVEL, given_clamp, over, shown, with_asked_basses
from diffbgm.diffusion.roll import LOWEST_PITCH, ONSET, SUSTAIN, PianoRoll
from diffbgm.diffusion.sampler import Clamp, sample
from diffbgm.diffusion.tokens import BITS, CHORD, VELOCITIES, to_roll
from diffbgm.spotting.cuesheet import MelodyNote, Plan

from .plans import make_plan

TUNE = (
    MelodyNote(beat=4, beats=1, pitch=69, velocity=90),
    MelodyNote(beat=5.5, beats=0.5, pitch=71, velocity=64),
    MelodyNote(beat=6.02, beats=1.9, pitch=72, velocity=101),  # a little late: the nearest step is meant
)


def asking(bars: int = 8, **changes: object) -> Plan:
    return make_plan(bars=bars, key="D").model_copy(update=changes)


def test_chords_go_round_and_the_last_bar_is_the_endings() -> None:
    asked = asking(bars=6, chords="Am F,G C").asked_chords
    texts = ["-" if chord is None else chord.text for chord in asked]
    assert (
        texts
        == ["Am"] * 4 + ["F"] * 2 + ["G"] * 2 + ["C"] * 4 + ["Am"] * 4 + ["F"] * 2 + ["G"] * 2 + ["-"] * 4
    )


def test_a_section_has_its_own_chords_from_its_first_bar() -> None:
    plan = asking(chords="Am F C")
    own = plan.sections[1].model_copy(update={"chords": "Dm,Em,F A"})
    plan = plan.model_copy(update={"sections": (plan.sections[0], own)})
    texts = ["-" if chord is None else chord.text for chord in plan.asked_chords]
    assert texts[12:28:4] == ["Am", "Dm", "A", "Dm"]
    assert texts[16:20] == ["Dm", "Dm", "Em", "F"]
    only = plan.model_copy(update={"chords": None})
    assert only.asked_chords[:16] == (None,) * 16
    assert only.asked_chords[16:] == plan.asked_chords[16:]


def test_the_clamp_says_the_chords_in_the_models_key() -> None:
    plan = asking(chords="A7 G/B N.C.")  # in D: V7, IV/VI, none
    clamp = given_clamp(plan, 64, 2)
    assert clamp is not None
    assert clamp.mask[:28, CHORD].all()
    assert not clamp.mask[28:].any()
    assert not clamp.mask[:, : CHORD.start].any()
    roll = to_roll(clamp.values[:28], 2)
    assert set(np.flatnonzero(roll.chroma[0])) == {9, 1, 4, 7}
    assert set(np.flatnonzero(roll.chroma[4])) == {7, 11, 2}
    assert not roll.chroma[8].any()
    assert [int(roll.bass[beat]) for beat in (0, 4, 8)] == [9, 11, -1]


def test_nothing_given_nothing_held() -> None:
    assert given_clamp(asking(), 64, 0) is None


def test_the_clamp_holds_the_melody_through_its_bars_and_no_longer() -> None:
    plan = asking(melody=TUNE)
    assert plan.melody_span == (4, 8)
    clamp = given_clamp(plan, 64, 2)
    assert clamp is not None
    held = np.flatnonzero(clamp.mask.any(axis=1))
    assert (held[0], held[-1]) == (4, 7)
    roll = to_roll(clamp.values[:32], 2)
    onsets = {(int(step), int(key) + LOWEST_PITCH) for step, key in np.argwhere(roll.bits[0, ONSET])}
    assert onsets == {(16, 69), (22, 71), (24, 72)}
    assert roll.velocity[0, [16, 22, 24]].tolist() == [90, 64, 101]
    assert np.flatnonzero(roll.bits[0, :, :, 72 - LOWEST_PITCH].any(axis=0)).tolist() == list(range(24, 32))
    assert not clamp.mask[:, 704 : BITS.stop].any()  # the other tracks
    assert not clamp.mask[:, VELOCITIES.start + 4 : VELOCITIES.stop].any()


def test_a_melody_that_reaches_the_ending_holds_to_the_end() -> None:
    late = MelodyNote(beat=26, beats=2, pitch=74, velocity=80)
    assert asking(melody=(*TUNE, late)).melody_span == (4, 32)
    assert asking(bars=16, melody=(*TUNE, late)).melody_span == (4, 28)


def test_the_later_clamp_counts() -> None:
    plan = asking(chords="Bb")
    given = given_clamp(plan, 64, 2)
    assert given is not None
    both = over(final_cadence(64, 32, minor=False), given)
    assert both.mask[28:32].all()
    np.testing.assert_array_equal(both.values[26, CHORD], given.values[26, CHORD])  # not the dominant
    np.testing.assert_array_equal(both.values[28:32], final_cadence(64, 32, minor=False).values[28:32])


def test_what_is_given_is_shown_with_less_of_the_same_noise() -> None:
    rng = np.random.default_rng(0)
    values = rng.choice([-2.0, 2.0], (4, 6)).astype(np.float32)
    mask = rng.random((4, 6)) < 0.5
    noise = rng.standard_normal((4, 6), dtype=np.float32)
    s = 0.6
    seen: list[np.ndarray] = []

    def look(z: np.ndarray, _: float) -> np.ndarray:
        seen.append(z)
        return z

    z = np.where(mask, (1 - s) * values + s * noise, 7.0).astype(np.float32)
    shown(look, Clamp(mask, values))(z, s)
    level = SHOWN_LEVEL * s
    np.testing.assert_allclose(seen[0][mask], ((1 - level) * values + level * noise)[mask], rtol=1e-5)
    assert (seen[0][~mask] == 7.0).all()


def test_a_sample_holds_what_was_given() -> None:
    plan = asking(chords="Am F C G", melody=TUNE)
    given = given_clamp(plan, 64, 2)
    assert given is not None
    tokens = sample(
        shown(lambda z, s: np.tanh(z), given),
        (64, 2148),
        np.linspace(1, 0, 5),
        np.random.default_rng(0),
        clamp=given,
    )
    np.testing.assert_array_equal(tokens[given.mask], given.values[given.mask])


def test_the_network_is_told_how_many_notes_the_tune_has() -> None:
    codes = conditions_of(asking(melody=TUNE)).dynamic[:, DYNAMIC_INDEX["melody"]]
    assert codes.tolist() == [0] * 4 + [3] * 4 + [0] * 24  # 1 + three onsets a bar / 2, rounded up


def empty_roll(beats: int) -> PianoRoll:
    return PianoRoll(
        np.zeros((3, 2, 4 * beats, 88), bool), np.zeros((3, 4 * beats), np.uint8),
        np.zeros((beats, 12), bool), np.full(beats, -1, np.int8),
    )  # fmt: skip


def strike(roll: PianoRoll, track: int, step: int, length: int, pitch: int) -> None:
    roll.bits[track, ONSET, step, pitch - LOWEST_PITCH] = True
    roll.bits[track, SUSTAIN, step + 1 : step + length, pitch - LOWEST_PITCH] = True


def lowest(roll: PianoRoll, step: int) -> int:
    return int(np.flatnonzero(roll.bits[1:, :, step].any(axis=(0, 1)))[0]) + LOWEST_PITCH


def test_the_bass_moves_below_the_chord_and_the_rest_stays() -> None:
    roll = empty_roll(16)
    for pitch in (52, 55, 60):  # C major over its third
        strike(roll, 2, 0, 8, pitch)
    strike(roll, 2, 8, 4, 50)  # passing, later: none of our business
    out = with_asked_basses(roll, asking(bars=4, chords="C"))
    assert lowest(out, 0) == 48
    assert set(np.flatnonzero(out.bits[2, ONSET, 0]) + LOWEST_PITCH) == {48, 55, 60}
    assert out.bits[2, SUSTAIN, 1:8, 48 - LOWEST_PITCH].all()
    assert not out.bits[2, SUSTAIN, 8:, 48 - LOWEST_PITCH].any()
    assert not out.bits[2, :, :, 52 - LOWEST_PITCH].any()
    np.testing.assert_array_equal(out.bits[:, :, 8:], roll.bits[:, :, 8:])


def test_what_is_right_already_is_left_alone() -> None:
    roll = empty_roll(16)
    for step, pitch in ((0, 48), (0, 55), (16, 41), (16, 57), (32, 48), (36, 43)):
        strike(roll, 2, step, 4, pitch)
    out = with_asked_basses(roll, asking(bars=4, chords="C F"))
    np.testing.assert_array_equal(out.bits, roll.bits)


def test_what_hangs_over_a_change_ends_there_unless_it_belongs_to_the_chord() -> None:
    roll = empty_roll(16)
    for pitch in (40, 52, 57):  # E, e, a: held into F major
        strike(roll, 2, 8, 16, pitch)
    strike(roll, 2, 16, 4, 53)
    out = with_asked_basses(roll, asking(bars=4, chords="C F"))
    assert lowest(out, 16) == 53
    held = {int(key) + LOWEST_PITCH for key in np.flatnonzero(out.bits[2, SUSTAIN, 16])}
    assert held == {57}
    assert not out.bits[2, SUSTAIN, 16:, 40 - LOWEST_PITCH].any()


def test_a_change_in_silence_gets_its_bass_and_no_chord_gets_none() -> None:
    out = with_asked_basses(empty_roll(16), asking(bars=4, chords="G/B N.C."))
    struck = [(int(step), int(key) + LOWEST_PITCH) for step, key in np.argwhere(out.bits[2, ONSET])]
    assert [(step, pitch % 12) for step, pitch in struck] == [(0, 11), (32, 11)]


@pytest.mark.parametrize("seed", range(5))
def test_every_change_has_its_bass_whatever_was_there(seed: int) -> None:
    rng = np.random.default_rng(seed)
    roll = empty_roll(64)
    for _ in range(150):
        start, steps = int(rng.integers(0, 250)), int(rng.integers(1, 9))
        strike(roll, 1, start, steps, int(rng.integers(50, 80)))
        strike(roll, 2, start, steps, int(rng.integers(22, 80)))
    roll.bits[:, SUSTAIN] &= ~roll.bits[:, ONSET]
    plan = asking(bars=16, chords="Am,F C/E G7,F#m7b5,Bb Dm")
    out = with_asked_basses(roll, plan)
    asked = plan.asked_chords
    for beat, chord in enumerate(asked):
        if chord is not None and (beat == 0 or asked[beat - 1] != chord):
            assert lowest(out, 4 * beat) % 12 == chord.bass
    assert not (out.bits[:, ONSET] & out.bits[:, SUSTAIN]).any()
    np.testing.assert_array_equal(out.bits[:2], roll.bits[:2])
