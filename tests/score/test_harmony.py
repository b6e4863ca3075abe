from __future__ import annotations

import numpy as np
import pytest

from diffbgm.diffusion.roll import PianoRoll
from diffbgm.errors import OptionError
from diffbgm.score.decode import notes_of
from diffbgm.score.harmony import Chord, Key, chords_of, fit_chord, folded, nearest, voiced
from tests.score.example_music import make_roll

C = Key.parse("C")
C_CHORD, G_CHORD = Chord((0, 4, 7), 0), Chord((7, 11, 2), 7)
A_MINOR, F_CHORD = Chord((9, 0, 4), 9), Chord((5, 9, 0), 5)


def weights(*classes: int) -> tuple[float, ...]:
    return tuple(float(pitch_class in classes) for pitch_class in range(12))


def test_keys() -> None:
    assert Key.parse("Ebm") == Key(3, True)
    assert Key.parse("F#").tonic_chord.tones == (6, 10, 1)
    assert Key.parse("Am").scale == C.scale
    for wrong in ("H", "c", "C minor", "", "Cbb", "Cm "):
        with pytest.raises(OptionError, match="expected a key"):
            Key.parse(wrong)


@pytest.mark.parametrize(
    ("given", "bass", "expected"),
    [
        (weights(0, 4, 7), 0, C_CHORD),
        (weights(0, 4, 7), 4, Chord((0, 4, 7), 4)),  # first inversion
        (weights(9, 0, 4, 7), 9, Chord((9, 0, 4, 7), 9)),  # Am7, not C6
        (weights(7, 11, 2, 5), -1, Chord((7, 11, 2, 5), 7)),
        (weights(11, 2, 5), 11, Chord((11, 2, 5), 11)),
        (weights(0, 5, 7), 0, Chord((0, 5, 7), 0)),
        (weights(0, 7), 0, C_CHORD),  # a bare fifth gets the key's third
        (weights(9, 4), 9, A_MINOR),
        (weights(0, 4, 7), 1, C_CHORD),  # a bass foreign to chord and key is not kept
    ],
)
def test_chords_from_pitch_classes(given: tuple[float, ...], bass: int, expected: Chord) -> None:
    assert fit_chord(given, bass, C) == expected


def test_chords_come_from_the_roll_and_without_them_from_the_notes() -> None:
    roll = make_roll(5)
    expected = [c for c in (C_CHORD, G_CHORD, A_MINOR, F_CHORD, C_CHORD) for _ in range(4)]
    assert list(chords_of(roll, notes_of(roll), C)) == expected
    bare = PianoRoll(roll.bits, roll.velocity, np.zeros((20, 12), np.bool_), np.full(20, -1, np.int8))
    assert [chord.root for chord in chords_of(bare, notes_of(bare), C)] == [c.root for c in expected]


def test_silence_holds_the_chord_before_and_begins_with_the_one_after() -> None:
    chroma = np.zeros((8, 12), np.bool_)
    chroma[2:4, [7, 11, 2]] = True
    roll = PianoRoll(
        np.zeros((3, 2, 32, 88), np.bool_), np.zeros((3, 32), np.uint8), chroma, np.full(8, -1, np.int8)
    )
    assert chords_of(roll, notes_of(roll), C) == (G_CHORD,) * 8
    silent = PianoRoll(roll.bits, roll.velocity, np.zeros((8, 12), np.bool_), roll.bass)
    assert chords_of(silent, notes_of(silent), C) == (C_CHORD,) * 8


def test_a_chord_of_one_beat_between_equal_ones_is_passing() -> None:
    chroma = np.zeros((4, 12), np.bool_)
    chroma[:, [0, 4, 7]] = True
    chroma[1] = False
    chroma[1, [2, 5, 9]] = True
    roll = PianoRoll(
        np.zeros((3, 2, 16, 88), np.bool_), np.zeros((3, 16), np.uint8), chroma, np.full(4, -1, np.int8)
    )
    assert chords_of(roll, notes_of(roll), C) == (C_CHORD,) * 4


def test_voices_move_to_the_nearest_inversion() -> None:
    stack: tuple[int, ...] = ()
    moves = []
    for chord in (C_CHORD, F_CHORD, G_CHORD, A_MINOR, F_CHORD, C_CHORD):
        following = voiced(chord.tones, stack, 52, 76, 3)
        assert {pitch % 12 for pitch in following} == set(chord.tones)
        assert list(following) == sorted(following)
        if stack:
            moves.append(sum(abs(a - b) for a, b in zip(stack, following, strict=True)))
        stack = following
    # C to F and back needs 3 semitones, G to Am 5 and F to G 6 in any voicing of three voices.
    assert max(moves) <= 6


def test_nearness_counts_more_than_the_middle_of_the_range() -> None:
    assert voiced(F_CHORD.tones, (48, 52, 55), 40, 90, 3) == (48, 53, 57)
    assert voiced(F_CHORD.tones, (76, 79, 84), 40, 90, 3) == (77, 81, 84)


def test_a_narrow_range_takes_fewer_voices() -> None:
    assert len(voiced((0, 4, 7, 11), (), 60, 72, 6)) <= 5
    assert all(60 <= p <= 72 for p in voiced((0, 4, 7, 11), (), 60, 72, 6))


def test_octaves() -> None:
    assert [folded(pitch, 48, 72) for pitch in (20, 47, 48, 72, 73, 100)] == [56, 59, 48, 72, 61, 64]
    assert nearest(0, 66, 48, 84) == 60
    assert nearest(0, 67, 48, 84) == 72
