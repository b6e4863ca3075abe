"""Levels and ducking, with tones as music and as film sound, so that each can be measured in the mix."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffbgm.options import ComposeOptions
from diffbgm.sound.ducking import Ducking
from diffbgm.sound.files import fitted, rechunk
from diffbgm.sound.master import music_gain, solve_master, store
from diffbgm.sound.mix import Mix, balance, music_blocks, sounding_spans
from diffbgm.sound.source import SourceSound
from diffbgm.sound.synth import Music
from diffbgm.timing import merge_spans

from ..media import make_video
from .conftest import RATE, Sound, level_db, raw_music, sine, tone_db

# Near enough to weigh the same in loudness, far enough to be told apart.
MUSIC_HZ, SOURCE_HZ = 1000, 900
SECONDS = 8.0
SPANS = st.lists(st.tuples(st.floats(0, 20), st.floats(0.1, 3)), max_size=6).map(
    lambda pairs: tuple((start, start + length) for start, length in pairs)
)


@pytest.fixture
def music(tmp_path: Path) -> Music:
    return raw_music(tmp_path / "music.f32", sine(MUSIC_HZ, -20.0, SECONDS))


def film_sound(folder: Path, sound: Sound, seconds: float = SECONDS) -> SourceSound:
    """A film with this sound, read back as it will be mixed."""
    path = make_video(folder / "film.mkv", [(seconds, (90, 90, 90))], size=(64, 48), audio=sound)
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(sound)]
    return SourceSound(path, layout, Fraction(0), round(seconds * RATE))


def mixed(mix: Mix) -> Sound:
    return np.concatenate(list(mix.blocks()), axis=1)


def at(sound: Sound, start_s: float, end_s: float) -> Sound:
    return sound[:, round(start_s * RATE) : round(end_s * RATE)]


def test_spans_are_merged_over_short_gaps() -> None:
    assert merge_spans([(5.0, 6.0), (0.0, 1.0), (1.5, 2.0), (1.8, 3.0)], 1.0) == ((0.0, 3.0), (5.0, 6.0))
    assert merge_spans([], 1.0) == ()


@settings(max_examples=25, deadline=None)
@given(SPANS, st.floats(0, 40), st.floats(0.02, 2.0))
def test_gain_curve_stays_in_its_bounds_and_is_down_in_every_span(
    spans: tuple[tuple[float, float], ...], depth_db: float, ramp_s: float
) -> None:
    gains = Ducking(spans, depth_db, ramp_s).gains(0, 25 * RATE)[0]
    lowest = 10 ** (-depth_db / 20)
    assert gains.min() >= lowest - 1e-6
    assert gains.max() <= 1 + 1e-6
    for start, end in spans:
        inside = gains[round(start * RATE) + 1 : round(end * RATE) - 1]
        np.testing.assert_allclose(inside, lowest, rtol=1e-3)


def test_ramps_lie_outside_the_span() -> None:
    gains = Ducking(((2.0, 3.0),), 10.0, 0.4).gains(0, 5 * RATE)[0]
    db = 20 * np.log10(gains)
    for second, expected in ((1.59, 0.0), (1.8, -5.0), (2.0, -10.0), (3.0, -10.0), (3.2, -5.0), (3.41, 0.0)):
        assert db[round(second * RATE)] == pytest.approx(expected, abs=0.02)
    pieces = [Ducking(((2.0, 3.0),), 10.0, 0.4).gains(start, 1000) for start in range(0, 5 * RATE, 1000)]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1)[0], gains)


@settings(deadline=None)
@given(st.lists(st.integers(0, 120_000), max_size=5), st.integers(0, 200_000))
def test_blocks_of_any_size_come_out_whole(sizes: list[int], length: int) -> None:
    sound = np.arange(sum(sizes), dtype=np.float32)[None]
    pieces = np.split(sound, np.cumsum(sizes)[:-1], axis=1) if sizes else []
    chunks = list(rechunk(pieces))
    assert all(chunk.shape[1] == RATE for chunk in chunks[:-1])
    assert sum(chunk.shape[1] for chunk in chunks) == sound.shape[1]
    fit = list(fitted(pieces, 1, length))
    joined = np.concatenate([np.zeros((1, 0), np.float32), *fit], axis=1)
    assert joined.shape[1] == length
    kept = min(length, sound.shape[1])
    np.testing.assert_array_equal(joined[:, :kept], sound[:, :kept])
    assert not joined[:, kept:].any()


@pytest.mark.parametrize("duck_db", [0.0, 6.0, 10.0, 18.0])
def test_keep_ducks_the_music_under_speech_by_what_was_asked(
    music: Music, tmp_path: Path, duck_db: float
) -> None:
    source = film_sound(tmp_path, sine(SOURCE_HZ, -20.0, SECONDS))
    options = ComposeOptions(duck_db=duck_db, duck_ramp_s=0.3)
    sound = mixed(balance(music, source, "stereo", ((3.0, 5.0),), options))
    free, spoken = at(sound, 0.5, 2.5), at(sound, 3.1, 4.9)
    assert tone_db(free, MUSIC_HZ) - tone_db(spoken, MUSIC_HZ) == pytest.approx(duck_db, abs=0.1)
    assert tone_db(free, SOURCE_HZ) == pytest.approx(-20.0, abs=0.2), "the film's own sound is as it was"
    assert tone_db(spoken, SOURCE_HZ) == pytest.approx(-20.0, abs=0.2)
    assert tone_db(free, MUSIC_HZ) == pytest.approx(-24.0, abs=0.3), "4 LU below the speech"


def test_keep_without_speech_puts_music_over_faint_ambience(music: Music, tmp_path: Path) -> None:
    source = film_sound(tmp_path, sine(SOURCE_HZ, -50.0, SECONDS))
    mix = balance(music, source, "stereo", (), ComposeOptions(loudness=-14))
    sound = mixed(mix)
    assert tone_db(sound, MUSIC_HZ) == pytest.approx(-17.0, abs=0.3)
    assert tone_db(sound, SOURCE_HZ) == pytest.approx(-50.0, abs=0.3)


def test_keep_without_speech_stays_under_a_loud_film(music: Music, tmp_path: Path) -> None:
    source = film_sound(tmp_path, sine(SOURCE_HZ, -12.0, SECONDS))
    sound = mixed(balance(music, source, "stereo", (), ComposeOptions(loudness=-23)))
    assert tone_db(sound, MUSIC_HZ) == pytest.approx(-15.0, abs=0.3)


def test_duck_lowers_the_film_under_the_music_and_lets_it_rise_in_rests(tmp_path: Path) -> None:
    tone = sine(MUSIC_HZ, -20.0, SECONDS)
    tone[:, 3 * RATE : 6 * RATE] = 0.0
    music = raw_music(tmp_path / "music.f32", tone)
    source = film_sound(tmp_path, sine(SOURCE_HZ, -20.0, SECONDS))
    sound = mixed(balance(music, source, "stereo", (), ComposeOptions(original_audio="duck")))
    under, rest = at(sound, 0.5, 2.5), at(sound, 3.7, 5.3)
    assert tone_db(under, SOURCE_HZ) == pytest.approx(-32.0, abs=0.3)
    assert tone_db(rest, SOURCE_HZ) == pytest.approx(-20.0, abs=0.3)
    assert tone_db(under, MUSIC_HZ) > tone_db(under, SOURCE_HZ) + 10


def test_drop_and_a_silent_track_leave_the_music_alone(music: Music, tmp_path: Path) -> None:
    source = film_sound(tmp_path, sine(SOURCE_HZ, -20.0, SECONDS))
    dropped = balance(music, source, "stereo", ((1.0, 2.0),), ComposeOptions(original_audio="drop"))
    assert tone_db(mixed(dropped), SOURCE_HZ) < -100
    (tmp_path / "silent").mkdir()
    silent = film_sound(tmp_path / "silent", np.zeros((2, round(SECONDS * RATE)), np.float32))
    np.testing.assert_allclose(
        mixed(balance(music, silent, "stereo", (), ComposeOptions())),
        mixed(Mix(music, None, "stereo")),
        atol=1e-6,
    )


def test_music_goes_to_the_front_of_a_surround_film(music: Music, tmp_path: Path) -> None:
    low = [3]  # the codec keeps only the lowest tones of this channel
    six = np.concatenate([sine(SOURCE_HZ, -20.0 - 2 * k, SECONDS, 1) for k in range(6)])
    source = film_sound(tmp_path, six)
    sound = mixed(balance(music, source, "5.1", (), ComposeOptions()))
    assert sound.shape == (6, round(SECONDS * RATE))
    heard = [tone_db(channel[None], MUSIC_HZ) for channel in sound]
    assert min(heard[:2]) > -35
    assert max(heard[2:]) < -70
    own = [tone_db(at(channel[None], 1, 7), SOURCE_HZ) for channel in sound]
    np.testing.assert_allclose(np.delete(own, low), np.delete(-20.0 - 2 * np.arange(6), low), atol=0.3)


def test_mono_carries_both_sides(tmp_path: Path) -> None:
    left = sine(MUSIC_HZ, -20.0, 2.0)
    left[1] = 0.0
    music = raw_music(tmp_path / "music.f32", left)
    mono = np.concatenate(list(music_blocks(music, "mono")), axis=1)
    assert tone_db(mono, MUSIC_HZ) == pytest.approx(-26.0, abs=0.1)


def test_sounding_spans_follow_the_level() -> None:
    sound = sine(440, -20.0, 4.0)
    sound[:, RATE : 2 * RATE] *= 0.001
    assert sounding_spans([sound], -40.0) == ((0.0, 1.0), (2.0, 4.0))
    assert sounding_spans([], -40.0) == ()


def test_music_gain_reaches_the_target_or_stops_at_the_peak(tmp_path: Path) -> None:
    quiet = raw_music(tmp_path / "quiet.f32", sine(997, -30.0, 3.0))
    assert 20 * np.log10(music_gain(quiet, -14.0)) == pytest.approx(16.0, abs=0.1)
    clicks = sine(997, -40.0, 3.0)
    clicks[:, ::RATE] = 0.5
    peaky = raw_music(tmp_path / "peaky.f32", clicks)
    assert music_gain(peaky, -14.0) * 0.5 <= 10 ** (-1.0 / 20) + 1e-3
    silent = raw_music(tmp_path / "silent.f32", np.zeros((2, RATE), np.float32))
    assert np.isfinite(music_gain(silent, -14.0))


def test_master_without_peaks_is_a_plain_gain(music: Music, tmp_path: Path) -> None:
    stored = store(Mix(music, None, "stereo"), tmp_path / "mix.f32")
    master = solve_master(stored, -16.0, -1.5)
    assert master.ceiling_dbtp is None
    assert master.gain_db == pytest.approx(4.0, abs=0.1)
    sound = np.concatenate(list(master.blocks(stored)), axis=1)
    assert level_db(sound) == pytest.approx(-19.0, abs=0.1)


def test_master_limits_where_peaks_stand_in_the_way(tmp_path: Path) -> None:
    peaky = sine(997, -30.0, 4.0)
    peaky[:, ::4800] = 0.6
    stored = store(Mix(raw_music(tmp_path / "m.f32", peaky), None, "stereo"), tmp_path / "mix.f32")
    master = solve_master(stored, -16.0, -1.5)
    assert master.ceiling_dbtp == -1.5
    sound = np.concatenate(list(master.blocks(stored)), axis=1)
    assert sound.shape[1] == stored.n_samples
    assert np.abs(sound).max() < 0.9
    assert tone_db(sound, 997) == pytest.approx(-16.0, abs=2.0)
