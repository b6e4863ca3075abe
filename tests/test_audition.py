"""`diffbgm styles FILM` from the command line: the page, what it refuses, what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from diffbgm.score.styles import style_names

from .conftest import Run

Command = Callable[..., Run]
TWO = ("--style", "piano", "--style", "lofi")


def test_a_film_in_two_styles(film: Path, diffbgm: Command, stand_in_model: None) -> None:
    before = film.read_bytes()
    run = diffbgm("styles", film, *TWO, "--seconds", "3", "--seed", "4", "--json")
    assert run.code == 0
    said = json.loads(run.out)
    page = film.with_name("film.styles.html")
    assert said["page"] == str(page)
    assert said["styles"] == ["piano", "lofi"]
    assert said["chosen"] in style_names()
    start, end = said["excerpt_s"]
    assert end - start == pytest.approx(3.0, abs=0.01)
    html = page.read_text(encoding="utf-8")
    assert "diffbgm compose film.mp4 --style lofi" in html
    assert {path.name for path in film.parent.iterdir()} == {"film.mp4", "film.styles.html"}
    assert film.read_bytes() == before


def test_a_composed_film_keeps_its_notes(film: Path, diffbgm: Command, stand_in_model: None) -> None:
    assert diffbgm("compose", film, "--no-report", "--takes", "1").code == 0
    sheet = film.with_name("film.bgm.cues.json")
    run = diffbgm("styles", sheet, "--style", "piano", "--seconds", "2")
    assert run.code == 0, run.err
    page = film.with_name("film.bgm.styles.html")
    assert run.out.splitlines()[0] == str(page)
    assert "diffbgm render film.bgm.cues.json -o music.wav --style piano" in page.read_text(encoding="utf-8")
    assert "composing" not in run.err
    refused = diffbgm("styles", sheet, "--style", "piano", "--mood", "calm", "--force")
    assert refused.code == 2
    assert "option mood" in refused.err
    film.with_name("film.bgm.roll.npz").unlink()
    assert diffbgm("styles", sheet, "--style", "piano", "--force").code == 3


def test_an_existing_page_is_kept_unless_forced(film: Path, diffbgm: Command, stand_in_model: None) -> None:
    page = film.with_name("mine.html")
    page.write_text("mine", encoding="utf-8")
    refused = diffbgm("styles", film, "-o", page, "--style", "piano", "--seconds", "2")
    assert refused.code == 6
    assert "--force" in refused.err
    assert page.read_text(encoding="utf-8") == "mine"
    assert diffbgm("styles", film, "-o", page, "--style", "piano", "--seconds", "2", "--force").code == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("FILM", "--seconds", "1"), 2, "seconds"),
        (("FILM", "-o", "page.txt"), 2, ".html"),
        (("FILM", "--style", "no-such"), 2, "no-such"),
        (("--mood", "calm"), 2, "give a film"),
        (("missing.mp4",), 3, "no such file"),
    ],
)
def test_what_is_refused(
    film: Path, diffbgm: Command, arguments: tuple[str, ...], code: int, said: str
) -> None:
    run = diffbgm("styles", *(film if word == "FILM" else word for word in arguments))
    assert run.code == code
    assert said in run.err
    assert len(run.err.splitlines()) == 1
    assert [path.name for path in film.parent.iterdir()] == ["film.mp4"]
