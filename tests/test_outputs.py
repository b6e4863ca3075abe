"""Names of output files, the checks before the work, and that files appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from diffbgm import outputs as o
from diffbgm.errors import OptionError, OutputError


@pytest.mark.parametrize(
    ("video", "film"),
    [
        ("a.mp4", "a.bgm.mp4"),
        ("a.MOV", "a.bgm.MOV"),
        ("a.b.webm", "a.b.bgm.webm"),
        ("a.mkv", "a.bgm.mkv"),
        ("a.avi", "a.bgm.mkv"),
        ("a.mpg", "a.bgm.mkv"),
        ("a", "a.bgm.mkv"),
    ],
)
def test_the_films_name(video: str, film: str) -> None:
    assert o.film_path(Path("x", video), None) == Path("x", film)


def test_a_container_that_cannot_be_written_is_refused() -> None:
    assert o.film_path(Path("a.mp4"), Path("b.webm")) == Path("b.webm")
    with pytest.raises(OptionError, match=r"b\.avi should end in"):
        o.film_path(Path("a.mp4"), Path("b.avi"))


def test_everything_is_named_after_the_film() -> None:
    named = o.name_outputs(Path("a.bgm.mp4"), report=True, stems=Path("s"), cues=None)
    assert named.to_json() == {
        "video": "a.bgm.mp4",
        "wav": "a.bgm.wav",
        "midi": "a.bgm.mid",
        "cues": "a.bgm.cues.json",
        "roll": "a.bgm.roll.npz",
        "report": "a.bgm.html",
        "stems": "s",
    }
    assert o.name_outputs(Path("a.mp4"), report=False, stems=None, cues=None).report is None


def test_the_given_sheet_keeps_its_place(tmp_path: Path) -> None:
    film, mine = tmp_path / "a.bgm.mp4", tmp_path / "a.bgm.cues.json"
    mine.touch()
    link = tmp_path / "link.json"
    link.symlink_to(mine)
    for given in (mine, link):
        named = o.name_outputs(film, report=True, stems=None, cues=given)
        assert named.cues == tmp_path / "a.bgm.solved.cues.json"
    assert o.roll_beside(mine) == named.roll == o.roll_beside(named.cues)


def test_takes_are_named_by_their_seed() -> None:
    assert o.of_take(Path("a.bgm.mp4"), Path("s"), 7) == (Path("a.bgm.7.mp4"), Path("s/7"))


def test_nothing_is_overwritten_unless_forced(tmp_path: Path) -> None:
    there = tmp_path / "there.mp4"
    there.touch()
    with pytest.raises(OutputError, match="exists already"):
        o.check_places((there,), force=False, inputs=())
    o.check_places((there,), force=True, inputs=())
    o.check_places((tmp_path / "new.mp4",), force=False, inputs=())


@pytest.mark.parametrize("force", [False, True])
def test_inputs_are_never_overwritten(tmp_path: Path, force: bool) -> None:
    film = tmp_path / "film.mp4"
    film.touch()
    other_name = tmp_path / "other.mp4"
    other_name.hardlink_to(film)
    for place in (film, other_name, tmp_path / "." / "film.mp4"):
        with pytest.raises(OutputError, match="is an input"):
            o.check_places((place,), force=force, inputs=(film,))


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="there is no folder"):
        o.check_places((tmp_path / "missing" / "a.mp4",), force=False, inputs=())
    with pytest.raises(OutputError, match="there is no folder"):
        o.check_places((tmp_path / "file" / "a.mp4",), force=False, inputs=())
    with pytest.raises(OutputError, match="is a folder"):
        o.check_places((tmp_path,), force=True, inputs=())


def test_places_for_stems(tmp_path: Path) -> None:
    o.check_stems(tmp_path / "new" / "deeper", force=False)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(OutputError, match="is not empty"):
        o.check_stems(tmp_path / "full", force=False)
    o.check_stems(tmp_path / "full", force=True)
    with pytest.raises(OutputError, match="is a file"):
        o.check_stems(tmp_path / "full" / "x", force=True)
    with pytest.raises(OutputError, match="is a file"):
        o.check_stems(tmp_path / "full" / "x" / "deeper", force=False)


def test_files_appear_together_at_the_end(tmp_path: Path) -> None:
    old = tmp_path / "a.txt"
    old.write_text("old")
    stems = tmp_path / "one" / "two"
    with o.staging(tmp_path) as place:
        place.file(old).write_text("new")
        (place.folder(stems) / "01.wav").write_text("stem")
        (place.work / "scratch").write_text("gone afterwards")
        assert old.read_text() == "old"
        assert not stems.exists()
        place.move_in()
    assert old.read_text() == "new"
    assert (stems / "01.wav").read_text() == "stem"
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "one"}


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail() -> None:
        with o.staging(tmp_path) as place:
            place.file(tmp_path / "a.txt").write_text("new")
            (place.folder(tmp_path / "stems") / "01.wav").write_text("stem")
            raise OutputError(f"{place.file(tmp_path / 'a.txt')}: no room")

    with pytest.raises(OutputError) as caught:
        fail()
    assert str(caught.value) == f"{tmp_path}/a.txt: no room", "names the file a person knows"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_is_an_output_error(tmp_path: Path, number: int) -> None:
    with pytest.raises(OutputError, match="cannot write the outputs"), o.staging(tmp_path):
        raise OSError(number, os.strerror(number))
    assert not list(tmp_path.iterdir())
