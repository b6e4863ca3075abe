"""Bars of new cuts: what survives stays put, what does not fits in between, and the rules hold."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from diffbgm.editing.alignment import Span
from diffbgm.editing.bars import NewBars, lay_bars, stretches_of
from diffbgm.spotting.hits import Candidate

FRAME_S = 1 / 24
BAR_S = 2.0
OLD = tuple(k * BAR_S for k in range(31))  # a minute


def lay(spans: list[tuple[float, float, float]], duration_s: float, hits: tuple[float, ...] = ()) -> NewBars:
    """spans: old second, new second, length."""
    bars = lay_bars(
        OLD, [Span(*each) for each in spans], duration_s, FRAME_S, [Candidate(h, 0.8, "cut") for h in hits]
    )
    assert bars is not None
    check(bars, duration_s)
    return bars


def check(bars: NewBars, duration_s: float) -> None:
    starts = np.array(bars.starts_s)
    assert (starts[0], starts[-1]) == (0.0, duration_s)
    assert len(bars.was) == len(bars.tempo_kept) == len(bars.with_next) == len(starts) - 1
    lengths = np.diff(starts)
    new = np.array(bars.was) < 0
    assert np.all(np.abs(lengths[:-1] / BAR_S - 1) <= np.where(new, 0.16, 0.08)[:-1] + 1e-6)
    assert 0.92 - 1e-6 <= lengths[-1] / BAR_S <= (1.5 if bars.was[-1] < 0 else 1.08) + 1e-6
    np.testing.assert_allclose(lengths[list(bars.tempo_kept)], BAR_S, atol=FRAME_S / 2 + 1e-5)
    assert all(was >= 0 for was, kept in zip(bars.was, bars.tempo_kept, strict=True) if kept)
    for before, after in pairwise(range(len(lengths))):
        if bars.was[before] >= 0 and bars.was[after] >= 0:
            assert bars.was[after] == bars.was[before] + 1, "no seam without a bar that leads over"
            assert abs(lengths[after] / lengths[before] - 1) <= 0.045
    assert bars.was[-1] in (-1, len(OLD) - 2), "the old closing bar closes, or another one is composed"
    assert len(OLD) - 2 not in bars.was[:-1]


def told(bars: NewBars) -> list[tuple[int, int, int, bool]]:
    return list(stretches_of(bars.was, bars.tempo_kept))


def test_the_same_film_keeps_every_bar() -> None:
    bars = lay([(0, 0, 60)], 60)
    assert bars.starts_s == OLD
    assert told(bars) == [(0, 30, 0, True)]


def test_without_its_end_a_new_ending_is_composed() -> None:
    bars = lay([(0, 0, 41)], 41)
    assert bars.was[:16] == tuple(range(16))
    assert bars.was[-2:] == (-1, -1)
    assert sum(bars.tempo_kept) >= 15
    assert told(bars)[-1][2] == -1


@pytest.mark.parametrize("cut_s", [8.0, 9.0, 9.37, 11.5, 2.7])
def test_a_middle_cut_out_costs_a_few_bars(cut_s: float) -> None:
    bars = lay([(0, 0, 20.6), (20.6 + cut_s, 20.6, 39.4 - cut_s)], 60 - cut_s)
    kept = [was for was, kept in zip(bars.was, bars.tempo_kept, strict=True) if kept]
    assert len(kept) >= 30 - cut_s / BAR_S - 10
    assert bars.was.count(-1) <= 3
    starts = dict(zip(bars.was, bars.starts_s, strict=False))
    for was in kept:
        shift_s = 0 if was < 10 else -cut_s
        assert starts[was] == pytest.approx(OLD[was] + shift_s, abs=1e-6)


def test_a_frame_trimmed_costs_no_bar() -> None:
    bars = lay([(0, 0, 30), (30 + FRAME_S, 30, 30 - FRAME_S)], 60 - FRAME_S)
    assert bars.was == tuple(range(30))
    assert bars.tempo_kept.count(False) <= 3


def test_what_is_put_in_is_composed_and_its_cuts_are_met() -> None:
    hits = (23.3, 27.9)
    bars = lay([(0, 0, 20), (20, 31, 40)], 71, hits)
    new = [bar for bar, was in enumerate(bars.was) if was < 0]
    assert new == list(range(new[0], new[-1] + 1))
    assert 4 <= len(new) <= 6
    for hit_s in hits:
        starts = np.array(bars.starts_s)
        bar = int(np.searchsorted(starts, hit_s)) - 1
        step = 16 * (hit_s - starts[bar]) / (starts[bar + 1] - starts[bar])
        assert abs(step - round(step)) < 0.01


def test_scenes_that_change_places_take_their_bars_along() -> None:
    bars = lay([(0, 0, 15.1), (32.4, 15.1, 16), (15.1, 31.1, 17.3), (48.4, 48.4, 11.6)], 60)
    order = [was for was, kept in zip(bars.was, bars.tempo_kept, strict=True) if kept]
    assert {2, 20, 12, 29} <= set(order)
    assert order.index(20) < order.index(12)
    assert bars.was.count(-1) <= 6


def test_what_is_too_short_for_a_bar_keeps_none() -> None:
    assert lay_bars(OLD, [Span(10.5, 3, 1.6)], 12, FRAME_S, []) is None


def test_random_cuts_keep_the_rules() -> None:
    """Whatever is cut, moved and put in: `check` holds, and most of what could stay stays."""
    rng = np.random.default_rng(5)
    stayed = possible = 0
    for _ in range(60):
        edges = np.sort(rng.uniform(0, 60, rng.integers(1, 4)))
        pieces = [*pairwise([0.0, *edges.tolist(), 60.0])]
        if rng.random() < 0.5:
            rng.shuffle(pieces)
        at, spans = 0.0, []
        for start, end in pieces:
            if rng.random() < 0.2:
                continue
            at += float(rng.choice([0.0, 0.0, rng.uniform(1, 15)]))
            spans.append(Span(start, at, end - start))
            at += end - start
        bars = lay_bars(OLD, spans, at, FRAME_S, []) if spans else None
        if bars is None:
            continue
        check(bars, at)
        stayed += sum(was >= 0 for was in bars.was)
        possible += sum(int(span.length_s // BAR_S) for span in spans)
    assert stayed > 0.8 * possible
