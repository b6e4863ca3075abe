"""Onsets, loudness, key and tempo of sounds whose truth is known."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pyloudnorm
import pytest

from diffbgm.errors import InputError
from diffbgm.metrics.onsets import FRAME_HZ, RATE, Onsets, find_onsets, hear, read_sound
from diffbgm.metrics.tonality import chroma_of, final_chord, key_of, tempo_of
from diffbgm.score.score import Note, Part, Score
from diffbgm.sound.files import write_wav
from diffbgm.sound.synth import render_blocks
from diffbgm.timing import TempoMap

from ..media import make_video, texture

TIMES = np.array([0.31, 0.52, 0.90, 1.333, 1.70, 2.05, 2.91, 3.30, 3.41, 4.20])


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.float32)


def clicks(times: np.ndarray, seconds: float = 5.0) -> np.ndarray:
    sound = silence(seconds)
    sound[np.rint(times * RATE).astype(int)] = 0.8
    return sound


def tones(times: np.ndarray, seconds: float = 5.0) -> np.ndarray:
    """Decaying sines over each other, each a tone higher."""
    sound = silence(seconds)
    for index, start in enumerate(times):
        at = round(start * RATE)
        t = np.arange(len(sound) - at) / RATE
        sound[at:] += (0.3 * np.exp(-3 * t) * np.sin(2 * np.pi * 220 * 2 ** (index / 6) * t)).astype(
            np.float32
        )
    return sound


def played(score: Score) -> np.ndarray:
    """The score's sound, mono at RATE."""
    sound = np.concatenate([stems.sum(axis=0).mean(axis=0) for stems in render_blocks(score)])
    return librosa.resample(sound, orig_sr=48_000, target_sr=RATE).astype(np.float32)


def piano(times: np.ndarray, velocities: np.ndarray, seconds: float) -> Score:
    """Chords of three notes on a piano."""
    ends = np.append(times[1:], seconds)
    notes = [
        Note(float(start), float(end), pitch + 2 * (index % 3), int(velocity))
        for index, (start, end, velocity) in enumerate(zip(times, ends, velocities, strict=True))
        for pitch in (48, 64, 67)
    ]
    tempo_map = TempoMap((0.0, seconds))
    return Score(tempo_map, "C", (Part("Piano", 0, False, tuple(notes)),), (), seconds)


@pytest.fixture(scope="module")
def piano_times() -> np.ndarray:
    rng = np.random.default_rng(3)
    return 0.4 + np.cumsum(rng.uniform(0.12, 0.6, 30))


@pytest.mark.parametrize("make", [clicks, tones])
def test_every_onset_is_found_within_10_ms(make) -> None:
    found = find_onsets(make(TIMES)).times_s
    nearest = np.abs(found[:, None] - TIMES[None, :])
    assert nearest.min(axis=0).max() <= 0.010
    assert len(found) <= len(TIMES) + 1  # the tones stop dead at the end


def test_piano_onsets_are_where_the_notes_begin(piano_times: np.ndarray) -> None:
    sound = played(piano(piano_times, np.full(30, 80), 16.0))
    found = find_onsets(sound).times_s
    errors = np.abs(found[:, None] - piano_times[None, :])
    assert errors.min(axis=0).max() <= 0.010
    assert len(found) <= 33


def test_agrees_with_an_independent_detector(piano_times: np.ndarray) -> None:
    sound = played(piano(piano_times, np.full(30, 80), 16.0))
    theirs = librosa.onset.onset_detect(y=sound, sr=RATE, hop_length=120, units="time")
    ours = find_onsets(sound).times_s
    gaps = np.abs(theirs[:, None] - ours[None, :]).min(axis=1)
    assert (gaps <= 0.03).mean() >= 0.9  # theirs is about 20 ms late


def test_a_louder_chord_is_a_stronger_onset() -> None:
    times = 0.5 + 0.5 * np.arange(12)
    velocities = np.where(np.arange(12) % 4 == 0, 120, 60)
    onsets = find_onsets(played(piano(times, velocities, 7.0)))
    index = np.abs(onsets.times_s[:, None] - times[None, :]).argmin(axis=0)
    strength = onsets.strength[index]
    assert strength[velocities == 120].min() > strength[velocities == 60].max()


def test_the_playback_level_changes_nothing(piano_times: np.ndarray) -> None:
    sound = played(piano(piano_times, np.full(30, 80), 16.0))
    loud, quiet = find_onsets(sound), find_onsets((sound * np.float32(0.03125)).astype(np.float32))
    np.testing.assert_allclose(loud.times_s, quiet.times_s, atol=1e-6)
    np.testing.assert_allclose(loud.strength, quiet.strength, rtol=1e-5)


@pytest.mark.parametrize("samples", [0, 1, 100, RATE])
def test_silence_has_no_onsets(samples: int) -> None:
    sound = np.zeros(samples, np.float32)
    assert len(find_onsets(sound)) == 0
    assert hear(sound).loudness(0.0, 1.0) == -70.0


def test_a_steady_tone_has_none_but_its_beginning() -> None:
    sound = silence(4.0)
    t = np.arange(3 * RATE) / RATE
    sound[RATE:] = (0.3 * np.sin(2 * np.pi * 330 * t)).astype(np.float32)
    found = find_onsets(sound).times_s
    assert len(found[found < 3.9]) == 1
    assert found[0] == pytest.approx(1.0, abs=0.01)


def test_blocks_leave_no_trace() -> None:
    """A sound longer than the blocks it is heard in gives the same curve wherever the borders fall."""
    tune = np.tile(tones(TIMES), 5)
    whole = hear(tune).rise
    shifted = hear(np.concatenate([silence(1.0), tune])).rise
    np.testing.assert_allclose(whole[20:-20], shifted[20 + 200 : 200 + len(whole) - 20], atol=1e-9)


@pytest.mark.parametrize("hz", [60.0, 1000.0, 6000.0])
def test_loudness_follows_bs1770(hz: float) -> None:
    t = np.arange(4 * RATE) / RATE
    sound = (0.2 * np.sin(2 * np.pi * hz * t)).astype(np.float32)
    theirs = pyloudnorm.Meter(RATE).integrated_loudness(sound.astype(np.float64))
    assert hear(sound).loudness(0.5, 3.5) == pytest.approx(theirs, abs=0.2)


def test_sound_beside_pictures_starts_at_the_first_frame(tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.mp4", [(2.0, texture(1))], audio="tone")
    assert len(read_sound(film)) == pytest.approx(2 * RATE, abs=0.05 * RATE)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("start_s", [0.0, 1.5])
def test_seconds_count_from_the_first_frame(tmp_path: Path, suffix: str, start_s: float) -> None:
    at = np.array([0.5, 1.25, 1.7])
    sound = np.zeros((2, 96_000), np.float32)
    for start in np.rint(at * 48_000).astype(int):
        t = np.arange(9600) / 48_000
        sound[:, start : start + 9600] += (0.5 * np.exp(-20 * t) * np.sin(2 * np.pi * 700 * t)).astype(
            np.float32
        )
    film = make_video(tmp_path / f"film{suffix}", [(2.0, texture(1))], audio=sound, start_s=start_s)
    found = find_onsets(read_sound(film)).times_s
    assert np.abs(found[:, None] - at[None, :]).min(axis=0).max() <= 0.012


def test_a_wav_is_read_as_it_is(tmp_path: Path) -> None:
    at = np.array([0.5, 1.25])
    sound = np.zeros((2, 96_000), np.float32)
    sound[:, np.rint(at * 48_000).astype(int)] = 0.9
    write_wav(tmp_path / "a.wav", iter([sound]), 96_000)
    samples = read_sound(tmp_path / "a.wav")
    assert len(samples) == pytest.approx(2 * RATE, abs=2)
    np.testing.assert_allclose(find_onsets(samples).times_s, at, atol=0.006)


@pytest.mark.parametrize("content", [b"", b"this is no sound"])
def test_what_is_no_sound_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.wav"):
        read_sound(tmp_path / "x.wav")


def test_a_film_without_sound_is_refused(tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.mp4", [(1.0, texture(1))], audio=None)
    with pytest.raises(InputError, match="no sound"):
        read_sound(film)


@pytest.mark.parametrize(("root", "third", "name"), [(0, 4, "C"), (9, 3, "Am"), (6, 4, "Gb"), (3, 3, "Ebm")])
def test_key_of_scale_and_triad(root: int, third: int, name: str) -> None:
    chroma = np.zeros(12)
    steps = (0, 2, 4, 5, 7, 9, 11) if third == 4 else (0, 2, 3, 5, 7, 8, 10)
    chroma[[(root + step) % 12 for step in steps]] = 1.0
    chroma[[(root + step) % 12 for step in (0, third, 7)]] += 2.0
    key = key_of(chroma)
    assert key is not None
    assert key.name == name
    assert (key.mode_margin > 0) == (third == 4)


@pytest.mark.parametrize(("tonic", "minor", "name"), [(0, False, "C"), (7, False, "G"), (2, True, "Dm")])
def test_key_of_a_played_piece(tonic: int, minor: bool, name: str) -> None:
    """I IV V I with the melody's notes on a piano."""
    steps = (0, 2, 3, 5, 7, 8, 11) if minor else (0, 2, 4, 5, 7, 9, 11)
    notes = []
    for bar, degree in enumerate((0, 3, 4, 0, 5, 3, 4, 0)):
        chord = [tonic + 48 + steps[(degree + third) % 7] for third in (0, 2, 4)]
        notes += [Note(bar, bar + 1.0, pitch, 80) for pitch in (chord[0] - 12, *chord)]
        tune = [chord[0] + 12, tonic + 60 + steps[(degree + 1) % 7]]
        notes += [Note(bar + k / 2, bar + k / 2 + 0.5, pitch, 90) for k, pitch in enumerate(tune)]
    score = Score(TempoMap((0.0, 8.0)), name, (Part("Piano", 0, False, tuple(notes)),), (), 8.0)
    key = key_of(chroma_of(played(score)))
    assert key is not None
    assert key.name == name


def test_chroma_of_one_tone_is_one_pitch_class() -> None:
    t = np.arange(2 * RATE) / RATE
    chroma = chroma_of((0.3 * np.sin(2 * np.pi * 440.0 * t)).astype(np.float32))
    assert chroma[9] / chroma.sum() > 0.999
    assert not chroma_of(silence(1.0)).any()
    assert not chroma_of(np.zeros(10, np.float32)).any()


def test_even_energy_has_no_key() -> None:
    assert key_of(np.ones(12)) is None
    assert key_of(np.zeros(12)) is None


@pytest.mark.parametrize("bpm", [72.0, 96.0, 126.0])
def test_tempo_of_steady_clicks(bpm: float) -> None:
    sound = clicks(np.arange(0.2, 14.8, 60 / bpm), 15.0)
    assert tempo_of(hear(sound).rise, FRAME_HZ) == pytest.approx(bpm, rel=0.015)


def test_tempo_of_silence_is_unknown() -> None:
    assert np.isnan(tempo_of(np.zeros(4000), FRAME_HZ))


C_MAJOR_END = np.array([(0, 2, 50), (2, 4, 48), (2, 4, 64), (2, 4, 67), (2.1, 4, 72)], np.float64)


def test_a_tonic_chord_resolves() -> None:
    chord = final_chord(C_MAJOR_END, 0, minor=False, from_s=2.0)
    assert chord is not None
    assert (chord.in_triad, chord.bass_is_tonic, chord.resolves) == (1.0, True, True)


@pytest.mark.parametrize(
    ("tonic", "minor", "in_triad", "bass"),
    [(0, True, 0.75, True), (9, True, 0.75, False), (7, False, 0.25, False)],
)
def test_what_does_not_resolve(tonic: int, minor: bool, in_triad: float, bass: bool) -> None:
    chord = final_chord(C_MAJOR_END, tonic, minor=minor)
    assert chord is not None
    assert (chord.in_triad, chord.bass_is_tonic, chord.resolves) == (in_triad, bass, False)


def test_no_notes_no_ending() -> None:
    assert final_chord(np.zeros((0, 3)), 0, minor=False) is None
    assert final_chord(C_MAJOR_END, 0, minor=False, from_s=9.0) is None


def test_onsets_know_their_number() -> None:
    assert len(Onsets(np.zeros(3), np.ones(3))) == 3
