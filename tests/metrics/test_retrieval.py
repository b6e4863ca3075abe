from __future__ import annotations

import numpy as np
import pytest

from diffbgm.metrics.embedders import AudioEmbedder, SymbolicEmbedder
from diffbgm.metrics.retrieval import evaluate, pair_clips, ranks, standardised, video_and_music
from tests.metrics.pieces import tune


def rows(seed: int, count: int = 200, width: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, width))


def test_a_perfect_match_is_always_first_and_its_opposite_last() -> None:
    items = rows(0)
    assert (ranks(items, items) == 1).all()
    assert (ranks(3 * items, items) == 1).all()  # cosine ignores length
    found = evaluate(items, items)
    assert found.precision[5].value == 1.0
    assert found.rank.value == 1.0
    assert (ranks(-items, items) == 60).all()


def test_unrelated_features_stand_at_chance() -> None:
    found = evaluate(rows(1, 900), rows(2, 900))
    for k, figure in found.precision.items():
        assert figure.chance == pytest.approx(k / 60)
        assert figure.ci95[0] < figure.chance < figure.ci95[1]
        assert figure.shuffled == pytest.approx(figure.chance, abs=0.03)
    assert found.rank.chance == 30.5
    assert found.rank.value == pytest.approx(30.5, abs=1.5)


def test_the_control_destroys_what_the_pairs_share() -> None:
    items = rows(3, 300)
    found = evaluate(items + 0.3 * rows(4, 300), items)
    assert found.precision[5].value > 0.9
    assert found.precision[5].shuffled < 0.15
    assert found.rank.shuffled == pytest.approx(30.5, abs=2)


def test_the_pool_is_drawn_as_published() -> None:
    """From the first 500 items; a query beyond them replaces the first one drawn by its own item."""
    items = np.eye(700)
    queries = np.zeros((700, 700))
    queries[:, 500:] = 1.0  # alike to every item past 500 and to none before
    found = ranks(queries, items)
    assert (found[500:] == 1).all()  # their own item is the only one of that kind in the pool
    # Before 500 all are equally unlike: the own item stands where it was drawn, first where it was put in.
    assert found[:500].max() > 30
    assert (found[:500] == 1).mean() > 0.8


def test_rank_is_the_same_for_the_same_seed() -> None:
    a, b = rows(1), rows(2)
    assert (ranks(a, b, seed=4) == ranks(a, b, seed=4)).all()
    assert (ranks(a, b, seed=4) != ranks(a, b, seed=5)).any()


def test_songs_are_drawn_whole_for_the_interval() -> None:
    """Five copies of each clip are one piece of evidence."""
    a, b = rows(1, 60), rows(2, 60)
    by_song = evaluate(np.repeat(a, 5, 0), np.repeat(b, 5, 0), groups=np.repeat(np.arange(60), 5).tolist())
    single = evaluate(np.repeat(a, 5, 0), np.repeat(b, 5, 0))
    width = lambda figure: figure.ci95[1] - figure.ci95[0]  # noqa: E731
    assert width(by_song.precision[10]) > 1.5 * width(single.precision[10])


@pytest.mark.parametrize(
    ("queries", "items", "pool"),
    [
        (np.zeros((5, 2)), np.zeros((5, 2)), 60),
        (np.zeros((70, 2)), np.zeros((70, 3)), 60),
        (np.full((70, 2), np.inf), np.zeros((70, 2)), 60),
        (np.zeros((70, 2)), np.zeros((70, 2)), 1),
    ],
)
def test_retrieval_refuses_what_it_cannot_rank(queries: np.ndarray, items: np.ndarray, pool: int) -> None:
    with pytest.raises(ValueError, match=r"pool|features"):
        ranks(queries, items, pool=pool)


def test_silent_rows_are_like_nothing() -> None:
    items = np.abs(rows(0, 60))
    items[0] = 0.0
    queries = items.copy()
    assert ranks(queries, items, pool=60)[1] == 1


def test_clips_are_paired_in_order() -> None:
    a, b, names = pair_clips([rows(0, 3, 2), rows(1, 2, 2)], [rows(2, 2, 2), rows(3, 5, 2)], ["x", "y"])
    assert (a.shape, b.shape, names) == ((4, 2), (4, 2), ["x", "x", "y", "y"])
    assert (a[2:] == rows(1, 2, 2)).all()
    assert pair_clips([], [], [])[2] == []


def test_picture_finds_music_and_music_picture() -> None:
    asked = rows(0, 80)
    given = 5 + 2 * asked + 0.5 * rows(1, 80)
    found = video_and_music(asked, given)
    assert found["video_to_music"].precision[5].value > 0.9
    assert found["music_to_video"].precision[5].value > 0.9
    assert np.allclose(standardised(given).std(axis=0), 1)
    assert not standardised(np.ones((4, 2))).any()


def test_the_symbolic_embedder_finds_the_other_half_of_a_tune() -> None:
    tunes = [tune(seed, bars=32, low=48 + seed % 24) for seed in range(64)]
    embedder = SymbolicEmbedder(tunes, bars=16)
    halves = [embedder.embed(each) for each in tunes]
    assert {half.shape for half in halves} == {(2, 81)}
    first, second = np.stack(halves, axis=1)
    found = evaluate(first, second)
    assert found.precision[10].value > 2 * found.precision[10].chance
    assert (ranks(first, first) == 1).all()
    assert embedder.embed(tune(0, bars=3)).shape == (0, 81)
    with pytest.raises(ValueError, match="two clips"):
        SymbolicEmbedder(tunes[:1], bars=32)


def sound(pitch_hz: float, pulse_hz: float, seconds: float = 6.0) -> np.ndarray:
    time = np.arange(round(seconds * AudioEmbedder.rate)) / AudioEmbedder.rate
    return np.sin(2 * np.pi * pitch_hz * time) * np.exp(-6 * (time * pulse_hz % 1)) * 0.3


def test_the_audio_embedder_hears_pitch_and_pulse() -> None:
    sounds = [sound(220 * 2 ** (k / 12), 1 + 0.4 * (k % 5)) for k in range(8)]
    embedder = AudioEmbedder(sounds, clip_s=3.0)
    clips = [embedder.embed(each) for each in sounds]
    assert clips[0].shape == (2, 181)
    first, second = np.stack(clips, axis=1)
    assert (ranks(first, second, pool=8) == 1).sum() >= 7
    assert embedder.embed(np.zeros(10)).shape == (0, 181)
    assert np.isfinite(embedder.embed(np.zeros(70_000))).all()
