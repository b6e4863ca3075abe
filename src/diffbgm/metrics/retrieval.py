"""Does a piece of music find the one it belongs to, among others? P@K and AR.

As published with Diff-BGM (github.com/sizhelee/Diff-BGM, `diffbgm/test.ipynb`): for each query, 60 items
are drawn from the first 500; if its own item is not among them, it takes the place of the first. The pool
is sorted by cosine similarity. P@K is the share of queries whose own item stands among the first K, AR
its mean rank (the notebook prints P@K as Recall@K, and AR as AP). Published: P@20 44.1 %.

What the published figure does not say, and what is always given here beside it:

- chance: K / 60 and a mean rank of 30.5;
- an interval over queries, drawn by song, since clips of one song are no independent evidence;
- a shuffled control: the same queries, each held to belong to another song's item;
- the paper compares generated with *real* music, and never asks the picture. `video_and_music` does.

The published program draws without a seed, so its figure cannot be repeated to the digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.metrics.notes import IntArray
from diffbgm.timing import FloatArray

POOL: Final = 60
DRAWN_FROM: Final = 500
KS: Final = (5, 10, 20)
SHUFFLES: Final = 5


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % bootstrap interval, its chance level, and its value with shuffled pairs."""

    value: float
    ci95: tuple[float, float]
    chance: float
    shuffled: float


@dataclass(frozen=True)
class Retrieval:
    """precision: P@K by K. rank: mean rank AR, 1 = always first. n: queries. pool: items each one sees."""

    precision: dict[int, Figure]
    rank: Figure
    n: int
    pool: int

    def to_json(self) -> dict[str, Any]:
        """Plain values: `p_at_5` .. and `ar`, each with value, ci95, chance and shuffled."""
        figures = {f"p_at_{k}": figure for k, figure in self.precision.items()} | {"ar": self.rank}
        rows = {
            name: {
                "value": figure.value,
                "ci95": list(figure.ci95),
                "chance": figure.chance,
                "shuffled": figure.shuffled,
            }
            for name, figure in figures.items()
        }
        return {"n": self.n, "pool": self.pool, **rows}


def validate(queries: FloatArray, items: FloatArray, pool: int) -> None:
    """Raises ValueError unless both are finite (n, dimensions) and 2 <= pool <= n."""
    if queries.ndim != 2 or queries.shape != items.shape:
        raise ValueError(
            f"features of shapes {queries.shape} and {items.shape}; expected two alike (n, dimensions)"
        )
    if not (np.isfinite(queries).all() and np.isfinite(items).all()):
        raise ValueError("features must be finite")
    if not 2 <= pool <= len(items):
        raise ValueError(f"a pool of {pool} from {len(items)} items; expected 2 to {len(items)}")


def ranks(
    queries: FloatArray,
    items: FloatArray,
    *,
    pool: int = POOL,
    drawn_from: int = DRAWN_FROM,
    seed: int = 0,
) -> IntArray:
    """Rank of each query's own item in its pool, int64 (n,), 1 = most similar.

    Row k of `items` belongs to row k of `queries`; float64 (n, dimensions). Pools are drawn from the first
    `drawn_from` items (all of them where there are fewer). Of equally similar items the one drawn first
    stands first. A row of zeros is similar to nothing (0). Raises ValueError as `validate`.
    """
    validate(queries, items, pool)
    rng = np.random.default_rng(seed)
    source = max(pool, min(drawn_from, len(items)))
    a, b = _unit(queries), _unit(items)
    out = np.zeros(len(queries), np.int64)
    for own, query in enumerate(a):
        drawn = rng.choice(source, pool, replace=False)
        if own not in drawn:
            drawn[0] = own
        similarity = b[drawn] @ query
        order = np.argsort(-similarity, kind="stable")
        out[own] = 1 + int(np.flatnonzero(drawn[order] == own)[0])
    return out


def evaluate(
    queries: FloatArray,
    items: FloatArray,
    groups: Sequence[Any] | None = None,
    *,
    ks: Sequence[int] = KS,
    pool: int = POOL,
    drawn_from: int = DRAWN_FROM,
    seed: int = 0,
    rounds: int = 1000,
) -> Retrieval:
    """P@K and AR with chance, interval and shuffled control.

    groups: the song of each row; intervals are drawn by song (default: each row is its own). The shuffled
    control asks for the item of another song, where there is another. Arrays and errors as `ranks`.
    """
    song = (
        np.arange(len(queries))
        if groups is None
        else np.unique(list(map(str, groups)), return_inverse=True)[1]
    )
    found = ranks(queries, items, pool=pool, drawn_from=drawn_from, seed=seed)
    rng = np.random.default_rng(seed + 1)
    shuffled = np.concatenate([
        ranks(queries, items[_other_song(song, rng)], pool=pool, drawn_from=drawn_from, seed=seed)
        for _ in range(SHUFFLES)
    ])  # fmt: skip
    members = [np.flatnonzero(song == number) for number in range(int(song.max()) + 1)]
    draws = [
        np.concatenate([members[m] for m in rng.integers(0, len(members), len(members))])
        for _ in range(rounds)
    ]
    precision = {k: _figure(found <= k, shuffled <= k, min(1.0, k / pool), draws) for k in ks}
    return Retrieval(precision, _figure(found, shuffled, (pool + 1) / 2, draws), len(found), pool)


def pair_clips(
    queries: Sequence[FloatArray], items: Sequence[FloatArray], names: Sequence[str]
) -> tuple[FloatArray, FloatArray, list[str]]:
    """Clip k of a query belongs to clip k of its item; what one has more is left out, as published.

    queries, items: for each piece float64 (clips, dimensions). Returns stacked rows and their names.
    """
    rows_a, rows_b, owners = [], [], []
    for a, b, name in zip(queries, items, names, strict=True):
        count = min(len(a), len(b))
        rows_a.append(a[:count])
        rows_b.append(b[:count])
        owners += [name] * count
    if not owners:
        return np.zeros((0, 0)), np.zeros((0, 0)), []
    return np.concatenate(rows_a), np.concatenate(rows_b), owners


def video_and_music(
    picture: FloatArray, music: FloatArray, *, pool: int = POOL, seed: int = 0
) -> dict[str, Retrieval]:
    """Does the picture find its music, and the music its picture?

    picture: what was asked for, music: the same measured in the music (`diffbgm.metrics.curves`), float64
    (n, dimensions), row k of both from one film. Each dimension is standardised over the films on each
    side, so that only differences between films count. Raises ValueError as `ranks`.
    """
    a, b = standardised(picture), standardised(music)
    return {
        "video_to_music": evaluate(a, b, pool=pool, seed=seed),
        "music_to_video": evaluate(b, a, pool=pool, seed=seed),
    }


def standardised(rows: FloatArray) -> FloatArray:
    """Each column with mean 0 and deviation 1; a constant column becomes 0."""
    spread = rows.std(axis=0)
    return np.asarray((rows - rows.mean(axis=0)) / np.where(spread > 1e-12, spread, np.inf))


def _figure(values: NDArray[Any], shuffled: NDArray[Any], chance: float, draws: Sequence[IntArray]) -> Figure:
    low, high = np.quantile([values[draw].mean() for draw in draws], [0.025, 0.975])
    return Figure(float(values.mean()), (float(low), float(high)), chance, float(shuffled.mean()))


def _other_song(song: IntArray, rng: np.random.Generator) -> IntArray:
    """For each row another one, each once, of another song where that is possible."""
    order = rng.permutation(len(song))
    place = rng.permutation(int(song.max()) + 1)
    order = order[np.argsort(place[song[order]], kind="stable")]  # songs in blocks, in random order
    largest = int(np.bincount(song).max())
    out = np.empty_like(order)
    out[order] = np.roll(order, -largest)  # a shift by the largest block leaves no row in its own
    return out


def _unit(rows: FloatArray) -> FloatArray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(length > 0, rows / np.maximum(length, 1e-300), 0.0)
