from __future__ import annotations

import json

import numpy as np
import pytest

from diffbgm.diffusion.roll import ONSET, SUSTAIN, PianoRoll
from diffbgm.metrics.notes import notes_of_roll
from diffbgm.takes.features import FEATURES, features_of
from diffbgm.takes.measures import features_by_stretch
from diffbgm.takes.reference import LENGTHS, Reference, reference_for, references

from .pieces import sampled


def roll_of(rows: list[tuple[int, int, int, int]], beats: int = 16) -> PianoRoll:
    """From (track, step, steps, MIDI pitch); C major sounds throughout."""
    bits = np.zeros((3, 2, 4 * beats, 88), bool)
    for track, step, steps, pitch in rows:
        bits[track, ONSET, step, pitch - 21] = True
        bits[track, SUSTAIN, step + 1 : step + steps, pitch - 21] = True
    velocity = np.where(bits[:, ONSET].any(axis=-1), 80, 0).astype(np.uint8)
    chroma = np.zeros((beats, 12), bool)
    chroma[:, [0, 4, 7]] = True
    return PianoRoll(bits, velocity, chroma, np.zeros(beats, np.int8))


def named(roll: PianoRoll) -> dict[str, float]:
    return dict(zip(FEATURES, features_of(notes_of_roll(roll), roll.chroma), strict=True))


def test_features_of_a_known_piece() -> None:
    tune = [(0, 4 * k, 4, pitch) for k, pitch in enumerate([60, 62, 62, 67, 72, 71, 69, 67] * 2)]
    chords = [(2, 16 * bar, 16, pitch) for bar in range(4) for pitch in (48, 52, 55)]
    found = named(roll_of(tune + chords))
    assert found["notes"] == (16 + 12) / 4
    assert found["moments"] == 4
    assert found["melody_notes"] == 4
    assert found["counter_notes"] == 0
    assert found["polyphony"] == 4
    assert found["pitches"] == 6 + 3
    assert found["range"] == 72 - 48
    assert found["melody_range"] == 12
    assert found["melody_length"] == 2
    assert found["melody_repeats"] == pytest.approx(2 / 15)
    assert found["melody_steps"] == pytest.approx(8 / 15)
    assert found["gps"] == found["consistency"] == 1
    assert found["off_beat"] == found["velocity_spread"] == 0
    # Two bars alternate; they share the chord and the last note of the tune.
    assert found["likeness"] == pytest.approx(4 / 10)
    # B against C, once in each pair of bars. D, B and A are no notes of the chord.
    assert found["clash"] == pytest.approx(2 / 16)
    assert found["chord_fit"] == pytest.approx(192 / (192 + 32))


def test_without_notes_or_melody() -> None:
    assert np.isnan(features_of(notes_of_roll(roll_of([])), roll_of([]).chroma)).all()
    found = named(roll_of([(2, 8 * k, 8, 48 + k % 2) for k in range(8)]))
    assert np.isnan(found["melody_height"])
    assert found["melody_notes"] == 0


def test_features_know_neither_key_nor_place() -> None:
    rows = [(0, 4 * k, 4, 60 + [0, 2, 4, 5, 7][k % 5]) for k in range(16)]
    here = named(roll_of(rows))
    there = named(roll_of([(track, step, steps, pitch + 5) for track, step, steps, pitch in rows]))
    for name in set(FEATURES) - {"height", "melody_height", "chord_fit"}:
        assert here[name] == pytest.approx(there[name]), name


def test_a_piece_is_measured_in_stretches_to_its_end() -> None:
    roll = sampled()
    notes = notes_of_roll(roll)
    rows = features_by_stretch(notes, roll, 17, 8)
    assert rows.shape == (4, len(FEATURES))  # bars 0, 4, 8, 9
    last = features_of(notes.bars(9, 8), roll.chroma[36:68])
    np.testing.assert_array_equal(rows[-1], last)


@pytest.mark.parametrize("bars", LENGTHS)
def test_the_songs_lie_at_distance_one_on_average(bars: int) -> None:
    """Gaussian samples have a mean squared distance a dimension of 1, whatever is missing of them."""
    reference = references()[bars]
    rng = np.random.default_rng(0)
    samples = rng.multivariate_normal(reference.mean, reference.covariance, 400)
    assert np.mean([reference.distance(row) for row in samples]) == pytest.approx(1, abs=0.05)
    samples[:, rng.random(len(FEATURES)) < 0.4] = np.nan
    assert np.mean([reference.distance(row) for row in samples]) == pytest.approx(1, abs=0.08)
    assert np.isnan(reference.distance(np.full(len(FEATURES), np.nan)))
    assert (reference.low < reference.mean).all()
    assert (reference.mean < reference.high).all()
    assert 0 < reference.off_key < 0.15
    again = Reference.of_json(json.loads(json.dumps(reference.to_json())))
    np.testing.assert_allclose(again.covariance, reference.covariance, rtol=1e-4)


def test_the_longest_fitting_songs_are_compared_with() -> None:
    assert [None if (r := reference_for(n)) is None else r.bars for n in (3, 4, 7, 8, 15, 16, 99)] == [
        None, 4, 4, 8, 8, 16, 16,
    ]  # fmt: skip
