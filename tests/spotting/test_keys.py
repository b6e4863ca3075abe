from __future__ import annotations

import mido
import pytest

from diffbgm.errors import OptionError
from diffbgm.pitch import pitch_class
from diffbgm.spotting.keys import choose_key, parse_key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("C", "C"),
        ("c", "C"),
        ("f# minor", "F#m"),
        ("Ebm", "Ebm"),
        ("A min", "Am"),
        ("B♭ major", "Bb"),
        ("D maj", "D"),
        ("G# major", "Ab"),
        ("Db minor", "C#m"),
        ("E#", "F"),
        (" Am ", "Am"),
    ],
)
def test_accepted(text: str, key: str) -> None:
    assert parse_key(text) == key


@pytest.mark.parametrize("text", ["", "H", "C##", "mC", "C dorian", "Cmm", "A m i n", "1"])
def test_refused_with_the_accepted_forms(text: str) -> None:
    with pytest.raises(OptionError, match="expected a note C, C#, Db"):
        parse_key(text)


def test_every_key_has_a_key_signature() -> None:
    for letter in "ABCDEFG":
        for accidental in ("", "#", "b"):
            for mode in ("", "m"):
                key = parse_key(letter + accidental + mode)
                mido.MetaMessage("key_signature", key=key)
                assert pitch_class(key) == pitch_class(letter + accidental)


def test_choice_follows_valence_and_repeats() -> None:
    assert not choose_key(0.4, 0.5, 0).endswith("m")
    assert choose_key(-0.4, 0.5, 0).endswith("m")
    assert choose_key(0.4, 0.5, 3) == choose_key(0.4, 0.5, 3)
    assert len({choose_key(0.4, 0.5, seed) for seed in range(7)}) == 7
