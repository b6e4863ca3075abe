"""How far music lies under words: measured levels, and a gain curve that lowers it by what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffbgm.options import ComposeOptions
from diffbgm.sound.ducking import Ducking
from diffbgm.sound.finish import finish
from diffbgm.sound.loudness import Meter, measure
from diffbgm.sound.mix import Mix, balance
from diffbgm.sound.mux import Provenance
from diffbgm.sound.speech import SpeechLevel, integrated, levels_under_speech, speech_levels, worst

from ..media import make_video
from .conftest import RATE, Sound, decode, raw_music, sine, tone_db
from .test_mix import MUSIC_HZ, SECONDS, SOURCE_HZ, at, film_sound, mixed


def momentary(sound: Sound) -> np.ndarray:
    meter = Meter("stereo", true_peak=False)
    meter.add(sound)
    return meter.momentary


def steps(*levels_db: float, each_s: float = 3.0, hz: float = MUSIC_HZ) -> Sound:
    """A tone that changes its level every few seconds."""
    return np.concatenate([sine(hz, db, each_s) for db in levels_db], axis=1)


@pytest.mark.parametrize("sound", [steps(-20.0), steps(-20.0, -26.0, -50.0), steps(-18.0, -33.0, -90.0)])
def test_integrated_loudness_is_that_of_the_standard_meter(sound: Sound) -> None:
    assert integrated(momentary(sound)) == pytest.approx(measure([sound], "stereo").lufs, abs=0.1)


def test_silence_has_no_loudness() -> None:
    assert integrated(momentary(np.zeros((2, RATE), np.float32))) is None
    assert integrated(np.zeros(0)) is None


def test_each_span_has_its_own_levels() -> None:
    music, speech = momentary(steps(-20, -30, -20)), momentary(steps(-14, -20, -90, hz=SOURCE_HZ))
    first, second, third = speech_levels(((0.5, 2.5), (3.0, 6.0), (6.5, 9.0)), speech, music)
    assert first.ratio_lu == pytest.approx(6.0, abs=0.3)
    assert second.ratio_lu == pytest.approx(10.0, abs=0.3)
    assert third.speech_lufs is None
    assert third.ratio_lu is None
    assert worst((second, first, third)) is first
    assert worst(()) is None


def test_a_word_shorter_than_a_block_is_measured_too() -> None:
    (level,) = speech_levels(((1.0, 1.2),), momentary(steps(-20, hz=SOURCE_HZ)), momentary(steps(-30)))
    assert level.ratio_lu == pytest.approx(10.0, abs=0.3)


def test_json_has_what_is_heard() -> None:
    level = SpeechLevel(1.0, 2.0, -20.0, -30.0, 4.0).louder(3.0)
    assert level.to_json() == {
        "start_s": 1.0, "end_s": 2.0, "speech_lufs": -17.0, "music_lufs": -27.0, "ducked_db": 4.0,
        "ducked_lufs": -31.0, "ratio_lu": 14.0,
    }  # fmt: skip


@pytest.mark.parametrize(("thinner_db", "ducked_db"), [(0.0, 10.0), (4.0, 6.0), (10.0, 0.0), (20.0, 0.0)])
def test_music_goes_down_by_what_is_missing(tmp_path: Path, thinner_db: float, ducked_db: float) -> None:
    tone = sine(MUSIC_HZ, -20.0, SECONDS)
    tone[:, 3 * RATE : 5 * RATE] *= 10 ** (-thinner_db / 20)
    music = raw_music(tmp_path / "music.f32", tone)
    source = film_sound(tmp_path, sine(SOURCE_HZ, -20.0, SECONDS))
    mix = balance(music, source, "stereo", ((3.0, 5.0),), ComposeOptions(duck_ramp_s=0.3))
    (level,) = mix.speech
    assert level.ducked_db == pytest.approx(ducked_db, abs=0.2)
    assert level.ratio_lu == pytest.approx(max(14.0, 4.0 + thinner_db), abs=0.3)
    sound = mixed(mix)
    free, spoken = tone_db(at(sound, 0.5, 2.5), MUSIC_HZ), tone_db(at(sound, 3.4, 4.6), MUSIC_HZ)
    assert free == pytest.approx(-24.0, abs=0.3), "the level in pauses is not touched"
    assert spoken == pytest.approx(-20.0 - max(14.0, 4.0 + thinner_db), abs=0.3)


def test_spans_of_different_need_have_their_own_depth(tmp_path: Path) -> None:
    music = raw_music(tmp_path / "music.f32", steps(-20, -20, -20, -26, -20))
    source = film_sound(tmp_path, sine(SOURCE_HZ, -20.0, 15.0), 15.0)
    mix = balance(music, source, "stereo", ((3.2, 5.8), (9.2, 11.8)), ComposeOptions())
    assert [level.ducked_db for level in mix.speech] == pytest.approx([10.0, 4.0], abs=0.3)
    gains = 20 * np.log10(mix.music_ducking.gains(0, 15 * RATE)[0])
    assert gains[round(4.5 * RATE)] == pytest.approx(-10.0, abs=0.3)
    assert gains[round(10.5 * RATE)] == pytest.approx(-4.0, abs=0.3)
    assert gains[round(7.5 * RATE)] == 0.0


def test_music_all_under_speech_is_low_without_ducking(tmp_path: Path) -> None:
    music = raw_music(tmp_path / "music.f32", sine(MUSIC_HZ, -20.0, SECONDS))
    source = film_sound(tmp_path, sine(SOURCE_HZ, -20.0, SECONDS))
    mix = balance(music, source, "stereo", ((0.5, 7.5),), ComposeOptions())
    assert [level.ducked_db for level in mix.speech] == pytest.approx([0.0], abs=0.1)
    assert mix.speech[0].ratio_lu == pytest.approx(14.0, abs=0.2)
    assert tone_db(mixed(mix), MUSIC_HZ) == pytest.approx(-34.0, abs=0.3)


def test_ducked_film_sound_is_what_is_compared(tmp_path: Path) -> None:
    music = raw_music(tmp_path / "music.f32", sine(MUSIC_HZ, -20.0, SECONDS))
    source = film_sound(tmp_path, sine(SOURCE_HZ, -20.0, SECONDS))
    options = ComposeOptions(original_audio="duck", loudness=-20)
    (level,) = balance(music, source, "stereo", ((2.0, 5.0),), options).speech
    assert level.ducked_db == 0.0
    assert level.ratio_lu == pytest.approx(-12.0, abs=0.4)


def test_nobody_is_heard_in_a_dropped_sound(tmp_path: Path) -> None:
    music = raw_music(tmp_path / "music.f32", sine(MUSIC_HZ, -20.0, SECONDS))
    source = film_sound(tmp_path, sine(SOURCE_HZ, -20.0, SECONDS))
    assert balance(music, source, "stereo", ((2.0, 5.0),), ComposeOptions(original_audio="drop")).speech == ()


SPANS = st.lists(
    st.tuples(st.floats(0, 20), st.floats(0.1, 3), st.floats(0, 20)), min_size=1, max_size=6
).map(sorted)


@settings(max_examples=25, deadline=None)
@given(SPANS, st.floats(0.02, 2.0))
def test_the_level_moves_only_at_the_borders_of_speech_and_never_to_and_fro(
    spans: list[tuple[float, float, float]], ramp_s: float
) -> None:
    ducking = Ducking(tuple((a, a + n) for a, n, _ in spans), tuple(depth for *_, depth in spans), ramp_s)
    at_s = np.arange(-3, 28, 0.01)
    down = ducking.down_db(at_s)
    for start, length, depth in spans:
        inside = (at_s >= start) & (at_s <= start + length)
        assert (down[inside] >= depth - 1e-9).all()
    far = np.ones(len(at_s), bool)
    for start, length, _ in spans:
        far &= (at_s < start - ramp_s) | (at_s > start + length + ramp_s)
    assert (down[far] == 0).all()
    # Between two turns of direction lies speech: every way down is followed by a way up only after a span.
    turns = np.sign(np.diff(down))[np.abs(np.diff(down)) > 1e-9]
    assert (np.diff(turns) < 0).sum() + (np.diff(turns) > 0).sum() <= 2 * len(spans) - 1


@settings(max_examples=40, deadline=None)
@given(st.floats(-45, -5), st.floats(-45, -5), st.floats(0, 30), st.floats(-40, -10))
def test_music_never_goes_down_further_than_asked(
    speech: float, music: float, duck: float, target: float
) -> None:
    heard, own = np.full(200, music), np.full(200, speech)
    heard[105:148] -= 5.0
    gain, (level,) = levels_under_speech(((10.5, 14.5),), own, heard, target, duck)
    assert 0.0 <= level.ducked_db <= duck
    assert level.ratio_lu is not None
    wanted = max(speech, target - 24.0) - speech
    assert level.ratio_lu + wanted >= 4.0 + duck - 1e-6
    assert music + gain == pytest.approx(max(speech, target - 24.0) - 4.0)


def test_the_report_is_of_the_finished_film(tmp_path: Path) -> None:
    music = raw_music(tmp_path / "music.f32", sine(MUSIC_HZ, -20.0, SECONDS))
    film = make_video(
        tmp_path / "film.mp4", [(SECONDS, (90, 90, 90))], size=(64, 48), audio=sine(SOURCE_HZ, -26.0, SECONDS)
    )
    options = ComposeOptions(loudness=-16)
    done = finish(film, tmp_path / "out.mp4", music, ((3.0, 5.5),), options, Provenance("0.1.0", "none", 7))
    (level,) = done.speech
    heard = at(decode(tmp_path / "out.mp4"), 3.4, 5.1)
    speech, music_there = tone_db(heard, SOURCE_HZ), tone_db(heard, MUSIC_HZ)
    assert level.ratio_lu == pytest.approx(speech - music_there, abs=0.3)
    assert level.speech_lufs == pytest.approx(speech, abs=0.5), (
        "a stereo tone of a dB measures about as many LUFS"
    )
    assert level.ducked_lufs == pytest.approx(music_there, abs=0.5)


def test_mix_without_speech_is_not_lowered(tmp_path: Path) -> None:
    music = raw_music(tmp_path / "music.f32", sine(MUSIC_HZ, -20.0, SECONDS))
    source = film_sound(tmp_path, sine(SOURCE_HZ, -20.0, SECONDS))
    mix: Mix = balance(music, source, "stereo", (), ComposeOptions())
    assert mix.speech == ()
    assert (mix.music_ducking.gains(0, 1000) == 1).all()
