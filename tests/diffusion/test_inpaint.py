"""Bars composed anew: what stays, bit for bit, what joins on, rhythms and pitches kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from diffbgm.diffusion import inpaint
from diffbgm.diffusion.compose import compose_roll
from diffbgm.diffusion.handmade import LAYOUT
from diffbgm.diffusion.inpaint import free_entries, held_over, kept_clamp, recompose
from diffbgm.diffusion.rhythm import struck_exactly, tilted
from diffbgm.diffusion.roll import ONSET, SUSTAIN, PianoRoll
from diffbgm.diffusion.sampler import Clamp
from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.tokens import TOKEN_SIZE, drop_orphans, to_roll
from diffbgm.diffusion.weights import Weights, open_weights
from diffbgm.errors import OptionError
from diffbgm.spotting.cuesheet import Edit, Plan
from tests.diffusion.plans import make_plan
from tests.diffusion.test_given import strike
from tests.diffusion.test_unet_compose import weights as unet_weights

BARS = 8
STEPS = 16 * BARS


def asking(first: int, last: int, **changes: Any) -> Edit:
    given = {"tracks": ("melody", "counter", "accompaniment"), "seed": 1, "weights": "w", "before": ""}
    return Edit.model_validate({"bars": (first, last), **given, **changes})


def random_roll(seed: int, n_steps: int = STEPS, notes: int = 120) -> PianoRoll:
    """Notes of 1 to 20 steps in all tracks, as bits that no note is missing from."""
    rng = np.random.default_rng(seed)
    roll = PianoRoll(
        np.zeros((3, 2, n_steps, 88), bool), np.zeros((3, n_steps), np.uint8),
        rng.random((n_steps // 4, 12)) < 0.3, rng.integers(-1, 12, n_steps // 4).astype(np.int8),
    )  # fmt: skip
    for _ in range(notes):
        start = int(rng.integers(0, n_steps))
        strike(roll, int(rng.integers(3)), start, int(rng.integers(1, 21)), int(rng.integers(35, 90)))
    bits = drop_orphans(roll.bits)
    struck = bits[:, ONSET].any(axis=-1)
    velocity = np.where(struck, rng.integers(40, 120, struck.shape), 0).astype(np.uint8)
    return PianoRoll(bits, velocity, roll.chroma, roll.bass)


def same(a: PianoRoll, b: PianoRoll, steps: slice) -> bool:
    beats = slice(steps.start // 4, steps.stop // 4)
    return bool(
        (a.bits[:, :, steps] == b.bits[:, :, steps]).all()
        and (a.velocity[:, steps] == b.velocity[:, steps]).all()
        and (a.chroma[beats] == b.chroma[beats]).all()
        and (a.bass[beats] == b.bass[beats]).all()
    )


@pytest.fixture
def noise_draws(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """In place of the network: notes at random everywhere, as bad a neighbour as can be."""
    arounds: list[Any] = []

    def draw(plan: Plan, weights: Weights, *given: Any) -> PianoRoll:
        arounds.append(given[-1])
        return random_roll(1000 + given[-1].seed, 4 * plan.tempo_map.n_beats, 400)

    monkeypatch.setattr(inpaint, "draw", draw)
    return arounds


@pytest.mark.usefixtures("noise_draws")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("like", [None, "notes"])
@pytest.mark.parametrize("chords", [None, "Am F,G"])
def test_whatever_is_drawn_the_rest_stays_and_no_note_breaks(
    seed: int, like: str | None, chords: str | None
) -> None:
    old = random_roll(seed)
    plan = make_plan(bars=BARS).model_copy(update={"chords": chords})
    new = recompose(old, plan, asking(3, 5, seed=seed, like=like), unet_weights("codes", "key"))
    assert same(old, new, slice(0, 32))
    assert same(old, new, slice(80, STEPS))
    assert (new.bits[:, :, 32:80] != old.bits[:, :, 32:80]).any()
    np.testing.assert_array_equal(new.bits, drop_orphans(new.bits))
    assert not new.velocity[~new.bits[:, ONSET].any(axis=-1)].any()


@pytest.mark.usefixtures("noise_draws")
def test_of_one_track_the_others_and_the_chords_stay() -> None:
    old = random_roll(3)
    new = recompose(old, make_plan(bars=BARS), asking(3, 5, tracks=("melody",)), unet_weights("codes", "key"))
    np.testing.assert_array_equal(new.bits[1:], old.bits[1:])
    np.testing.assert_array_equal(new.velocity[1:], old.velocity[1:])
    np.testing.assert_array_equal(new.chroma, old.chroma)
    assert (new.bits[0] != old.bits[0]).any()


def test_a_note_held_over_the_last_border_is_held_from_where_it_is_struck() -> None:
    roll = random_roll(0, notes=0)
    strike(roll, 2, 40, 50, 60)  # struck in the edited bars, held to step 90
    strike(roll, 2, 10, 80, 48)  # through all of them
    strike(roll, 2, 70, 10, 55)  # ends with them
    strike(roll, 0, 20, 20, 72)  # held into them
    over = held_over(roll.bits, 80)
    assert {tuple(each) for each in np.argwhere(over[2])} == {
        *((step, 60 - 21) for step in range(40, 80)),
        *((step, 48 - 21) for step in range(10, 80)),
    }
    free = free_entries(roll, asking(3, 5))
    assert not free.bits[2, :, 32:80, 48 - 21].any()
    assert not free.bits[2, :, 40:80, 60 - 21].any()
    assert free.bits[2, :, 32:40, 60 - 21].all()
    assert free.bits[2, :, 32:80, 55 - 21].all()
    assert free.bits[0, :, 32:80, 72 - 21].all()
    assert not free.velocity[2, 40]
    assert free.velocity[2, 41]
    assert not free.bits[:, :, :32].any()
    assert not free.bits[:, :, 80:].any()


def test_at_the_end_of_the_piece_nothing_is_held_over() -> None:
    assert free_entries(random_roll(1), asking(7, 8)).bits[:, :, 96:].all()


@pytest.mark.parametrize("semitones", [0, 2, -5])
def test_the_clamp_says_what_stays_in_the_models_key(semitones: int) -> None:
    roll = random_roll(5)
    free = free_entries(roll, asking(3, 5))
    clamp = kept_clamp(roll, free, semitones)
    back = to_roll(clamp.values, semitones)
    np.testing.assert_array_equal(back.bits, roll.bits)
    np.testing.assert_array_equal(back.chroma, roll.chroma)
    np.testing.assert_array_equal(back.bass, roll.bass)
    struck = roll.velocity > 0
    np.testing.assert_array_equal(back.velocity[struck], roll.velocity[struck])
    assert clamp.mask[:8].all()
    assert clamp.mask[20:].all()
    assert not clamp.mask[8:20].all(axis=1).any()


def test_tilted_odds_add_up_and_keep_their_order() -> None:
    logits = np.random.default_rng(0).normal(-4, 3, (7, 88))
    logits[2, 5:] = -np.inf
    count = np.array([1, 2, 3, 4, 5, 6, 1])
    odds = tilted(logits, count)
    np.testing.assert_allclose(odds.sum(axis=1), count, atol=1e-6)
    np.testing.assert_array_equal(np.argsort(odds[0]), np.argsort(logits[0]))
    np.testing.assert_array_equal(odds[2, 5:], 0)


def test_the_most_certain_keys_are_struck_and_what_is_held_stays() -> None:
    rng = np.random.default_rng(1)
    tokens = rng.normal(-1, 1, (2, TOKEN_SIZE)).astype(np.float32)
    struck = np.full((3, 8), -1)
    struck[2, 3], struck[2, 5], struck[0, 1] = 3, 0, 1
    mask = np.zeros((2, TOKEN_SIZE), bool)
    mask[:, -24:] = True
    out = struck_exactly(tokens, struck, Clamp(mask, tokens))
    before, after = (
        each[:, :2112].reshape(2, 3, 2, 4, 88)[:, :, ONSET].transpose(1, 0, 2, 3).reshape(3, 8, 88)
        for each in (tokens, out)
    )
    assert set(np.flatnonzero(after[2, 3] > 0)) == set(np.argsort(before[2, 3])[-3:])
    assert not (after[2, 5] > 0).any()
    assert np.flatnonzero(after[0, 1] > 0).tolist() == [int(before[0, 1].argmax())]
    np.testing.assert_array_equal(after[1], before[1])
    np.testing.assert_array_equal(after[2, [0, 1, 2, 4, 6, 7]], before[2, [0, 1, 2, 4, 6, 7]])


@pytest.fixture(scope="module")
def composed() -> tuple[Plan, Weights, Sampling, PianoRoll]:
    weights = open_weights()
    sampling = Sampling.of(weights.sampling, steps=4, sampler="dpm++2m")
    plan = make_plan(bars=BARS, key="Eb")
    return plan, weights, sampling, compose_roll(plan, weights, sampling=sampling)


def test_the_shipped_weights_change_the_bars_alone_and_repeat_themselves(composed: Any) -> None:
    plan, weights, sampling, old = composed
    new, again, other = (
        recompose(old, plan, asking(3, 5, seed=seed), weights, sampling=sampling) for seed in (1, 1, 2)
    )
    assert same(old, new, slice(0, 32))
    assert same(old, new, slice(80, STEPS))
    assert new.digest == again.digest
    assert len({old.digest, new.digest, other.digest}) == 3
    assert new.bits[:, ONSET, 32:80].any(axis=(1, 2)).any()


def test_a_rhythm_stays_with_other_pitches(composed: Any) -> None:
    plan, weights, sampling, old = composed
    new = recompose(old, plan, asking(2, 6, like="rhythm", seed=4), weights, sampling=sampling)
    np.testing.assert_array_equal(new.bits[:, ONSET].sum(axis=-1), old.bits[:, ONSET].sum(axis=-1))
    np.testing.assert_array_equal(new.velocity, old.velocity)
    inside = slice(16, 96)
    kept = (new.bits & old.bits)[:, ONSET, inside].sum() / old.bits[:, ONSET, inside].sum()
    assert kept < 0.8


def test_pitches_stay_with_another_rhythm(composed: Any) -> None:
    plan, weights, sampling, old = composed
    new = recompose(old, plan, asking(2, 6, like="notes", seed=4), weights, sampling=sampling)
    np.testing.assert_array_equal(new.chroma, old.chroma)
    np.testing.assert_array_equal(new.bass, old.bass)
    for track in range(3):
        for bar in range(1, 6):
            used, allowed = (
                {int(key) % 12 for key in np.argwhere(roll.bits[track, :, 16 * bar : 16 * bar + 16])[:, 2]}
                for roll in (new, old)
            )
            assert used <= allowed
    inside = slice(16, 96)
    assert (new.bits[:, ONSET, inside].any(axis=-1) != old.bits[:, ONSET, inside].any(axis=-1)).any()


def test_another_kind_of_network_leaves_the_rest_alone_too(composed: Any) -> None:
    plan, _, _, old = composed
    weights = unet_weights(f"handmade-{LAYOUT}", "key")
    new = recompose(old, plan, asking(3, 5), weights)
    assert same(old, new, slice(0, 32))
    assert same(old, new, slice(80, STEPS))
    assert (new.bits[:, :, 32:80] != old.bits[:, :, 32:80]).any()
    assert not (new.bits[:, ONSET] & new.bits[:, SUSTAIN]).any()
    with pytest.raises(OptionError, match="option like: unet-0-00000000 knows no tracks"):
        recompose(old, plan, asking(3, 5, like="rhythm"), weights)
