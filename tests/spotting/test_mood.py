"""Words to valence and arousal."""

from __future__ import annotations

import pytest

from diffbgm.spotting.mood import read_mood


@pytest.mark.parametrize(
    ("text", "valence", "arousal"),
    [
        ("calm, hopeful", 1, -1),
        ("Happy!", 1, 1),
        ("dark and tense", -1, 1),
        ("sad and lonely", -1, -1),
        ("very energetic action", 1, 1),
        ("laid-back", 1, -1),
        ("lo-fi", 1, -1),
    ],
)
def test_signs(text: str, valence: int, arousal: int) -> None:
    mood = read_mood(text)
    assert mood.valence is not None
    assert mood.arousal is not None
    assert mood.valence * valence > 0
    assert mood.arousal * arousal > 0


def test_negation_turns_a_word_round_at_half_strength_and_only_that_word() -> None:
    sad, not_sad = read_mood("sad"), read_mood("not sad")
    assert not_sad.valence == pytest.approx(-0.5 * (sad.valence or 0.0))
    assert read_mood("not sad, calm").understood[1] == "calm: valence +0.3, arousal -0.6"
    assert (read_mood("not very happy").valence or 0.0) < 0
    assert read_mood("not, happy").valence == read_mood("happy").valence


def test_degrees_scale() -> None:
    plain = read_mood("happy").valence or 0.0
    assert (read_mood("slightly happy").valence or 0.0) < plain < (read_mood("very happy").valence or 0.0)
    assert read_mood("extremely ecstatic").valence == 1.0
    assert read_mood("a touch of melancholy").understood == (
        "a touch of melancholy: valence -0.2, arousal -0.2",
    )


def test_unknown_words_are_passed_over_and_nothing_known_says_so() -> None:
    assert read_mood("zxqv calm blorb").understood == ("calm: valence +0.3, arousal -0.6",)
    for text in ("", "zxqv", "123 !!", "not very", "グー"):
        mood = read_mood(text)
        assert (mood.valence, mood.arousal, mood.understood) == (None, None, ())
