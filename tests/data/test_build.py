"""Builds: resumed, repeated, changed, failing, killed; local and on Ray; always the same bytes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from diffbgm.data import engines, store
from diffbgm.data.build import build
from diffbgm.data.manifest import ManifestRow, write_manifest
from diffbgm.data.pop909 import read_table
from diffbgm.data.rows import items_of
from diffbgm.data.sources import rows_of
from diffbgm.data.splits import read_split_file, split_by_rule
from diffbgm.data.worker import BuildSettings, ItemWorker, outcome_from_json
from diffbgm.errors import InputError, OutputError
from diffbgm.features.captions import Caption
from diffbgm.features.film_features import FilmFeatures, Source
from diffbgm.video.analysis import Shot

from ..conftest import Run
from ..train.songs import scale_song
from .songs import make_song, write_pop909, write_song

N_SONGS = 5


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory, short_film: Path) -> Path:
    """Five songs, two of them with the same film, and a manifest of them all."""
    root = tmp_path_factory.mktemp("media")
    for number in range(N_SONGS):
        write_song(make_song(number, n_bars=8), root / f"song{number}8.mid")
    shutil.copy(short_film, root / "film.mp4")
    rows = [ManifestRow(song=f"song{k}8.mid", video="film.mp4" if k < 2 else None) for k in range(N_SONGS)]
    write_manifest(rows, root / "m.csv")
    return root


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Runs workers in this process; the list tells how many items came out of each job."""
    jobs: list[int] = []

    def run(_engine: str, arguments: Any, given: Iterator[dict[str, str]], _workers: int) -> Iterator[Any]:
        worker = ItemWorker(*arguments)
        for job in given:
            outcomes = [outcome_from_json(each["outcome"]) for each in worker(job)]
            jobs.append(len(outcomes))
            yield from outcomes

    monkeypatch.setattr("diffbgm.data.build.run", run)
    return jobs


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_build_and_what_is_in_it(media: Path, tmp_path: Path, in_process: list[int]) -> None:
    result = build(media / "m.csv", tmp_path / "d")
    assert (result.items, result.built, result.unchanged, result.failures) == (N_SONGS, N_SONGS, 0, ())
    assert sorted(in_process) == [1, 1, 1, 2]  # songs with one film are one job
    (table, *_) = store.read_rows(store.data_files(tmp_path / "d"))
    (first,) = items_of(table)
    assert first.item_id == "song08-film"
    assert first.film is not None
    assert [round(each.time_s, 2) for each in first.film.transitions] == [2.0, 4.25]
    assert first.film_conditions is not None
    assert first.media["video"].path == "film.mp4"
    assert first.media["video"].size_bytes == (media / "film.mp4").stat().st_size
    described = store.description(tmp_path / "d")
    assert (tmp_path / "d" / described["media_root"]).resolve() == media.resolve()


def test_a_second_build_does_nothing(media: Path, tmp_path: Path, in_process: list[int]) -> None:
    build(media / "m.csv", tmp_path / "d")
    before = snapshot(tmp_path / "d")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "d").glob("*.parquet")}
    del in_process[:]
    again = build(media / "m.csv", tmp_path / "d")
    assert (again.built, again.unchanged) == (0, N_SONGS)
    assert in_process == []
    assert snapshot(tmp_path / "d") == before
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_only_what_has_changed_is_built(media: Path, tmp_path: Path, in_process: list[int]) -> None:
    root = tmp_path / "media"
    shutil.copytree(media, root)
    build(root / "m.csv", tmp_path / "d")
    write_song(make_song(77, n_bars=9), root / "song38.mid")
    (root / "song48.mid").touch()  # looks different, is the same
    del in_process[:]
    changed = build(root / "m.csv", tmp_path / "d")
    assert (changed.built, changed.unchanged, len(in_process)) == (1, 4, 2)
    # Rows in another order and one less, as if built in one go.
    rows = list(reversed(rows_of(root / "m.csv")[1]))[1:]
    write_manifest(rows, root / "m.csv")
    fewer = build(root / "m.csv", tmp_path / "d")
    assert (fewer.items, fewer.built) == (4, 0)
    build(root / "m.csv", tmp_path / "fresh")
    assert snapshot(tmp_path / "d") == snapshot(tmp_path / "fresh")
    del in_process[:]
    assert build(root / "m.csv", tmp_path / "d", force=True).built == 4


def test_settings_and_splits_count_as_changes(media: Path, tmp_path: Path, in_process: list[int]) -> None:
    build(media / "m.csv", tmp_path / "d")
    (tmp_path / "split.csv").write_text("song_id,split\nsong08,test\nsong18,train\nsong28,train\n")
    del in_process[:]
    again = build(media / "m.csv", tmp_path / "d", split=tmp_path / "split.csv")
    assert (again.built, in_process) == (0, [])
    assert (tmp_path / "d/splits/heldout.txt").read_text() == "song08-film\n"
    assert (tmp_path / "d/splits/train.txt").read_text() == "song18-film\nsong28\n"
    assert build(media / "m.csv", tmp_path / "d", BuildSettings(alignment="stretched")).built == N_SONGS


def test_failures_are_told_and_the_rest_goes_on(
    media: Path, tmp_path: Path, in_process: list[int], diffbgm: Callable[..., Run]
) -> None:
    root = tmp_path / "media"
    shutil.copytree(media, root)
    (root / "song28.mid").write_bytes(b"MThd and no more")
    (root / "broken.mp4").write_bytes(b"no film" * 100)
    rows = [
        *rows_of(root / "m.csv")[1],
        ManifestRow(song="none.mid"),
        ManifestRow(song="song38.mid", video="broken.mp4"),
    ]
    write_manifest(rows, root / "m.csv")
    run = diffbgm("dataset", "build", root / "m.csv", "-o", tmp_path / "d", "--json")
    assert run.code == 5
    found = json.loads(run.out)
    assert found["items"] == 4
    by_id = {each["item_id"]: each for each in found["failures"]}
    assert list(by_id) == ["song28", "none", "song38-broken"]
    assert by_id["none"]["row"] == N_SONGS + 1
    assert "no such file" in by_id["none"]["reason"]
    assert all(each["expected"] for each in by_id.values())
    lines = (tmp_path / "d/failures.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == found["failures"]
    assert "7/7 items" in run.err

    shutil.copy(media / "song28.mid", root / "song28.mid")
    run = diffbgm("dataset", "build", root / "m.csv", "-o", tmp_path / "d")
    assert run.code == 5
    assert "5 items, 1 built now, 4 unchanged" in run.out


def test_an_unforeseen_fault_fails_one_item(
    media: Path, tmp_path: Path, in_process: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffbgm.data import worker

    def broken(path: Path, lyrics: Path | None) -> Any:
        return None if path.name == "song28.mid" else real(path, lyrics)

    real = worker.annotate_midi
    monkeypatch.setattr(worker, "annotate_midi", broken)
    result = build(media / "m.csv", tmp_path / "d")
    assert (result.items, len(result.failures)) == (4, 1)
    assert not result.failures[0].expected
    assert "AttributeError" in result.failures[0].reason


def test_an_item_that_fails_keeps_the_row_it_had(media: Path, tmp_path: Path, in_process: list[int]) -> None:
    root = tmp_path / "media"
    shutil.copytree(media, root)
    build(root / "m.csv", tmp_path / "d")
    (root / "song28.mid").unlink()
    again = build(root / "m.csv", tmp_path / "d")
    assert (again.items, [each.item_id for each in again.failures]) == (N_SONGS, ["song28"])


def test_pop909_from_its_archive_is_as_from_its_folder(tmp_path: Path, in_process: list[int]) -> None:
    home = tmp_path / "data"
    for number in (1, 9):
        write_pop909(make_song(number), home / "POP909" / f"{number:03d}")
    with tarfile.open(home / "POP909.tar.xz", "w:xz") as archive:
        archive.add(home / "POP909", "POP909")
    no_table = build(home / "POP909.tar.xz", tmp_path / "none")
    assert "--song-table" in no_table.failures[0].reason
    header = "song_id,meter,beats_per_bar_index,quavers_per_beat_index,struct_offset_q,struct_melody_match,"
    rows = "".join(f"{number:03d},2/4-4/4,2,2,,,,,\n" for number in (1, 9))
    (home / "POP909-songs.csv").write_text(f"{header}label1,label2,flags\n{rows}")
    packed = build(home / "POP909.tar.xz", tmp_path / "packed")
    folder = build(home, tmp_path / "folder")
    assert (packed.failures, folder.failures) == ((), ())
    assert (packed.items, folder.items) == (2, 2)
    songs = [
        next(iter(items_of(row)))
        for name in ("packed", "folder")
        for row in store.read_rows(store.data_files(tmp_path / name))
    ]
    assert [each.song_id for each in songs] == ["001", "009"] * 2
    assert songs[0].media["song"].path == "POP909.tar.xz!/POP909/001"
    assert songs[0].media["song"].sha256 == songs[2].media["song"].sha256
    assert songs[1].music.chords == songs[3].music.chords
    assert (tmp_path / "packed/splits/heldout.txt").read_text() == "009\n"
    assert not (tmp_path / "packed/.work").exists()


def test_learned_features_by_time_and_published_ones(
    media: Path, tmp_path: Path, in_process: list[int]
) -> None:
    pytest.importorskip("torch")
    from diffbgm.train.miniature import write_miniature

    root = tmp_path / "media"
    shutil.copytree(media, root)
    names = [f"{number:03d}" for number in (1, 2)]
    write_miniature([scale_song(int(name), song_id=name) for name in names], root / "BGM909")
    who = Source("model", "00")
    own = FilmFeatures(
        film=who, duration_s=6.0, visual=np.eye(6, 512, dtype=np.float32), visual_hz=1.0, visual_by=who,
        shots=(Shot(0.0, 6.0),), shots_by="builtin", captions=(Caption(0.0, 6.0, "a tree"),), captions_by=who,
        language=np.ones((1, 768), np.float32), language_by=who,
    )  # fmt: skip
    own.save(root / "own.npz")
    rows = [
        ManifestRow(song="song08.mid", video="film.mp4", features="own.npz", song_id="003"),
        *(ManifestRow(song="song18.mid", features="BGM909", song_id=name) for name in names),
    ]
    write_manifest(rows, root / "m.csv")
    assert build(root / "m.csv", tmp_path / "d").failures == ()
    first, second, third = (
        item for row in store.read_rows(store.data_files(tmp_path / "d")) for item in items_of(row)
    )
    assert third.features is not None
    assert third.features.alignment == "time"
    assert [each.text for each in third.captions] == ["a tree"]
    # At 100 beats a minute beat 1 lies from 0.6 to 1.2 s: two thirds in the first second, one in the next.
    np.testing.assert_allclose(third.features.visual_on_beats[1, :3], [2 / 3, 1 / 3, 0], atol=1e-3)
    assert first.features is not None
    assert second.features is not None
    assert first.features.alignment == "stretched"
    assert len(first.features.visual_on_beats) == first.music.n_beats
    np.testing.assert_allclose(first.features.visual_on_beats[0], first.features.film.visual[0], rtol=1e-3)
    assert first.captions == ()  # published captions have no words
    assert first.media["features"].path == "BGM909#001"
    assert first.media["features"].sha256 != second.media["features"].sha256
    (root / "BGM909/bgm909/caption_feats/002.npy").unlink()
    assert [each.item_id for each in build(root / "m.csv", tmp_path / "d").failures] == ["002"]


def test_learned_features_are_computed(
    media: Path,
    tmp_path: Path,
    in_process: list[int],
    diffbgm: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`--extract` with tiny networks where the hub's cache has the real ones; without them it says so."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from diffbgm.features import captioner, language, visual

    from ..features.models import save_bert, save_blip, save_clip

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("diffbgm.features.extract.cache_folder", lambda: tmp_path / "cache")
    rows = rows_of(media / "m.csv")[1]
    write_manifest([rows[0], rows[2]], media / "extract.csv")
    asked = ("dataset", "build", media / "extract.csv", "-o", tmp_path / "d", "--extract")
    done = diffbgm(*asked)
    assert done.code == 5
    assert "failed: song08-film (row 1): --extract, as `diffbgm features`: openai/clip" in done.err

    for save, name in ((save_clip, visual.MODEL), (save_blip, captioner.MODEL), (save_bert, language.MODEL)):
        home = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        save(home / "snapshots" / "0")
        (home / "refs").mkdir()
        (home / "refs" / "main").write_text("0")
    done = diffbgm(*asked)
    assert done.code == 0, done.err
    with_film, alone = (
        item for row in store.read_rows(store.data_files(tmp_path / "d")) for item in items_of(row)
    )
    assert alone.features is None
    learned = with_film.features
    assert learned is not None
    assert learned.alignment == "time"
    assert learned.film.visual.shape == (6, 512)
    assert learned.film.visual_by.name == visual.MODEL
    assert len(with_film.captions) == len(with_film.film.shots) == 3
    assert learned.visual_on_beats.shape == (with_film.music.n_beats, 512)
    assert learned.language_on_beats.shape == (with_film.music.n_beats, 768)
    # The film's 6 s are the first ten beats at 100 a minute; beats after it take its last row.
    beats = learned.visual_on_beats
    np.testing.assert_allclose(beats[0], learned.film.visual[0], atol=1e-3)
    np.testing.assert_allclose(beats[9:], np.tile(learned.film.visual[5], (len(beats) - 9, 1)), atol=1e-3)
    assert np.abs(beats[0] - beats[9]).max() > 1e-3


def test_tables_that_do_not_fit_are_refused(media: Path, tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_text("song_id,split\n001,train\n")
    with pytest.raises(InputError, match="lists none of the songs; it has 001, and the manifest song08"):
        build(media / "m.csv", tmp_path / "d", split=tmp_path / "split.csv")
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        build(media / "m.csv", tmp_path / "d", BuildSettings(song_table=str(tmp_path / "none.csv")))
    with pytest.raises(InputError, match=r"split\.csv: not POP909-songs\.csv, it has no column flags"):
        read_table(tmp_path / "split.csv")
    assert not (tmp_path / "d").exists()


def test_other_folders_are_left_alone(media: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="holds other files"):
        build(media / "m.csv", tmp_path / "mine")
    with pytest.raises(OutputError, match="is a file"):
        build(media / "m.csv", tmp_path / "mine/letter.txt")
    with pytest.raises(InputError, match="neither POP909 songs nor MIDI"):
        build(tmp_path / "mine", tmp_path / "d")


def test_a_recording_beside_a_song_is_its_audio(media: Path, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    for name in ("x/a.mid", "x/a.flac", "b.midi", "c.wav"):
        (tmp_path / name).touch()
    _, rows = rows_of(tmp_path)
    assert [(row.song, row.song_name, row.audio) for row in rows] == [
        ("b.midi", "b", None), ("x/a.mid", "x_a", "x/a.flac"),
    ]  # fmt: skip


def test_splits_by_rule_and_by_file(tmp_path: Path) -> None:
    assert [split_by_rule(each) for each in ("009", "010", "song19")] == ["heldout", "train", "heldout"]
    words = [split_by_rule(f"song-{chr(97 + k // 26)}{chr(97 + k % 26)}") for k in range(676)]
    assert 0.05 < words.count("heldout") / len(words) < 0.16
    path = tmp_path / "s.csv"
    path.write_text("song_id,split\n001,train\n001,val\n")
    with pytest.raises(InputError, match="001 is both"):
        read_split_file(path)
    path.write_text("song_id,split\n001,dev\n")
    with pytest.raises(InputError, match="row 1: split 'dev'"):
        read_split_file(path)


def command(source: Path, folder: Path, workers: int = 2) -> list[str]:
    return [
        sys.executable,
        "-m",
        "diffbgm",
        "dataset",
        "build",
        str(source),
        "-o",
        str(folder),
        "--workers",
        str(workers),
    ]


def wait_until_gone(group: int) -> None:
    """No process of a group is left, or the test fails."""
    for _ in range(600):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("processes of a killed build live on")


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and process groups")
def test_killed_at_random_points_nothing_is_lost(media: Path, tmp_path: Path) -> None:
    """SIGKILL to the build alone: its processes end too, finished rows stay, and the bytes are those of a
    build that was left in peace, with another number of processes."""
    rng = random.Random(0)
    done = 0
    for _ in range(3):
        process = subprocess.Popen(
            command(media / "m.csv", tmp_path / "d"), stderr=subprocess.DEVNULL, start_new_session=True
        )
        while process.poll() is None and not (tmp_path / "d" / store.ITEMS).is_dir():
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_until_gone(process.pid)
        there = store.fresh_items(tmp_path / "d") or store.stored_items(tmp_path / "d")
        assert len(there) >= done
        done = len(there)
    assert done > 0
    subprocess.run(command(media / "m.csv", tmp_path / "d"), check=True, capture_output=True)
    subprocess.run(command(media / "m.csv", tmp_path / "peace", workers=1), check=True, capture_output=True)
    assert snapshot(tmp_path / "d") == snapshot(tmp_path / "peace")


def dies(job: dict[str, str]) -> list[dict[str, str]]:
    """Stands for a fault of a library on one song."""
    if "song28" in job["job"]:
        os._exit(9)
    return engines._work(job)


def test_a_process_that_dies_fails_its_item_alone(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_work", dies)
    result = build(media / "m.csv", tmp_path / "d", workers=2)
    assert [each.item_id for each in result.failures] == ["song28"]
    assert "died" in result.failures[0].reason
    assert result.items == N_SONGS - 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray, none of ours
def test_ray_gives_the_same_bytes(
    media: Path, tmp_path: Path, in_process: list[int], diffbgm: Callable[..., Run]
) -> None:
    pytest.importorskip("ray")
    build(media / "m.csv", tmp_path / "local")
    ray = [*command(media / "m.csv", tmp_path / "ray"), "--engine", "ray"]
    subprocess.run(ray, check=True, capture_output=True, timeout=600)
    assert snapshot(tmp_path / "ray") == snapshot(tmp_path / "local")
