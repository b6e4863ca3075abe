"""Themes that return: which bars are tied, how their noise and their estimates are drawn together."""

from __future__ import annotations

import numpy as np
import pytest

from diffbgm.diffusion import compose
from diffbgm.diffusion.compose import compose_roll
from diffbgm.diffusion.conditions import conditions_of
from diffbgm.diffusion.form import LAST_BAR, PARTS, Ties, alike, tied, ties_of
from diffbgm.diffusion.modulation import moved
from diffbgm.diffusion.sampler import Clamp
from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.tokens import BITS, CHORD, TOKEN_SIZE, VELOCITIES
from diffbgm.diffusion.weights import open_weights
from diffbgm.pitch import parse_progression
from diffbgm.spotting.cuesheet import Plan, Section

from .plans import BAR_S, make_plan

MELODY_BITS = slice(0, BITS.stop // 3)


def plan_of(*sections: tuple[str, int], **fields: object) -> Plan:
    """A plan of sections (label, bars), all else equal."""
    plan = make_plan(bars=sum(bars for _, bars in sections))
    out: list[Section] = []
    at = 0
    for label, bars in sections:
        where = {"start_bar": at, "end_bar": at + bars, "start_s": at * BAR_S, "end_s": (at + bars) * BAR_S}
        out.append(plan.sections[0].model_copy(update={"label": label, "role": "theme", **where}))
        at += bars
    return plan.model_copy(update={"sections": tuple(out), "hits": (), **fields})


def with_sections(plan: Plan, number: int, **fields: object) -> Plan:
    sections = list(plan.sections)
    sections[number] = sections[number].model_copy(update=fields)
    return plan.model_copy(update={"sections": tuple(sections)})


def bars_of(ties: Ties) -> list[int]:
    """The bar whose material each bar has; -1 where nothing is tied."""
    own = np.where(ties.strength.any(axis=1), ties.group, -4)
    return [int(beat) // 4 for beat in own[::4]]


def two_alike(bars: int = 4) -> Ties:
    """Two phrases of the same label."""
    return ties_of(conditions_of(plan_of(("A", bars), ("A", bars))))


def tokens(beats: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((beats, TOKEN_SIZE), dtype=np.float32)


# Which beats ---------------------------------------------------------------------------------------


def test_bars_of_one_label_are_tied_from_the_beginning_and_the_last_ones_to_each_other() -> None:
    ties = ties_of(conditions_of(plan_of(("A", 4), ("B", 3), ("A", 6), ("C", 2))))
    assert bars_of(ties) == [0, 1, 2, 3, -1, -1, -1, 0, 1, 2, -1, -1, 3, -1, -1]
    np.testing.assert_array_equal(ties.group[28:32], [0, 1, 2, 3])
    assert set(np.unique(ties.strength[:12])) == {1.0}
    np.testing.assert_allclose(ties.strength[48:52], LAST_BAR)


def test_a_long_section_repeats_its_own_first_phrase() -> None:
    ties = ties_of(conditions_of(plan_of(("A", 32), ("B", 16))))
    assert bars_of(ties)[:32] == [*range(8), *range(8), *[-1] * 8, *range(8)]
    assert bars_of(ties)[32:] == [-1] * 16  # two phrases are a theme of two halves


def test_a_stretch_of_a_piece_ties_only_what_begins_in_it() -> None:
    given = conditions_of(plan_of(("A", 6), ("B", 4), ("A", 6), ("B", 6)))
    late = ties_of(given.window(8, 64))
    assert bars_of(late) == [*[-1] * 4, 4, 5, *[-1] * 8, 4, 5]
    np.testing.assert_allclose(late.strength[56:], 1.0)  # no end of a phrase


def test_what_is_not_the_same_material_is_not_tied() -> None:
    plan = plan_of(("A", 4), ("A", 4))
    assert ties_of(conditions_of(plan))
    assert not ties_of(conditions_of(plan_of(("A", 4), ("B", 4))))
    assert not ties_of(conditions_of(with_sections(plan, 1, key="Em")))  # another mode
    assert ties_of(conditions_of(with_sections(plan, 1, key="E")))
    assert not ties_of(conditions_of(plan).without_semantic())


def test_the_ending_is_free() -> None:
    ties = ties_of(conditions_of(plan_of(("A", 4), ("A", 4))), end=26)
    assert not ties.strength[26:].any()
    assert not ties.strength[12:16].any()
    assert ties.strength[24:26].all()
    np.testing.assert_array_equal(ties.group[26:], np.arange(26, 32))


def test_beats_with_other_asked_chords_are_apart() -> None:
    plan = with_sections(plan_of(("A", 4), ("A", 4)), 1, chords="C F C C")
    plan = with_sections(plan, 0, chords="C Am C C")
    assert plan.asked_chords[0] == parse_progression("C")[0][0]
    ties = ties_of(conditions_of(plan), chords=plan.asked_chords)
    assert bars_of(ties) == [0, -1, 2, -1, 0, -1, 2, -1]


def test_a_section_without_a_melody_shares_everything_else() -> None:
    plan = with_sections(plan_of(("A", 4), ("A", 4), ("A", 4)), 1, melody=False)
    plan = with_sections(plan, 1, role="intro")
    ties = ties_of(conditions_of(plan))
    assert not ties.strength[16:32, 0].any()
    assert ties.strength[16:32, 1:].all()
    assert ties.strength[32:, 0].all()


# Noise ---------------------------------------------------------------------------------------------


def test_noise_of_returns_is_alike_and_stays_normal() -> None:
    ties = two_alike()
    drawn = np.concatenate([tokens(32, seed)[None] for seed in range(4)])
    made = np.stack([alike(each, ties) for each in drawn])
    np.testing.assert_array_equal(made[:, :16], drawn[:, :16])
    np.testing.assert_array_equal(made[:, :, VELOCITIES], drawn[:, :, VELOCITIES])
    first, again = made[:, :12, MELODY_BITS], made[:, 16:28, MELODY_BITS]
    assert again.std() == pytest.approx(1, abs=0.01)
    assert np.corrcoef(first.ravel(), again.ravel())[0, 1] == pytest.approx(PARTS[0].noise ** 0.5, abs=0.01)
    ends = np.corrcoef(made[:, 12:16, BITS].ravel(), made[:, 28:, BITS].ravel())[0, 1]
    assert ends == pytest.approx((LAST_BAR * PARTS[0].noise) ** 0.5, abs=0.02)


def test_noise_is_alike_in_each_sections_own_key() -> None:
    offsets = np.array([0] * 16 + [3] * 16)
    drawn = tokens(32)
    made = alike(drawn, two_alike(), offsets)
    first, again = made[:12, CHORD], moved(made[16:28], -3)[:, CHORD]
    assert np.corrcoef(first.ravel(), again.ravel())[0, 1] > 0.9
    assert abs(np.corrcoef(first.ravel(), made[16:28, CHORD].ravel())[0, 1]) < 0.3
    np.testing.assert_array_equal(made[:16], drawn[:16])


# Estimates -----------------------------------------------------------------------------------------


def test_estimates_are_drawn_together_while_the_noise_is_high_and_free_at_last() -> None:
    known = tokens(40)  # 8 beats more than the plan has, as in a piece shorter than a window
    denoise = tied(lambda z, s: known, two_alike())
    high = denoise(known, 1.0)
    mean = (known[:12] + known[16:28]) / 2
    for part in (BITS, CHORD):
        np.testing.assert_allclose(high[:12, part], mean[:, part], atol=1e-5)
        np.testing.assert_allclose(high[16:28, part], mean[:, part], atol=1e-5)
    np.testing.assert_array_equal(high[:, VELOCITIES], known[:, VELOCITIES])
    np.testing.assert_array_equal(high[32:], known[32:])
    apart = [
        np.abs(denoise(known, s)[:12, CHORD] - mean[:, CHORD]).mean() for s in (1.0, 0.3, 0.2, 0.15, 0.1)
    ]
    assert apart == sorted(apart)
    ends = np.abs(high[12:16, CHORD] - known[12:16, CHORD]).mean()
    assert 0 < ends < np.abs(high[8:12, CHORD] - known[8:12, CHORD]).mean()
    np.testing.assert_array_equal(denoise(known, 0.1), known)


def test_a_theme_returns_in_the_key_of_its_section() -> None:
    known = tokens(32)
    known[16:] = moved(known[:16], 5)
    offsets = np.array([0] * 16 + [5] * 16)
    np.testing.assert_allclose(tied(lambda z, s: known, two_alike(), offsets)(known, 1.0), known, atol=1e-5)
    assert np.abs(tied(lambda z, s: known, two_alike())(known, 1.0) - known).max() > 0.5


def test_what_is_given_leads() -> None:
    known = tokens(32)
    mask = np.zeros(known.shape, bool)
    mask[:8, MELODY_BITS] = True
    given = Clamp(mask, np.full(known.shape, 2.0, np.float32))
    seen = tied(lambda z, s: known, two_alike(), given=given)(known, 1.0)
    np.testing.assert_allclose(seen[16:24, MELODY_BITS], 2.0, atol=1e-5)
    np.testing.assert_allclose(seen[24:28, MELODY_BITS], seen[8:12, MELODY_BITS], atol=1e-5)
    np.testing.assert_allclose(seen[16:24, CHORD], (known[:8, CHORD] + known[16:24, CHORD]) / 2, atol=1e-5)


# The whole way -------------------------------------------------------------------------------------


def test_a_theme_that_returns_is_heard_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Harmony and melody of the return are those of the statement, and its notes are not all a copy."""
    plan = plan_of(("A", 8), ("B", 8), ("A", 9))
    weights = open_weights()
    few = Sampling.of(weights.sampling, sampler="dpm++2m", steps=6)

    def returning() -> tuple[float, float, float]:
        roll = compose_roll(plan, weights, sampling=few)
        harmony = (roll.chroma[:28] == roll.chroma[64:92]).all(axis=1).mean()
        first, again = roll.bits[:, 0, : 16 * 7], roll.bits[:, 0, 16 * 16 : 16 * 23]
        melody, below = ((first[k] & again[k]).sum() / (first[k] | again[k]).sum() for k in (0, 2))
        return float(harmony), float(melody), float(below)

    with_ties = returning()
    monkeypatch.setattr(compose, "ties_of", lambda *_: Ties(np.arange(100), np.zeros((100, 4), np.float32)))
    without = returning()
    assert with_ties[0] > without[0] + 0.2
    assert with_ties[1] > 0.4 > without[1]
    assert 1.0 > with_ties[2] > without[2] + 0.1
