"""The data type, its file, and features on beats, against known answers and against adding up by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffbgm.errors import InputError
from diffbgm.features.captions import Caption
from diffbgm.features.film_features import FilmFeatures, Source, beat_edges, sha256_of, stretched
from diffbgm.timing import TempoMap
from diffbgm.video.analysis import Shot

THREE = (Caption(0.0, 1.0, "one"), Caption(1.0, 2.5, "two"), Caption(2.5, 4.0, "three"))


def features(
    n_rows: int = 4,
    duration_s: float = 4.0,
    hz: float = 1.0,
    captions: tuple[Caption, ...] = THREE,
    width: int = 4,
) -> FilmFeatures:
    """Rows that can be told apart: row k has a one at place k, modulo the width."""
    return FilmFeatures(
        film=Source("film.mp4", "ab" * 32),
        duration_s=duration_s,
        visual=np.eye(width, dtype=np.float32)[np.arange(n_rows) % width],
        visual_hz=hz,
        visual_by=Source("clip", "01" * 32),
        shots=(Shot(0.0, 2.5), Shot(2.5, duration_s)),
        shots_by="builtin",
        captions=captions,
        captions_by=Source("blip", "02" * 32),
        language=np.eye(len(captions) or 1, 5, dtype=np.float32)[: len(captions)],
        language_by=Source("bert", "03" * 32),
    )


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    before = replace(features(), captions=(*THREE[:2], Caption(2.5, 4.0, "drei Äpfel ☂")))
    before.save(tmp_path / "film.npz")
    after = FilmFeatures.load(tmp_path / "film.npz")
    assert after.about() == before.about()
    assert after.captions == before.captions
    assert after.shots == before.shots
    np.testing.assert_array_equal(after.visual, before.visual)
    np.testing.assert_array_equal(after.language, before.language)
    before.save(tmp_path / "again.npz")
    assert (tmp_path / "film.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_half_precision_is_read(tmp_path: Path) -> None:
    features().save(tmp_path / "film.npz")
    with np.load(tmp_path / "film.npz") as file:
        arrays = dict(file)
    arrays["visual"] = arrays["visual"].astype(np.float16)
    np.savez(tmp_path / "half.npz", **arrays)
    assert FilmFeatures.load(tmp_path / "half.npz").visual.dtype == np.float32


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut short", b"hello"])
def test_other_files_are_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "film.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"film\.npz: (no such file|not film features)") as caught:
        FilmFeatures.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema 2; this diffbgm reads schema 1"),
        ({"captions": [{"start_s": 0.0, "end_s": 1.0, "text": "x"}]}, "for 1 captions"),
        ({"visual_hz": 0}, "positive"),
        ({"duration_s": None}, "not film features"),
    ],
)
def test_contents_that_do_not_fit_are_told(tmp_path: Path, change: dict[str, object], message: str) -> None:
    import json

    features().save(tmp_path / "film.npz")
    with np.load(tmp_path / "film.npz") as file:
        arrays = dict(file)
    about = {**json.loads(arrays["about"].tobytes()), **change}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(tmp_path / "film.npz", **arrays)
    with pytest.raises(InputError, match=message):
        FilmFeatures.load(tmp_path / "film.npz")


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        replace(features(), visual=np.full((4, 4), np.nan, np.float32))
    with pytest.raises(ValueError, match="order of time"):
        features(captions=THREE[::-1])
    with pytest.raises(ValueError, match="ends before"):
        features(captions=(Caption(2.0, 1.0, "x"),))


def test_a_beat_takes_the_rows_by_the_time_they_share() -> None:
    on_beats = features().visual_on_beats(np.array([0.0, 0.5, 1.0, 2.5, 4.0]))
    expected = [[1, 0, 0, 0], [1, 0, 0, 0], [0, 2 / 3, 1 / 3, 0], [0, 0, 1 / 3, 2 / 3]]
    np.testing.assert_allclose(on_beats, expected, atol=1e-6)
    assert on_beats.dtype == np.float32


def test_the_last_row_lasts_until_the_film_ends_and_the_nearest_beyond_it() -> None:
    """Three rows of a film of 3.4 s: the last one holds from 2 s to 3.4 s."""
    film = features(n_rows=3, duration_s=3.4)
    np.testing.assert_array_equal(film.visual_edges_s, [0, 1, 2, 3.4])
    on_beats = film.visual_on_beats(np.array([-2.0, -1.0, 0.5, 1.5, 3.4, 4.0, 5.0]))
    expected = [[1, 0, 0], [1, 0, 0], [0.5, 0.5, 0], [0, 0.5 / 1.9, 1.4 / 1.9], [0, 0, 1], [0, 0, 1]]
    np.testing.assert_allclose(on_beats[:, :3], expected, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 30),
    st.floats(0.3, 4.0),
    st.lists(st.floats(0.05, 3.0), min_size=1, max_size=20),
    st.integers(0, 10**6),
)
def test_what_is_on_the_beats_is_what_was_in_the_rows(
    n_rows: int, hz: float, lengths_s: list[float], seed: int
) -> None:
    """The integral over beats that cover the film is that over its rows, and means stay within the rows."""
    duration_s = n_rows / hz
    edges_s = np.concatenate([[0.0], np.cumsum(lengths_s)]) * duration_s / sum(lengths_s)
    visual = np.random.default_rng(seed).standard_normal((n_rows, 3)).astype(np.float32)
    film = replace(features(n_rows, duration_s, hz), visual=visual)
    on_beats = film.visual_on_beats(edges_s)
    by_beats = (on_beats * np.diff(edges_s)[:, None]).sum(0)
    np.testing.assert_allclose(by_beats, visual.astype(float).sum(0) / hz, atol=1e-4 * duration_s)
    assert (on_beats.max(0) <= visual.max(0) + 1e-5).all()
    assert (on_beats.min(0) >= visual.min(0) - 1e-5).all()


def test_beats_of_a_tempo_map() -> None:
    edges_s = beat_edges(TempoMap((0.0, 2.0, 5.0)))
    np.testing.assert_allclose(edges_s, [0, 0.5, 1, 1.5, 2, 2.75, 3.5, 4.25, 5])


def test_a_beat_takes_the_caption_that_covers_most_of_it() -> None:
    chosen = features().language_on_beats(np.array([0.0, 0.9, 1.3, 2.3, 2.8, 4.0])).argmax(1)
    assert chosen.tolist() == [0, 1, 1, 2, 2]


def test_without_a_caption_the_nearest_counts_and_of_equals_the_first() -> None:
    captions = (Caption(1.0, 2.0, "a"), Caption(1.0, 2.0, "b"), Caption(6.0, 7.0, "c"))
    chosen = features(duration_s=9.0, captions=captions).language_on_beats(np.arange(9.0)).argmax(1)
    assert chosen.tolist() == [0, 0, 0, 0, 2, 2, 2, 2]


def test_no_captions_no_language() -> None:
    with pytest.raises(InputError, match="hold no captions"):
        features(captions=()).language_on_beats(np.arange(3.0))


@pytest.mark.parametrize(("n_rows", "n_beats"), [(7, 20), (20, 7), (49, 49), (5, 5), (1, 3), (187, 411)])
def test_stretched_is_what_the_published_loop_does(n_rows: int, n_beats: int) -> None:
    ratio = n_rows / n_beats
    published = [int(beat * ratio) for beat in range(n_beats)]
    rows = np.arange(n_rows, dtype=np.float32)[:, None]
    assert stretched(rows, n_beats)[:, 0].astype(int).tolist() == published


def test_stretched_asks_no_times() -> None:
    film = features(n_rows=4)
    edges_s = np.linspace(0.0, 100.0, 9)
    assert film.visual_on_beats(edges_s, "stretched").argmax(1).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert film.language_on_beats(edges_s, "stretched").argmax(1).tolist() == [0, 0, 0, 1, 1, 1, 2, 2]


def test_features_of_another_film_are_refused(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"pictures")
    own = replace(features(), film=Source("film.mp4", sha256_of(film)))
    own.check_film(film)
    film.write_bytes(b"other pictures")
    with pytest.raises(InputError, match=r"film\.mp4: the features are of another film"):
        own.check_film(film)
