from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")

import pyarrow as pa
import pyarrow.parquet as pq

from diffbgm.data import store
from diffbgm.data.annotation.music import Span
from diffbgm.data.build import build
from diffbgm.data.item import Item, LearnedFeatures
from diffbgm.data.rows import items_of
from diffbgm.data.sources import Sources
from diffbgm.data.verify import verify
from diffbgm.data.verify_items import check_item, check_soundtrack, notes_of
from diffbgm.data.verify_report import CHECKS
from diffbgm.features.captions import Caption
from diffbgm.features.film_features import FilmFeatures, Source
from diffbgm.sound.fluidsynth import SAMPLE_RATE
from diffbgm.sound.synth import render_blocks
from diffbgm.video.analysis import Shot

from ..media import make_video, texture
from .songs import make_song, score_of, write_song

INTRO_S = 2.0
CAPTIONS = ((0.0, 12.0, "a field"), (12.0, 24.0, "the sea"), (24.0, 34.0, "a road at night"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a manifest, its media and the dataset built from them in `dataset`.

    Song `tune` with a video in which it is heard 2 s late, with captions at its shots; song `other9` without.
    """
    home = tmp_path_factory.mktemp("made")
    songs = {"tune": make_song(1, n_bars=16, bpm=120), "other9": make_song(3, n_bars=16, bpm=120)}
    for name, song in songs.items():
        write_song(song, home / f"{name}.mid")
    music = np.concatenate(
        [stems.sum(axis=(0, 1)) for stems in render_blocks(score_of(songs["tune"], lead_s=0.0))]
    )
    sound = np.concatenate([np.zeros(round(INTRO_S * SAMPLE_RATE), np.float32), 0.5 * music])
    shots = [(end - start, texture(number)) for number, (start, end, _) in enumerate(CAPTIONS)]
    make_video(home / "film.mp4", shots, fps=5, size=(64, 48), audio=sound)
    captions = [{"start_s": start, "end_s": end, "text": text} for start, end, text in CAPTIONS]
    (home / "captions.json").write_text(json.dumps(captions))
    (home / "manifest.csv").write_text(
        f"song,video,offset_s,captions\ntune.mid,film.mp4,{-INTRO_S},captions.json\nother9.mid,,,\n"
    )
    result = build(home / "manifest.csv", home / "dataset", workers=1)
    assert not result.failures
    return home


@pytest.fixture(scope="module")
def item(made: Path) -> Item:
    rows = store.read_rows(store.data_files(made / "dataset"))
    return next(item for table in rows for item in items_of(table) if item.song_id == "tune")


def found_in(item: Item, made: Path, *, media: bool = False) -> dict[str, str]:
    findings, tune = check_item(item, Sources(made, made), media=media)
    assert len(tune) > 20
    assert {each.check for each in findings} <= CHECKS.keys()
    assert {each.item for each in findings} <= {item.item_id}
    return {each.check: each.message for each in findings}


def test_a_clean_dataset(made: Path, diffbgm: Callable[..., Any]) -> None:
    run = diffbgm("dataset", "verify", made / "dataset", "--media", "--json")
    assert run.code == 0, run.out
    told = json.loads(run.out)
    assert (told["kind"], told["items"], told["media_checked"]) == ("dataset", 2, True)
    assert told["findings"] == []


def test_the_notes_of_a_row_are_those_of_the_song(item: Item) -> None:
    notes = notes_of(item)
    written = sorted(
        (start, pitch) for start, _, pitch, _, track in make_song(1, n_bars=16, bpm=120).notes if track == 0
    )
    melody = notes.part == 0
    assert list(zip(notes.start_q[melody].tolist(), notes.pitch[melody].tolist(), strict=True)) == written


def test_the_soundtrack_lies_elsewhere(made: Path, item: Item) -> None:
    late = replace(item, offset_s=item.offset_s + 0.4)
    assert found_in(late, made, media=True) == {
        "pair_misaligned": "offset_s is -1.600, the soundtrack says -2.000"
    }
    assert found_in(late, made) == {}  # without listening nothing is known of it
    slightly = replace(item, offset_s=item.offset_s + 0.04)
    assert list(check_soundtrack(slightly, Sources(made, made))) == []


def test_the_soundtrack_holds_another_song(made: Path, item: Item) -> None:
    other = replace(item, media={**item.media, "song": replace(item.media["song"], path="other9.mid")})
    assert [each.check for each in check_soundtrack(other, Sources(made, made))] == ["pair_unconfirmed"]


def test_media(made: Path, item: Item, tmp_path: Path) -> None:
    for path in made.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    assert found_in(item, tmp_path, media=True) == {}
    film = tmp_path / "film.mp4"
    data = bytearray(film.read_bytes())
    data[-1] ^= 1
    film.write_bytes(data)
    assert "film.mp4 is not the file" in found_in(item, tmp_path, media=True)["media_changed"]
    assert found_in(item, tmp_path) == {}  # same size: only its hash tells
    film.write_bytes(data[:-100])
    assert "media_changed" in found_in(item, tmp_path)
    film.unlink()
    assert "film.mp4: no such file" in found_in(item, tmp_path)["media_missing"]


def test_song_and_film_apart(made: Path, item: Item) -> None:
    assert "the song lies from" in found_in(replace(item, offset_s=500.0), made)["pair_apart"]


def with_music(item: Item, **changes: Any) -> Item:
    return replace(item, music=replace(item.music, **changes))


def test_beats_and_bars(made: Path, item: Item) -> None:
    music = item.music
    wrong = np.roll(music.downbeat, 1)
    assert "on the wrong beat" in found_in(with_music(item, downbeat=wrong), made)["bar_phase"]
    in_three = np.arange(music.n_beats) % 3 == 0
    assert "metre" in found_in(with_music(item, downbeat=in_three, beats_per_bar=3), made)
    beats_s = music.beats_s.copy()
    beats_s[30:] += 0.5
    assert "beat_gap" in found_in(with_music(item, beats_s=beats_s), made)
    assert "off_grid" in found_in(with_music(item, grid_fit=0.3), made)


def test_annotations_that_are_missing(made: Path, item: Item) -> None:
    assert "no chords, keys" in found_in(with_music(item, chords=(), keys=()), made)["annotation_empty"]
    given = with_music(item, chords=(), given_chords=(Span(0, 4, "C:maj"),))
    assert found_in(given, made) == {}


def test_captions_in_the_wrong_place(made: Path, item: Item) -> None:
    def told(*captions: Caption) -> set[str]:
        return set(found_in(replace(item, captions=captions), made))

    first, second, third = item.captions
    assert told(first, second, third) == set()
    assert told(first, second, replace(third, end_s=60.0)) == {"caption_outside", "caption_off_shots"}
    assert told(first, replace(second, start_s=0.0), third) == {"caption_overlap"}
    assert told(first, replace(second, text=" "), third) == {"caption_empty"}
    moved = [
        replace(each, start_s=each.start_s + 3.0, end_s=min(each.end_s + 3.0, 34.0)) for each in item.captions
    ]
    assert told(*moved) == {"caption_off_shots"}
    assert told() == set()


def test_shots(made: Path, item: Item) -> None:
    assert item.film is not None
    film = item.film
    for shots in ((), film.shots[1:], (film.shots[0], film.shots[2]), (*film.shots[:2], Shot(24.0, 20.0))):
        told = found_in(replace(item, film=replace(film, shots=shots), captions=()), made)
        assert "shots_broken" in told, shots


def test_curves(made: Path, item: Item) -> None:
    assert item.film is not None
    film = item.film
    broken = film.motion.values.copy()
    broken[3] = np.nan
    told = found_in(replace(item, film=replace(film, motion=replace(film.motion, values=broken))), made)
    assert told == {"feature_broken": "the curve motion is not finite"}
    names = ("motion", "camera", "brightness", "saturation", "warmth")
    flat = {name: replace(film.motion, values=np.full_like(film.motion.values, 0.5)) for name in names}
    assert set(found_in(replace(item, film=replace(film, **flat)), made)) == {"feature_constant"}
    none = {name: replace(film.motion, values=np.zeros(0, np.float32)) for name in names}
    assert set(found_in(replace(item, film=replace(film, **none)), made)) == {"feature_empty"}


def test_learned_features(made: Path, item: Item) -> None:
    rng = np.random.default_rng(0)
    source = Source("model", "0" * 64)
    n_beats = item.music.n_beats

    def told(visual: np.ndarray, beats: int = n_beats, language: np.ndarray | None = None) -> set[str]:
        words = rng.normal(size=(3, 8)).astype(np.float32) if language is None else language
        shots = (Shot(0, 34.0),)
        film = FilmFeatures(
            source, 34.0, visual, 2.0, source, shots, "builtin", item.captions, source, words, source
        )
        learned = LearnedFeatures(film, "time", np.zeros((beats, 8), np.float32), None)
        return set(found_in(replace(item, features=learned), made))

    good = rng.normal(size=(68, 8)).astype(np.float32)
    assert told(good) == set()
    assert told(np.zeros_like(good)) == {"feature_empty"}
    assert told(np.ones_like(good)) == {"feature_constant"}
    assert told(good, beats=n_beats - 1) == {"feature_broken"}
    assert told(good, language=np.zeros((3, 8), np.float32)) == {"feature_empty"}


def test_a_melody_without_notes_and_even_loudness(made: Path, item: Item) -> None:
    from diffbgm.data.annotation.grid import unpacked

    bits = unpacked(item.music.bits)
    bits[:, 0] = False
    mute = with_music(item, bits=np.packbits(bits.reshape(item.music.n_beats, -1), axis=1))
    findings, tune = check_item(mute, Sources(made, made), media=False)
    assert [(each.check, each.severity) for each in findings] == [("track_empty", "error")]
    assert len(tune) == 0
    even = with_music(item, velocity=np.where(item.music.velocity > 0, 80, 0).astype(np.uint8))
    assert "velocity_constant" in found_in(even, made)


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """The dataset in another folder, to be changed."""
    folder = tmp_path / "dataset"
    shutil.copytree(made / "dataset", folder)
    about = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**about, "media_root": str(made)}))
    return folder


def test_leaks_between_the_splits(copied: Path, diffbgm: Callable[..., Any]) -> None:
    """The same tune under a number of each side, and one film for both."""
    rows = list(store.read_rows(store.data_files(copied)))
    tune = next(row for row in rows if row.column("song_id")[0].as_py() == "tune")
    other = tune
    told = {"item_id": "cover9-copy", "song_id": "cover9", "video_id": "copy", "split": "heldout"}
    for name, value in told.items():
        at = other.schema.get_field_index(name)
        other = other.set_column(at, other.schema.field(at), pa.array([value], pa.string()))
    pq.write_table(pa.concat_tables([other, tune]), store.data_files(copied)[0])
    (copied / "splits" / "train.txt").write_text("tune-film\n")
    (copied / "splits" / "heldout.txt").write_text("cover9-copy\n")
    run = diffbgm("dataset", "verify", copied, "--json")
    assert run.code == 5
    found = json.loads(run.out)["findings"]
    assert {each["check"] for each in found} == {"leak"}
    assert {each["item"] for each in found} == {"cover9, tune", "cover9-copy, tune-film"}
    assert any("content of the" in each["message"] for each in found)


def test_rows_and_lists_that_contradict_one_another(copied: Path) -> None:
    (copied / "splits" / "train.txt").write_text("tune-film\nother9\n")
    assert [(each.check, each.item) for each in verify(copied).findings] == [("record_broken", "other9")]
    path = store.data_files(copied)[0]
    table = pq.read_table(path)
    at = table.schema.get_field_index("downbeat")
    short = pa.array([[True]] * len(table), table.schema.field(at).type)
    pq.write_table(table.set_column(at, table.schema.field(at), short), path)
    assert "record_broken" in {each.check for each in verify(copied).findings if "downbeat" in each.message}


def test_an_id_that_is_used_twice(copied: Path) -> None:
    path = store.data_files(copied)[0]
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), path)
    found = verify(copied).findings
    assert [(each.check, each.item) for each in found] == [("duplicate_id", "other9")]
