from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from diffbgm.diffusion.compose import draw
from diffbgm.diffusion.conditions import ACCENT, DYNAMIC_FIELDS, Conditions, conditions_of
from diffbgm.diffusion.motif import MOTIFS, Motifs, motif_groups
from diffbgm.diffusion.roll import ONSET
from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.tilt import tilted_sums
from diffbgm.diffusion.tokens import BITS, BITS_SHAPE, F32, TOKEN_SIZE, amplitudes
from diffbgm.diffusion.weights import open_weights

from .plans import make_plan

AMPLITUDE = np.array([2, 2, 1])[:, None, None]


def phrases(*bars: int) -> NDArray[np.bool_]:
    """The mask of phrases of so many bars each."""
    owner = np.repeat(np.arange(len(bars)), 4 * np.array(bars))
    return owner[:, None] == np.arange(len(bars))


def music(bars: int, seed: int = 0) -> F32:
    """Clean estimates with melody and accompaniment at random steps, some sure, some not."""
    rng = np.random.default_rng(seed)
    out = (-amplitudes() * np.ones((4 * bars, TOKEN_SIZE))).astype(np.float32)
    bits = out[:, BITS].reshape(-1, *BITS_SHAPE)
    chance = np.full((4 * bars, 3, 4, 88), 0.002)
    for track in (0, 2):
        for beat, step in np.argwhere(rng.random((4 * bars, 4)) < 0.4):
            chance[beat, track, step, 40 + rng.choice(12, 3, replace=False)] = 0.8 * rng.random(3)
    bits[:, :, ONSET] = AMPLITUDE * (2 * chance - 1)
    out[:, BITS] = bits.reshape(4 * bars, -1)
    return out


def expected(tokens: F32, track: int) -> NDArray[np.float64]:
    """Expected onsets of each step, (bars, 16)."""
    bits = tokens[:, BITS].reshape(-1, *BITS_SHAPE)[:, track, ONSET]
    chance = (1 + bits / AMPLITUDE[track, 0, 0]) / 2
    return np.asarray(chance.sum(axis=-1).reshape(-1, 16), np.float64)


def conditions(mask: NDArray[np.bool_]) -> Conditions:
    dynamic = np.zeros((len(mask), len(DYNAMIC_FIELDS)), np.int64)
    return Conditions(dynamic, np.zeros((mask.shape[1], 7), np.int64), mask)


def test_bars_of_a_phrase_share_a_rhythm_but_its_last_one_does_not() -> None:
    by_two = [group.tolist() for group in motif_groups(phrases(6, 3, 2, 1), 2)]
    assert by_two == [[0, 2, 4], [1, 3]]
    by_one = [group.tolist() for group in motif_groups(phrases(6, 3, 2, 1), 1)]
    assert by_one == [[0, 1, 2, 3, 4], [6, 7]]


def test_bars_come_to_share_their_rhythm() -> None:
    given, before = conditions(phrases(8)), music(8)
    after = Motifs(given)(before, 0.9)

    def apart(tokens: F32, bars: list[int], track: int) -> float:
        rhythm = expected(tokens, track)[bars]
        return float(np.abs(rhythm - rhythm.mean(axis=0)).mean())

    assert apart(after, [0, 2, 4, 6], 0) < 0.6 * apart(before, [0, 2, 4, 6], 0)
    assert apart(after, list(range(7)), 2) < 0.7 * apart(before, list(range(7)), 2)
    np.testing.assert_allclose(after[28:], before[28:], atol=1e-6)  # the last bar of the phrase
    np.testing.assert_array_equal(expected(after, 1), expected(before, 1))  # the counter-melody has none
    rest = np.ones(TOKEN_SIZE, bool)
    rest[BITS] = False
    np.testing.assert_array_equal(after[:, rest], before[:, rest])


def test_the_pull_ends_before_the_details() -> None:
    given, before = conditions(phrases(8)), music(8)
    assert Motifs(given)(before, 0.0) is before
    some, all_of_it = (Motifs(given)(before, s) for s in (0.02, 0.9))
    change = [np.abs(expected(tokens, 0) - expected(before, 0)).sum() for tokens in (some, all_of_it)]
    assert 0 < change[0] < change[1]
    assert all(motif.pull(1.0) == motif.most and motif.pull(motif.loose) == 0 for motif in MOTIFS)


def test_phrases_and_asked_accents_are_left_alone() -> None:
    given, before = conditions(phrases(4, 4)), music(8)
    other = before.copy()
    other[16:] = music(8, seed=5)[16:]
    np.testing.assert_array_equal(Motifs(given)(before, 0.9)[:16], Motifs(given)(other, 0.9)[:16])
    assert np.abs(Motifs(given)(before, 0.9)[4:6] - before[4:6]).max() > 0.1
    given.dynamic[4:6, ACCENT] = 1  # the first half of bar 1
    after = Motifs(given)(before, 0.9)
    np.testing.assert_allclose(after[4:6], before[4:6], atol=1e-6)
    assert np.abs(after[6:8] - before[6:8]).max() > 0.1


def test_sums_are_met_and_what_is_nearly_certain_stays() -> None:
    chance = np.random.default_rng(0).random((4, 30))
    wanted = np.array([5.0, 10.0, 15.0, 22.0])
    found = tilted_sums(chance, wanted)
    np.testing.assert_allclose(found.sum(axis=1), wanted, atol=0.02)
    assert (np.argsort(found, axis=1) == np.argsort(chance, axis=1)).all()
    certain = tilted_sums(np.full((1, 4), 0.9999), np.array([0.0]))
    assert (certain > 0.99).all()
    assert tilted_sums(np.zeros((1, 4)), np.array([2.0])).sum() == 0  # nothing comes of nothing


def test_composed_phrases_have_motifs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The melody's rhythm is more alike within phrases than without motifs."""
    weights, plan = open_weights(), make_plan(bars=24)
    groups = motif_groups(conditions_of(plan).mask, 2)

    def alike() -> float:
        roll = draw(plan, weights, Sampling(steps=6, sampler="dpm++2m"))
        struck = roll.bits[0, ONSET].any(axis=-1).reshape(-1, 16)
        pairs = [pair for group in groups for pair in combinations(group, 2)]
        return float(np.mean([(struck[one] == struck[other]).mean() for one, other in pairs]))

    with_motifs = alike()
    monkeypatch.setattr("diffbgm.diffusion.motif.MOTIFS", ())
    assert with_motifs > alike() + 0.03
