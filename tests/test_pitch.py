"""Chord symbols, progressions and keys, against what musicians write."""

from __future__ import annotations

import numpy as np
import pytest

from diffbgm.pitch import MAJOR_KEYS, MINOR_KEYS, ChordSymbol, key_fits, parse_progression, pitch_class
from diffbgm.spotting.keys import best_key, parse_key


@pytest.mark.parametrize(
    ("spellings", "tones", "bass"),
    [
        ("Am Amin Ami A- Aminor", (9, 0, 4), 9),
        ("C CM Cmaj Cmajor", (0, 4, 7), 0),
        ("C7", (0, 4, 7, 10), 0),
        ("Cmaj7 CM7 Cma7 CΔ CΔ7 C^7 C^ Cmaj(7)", (0, 4, 7, 11), 0),
        ("F#m7b5 F♯m7♭5 F#-7b5 F#ø F#ø7 F#min7b5 F#m7-5 F#m7(b5)", (6, 9, 0, 4), 6),
        ("Bb B♭", (10, 2, 5), 10),
        ("G/B", (7, 11, 2), 11),
        ("Am7/G A-7/G", (9, 0, 4, 7), 7),
        ("Dsus4 Dsus D4", (2, 7, 9), 2),
        ("D7sus4 D7sus", (2, 7, 9, 0), 2),
        ("Bdim Bo B°", (11, 2, 5), 11),
        ("Bdim7 Bo7 B°7", (11, 2, 5, 8), 11),
        ("Eaug E+", (4, 8, 0), 4),
        ("Cm(maj7) CmM7 C-maj7 CminMaj7", (0, 3, 7, 11), 0),
        ("C6/9/E C69/E", (0, 4, 7, 9, 2), 4),
        ("Cmadd9 Cm(add9)", (0, 3, 7, 2), 0),
        ("E7b9 E7(b9) E7-9", (4, 8, 11, 2, 5), 4),
        ("E7#5 E+7 Eaug7", (4, 8, 0, 2), 4),
        ("C5", (0, 7), 0),
        ("N.C. NC", (), -1),
    ],
)
def test_chords_as_they_are_written(spellings: str, tones: tuple[int, ...], bass: int) -> None:
    for text in spellings.split():
        chord = ChordSymbol.parse(text)
        assert (chord.text, chord.tones, chord.bass) == (text, tones, bass)


@pytest.mark.parametrize("text", ["H7", "am", "", "Cfoo", "C7/X", "C//E", "c", "Am7F", "C/", "1"])
def test_what_is_no_chord_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="chord") as caught:
        ChordSymbol.parse(text)
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "bars"),
    [
        ("Am F C G", [["Am"], ["F"], ["C"], ["G"]]),
        ("Am,F  C", [["Am", "F"], ["C"]]),
        ("| Am | F C | G |", [["Am"], ["F", "C"], ["G"]]),
        ("|Am,F,C,G|", [["Am", "F", "C", "G"]]),
    ],
)
def test_bars_of_a_progression(text: str, bars: list[list[str]]) -> None:
    assert [[chord.text for chord in bar] for bar in parse_progression(text)] == bars


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected chords"),
        ("| |", "expected chords"),
        ("C,D,E,F,G", "at most 4 chords, not 5"),
        ("C,,D", "''"),
        ("C X", "'X'"),
    ],
)
def test_a_progression_that_is_none(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="chord") as caught:
        parse_progression(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Am F C G", "Am"),
        ("C G Am F", "C"),
        ("Dm7 G7 Cmaj7", "C"),
        ("Am E7/G# Am7/G F#m7b5 F Dm6 E7 Am", "Am"),
        ("Bb Gm Eb F", "Bb"),
        ("F#m D A E", "F#m"),
        ("Cm Ab Eb Bb", "Cm"),
        ("G E7 C Cm", "G"),
    ],
)
def test_the_key_of_chords(text: str, key: str) -> None:
    assert best_key([text], []) == key


def test_the_key_of_a_melody_moves_with_it() -> None:
    tune = [(64, 1), (64, 1), (65, 1), (67, 1), (67, 1), (65, 1), (64, 1), (62, 1), (60, 1), (60, 1), (62, 1),
            (64, 1), (62, 1.5), (60, 0.5), (60, 2)]  # fmt: skip
    for semitones in range(12):
        moved = [(pitch + semitones, length) for pitch, length in tune]
        assert best_key([], moved) == MAJOR_KEYS[semitones]
    assert best_key([], []) is None
    assert best_key(["N.C."], []) is None


def test_key_names_are_keys_in_order() -> None:
    for names in (MAJOR_KEYS, MINOR_KEYS):
        assert [pitch_class(name) for name in names] == list(range(12))
        assert [parse_key(name) for name in names] == list(names)


def test_a_key_fits_its_own_scale_best() -> None:
    scale = np.zeros(12)
    scale[[0, 2, 4, 5, 7, 9, 11]] = (3, 1, 2, 1, 2, 1, 1)
    for tonic in range(12):
        fits = key_fits(np.roll(scale, tonic))
        assert fits is not None
        assert divmod(int(fits.argmax()), 12) == (0, tonic)
    assert key_fits(np.ones(12)) is None
