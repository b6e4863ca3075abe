"""Names and numbers as they are written on the page, and what is measured of the music."""

from __future__ import annotations

import re
import wave
from pathlib import Path

import numpy as np
import pytest

from diffbgm.errors import InputError
from diffbgm.report.harmony import INSTRUMENTS, chord_name, chord_spans, instrument_name
from diffbgm.report.listening import MAX_EMBEDDED_BYTES, QUIETEST_LUFS, choose_bitrate, listen
from diffbgm.report.tables import clock, key_name, number, own_music, text

RATE = 48_000


def chroma(*pitches: int) -> np.ndarray:
    out = np.zeros(12, bool)
    out[list(pitches)] = True
    return out


@pytest.mark.parametrize(
    ("pitches", "bass", "key", "name"),
    [
        ((0, 4, 7), 0, "C", "C"),
        ((0, 4, 7), 4, "C", "C/E"),
        ((9, 0, 4), 9, "C", "Am"),
        ((9, 0, 4, 7), 9, "C", "Am7"),
        ((9, 0, 4, 7), 0, "C", "C6"),
        ((3, 7, 10), 3, "Eb", "E♭"),
        ((3, 7, 10), 3, "E", "D♯"),
        ((11, 2, 5), 11, "C", "Bdim"),
        ((7, 11, 2, 5), 7, "C", "G7"),
        ((0, 5, 7), -1, "C", "Csus4"),
        ((0, 4, 7), 2, "C", "C/D"),
        ((0, 1, 2), 0, "C", ""),
        ((), -1, "C", ""),
    ],
)
def test_chord_names(pitches: tuple[int, ...], bass: int, key: str, name: str) -> None:
    assert chord_name(chroma(*pitches), bass, key) == name


def test_chord_spans_join_equal_beats_and_leave_gaps() -> None:
    beats = np.stack([chroma(0, 4, 7)] * 3 + [chroma()] + [chroma(7, 11, 2)] * 2)
    bass = np.array([0, 0, 0, -1, 7, 7], np.int8)
    assert chord_spans(beats, bass, "C") == [(0, 3, "C"), (4, 2, "G")]


def test_instruments_are_the_general_midi_ones() -> None:
    assert len(INSTRUMENTS) == 128
    known = {0: "Grand piano", 24: "Nylon guitar", 32: "Acoustic bass", 40: "Violin", 48: "Strings",
             73: "Flute", 88: "New age pad", 127: "Gunshot"}  # fmt: skip
    assert {program: instrument_name(program, False) for program in known} == known
    assert instrument_name(0, True) == "Drum kit"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0:00.00"), (7.254, "0:07.25"), (59.996, "1:00.00"), (723.5, "12:03.50"), (3723.5, "1:02:03.50")],
)
def test_clock(seconds: float, written: str) -> None:
    assert clock(seconds) == written


def test_words_and_numbers() -> None:
    assert key_name("Ebm") == "E♭ minor"
    assert key_name("F#") == "F♯ major"
    assert number(None, 1, "LUFS") == "–"
    assert number(-14.02, 1) == "−14.0"
    assert text('<a href="x">&\'') == "&lt;a href=&quot;x&quot;&gt;&amp;&#x27;"


def write_wav(path: Path, sound: np.ndarray, rate: int = RATE) -> Path:
    """sound: float (samples, channels)."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(sound.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def tone(seconds: float, dbfs: float, rate: int = RATE) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    return np.repeat((10 ** (dbfs / 20) * np.sin(2 * np.pi * 1000 * t))[:, None], 2, axis=1)


def test_loudness_of_the_reference_tone(tmp_path: Path) -> None:
    """EBU Tech 3341, first test signal: 1 kHz at -23 dBFS in both channels reads -23 LUFS +- 0.1."""
    heard = listen(write_wav(tmp_path / "tone.wav", tone(6, -23)), 6)
    np.testing.assert_allclose(heard.short_term[35:], -23, atol=0.1)
    np.testing.assert_allclose(heard.momentary[10:], -23, atol=0.1)
    assert len(heard.momentary) == 60


@pytest.mark.parametrize("rate", [48_000, 44_100, 22_050])
def test_waveform_levels(tmp_path: Path, rate: int) -> None:
    sound = tone(3.03, -6, rate)
    sound[:rate] = 0
    heard = listen(write_wav(tmp_path / "tone.wav", sound, rate), 3.03)
    assert heard.wave_hz == 100
    assert len(heard.peak) == 310
    assert heard.peak[:98].max() <= 1
    np.testing.assert_allclose(heard.peak[103:300] / 255, 10 ** (-6 / 20), atol=0.01)
    np.testing.assert_allclose(heard.rms[103:300] / 255, 10 ** (-6 / 20) / np.sqrt(2), atol=0.01)
    assert heard.m4a is not None


def test_a_click_is_drawn_where_it_sounds(tmp_path: Path) -> None:
    sound = np.zeros((4 * RATE, 2))
    sound[round(2.345 * RATE)] = 0.9
    heard = listen(write_wav(tmp_path / "click.wav", sound), 4)
    assert int(heard.peak.argmax()) == int(2.345 * heard.wave_hz)


def test_silence_and_shortest_sound(tmp_path: Path) -> None:
    heard = listen(write_wav(tmp_path / "silence.wav", np.zeros((RATE, 2))), 1)
    assert set(heard.momentary) == {QUIETEST_LUFS}
    assert not heard.peak.any()
    short = listen(write_wav(tmp_path / "short.wav", np.zeros((100, 2))), 0.002)
    assert len(short.peak) == 10
    assert short.m4a


def test_long_films_get_fewer_bins(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "tone.wav", tone(1, -6))
    assert [listen(path, seconds).wave_hz for seconds in (60, 600, 1500, 3600)] == [100, 50, 20, 10]


def test_bitrates_stay_within_the_page() -> None:
    for minutes in range(1, 63):
        rung = choose_bitrate(60 * minutes)
        assert rung is not None
        assert rung.bits_per_s / 8 * 60 * minutes <= MAX_EMBEDDED_BYTES
    assert choose_bitrate(60).bits_per_s == 96_000  # type: ignore[union-attr]
    assert choose_bitrate(3 * 3600) is None


def test_files_without_sound_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("not sound at all")
    with pytest.raises(InputError, match=r"text\.wav: cannot be read as sound"):
        listen(tmp_path / "text.wav", 1)


def test_own_music_beside_the_composed() -> None:
    def measured(lufs: float, side_db: float | None) -> dict[str, object]:
        shares = {"bass": -8.0, "low": -4.0, "middle": -5.0, "presence": -12.0, "air": lufs - 10}
        return {
            "lufs": lufs, "range_lu": 6.0, "peak_to_loudness_db": 15.0, "side_db": side_db, "bands_db": shares
        }  # fmt: skip

    html = own_music({"own_music": {"film": measured(-18.2, None), "music": measured(-14.0, -9.0)}})
    rows = re.findall(r"<tr><td>(.*?)</td><td.*?>(.*?)</td><td.*?>(.*?)</td></tr>", html)
    plain = {name: [re.sub("<.*?>", "", cell) for cell in cells] for name, *cells in rows}
    assert plain["Loudness"] == ["−18.2 LUFS", "−14.0 LUFS"]
    assert plain["Side against middle"] == ["–", "−9.0 dB"]
    assert plain["above 6 kHz"] == ["−28.2 dB", "−24.0 dB"]
    assert len(plain) == 9
    for result in ({}, {"own_music": {"film": None, "music": None}}):
        assert "no music of its own" in own_music(result)
