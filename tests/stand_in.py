"""A model for tests of everything around the model: the same interface, plain chords and a tune, at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from diffbgm.diffusion.roll import LOWEST_PITCH, ONSET, SUSTAIN, PianoRoll
from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.weights import Weights
from diffbgm.pitch import pitch_class
from diffbgm.spotting.cuesheet import Plan
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BEAT

MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
PROGRESSION = (0, 5, 3, 4)
"""Degrees of the scale, a bar each."""

stand_in_weights = Weights(
    "stand-in-0-00000000", Path("stand-in.onnx"), {"architecture": "beat-transformer", "sampling": {}}, None
)


def stand_in_roll(
    plan: Plan,
    weights: Weights,
    *,
    sampling: Sampling | None = None,
    features: None = None,
    progress: Callable[[float], None] | None = None,
) -> PianoRoll:
    """A bar of each chord in half notes and a tune of quarters from the scale; the tonic at the end."""
    assert weights is stand_in_weights
    tonic = pitch_class(plan.key)
    scale = MINOR if plan.key.endswith("m") else MAJOR
    rng = np.random.default_rng(plan.noise_seed)
    beats = plan.tempo_map.n_beats
    bits = np.zeros((3, 2, beats * STEPS_PER_BEAT, 88), np.bool_)
    chroma = np.zeros((beats, 12), np.bool_)
    bass = np.zeros(beats, np.int8)
    for beat in range(beats):
        bar = beat // BEATS_PER_BAR
        last = bar == plan.tempo_map.n_bars - 1
        degree = 0 if last else PROGRESSION[bar % 4]
        chord = [(tonic + scale[(degree + third) % 7]) % 12 for third in (0, 2, 4)]
        chroma[beat, chord] = True
        bass[beat] = chord[0]
        step = beat * STEPS_PER_BEAT
        if beat % (BEATS_PER_BAR if last else 2) == 0:
            length = (BEATS_PER_BAR if last else 2) * STEPS_PER_BEAT
            for pitch in chord:
                put(bits[2], step, length, 48 + pitch)
        if not last:
            put(bits[0], step, STEPS_PER_BEAT, 60 + (tonic + scale[rng.integers(7)]) % 12)
        if progress is not None:
            progress((beat + 1) / beats)
    velocity = np.where(bits[:, ONSET].any(axis=2), 80, 0).astype(np.uint8)
    return PianoRoll(bits, velocity, chroma, bass)


def put(track: np.ndarray, step: int, length: int, pitch: int) -> None:
    track[ONSET, step, pitch - LOWEST_PITCH] = True
    track[SUSTAIN, step + 1 : step + length, pitch - LOWEST_PITCH] = True
