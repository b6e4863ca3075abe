"""Seconds, beats and steps: answers worked out by hand, and that the conversion undoes itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffbgm.timing import STEPS_PER_BEAT, TempoMap, divide_exactly

# Two bars at 120 BPM (2 s each), then one at 60 BPM (4 s).
THREE_BARS = TempoMap((0.0, 2.0, 4.0, 8.0))


def test_known_positions() -> None:
    assert THREE_BARS.n_bars == 3
    assert THREE_BARS.n_beats == 12
    assert THREE_BARS.end_s == 8.0
    assert THREE_BARS.bpm_of_bars().tolist() == [120.0, 120.0, 60.0]
    assert THREE_BARS.seconds(1.0) == 0.5
    assert THREE_BARS.seconds(8.0) == 4.0
    assert THREE_BARS.seconds(9.0) == 5.0
    assert THREE_BARS.beats(4.5) == 8.5
    assert THREE_BARS.nearest_step(5.1) == 9 * STEPS_PER_BEAT


def test_positions_outside_extrapolate_the_nearest_bar() -> None:
    assert THREE_BARS.seconds(-1.0) == -0.5
    assert THREE_BARS.seconds(13.0) == 9.0
    assert THREE_BARS.beats(9.0) == 13.0
    assert THREE_BARS.beats(-0.5) == -1.0
    assert THREE_BARS.nearest_step(-3.0) == 0


def test_arrays_go_through_as_arrays() -> None:
    seconds = THREE_BARS.seconds(np.array([0.0, 4.0, 8.0, 12.0]))
    assert seconds.tolist() == [0.0, 2.0, 4.0, 8.0]
    assert THREE_BARS.beats(seconds).tolist() == [0.0, 4.0, 8.0, 12.0]


@given(
    bars_s=st.lists(st.floats(0.2, 8.0), min_size=1, max_size=12),
    beat=st.floats(-8.0, 80.0),
)
def test_seconds_and_beats_undo_each_other(bars_s: list[float], beat: float) -> None:
    tempo_map = TempoMap((0.0, *np.cumsum(bars_s).tolist()))
    assert tempo_map.beats(tempo_map.seconds(beat)) == pytest.approx(beat, abs=1e-6)


@given(
    bars_s=st.lists(st.floats(0.2, 8.0), min_size=1, max_size=12),
    beats=st.lists(st.floats(-8.0, 80.0), min_size=2, max_size=10, unique=True),
)
def test_later_beats_are_later_seconds(bars_s: list[float], beats: list[float]) -> None:
    seconds = TempoMap((0.0, *np.cumsum(bars_s).tolist())).seconds(np.array(sorted(beats)))
    assert np.all(np.diff(seconds) >= 0)


@pytest.mark.parametrize("starts", [(0.0,), (0.5, 1.0), (0.0, 2.0, 2.0), (0.0, 2.0, 1.0), ()])
def test_bars_that_make_no_sense_are_refused(starts: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="bar"):
        TempoMap(starts)


def test_divide_exactly_refuses_a_remainder() -> None:
    assert divide_exactly(12, 4) == 3
    with pytest.raises(ValueError, match="13 is not a multiple of 4"):
        divide_exactly(13, 4)
