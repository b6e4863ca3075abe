"""Loudness, true peak and limiter against known answers and an independent meter."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyloudnorm
import pytest
from scipy.signal import resample_poly

from diffbgm.sound.loudness import amplitude, decibels, limited, measure

from .conftest import RATE, Sound, sine


def blocks(sound: Sound, size: int = RATE) -> Iterator[Sound]:
    return (sound[:, start : start + size] for start in range(0, sound.shape[1], size))


def bursts(seconds: float, db: float = -12.0) -> Sound:
    """Noise that comes and goes, with clicks: a hard case for a limiter."""
    rng = np.random.default_rng(3)
    n = round(seconds * RATE)
    noise = resample_poly(rng.standard_normal((2, n // 4 + 1)), 4, 1, axis=1)[:, :n]
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * np.arange(n) / RATE)
    sound = 0.3 * noise * swell
    sound[:, ::9600] += 2.0
    return (amplitude(db) * sound).astype(np.float32)


@pytest.mark.parametrize("db", [-23.0, -14.0, -40.0])
def test_a_997_hz_sine_in_both_channels_measures_its_level(db: float) -> None:
    """EBU Tech 3341, case 1: -23 dBFS stereo sine gives -23 LUFS."""
    got = measure(blocks(sine(997, db, 4.0)), "stereo")
    assert got.lufs == pytest.approx(db, abs=0.1)
    assert got.true_peak_dbtp == pytest.approx(db, abs=0.1)


def test_agrees_with_another_meter_where_the_gate_matters() -> None:
    sound = np.concatenate([bursts(5.0), 0.003 * bursts(4.0)], axis=1)
    theirs = pyloudnorm.Meter(RATE).integrated_loudness(sound.T.astype(float))
    assert measure(blocks(sound), "stereo").lufs == pytest.approx(theirs, abs=0.1)


def test_surround_weights() -> None:
    tone = sine(997, -20.0, 2.0, channels=1)
    lufs = {}
    for name, row in (("front", 0), ("low", 3), ("back", 4)):
        six = np.zeros((6, tone.shape[1]), np.float32)
        six[row] = tone[0]
        lufs[name] = measure(blocks(six), "5.1").lufs
    assert lufs["front"] == pytest.approx(-23.0, abs=0.1)
    assert lufs["back"] == pytest.approx(-21.5, abs=0.1)
    assert lufs["low"] is None


def test_true_peak_between_the_samples() -> None:
    wave = np.sin(2 * np.pi * np.arange(2 * RATE) / 4 + np.pi / 4).astype(np.float32)
    wave *= np.sin(np.linspace(0, np.pi, len(wave))).astype(np.float32) ** 0.1  # no click at the ends
    assert np.abs(wave).max() < 0.71
    assert measure(blocks(np.stack([wave, wave])), "stereo").true_peak_dbtp == pytest.approx(0.0, abs=0.3)


@pytest.mark.parametrize("from_end", [20, 100, 3000])
def test_a_peak_at_the_very_end_counts(from_end: int) -> None:
    sound = sine(440, -40.0, 1.23)
    sound[0, -from_end : -from_end + 10] = 0.8
    peak = measure(blocks(sound), "stereo").true_peak_dbtp
    assert peak is not None
    assert peak > -3.0


def test_silence_and_a_moment() -> None:
    assert measure(blocks(np.zeros((2, RATE), np.float32)), "stereo").lufs is None
    assert measure(blocks(np.zeros((2, RATE), np.float32)), "stereo").true_peak_dbtp is None
    assert measure(blocks(sine(440, -10.0, 0.2)), "stereo").lufs is None
    assert measure(iter([]), "stereo").lufs is None


def test_limiter_holds_the_ceiling_and_the_time() -> None:
    sound = bursts(4.0, db=6.0)
    held = np.concatenate(list(limited(blocks(sound), "stereo", -2.0)), axis=1)
    assert abs(held.shape[1] - sound.shape[1]) <= 1
    four = resample_poly(held.astype(float), 4, 1, axis=1)
    assert decibels(float(np.abs(four).max())) < -1.5
    assert decibels(float(np.abs(resample_poly(sound.astype(float), 4, 1, axis=1)).max())) > 3.0
    piece = slice(RATE, RATE + 4000)
    lags = [float(np.dot(sound[0, piece], np.roll(held[0], -lag)[piece])) for lag in range(-20, 21)]
    assert int(np.argmax(lags)) - 20 == 0


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1", "7.1"])
def test_limiter_leaves_a_quiet_sound_as_it_is(layout: str) -> None:
    channels = {"mono": 1, "stereo": 2, "5.1": 6, "7.1": 8}[layout]
    sound = np.concatenate([sine(300.0 * (k + 1), -20.0 - k, 1.0, 1) for k in range(channels)])
    held = np.concatenate(list(limited(blocks(sound), layout, -1.0)), axis=1)
    inner = slice(500, RATE - 500)
    np.testing.assert_allclose(held[:, inner], sound[:, inner], atol=2e-3)


def test_decibels_and_back() -> None:
    assert amplitude(-6.0206) == pytest.approx(0.5, abs=1e-4)
    assert decibels(amplitude(-17.0)) == pytest.approx(-17.0)
    assert decibels(0.0) == -np.inf
