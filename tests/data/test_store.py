"""Rows and folders: what goes in comes out, other programs read it, and no kill loses anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
import pyarrow.parquet as pq  # noqa: E402

from diffbgm.data import store  # noqa: E402
from diffbgm.data.alignment import align, clock_edges  # noqa: E402
from diffbgm.data.item import Item, LearnedFeatures, Media  # noqa: E402
from diffbgm.data.rows import items_of, to_table  # noqa: E402
from diffbgm.data.schema import schema  # noqa: E402
from diffbgm.data.shared_conditions import conditions_from_film, conditions_from_notes  # noqa: E402
from diffbgm.data.store import Built  # noqa: E402
from diffbgm.features.captions import Caption  # noqa: E402
from diffbgm.features.film_features import FilmFeatures, Source  # noqa: E402
from diffbgm.video.analysis import Shot  # noqa: E402

from .test_alignment import film, music  # noqa: E402


def item(item_id: str = "a", *, with_film: bool = True) -> Item:
    """A record with every column filled, or one of a song alone."""
    song, picture = music(), film() if with_film else None
    clock_s = clock_edges(song, picture, 0.5)
    features = None
    if picture is not None:
        rng = np.random.default_rng(0)
        who = Source("model", "00")
        captions = (Caption(0.0, 5.0, "Ein Bär"), Caption(5.0, 12.0, 'a "bird"'))
        found = FilmFeatures(
            film=who, duration_s=12.0, visual=rng.normal(size=(12, 6)).astype(np.float16).astype(np.float32),
            visual_hz=1.0, visual_by=who, shots=(Shot(0.0, 12.0),), shots_by="builtin", captions=captions,
            captions_by=who, language=rng.normal(size=(2, 4)).astype(np.float16).astype(np.float32),
            language_by=who,
        )  # fmt: skip
        edges_s = song.beats_s - 0.5
        features = LearnedFeatures(
            found, "time", found.visual_on_beats(edges_s), found.language_on_beats(edges_s)
        )
    given = {"video": Media("film.mp4", "cd", 4)} if with_film else {}
    return Item(
        item_id=item_id, song_id="s", video_id="v" if with_film else None, source="midi", title="Lied",
        artist=None,
        offset_s=0.5, pair_confidence=None, pair_method=None,
        media={"song": Media("s.mid", "ab", 3), **given},
        inputs_sha256="x", music=song, film=picture,
        captions=() if features is None else features.film.captions, features=features,
        aligned=align(song, picture, 0.5),
        music_conditions=conditions_from_notes(song, 0.5, clock_s),
        film_conditions=None if picture is None else conditions_from_film(song, picture, 0.5, clock_s),
    )  # fmt: skip


@pytest.mark.parametrize("with_film", [True, False])
def test_a_record_comes_back_as_it_was(tmp_path: Path, with_film: bool) -> None:
    """Bit for bit where float16 loses nothing; curves to its precision."""
    before = item(with_film=with_film)
    pq.write_table(to_table(before), tmp_path / "a.parquet")
    (after,) = items_of(pq.read_table(tmp_path / "a.parquet"))
    assert to_table(after).equals(to_table(before))
    for name in ("beats_s", "downbeat", "bits", "velocity", "dynamics"):
        found, expected = getattr(after.music, name), getattr(before.music, name)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype, name
    assert after.music.phrases == before.music.phrases
    assert after.captions == before.captions
    assert after.media == before.media
    if with_film:
        assert after.film is not None
        assert before.film is not None
        assert after.film.transitions[0].time_s == 5.0
        np.testing.assert_allclose(after.film.brightness.values, before.film.brightness.values, atol=1e-4)
        # Curves come back nearly, fingerprints not at all: they are for cue sheets.
        assert len(after.film.fingerprints.times_s) == 0
        same = {**dict.fromkeys(CURVES, before.film.motion), "fingerprints": before.film.fingerprints}
        assert replace(after.film, **same, transitions=()) == replace(before.film, **same, transitions=())
        assert after.features is not None
        assert before.features is not None
        np.testing.assert_array_equal(after.features.film.visual, before.features.film.visual)
        np.testing.assert_array_equal(after.film_conditions.dynamic, before.film_conditions.dynamic)
    else:
        assert (after.film, after.features, after.film_conditions) == (None, None, None)


CURVES = ("motion", "camera", "brightness", "saturation", "warmth")


def test_every_column_says_what_it_is() -> None:
    for field in schema():
        assert len(field.metadata[b"description"].decode()) > 5, field.name
    assert schema().metadata[b"diffbgm.schema_version"] == b"1.0"
    assert schema().field("beats_s").metadata[b"unit"] == b"s"


ABOUT = {
    "schema_version": "1.0",
    "diffbgm_version": "0",
    "media_root": "..",
    "settings": {"extract": False},
    "split_rule": "ours",
}


def dataset(folder: Path, ids: list[str]) -> None:
    """Rows put in and compacted."""
    folder.mkdir(exist_ok=True)
    for item_id in ids:
        store.write_item(folder, to_table(item(item_id, with_film=item_id != "b")), Built(item_id, "s", "x"))
    kept = {item_id: Built(item_id, "s", "x") for item_id in ids}
    store.compact(folder, kept, dict.fromkeys(ids, "train"), ABOUT)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set") / "d"
    dataset(folder, ["c", "a", "b"])
    return folder


def test_the_folder_has_its_files(built: Path) -> None:
    assert sorted(path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file()) == [
        "build.jsonl", "data-00000-of-00001.parquet", "dataset.json", "splits/heldout.txt",
        "splits/train.txt",
    ]  # fmt: skip
    assert (built / "splits/train.txt").read_text() == "a\nb\nc\n"
    rows = list(store.read_rows(store.data_files(built), ["item_id", "split"]))
    assert [row.to_pylist()[0] for row in rows] == [{"item_id": each, "split": "train"} for each in "abc"]


def test_pandas_reads_it(built: Path) -> None:
    pd = pytest.importorskip("pandas")
    found = pd.read_parquet(store.data_files(built)[0])
    assert found.item_id.tolist() == ["a", "b", "c"]
    check_row({name: found[name][0] for name in found.columns})
    assert found.film[1] is None


def test_polars_reads_it(built: Path) -> None:
    pl = pytest.importorskip("polars")
    found = pl.read_parquet(built / "data-*.parquet")
    check_row(found.row(0, named=True))
    assert found["film"][1] is None
    assert found["on_beats"][0]["motion"][0] is None  # unknown is null, not NaN
    longest = found.select(pl.col("chords").list.eval(pl.element().struct.field("label")).list.first())
    assert longest["chords"].to_list() == ["C", "C", "C"]


def test_duckdb_reads_it(built: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    table = f"'{built}/data-*.parquet'"
    query = duckdb.sql(f"select * from {table} order by item_id")
    check_row(dict(zip(query.columns, query.fetchall()[0], strict=True)))
    count = duckdb.sql(
        f"select count(*) from {table} where film.duration_s > 10 and len(phrases) = 2"
    ).fetchall()
    assert count == [(2,)]


@pytest.mark.filterwarnings("ignore")  # of the library, none of ours
def test_datasets_reads_it(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    files = [str(path) for path in store.data_files(built)]
    found = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    check_row(found[0])


def check_row(row: dict[str, Any]) -> None:
    """The values of the first row as plain Python or numpy values, whoever read them."""
    song = music()
    assert (row["item_id"], row["n_beats"], row["offset_s"]) == ("a", 32, 0.5)
    np.testing.assert_array_equal(np.asarray(row["beats_s"], float), song.beats_s)
    np.testing.assert_array_equal(np.array([list(each) for each in row["bits"]], np.uint8), song.bits)
    assert row["phrases"][1]["label"] == "B"
    assert row["captions"][0]["text"] == "Ein Bär"
    assert row["video_media"]["sha256"] == "cd"
    assert row["film"]["transitions"][0]["kind"] == "cut"
    motion = [float("nan") if each is None else each for each in row["on_beats"]["motion"]]
    assert np.isnan(motion[0])  # beat 0 lies before the film
    assert motion[1] == 0.25
    width = {len(list(each)) for each in row["visual_on_beats"]}
    assert width == {6}


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    table = to_table(item()).replace_schema_metadata({b"diffbgm.schema_version": b"9.0"})
    with pytest.raises(store.InputError, match=r"schema version 9\.0"):
        list(items_of(table))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


class Killed(BaseException):
    """Stands for the process ending at this point."""


@pytest.mark.parametrize("call", range(8))
def test_killed_while_files_are_moved_into_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Whatever rename is the last one: rows are never lost, and the next build ends with the same bytes."""
    dataset(tmp_path / "whole", ["a", "b"])
    folder = tmp_path / "killed"
    dataset(folder, ["a"])
    store.write_item(folder, to_table(item("b", with_film=False)), Built("b", "s", "x"))
    calls = iter(range(100))
    real = Path.replace

    def replace_or_die(self: Path, target: Path) -> Path:
        if next(calls) == call:
            raise Killed
        return real(self, target)

    kept = {each: Built(each, "s", "x") for each in ("a", "b")}
    splits = {"a": "train", "b": "train"}
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_or_die)
        try:
            store.compact(folder, kept, splits, ABOUT)
        except Killed:
            pass
        else:
            assert next(calls) <= call, "no rename was the one to die in"
    store.finish(folder)
    known = {
        **{each: built for each, (built, _) in store.stored_items(folder).items()},
        **store.fresh_items(folder),
    }
    assert known == kept
    store.compact(folder, kept, splits, ABOUT)
    assert snapshot(folder) == snapshot(tmp_path / "whole")


@pytest.mark.parametrize("call", range(6))
def test_killed_while_only_the_splits_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """The state, the lists and the column agree afterwards, whether the change came through or not."""
    folder = tmp_path / "d"
    dataset(folder, ["a", "b"])
    calls = iter(range(100))
    real = Path.replace

    def replace_or_die(self: Path, target: Path) -> Path:
        if next(calls) == call:
            raise Killed
        return real(self, target)

    kept = {each: Built(each, "s", "x") for each in ("a", "b")}
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_or_die)
        with pytest.raises(Killed):
            store.compact(folder, kept, {"a": "train", "b": "heldout"}, ABOUT)
    store.finish(folder)
    splits = {each: split for each, (_, split) in store.stored_items(folder).items()}
    rows = [row.to_pylist()[0] for row in store.read_rows(store.data_files(folder), ["item_id", "split"])]
    assert {row["item_id"]: row["split"] for row in rows} == splits
    assert (folder / "splits/heldout.txt").read_text() == ("b\n" if splits["b"] == "heldout" else "")
    assert store.description(folder)["splits"]["heldout"] == list(splits.values()).count("heldout")


def test_killed_while_a_row_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pq.write_table

    def half(table: Any, where: Path, **options: Any) -> None:
        real(table, where, **options)
        where.write_bytes(where.read_bytes()[:1000])
        raise Killed

    store.write_item(tmp_path, to_table(item("a")), Built("a", "s", "x"))
    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", half)
        with pytest.raises(Killed):
            store.write_item(tmp_path, to_table(item("b")), Built("b", "s", "x"))
    assert list(store.fresh_items(tmp_path)) == ["a"]
