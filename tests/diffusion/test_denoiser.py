from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffbgm.diffusion.cadence import final_cadence
from diffbgm.diffusion.compose import compose_roll
from diffbgm.diffusion.conditions import conditions_of
from diffbgm.diffusion.denoiser import (
    SHORTEST_BEATS,
    Guidance,
    WindowedDenoiser,
    guided,
    hop_of,
    window_starts,
    window_weights,
)
from diffbgm.diffusion.roll import ONSET, SUSTAIN
from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.tokens import TOKEN_SIZE, VELOCITIES, to_roll
from diffbgm.diffusion.weights import FOLDER, list_weights, open_weights
from diffbgm.errors import MissingToolError
from diffbgm.pitch import transposition

from .plans import make_plan


@given(st.integers(1, 400), st.sampled_from([64, 96, 128]))
def test_windows_cover_every_bar_with_overlap(bars: int, window: int) -> None:
    n_beats, hop = max(window, bars * 4), hop_of(window)
    starts = window_starts(n_beats, window, hop)
    assert starts[0] == 0
    assert starts[-1] + window == n_beats
    assert all(start % 4 == 0 for start in starts)
    assert all(0 < b - a <= hop + 2 for a, b in pairwise(starts))
    weights = window_weights(starts, n_beats, window, hop)
    np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-5)
    assert np.abs(np.diff(weights, axis=1)).max(initial=0) < 0.2  # nothing switches at once


def test_only_windows_with_wanted_beats_are_denoised() -> None:
    weights, conditions = open_weights(), conditions_of(make_plan(bars=60))
    wanted = slice(220, 232)
    all_of_it = WindowedDenoiser(weights, conditions, Guidance(scale=1.0))
    part = WindowedDenoiser(weights, conditions, Guidance(scale=1.0), wanted)
    assert len(all_of_it.starts) > len(part.starts) >= 1
    assert all(start + part.window > wanted.start and start < wanted.stop for start in part.starts)
    z = np.random.default_rng(0).standard_normal(part.shape, dtype=np.float32)
    np.testing.assert_allclose(part(z, 0.5)[wanted], all_of_it(z, 0.5)[wanted], atol=1e-4)


@pytest.mark.parametrize(
    ("learned", "bars", "window"), [(64, 40, 64), (128, 40, 128), (128, 20, 80), (128, 8, 64)]
)
def test_a_window_is_as_long_as_learned_or_as_the_piece(learned: int, bars: int, window: int) -> None:
    weights = open_weights()
    metadata = {
        **weights.metadata,
        "recipe": {**weights.metadata["recipe"], "data": {"window_beats": learned}},
    }
    denoiser = WindowedDenoiser(
        replace(weights, metadata=metadata), conditions_of(make_plan(bars=bars)), Guidance()
    )
    assert denoiser.window == window
    assert denoiser.n_beats == max(SHORTEST_BEATS, 4 * bars)
    z = np.random.default_rng(0).standard_normal(denoiser.shape, dtype=np.float32)
    assert np.isfinite(denoiser(z, 0.9)).all()


def test_guidance_extrapolates_bits_and_leaves_velocities() -> None:
    free = np.zeros((1, TOKEN_SIZE), np.float32)
    bound = np.ones((1, TOKEN_SIZE), np.float32)
    out = guided(bound, free, 3.0)
    assert out[0, 0] == 3.0
    np.testing.assert_array_equal(out[0, VELOCITIES], 1.0)


@pytest.mark.parametrize(("minor", "classes", "bass"), [(False, {0, 4, 7}, 0), (True, {9, 0, 4}, 9)])
def test_cadence_is_the_tonic_held_to_the_end(minor: bool, classes: set[int], bass: int) -> None:
    clamp = final_cadence(64, 32, minor)
    roll = to_roll(clamp.values[:32])
    last = roll.bits[:, :, 28 * 4 :]
    pitches = {(p + 21) % 12 for p in np.flatnonzero(last[:, ONSET, 0].any(axis=0))}
    assert pitches == classes
    assert not last[:, ONSET, 1:].any()
    np.testing.assert_array_equal(last[:, SUSTAIN, 1:], np.repeat(last[:, ONSET, :1], 15, axis=1))
    assert set(np.flatnonzero(roll.chroma[-1])) == classes
    assert roll.bass[-1] == bass
    assert clamp.mask[28:32].all()
    assert not clamp.mask[:26].any()
    assert not clamp.mask[32:].any()


@pytest.mark.parametrize(
    ("key", "semitones"),
    [("C", 0), ("Am", 0), ("D", 2), ("F#", -6), ("Bb", -2), ("B", -1), ("Bbm", 1), ("Ebm", -6), ("G", -5)],
)
def test_transposition_takes_the_shorter_way(key: str, semitones: int) -> None:
    assert transposition(key) == semitones


def test_weights_that_are_not_there_or_not_ours(tmp_path) -> None:
    with pytest.raises(MissingToolError, match="no-such-model"):
        open_weights("no-such-model")
    (tmp_path / "x.onnx").write_bytes(b"nonsense")
    with pytest.raises(MissingToolError, match="not a readable ONNX model"):
        open_weights(str(tmp_path / "x.onnx"))


def test_damaged_shipped_weights_are_refused(tmp_path, monkeypatch) -> None:
    shipped = list_weights()[0]
    damaged = bytearray(shipped.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / shipped.name).write_bytes(damaged)
    monkeypatch.setattr("diffbgm.diffusion.weights.FOLDER", tmp_path)
    with pytest.raises(MissingToolError, match="damaged"):
        open_weights()
    assert tmp_path != FOLDER


def test_shipped_weights_compose_a_plan() -> None:
    plan = make_plan(bars=8, key="Em", seed=5)
    weights = open_weights()
    few = Sampling.of(weights.sampling, steps=8)
    roll = compose_roll(plan, weights, sampling=few)
    again = compose_roll(plan, weights, sampling=few)
    np.testing.assert_array_equal(roll.bits, again.bits)
    np.testing.assert_array_equal(roll.velocity, again.velocity)
    other = compose_roll(make_plan(bars=8, key="Em", seed=6), weights, sampling=few)
    assert (roll.bits != other.bits).any()
    assert roll.n_beats == 32
    onsets = roll.bits[:, ONSET].sum(axis=(0, 1))
    in_scale = np.isin((np.arange(88) + 21) % 12, [4, 6, 7, 9, 11, 0, 2])
    assert onsets[in_scale].sum() >= 0.9 * onsets.sum()
    last = roll.bits[:, ONSET, 28 * 4]
    assert {(p + 21) % 12 for p in np.flatnonzero(last.any(axis=0))} == {4, 7, 11}
    by_bar = roll.bits[:, ONSET].sum(axis=(0, 2)).reshape(8, 16).sum(axis=1)
    assert (by_bar > 0).all()
