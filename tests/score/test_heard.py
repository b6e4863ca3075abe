"""What the arrangements sound like: balance of the parts, accents and the ending, measured on sound."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pyloudnorm
import pytest
from numpy.typing import NDArray

from diffbgm.score.arrange import arrange
from diffbgm.score.score import Score
from diffbgm.score.styles import load_style, style_names
from diffbgm.sound.synth import SOUNDFONT, render_blocks
from diffbgm.spotting.cuesheet import Plan
from tests.score.example_music import make_plan, make_roll

RATE = 48_000
HOP = 480
HITS = (37, 64)

pytestmark = pytest.mark.skipif(
    not SOUNDFONT.is_file(), reason="the shipped soundfont is not in this checkout"
)


@lru_cache
def heard(style: str) -> tuple[Plan, Score, NDArray[np.float32]]:
    """Eight bars at three energies with two hits; float32 (parts, 2, samples)."""
    roles = ((2, "theme", 0.5), (2, "build", 0.6), (3, "climax", 0.9), (1, "outro", 0.5))
    plan = make_plan(8, style, bpm=150.0, hit_steps=HITS, roles=roles)
    score = arrange(make_roll(8), plan, load_style(style))
    return plan, score, np.concatenate(list(render_blocks(score)), axis=-1)


def level_db(sound: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(np.square(sound)) + 1e-12))


def onset_flux(mono: NDArray[np.float32]) -> NDArray[np.float64]:
    """How much new sound each 10 ms bring: the rise of the log spectrum over 20 ms."""
    frames = np.lib.stride_tricks.sliding_window_view(mono, 2048)[::HOP] * np.hanning(2048)
    spectrum = np.log1p(1000 * np.abs(np.fft.rfft(frames)))
    rise = np.maximum(spectrum[2:] - spectrum[:-2], 0.0).sum(axis=1)
    # A frame is centred 1024 samples after its start; the rise belongs to its later frame.
    return np.concatenate([np.zeros(2 + 1024 // HOP), rise])


@pytest.mark.parametrize("style", style_names())
def test_the_melody_lies_above_every_other_part(style: str) -> None:
    _, score, sound = heard(style)
    meter = pyloudnorm.Meter(RATE)
    loudness = {
        part.name: meter.integrated_loudness(stem.T) for part, stem in zip(score.parts, sound, strict=True)
    }
    lead = next(part.name for part in load_style(style).parts if "melody" in part.plays)
    if style == "cinematic":
        lead = "Violins"
    others = {name: value - loudness[lead] for name, value in loudness.items() if name != lead}
    assert max(others.values()) < 0, others
    assert max(others.values()) > -12, "nothing carries the melody"


@pytest.mark.parametrize("style", style_names())
def test_hits_stand_out_as_onsets(style: str) -> None:
    plan, _, sound = heard(style)
    flux = onset_flux(sound.sum(axis=(0, 1)))
    for hit in plan.hits:
        assert hit.landed_s is not None
        at = round(hit.landed_s * RATE / HOP)
        around = np.concatenate([flux[max(0, at - 200) : at - 10], flux[at + 10 : at + 200]])
        # Onsets take up about a fifth of the frames, so the 95th percentile is already a strong one.
        assert flux[at - 3 : at + 6].max() > np.percentile(around, 95)


@pytest.mark.parametrize("style", style_names())
def test_the_last_chord_rings_out_with_the_film(style: str) -> None:
    plan, _, sound = heard(style)
    mix = sound.sum(axis=0)
    assert mix.shape[1] == round(plan.duration_s * RATE)
    middle = round((plan.bar_starts_s[-2] + plan.duration_s) / 2 * RATE)
    struck = level_db(mix[:, middle - 9600 : middle])
    assert struck > -60, "the last chord does not sound"
    assert level_db(mix[:, -4800:-2400]) < struck - 6, "the last chord is cut off"
