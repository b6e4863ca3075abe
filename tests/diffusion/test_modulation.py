"""Sections in keys of their own: each is denoised in the network's key."""

from __future__ import annotations

import numpy as np

from diffbgm.diffusion.conditions import SEMANTIC_INDEX, conditions_of
from diffbgm.diffusion.modulation import in_keys, key_offsets, moved
from diffbgm.diffusion.tokens import BITS, CHORD, TOKEN_SIZE, VELOCITIES, encode, to_roll
from diffbgm.spotting.cuesheet import Plan

from .plans import make_plan


def in_two_keys(first: str, second: str) -> Plan:
    plan = make_plan(bars=4, key=first)
    sections = (plan.sections[0], plan.sections[1].model_copy(update={"key": second}))
    return plan.model_copy(update={"sections": sections})


def test_offsets_are_between_the_keys_and_none_between_relatives() -> None:
    assert key_offsets(in_two_keys("D", "E"), 64).tolist() == [0] * 8 + [2] * 8 + [0] * 48
    assert not key_offsets(in_two_keys("D", "Bm"), 64).any()
    assert key_offsets(in_two_keys("C", "Cm"), 16)[-1] == 3
    assert key_offsets(in_two_keys("F", "F#"), 16)[-1] == 1


def test_the_mode_told_to_the_network_is_the_sections() -> None:
    assert conditions_of(in_two_keys("D", "Bm")).semantic[:, SEMANTIC_INDEX["mode"]].tolist() == [1, 2]


def test_moving_moves_notes_and_chords_and_nothing_else() -> None:
    bits = np.zeros((4, 3, 2, 4, 88), bool)
    bits[:, 2, 0, 0, 40] = True
    chroma = np.zeros((4, 12), bool)
    chroma[:, [0, 4, 7]] = True
    tokens = encode(bits, np.full((4, 3, 4), 90, np.uint8), chroma, np.full(4, 7, np.int8))
    up = moved(tokens, 3)
    roll = to_roll(up)
    assert np.flatnonzero(roll.bits[2, 0, 0]).tolist() == [43]
    assert np.flatnonzero(roll.chroma[0]).tolist() == [3, 7, 10]
    assert roll.bass.tolist() == [10] * 4
    np.testing.assert_array_equal(up[:, VELOCITIES], tokens[:, VELOCITIES])
    noise = np.random.default_rng(0).standard_normal((4, TOKEN_SIZE), dtype=np.float32)
    np.testing.assert_array_equal(moved(moved(noise, -5), 5), noise)


def test_each_beat_is_denoised_in_its_own_key() -> None:
    """A network that knows one chord, C major, writes it in C where the film is, and in Eb where that is."""
    known = encode(
        np.zeros((16, 3, 2, 4, 88), bool), np.zeros((16, 3, 4), np.uint8),
        np.tile(np.isin(np.arange(12), (0, 4, 7)), (16, 1)), np.zeros(16, np.int8),
    )  # fmt: skip
    seen = []

    def network(z: np.ndarray, _: float) -> np.ndarray:
        seen.append(z)
        return known

    offsets = np.array([0] * 8 + [3] * 8)
    z = np.random.default_rng(0).standard_normal((16, TOKEN_SIZE), dtype=np.float32)
    roll = to_roll(in_keys(network, offsets)(z, 0.5))
    assert roll.bass.tolist() == [0] * 8 + [3] * 8
    np.testing.assert_array_equal(seen[0], z)
    np.testing.assert_array_equal(
        seen[1][:, CHORD], np.roll(z[:, CHORD].reshape(16, 2, 12), -3, axis=2).reshape(16, 24)
    )
    assert (seen[1][:, BITS] != z[:, BITS]).any()
