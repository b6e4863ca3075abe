"""The command line: what goes to which stream, exit codes, every command once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from diffbgm import __version__, progress
from diffbgm.spotting.cuesheet import CueSheet

from .conftest import CHECKOUT, Run

Command = Callable[..., Run]


def test_version(diffbgm: Command) -> None:
    assert diffbgm("--version").out == f"diffbgm {__version__}\n"


def test_help_shows_every_command_and_the_advanced_panel(diffbgm: Command) -> None:
    help_text = diffbgm("--help").out
    for command in ("compose", "analyze", "cues", "render", "styles", "weights"):
        assert f" {command} " in help_text
    plain, advanced = diffbgm("compose", "--help").out.split("Advanced")
    assert "--mood" in plain
    assert "--loudness" in advanced


def test_compose_prints_where_the_film_is(film: Path, diffbgm: Command, stand_in_model: None) -> None:
    run = diffbgm("compose", film, "--style", "piano")
    assert run.code == 0
    assert run.out.splitlines()[0] == str(film.with_name("film.bgm.mp4"))
    assert "piano in " in run.out
    stages = [line.split(":")[0] for line in run.err.splitlines() if ": done in " in line]
    assert stages[0] == "analysis"
    assert len(stages) == len(set(stages))


def test_compose_json_is_one_object_and_nothing_else(
    film: Path, diffbgm: Command, stand_in_model: None
) -> None:
    run = diffbgm("compose", film, "--json", "--no-report", "--hit", "1.5", "--tempo", "100-120")
    said = json.loads(run.out)
    assert said["outputs"]["report"] is None
    assert said["options"] == {"hit": [1.5], "report": False, "tempo": [100.0, 120.0]}
    assert any(hit["source"] == "user" and hit["time_s"] == 1.5 for hit in said["hits"])
    assert all(95 <= point["bpm"] <= 126 for point in said["tempo_map"])


def test_options_from_a_file(film: Path, diffbgm: Command, stand_in_model: None) -> None:
    config = film.with_name("mine.toml")
    config.write_text('style = "lofi"\nreport = false\nseed = 3\n', encoding="utf-8")
    said = json.loads(diffbgm("compose", film, "--config", config, "--seed", "4", "--json").out)
    assert (said["style"], said["seed"], said["outputs"]["report"]) == ("lofi", 4, None)


def test_analyze(film: Path, diffbgm: Command) -> None:
    run = diffbgm("analyze", film, "--json")
    said = json.loads(run.out)
    assert said.keys() >= {
        "video", "duration_s", "fps", "width", "height", "rotation", "has_audio", "shots", "motion",
        "brightness", "speech_spans", "warnings",
    }  # fmt: skip
    assert said["motion"].keys() >= {"hz", "values"}
    assert said["shots"][0]["start_s"] == 0
    assert said["has_audio"] is True
    assert "3 shots" in diffbgm("analyze", film).out
    assert [path.name for path in film.parent.iterdir()] == ["film.mp4"]


def test_cues_writes_the_sheet_that_compose_takes(film: Path, diffbgm: Command, stand_in_model: None) -> None:
    run = diffbgm("cues", film, "--mood", "calm", "--key", "a minor")
    path = film.with_name("film.cues.json")
    assert run.out.splitlines()[0] == str(path)
    sheet = CueSheet.load(path)
    assert (sheet.wishes.mood, sheet.wishes.key) == ("calm", "Am")
    said = json.loads(diffbgm("compose", film, "--cues", path, "--json", "--no-report").out)
    assert said["key"] == "Am"
    printed = json.loads(diffbgm("cues", film, "-o", film.with_name("b.json"), "--json").out)
    assert CueSheet.model_validate(printed) == CueSheet.load(film.with_name("b.json"))


def test_styles_and_weights(diffbgm: Command) -> None:
    said = json.loads(diffbgm("styles", "--json").out)
    names = {style["name"] for style in said["styles"]}
    assert names >= {"piano", "piano-strings", "acoustic", "cinematic", "lofi", "electronic", "ambient"}
    assert len(diffbgm("styles").out.splitlines()) == len(names)
    listed = json.loads(diffbgm("weights", "--json").out)["weights"]
    assert [line.split()[0] for line in diffbgm("weights").out.splitlines()] == [w["name"] for w in listed]


def test_several_takes_are_listed(film: Path, diffbgm: Command, stand_in_model: None) -> None:
    run = diffbgm("compose", film, "--takes", "2", "--no-report")
    assert [line for line in run.out.splitlines() if line.endswith(".mp4")] == [
        str(film.with_name("film.bgm.mp4"))
    ]
    assert "of 2 kept, score " in run.out
    run = diffbgm("compose", film, "--takes", "2", "--all-takes", "--no-report", "--force")
    films = [line for line in run.out.splitlines() if line.endswith(".mp4")]
    assert {Path(line).name for line in films} == {"film.bgm.0.mp4", "film.bgm.1.mp4"}
    assert "ranked 2 of 2" in run.out
    run = diffbgm("compose", film, "--all-takes", "--no-report")
    assert run.code == 2
    assert "option all-takes" in run.err


def test_a_bug_is_one_line_and_a_traceback_with_debug(film: Path) -> None:
    """In its own process: what is not caught ends in sys.excepthook."""
    code = (
        "import diffbgm.pipeline as p, diffbgm.cli\n"
        "p.open_weights = lambda name: 1 / 0\n"
        f"diffbgm.cli.main(['compose', {str(film)!r}, *{{extra}}])"
    )
    plain, debug = (
        subprocess.run(
            [sys.executable, "-c", code.format(extra=extra)],
            capture_output=True, text=True, timeout=120, check=False,
        )
        for extra in ([], ["--debug"])
    )  # fmt: skip
    assert plain.returncode == debug.returncode == 1
    assert plain.stderr.count("\n") == 1
    assert "ZeroDivisionError" in plain.stderr
    assert "--debug" in plain.stderr
    assert "Traceback" in debug.stderr
    assert plain.stdout == debug.stdout == ""


def test_debug_shows_the_traceback_and_keeps_the_code(diffbgm: Command, tmp_path: Path) -> None:
    run = diffbgm("analyze", tmp_path / "none.mp4", "--debug")
    assert run.code == 3
    assert "Traceback" in run.err


SLOW_COMPOSE = """
import sys, time
sys.path.insert(0, {checkout!r})
import diffbgm.pipeline as p
from tests.stand_in import stand_in_roll, stand_in_weights
p.open_weights = lambda name: stand_in_weights
def endless(*_, **__):
    print("rendering now", flush=True)
    time.sleep(60)
p.compose_roll = stand_in_roll
p.render_music = endless
from diffbgm.cli import main
main(["compose", {film!r}])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopping_leaves_nothing_behind(number: signal.Signals, code: int, film: Path) -> None:
    program = SLOW_COMPOSE.format(checkout=str(CHECKOUT), film=str(film))
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "rendering now\n"
    assert len(os.listdir(film.parent)) == 2, "the hidden folder is there while it works"  # noqa: PTH208
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in err
    assert [path.name for path in film.parent.iterdir()] == ["film.mp4"]


class Terminal:
    """A stream that says it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def test_a_terminal_gets_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with progress.progress_to(terminal) as tell:  # type: ignore[arg-type]
        tell("analysis", 0.0)
        tell("analysis", 0.5)
        time.sleep(0.01)
        tell("analysis", 1.0)
        tell("spotting", 0.0)
    assert "analysis" in terminal.text
    assert "100%" in terminal.text
    assert "━" in terminal.text
