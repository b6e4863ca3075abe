from __future__ import annotations

import csv
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffbgm.metrics import pitch, rhythm
from diffbgm.metrics.notes import no_notes
from diffbgm.metrics.pitch import (
    histogram_entropy,
    notebook_pche,
    pitch_class_counts,
    pitch_class_entropy,
    scale_consistency,
    scale_share,
)
from diffbgm.metrics.rhythm import empty_bar_share, groove_consistency, grooving_similarity, notebook_gps
from tests.metrics.pieces import notes_at, tune

GOLDEN = Path(__file__).parents[1] / "golden"
SONGS = json.loads((GOLDEN / "notebook-metrics" / "expected.json").read_text())["songs"]


def events_of(song: str) -> list[tuple[Fraction, list[int]]]:
    with (GOLDEN / "notebook-metrics" / f"{song}.events.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [
        (Fraction(row["offset_quarters"]), [int(c) for c in row["pitch_classes"].split()]) for row in rows
    ]


def remi_bars(name: str) -> tuple[list[list[int]], np.ndarray]:
    """Pitches and onset positions of each bar of one of MusDr's own test pieces."""
    bars: list[np.ndarray] = []
    pitches: list[list[int]] = []
    with (GOLDEN / "musdr" / f"{name}.remi.csv").open() as file:
        for row in csv.DictReader(file):
            code = int(row["ENCODING"])
            if code == 192:
                bars.append(np.zeros(64, bool))
                pitches.append([])
            elif 193 <= code <= 256:
                position = code - 193
            elif row["EVENT"] == "Note-On":
                bars[-1][position] = True
                pitches[-1].append(code)
    return pitches, np.array(bars)


@pytest.mark.parametrize("name", ["benny_carter", "dickie_wells"])
def test_entropy_and_groove_match_musdr(name: str) -> None:
    expected = json.loads((GOLDEN / "musdr" / "expected.json").read_text())[name]
    pitches, onsets = remi_bars(name)
    assert pitch_class_entropy(pitches, 1) == pytest.approx(expected["H1"], abs=1e-6)
    assert pitch_class_entropy(pitches, 4) == pytest.approx(expected["H4"], abs=1e-6)
    assert grooving_similarity(onsets) == pytest.approx(expected["GS_all_pairs"], abs=1e-6)


@pytest.mark.parametrize("song", SONGS)
def test_notebook_figures_match(song: str) -> None:
    events = events_of(song)
    assert notebook_pche(events) == pytest.approx(SONGS[song]["PCHE"], abs=1e-6)
    assert notebook_gps(events) == pytest.approx(SONGS[song]["GPS"], abs=1e-6)
    as_floats = [(float(at), classes) for at, classes in events]
    assert notebook_pche(as_floats) == pytest.approx(SONGS[song]["PCHE"], abs=1e-6)


def test_notebook_closes_one_chunk_an_event() -> None:
    """After a rest over two borders the second is never closed, as in the notebook's loop."""
    before = [(float(k), [k % 3]) for k in range(32)]
    after = [(100.0 + k, [7]) for k in range(100)]
    assert notebook_pche(before + after) == notebook_pche([*before, (32.0, [7])])


def test_notebook_figures_of_too_little_music() -> None:
    assert np.isnan(notebook_pche([]))
    assert np.isnan(notebook_pche([(0, [1]), (31, [2])]))  # no chunk closed
    assert np.isnan(notebook_pche([(40, [1]), (70, [2])]))  # the first one is empty
    assert np.isnan(notebook_gps([]))
    assert np.isnan(notebook_gps([(0, [0]), (5, [0])]))  # one closed bar
    assert notebook_gps([(0, [0]), (4, [0]), (8, [0])]) == 1.0
    for figure in (notebook_pche, notebook_gps):
        with pytest.raises(ValueError, match="sorted"):
            figure([(4, [0]), (2, [0])])


def test_entropy_of_known_histograms() -> None:
    counts = np.array([[4] + [0] * 11, [1] * 12, [2, 2] + [0] * 10, [0] * 12])
    np.testing.assert_allclose(histogram_entropy(counts), [0, np.log2(12), 1, np.nan])


def test_entropy_windows_slide_and_skip_silence() -> None:
    assert pitch_class_entropy([[60], [62], [], []], 1) == 0.0
    assert pitch_class_entropy([[60], [62], [], []], 2) == pytest.approx((1 + 0) / 2)
    assert pitch_class_entropy([[60], [62]], 8) == pytest.approx(1.0)  # shorter than the window: all of it
    assert np.isnan(pitch_class_entropy([[], []], 1))
    assert np.isnan(pitch_class_entropy([], 4))


@pytest.mark.parametrize(("bars", "window"), [([[60]], 0), ([[128]], 1), ([[-1]], 1)])
def test_entropy_refuses_nonsense(bars: list[list[int]], window: int) -> None:
    with pytest.raises(ValueError, match=r"window|pitches"):
        pitch_class_entropy(bars, window)


def test_groove_of_known_bars() -> None:
    same = np.zeros((3, 16), bool)
    assert grooving_similarity(same) == 1.0
    assert grooving_similarity([[1] * 16, [0] * 16]) == 0.0
    assert grooving_similarity(np.array([[True, False], [True, True]])) == pytest.approx(0.5)
    assert np.isnan(grooving_similarity(same[:1]))
    assert np.isnan(grooving_similarity([]))
    with pytest.raises(ValueError, match="shape"):
        grooving_similarity([True, False])
    with pytest.raises(ValueError, match="0 or 1"):
        grooving_similarity([[2, 0], [0, 0]])


def test_groove_consistency_and_empty_bars() -> None:
    bars = np.array([[1, 0], [1, 0], [0, 0]], bool)
    assert groove_consistency(bars) == pytest.approx(1 - (0 + 0.5) / 2)
    assert empty_bar_share(bars) == pytest.approx(1 / 3)
    assert np.isnan(groove_consistency(bars[:1]))
    assert np.isnan(empty_bar_share([]))


def test_pitch_classes_and_scale() -> None:
    onsets = np.zeros(88, int)
    onsets[[60 - 21, 61 - 21, 72 - 21]] = 1
    counts = pitch_class_counts(onsets)
    assert counts.tolist() == [2, 1] + [0] * 10
    assert scale_share(counts) == pytest.approx(2 / 3)
    assert scale_share(counts, tonic=1) == pytest.approx(1.0)  # C and Db are both in Db major
    assert scale_consistency(np.array([60, 61, 72])) == pytest.approx(1.0)
    assert scale_consistency(np.arange(60, 72)) == pytest.approx(7 / 12)
    assert np.isnan(scale_consistency(np.array([], int)))


def test_pieces_without_music_have_no_figures() -> None:
    assert all(
        np.isnan(value) for value in (pitch.evaluate(no_notes()) | rhythm.evaluate(no_notes())).values()
    )
    lone = notes_at([(0.0, 1.0, 60)])
    assert pitch.evaluate(lone)["pche_1bar"] == 0.0
    assert np.isnan(rhythm.evaluate(lone)["gps"])


BARS = st.lists(st.lists(st.integers(0, 115), max_size=6), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(BARS, st.integers(1, 8), st.integers(1, 11))
def test_entropy_is_bounded_and_ignores_transposition(bars: list[list[int]], window: int, up: int) -> None:
    value = pitch_class_entropy(bars, window)
    moved = pitch_class_entropy([[p + up for p in bar] for bar in bars], window)
    if any(bars):
        assert -1e-12 <= value <= np.log2(12) + 1e-12
        assert moved == pytest.approx(value)
    else:
        assert np.isnan(value)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=16, max_size=16), min_size=2, max_size=10), st.randoms())
def test_groove_equals_the_mean_over_pairs_in_any_order(bars: list[list[bool]], random: object) -> None:
    pairs = [
        1 - sum(x != y for x, y in zip(a, b, strict=True)) / 16
        for k, a in enumerate(bars)
        for b in bars[k + 1 :]
    ]
    assert grooving_similarity(bars) == pytest.approx(np.mean(pairs))
    assert grooving_similarity(bars[::-1]) == pytest.approx(np.mean(pairs))


def test_variants_differ_as_the_documentation_says() -> None:
    """A note just before the beat is rounded to it here, and cut to the position before in the notebook."""
    early = notes_at([(4.0 * bar + beat - 0.01, 0.5, 60) for bar in range(8) for beat in range(1, 4)])
    plain = notes_at([(4.0 * bar + beat, 0.5, 60) for bar in range(8) for beat in range(1, 4)])
    assert rhythm.evaluate(early)["gps"] == rhythm.evaluate(plain)["gps"] == 1.0
    assert early.onsets_by_bar()[0, 4]
    assert notebook_gps(early.events()) == 1.0
    assert rhythm.evaluate(tune(1))["gps_64"] > rhythm.evaluate(tune(1))["gps"]
