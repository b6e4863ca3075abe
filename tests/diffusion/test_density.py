from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from diffbgm.diffusion.compose import draw
from diffbgm.diffusion.conditions import (
    DYNAMIC_FIELDS,
    DYNAMIC_INDEX,
    Conditions,
    conditions_of,
    density_code,
    melody_code,
)
from diffbgm.diffusion.denoiser import Guidance, Shaper
from diffbgm.diffusion.density import AskedDensity, asked_melody, asked_onsets
from diffbgm.diffusion.roll import ONSET
from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.tokens import BITS, BITS_SHAPE, CHORD, F32, TOKEN_SIZE, amplitudes
from diffbgm.diffusion.weights import open_weights

from .plans import make_plan


def asked(density: list[int], melody: list[int] | None = None) -> NDArray[np.int64]:
    """Codes of four beats for each number of onsets a bar; -1 = unknown."""
    dynamic = np.zeros((4 * len(density), len(DYNAMIC_FIELDS)), np.int64)
    for bar, onsets in enumerate(density):
        if onsets >= 0:
            dynamic[4 * bar : 4 * bar + 4, DYNAMIC_INDEX["density"]] = density_code(onsets / 4)
    for bar, onsets in enumerate(melody or []):
        if onsets >= 0:
            dynamic[4 * bar : 4 * bar + 4, DYNAMIC_INDEX["melody"]] = melody_code(onsets / 4)
    return dynamic


def estimate(bars: int, chance: float = 0.01, seed: int = 0) -> F32:
    """Clean estimates with onsets of about this chance, everything else put out."""
    rng = np.random.default_rng(seed)
    out = -amplitudes() * np.ones((4 * bars, TOKEN_SIZE), np.float32)
    bits = out[:, BITS].reshape(-1, *BITS_SHAPE)
    p = np.clip(rng.exponential(chance, bits[:, :, ONSET].shape), 0, 0.99)
    bits[:, :, ONSET] = (2 * p - 1) * np.array([2, 2, 1])[:, None, None]
    out[:, BITS] = bits.reshape(4 * bars, -1)
    return out.astype(np.float32)


def expected(tokens: F32) -> NDArray[np.float64]:
    """Expected onsets of each bar and track, (bars, 3)."""
    bits = tokens[:, BITS].reshape(-1, 4, *BITS_SHAPE)[..., ONSET, :, :]
    chance = (1 + bits / np.array([2, 2, 1])[:, None, None]) / 2
    return np.asarray(chance.sum(axis=(1, 3, 4)), np.float64)


@pytest.mark.parametrize("onsets", range(0, 47))
def test_a_code_stands_for_counts_around_its_middle(onsets: int) -> None:
    low, high = asked_onsets(asked([onsets]))
    assert low[0] - 1 <= onsets <= high[0] + 0.5


@pytest.mark.parametrize("onsets", range(0, 14))
def test_the_melody_s_codes_are_rounded_up(onsets: int) -> None:
    low, high = asked_melody(asked([8], [onsets]))
    assert high[0] - 1 <= onsets <= high[0]
    assert low[0] == max(high[0] - 0.5, 0)


def test_bars_come_to_what_is_asked_and_others_stay() -> None:
    before = estimate(4)
    total = expected(before).sum(axis=1)
    close = round(total[2] / 2) * 2
    after = AskedDensity(asked([46, 30, close, -1]))(before)
    moved = expected(after).sum(axis=1)
    assert moved[0] == pytest.approx(46 - 0.2, abs=0.1)
    assert moved[1] == pytest.approx(30 + 0.6, abs=0.1)
    np.testing.assert_array_equal(after[12:], before[12:])
    rest = np.ones(TOKEN_SIZE, bool)
    rest[BITS] = False
    np.testing.assert_array_equal(after[:, rest], before[:, rest])
    sustain = after[:, BITS].reshape(-1, *BITS_SHAPE)[:, :, 1]
    np.testing.assert_array_equal(sustain, before[:, BITS].reshape(-1, *BITS_SHAPE)[:, :, 1])
    assert before[0, CHORD].tolist() == after[0, CHORD].tolist()


def test_the_likelier_note_stays_the_likelier() -> None:
    before = estimate(1)
    after = AskedDensity(asked([40]))(before)
    flat = [tokens[:, BITS].reshape(-1, *BITS_SHAPE)[:, 2, ONSET].reshape(-1) for tokens in (before, after)]
    order = np.argsort(flat[0])
    assert (np.diff(flat[1][order][-200:]) >= -1e-5).all()


def test_a_melody_that_is_not_asked_for_falls_silent_and_the_others_make_up_for_it() -> None:
    before = estimate(2, 0.012)
    after = expected(AskedDensity(asked([14, 14], [0, 4]))(before))
    assert after[0, 0] < 0.06 * expected(before)[0, 0] + 0.5
    assert after[1, 0] == pytest.approx(4, abs=0.55)
    np.testing.assert_allclose(after.sum(axis=1), 14.2, atol=0.6)


def test_what_is_nearly_certain_is_not_overruled() -> None:
    before = estimate(1, 1e-6)
    bits = before[:, BITS].reshape(-1, *BITS_SHAPE)
    bits[:, 2, ONSET, 0, 40:45] = 0.999  # 20 notes, each p = 0.9995
    before[:, BITS] = bits.reshape(4, -1)
    after = expected(AskedDensity(asked([0]))(before)).sum()
    assert after > 19


def test_density_is_asked_only_while_the_dynamic_stream_speaks() -> None:
    before = estimate(1)
    shaper = Shaper(Conditions(asked([30]), np.zeros((1, 7), np.int64), np.ones((4, 1), bool)))
    assert (shaper(before, 0.5, Guidance(selector="both")) != before).any()
    np.testing.assert_array_equal(shaper(before, 0.5, Guidance(selector="semantic")), before)


def test_composed_bars_have_the_density_that_the_plan_asks() -> None:
    plan = make_plan(bars=24)
    roll = draw(plan, open_weights(), Sampling(steps=4, sampler="dpm++2m"))
    code = conditions_of(plan).dynamic[::4, DYNAMIC_INDEX["density"]][:-1]
    got = roll.bits[:, ONSET].sum(axis=(0, 2)).reshape(-1, 16).sum(axis=1)[:-1]
    assert np.abs(got - 2 * (code - 1)).mean() < 2.5
