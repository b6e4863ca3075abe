"""`diffbgm listening-test`: from two folders to a table."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from diffbgm.listening.records import Results, Trial, load_key

Folders = tuple[Path, Path]


def results_for(key_file: Path, listener: str, ours: int, theirs: int) -> Results:
    key = load_key(key_file)
    rating = {"ours": ours, "theirs": theirs}
    trials = [
        Trial(
            trial=name,
            answers={q.id: rating[key.clips[clips[0]].system] for q in key.questions},
            heard=(1.0,),
        )
        for name, clips in key.trials.items()
    ]
    trials += [
        Trial(trial=name, answers={q.id: answer for q in key.questions})
        for name, answer in key.checks.items()
    ]
    return Results(
        format="diffbgm-listening-results-1",
        test=key.test,
        listener=listener,
        beeps=key.beeps,
        trials=tuple(trials),
    )


def test_build_then_analyze(folders: Folders, tmp_path: Path, diffbgm: Callable) -> None:
    run = diffbgm("listening-test", "build", *folders, "-o", tmp_path / "test", "--json")
    assert run.code == 0
    built = json.loads(run.out)
    assert built == {"folder": str(tmp_path / "test"), "key": str(tmp_path / "test.key.json"), "trials": 4}
    files = []
    for number, listener in enumerate(("a", "b", "c")):
        files.append(tmp_path / f"{listener}.json")
        files[-1].write_text(
            results_for(tmp_path / "test.key.json", listener, 5, 2 + number % 2).model_dump_json()
        )
    run = diffbgm("listening-test", "analyze", *files, "--key", built["key"])
    assert run.code == 0
    assert "3 listeners, 2 videos" in run.out
    assert re.search(r"ours +5\.00.*\n +theirs +2\.33", run.out)
    run = diffbgm("listening-test", "analyze", *files, "--key", built["key"], "--json")
    assert json.loads(run.out)["systems"]["ours"]["quality"]["mean"] == 5.0


def test_a_description_with_changes(folders: Folders, tmp_path: Path, diffbgm: Callable) -> None:
    description = tmp_path / "study.toml"
    description.write_text(f"[systems]\nours = '{folders[0]}'\ntheirs = '{folders[1]}'\n")
    out = tmp_path / "pairs"
    run = diffbgm(
        "listening-test", "build", description, "-o", out, "--kind", "pairwise", "--key", tmp_path / "k.json"
    )
    assert (run.code, load_key(tmp_path / "k.json").kind) == (0, "pairwise")
    assert "keep it" in run.out


def test_failures_end_with_their_codes(folders: Folders, tmp_path: Path, diffbgm: Callable) -> None:
    for arguments, code, message in (
        (("build", tmp_path / "none", "-o", tmp_path / "x"), 3, "is not a folder"),
        (("build", tmp_path / "none.toml", "-o", tmp_path / "x"), 3, "cannot read"),
        (("build", folders[0], folders[0], "-o", tmp_path / "x"), 2, "same name"),
        (("build", folders[0], "-o", tmp_path / "x", "--kind", "pairwise"), 2, "at least 2"),
        (("build", folders[0], "-o", tmp_path / "no" / "x"), 6, "no folder"),
        (("build", folders[0], "-o", tmp_path / "x", "--seed", "-1"), 2, "seed"),
        (("build", folders[0]), 2, "output"),
        (("analyze", tmp_path / "r.json", "--key", tmp_path / "k.json"), 3, "k.json"),
    ):
        run = diffbgm("listening-test", *arguments)
        assert run.code == code, (arguments, run.err)
        assert message in run.err
        assert len(run.err.strip().splitlines()) == 1
    assert not (tmp_path / "x").exists()
