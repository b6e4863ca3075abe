from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.metrics.pieces import tune, write_midi


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(2):
        write_midi(tune(seed, bars=16), tmp_path / f"{seed}.mid")
    return tmp_path


def test_json_and_nothing_else(folder: Path, diffbgm: Callable[..., Any]) -> None:
    run = diffbgm("evaluate", "--generated", folder, "--json", "--no-structure", "--jobs", 1)
    assert run.code == 0
    assert set(json.loads(run.out)["files"]) == {"0.mid", "1.mid"}


FORMS = [("--csv", "file,"), ("--html", "<!doctype html>"), (None, "# Evaluation")]


@pytest.mark.parametrize(("flag", "beginning"), FORMS)
def test_other_forms(folder: Path, diffbgm: Callable[..., Any], flag: str | None, beginning: str) -> None:
    run = diffbgm("evaluate", folder, "--no-structure", "--jobs", 1, *([flag] if flag else []))
    assert run.code == 0
    assert run.out.startswith(beginning)


def test_a_broken_file_is_reported_and_skipped(folder: Path, diffbgm: Callable[..., Any]) -> None:
    (folder / "broken.mid").write_text("nothing")
    run = diffbgm("evaluate", folder, "--json", "--no-structure", "--jobs", 1)
    assert run.code == 5
    assert set(json.loads(run.out)["files"]) == {"0.mid", "1.mid"}
    assert "broken.mid" in run.err
    assert run.err.strip().splitlines()[-1].startswith("diffbgm: 1 of 3 files could not be measured")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "give files or folders"),
        (("missing",), 3, "no such file"),
        ((".", "--json", "--csv"), 2, "one of"),
    ],
)
def test_wrong_calls_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, diffbgm: Callable[..., Any],
    arguments: tuple[str, ...], code: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    run = diffbgm("evaluate", *arguments)
    assert run.code == code
    assert says in run.err
    assert len(run.err.strip().splitlines()) == 1


def test_nothing_heavy_is_loaded_for_notes(folder: Path) -> None:
    """scikit-learn, transformers, torch, numba and librosa stay out of the plain way."""
    code = (
        "import sys\nfrom diffbgm.cli import main\n"
        f"try:\n    main(['evaluate', {str(folder)!r}, '--no-structure', '--json', '--jobs', '1'])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'sklearn', 'transformers', 'torch', 'numba', 'librosa', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
