from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffbgm.diffusion.roll import ONSET, SUSTAIN, PianoRoll
from diffbgm.score.decode import DEFAULT_VELOCITY, POLYPHONY, GridNote, notes_of, roll_of, smoothed

N_STEPS = 64


def empty_roll(n_steps: int = 16) -> PianoRoll:
    return roll_of(((), (), ()), n_steps)


@st.composite
def playable(draw: st.DrawFn, limit: int) -> tuple[GridNote, ...]:
    """Notes of one track: never more than `limit` at once, one velocity a step, no overlap on a key."""
    free_from = [0] * limit
    velocities: dict[int, int] = {}
    busy: dict[int, int] = {}
    out = []
    for start in sorted(draw(st.lists(st.integers(0, N_STEPS - 1), max_size=20))):
        voice = next((v for v in range(limit) if free_from[v] <= start), None)
        pitch = draw(st.integers(21, 108))
        if voice is None or busy.get(pitch, 0) > start:
            continue
        end = draw(st.integers(start + 1, N_STEPS))
        velocity = velocities.setdefault(start, draw(st.integers(1, 127)))
        out.append(GridNote(start, end, pitch, velocity))
        free_from[voice] = busy[pitch] = end
    return tuple(sorted(out))


@given(st.tuples(*(playable(limit) for limit in POLYPHONY)))
@settings(max_examples=60, deadline=None)
def test_notes_to_roll_to_notes_is_the_identity(tracks: tuple[tuple[GridNote, ...], ...]) -> None:
    assert notes_of(roll_of(tracks, N_STEPS)) == tracks


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_any_bits_decode_to_playable_notes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bits = rng.random((3, 2, 32, 88)) < rng.choice([0.01, 0.1, 0.5])
    velocity = rng.integers(0, 128, (3, 32)).astype(np.uint8)
    roll = PianoRoll(bits, velocity, np.zeros((8, 12), np.bool_), np.full(8, -1, np.int8))
    tracks = notes_of(roll)
    for track, notes in enumerate(tracks):
        sounding = np.zeros((32, 128), dtype=int)
        for note in notes:
            assert 0 <= note.start_step < note.end_step <= 32
            assert 1 <= note.velocity <= 127
            assert bits[track, ONSET, note.start_step, note.pitch - 21], "a note without an onset"
            sounding[note.start_step : note.end_step, note.pitch] += 1
        assert sounding.max() <= 1, "two notes on one key"
        assert (sounding.sum(axis=1) <= POLYPHONY[track]).all()
    assert notes_of(roll_of(tracks, 32)) == tracks, "decoding is not idempotent"


def test_sustain_without_onset_is_dropped_and_a_new_onset_ends_the_note() -> None:
    bits = empty_roll().bits.copy()
    bits[0, SUSTAIN, 2:6, 40] = True  # orphan
    bits[0, ONSET, 8, 50] = True
    bits[0, SUSTAIN, 9:16, 50] = True
    bits[0, ONSET, 12, 50] = True
    bits[0, SUSTAIN, 14, 50] = False  # a gap ends the second note
    velocity = np.zeros((3, 16), np.uint8)
    velocity[0, 8] = 90
    roll = PianoRoll(bits, velocity, np.zeros((4, 12), np.bool_), np.full(4, -1, np.int8))
    assert notes_of(roll)[0] == (GridNote(8, 12, 71, 90), GridNote(12, 14, 71, 90))


def test_melody_keeps_the_highest_notes_and_accompaniment_the_outer_ones() -> None:
    bits = empty_roll().bits.copy()
    bits[:, ONSET, 0, [20, 30, 40, 50, 60, 70, 80]] = True
    roll = PianoRoll(bits, np.zeros((3, 16), np.uint8), np.zeros((4, 12), np.bool_), np.full(4, -1, np.int8))
    melody, counter, accompaniment = ([n.pitch - 21 for n in notes] for notes in notes_of(roll))
    assert melody == [70, 80]
    assert counter == [20, 30, 80]
    assert accompaniment == [20, 30, 40, 60, 70, 80]
    assert notes_of(roll)[0][0].velocity == DEFAULT_VELOCITY


def test_the_oldest_note_gives_way_to_a_new_one() -> None:
    notes = [GridNote(0, 16, 60, 80), GridNote(2, 16, 64, 80), GridNote(4, 16, 67, 80)]
    assert notes_of(roll_of((notes, (), ()), 16))[0] == (
        GridNote(0, 4, 60, 80),
        GridNote(2, 16, 64, 80),
        GridNote(4, 16, 67, 80),
    )


def test_notes_outside_the_grid_or_keyboard_are_refused() -> None:
    for note in (GridNote(0, 17, 60, 80), GridNote(3, 3, 60, 80), GridNote(0, 4, 20, 80)):
        with pytest.raises(ValueError, match="outside"):
            roll_of(((note,), (), ()), 16)


def test_smoothing_draws_a_single_loud_note_in_and_keeps_a_level_line() -> None:
    level = [GridNote(step, step + 2, 60, 80) for step in range(0, 32, 2)]
    assert smoothed(level) == tuple(level)
    spike = [*level[:8], GridNote(16, 18, 60, 120), *level[9:]]
    after = smoothed(spike)
    assert 95 < after[8].velocity < 110
    assert all(80 <= note.velocity <= 84 for index, note in enumerate(after) if index != 8)
    assert smoothed([]) == ()
