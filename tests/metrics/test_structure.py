from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from diffbgm.metrics import structure
from diffbgm.metrics.chroma import SOUND_HZ, chroma_filters, chroma_of_notes, chroma_of_sound, smooth
from diffbgm.metrics.notes import no_notes
from diffbgm.metrics.similarity import PENALTY, SMOOTHING_LENGTH, TEMPO_RATIOS, self_similarity
from diffbgm.metrics.structure import fitness_scape_plot, structureness
from tests.metrics.pieces import notes_at, tune

GOLDEN = Path(__file__).parents[1] / "golden" / "musdr"


def plain_scape_plot(ssm: np.ndarray) -> np.ndarray:
    """The published definition, one segment and one cell at a time (libfmp's C4S3 as MusDr uses it)."""
    n = len(ssm)
    plot = np.zeros((n, n))
    for length in range(1, n + 1):
        for start in range(n - length + 1):
            scores = plain_scores(ssm[:, start : start + length])
            family = plain_paths(scores)
            cells = sum(map(len, family))
            coverage = sum(path[-1][0] - path[0][0] + 1 for path in family)
            gain = (max(scores[-1, 0], scores[-1, -1]) - length) / cells
            cover = (coverage - length) / n
            plot[length - 1, start] = 2 * gain * cover / (gain + cover + 1e-16)
    return plot


def plain_scores(block: np.ndarray) -> np.ndarray:
    rows, columns = block.shape
    score = np.full((rows, columns + 1), -np.inf)
    score[0, :2] = 0.0, block[0, 0]
    for n in range(1, rows):
        score[n, 0] = max(score[n - 1, 0], score[n - 1, -1])
        score[n, 1] = score[n, 0] + block[n, 0]
        for m in range(2, columns + 1):
            two_back = score[n - 2, m - 1] if n > 1 else -np.inf
            score[n, m] = block[n, m - 1] + max(score[n - 1, m - 1], score[n - 1, m - 2], two_back)
    return score


def plain_paths(score: np.ndarray) -> list[list[tuple[int, int]]]:
    last = score.shape[1] - 1
    n, m = len(score) - 1, 0 if score[-1, -1] < score[-1, 0] else last
    family: list[list[tuple[int, int]]] = []
    path = [(n, m)] if m else []
    while n > 0 or m > 0:
        if n == 0:
            m -= 1
        elif m == 0:
            n -= 1
            if score[n, last] > score[n, 0]:
                if path:
                    family.append(path[::-1])
                m, path = last, [(n, last)]
        elif m == 1:
            m = 0
        else:
            before = [(n - 1, m - 1)] + [(n - 2, m - 1)] * (n > 2) + [(n - 1, m - 2)] * (m > 2)
            n, m = max(before, key=lambda cell: score[cell])
            path.append((n, m))
    return [path[::-1], *family[::-1]]


def thresholded(rng: np.random.Generator, n: int, *, levels: int | None = None) -> np.ndarray:
    """A random matrix as thresholding leaves it; few levels make many exact ties."""
    values = rng.random((n, n)) if levels is None else rng.integers(0, levels, (n, n)) / levels
    matrix = np.where(rng.random((n, n)) < 0.4, values, PENALTY)
    np.fill_diagonal(matrix, 1.0)
    return matrix


@pytest.mark.parametrize("name", ["benny_carter", "dickie_wells"])
def test_scape_plot_matches_musdr(name: str) -> None:
    plot = fitness_scape_plot(np.load(GOLDEN / f"{name}.ssm.npy"))
    np.testing.assert_allclose(plot, np.load(GOLDEN / f"{name}.fitness.npy"), atol=1e-9)
    expected = json.loads((GOLDEN / "expected.json").read_text())[name]
    for band, key in (((3, 8), "SI_3_8"), ((8, 15), "SI_8_15"), ((15, 128), "SI_15")):
        assert structureness(plot, *band, 2) == pytest.approx(expected[key], abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 12])
def test_scape_plot_is_the_plain_definition(n: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(3):
        matrix = thresholded(rng, n)
        np.testing.assert_allclose(fitness_scape_plot(matrix), plain_scape_plot(matrix), atol=1e-9)


def test_scape_plot_breaks_ties_as_the_published_program() -> None:
    """Binary fractions: sums are exact on both sides, so that equal scores are equal."""
    rng = np.random.default_rng(5)
    for _ in range(6):
        matrix = thresholded(rng, 14, levels=8)
        np.testing.assert_allclose(fitness_scape_plot(matrix), plain_scape_plot(matrix), atol=1e-9)


def test_a_perfect_repetition_has_perfect_fitness() -> None:
    block = np.where(np.eye(8, dtype=bool), 1.0, PENALTY)
    plot = fitness_scape_plot(np.tile(block, (3, 3)))
    # Segment 8 of 24: two further copies, all of them exact: score 16/24 a cell, coverage 16/24.
    assert plot[7, 0] == pytest.approx(2 / 3)
    assert plot[7].max() == plot.max()
    assert plot[23, 0] == pytest.approx(0.0, abs=1e-9)


def test_nothing_repeats() -> None:
    plot = fitness_scape_plot(np.where(np.eye(20, dtype=bool), 1.0, PENALTY))
    assert np.abs(plot).max() < 1e-9


@pytest.mark.parametrize("matrix", [np.zeros((2, 3)), np.full((2, 2), 2.0), np.full((2, 2), np.nan)])
def test_scape_plot_refuses_what_is_no_similarity(matrix: np.ndarray) -> None:
    with pytest.raises(ValueError, match="similarity"):
        fitness_scape_plot(matrix)


def test_structureness_takes_the_rows_of_its_band() -> None:
    plot = np.diag(np.arange(1.0, 41.0)) / 40
    assert structureness(plot, 3, 8, 2) == 16 / 40  # rows 5 .. 15
    assert structureness(plot, 3, 8, rate_hz=1) == 8 / 40
    assert structureness(plot, 15, None, 2) == structureness(plot, 15, math.inf, 2) == 1.0
    assert structureness(plot, 21, 30, 2) == 0.0  # the piece is shorter
    assert np.isnan(structureness(np.zeros((0, 0)), 3, 8))
    with pytest.raises(ValueError, match="no band"):
        structureness(plot, 8, 3)


def plain_similarity(features: np.ndarray) -> np.ndarray:
    """Enhanced similarity before thresholding, summed cell by cell."""
    n = len(features)
    best = np.zeros((n, n))
    for shift in range(12):
        plain = np.roll(features, shift, axis=1) @ features.T
        for ratio in TEMPO_RATIOS:
            wide = int(np.ceil(n / ratio))
            there = np.maximum(np.around(np.arange(1, wide + 1) / wide * n) - 1, 0).astype(int)
            back = np.maximum(np.around(np.arange(1, n + 1) / n * wide) - 1, 0).astype(int)
            stretched = plain[:, there]
            for sign in (1, -1):
                total = np.zeros((n, wide))
                for k in range(SMOOTHING_LENGTH):
                    for i in range(max(0, -sign * k), min(n, n - sign * k)):
                        j = np.arange(max(0, -sign * k), min(wide, wide - sign * k))
                        total[i, j] += stretched[i + sign * k, j + sign * k]
                best = np.maximum(best, total[:, back] / SMOOTHING_LENGTH)
    return best


def test_similarity_is_the_plain_definition() -> None:
    rng = np.random.default_rng(0)
    features = rng.random((20, 12))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    plain = plain_similarity(features)
    kept = np.argsort(plain.ravel())[-100:]
    ssm = self_similarity(features)
    expected = np.full(400, PENALTY)
    low, high = plain.ravel()[kept].min(), plain.max()
    expected[kept] = (plain.ravel()[kept] - low) / (high - low)
    expected = expected.reshape(20, 20)
    np.fill_diagonal(expected, 1.0)
    np.testing.assert_allclose(ssm, expected, atol=1e-9)


def test_similarity_of_one_sound_throughout() -> None:
    ssm = self_similarity(np.full((40, 12), 12**-0.5))
    assert ssm.shape == (40, 40)
    assert ssm.max() == 1.0
    with pytest.raises(ValueError, match="features"):
        self_similarity(np.zeros((4, 3)))


def test_chroma_of_sound_is_librosas() -> None:
    librosa = pytest.importorskip("librosa")
    rng = np.random.default_rng(1)
    time = np.arange(4 * SOUND_HZ) / SOUND_HZ
    sound = sum(np.sin(2 * np.pi * hz * time) for hz in (110.0, 261.6, 329.6)) + 0.1 * rng.standard_normal(
        len(time)
    )
    theirs = librosa.feature.chroma_stft(y=sound, sr=SOUND_HZ, tuning=0, norm=2, hop_length=2205, n_fft=4410)
    np.testing.assert_allclose(chroma_of_sound(sound), theirs.T, atol=1e-6)
    np.testing.assert_allclose(
        chroma_filters(), librosa.filters.chroma(sr=SOUND_HZ, n_fft=4410, tuning=0), atol=1e-6
    )


def test_chroma_of_notes_and_sound_agree_on_a_pure_tone() -> None:
    time = np.arange(2 * SOUND_HZ) / SOUND_HZ
    heard = chroma_of_sound(np.sin(2 * np.pi * 440 * time))[5:15]
    read = chroma_of_notes(notes_at([(0.0, 4.0, 69)]))[5:15]
    assert (heard.argmax(axis=1) == 9).all()
    assert read.argmax(axis=1).tolist() == [9] * 10
    assert not chroma_of_sound(np.zeros(SOUND_HZ)).any()


def test_smoothing_keeps_rows_of_length_one() -> None:
    rows = smooth(chroma_of_notes(tune(0)))
    assert rows.shape == (129, 12)  # 64 s and its last frame, 2 a second
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0)
    np.testing.assert_allclose(smooth(np.zeros((50, 12))), 12**-0.5)


def test_a_repeating_tune_has_more_structure_than_a_wandering_one() -> None:
    phrase = [
        (float(k), 1.0, 60 + int(p)) for k, p in enumerate(np.random.default_rng(3).integers(0, 12, 16))
    ]
    repeating = notes_at([(at + 16 * n, length, p) for n in range(5) for at, length, p in phrase])
    wandering = notes_at(
        [(float(k), 1.0, 60 + int(p)) for k, p in enumerate(np.random.default_rng(4).integers(0, 12, 80))]
    )
    a, b = structure.evaluate(repeating), structure.evaluate(wandering)
    assert a["si_8_15"] > b["si_8_15"] + 0.2
    assert a["si_any"] >= max(a["si_3_8"], a["si_8_15"], a["si_15"])
    assert all(0 <= value <= 1 for value in [*a.values(), *b.values()])


def test_structure_of_next_to_nothing() -> None:
    assert all(np.isnan(value) for value in structure.evaluate(no_notes()).values())
    assert all(np.isnan(value) for value in structure.evaluate_sound(np.zeros(SOUND_HZ)).values())
    assert structure.evaluate(notes_at([(0.0, 4.0, 60)]))["si_15"] == 0.0
