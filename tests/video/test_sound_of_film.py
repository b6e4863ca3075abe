"""What is heard in the film's own sound: speech, loudness, music."""

from __future__ import annotations

import csv
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from diffbgm.video.analyze import analyze
from diffbgm.video.music import MusicDetector, beat_strength
from diffbgm.video.speech import RATE, SpeechDetector, spans
from tests.media import SOUND_RATE, make_video, pan

Sound = NDArray[np.float32]


def _noise(seconds: float, rate: int = RATE) -> Sound:
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * rate)).astype(np.float32)


def _chords(seconds: float) -> Sound:
    """Four chords of plucked, harmonic notes, 0.6 s each, over and over."""
    at = np.arange(round(0.6 * RATE)) / RATE
    bars = [
        sum(
            np.exp(-2 * at) * np.sin(2 * np.pi * 440 * 2 ** ((note - 69) / 12) * k * at) / k**1.5
            for note in chord
            for k in range(1, 7)
        )
        for chord in ((48, 60, 64, 67), (45, 57, 60, 64), (41, 57, 60, 65), (43, 59, 62, 67))
    ]
    once = np.concatenate(bars) * 0.05
    return np.resize(once, round(seconds * RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    words = "The telescope will look further back in time than any other. Are you ready to see the stars?"
    subprocess.run(["espeak-ng", "-v", "en-us", "-w", str(path), words], check=True)
    import av

    with av.open(str(path)) as film:
        to_mono = av.AudioResampler("flt", "mono", RATE)
        frames = [part for frame in film.decode(audio=0) for part in to_mono.resample(frame)]
    return np.concatenate([frame.to_ndarray().ravel() for frame in frames])


def _speech_spans(sound: Sound, block: int = 4000) -> tuple[tuple[float, float], ...]:
    detector = SpeechDetector()
    for start in range(0, len(sound), block):
        detector.push(sound[start : start + block])
    return detector.finish()


def _has_music(sound: Sound, block: int = 4000) -> bool:
    detector = MusicDetector()
    for start in range(0, len(sound), block):
        detector.push(sound[start : start + block])
    return detector.finish()


def test_speech_is_found_where_it_is(speech: Sound) -> None:
    quiet = np.zeros(2 * RATE, np.float32)
    found = _speech_spans(np.concatenate([quiet, speech, quiet]))
    assert found[0][0] == pytest.approx(2.0, abs=0.3)
    assert found[-1][1] == pytest.approx(2.0 + len(speech) / RATE, abs=0.5)
    assert sum(b - a for a, b in found) > 0.6 * len(speech) / RATE


def test_block_size_does_not_matter(speech: Sound) -> None:
    assert _speech_spans(speech, 333) == _speech_spans(speech, 10**7)
    music = _chords(8.0)
    assert _has_music(music, 333) == _has_music(music, 10**7) is True


def test_noise_and_music_are_no_speech() -> None:
    assert _speech_spans(_noise(5.0)) == ()
    assert _speech_spans(_chords(8.0)) == ()


def test_music_is_told_from_everything_else(speech: Sound) -> None:
    assert _has_music(_chords(8.0))
    assert _has_music(_chords(8.0) + 0.05 * _noise(8.0))
    assert not _has_music(np.resize(speech, 12 * RATE))
    assert not _has_music(_noise(8.0))
    assert not _has_music(np.zeros(8 * RATE, np.float32))
    hum = sum(np.sin(2 * np.pi * 50 * k * np.arange(8 * RATE) / RATE) / k for k in range(1, 12))
    assert not _has_music((0.1 * hum).astype(np.float32))
    assert not _has_music(np.zeros(0, np.float32))


def test_a_song_whose_drums_cover_its_chords_is_music() -> None:
    at = np.arange(12 * RATE) / RATE
    drums = _noise(12.0) * np.exp(-25 * (at % 0.3)).astype(np.float32) * 3
    assert _has_music(drums + 0.5 * _chords(12.0))
    assert not _has_music(drums)  # as a hammer or a train would sound


@pytest.mark.parametrize("beat_s", [0.32, 0.5, 0.77])
def test_steady_beats_are_told_from_loose_ones(beat_s: float) -> None:
    rng = np.random.default_rng(2)
    steady, loose = np.zeros(625), np.zeros(625)
    steady[(np.arange(0, 9.9, beat_s) / 0.016).astype(int)] = 1.0
    loose[rng.choice(625, np.count_nonzero(steady), replace=False)] = 1.0
    noise = rng.uniform(0, 0.1, 625)
    assert beat_strength(steady + noise) > 0.6
    assert beat_strength(loose + noise) < 0.3
    assert beat_strength(np.zeros(625)) == 0.0


@given(st.lists(st.floats(0, 1), max_size=200))
def test_spans_are_in_order_and_long_enough(probabilities: list[float]) -> None:
    found = spans(np.array(probabilities), 0.032)
    edges = [edge for span in found for edge in span]
    assert edges == sorted(edges)
    assert all(b - a >= 0.25 for a, b in found)
    assert all(0 <= edge <= len(probabilities) * 0.032 + 1e-9 for edge in edges)


def test_spans_by_hand() -> None:
    probabilities = np.zeros(100)
    probabilities[20:40] = 0.9
    probabilities[40:45] = 0.4  # hesitation: neither falls nor counts
    probabilities[45:50] = 0.9
    probabilities[54:60] = 0.9  # a pause of 0.13 s is none
    probabilities[80:84] = 0.9  # 0.13 s is too short for speech
    assert spans(probabilities, 0.032) == (pytest.approx((0.61, 1.95)),)


@pytest.mark.parametrize("gain_db", [-30.0, -6.0])
def test_loudness_is_that_of_ebu_r128(tmp_path: Path, gain_db: float) -> None:
    rng = np.random.default_rng(1)
    sound = rng.normal(0, 0.2, (2, 6 * SOUND_RATE)) * 10 ** (gain_db / 20)
    sound[:, : 2 * SOUND_RATE] *= 0.03  # quiet enough to be gated
    shots, audio = [(6.0, pan(1, 20))], sound.astype(np.float32)
    film = make_video(tmp_path / "film.mkv", shots, audio=audio, audio_codec="pcm_f32le", size=(64, 36))
    expected = pyloudnorm.Meter(SOUND_RATE).integrated_loudness(sound.T)
    analysis = analyze(film)
    assert analysis.source_lufs == pytest.approx(expected, abs=0.3)
    assert not analysis.has_music


def test_times_of_speech_count_from_the_first_frame(tmp_path: Path, speech: Sound) -> None:
    loud = np.interp(np.arange(3 * len(speech)) / 3, np.arange(len(speech)), speech).astype(np.float32)
    sound = np.concatenate([np.zeros(SOUND_RATE, np.float32), loud, np.zeros(SOUND_RATE, np.float32)])
    shots = [(len(sound) / SOUND_RATE, pan(1, 20))]
    plain = make_video(tmp_path / "plain.mkv", shots, audio=sound, size=(64, 36))
    late = make_video(tmp_path / "late.mkv", shots, audio=sound, size=(64, 36), start_s=7.25)
    found, shifted = analyze(plain).speech_spans, analyze(late).speech_spans
    assert found[0][0] == pytest.approx(1.0, abs=0.3)
    assert np.array(shifted) == pytest.approx(np.array(found), abs=0.07)


def test_music_gives_a_warning(tmp_path: Path) -> None:
    sound = np.repeat(_chords(6.0), 3)
    film = make_video(tmp_path / "film.mp4", [(6.0, pan(1, 20))], audio=sound, size=(64, 36))
    analysis = analyze(film)
    assert analysis.has_music
    assert any("music already" in warning for warning in analysis.warnings)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "music"),
    [
        ("bbb_trailer_640x360_vp8.webm", True),
        ("bbb_opening_854x480_h264.mp4", True),
        ("rooftop_handheld_360p.mp4", False),
        ("montage_everyday_720p.mkv", False),
        ("squirrel_720p_silent_track.mp4", False),
    ],
)
def test_shared_sounds(shared: Path, name: str, music: bool) -> None:
    from diffbgm.video.soundtrack import listen

    heard = listen(shared / "data" / "videos" / name, 0.0, lambda _: None)
    assert heard is not None
    assert heard.has_music == music
    assert heard.speech_spans == ()
    assert (heard.lufs is None) == name.startswith("squirrel")


@pytest.mark.data
def test_shared_speech(shared: Path) -> None:
    from diffbgm.video.soundtrack import listen

    video = shared / "data" / "videos" / "nasa_webb_mirror_2tracks.mp4"
    with video.with_suffix(".speech.csv").open(newline="") as lines:
        expected = [(float(row["start_s"]), float(row["end_s"])) for row in csv.DictReader(lines)]
    heard = listen(video, 0.0, lambda _: None)
    assert heard is not None
    assert np.array(heard.speech_spans) == pytest.approx(np.array(expected), abs=0.15)
