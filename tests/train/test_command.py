"""`diffbgm train` and `diffbgm weights export`: as a person calls them, killed, stopped, on two processes."""

from __future__ import annotations

import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training tests need torch: pip install 'diffbgm[train]'")
pytest.importorskip("accelerate", reason="training tests need accelerate: pip install 'diffbgm[train]'")
pytest.importorskip("tensorboard", reason="training tests need tensorboard: pip install 'diffbgm[train]'")
pytest.importorskip("onnx", reason="training tests need onnx: pip install 'diffbgm[train]'")

import torch

from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.weights import open_weights
from diffbgm.train.checkpoint import CHECKPOINT, Checkpoint
from diffbgm.train.examples import open_examples
from diffbgm.train.loop import Trainer
from diffbgm.train.miniature import write_miniature
from diffbgm.train.recipe import Recipe
from diffbgm.train.report import CURVES, LOG, RunReport

from .songs import as_toml, paired_recipe, scale_song
from .test_training import assert_same_weights

pytestmark = pytest.mark.train
RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layout")
    write_miniature([scale_song(k, song_id=f"{k:03d}") for k in (1, 2, 9)], folder)
    return folder


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return as_toml(paired_recipe("beat-transformer", steps=40), tmp_path / "recipe.toml")


def straight(toml: Path, layout: Path, run: Path, **changes: Any) -> Checkpoint:
    """The checkpoint of a run that nobody stopped."""
    one = Recipe.read(toml)
    one = one.with_training(**changes) if changes else one
    Trainer(one, *open_examples(one, layout, None), run).fit()
    return Checkpoint.load(run)


def test_the_recipes_that_ship_are_valid() -> None:
    assert {path.stem for path in RECIPES} >= {"beat-transformer", "beat-transformer-paired", "paper-unet"}
    for path in RECIPES:
        one = Recipe.read(path)
        assert Recipe.build(one.to_json()) == one


def test_recipes_written_by_the_tests_are_read_back(toml: Path, tmp_path: Path) -> None:
    assert Recipe.read(toml) == paired_recipe("beat-transformer", steps=40)
    one = paired_recipe("unet", "published")
    assert Recipe.read(as_toml(one, tmp_path / "unet.toml")) == one


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"network": {"widht": 3}}, "network.widht: no such field of the beat-transformer"),
        ({"network": {"width": "a"}}, "network.width: Input should be a valid integer"),
        ({"network": {"width": 30}}, "network: width 30 is not an even multiple of 4 heads"),
        ({"network": {"dropout": 1.0}}, "network: dropout 1.0 is not a share"),
        ({"network": 3}, "network: expected a table of fields"),
        ({"training": {"steps": 1, "rate": 2}}, "training.rate: Extra inputs are not permitted"),
        ({"training": {"steps": 1, "learning_rate": -1}}, "training.learning_rate: Input should be greater"),
        ({"training": {"steps": 1, "epochs": 1}}, "training: give either steps or epochs"),
        ({"training": {"steps": 1, "batch": 5, "accumulate": 2}}, "batch 5 cannot be cut into 2 equal parts"),
        ({"data": {"set": "bgm909"}}, "network.features: true where features of films steer"),
        ({"data": {"roll_features": True}}, "data: pop909 is transposed by key"),
        ({"architecture": "rnn"}, "architecture: Input should be 'beat-transformer' or 'unet'"),
        (
            {"architecture": "unet", "network": {"behaviour": "x"}},
            "network.behaviour 'x': expected published",
        ),
        ({"architecture": "unet", "conditions": {}}, "conditions: the U-Net takes network.behaviour"),
    ],
)
def test_a_recipe_that_is_wrong_is_told_in_a_line(
    diffbgm: Callable[..., Any], tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items() if not isinstance(value, dict)]
    for name, section in ({"training": {"steps": 1}} | values).items():
        if isinstance(section, dict):
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items())]
    path = tmp_path / "wrong.toml"
    path.write_text("\n".join(lines))
    run = diffbgm("train", path, "--data", tmp_path, "--run", tmp_path / "run")
    assert run.code == 2
    assert run.err.startswith(f"diffbgm: {path}: ")
    assert message in run.err
    assert run.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_files_that_are_not_there(diffbgm: Callable[..., Any], tmp_path: Path, toml: Path) -> None:
    run = diffbgm("train", tmp_path / "no.toml", "--data", tmp_path, "--run", tmp_path / "run")
    assert (run.code, run.err.count("\n")) == (3, 1)
    assert "cannot read the recipe" in run.err
    run = diffbgm("train", toml, "--data", tmp_path, "--run", tmp_path / "run")
    assert (run.code, run.err.count("\n")) == (3, 1)
    assert "no songs there; expected the published layout" in run.err
    run = diffbgm("weights", "export", tmp_path)
    assert (run.code, run.err.count("\n")) == (4, 1)
    assert "no checkpoint; train first" in run.err


def test_a_run_from_the_command_to_weights(
    diffbgm: Callable[..., Any], tmp_path: Path, toml: Path, layout: Path
) -> None:
    folder = tmp_path / "run"
    arguments = ("train", toml, "--data", layout, "--run", folder, "--checkpoint-steps", 5)
    run = diffbgm(*arguments, "--steps", 10)
    assert run.code == 0
    assert run.err.splitlines()[0] == "18 windows, 9 held out"
    assert "step 10/10  held-out loss" in (folder / LOG).read_text()
    assert "finished" in run.err
    assert run.out == ""
    run = diffbgm(*arguments, "--steps", 12)
    assert run.err.splitlines()[0] == "18 windows, 9 held out, going on from step 10"
    run = diffbgm(*arguments, "--steps", 12)
    assert "has its 12 steps" in run.err

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = EventAccumulator(str(folder / CURVES))
    curves.Reload()
    names = {"loss", "learning_rate", "gradient_norm", "windows_per_second", "heldout_loss"}
    assert set(curves.Tags()["scalars"]) == names
    assert [point.step for point in curves.Scalars("heldout_loss")] == [5, 10, 12]
    assert all(point.value > 0 for name in names for point in curves.Scalars(name))

    scores = tmp_path / "scores.json"
    scores.write_text('{"PCHE": 2.7}')
    sampling = ("--guidance", 3, "--sampler", "dpm++2m", "--steps", 8, "--spacing", "shifted")
    run = diffbgm("weights", "export", folder, "-o", tmp_path, *sampling, "--scores", scores, "--json")
    answer = json.loads(run.out)
    weights = open_weights(answer["weights"])
    assert weights.metadata["trained"]["step"] == 12
    assert weights.metadata["scores"] == {"PCHE": 2.7}
    chosen = Sampling.of(weights.sampling)
    assert (chosen.guidance, chosen.sampler, chosen.steps, chosen.spacing) == (3, "dpm++2m", 8, "shifted")
    run = diffbgm("weights", "export", folder, "--sampler", "heun", "--eta", 0.5)
    assert (run.code, run.err.count("\n")) == (2, 1)
    assert "option eta" in run.err
    assert Recipe.build(weights.metadata["recipe"]).training.steps == 12


def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(
    diffbgm: Callable[..., Any], tmp_path: Path, toml: Path, layout: Path
) -> None:
    folder = tmp_path / "killed"
    arguments = ["train", str(toml), "--data", str(layout), "--run", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "diffbgm", *arguments, "--checkpoint-steps", "1"],
        stderr=subprocess.DEVNULL, env=environment,
    )  # fmt: skip
    try:
        while not (folder / CHECKPOINT).exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.5))  # any moment: while it learns, while it writes
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert 0 < Checkpoint.load(folder).step < 40
    assert diffbgm(*arguments).code == 0
    assert_same_weights(straight(toml, layout, tmp_path / "whole"), Checkpoint.load(folder))


def test_ctrl_c_keeps_the_work_and_says_how_to_go_on(
    diffbgm: Callable[..., Any], tmp_path: Path, toml: Path, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = RunReport.update

    def stop(self: RunReport, step: int, spent_s: float, figures: dict[str, float]) -> None:
        heard(self, step, spent_s, figures)
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as changed:
        changed.setattr(RunReport, "update", stop)
        run = diffbgm("train", toml, "--data", layout, "--run", tmp_path / "run", "--steps", 6)
    assert run.code == 130
    assert (
        run.err.splitlines()[-1] == f"stopped after step 3; the same command goes on from {tmp_path / 'run'}"
    )
    assert diffbgm("train", toml, "--data", layout, "--run", tmp_path / "run", "--steps", 6).code == 0
    whole = straight(toml, layout, tmp_path / "whole", steps=6)
    assert_same_weights(whole, Checkpoint.load(tmp_path / "run"))


def test_a_terminal_has_a_bar_and_lines_above_it(tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    report = RunReport(tmp_path, terminal, steps=4, batch=8, begin=1, every_s=0)
    with report.shown():
        for step in (2, 3, 4):
            report.update(step, 60.0, {"loss": 2.5, "learning_rate": 1e-3, "gradient_norm": 1.0})
        report.heldout(4, 60.0, 2.25)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    assert "training" in shown
    assert "4/4" in shown
    assert "windows/s" in shown
    lines = (tmp_path / LOG).read_text().splitlines()
    assert re.fullmatch(r" +1\.0 min  step 2/4  loss 2\.500  [\d.]+ windows/s  lr 1\.00e-03", lines[0])
    assert lines[-1].endswith("step 4/4  held-out loss 2.2500  finished")


def test_a_run_that_cannot_be_written(
    diffbgm: Callable[..., Any], tmp_path: Path, toml: Path, layout: Path
) -> None:
    (tmp_path / "file").write_text("")
    run = diffbgm("train", toml, "--data", layout, "--run", tmp_path / "file")
    assert (run.code, run.err.splitlines()[-1].startswith(f"diffbgm: {tmp_path / 'file'}: ")) == (6, True)


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path, layout: Path) -> None:
    toml = as_toml(paired_recipe("beat-transformer", steps=4, accumulate=2), tmp_path / "recipe.toml")
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        "--master_port",
        "29413",
    ]
    command += [
        "-m",
        "--",
        "diffbgm",
        "train",
        str(toml),
        "--data",
        str(layout),
        "--run",
        str(tmp_path / "two"),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("18 windows, 9 held out") == 1  # only the first process speaks
    one = straight(toml, layout, tmp_path / "one")
    two = Checkpoint.load(tmp_path / "two")
    assert two.step == one.step == 4
    for name, tensor in one.network.items():
        torch.testing.assert_close(two.network[name], tensor, rtol=1e-3, atol=1e-4)
