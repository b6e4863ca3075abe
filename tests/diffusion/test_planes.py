"""The paper's roll as a view of ours: there and back, tracks, chords, velocities, clamps."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from diffbgm.diffusion.cadence import final_cadence
from diffbgm.diffusion.given import given_clamp
from diffbgm.diffusion.planes import (
    ACCOMPANIMENT,
    MELODY,
    clamp_of_planes,
    merged_planes,
    planes_in_keys,
    roll_of_planes,
    within_scale,
)
from diffbgm.diffusion.roll import ONSET, SUSTAIN
from diffbgm.diffusion.sampler import Clamp
from diffbgm.spotting.cuesheet import MelodyNote
from tests.diffusion.plans import make_plan

BEATS, STEPS = 8, 32
LEVEL = np.full(BEATS, 0.5)

notes = st.lists(
    st.tuples(st.integers(21, 108), st.integers(0, STEPS - 1), st.integers(1, 12)), min_size=0, max_size=30
)


def planes_of(played: list[tuple[int, int, int]]) -> np.ndarray:
    """Planes of notes (pitch, first step, steps); of two on one key the later ends the earlier."""
    out = np.zeros((2, STEPS, 128), np.float32)
    for pitch, start, length in sorted(played, key=lambda note: note[1]):
        out[:, start:, pitch] = 0
        out[ONSET, start, pitch] = 1
        out[SUSTAIN, start + 1 : start + length, pitch] = 1
    return out


@settings(max_examples=60, deadline=None)
@given(notes)
def test_planes_there_and_back(played: list[tuple[int, int, int]]) -> None:
    planes = planes_of(played)
    roll = roll_of_planes(planes, LEVEL)
    np.testing.assert_array_equal(merged_planes(roll.bits), planes)
    # Every note is one track's alone, and a melody never strikes two notes at once.
    assert roll.bits.sum() == planes.sum()
    assert roll.bits[MELODY, ONSET].sum(axis=-1).max(initial=0) <= 1
    again = roll_of_planes(merged_planes(roll.bits), LEVEL)
    np.testing.assert_array_equal(again.bits, roll.bits)


def test_all_tracks_become_one_and_the_top_line_the_melody() -> None:
    tune = [(76, 0, 4), (74, 4, 4), (72, 8, 8)]
    below = [(48, 0, 8), (55, 0, 8), (60, 2, 2), (48, 8, 8)]
    roll = roll_of_planes(planes_of([*tune, *below]), LEVEL)
    np.testing.assert_array_equal(merged_planes(roll.bits[:1]), planes_of(tune))
    np.testing.assert_array_equal(merged_planes(roll.bits[2:]), planes_of(below))
    assert not roll.bits[1].any()


def test_broken_chords_far_under_a_tune_are_no_melody() -> None:
    tune = [(84, 0, 2), (83, 16, 2)]
    broken = [(60 + (0, 4, 7, 4)[k % 4], k, 1) for k in range(2, 16)]
    roll = roll_of_planes(planes_of([*tune, *broken]), LEVEL)
    np.testing.assert_array_equal(merged_planes(roll.bits[:1]), planes_of(tune))


def test_what_no_instrument_plays_is_dropped() -> None:
    planes = planes_of([(60, 0, 4), (10, 0, 4), (120, 0, 4)])
    planes[SUSTAIN, 8:12, 64] = 1  # no onset began it
    planes[SUSTAIN, 0, 60] = 1  # under an onset
    planes[ONSET, 4, 62] = 0.5  # not above a half
    roll = roll_of_planes(planes, LEVEL)
    np.testing.assert_array_equal(merged_planes(roll.bits), planes_of([(60, 0, 4)]))


def test_chords_follow_the_notes_of_each_half_bar() -> None:
    g_minor = [(43, 8, 8), (58, 8, 8), (62, 8, 8)]
    roll = roll_of_planes(planes_of([(40, 0, 8), (60, 0, 8), (67, 4, 4), *g_minor]), LEVEL)
    classes = [np.flatnonzero(chroma).tolist() for chroma in roll.chroma]
    assert classes == [[0, 4, 7]] * 2 + [[2, 7, 10]] * 2 + [[]] * 4
    assert roll.bass.tolist() == [4, 4, 7, 7, -1, -1, -1, -1]


def test_transposition_moves_notes_and_chords_alike() -> None:
    planes = planes_of([(48, 0, 8), (52, 0, 8), (55, 0, 8), (72, 0, 8)])
    home, moved = roll_of_planes(planes, LEVEL), roll_of_planes(planes, LEVEL, semitones=3)
    np.testing.assert_array_equal(moved.bits[..., 3:], home.bits[..., :-3])
    np.testing.assert_array_equal(moved.chroma, np.roll(home.chroma, 3, axis=1))
    assert moved.bass[0] == (home.bass[0] + 3) % 12


def test_velocities_follow_the_energy() -> None:
    played = [(60, 4 * beat, 2) for beat in range(BEATS)]
    roll = roll_of_planes(planes_of(played), np.linspace(0, 1, BEATS))
    struck = roll.velocity.max(axis=0)[::4].astype(int)
    assert (np.diff(struck) >= 0).all()
    assert struck[0] == 73
    assert struck[-1] == 100
    assert np.count_nonzero(roll.velocity) == BEATS


def test_the_composed_ending_is_held() -> None:
    clamp = clamp_of_planes(final_cadence(8, 8, minor=False))
    assert clamp.mask.shape == (2, STEPS, 128)
    final = slice(16, 32)
    sounding = np.flatnonzero(clamp.values[ONSET, 16]).tolist()
    assert sounding == [36, 48, 55, 60, 64, 72]
    assert clamp.mask[:, final, 21:109].all()
    assert not clamp.values[ONSET, 17:].any()
    assert np.flatnonzero(clamp.values[SUSTAIN, 31]).tolist() == sounding
    # The half bar before: nothing foreign to G major on the beats, and nothing asked between them.
    free = ~clamp.mask[ONSET, 8, 60:72]
    assert np.flatnonzero(free).tolist() == [2, 7, 11]
    assert not clamp.mask[:, 9:12].any()
    assert not clamp.mask[:, :8].any()


def test_the_ending_has_its_own_tracks_and_velocities() -> None:
    held = final_cadence(8, 8, minor=True)
    clamp = clamp_of_planes(held)
    planes = clamp.apply(planes_of([(90, 14, 6), (60, 2, 3)]))
    roll = roll_of_planes(planes, LEVEL, held=held)
    tune = np.flatnonzero(roll.bits[MELODY, ONSET, 16])
    assert (tune + 21).tolist() == [69]
    assert (np.flatnonzero(roll.bits[ACCOMPANIMENT, ONSET, 16]) + 21).tolist() == [33, 45, 52, 57, 60]
    assert roll.velocity[:, 16].tolist() == [85, 0, 85]
    assert [np.flatnonzero(roll.chroma[beat]).tolist() for beat in (2, 4)] == [[4, 8, 11], [0, 4, 9]]
    assert roll.bass[[2, 4]].tolist() == [4, 9]
    assert merged_planes(roll.bits)[ONSET].sum() == 8


def test_a_given_melody_is_kept_note_for_note() -> None:
    plan = make_plan(bars=4, key="C").model_copy(
        update={
            "melody": (
                MelodyNote(beat=1, beats=1, pitch=62, velocity=99),
                MelodyNote(beat=3, beats=0.5, pitch=64, velocity=70),
            )
        }
    )
    held = given_clamp(plan, 16, 0)
    assert held is not None
    held = Clamp(held.mask[:BEATS], held.values[:BEATS])
    noise = planes_of([(80, 0, 8), (79, 12, 4), (45, 0, 16)])
    roll = roll_of_planes(clamp_of_planes(held).apply(noise), LEVEL, held=held)
    span = slice(4 * plan.melody_span[0], 4 * plan.melody_span[1])
    tune = np.argwhere(roll.bits[MELODY, ONSET, span])
    assert [(step + span.start, key + 21) for step, key in tune.tolist()] == [(4, 62), (12, 64)]
    assert roll.velocity[MELODY, [4, 12]].tolist() == [99, 70]
    assert roll.bits[ACCOMPANIMENT, ONSET, 12, 79 - 21]  # what was above it accompanies


def test_a_scale_holds_the_other_pitches_silent() -> None:
    free = Clamp(np.zeros((2, STEPS, 128), bool), np.zeros((2, STEPS, 128), np.float32))
    loud = np.ones((2, STEPS, 128), np.float32)
    home = np.zeros(BEATS, np.int64)
    for minor, silent in ((False, [1, 3, 6, 8, 10]), (True, [1, 3, 6, 10])):
        left = within_scale(free, minor, home).apply(loud)[ONSET, 0, 60:72]
        assert np.flatnonzero(left == 0).tolist() == silent
    clamp = clamp_of_planes(final_cadence(8, 8, minor=False))
    np.testing.assert_array_equal(within_scale(clamp, False, home).values, clamp.values)
    # From beat 4 on in D: its scale, a tone higher.
    left = within_scale(free, False, np.repeat([0, 2], 4)).apply(loud)[ONSET, :, 60:72]
    assert np.flatnonzero(left[15] == 0).tolist() == [1, 3, 6, 8, 10]
    assert np.flatnonzero(left[16] == 0).tolist() == [0, 3, 5, 8, 10]


def test_a_section_in_another_key_is_written_as_if_it_were_home() -> None:
    """A network that knows only middle C writes D where the key lies a tone higher."""

    def middle_c(z: np.ndarray, _s: float) -> np.ndarray:
        out = np.zeros_like(z)
        out[ONSET, :, 60] = 1
        return out

    found = planes_in_keys(middle_c, np.repeat([0, 2], 4))(np.zeros((2, STEPS, 128), np.float32), 0.5)
    assert np.flatnonzero(found[ONSET, 15]).tolist() == [60]
    assert np.flatnonzero(found[ONSET, 16]).tolist() == [62]
