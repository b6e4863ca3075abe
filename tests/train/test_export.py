"""The exported graph is the network: compared with torch, and opened as `compose` opens it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training tests need torch: pip install 'diffbgm[train]'")
pytest.importorskip("accelerate", reason="training tests need accelerate: pip install 'diffbgm[train]'")
pytest.importorskip("onnx", reason="training tests need onnx: pip install 'diffbgm[train]'")

import onnx
import onnxruntime
import torch

from diffbgm.data.windows import WindowSource
from diffbgm.diffusion.denoiser import Guidance, predict
from diffbgm.diffusion.weights import open_weights
from diffbgm.errors import DiffbgmError, MissingToolError
from diffbgm.train import export as exporting
from diffbgm.train.checkpoint import Checkpoint
from diffbgm.train.examples import from_songs
from diffbgm.train.export import export, export_run, transformer_graph
from diffbgm.train.graph import halve
from diffbgm.train.loop import Trainer, averaged
from diffbgm.train.transformer import BeatTransformer, TransformerConfig

from .songs import TRANSFORMER, recipe, scale_song

pytestmark = pytest.mark.train
SAMPLING = {"guidance": 2.0, "eta": 0.5, "steps": 4}
WAYS = {"selector": "both", "threshold": 0.364, "segments": "borders"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    one = recipe(steps=10)
    examples = from_songs(WindowSource([scale_song(0)]), one)
    Trainer(one, examples, examples, folder).fit()
    return folder


def shaken(features: bool) -> BeatTransformer:
    """A network in which everything has an effect: at the start of training much of it is zero."""
    torch.manual_seed(0)
    network = BeatTransformer(TransformerConfig(**TRANSFORMER, features=features)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def test_what_is_said_of_one_segment_reaches_another_only_through_the_music() -> None:
    """With self-attention silenced, a change in segment 1 leaves the beats of segment 0 as they were."""
    network = shaken(features=False)
    with torch.no_grad():
        for block in network.blocks:
            block.out.weight.zero_()
            block.out.bias.zero_()
    graph = transformer_graph()
    inputs = {name: value[:, :16] if value.ndim > 1 else value for name, value in graph.example(0).items()}
    inputs["semantic"][:] = 1
    inputs["mask"] = np.repeat(np.eye(2, dtype=bool), 8, axis=0)[None]
    changed = dict(inputs, semantic=inputs["semantic"].copy())
    changed["semantic"][0, 1] = 2
    with torch.no_grad():
        before, after = (
            network(*(torch.from_numpy(one[name]) for name in graph.inputs)).numpy()
            for one in (inputs, changed)
        )
    np.testing.assert_array_equal(before[0, :8], after[0, :8])
    assert np.abs(before[0, 8:] - after[0, 8:]).max() > 1e-4


@pytest.mark.parametrize("features", [False, True])
def test_the_exported_graph_equals_the_network(features: bool, tmp_path: Path) -> None:
    network, graph = shaken(features), transformer_graph(features)
    graph.write(network, tmp_path / "x.onnx")
    model = onnx.load(tmp_path / "x.onnx")
    assert graph.largest_difference(network, model.SerializeToString()) < 1e-4
    half = halve(model).SerializeToString()
    assert graph.largest_difference(network, half) < 2e-2
    assert onnxruntime.InferenceSession(half).get_outputs()[0].name == "prediction"
    with torch.no_grad():  # and the comparison can fail
        network.leave.bias.add_(0.1)
    assert graph.largest_difference(network, half) > 5e-2


def test_a_graph_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "PARITY", -1.0)
    with pytest.raises(DiffbgmError, match="differs from the network by"):
        export(shaken(False), transformer_graph(), {"recipe": {}}, "beat-transformer", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_becomes_weights_that_run_without_torch(run: Path, tmp_path: Path) -> None:
    path, _ = export_run(run, tmp_path, SAMPLING, commit="abc")
    weights = open_weights(str(path))
    assert weights.sampling == SAMPLING | WAYS
    assert weights.metadata["conditions"] == "codes"
    trained = weights.metadata["trained"]
    assert (trained["step"], trained["commit"]) == (10, "abc")
    source = WindowSource([scale_song(0)])
    tokens, conditions = source.tokens(source.windows[0])[None], [source.conditions(source.windows[0])]
    plain = predict(weights, tokens, 0.5, conditions, Guidance(scale=1.0))
    given = (conditions[0].dynamic[None], conditions[0].semantic[None], conditions[0].mask[None])
    network = averaged(Checkpoint.load(run))
    with torch.no_grad():
        inputs = (torch.from_numpy(array) for array in given)
        expected = network(torch.from_numpy(tokens), torch.tensor([0.5]), *inputs).numpy()
    np.testing.assert_allclose(plain, expected, atol=2e-2)
    assert np.abs(predict(weights, tokens, 0.5, conditions, Guidance(scale=3.0)) - plain).max() > 1e-3


def test_the_average_is_exported_not_the_last_weights(run: Path) -> None:
    kept = Checkpoint.load(run)
    assert not torch.equal(kept.average["leave.weight"], kept.network["leave.weight"])
    assert torch.equal(averaged(kept).state_dict()["leave.weight"], kept.average["leave.weight"])


def test_a_run_without_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError, match="no checkpoint; train first"):
        export_run(tmp_path, tmp_path, SAMPLING)
