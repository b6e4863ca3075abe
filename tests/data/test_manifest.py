"""Manifests: read, written, refused with the row that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffbgm.data.manifest import ManifestRow, read_manifest, write_manifest
from diffbgm.errors import InputError, OptionError

ROWS = (
    ManifestRow(song="songs/001.mid", video="films/a b.mp4", offset_s=-12.25, confidence=0.5, method="audio"),
    ManifestRow(song="songs/002.mid", title='Zwölf, "halbe"', split="heldout"),
)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    write_manifest(ROWS, tmp_path / name)
    assert read_manifest(tmp_path / name) == ROWS
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_ids_come_from_the_file_names() -> None:
    assert ROWS[0].item_name == "001-a_b"
    assert ROWS[1].item_name == "002"
    assert ManifestRow(song="x/y.mid", song_id="s", video="v.mp4", video_id="w").item_name == "s-w"


def test_empty_cells_are_values_left_out(tmp_path: Path) -> None:
    (row,) = read_manifest(written(tmp_path / "m.csv", "song,video,offset_s,confidence\na.mid,,,\n"))
    assert (row.video, row.offset_s, row.confidence) == (None, 0.0, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("song,vidoe\na.mid,b.mp4\n", "unknown column 'vidoe'"),
        ("video\nb.mp4\n", "no column song"),
        ("song,offset_s\na.mid,1\nb.mid,soon\n", "row 2: offset_s: .*number.*'soon'"),
        ("song,offset_s\na.mid,nan\n", "row 1: offset_s"),
        ("song,video\na.mid,b.mp4\n,b.mp4\n", "row 2: song"),
        ("song,item_id\na.mid,x\nb.mid,X\n", "row 2: item id X is that of row 1"),
        ("song,video\na/x.mid,v.mp4\nb/x.mid,w.mp4\n", "row 2: song id x is that of another song in row 1"),
        ("song,video\na.mid,a/v.mp4\nb.mid,b/v.mp4\n", "row 2: video id v is that of another video in row 1"),
        ("song,item_id\na.mid,../x\n", "row 1: item_id"),
        ("song,split\na.mid,test\n", "row 1: split"),
        ("song\na.mid,b\n", "row 1 has more cells"),
        ("song\n", "no row"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_row(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_manifest(written(tmp_path / "m.csv", text))


def test_files_called_alike_are_one_song_only_where_the_manifest_says_so(tmp_path: Path) -> None:
    text = "song,song_id,video\na/x.mid,,v.mp4\n./a/x.mid,,w.mp4\nb/x.mid,x,u.mp4\nc/x.mid,other,v.mp4\n"
    rows = read_manifest(written(tmp_path / "m.csv", text))
    assert [row.song_name for row in rows] == ["x", "x", "x", "other"]


def test_many_faults_are_counted(tmp_path: Path) -> None:
    text = "song,offset_s\n" + "".join(f"{k}.mid,x\n" for k in range(9))
    with pytest.raises(InputError, match=r"row 1: .*row 3: .*and 6 more$"):
        read_manifest(written(tmp_path / "m.csv", text))


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"\xff\xfe\x00song")
    with pytest.raises(InputError, match="cannot read"):
        read_manifest(tmp_path / "m.csv")
    with pytest.raises(InputError, match="cannot read"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(OptionError, match=r"\.csv or \.parquet"):
        write_manifest(ROWS, tmp_path / "m.txt")
