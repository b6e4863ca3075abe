"""Film and notes on beats and on a clock: known answers, and the one sign of the offset."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffbgm.data.alignment import CLOCK_HZ, align, clock_edges, majority, overlap_mean
from diffbgm.data.annotation.music import BITS_SHAPE, MusicAnnotation, Span
from diffbgm.data.annotation.song import annotate_pop909
from diffbgm.data.pop909 import read_song, read_table
from diffbgm.data.shared_conditions import conditions_from_film, conditions_from_notes, crop, whole_bars
from diffbgm.data.windows import conditions_of_notes, song_features
from diffbgm.diffusion import conditions as c
from diffbgm.diffusion.roll import ONSET
from diffbgm.video.analysis import Analysis, Curve, Shot, Transition


def music(n_beats: int = 32, *, pickup: int = 0, beat_s: float = 0.5) -> MusicAnnotation:
    """One melody note on every beat, velocity 90, starting at song time 0; a second note on downbeats."""
    bits = np.zeros((n_beats, *BITS_SHAPE), bool)
    bits[:, 0, ONSET, 0, 40] = True
    downbeat = np.arange(n_beats) % 4 == pickup % 4
    bits[downbeat, 2, ONSET, 0, 20] = True
    velocity = np.zeros((n_beats, 3, 4), np.uint8)
    velocity[:, 0, 0] = 90
    velocity[downbeat, 2, 0] = 60
    half = n_beats // 2
    return MusicAnnotation(
        beats_s=np.arange(n_beats + 1) * beat_s,
        downbeat=downbeat,
        beats_per_bar=4,
        eighths_per_beat=2,
        keys=(Span(0, n_beats, "C"),),
        given_keys=(),
        chords=(Span(0, n_beats, "C"),),
        given_chords=(),
        phrases=(Span(0, half, "A"), Span(half, n_beats, "B")),
        phrase_source="estimated",
        roles=("melody", "accompaniment"),
        bits=np.packbits(bits.reshape(n_beats, -1), axis=1),
        velocity=velocity,
        dynamics=np.full(n_beats, 85, np.float32),
        grid_fit=1.0,
    )


def film(duration_s: float = 12.0) -> Analysis:
    """Brightness is the time in seconds / 100; one cut at 5 s; speech from 2 to 3 s."""
    n = int(np.ceil(duration_s * 8))
    rising = Curve(8.0, ((np.arange(n) + 0.5) / 800).astype(np.float32))
    flat = Curve(8.0, np.full(n, 0.25, np.float32))
    return Analysis(
        video="film.mp4", container="mp4", duration_s=duration_s, frame_rate=Fraction(25), n_frames=n,
        width=16, height=9, rotation=0, has_audio=True, shots=(Shot(0.0, 5.0), Shot(5.0, duration_s)),
        transitions=(Transition(5.0, "cut", 5.0, 5.0, 0.8),), motion=flat, camera=flat, brightness=rising,
        saturation=flat, warmth=flat, speech_spans=((2.0, 3.0),), source_lufs=-20.0, has_music=False,
        thumbnails=(), warnings=(),
    )  # fmt: skip


def test_overlap_mean_weighs_by_shared_time() -> None:
    values, edges = np.array([1.0, 3.0]), np.array([0.0, 1.0, 2.0])
    found = overlap_mean(values, edges, np.array([-1.0, 0.5, 1.25, 2.0, 3.0]))
    np.testing.assert_allclose(found, [1.0, (0.5 * 1 + 0.25 * 3) / 0.75, 3.0, np.nan])


@given(
    st.lists(st.floats(0.01, 2.0), min_size=1, max_size=12),
    st.lists(st.floats(0.01, 2.0), min_size=1, max_size=12),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_overlap_mean_keeps_the_integral(steps: list[float], other: list[float], seed: int) -> None:
    edges = np.concatenate(([0.0], np.cumsum(steps)))
    grid = np.concatenate(([0.0], np.cumsum(other)))
    grid *= edges[-1] / grid[-1]
    values = np.random.default_rng(seed).normal(size=len(steps))
    found = overlap_mean(values, edges, grid)
    assert (found * np.diff(grid)).sum() == pytest.approx((values * np.diff(edges)).sum(), abs=1e-6)
    assert found.min() >= values.min() - 1e-6
    assert found.max() <= values.max() + 1e-6


def test_majority_takes_what_covers_most() -> None:
    found = majority(np.array([-2.0, -0.2, 0.2, 0.9, 1.9, 3.5]), np.array([0.0, 1.0, 2.0]))
    assert found.tolist() == [-1, -1, 0, 1, -1]


def test_offset_is_the_song_time_at_video_time_0() -> None:
    """offset -2: the music begins 2 s into the video, so that beat 0 is at video time 2."""
    late = align(music(), film(), -2.0)
    assert late.on_beats.start_s[0] == 2.0
    assert np.isnan(late.beat[: int(2 * CLOCK_HZ)]).all()
    assert late.beat[int(2 * CLOCK_HZ)] == 0.0
    early = align(music(), film(), 3.0)  # the video begins 3 s into the song, on beat 6
    assert early.beat[0] == 6.0
    assert early.on_beats.start_s[6] == 0.0


def test_curves_lie_on_beats_by_time() -> None:
    found = align(music(), film(), 3.0).on_beats
    # Beat 7 is video time 0.5 .. 1.0; brightness is time / 100.
    assert found.brightness[7] == pytest.approx(0.0075, abs=1e-4)
    assert np.isnan(found.brightness[:6]).all()
    assert found.covered[:8].tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    assert found.cuts[6 + 10] == 1  # the cut at 5 s
    assert np.nansum(found.cuts) == 1
    np.testing.assert_allclose(found.speech[6 + 3 : 6 + 7], [0, 1, 1, 0])
    assert found.onsets.tolist() == [2, 1, 1, 1] * 8
    assert found.velocity[:2].tolist() == [75, 90]


def test_a_beat_half_in_the_film_takes_the_half_that_is() -> None:
    found = align(music(), film(), 0.25).on_beats
    assert found.covered[0] == 0.5
    assert found.brightness[0] == pytest.approx(0.00125, abs=1e-4)


def test_notes_lie_on_the_clock() -> None:
    found = align(music(), film(), 0.0)
    assert found.on_clock.onsets[:4].tolist() == [2, 0, 1, 0]
    assert len(found.on_clock.start_s) == 12 * CLOCK_HZ
    assert found.on_clock.melody_onsets.sum() == 24


def test_a_song_alone_has_a_clock_too() -> None:
    found = align(music(), None, 0.0)
    assert len(found.beat) == 16 * CLOCK_HZ
    assert np.isnan(found.on_beats.motion).all()
    assert not found.on_beats.covered.any()


def test_conditions_from_notes() -> None:
    song = music()
    found = conditions_from_notes(song, 0.0, clock_edges(song, None, 0.0))
    assert found is not None
    assert found.segment.tolist() == [0] * 16 + [1] * 16
    assert (found.dynamic[:, c.DYNAMIC_INDEX["density"]] == c.density_code(1.25)).all()
    assert (found.dynamic[:, c.DYNAMIC_INDEX["melody"]] == c.melody_code(1.0)).all()
    assert found.dynamic[:4, c.DYNAMIC_INDEX["beat"]].tolist() == [1, 2, 3, 4]
    assert found.semantic[:, c.SEMANTIC_INDEX["label"]].tolist() == [1, 2]
    assert found.semantic[:, c.SEMANTIC_INDEX["mode"]].tolist() == [1, 1]
    np.testing.assert_array_equal(found.dynamic_on_clock[::2], found.dynamic)  # two ticks a beat
    start, conditions = found.conditions()
    assert start == 0
    assert conditions.mask.sum(axis=1).tolist() == [1] * 32


def test_conditions_from_film_lie_on_the_bars_in_it() -> None:
    song, picture = music(34, pickup=2), film()
    found = conditions_from_film(song, picture, 0.25, clock_edges(song, picture, 0.25))
    assert found is not None
    # Bars begin at video time 0.75, 2.75, ...; the last that ends within 12 s ends at 10.75, beat 22.
    assert np.flatnonzero(found.segment >= 0).tolist() == list(range(2, 22))
    # The cut at 5 s is nearest to the sixteenth 34 after 0.75 s: beat 8 of the bars, its third.
    accents = found.dynamic[:, c.ACCENT]
    assert np.argwhere(accents == 1).tolist() == [[2 + 8, 2]]
    assert (found.dynamic[2:22, c.DYNAMIC_INDEX["density"]] > 0).all()
    assert not found.dynamic[:2].any()


def test_other_metres_have_no_conditions() -> None:
    song = music()
    assert whole_bars(song) == (0, 32)
    assert whole_bars(music(34, pickup=2)) == (2, 34)
    uneven = song.downbeat.copy()
    uneven[[8, 10]] = [False, True]
    assert whole_bars(replace(song, downbeat=uneven)) is None
    assert whole_bars(replace(song, beats_per_bar=3)) is None
    assert conditions_from_notes(replace(song, eighths_per_beat=3), 0.0, np.array([0.0, 1.0])) is None


def test_crop_moves_everything() -> None:
    part = crop(film(), 1.5, 6.0)
    assert part.duration_s == 4.5
    assert [each.time_s for each in part.transitions] == [3.5]
    assert part.speech_spans == ((0.5, 1.5),)
    assert part.shots == (Shot(0.0, 3.5), Shot(3.5, 4.5))
    assert part.brightness.values[0] == pytest.approx(0.0150 + 1 / 1600, abs=1e-5)


@pytest.mark.data
@pytest.mark.parametrize("song_id", ["001", "087"])
def test_conditions_of_real_songs_are_those_of_training(shared: Path, tmp_path: Path, song_id: str) -> None:
    """A row's song, through the general annotation, gives what the training windows are computed from."""
    with tarfile.open(shared / "data/POP909.tar.xz") as archive:
        wanted = [each for each in archive.getmembers() if f"/{song_id}/" in each.name]
        archive.extractall(tmp_path, wanted, filter="data")
    table = {row["song_id"]: row for row in read_table(shared / "data/POP909-songs.csv")}
    folder, row = tmp_path / "POP909" / song_id, table[song_id]
    trained_on = read_song(folder, row)
    annotated = annotate_pop909(folder, row)
    assert trained_on is not None
    start = annotated.phrases[0].start_beat
    end = start + trained_on.n_beats
    shift = (np.where(trained_on.minor, 9, 0)[0] - int(trained_on.tonic[0]) + 6) % 12 - 6
    expected = conditions_of_notes(
        trained_on, song_features(trained_on), 0, trained_on.n_beats, int(shift), 99
    )
    found = conditions_from_notes(annotated, 0.0, clock_edges(annotated, None, 0.0))
    assert found is not None
    inside = slice(start, end)
    np.testing.assert_array_equal(found.semantic, expected.semantic)
    np.testing.assert_array_equal(found.segment[inside], expected.mask.argmax(axis=1))
    # Accents are judged by what sounds around them, which at the ends is not the same.
    np.testing.assert_array_equal(found.dynamic[inside][4:-4], expected.dynamic[4:-4])
