"""What is kept with the weights, what is asked instead, and guidance."""

from __future__ import annotations

import numpy as np
import pytest

from diffbgm.diffusion.compose import compose_roll
from diffbgm.diffusion.denoiser import Guidance, guided
from diffbgm.diffusion.guidance import guide
from diffbgm.diffusion.sampler import sample
from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.tokens import TOKEN_SIZE, VELOCITIES
from diffbgm.diffusion.weights import open_weights
from diffbgm.errors import OptionError
from diffbgm.options import ComposeOptions

from .plans import make_plan

SHIPPED = {"steps": 32, "guidance": 2.0, "eta": 0.0, "selector": "both", "threshold": 0.364}


def test_missing_keys_mean_what_they_always_meant() -> None:
    assert Sampling.of(SHIPPED) == Sampling()
    assert Sampling.of({}) == Sampling()
    assert Sampling.of(SHIPPED).levels == pytest.approx(np.linspace(1, 0, 33), abs=0)
    assert Sampling.of(open_weights().sampling) == Sampling(steps=16, sampler="dpm++2m")


def test_what_is_given_wins() -> None:
    options = ComposeOptions.build(
        {"steps": "16", "sampler": "dpm++2m", "spacing": "cosine", "selector": "gate", "segments": "blocks"}
    )
    chosen = Sampling.of({**SHIPPED, "eta": 0.4}, **options.sampling)
    assert (chosen.steps, chosen.sampler, chosen.spacing, chosen.guidance) == (16, "dpm++2m", "cosine", 2.0)
    assert (chosen.selector, chosen.segments) == ("gate", "blocks")
    assert chosen.eta == 0  # was chosen for ddim
    assert Sampling.of({**SHIPPED, "eta": 0.4}, steps=8).eta == 0.4
    assert Sampling.of({**SHIPPED, "eta": 0.4}, sampler="ddim").eta == 0.4


def test_ddpm_alone_is_the_published_chain() -> None:
    published = Sampling.of(SHIPPED, sampler="ddpm")
    assert (published.steps, published.spacing) == (1000, "published")
    assert Sampling.of(SHIPPED, sampler="ddpm", steps=50, spacing="linear").steps == 50


def test_how_conditions_enter() -> None:
    asked = Sampling(
        guidance=3.0, guidance_rescale=0.7, selector="gate", threshold=0.5, segments="blocks"
    ).conditions
    assert asked == Guidance(scale=3.0, rescale=0.7, selector="gate", threshold=0.5, segments="blocks")


def test_what_is_asked_reaches_the_composed_roll() -> None:
    plan, weights = make_plan(bars=4), open_weights()

    def bits(**given: object) -> bytes:
        asked = Sampling.of(SHIPPED, **{"steps": 4, **given})
        return compose_roll(plan, weights, sampling=asked).bits.tobytes()

    asked = [
        {}, {"sampler": "dpm++2m"}, {"sampler": "heun"}, {"sampler": "ddpm"}, {"eta": 0.5}, {"steps": 3},
        {"spacing": "shifted"}, {"guidance": 1.5}, {"guidance_rescale": 1.0}, {"selector": "gate"},
        {"selector": "reversed"}, {"selector": "gate", "threshold": 0.8}, {"segments": "global"},
    ]  # fmt: skip
    assert len({bits(**given) for given in asked}) == len(asked)
    assert bits(sampler="euler") == bits()


def test_eta_with_another_sampler_is_refused() -> None:
    with pytest.raises(OptionError, match=r"option eta: .* not for heun"):
        Sampling.of(SHIPPED, sampler="heun", eta=0.5)


def test_a_threshold_without_a_selector_that_turns_is_refused() -> None:
    with pytest.raises(OptionError, match="option threshold: the selector both has none"):
        Sampling.of(SHIPPED, threshold=0.5)
    assert Sampling.of(SHIPPED, selector="gate", threshold=0.5).threshold == 0.5


@pytest.mark.parametrize("sampler", ["ddim", "heun", "dpm++2m"])
@pytest.mark.parametrize("steps", [1, 2, 7, 8])
def test_steps_count_calls_of_the_network(sampler, steps) -> None:
    calls = []
    sampling = Sampling(steps=steps, sampler=sampler)
    sample(
        lambda z, s: calls.append(s) or z, (1,), sampling.levels, np.random.default_rng(0), sampler=sampler
    )
    assert len(calls) == (steps - 1 + steps % 2 if sampler == "heun" else steps)


def test_guidance_and_its_rescaling() -> None:
    rng = np.random.default_rng(0)
    bound, free = rng.standard_normal((2, 3, 64, 100)).astype(np.float32)
    np.testing.assert_allclose(guide(bound, free, 1.0), bound, atol=1e-6)
    np.testing.assert_allclose(guide(bound, free, 0.0), free, atol=1e-6)
    plain = guide(bound, free, 4.0)
    np.testing.assert_allclose(plain, free + 4 * (bound - free), atol=1e-5)
    assert (plain.std(axis=(1, 2)) > 3 * bound.std(axis=(1, 2))).all()
    full, half = guide(bound, free, 4.0, 1.0), guide(bound, free, 4.0, 0.5)
    np.testing.assert_allclose(full.std(axis=(1, 2)), bound.std(axis=(1, 2)), rtol=1e-4)
    np.testing.assert_allclose(half, (full + plain) / 2, atol=1e-4)
    alone = guide(bound[:1], free[:1], 4.0, 1.0)
    np.testing.assert_allclose(full[:1], alone, atol=1e-5)  # each of a batch by itself


def test_rescaling_leaves_velocities_as_conditioned() -> None:
    bound, free = np.random.default_rng(1).standard_normal((2, 2, 4, TOKEN_SIZE)).astype(np.float32)
    out = guided(bound, free, 3.0, 0.7)
    np.testing.assert_array_equal(out[..., VELOCITIES], bound[..., VELOCITIES])
    assert np.abs(out - guided(bound, free, 3.0)).max() > 0.1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sampler", "magic"),
        ("spacing", "even"),
        ("eta", 1.5),
        ("guidance_rescale", -0.1),
        ("steps", 0),
        ("selector", "soft"),
        ("threshold", 1.5),
        ("segments", "bars"),
    ],
)
def test_options_out_of_range(name, value) -> None:
    with pytest.raises(OptionError, match=f"option {name.replace('_', '-')}"):
        ComposeOptions.build({name: value})
