"""Samplers against Gaussians, of which the denoiser, the samples and their conditionals are known exactly.

For x ~ N(mean, spread^2) the deterministic samplers have to carry the noise n they start from to
mean + spread n, so their error is measured draw by draw; the others have to get mean and spread right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest

from diffbgm.diffusion.levels import PUBLISHED_STEPS, alpha_bars, noise_levels
from diffbgm.diffusion.sampler import Clamp, renoise, sample
from diffbgm.options import Sampler, Spacing

MEAN, SPREAD = 1.5, 0.7


def gaussian_denoiser(z: np.ndarray, s: float) -> np.ndarray:
    """E[x | z] for x ~ N(MEAN, SPREAD^2) and z = (1 - s) x + s n: known in closed form."""
    gain = (1 - s) * SPREAD**2 / ((1 - s) ** 2 * SPREAD**2 + s**2)
    return (MEAN + gain * (z - (1 - s) * MEAN)).astype(np.float32)


def pair_denoiser(correlation: float) -> Callable[[np.ndarray, float], np.ndarray]:
    """The same for pairs of unit normals with that correlation; z of shape (draws, 2)."""
    covariance = np.array([[1, correlation], [correlation, 1]])

    def denoise(z: np.ndarray, s: float) -> np.ndarray:
        gain = (1 - s) * covariance @ np.linalg.inv((1 - s) ** 2 * covariance + s**2 * np.eye(2))
        return (z @ gain.T).astype(np.float32)

    return denoise


def error(sampler: Sampler, levels: np.ndarray) -> float:
    """Root mean square distance from where the noise should have been carried."""
    drawn = sample(gaussian_denoiser, (2000,), levels, np.random.default_rng(1), sampler=sampler)
    start = float(levels[0])
    z = math.hypot(1 - start, start) * np.random.default_rng(1).standard_normal(2000, dtype=np.float32)
    standard = (z - (1 - start) * MEAN) / math.hypot((1 - start) * SPREAD, start)
    return float(np.sqrt(np.mean((drawn - (MEAN + SPREAD * standard)) ** 2)))


def equal_log_ratios(steps: int) -> np.ndarray:
    """Levels from 0.99 to 0.001 in equal steps of log((1 - s) / s), then 0."""
    ends = np.log(np.array([0.01, 0.999]) / np.array([0.99, 0.001]))
    return np.append(1 / (1 + np.exp(np.linspace(*ends, steps))), 0.0)


@pytest.mark.parametrize(("sampler", "order"), [("ddim", 1), ("euler", 1), ("dpm++2m", 2), ("heun", 2)])
def test_the_error_falls_with_the_order(sampler, order) -> None:
    errors = [error(sampler, equal_log_ratios(steps)) for steps in (32, 64, 128)]
    for coarse, fine in pairwise(errors):
        assert coarse / fine == pytest.approx(2**order, rel=0.1)


@pytest.mark.parametrize("spacing", ["linear", "cosine", "shifted"])
@pytest.mark.parametrize(("sampler", "falls"), [("ddim", 2), ("dpm++2m", 2.6), ("heun", 4)])
def test_the_error_falls_with_every_spacing(sampler, falls, spacing) -> None:
    """At the ends of these spacings dpm++2m has only part of its order."""
    coarse, fine = (error(sampler, noise_levels(steps, spacing)) for steps in (64, 128))
    assert coarse / fine > 0.95 * falls
    assert fine < (0.02 if sampler == "ddim" else 0.002)


@pytest.mark.parametrize("sampler", ["dpm++2m", "heun"])
def test_the_second_order_is_worth_its_calls(sampler) -> None:
    assert error(sampler, noise_levels(8 if sampler == "heun" else 16)) < error("ddim", noise_levels(16)) / 2


@pytest.mark.parametrize(
    ("sampler", "eta"), [("ddim", 0.0), ("ddim", 0.5), ("ddim", 1.0), *((s, 0.0) for s in get_args(Sampler))]
)
@pytest.mark.parametrize("spacing", get_args(Spacing))
def test_samples_have_the_distribution_of_the_data(sampler, eta, spacing) -> None:
    levels = noise_levels(200, spacing)
    drawn = sample(gaussian_denoiser, (20_000,), levels, np.random.default_rng(0), sampler=sampler, eta=eta)
    # published levels start where 7 % of the signal is left, from noise that has none of it
    assert drawn.mean() == pytest.approx(MEAN, abs=0.015 if spacing != "published" else 0.07)
    assert drawn.std() == pytest.approx(SPREAD, rel=0.02 if eta == 0 and sampler != "ddpm" else 0.035)


def test_ancestral_sampling_converges_in_mean_and_spread() -> None:
    def spread_error(steps: int) -> float:
        rng = np.random.default_rng(2)
        drawn = sample(gaussian_denoiser, (200_000,), noise_levels(steps), rng, sampler="ddpm")
        assert drawn.mean() == pytest.approx(MEAN, abs=0.01)
        return abs(float(drawn.std()) - SPREAD)

    assert spread_error(8) / spread_error(16) == pytest.approx(2, abs=0.5)


def test_the_published_chain_step_by_step() -> None:
    """Equal to the textbook's ancestral step in its own scaling, z_t = sqrt(ab) x + sqrt(1 - ab) n."""
    alpha_bar = alpha_bars()
    assert alpha_bar[[0, 200, -1]] == pytest.approx([0.99915, 0.75369, 0.00466], abs=1e-5)
    levels = noise_levels(PUBLISHED_STEPS, "published")
    assert len(levels) == PUBLISHED_STEPS + 1
    scale = np.sqrt(alpha_bar) + np.sqrt(1 - alpha_bar)
    rng = np.random.default_rng(4)
    for t in (999, 998, 700, 200, 50, 1):
        x, z_t = rng.standard_normal((2, 5000)).astype(np.float32)
        before = alpha_bar[t - 1]
        alpha = alpha_bar[t] / before
        fresh = np.random.default_rng(t).standard_normal(5000, dtype=np.float32)
        mean = (
            np.sqrt(before) * (1 - alpha) * x.astype(np.float64) + np.sqrt(alpha) * (1 - before) * z_t
        ) / (1 - alpha_bar[t])
        variance = (1 - before) / (1 - alpha_bar[t]) * (1 - alpha)
        s, s_next = levels[999 - t], levels[1000 - t]
        ours = renoise(
            (z_t / scale[t]).astype(np.float32), x, float(s), float(s_next), 1.0, np.random.default_rng(t)
        )
        np.testing.assert_allclose(
            ours, (mean + np.sqrt(variance) * fresh) / scale[t - 1], rtol=1e-6, atol=1e-6
        )


def test_the_published_chain_starts_from_unit_noise_and_ends_at_the_estimate() -> None:
    seen = []

    def spy(z: np.ndarray, s: float) -> np.ndarray:
        seen.append((s, z))
        return gaussian_denoiser(z, s)

    levels = noise_levels(PUBLISHED_STEPS, "published")
    out = sample(spy, (1000,), levels, np.random.default_rng(5), sampler="ddpm")
    first = math.sqrt(alpha_bars()[-1]) + math.sqrt(1 - alpha_bars()[-1])
    unit = np.random.default_rng(5).standard_normal(1000, dtype=np.float32)
    np.testing.assert_allclose(seen[0][1] * first, unit, rtol=1e-5)
    assert len(seen) == PUBLISHED_STEPS
    np.testing.assert_array_equal(out, gaussian_denoiser(seen[-1][1], seen[-1][0]))


def test_spacings() -> None:
    for spacing in get_args(Spacing):
        for steps in (1, 2, 7, 50):
            levels = noise_levels(steps, spacing)
            assert len(levels) == steps + 1
            assert (np.diff(levels) < 0).all()
            assert levels[0] == (1.0 if spacing != "published" else pytest.approx(0.93596, abs=1e-5))
            assert levels[-1] == 0
    assert noise_levels(4, "shifted") == pytest.approx([1, 0.9, 0.75, 0.5, 0])
    assert noise_levels(2, "cosine")[1] == pytest.approx(0.5)
    with pytest.raises(ValueError, match="at least one"):
        noise_levels(0)
    with pytest.raises(ValueError, match="has 1000"):
        noise_levels(1001, "published")
    with pytest.raises(ValueError, match="equal"):
        noise_levels(4, "equal")  # type: ignore[arg-type]


@pytest.mark.parametrize("sampler", get_args(Sampler))
def test_clamped_entries_are_exact_and_seen_by_the_denoiser(sampler) -> None:
    mask = np.zeros((4, 600), bool)
    mask[1] = True
    values = np.full((4, 600), 7.3, np.float32)
    seen = []

    def spy(z: np.ndarray, s: float) -> np.ndarray:
        seen.append((s, z[1]))
        return gaussian_denoiser(z, s)

    out = sample(
        spy, (4, 600), noise_levels(50), np.random.default_rng(0), sampler=sampler, clamp=Clamp(mask, values)
    )
    np.testing.assert_array_equal(out[1], np.float32(7.3))
    assert not (out[0] == np.float32(7.3)).any()
    for s, z in seen:  # noised as the level says
        assert z.mean() == pytest.approx((1 - s) * 7.3, abs=5 * s / math.sqrt(600) + 1e-4)
        assert z.std() == pytest.approx(s, rel=0.15)


@pytest.mark.parametrize("sampler", get_args(Sampler))
@pytest.mark.parametrize("correlation", [0.5, 0.8, 0.95])
def test_what_is_drawn_beside_a_clamped_entry(sampler, correlation) -> None:
    """Its conditional mean is reached by repeated steps, and missed in a known way by single ones."""
    draws, value = 4000, 2.0
    mask = np.zeros((draws, 2), bool)
    mask[:, 0] = True
    clamp = Clamp(mask, np.full((draws, 2), value, np.float32))

    def share_of_mean(passes: int) -> float:
        drawn = sample(
            pair_denoiser(correlation), (draws, 2), noise_levels(32), np.random.default_rng(0),
            sampler=sampler, clamp=clamp, passes=passes,
        )  # fmt: skip
        np.testing.assert_array_equal(drawn[:, 0], np.float32(value))
        return float(drawn[:, 1].mean() / (correlation * value))

    single, repeated = share_of_mean(1), share_of_mean(20)
    assert 0.3 < single < 0.8
    assert repeated == pytest.approx(1, abs=0.12)


def test_passes_leave_an_unclamped_distribution_as_it_is() -> None:
    drawn = sample(
        gaussian_denoiser, (20_000,), noise_levels(100), np.random.default_rng(3), eta=1.0, passes=3
    )
    assert drawn.mean() == pytest.approx(MEAN, abs=0.02)
    assert drawn.std() == pytest.approx(SPREAD, rel=0.06)


@pytest.mark.parametrize("sampler", get_args(Sampler))
def test_seed_decides(sampler) -> None:
    one, same, other = (
        sample(gaussian_denoiser, (50,), noise_levels(8), np.random.default_rng(seed), sampler=sampler)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_euler_is_ddim_and_ddpm_is_ddim_with_all_its_noise() -> None:
    def drawn(sampler: Sampler, eta: float = 0.0) -> np.ndarray:
        return sample(
            gaussian_denoiser, (50,), noise_levels(8), np.random.default_rng(0), sampler=sampler, eta=eta
        )

    np.testing.assert_array_equal(drawn("euler"), drawn("ddim"))
    np.testing.assert_array_equal(drawn("ddpm"), drawn("ddim", 1.0))
    assert np.abs(drawn("ddim", 0.5) - drawn("ddim")).max() > 0.01


def test_progress_ends_at_one() -> None:
    heard: list[float] = []
    sample(gaussian_denoiser, (2,), noise_levels(4), np.random.default_rng(0), progress=heard.append)
    assert heard == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sampler": "magic"}, "magic"),
        ({"sampler": "heun", "eta": 0.5}, "only ddim"),
        ({"levels": np.array([1.0, 0.5])}, "not at 0"),
    ],
)
def test_what_does_not_fit_is_refused(wrong, message) -> None:
    with pytest.raises(ValueError, match=message):
        sample(**{
            "denoise": gaussian_denoiser, "shape": (2,), "levels": noise_levels(4),
            "rng": np.random.default_rng(0), **wrong,
        })  # fmt: skip
