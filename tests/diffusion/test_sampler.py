from __future__ import annotations

import numpy as np
import pytest

from diffbgm.diffusion.sampler import Clamp, noise_levels, sample

MEAN, SPREAD = 1.5, 0.4


def gaussian_denoiser(z: np.ndarray, s: float) -> np.ndarray:
    """E[x | z] for x ~ N(MEAN, SPREAD^2) and z = (1 - s) x + s n: known in closed form."""
    gain = (1 - s) * SPREAD**2 / ((1 - s) ** 2 * SPREAD**2 + s**2)
    return (MEAN + gain * (z - (1 - s) * MEAN)).astype(np.float32)


@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_samples_have_the_distribution_of_the_data(eta: float) -> None:
    drawn = sample(gaussian_denoiser, (20_000,), noise_levels(200), np.random.default_rng(0), eta=eta)
    assert drawn.mean() == pytest.approx(MEAN, abs=0.01)
    # fresh noise makes the last, coarse steps forget: the spread shrinks, but not by more than this
    assert drawn.std() == pytest.approx(SPREAD, rel=0.03 if eta == 0 else 0.25)


def test_more_steps_come_closer() -> None:
    errors = [
        abs(sample(gaussian_denoiser, (20_000,), noise_levels(n), np.random.default_rng(1)).std() - SPREAD)
        for n in (4, 16, 64)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_clamped_entries_are_exact_and_seen_by_the_denoiser() -> None:
    mask = np.zeros((4, 6), bool)
    mask[1] = True
    values = np.full((4, 6), 7.0, np.float32)
    seen = []

    def spy(z: np.ndarray, s: float) -> np.ndarray:
        seen.append((s, z[1].mean()))
        return gaussian_denoiser(z, s)

    out = sample(spy, (4, 6), noise_levels(50), np.random.default_rng(0), eta=0.5, clamp=Clamp(mask, values))
    np.testing.assert_array_equal(out[1], 7.0)
    assert not (out[0] == 7.0).any()
    last_level, last_seen = seen[-1]
    assert last_seen == pytest.approx((1 - last_level) * 7.0, abs=0.2)


def test_seed_decides() -> None:
    one, same, other = (
        sample(gaussian_denoiser, (50,), noise_levels(8), np.random.default_rng(seed), eta=0.5)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_progress_ends_at_one_and_no_steps_is_refused() -> None:
    heard: list[float] = []
    sample(gaussian_denoiser, (2,), noise_levels(4), np.random.default_rng(0), progress=heard.append)
    assert heard == [0.25, 0.5, 0.75, 1.0]
    with pytest.raises(ValueError, match="at least one"):
        noise_levels(0)
