"""A small real dataset from end to end, by the commands: built, checked, read, trained on, looked at.

The songs are POP909's. The videos are STAND-INS: clips that do not belong to the songs, paired with them only
so that every column of a row is filled from real files. Nothing that is learned from it means anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("pyarrow")

from diffbgm.data.manifest import ManifestRow, write_manifest
from diffbgm.data.reader import Windows
from diffbgm.data.rows import items_of
from diffbgm.data.store import data_files, read_rows

from ..conftest import Run
from ..train.songs import TRAINING, TRANSFORMER, as_toml
from .built import unpack_songs

SONGS = ("001", "002", "009", "034")  # 009 is held out; 034 is in 3/4, of which no windows are made
STAND_INS = {
    "001": ("nasa_webb_mirror_2tracks.mp4", 0.0),
    "002": ("bbb_yawn_320x240_15fps.mp4", -1.0),
    "009": ("rooftop_handheld_360p.mp4", 4.0),
}


@pytest.mark.data
def test_songs_of_pop909_with_stand_in_videos(
    shared: Path, tmp_path: Path, diffbgm: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    songs = unpack_songs(shared, tmp_path, SONGS)
    rows = []
    for song in SONGS:
        name, offset_s = STAND_INS.get(song, (None, 0.0))
        video = None if name is None else str(shared / "data" / "videos" / name)
        rows.append(
            ManifestRow(
                song=f"POP909/{song}",
                video=video,
                offset_s=offset_s,
                item_id=f"{song}-stand-in" if video else song,
                video_id=f"stand-in-{Path(video).stem}" if video else None,
                method="stand-in: the video does not belong to the song" if video else None,
                confidence=0.0 if video else None,
            )
        )
    write_manifest(rows, songs / "manifest.csv")
    folder = tmp_path / "dataset"

    done = diffbgm("dataset", "build", songs / "manifest.csv", "-o", folder, "--workers", 1, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["built"] == 4

    done = diffbgm("dataset", "verify", folder, "--json")
    errors = [each for each in json.loads(done.out)["findings"] if each["severity"] == "error"]
    assert (done.code, errors) == (0, []), errors

    items = {each.item_id: each for table in read_rows(data_files(folder)) for each in items_of(table)}
    assert list(items) == ["001-stand-in", "002-stand-in", "009-stand-in", "034"]
    assert [each.split for each in items.values()] == ["train", "train", "heldout", "train"]
    assert len(items["001-stand-in"].film.shots) == 3
    assert items["002-stand-in"].offset_s == -1.0
    assert all(each.film_conditions is not None for name, each in items.items() if name[-1] == "n")

    assert len(Windows(folder, "train")) > 50
    assert Windows(folder, "heldout").draw(0)["clean"].shape == (64, 2148)

    recipe = _recipe(tmp_path)
    done = diffbgm("train", recipe, "--data", folder, "--run", tmp_path / "run", "--steps", 2)
    assert done.code == 0, done.err
    assert "step 2/2" in done.err

    page = tmp_path / "item.html"
    done = diffbgm("dataset", "view", folder, "001-stand-in", "-o", page, "--no-sound")
    assert done.code == 0, done.err
    text = page.read_text("utf-8")
    assert "stand-in: the video does not belong to the song" in text
    assert '"thumbnails":[[' in text

    done = diffbgm("dataset", "stats", folder)
    assert done.code == 0, done.err
    card = (folder / "DATA_CARD.md").read_text("utf-8")
    assert "**3 items have stand-in videos: they do not belong to their songs.**" in card
    assert "pairs made by: stand-in: the video does not belong to the song 3" in card


def _recipe(folder: Path) -> Path:
    from diffbgm.train.recipe import Recipe

    values = {"network": TRANSFORMER, "training": TRAINING, "data": {"set": "dataset"}}
    return as_toml(Recipe.build(values), folder / "recipe.toml")
