from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffbgm.diffusion import tokens
from diffbgm.diffusion.roll import ONSET, SUSTAIN, PianoRoll
from diffbgm.diffusion.tokens import BITS_SHAPE, CHORD, VELOCITIES, clean_estimate, encode, to_roll
from diffbgm.errors import InputError


def random_song(seed: int, beats: int = 8):
    """Notes that start at random and last one to five steps, in the middle of the keyboard."""
    rng = np.random.default_rng(seed)
    bits = np.zeros((3, 2, beats * 4, 88), bool)
    for _ in range(40):
        track, step, pitch = rng.integers(3), rng.integers(beats * 4), rng.integers(20, 70)
        end = min(beats * 4, step + 1 + rng.integers(5))
        if not bits[track, :, step:end, pitch].any():
            bits[track, ONSET, step, pitch] = True
            bits[track, SUSTAIN, step + 1 : end, pitch] = True
    velocity = np.where(bits[:, ONSET].any(axis=-1), rng.integers(40, 120, (3, beats * 4)), 0).astype(
        np.uint8
    )
    chroma = rng.random((beats, 12)) < 0.3
    bass = rng.integers(-1, 12, beats).astype(np.int8)
    by_beat = bits.reshape(3, 2, beats, 4, 88).transpose(2, 0, 1, 3, 4)
    return (
        bits,
        velocity,
        chroma,
        bass,
        encode(by_beat, velocity.reshape(3, beats, 4).transpose(1, 0, 2), chroma, bass),
    )


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_notes_survive_encoding(seed: int) -> None:
    bits, velocity, chroma, bass, encoded = random_song(seed)
    roll = to_roll(encoded)
    # a note that follows another of the same pitch directly keeps its onset and cuts nothing else
    np.testing.assert_array_equal(roll.bits, bits)
    np.testing.assert_array_equal(roll.velocity, velocity)
    np.testing.assert_array_equal(roll.chroma, chroma)
    np.testing.assert_array_equal(roll.bass, bass)


@pytest.mark.parametrize("semitones", [-6, -1, 5])
def test_transposition_moves_notes_and_chords_alike(semitones: int) -> None:
    bits, _, chroma, bass, encoded = random_song(1)
    roll = to_roll(encoded, semitones)
    np.testing.assert_array_equal(roll.bits, np.roll(bits, semitones, axis=-1))
    np.testing.assert_array_equal(roll.chroma, np.roll(chroma, semitones, axis=1))
    np.testing.assert_array_equal(roll.bass, np.where(bass >= 0, (bass + semitones) % 12, -1))


def test_orphan_sustains_are_dropped() -> None:
    encoded = encode(np.zeros((2, *BITS_SHAPE), bool), np.zeros((2, 3, 4), np.uint8), np.zeros((2, 12), bool),
                     np.full(2, -1, np.int8))  # fmt: skip
    bits = encoded[:, tokens.BITS].reshape(2, *BITS_SHAPE)
    bits[0, 0, SUSTAIN, 1:, 40] = 2.0  # sounds without ever having started
    bits[1, 0, ONSET, 0, 50] = 2.0
    bits[1, 0, SUSTAIN, 1, 50] = 2.0
    bits[1, 0, SUSTAIN, 3, 50] = 2.0  # broken off at step 2
    roll = to_roll(encoded)
    assert not roll.bits[..., 40].any()
    np.testing.assert_array_equal(np.flatnonzero(roll.bits[0, SUSTAIN, :, 50]), [5])


def test_of_many_onsets_the_most_certain_are_kept() -> None:
    encoded = encode(
        np.zeros((1, *BITS_SHAPE), bool),
        np.zeros((1, 3, 4), np.uint8),
        np.zeros((1, 12), bool),
        np.full(1, -1, np.int8),
    )
    bits = encoded[:, tokens.BITS].reshape(1, *BITS_SHAPE)
    bits[0, 0, ONSET, 0, [40, 44]] = [0.5, 1.5]  # the melody has one voice
    bits[0, 2, ONSET, 0, 20:27] = [0.1, 0.9, 0.8, 0.7, 0.2, 0.6, 0.5]
    roll = to_roll(encoded)
    np.testing.assert_array_equal(np.flatnonzero(roll.bits[0, ONSET, 0]), [44])
    np.testing.assert_array_equal(np.flatnonzero(roll.bits[2, ONSET, 0]), [21, 22, 23, 25, 26])


def test_clean_estimate_is_the_expected_token() -> None:
    prediction = np.zeros((1, tokens.TOKEN_SIZE), np.float32)
    prediction[0, 0] = np.log(3.0)  # probability 3/4, melody amplitude 2: 2 * (2 * 3/4 - 1)
    prediction[0, VELOCITIES] = 0.7
    prediction[0, CHORD] = -50
    estimate = clean_estimate(prediction)
    assert estimate[0, 0] == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(estimate[0, VELOCITIES], 0.7)
    np.testing.assert_allclose(estimate[0, CHORD], -tokens.CHORD_AMPLITUDE)


def test_a_roll_is_read_back_and_a_broken_one_refused(tmp_path) -> None:
    roll = to_roll(random_song(2)[-1])
    roll.save(tmp_path / "a.npz")
    roll.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    np.testing.assert_array_equal(PianoRoll.load(tmp_path / "a.npz").bits, roll.bits)
    (tmp_path / "c.npz").write_bytes(b"not a roll")
    with pytest.raises(InputError, match=r"c\.npz"):
        PianoRoll.load(tmp_path / "c.npz")
