"""The page of an item: what is in it, at which time, and what it says when something is missing."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from diffbgm.data import store
from diffbgm.data.alignment import align
from diffbgm.data.annotation.music import Span
from diffbgm.data.manifest import ManifestRow, write_manifest
from diffbgm.data.view import read_item, write_view
from diffbgm.data.view_model import Clock, score_of, view_model
from diffbgm.errors import InputError
from diffbgm.video.analysis import Thumbnail

from ..conftest import Run
from .built import build_here
from .songs import make_song, write_song
from .test_alignment import film, music
from .test_store import item


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, short_film: Path) -> Path:
    """Two songs of 20 s, one with a film of 6 s that begins 2 s into the song."""
    root = tmp_path_factory.mktemp("media")
    for number in (1, 2):
        write_song(make_song(number, n_bars=8), root / f"song{number}.mid")
    shutil.copy(short_film, root / "film.mp4")
    write_manifest(
        [ManifestRow(song="song1.mid", video="film.mp4", offset_s=2.0), ManifestRow(song="song2.mid")],
        root / "m.csv",
    )
    assert build_here(root / "m.csv", root / "d").failures == ()
    return root / "d"


def view_of(page: Path) -> dict[str, Any]:
    found = re.search(
        r'<script type="application/json" id="view">(.*?)</script>', page.read_text("utf-8"), re.S
    )
    assert found is not None
    return json.loads(found[1])


def row(view: dict[str, Any], lane: str, name: str) -> np.ndarray:
    """Values of a strip, NaN where unknown."""
    (found,) = [each for each in view["heat"][lane] if each["name"] == name]
    data = np.frombuffer(base64.b64decode(found["values"]), np.uint8)
    values = found["low"] + data / 254 * (found["high"] - found["low"])
    return np.where(data == 255, np.nan, values)


@pytest.mark.parametrize(
    ("offset_s", "video_s", "song_s"), [(0.0, 0.0, 0.0), (2.0, 2.0, 0.0), (-3.5, 0.0, 3.5)]
)
def test_the_page_begins_with_what_begins_first(offset_s: float, video_s: float, song_s: float) -> None:
    """song time = video time + offset_s, whichever of them is drawn at 0."""
    clock = Clock.of(replace(item(), offset_s=offset_s))
    assert clock == Clock(video_s, song_s)
    assert clock.song_s - clock.video_s == -offset_s


def test_everything_lies_at_its_time() -> None:
    """Brightness rises with video time; the cut is at 5 s of it, the song begins 3.5 s into the film."""
    song, picture = music(), film()
    one = replace(item(), music=song, film=picture, offset_s=-3.5, aligned=align(song, picture, -3.5))
    score = score_of(one)
    view = view_model(one, score, [Thumbnail(1.0, b"jpeg")], None)
    assert view["duration"] == 3.5 + 16
    assert view["beats"][:2] == [3.5, 4.0]
    assert view["bars"] == [3.5 + 2 * k for k in range(9)]
    assert view["shots"] == [[0.0, 5.0], [5.0, 12.0]]
    assert view["speech"] == [[2.0, 3.0]]
    assert view["thumbnails"] == [[1.0, base64.b64encode(b"jpeg").decode()]]
    assert [(each["start"], each["end"], each["label"]) for each in view["sections"]] == [
        (0.0, 3.5, "–"), (3.5, 11.5, "A"), (11.5, 19.5, "B"),
    ]  # fmt: skip
    assert view["spans"]["keys"] == [{"name": "estimated", "spans": [[3.5, 19.5, "C", 1.0]]}]
    bright = row(view, "features", "brightness")
    known = ~np.isnan(bright)
    middle_s = 3.5 + 0.25 + 0.5 * np.arange(32)
    np.testing.assert_array_equal(known, middle_s < 12)
    np.testing.assert_allclose(bright[known], middle_s[known] / 100, atol=1e-3)
    assert np.flatnonzero(row(view, "features", "cuts") == 1).tolist() == [3]
    first = score.parts[0].notes[0]
    assert (first.start_s, first.pitch, first.velocity) == (3.5, 61, 90)


def test_a_song_before_its_video_pushes_the_video_back() -> None:
    one = replace(item(), music=music(), film=film(), offset_s=2.0, aligned=align(music(), film(), 2.0))
    view = view_model(one, score_of(one), [], None)
    assert view["beats"][0] == 0.0
    assert view["shots"] == [[2.0, 7.0], [7.0, 14.0]]
    assert view["transitions"][0]["t"] == 7.0
    assert view["curves"]["motion"]["start"] == 2.0


def test_given_and_estimated_stand_in_rows_of_their_own() -> None:
    song = replace(music(), given_keys=(Span(0, 32, "C:maj"),), given_chords=(Span(0, 32, "C:maj/3"),))
    one = replace(item(), music=song)
    spans = view_model(one, score_of(one), [], None)["spans"]
    assert [each["name"] for each in spans["keys"]] == ["given", "estimated"]
    assert [each["spans"][0][2] for each in spans["harmony"]] == ["C:maj/3", "C"]
    assert [each[2] for each in spans["captions"][0]["spans"]] == ["Ein Bär", 'a "bird"']


def test_strips_hold_the_values_of_the_row() -> None:
    one = item()
    view = view_model(one, score_of(one), [], None)
    assert {each["name"] for each in view["heat"]["learned"]} >= {"visual 1", "language 1"}
    found = row(view, "notes_conditions", "density")
    assert one.music_conditions is not None
    codes = one.music_conditions.dynamic[:, 0].astype(float)
    np.testing.assert_allclose(found, np.where(codes == 0, np.nan, codes), atol=0.1)
    np.testing.assert_array_equal(
        np.isnan(row(view, "notes_conditions", "mode")), one.music_conditions.segment < 0
    )


def test_the_page_of_an_item_with_a_video(dataset: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert write_view(dataset, "song1-film", page, sound=False) == []
    view = view_of(page)
    assert [t for t, _ in view["thumbnails"]] == pytest.approx([2 + 1.0, 2 + 3.125, 2 + 5.125], abs=0.05)
    jpeg = base64.b64decode(view["thumbnails"][0][1])
    assert jpeg.startswith(b"\xff\xd8")
    assert [round(each["t"], 2) for each in view["transitions"]] == [4.0, 6.25]
    text = page.read_text("utf-8")
    assert "film.mp4" in text
    assert '<audio id="audio" controls preload="auto" ></audio>' in text


def test_the_page_of_a_song_alone_has_no_lanes_of_a_film(dataset: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    write_view(dataset, "song2", page, sound=False)
    text = page.read_text("utf-8")
    hidden = re.findall(r'data-lane="(\w+)" hidden', text)
    assert hidden == [
        "shots",
        "captions",
        "speech",
        "motion",
        "colour",
        "lyrics",
        "wave",
        "learned",
        "film_conditions",
    ]
    assert view_of(page)["shots"] == []


def test_a_video_that_is_gone_or_changed_is_told(dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset.parent, tmp_path / "moved")
    video = tmp_path / "moved" / "film.mp4"
    with video.open("ab") as file:
        file.write(b"\0")
    page = tmp_path / "page.html"
    assert write_view(tmp_path / "moved" / "d", "song1-film", page, sound=False) == [
        "the pictures may not fit: film.mp4 has changed since the dataset was built"
    ]
    video.unlink()
    (warning,) = write_view(tmp_path / "moved" / "d", "song1-film", page, sound=False)
    assert warning == "there are no pictures: film.mp4 is no longer at its place"
    assert "There are no pictures" in page.read_text("utf-8")


def test_strings_of_the_data_cannot_become_markup(tmp_path: Path) -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    one = replace(item("evil", with_film=False), title=evil, pair_method=evil)
    store.write_item(tmp_path / "d", *written(one, tmp_path / "d"))
    store.compact(
        tmp_path / "d", {"evil": store.Built("evil", "s", "x")}, {"evil": None}, {"schema_version": "1.0"}
    )
    write_view(tmp_path / "d", "evil", tmp_path / "p.html", sound=False)
    assert "<img src=x" not in (tmp_path / "p.html").read_text("utf-8")


def written(one: Any, folder: Path) -> tuple[Any, store.Built]:
    from diffbgm.data.rows import to_table

    folder.mkdir()
    return to_table(one), store.Built(one.item_id, "s", "x")


def test_an_item_that_is_not_there_is_told(dataset: Path) -> None:
    assert read_item(dataset, "song2").item_id == "song2"
    with pytest.raises(InputError, match=r"has no item nothing; there are 2: song1-film, song2"):
        read_item(dataset, "nothing")


def test_the_command(dataset: Path, tmp_path: Path, diffbgm: Callable[..., Run]) -> None:
    page = tmp_path / "page.html"
    done = diffbgm("dataset", "view", dataset, "song2", "-o", page, "--no-sound")
    assert (done.code, done.out.strip()) == (0, str(page))
    again = diffbgm("dataset", "view", dataset, "song2", "-o", page, "--no-sound")
    assert again.code != 0
    assert "--force" in again.err
    done = diffbgm("dataset", "view", dataset, "song2", "-o", page, "--no-sound", "--force", "--json")
    assert json.loads(done.out) == {"page": str(page), "warnings": []}
