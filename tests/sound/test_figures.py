"""Sounds whose figures are known, and a film's own music beside ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diffbgm.sound.figures import BANDS, compare, figures

from ..media import make_video
from .conftest import RATE, Sound, raw_music, sine

SECONDS = 6.0


def test_a_sine() -> None:
    measured = figures([sine(997, -23.0, SECONDS)], "stereo")
    assert measured.lufs == pytest.approx(-23.0, abs=0.1)  # EBU Tech 3341, test 1
    assert measured.range_lu == pytest.approx(0.0, abs=0.1)
    assert measured.peak_to_loudness_db == pytest.approx(0.0, abs=0.2)
    assert measured.centroid_hz == pytest.approx(997, abs=3)
    assert measured.bands_db is not None
    assert measured.bands_db["middle"] == pytest.approx(0.0, abs=0.01)
    assert max(share for name, share in measured.bands_db.items() if name != "middle") < -40
    assert measured.mono_loss_db == pytest.approx(0.0, abs=0.01)
    assert measured.side_db is not None
    assert measured.side_db < -100


def test_loudness_range_of_two_levels() -> None:
    """EBU Tech 3342, test 1: 20 s at -20 dBFS, 20 s at -30 dBFS."""
    sound = np.concatenate([sine(1000, -20, 20), sine(1000, -30, 20)], axis=1)
    assert figures([sound], "stereo").range_lu == pytest.approx(10.0, abs=1.0)


def test_width_of_sounds_with_nothing_in_common() -> None:
    both = np.random.default_rng(0).normal(0, 0.1, (2, 5 * RATE)).astype(np.float32)
    measured = figures([both], "stereo")
    assert measured.side_db == pytest.approx(0.0, abs=0.1)
    assert measured.mono_loss_db == pytest.approx(3.0, abs=0.1)
    assert measured.bands_db is not None
    for (name, low, high), share in zip(BANDS, measured.bands_db.values(), strict=True):
        assert share == pytest.approx(10 * np.log10((high - low) / 24_000), abs=0.3), name


def test_result_does_not_depend_on_the_blocks() -> None:
    sound = np.random.default_rng(1).normal(0, 0.1, (2, 3 * RATE)).astype(np.float32)
    pieces = np.array_split(sound, 17, axis=1)
    assert figures(pieces, "stereo").to_json() == figures([sound], "stereo").to_json()


def test_silence_has_no_figures() -> None:
    measured = figures([np.zeros((2, 2 * RATE), np.float32)], "stereo")
    assert set(measured.to_json().values()) == {None}


def test_mono_has_no_sides() -> None:
    measured = figures([sine(500, -20, 2.0, channels=1)], "mono")
    assert measured.centroid_hz == pytest.approx(500, abs=3)
    assert measured.side_db is None
    assert measured.mono_loss_db is None


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Its first half sounds at 300 Hz, its second, louder, at 3 kHz."""
    half = SECONDS / 2
    sound: Sound = np.concatenate([sine(300, -30, half), sine(3000, -10, half)], axis=1)
    return make_video(tmp_path / "film.mkv", [(SECONDS, (90, 90, 90))], size=(64, 48), audio=sound)


def test_the_film_is_measured_outside_speech(film: Path, tmp_path: Path) -> None:
    music = raw_music(tmp_path / "music.f32", sine(1000, -20, SECONDS))
    found = compare(film, music, 0.5, ((3.0, 6.0),), has_music=True)
    assert found.film is not None
    assert found.music is not None
    assert found.film.centroid_hz == pytest.approx(300, abs=30)
    assert found.music.centroid_hz == pytest.approx(1000, abs=10)
    assert found.music.lufs == pytest.approx(-26.0, abs=0.2)
    whole = compare(film, music, 0.5, (), has_music=True)
    assert whole.film is not None
    assert whole.film.centroid_hz == pytest.approx(2970, abs=50)
    assert set(whole.to_json()) == {"film", "music"}


@pytest.mark.parametrize(
    ("speech", "has_music"), [((), False), (((0.0, 5.5),), True)], ids=["no music", "speech throughout"]
)
def test_nothing_to_compare(
    film: Path, tmp_path: Path, speech: tuple[tuple[float, float], ...], has_music: bool
) -> None:
    music = raw_music(tmp_path / "music.f32", sine(1000, -20, SECONDS))
    found = compare(film, music, 1.0, speech, has_music)
    assert found.to_json() == {"film": None, "music": None}


def test_a_film_without_sound(tmp_path: Path) -> None:
    silent = make_video(tmp_path / "film.mkv", [(2.0, (90, 90, 90))], size=(64, 48))
    music = raw_music(tmp_path / "music.f32", sine(1000, -20, 2.0))
    assert compare(silent, music, 1.0, (), has_music=True).film is None
