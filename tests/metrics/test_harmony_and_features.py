from __future__ import annotations

import numpy as np
import pytest

from diffbgm.metrics import harmony
from diffbgm.metrics.features import NAMES, features_of, polyphony, table, windows
from diffbgm.metrics.harmony import chord_progression_irregularity, chords_of
from diffbgm.metrics.notes import no_notes
from tests.metrics.pieces import notes_at, tune


def test_irregularity_counts_as_musdr() -> None:
    assert chord_progression_irregularity(list("abc")) == 1.0  # no more chords than the trigram has
    assert chord_progression_irregularity(list("abcabcabc")) == pytest.approx(
        3 / 6
    )  # the last trigram is left out
    assert chord_progression_irregularity(list("abcdefgh")) == 1.0
    assert chord_progression_irregularity(["a"] * 11) == pytest.approx(1 / 8)
    assert chord_progression_irregularity(list("ababab"), n=2) == pytest.approx(2 / 4)
    assert np.isnan(chord_progression_irregularity([]))
    with pytest.raises(ValueError, match="0-grams"):
        chord_progression_irregularity(["a"], n=0)


def chord(at: float, *pitches: int) -> list[tuple[float, float, int]]:
    return [(at, 4.0, pitch) for pitch in pitches]


def test_chords_are_found_in_notes() -> None:
    rows = chord(0, 48, 52, 55) + chord(4, 45, 48, 52) + chord(8, 41, 57, 60) + chord(12, 47, 50, 53)
    assert chords_of(notes_at(rows)) == ["C:maj", "A:min", "F:maj", "B:dim"]
    assert chords_of(notes_at(chord(0, 52, 55, 60) + chord(4, 48, 52, 55))) == [
        "C:maj"
    ]  # unchanged: one chord
    assert chords_of(notes_at(chord(0, 48, 52, 55) + chord(20, 43, 47, 50))) == ["C:maj", "G:maj"]
    assert chords_of(no_notes()) == []
    assert np.isnan(harmony.evaluate(no_notes())["chord_irregularity"])


def test_features_of_known_music() -> None:
    # C and E together for a quarter each beat of one bar, then three bars of nothing.
    notes = notes_at([(float(k), 1.0, pitch) for k in range(4) for pitch in (60, 64)])
    features = {name: values.tolist() for name, values in features_of(notes, 4).items()}
    assert features["pitch_count"] == [2]
    assert features["pitch_range"] == [4]
    assert features["pitch_class_histogram"] == [0.5, 0, 0, 0, 0.5] + [0] * 7
    moves = np.array(features["pitch_class_transitions"]).reshape(12, 12)
    assert (moves[0, 4], moves[4, 0]) == (pytest.approx(4 / 7), pytest.approx(3 / 7))
    assert features["inter_onset_interval"] == [1.0]
    assert features["note_length"] == [0, 0, 0, 1, 0, 0, 0, 0]  # four sixteenths
    assert features["notes_per_bar"] == [2.0]
    assert features["polyphony"] == [2.0]
    with pytest.raises(ValueError, match="without notes"):
        features_of(no_notes())


def test_polyphony_counts_only_sounding_moments() -> None:
    assert polyphony(notes_at([(0.0, 2.0, 60), (1.0, 1.0, 64), (10.0, 1.0, 67)])) == pytest.approx(16 / 12)
    assert np.isnan(polyphony(no_notes()))


def test_transposition_changes_only_the_histogram_and_transitions() -> None:
    notes = tune(2)
    up = notes_at(
        [(s, e - s, p + 5) for s, e, p in zip(notes.start_q, notes.end_q, notes.pitch, strict=True)]
    )
    a, b = features_of(notes), features_of(up)
    for name in NAMES:
        if name == "pitch_class_histogram":
            np.testing.assert_allclose(np.roll(a[name], 5), b[name])
        elif name == "pitch_class_transitions":
            moved = np.roll(a[name].reshape(12, 12), (5, 5), (0, 1))
            np.testing.assert_allclose(moved.ravel(), b[name])
        else:
            np.testing.assert_allclose(a[name], b[name])


def test_windows_are_whole_bars() -> None:
    notes = tune(0, bars=36)
    assert len(windows(notes)) == 2
    assert len(windows(notes, 16, 4)) == 6
    assert all(window.start_q.min() == 0.0 and window.start_q.max() < 64 for window in windows(notes, 16, 4))
    assert {name: rows.shape for name, rows in table(windows(notes)).items()}["pitch_class_transitions"] == (
        2,
        144,
    )
    with pytest.raises(ValueError, match="one bar"):
        windows(notes, 0)
