from __future__ import annotations

import math

import numpy as np
import pytest

from diffbgm.diffusion.roll import LOWEST_PITCH, PianoRoll
from diffbgm.metrics.melody import melody_figures, melody_line

BEATS = 32


def roll(notes: list[tuple[int, int, int]], chord: tuple[int, ...] = (0, 4, 7)) -> PianoRoll:
    """A roll of eight bars with these melody notes (step, pitch, length) over one chord."""
    bits = np.zeros((3, 2, 4 * BEATS, 88), bool)
    for step, pitch, length in notes:
        bits[0, 0, step, pitch - LOWEST_PITCH] = True
        bits[0, 1, step + 1 : step + length, pitch - LOWEST_PITCH] = True
    chroma = np.zeros((BEATS, 12), bool)
    chroma[:, list(chord)] = True
    velocity = np.where(bits[:, 0].any(axis=-1), 80, 0).astype(np.uint8)
    return PianoRoll(bits, velocity, chroma, np.zeros(BEATS, np.int8))


def bar(number: int, pitches: list[int], apart: int = 4) -> list[tuple[int, int, int]]:
    return [(16 * number + apart * k, pitch, apart) for k, pitch in enumerate(pitches)]


def test_notes_are_read_with_their_lengths() -> None:
    found = melody_line(roll([(0, 60, 4), (4, 62, 2), (8, 64, 120)]))
    assert found.tolist() == [[0, 60, 4], [4, 62, 2], [8, 64, 120]]
    assert melody_line(roll([(0, 60, 4), (0, 67, 4)])).tolist() == [[0, 67, 4]]
    assert melody_line(roll([])).shape == (0, 3)


@pytest.mark.parametrize(
    ("pitches", "arch"), [([60, 64, 65, 60], 1.0), ([67, 64, 62, 67], 0.0), ([60, 62, 64, 65], 0.0)]
)
def test_an_arch_lies_above_both_its_ends(pitches: list[int], arch: float) -> None:
    assert melody_figures(roll(bar(0, pitches)), [(0, 8)])["melody_arch"] == arch


def test_ends_on_chord_tones_and_at_rest() -> None:
    phrases = [(0, 8), (8, 16)]
    music = roll(bar(0, [60, 62, 64, 62]) + bar(2, [60, 62, 64, 67], apart=2))
    found = melody_figures(music, phrases)
    assert found["melody_ends_on_chord"] == 0.5  # D is none of C E G, G is
    assert found["melody_ends_long"] == 1.0  # each waits for its phrase to end
    hurried = melody_figures(roll(bar(0, [60, 62, 64, 67])), [(0, 4)])
    assert hurried["melody_ends_long"] == 0.0


def test_bars_that_come_again_with_and_without_their_intervals() -> None:
    theme, moved, other = [60, 62, 64, 62], [65, 67, 69, 67], [60, 67, 60, 55]
    music = roll([*bar(0, theme), *bar(1, moved), *bar(2, other), *bar(3, theme, apart=2), *bar(4, theme)])
    found = melody_figures(music, [])
    assert found["melody_rhythm_again"] == pytest.approx(3 / 5)  # bars 1, 2, 4
    assert found["melody_again"] == pytest.approx(2 / 5)  # bars 1, moved as a whole, and 4
    assert math.isnan(found["melody_arch"])


def test_steps_and_leaps() -> None:
    assert melody_figures(roll(bar(0, [60, 62, 67, 66])), [])["melody_steps"] == pytest.approx(2 / 3)
    assert all(math.isnan(value) for value in melody_figures(roll([]), [(0, 8)]).values())
