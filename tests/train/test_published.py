"""Importing published checkpoints: what fits composes, what does not is told, and nothing in them runs."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training tests need torch: pip install 'diffbgm[train]'")
pytest.importorskip("onnx", reason="export needs onnx: pip install 'diffbgm[train]'")
pytest.importorskip("safetensors", reason="checkpoints may be safetensors files")

import torch
from safetensors.torch import save_file

from diffbgm.diffusion.behaviour import PUBLISHED
from diffbgm.diffusion.levels import alpha_bars
from diffbgm.diffusion.unet import behaviour_of
from diffbgm.diffusion.weights import open_weights
from diffbgm.errors import InputError
from diffbgm.train import published
from diffbgm.train.published import check_fit, import_published, published_shapes, read_checkpoint
from diffbgm.train.unet import PublishedDenoiser, UNetConfig
from tests.conftest import Run
from tests.film_features import features_of

pytestmark = pytest.mark.train

SMALL = UNetConfig(channels=32, mult=(1, 1, 1, 1), levels=(3,), nres=1, heads=2)
STEPS = 1000


def checkpoint(config: UNetConfig) -> dict[str, torch.Tensor]:
    """Random weights and the schedule's constants, named as the published training names them."""
    torch.manual_seed(0)
    bars = torch.from_numpy(alpha_bars()).float()
    schedule = {"alpha": bars.clone(), "beta": 1 - bars, "alpha_bar": bars, "sigma2": 1 - bars}
    return PublishedDenoiser(config).state_dict() | {f"ldm.{name}": t for name, t in schedule.items()}


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return checkpoint(SMALL)


@pytest.fixture(scope="module")
def shapes(state: dict[str, torch.Tensor]) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in state.items()}


@pytest.fixture
def file(state: dict[str, torch.Tensor], tmp_path: Path) -> Path:
    path = tmp_path / "weights.pt"
    torch.save({"step": 7, "epoch": 2, "model": state, "optimizer": {"state": {}}, "scaler": {}}, path)
    return path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, shapes: dict[str, list[int]]) -> None:
    """The command imports the small network in place of the paper's."""
    monkeypatch.setattr(published, "UNetConfig", lambda: SMALL)
    monkeypatch.setattr(published, "published_shapes", lambda: shapes)


def test_the_shapes_in_the_package_are_those_of_the_reference() -> None:
    golden = Path(__file__).parents[1] / "golden" / "official-unet" / "full_shapes.json"
    assert published_shapes() == json.loads(golden.read_text())
    with torch.device("meta"):
        found = PublishedDenoiser(UNetConfig()).state_dict()
    assert {name: list(t.shape) for name, t in found.items()}.items() <= published_shapes().items()


def test_checkpoints_are_read_in_all_their_forms(state, file: Path, tmp_path: Path) -> None:
    bare, safe, old = tmp_path / "bare.pth", tmp_path / "x.safetensors", tmp_path / "old.pt"
    torch.save(state, bare)
    save_file(state, safe)
    torch.save({"model": state}, old, _use_new_zipfile_serialization=False)
    for path in (file, bare, safe, old):
        found, trained = read_checkpoint(path)
        assert found.keys() == state.keys()
        assert trained == ({"step": 7, "epoch": 2} if path == file else {})


def test_everything_that_does_not_fit_is_told(state, shapes) -> None:
    names = list(shapes)
    broken = {name: tensor for name, tensor in state.items() if name not in names[10:30]}
    broken[names[0]] = torch.zeros(3, 5)
    broken[names[1]] = torch.full_like(state[names[1]], float("nan"))
    broken[names[2]] = torch.zeros(shapes[names[2]], dtype=torch.int64)
    broken["ldm.extra"] = torch.zeros(1)
    with pytest.raises(InputError) as caught:
        check_fit(Path("w.pt"), broken, shapes)
    said = str(caught.value)
    fitting = len(shapes) - 23
    assert said.startswith(f"w.pt: not the published network, {fitting} of its {len(shapes)} tensors fit; ")
    assert f"20 missing: {names[10]}, {names[11]}" in said
    assert "and 12 more" in said
    assert f"1 of another shape: {names[0]} [3, 5], expected {shapes[names[0]]}" in said
    assert "1 not part of the network: ldm.extra" in said
    assert f"2 not of finite numbers: {names[1]}, {names[2]}" in said
    assert len(said) < 2000
    check_fit(Path("w.pt"), state, shapes)


class Hostile:
    """Would write a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def hostile_files(folder: Path, state: dict[str, torch.Tensor], good: bytes) -> list[Path]:
    mark = folder / "executed"
    files: dict[str, bytes] = {
        "plain.pt": pickle.dumps(Hostile(mark)),
        "eval.pt": b"cbuiltins\neval\n(S'1+1'\ntR.",
        "empty.pt": b"",
        "text.pt": b"not a checkpoint\n" * 50,
        "cut.pt": good[: len(good) // 2],
        "cut.safetensors": b"\xff" * 40,
        "html.pth": b"<!doctype html><title>Google Drive - Virus scan warning</title>",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    torch.save({"model": state, "more": Hostile(mark)}, folder / "inside.pt")
    torch.save([1, 2, 3], folder / "list.pt")
    torch.save({"model": {"names": "only"}}, folder / "names.pt")
    torch.save({"model": {"ldm.alpha": torch.zeros(1_000_000)}}, folder / "zeros.pt")
    with (
        zipfile.ZipFile(folder / "zeros.pt") as flat,
        zipfile.ZipFile(folder / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in flat.namelist():
            packed.writestr(entry, flat.read(entry))
    rng = np.random.default_rng(0)
    for k in range(12):
        damaged = bytearray(good)
        for at in rng.integers(0, min(len(good), 4000), 20):
            damaged[at] = rng.integers(256)
        (folder / f"damaged{k}.pt").write_bytes(bytes(damaged))
    return sorted(folder.glob("*.pt")) + sorted(folder.glob("*.pth")) + sorted(folder.glob("*.safetensors"))


def refusal(path: Path, shapes: dict[str, list[int]]) -> str | None:
    try:
        check_fit(path, read_checkpoint(path)[0], shapes)
    except InputError as error:
        return str(error)
    return None


def test_hostile_and_broken_files_are_refused_in_one_line(state, shapes, file: Path, tmp_path: Path) -> None:
    good = file.read_bytes()
    folder = tmp_path / "bad"
    folder.mkdir()
    few = dict(list(state.items())[:2])
    paths = [*hostile_files(folder, few, good), tmp_path / "missing.pt", tmp_path]
    for path in paths:
        said = refusal(path, shapes)
        if said is None:
            assert path.name.startswith("damaged")  # some bytes are padding
            continue
        assert said.startswith(f"{path}: ")
        assert "\n" not in said
        assert "weights_only" not in said
    assert not (folder / "executed").exists()
    with pytest.raises(InputError, match="packed archive"):
        read_checkpoint(folder / "bomb.pt")
    for name in ("plain.pt", "eval.pt", "inside.pt", "html.pth", "text.pt"):
        with pytest.raises(InputError, match="more than tensors"):
            read_checkpoint(folder / name)


def test_an_imported_network_says_what_it_is(file: Path, shapes, tmp_path: Path) -> None:
    path, metadata = import_published(file, tmp_path, SMALL, shapes)
    weights = open_weights(str(path))
    assert weights.metadata == {**metadata, "schema": 1, "architecture": "unet"}
    assert weights.conditions == "features"
    assert behaviour_of(weights) == PUBLISHED
    assert metadata["trained"] == {
        "step": 7, "epoch": 2, "source": "weights.pt", "sha256": metadata["trained"]["sha256"],
    }  # fmt: skip
    assert weights.sampling["steps"] == 50
    other = tmp_path / "other.pt"
    torch.save({**read_checkpoint(file)[0], "ldm.alpha_bar": torch.linspace(1, 0, STEPS)}, other)
    with pytest.raises(InputError, match="another noise schedule"):
        import_published(other, tmp_path, SMALL, shapes)


@pytest.mark.usefixtures("small")
def test_the_command_imports_and_the_weights_compose(
    diffbgm: Callable[..., Run], file: Path, film: Path
) -> None:
    weights = file.with_name("mine.onnx")
    run = diffbgm("weights", "import", file, "-o", weights)
    assert run.code == 0, run.err
    assert run.out.startswith(f"{weights}\n")
    again = diffbgm("weights", "import", file, "-o", weights)
    assert again.code == 6
    assert "--force" in again.err
    assert diffbgm("weights", "import", file, "-o", file.with_name("nowhere")).code == 6

    without = diffbgm("compose", film, "--weights", weights)
    assert without.code == 4
    assert "diffbgm features" in without.err
    features_of(film).save(film.with_suffix(".features.npz"))
    options = ("--weights", weights, "--features", film.with_suffix(".features.npz"), "--steps", 2, "--json")
    composed = diffbgm("compose", film, *options)
    assert composed.code == 0, composed.err
    assert json.loads(composed.out)["weights"] == weights.stem
    unused = diffbgm("compose", film, "--features", film.with_suffix(".features.npz"), "--force")
    assert unused.code == 2
    assert "follow no features" in unused.err
    features = features_of(film)
    replace(features, visual=features.visual[:, :500]).save(film.with_name("narrow.npz"))
    narrow = diffbgm(
        "compose", film, "--weights", weights, "--features", film.with_name("narrow.npz"), "--force"
    )
    assert narrow.code == 3
    assert "rows of 500 and 768 numbers" in narrow.err
    film.write_bytes(film.read_bytes() + b"\0")
    other = diffbgm("compose", film, *options, "--force")
    assert other.code == 3
    assert "another film" in other.err


@pytest.mark.usefixtures("small")
def test_the_command_refuses_what_does_not_fit(diffbgm: Callable[..., Run], file: Path, state) -> None:
    torch.save({name: t for name, t in state.items() if name != "caption_enc.bias"}, file)
    run = diffbgm("weights", "import", file)
    assert run.code == 3
    assert run.err.count("\n") == 1 + run.err.count("importing")
    assert "1 missing: caption_enc.bias" in run.err
    assert list(file.parent.glob("*.onnx")) == []
    assert list(file.parent.glob(".diffbgm-*")) == []


def test_the_list_of_weights_is_as_before(diffbgm: Callable[..., Run]) -> None:
    run = diffbgm("weights")
    assert run.code == 0
    assert "trained on POP909" in run.out
    listed = json.loads(diffbgm("weights", "--json").out)["weights"]
    assert listed[0]["metadata"]["architecture"] == "beat-transformer"


@pytest.mark.slow
def test_a_whole_checkpoint_of_the_papers_size_is_imported_and_composes(
    diffbgm: Callable[..., Run], film: Path, tmp_path: Path
) -> None:
    full = checkpoint(UNetConfig())
    assert {name: list(t.shape) for name, t in full.items()} == published_shapes()
    torch.save({"model": full}, tmp_path / "full.pt")
    run = diffbgm("weights", "import", tmp_path / "full.pt", "--json")
    assert run.code == 0, run.err
    weights = Path(json.loads(run.out)["weights"])
    assert weights.parent == tmp_path
    assert weights.name.startswith("unet-")
    assert 80e6 < weights.stat().st_size < 90e6
    features_of(film).save(film.with_suffix(".features.npz"))
    composed = diffbgm(
        "compose", film, "--weights", weights, "--features", film.with_suffix(".features.npz"),
        "--steps", 2, "--no-report", "--json",
    )  # fmt: skip
    assert composed.code == 0, composed.err
    assert json.loads(composed.out)["weights"] == weights.stem
