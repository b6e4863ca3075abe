"""Words to valence and arousal."""

from __future__ import annotations

import tomllib
from importlib import resources

import pytest

from diffbgm.spotting.mood import read_mood
from diffbgm.spotting.mood_words import fold, nearest


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


@pytest.mark.parametrize(
    ("text", "valence", "arousal"),
    [
        ("less tense", 1, -1),
        ("without drama", 1, -1),
        ("never gloomy", 1, 1),
        ("isn't sad", 1, 1),
        ("not only sad", -1, -1),
        ("nothing but joy", 1, 1),
        ("not without hope", 1, 1),
        ("anything but happy", -1, -1),
        ("no longer sad", 1, 1),
        ("nicht traurig", 1, 1),
        ("sans tristesse", 1, 1),
        ("ohne Hoffnung", -1, -1),
        ("menos tenso", 1, -1),
    ],
)
def test_negations(text: str, valence: int, arousal: int) -> None:
    mood = read_mood(text)
    assert (mood.valence or 0.0) * valence > 0
    assert (mood.arousal or 0.0) * arousal > 0


def test_or_hands_a_negation_on_and_and_does_not() -> None:
    assert read_mood("not sad or gloomy").words == ("not sad", "not gloomy")
    assert read_mood("not sad and gloomy").words == ("not sad", "gloomy")
    assert read_mood("happy or gloomy").words == ("happy", "gloomy")


def test_endings_and_accents() -> None:
    plain = read_mood("sad").valence
    assert [read_mood(word).valence for word in ("sadly", "sadder", "saddest", "SADNESS")] == [plain] * 4
    assert read_mood("traurige Musik").valence == read_mood("traurig").valence
    assert read_mood("frohlich").words == read_mood("fröhlich").words == ("fröhlich",)
    assert read_mood("winter sand").words == ()


def test_the_lexicon() -> None:
    text = resources.files("diffbgm.spotting").joinpath("mood.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    assert len({fold(word) for word in data["words"]}) == len(data["words"]) > 600
    for word, (valence, arousal) in data["words"].items():
        assert -1 <= valence <= 1, word
        assert -1 <= arousal <= 1, word
    kinds = [data["negations"], data["degrees"], data["times"], *data["turns"].values(), data["breaks"]]
    said = [fold(word) for kind in kinds for word in kind]
    assert len(said) == len(set(said)), [word for word in said if said.count(word) > 1]
    assert not {fold(word) for word in data["words"]} & set(said)
    film_music = "bittersweet wistful triumphant ominous playful nostalgic suspenseful epic eerie serene"
    assert len(read_mood(film_music).words) == 10


def test_nearest() -> None:
    assert nearest("hopefull") == "hopeful"
    assert nearest("qqqqq") is None
