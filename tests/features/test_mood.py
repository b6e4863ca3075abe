"""Words of mood that the lexicon does not know, read by a language model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="features need torch")
pytest.importorskip("transformers", reason="features need transformers")

from diffbgm.errors import MissingToolError, OptionError
from diffbgm.features.mood import Regression, read_moods
from diffbgm.options import ComposeOptions
from diffbgm.pipeline import write_cues
from diffbgm.spotting.cuesheet import CueSheet, MoodReading
from diffbgm.spotting.mood_words import fold, known_moods, unread

from .conftest import Folders
from .models import save_word_bert

SNOW, BOMBS = (0.4, -0.7), (-0.8, 0.8)


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows the lexicon's words, and of others snow as calm and bombs as terrible."""
    moods = {fold(word): value for word, value in known_moods().items()}
    return save_word_bert(
        tmp_path_factory.mktemp("models") / "knowing", moods | {"snow": SNOW, "bombs": BOMBS}
    )


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_parts_in_which_the_lexicon_knows_no_mood() -> None:
    assert unread("calm, like the first snow at the end") == ("like the first snow",)
    assert unread("Not like bombs; very snowy, then happy snow") == ("like bombs", "snowy")
    assert unread("calm, hopeful, at the end with strings") == ()


def test_known_words_lead_to_unknown_ones(knowing: Path, no_network: None) -> None:
    snow, bombs = read_moods(["calm, like snow", "bombs, like snow"], str(knowing))
    assert (snow.words, bombs.words, snow.model) == ("like snow", "bombs", "knowing")
    assert snow.valence > 0.0 > snow.arousal
    assert bombs.valence < -0.3 < 0.3 < bombs.arousal
    known = known_moods()
    assert all(known[word][1] < 0 for word in snow.near)
    assert all(known[word][1] > 0 > known[word][0] for word in bombs.near)
    assert 0.3 < snow.confidence <= 1.0
    assert read_moods(["calm, hopeful"], str(knowing)) == ()


def test_the_sheet_holds_what_was_understood_and_needs_the_model_once(
    knowing: Path, three_shots: Path, tmp_path: Path, no_network: None
) -> None:
    options = ComposeOptions(mood="like snow, then bombs", mood_model=str(knowing))
    path, sheet = write_cues(three_shots, tmp_path / "a.cues.json", options)
    assert sheet.plan is not None
    assert sheet.plan.mood_understood[0].startswith("like snow: valence +")
    assert "by knowing, confidence " in sheet.plan.mood_understood[0]
    assert not any("is not known" in warning for warning in sheet.plan.warnings)
    again = CueSheet.load(path).model_copy(update={"plan": None})
    again.save(path)
    _, solved = write_cues(three_shots, tmp_path / "b.cues.json", ComposeOptions(cues=path))
    assert solved.plan == sheet.plan


def test_a_model_that_cannot_tell_moods_is_refused(tiny: Folders) -> None:
    with pytest.raises(
        OptionError, match=r"option mood-model: .* cannot tell moods apart: .* correlate 0\.\d\d"
    ):
        read_moods(["like snow"], str(tiny.bert))


def test_what_is_missing_is_said_in_one_line(tmp_path: Path, no_network: None) -> None:
    with pytest.raises(MissingToolError) as caught:
        read_moods(["like snow"], "nobody/no-such-model")
    assert "hf download" in str(caught.value)
    assert "--download" not in str(caught.value), "compose has no such option"
    assert "\n" not in str(caught.value)
    with pytest.raises(MissingToolError, match=r"tokenizer\.json"):
        read_moods(["like snow"], str(tmp_path))


def test_regression_leaves_each_word_out() -> None:
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(200, 12)).astype(np.float32)
    values = np.tanh(rows[:, :2]).astype(np.float64)
    told = Regression(rows, values)
    assert told.correlation > 0.8
    guessed = Regression(rows, rng.permutation(values))
    assert guessed.correlation < 0.2, "in-sample fits would be near 1"
    predicted, confidence, near = told.predict(rows[:5])
    assert np.abs(predicted - values[:5]).max() < 0.5
    assert [each[0] for each in near] == [0, 1, 2, 3, 4]
    assert np.all(confidence <= told.correlation)


def test_a_reading_counts_as_a_mood_word_does() -> None:
    from diffbgm.spotting.mood import read_mood

    snow = MoodReading(
        words="like snow", valence=0.4, arousal=-0.6, near=("calm",), confidence=0.7, model="m"
    )
    plain, turned = read_mood("like snow", (snow,)), read_mood("not like snow", (snow,))
    assert (plain.valence, plain.arousal) == (0.4, -0.6)
    assert plain.understood == ("like snow: valence +0.4, arousal -0.6 (as calm, by m, confidence 0.7)",)
    assert turned.valence == pytest.approx(-0.2)
    assert read_mood("like snow").words == ()
