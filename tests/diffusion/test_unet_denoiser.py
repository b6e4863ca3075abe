"""The U-Net's run time without a U-Net: a session that knows the answer stands in for the graph."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffbgm.diffusion.behaviour import PUBLISHED, REPAIRED, Behaviour
from diffbgm.diffusion.denoiser import Guidance
from diffbgm.diffusion.levels import alpha_bars, level_of, noise_levels
from diffbgm.diffusion.sampler import sample
from diffbgm.diffusion.unet import (
    MAX_BATCH,
    PUBLISHED_LEVELS,
    FeatureRows,
    UNetDenoiser,
    step_of,
)
from diffbgm.diffusion.weights import Weights

PLAIN = Guidance(scale=1.0)


class Session:
    """A perfect network: the noise in x_t if `clean(visual, caption, mask)` is what is clean. Keeps what it
    was asked.
    """

    def __init__(self, clean: Any) -> None:
        self.clean, self.asked = clean, []

    def run(self, names: list[str], given: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert names == ["noise"]
        assert set(given) == {"planes", "step", "visual", "caption", "mask"}
        assert given["planes"].dtype == given["step"].dtype == np.float32
        self.asked.append(given)
        out = np.empty_like(given["planes"])
        for k, planes in enumerate(given["planes"]):
            level = np.interp(given["step"][k], np.arange(1000), PUBLISHED_LEVELS)
            signal, noise = np.array([1 - level, level]) / np.hypot(1 - level, level)
            clean = self.clean(given["visual"][k], given["caption"][k], given["mask"][k])
            out[k] = (planes - signal * clean) / noise
        return [out]


def weights(session: Session, behaviour: Behaviour = REPAIRED) -> Weights:
    network = {"behaviour": asdict(behaviour)}
    return Weights("stub", Path("stub.onnx"), {"recipe": {"network": network}}, session)


def rows(beats: int = 80, seed: int = 0) -> FeatureRows:
    rng = np.random.default_rng(seed)
    owner = np.arange(beats) // 10
    return FeatureRows(
        rng.random((beats, 512), np.float32),
        rng.random((beats, 768), np.float32),
        owner[:, None] == np.arange(owner.max() + 1),
    )


def music(beats: int, seed: int = 1) -> np.ndarray:
    return (np.random.default_rng(seed).random((2, 4 * beats, 128)) < 0.05).astype(np.float32)


def knows(piece: np.ndarray, given: FeatureRows) -> Session:
    """A session that recognises each window by its first visual row."""

    def clean(visual: np.ndarray, _caption: np.ndarray, _mask: np.ndarray) -> np.ndarray:
        (start,) = np.flatnonzero((given.visual == visual[0]).all(axis=1))
        return piece[:, 4 * start : 4 * start + 128]

    return Session(clean)


@pytest.mark.parametrize("s", [1.0, 0.97, 0.936, 0.7, 0.364, 0.1, 0.0284])
def test_the_clean_estimate_of_a_perfect_network_is_the_music(s: float) -> None:
    given, piece = rows(), music(80)
    denoise = UNetDenoiser(weights(knows(piece, given)), given, PLAIN)
    noise = np.random.default_rng(2).standard_normal(denoise.shape, np.float32)
    found = denoise(((1 - s) * piece + s * noise).astype(np.float32), s)
    np.testing.assert_allclose(found, piece, atol=2e-4 / max(1 - s, 0.06))


def test_the_network_sees_the_published_chain() -> None:
    given, piece = rows(32), music(32)
    session = knows(piece, given)
    denoise = UNetDenoiser(weights(session), given, PLAIN)
    noise = np.random.default_rng(2).standard_normal(denoise.shape, np.float32)
    for t in (5, 200, 800):
        bar = alpha_bars()[t]
        s = float(level_of(bar))
        denoise(((1 - s) * piece + s * noise).astype(np.float32), s)
        asked = session.asked[-1]
        np.testing.assert_allclose(asked["step"], t, atol=1e-3)
        np.testing.assert_allclose(
            asked["planes"][0], np.sqrt(bar) * piece + np.sqrt(1 - bar) * noise, atol=1e-5
        )


def test_a_level_has_the_signal_to_noise_ratio_of_its_step() -> None:
    steps = np.arange(0, 1000, 37)
    levels = level_of(alpha_bars()[steps])
    np.testing.assert_allclose([step_of(s) for s in levels], steps, atol=1e-6)
    ratio = (1 - levels) / levels
    np.testing.assert_allclose(ratio**2, alpha_bars()[steps] / (1 - alpha_bars()[steps]), rtol=1e-9)
    assert step_of(1.0) == 999
    assert step_of(0.0) == 0
    assert 200 < step_of(0.364) < 201


@pytest.mark.parametrize(
    ("sampler", "steps", "spacing"),
    [("ddim", 4, "linear"), ("dpm++2m", 4, "published"), ("heun", 3, "linear"), ("ddpm", 5, "published")],
)
def test_every_sampler_drives_it(sampler: Any, steps: int, spacing: Any) -> None:
    given, piece = rows(), music(80)
    denoise = UNetDenoiser(weights(knows(piece, given)), given, PLAIN)
    found = sample(
        denoise, denoise.shape, noise_levels(steps, spacing), np.random.default_rng(0), sampler=sampler
    )
    np.testing.assert_allclose(found, piece, atol=5e-3)


def test_windows_cover_any_length_in_small_batches() -> None:
    for beats in (4, 32, 36, 200):
        given, piece = rows(beats), music(max(32, beats))
        session = knows(piece, given)
        denoise = UNetDenoiser(weights(session), given, PLAIN)
        assert denoise.shape == (2, 4 * max(32, beats), 128)
        found = denoise(piece, 0.3)
        assert found.shape == denoise.shape
        assert sum(len(asked["planes"]) for asked in session.asked) == len(denoise.starts)
    guided = Session(lambda *_: np.zeros((2, 128, 128), np.float32))
    UNetDenoiser(weights(guided), given, Guidance(scale=2.0))(piece, 0.3)
    sizes = [len(asked["planes"]) for asked in guided.asked]
    assert sum(sizes) == 2 * len(denoise.starts)
    assert max(sizes) == MAX_BATCH
    np.testing.assert_allclose(denoise.fade.sum(axis=0), 1, atol=1e-6)
    assert max(b - a for a, b in zip(denoise.starts, denoise.starts[1:], strict=False)) <= 24


def test_beyond_the_piece_rows_are_zero_in_a_segment_of_their_own() -> None:
    window = rows(40).window(24, 32)
    assert window.visual.shape == (32, 512)
    assert not window.visual[16:].any()
    assert not window.caption[16:].any()
    assert window.segments[16:, -1].all()
    assert not window.segments[:16, -1].any()


def test_guidance_compares_with_no_condition() -> None:
    """Given rows the answer is 0.2 throughout, without 0.1: at scale 3 it is 0.4."""

    def clean(visual: np.ndarray, _caption: np.ndarray, mask: np.ndarray) -> np.ndarray:
        free = (visual == -1).all() and not mask[:, 32:].any()
        return np.full((2, 128, 128), 0.1 if free else 0.2, np.float32)

    session = Session(clean)
    given = rows(32)
    denoise = UNetDenoiser(weights(session, PUBLISHED), given, Guidance(scale=3.0))
    z = np.random.default_rng(0).standard_normal(denoise.shape, np.float32)
    np.testing.assert_allclose(denoise(z, 0.5), 0.4, atol=1e-4)
    assert len(session.asked) == 1
    # The repaired way says nothing by rows of 0.
    zeros = UNetDenoiser(weights(Session(clean), REPAIRED), given, Guidance(scale=3.0))
    np.testing.assert_allclose(zeros(z, 0.5), 0.2, atol=1e-4)


def test_the_estimate_is_held_to_the_range_of_music_where_repaired() -> None:
    def clean(*_: np.ndarray) -> np.ndarray:
        return np.full((2, 128, 128), 1.7, np.float32)

    z = np.zeros((2, 128, 128), np.float32)
    held = UNetDenoiser(weights(Session(clean)), rows(32), PLAIN)(z, 0.4)
    free = UNetDenoiser(weights(Session(clean), replace(REPAIRED, clip=False)), rows(32), PLAIN)(z, 0.4)
    np.testing.assert_allclose(held, 1.0)
    np.testing.assert_allclose(free, 1.7, atol=1e-4)


@pytest.mark.parametrize(
    ("selector", "s", "dynamic", "semantic"),
    [
        ("gate", 0.5, False, True), ("gate", 0.2, True, False), ("reversed", 0.5, True, False),
        ("both", 0.5, True, True), ("semantic", 0.2, False, True), ("dynamic", 0.5, True, False),
    ],
)  # fmt: skip
def test_the_selector_is_part_of_the_mask(selector: Any, s: float, dynamic: bool, semantic: bool) -> None:
    session = Session(lambda *_: np.zeros((2, 128, 128), np.float32))
    guidance = Guidance(scale=1.0, selector=selector)
    UNetDenoiser(weights(session), rows(32), guidance)(np.zeros((2, 128, 128), np.float32), s)
    (asked,) = session.asked
    visual, caption = np.split(asked["mask"][0], 2, axis=1)
    same = np.repeat(np.arange(32) // 10, 4)[:, None] == np.arange(32) // 10
    np.testing.assert_array_equal(visual, same & dynamic)
    np.testing.assert_array_equal(caption, same & semantic)


def test_random_selection_is_one_stream_and_the_same_again() -> None:
    guidance = Guidance(selector="random")
    drawn = [guidance.speaks(s) for s in np.linspace(0.01, 0.99, 40).tolist()]
    assert set(drawn) == {(True, False), (False, True)}
    assert drawn == [guidance.speaks(s) for s in np.linspace(0.01, 0.99, 40).tolist()]


def test_equal_blocks_do_not_see_the_borders() -> None:
    session = Session(lambda *_: np.zeros((2, 128, 128), np.float32))
    guidance = Guidance(scale=1.0, segments="blocks", selector="dynamic")
    UNetDenoiser(weights(session, PUBLISHED), rows(32), guidance)(np.zeros((2, 128, 128), np.float32), 0.5)
    visual = session.asked[0]["mask"][0, :, :32]
    halves = np.repeat(np.arange(32) // 16, 4)[:, None] == np.arange(32) // 16
    np.testing.assert_array_equal(visual, halves)
