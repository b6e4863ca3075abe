"""Equalizers against what second-order filters must do, and soft notes against loud ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffbgm.score.score import Tone
from diffbgm.sound.fluidsynth import Synth
from diffbgm.sound.synth import SOUNDFONT
from diffbgm.sound.tone import Equalizer, widened
from diffbgm.sound.touch import SOFT, touch_cents

from .conftest import RATE, Sound, level_db, part

PIANO, SAW, HORN = 0, 81, 60
SIZES = st.lists(st.integers(1, 5000), min_size=1, max_size=6)


def noise(seconds: float, seed: int = 0) -> Sound:
    return np.random.default_rng(seed).normal(0, 0.1, (2, round(seconds * RATE))).astype(np.float32)


def response_db(*tones: Tone) -> np.ndarray:
    """Gain of each whole frequency in Hz."""
    click = np.zeros((2, RATE), np.float32)
    click[:, 0] = 1
    return 20 * np.log10(np.abs(np.fft.rfft(Equalizer(*tones)(click)[0])) + 1e-12)


def test_cuts_are_three_db_down_where_they_say_and_fall_twelve_an_octave() -> None:
    low, high = response_db(Tone(low_cut_hz=200)), response_db(Tone(high_cut_hz=1000))
    assert low[200] == pytest.approx(-3.0, abs=0.05)
    assert high[1000] == pytest.approx(-3.0, abs=0.05)
    assert low[50] - low[25] == pytest.approx(12.0, abs=0.2)
    assert high[4000] - high[8000] == pytest.approx(12.0, abs=1.5)  # steeper towards half the rate
    assert abs(low[5000]) < 0.05
    assert abs(high[100]) < 0.05


def test_shelves_lift_their_side_only() -> None:
    low, high = response_db(Tone(low_db=3)), response_db(Tone(high_db=-6))
    assert low[20] == pytest.approx(3.0, abs=0.1)
    assert abs(low[5000]) < 0.05
    assert high[18_000] == pytest.approx(-6.0, abs=0.2)
    assert abs(high[200]) < 0.05


def test_tones_follow_one_another() -> None:
    one, other = Tone(low_cut_hz=300), Tone(high_db=4)
    both, apart = response_db(one, other), response_db(one) + response_db(other)
    np.testing.assert_allclose(both[20:20_000], apart[20:20_000], atol=0.01)


@settings(max_examples=15, deadline=None)
@given(SIZES)
def test_result_does_not_depend_on_the_blocks(sizes: list[int]) -> None:
    sound, tone = noise(0.3), Tone(120, 6000, 2, -3)
    equalizer, pieces, at = Equalizer(tone), [], 0
    while at < sound.shape[1]:
        n = sizes[len(pieces) % len(sizes)]
        pieces.append(equalizer(sound[:, at : at + n]))
        at += n
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), Equalizer(tone)(sound), atol=1e-6)


def test_sounds_equalized_alike_add_up() -> None:
    tone = Tone(150, 9000, -4, 3)
    one, other = noise(0.5, 1), noise(0.5, 2)
    apart = Equalizer(tone)(one) + Equalizer(tone)(other)
    np.testing.assert_allclose(apart, Equalizer(tone)(one + other), atol=1e-6)


def test_no_tone_leaves_the_sound_untouched() -> None:
    sound = noise(0.1)
    assert Equalizer(Tone(), Tone())(sound) is sound


def test_width_scales_the_sides_only() -> None:
    sound = noise(0.1)
    for width in (0.0, 0.5, 1.7):
        found = widened(sound, width)
        np.testing.assert_allclose(found.sum(axis=0), sound.sum(axis=0), atol=1e-6)
        np.testing.assert_allclose(found[0] - found[1], width * (sound[0] - sound[1]), atol=1e-6)
    assert widened(sound, 1.0) is sound


def heard(program: int, velocity: int, cents: float) -> Sound:
    """Half a second of middle C, dry."""
    n = 375 * 64
    with Synth(SOUNDFONT, 1) as synth:
        synth.set_instrument(0, program, is_drums=False)
        synth.control(0, 91, 0)
        synth.set_touch(0, cents)
        sound = np.zeros((1, 2, n), np.float32)
        synth.note_on(0, 60, velocity)
        synth.process(sound, 0, n)
    return sound[0]


def centre_hz(sound: Sound) -> float:
    power = np.abs(np.fft.rfft(sound.sum(axis=0) * np.hanning(sound.shape[1]))) ** 2
    return float((np.fft.rfftfreq(sound.shape[1], 1 / RATE) * power).sum() / power.sum())


@pytest.mark.parametrize("program", [PIANO, SAW])
def test_soft_notes_are_darker_and_loud_ones_as_before(program: int) -> None:
    (cents,) = touch_cents([part([(0, 1, 60, 80)], program)], SOUNDFONT)
    plain = [centre_hz(heard(program, velocity, 0)) for velocity in (SOFT, 120)]
    touched = [centre_hz(heard(program, velocity, cents)) for velocity in (SOFT, 120)]
    assert plain[0] == pytest.approx(plain[1], rel=0.01)  # the soundfont has one sample for both
    assert touched[0] < 0.8 * touched[1]
    assert touched[1] > 0.95 * plain[1]


@pytest.mark.parametrize("program", [PIANO, SAW, HORN])
def test_soft_notes_stay_audible(program: int) -> None:
    (cents,) = touch_cents([part([(0, 1, 60, 80)], program)], SOUNDFONT)
    assert level_db(heard(program, SOFT, 0)) - level_db(heard(program, SOFT, cents)) < 2.0


def test_touch_scales_and_drums_have_none() -> None:
    note = [(0, 1, 60, 80)]
    full, half, none, drum, silent = touch_cents(
        [part(note), part(note, touch=0.5), part(note, touch=0.0), part(note, is_drums=True), part([])],
        SOUNDFONT,
    )
    assert full > 0
    assert half == full / 2
    assert (none, drum, silent) == (0.0, 0.0, 0.0)
