from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diffbgm.data.annotation.grid import (
    Tones,
    dynamics_of,
    grid_fit,
    on_grid,
    roll_of,
    sounding,
    unpacked,
)
from diffbgm.data.annotation.music import MusicAnnotation, Span
from diffbgm.diffusion.roll import ONSET, SUSTAIN

from .pieces import grid_notes


def annotation() -> MusicAnnotation:
    return MusicAnnotation(
        beats_s=np.arange(5.0), downbeat=np.array([True, False, False, False]), beats_per_bar=4,
        eighths_per_beat=2, keys=(Span(0, 4, "C"),), given_keys=(), chords=(Span(0, 2, "C"), Span(2, 4, "F")),
        given_chords=(), phrases=(Span(0, 4, "A"),), phrase_source="estimated", roles=("melody",),
        bits=np.zeros((4, 264), np.uint8), velocity=np.zeros((4, 3, 4), np.uint8),
        dynamics=np.zeros(4, np.float32), grid_fit=1.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beats_s": np.array([0.0, 1, 1, 2, 3])}, "do not rise"),
        ({"downbeat": np.zeros(3, bool)}, "downbeat of shape"),
        ({"bits": np.zeros((4, 263), np.uint8)}, "bits of shape"),
        ({"chords": (Span(0, 3, "C"), Span(2, 4, "F"))}, "chords overlap"),
        ({"phrases": (Span(0, 5, "A"),)}, "beyond the last of 4"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(annotation(), **change)


def test_an_empty_span_is_refused() -> None:
    with pytest.raises(ValueError, match="is empty"):
        Span(3, 3, "A")


def test_positions_follow_the_beats_and_early_notes_join_the_first() -> None:
    start = np.array([0.95, 0.5, 2.0, 3.0, 9.0])
    whole = np.full(5, 60)
    tones = Tones(start, start + 1, whole, whole, whole * 0)
    notes = on_grid(tones, np.array([1.0, 2.0, 4.0, 6.0]))
    np.testing.assert_allclose(notes.start, [0, 1, 1.5])
    np.testing.assert_allclose(notes.end, [0.95, 1.5, 2.0])


def test_roll_has_each_note_once_and_a_repeated_note_ends_the_one_before() -> None:
    notes = grid_notes([(0, 1.5, 60, 80, 0), (0.5, 0.75, 60, 100, 0), (1.98, 2.0, 21, 40, 2)], 3)
    packed, velocity = roll_of(notes)
    bits = unpacked(packed)
    by_step = bits[:, 0, :, :, 60 - 21].transpose(1, 0, 2).reshape(2, -1)
    np.testing.assert_array_equal(np.flatnonzero(by_step[ONSET]), [0, 2])
    np.testing.assert_array_equal(np.flatnonzero(by_step[SUSTAIN]), [1, 3, 4, 5])
    assert bits[2, 2, ONSET, 0, 0]  # rounded up to the next beat, and lasting a step
    assert bits.sum() == 7
    assert velocity[0, 0].tolist() == [80, 0, 100, 0]
    assert velocity[2, 2, 0] == 40


def test_sounding_time_is_divided_among_the_beats() -> None:
    notes = grid_notes([(0.5, 2.25, 72, 80, 0), (1, 9, 61, 80, 0)], 3)
    out = sounding(notes, np.array([1.0, 2.0]))
    np.testing.assert_allclose(out[:, 0], [0.5, 1, 0.25])
    np.testing.assert_allclose(out[:, 1], [0, 2, 2])
    assert out.sum() == pytest.approx(5.75)


def test_dynamics_are_interpolated_over_silent_beats() -> None:
    notes = grid_notes([(0, 1, 60, 40, 0), (0.5, 1, 60, 60, 2), (2.97, 4, 60, 80, 0)], 5)
    np.testing.assert_allclose(dynamics_of(notes), [50, 60, 70, 80, 80])
    np.testing.assert_allclose(dynamics_of(grid_notes([], 2)), [0, 0])


def test_fit_tells_notes_on_the_grid_from_notes_anywhere() -> None:
    on = grid_notes([(k / 4, k / 4 + 0.2, 60, 80, 0) for k in range(16)], 4)
    rng = np.random.default_rng(0)
    off = grid_notes([(at, at + 0.2, 60, 80, 0) for at in rng.uniform(0, 4, 4000)], 4)
    thirds = grid_notes([(k / 3, k / 3 + 0.2, 60, 80, 0) for k in range(12)], 4)
    assert grid_fit(on) == 1.0
    assert grid_fit(off) == pytest.approx(0.25, abs=0.03)
    assert (grid_fit(thirds, 6), grid_fit(thirds)) == (1.0, pytest.approx(1 / 3))
