"""The paper's network against values that its published code computed (golden/official-unet)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("torch", reason="training tests need torch: pip install 'diffbgm[train]'")
pytest.importorskip("safetensors", reason="the golden weights are a safetensors file")
pytest.importorskip("onnx", reason="export needs onnx: pip install 'diffbgm[train]'")

import onnx
import torch
from safetensors.torch import load_file

from diffbgm.diffusion.behaviour import PUBLISHED, REPAIRED
from diffbgm.diffusion.levels import alpha_bars
from diffbgm.train.export_unet import unet_graph
from diffbgm.train.graph import halve
from diffbgm.train.unet import SCHEDULE, PublishedDenoiser, UNetConfig, block_mask, from_published

pytestmark = pytest.mark.train
GOLDEN = Path(__file__).parents[1] / "golden" / "official-unet"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / "state_dict.safetensors")


@pytest.fixture(scope="module")
def config() -> dict[str, object]:
    return json.loads((GOLDEN / "config.json").read_text())


@pytest.fixture(scope="module")
def values() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "io.npz") as file:
        return dict(file)


@pytest.mark.parametrize(
    ("name", "given"),
    [("eps_visual", ["visual"]), ("eps_caption", ["caption"]), ("eps_c_v", ["visual", "caption"])],
)
def test_the_network_equals_the_published_one(name, given, state, config, values) -> None:
    network = from_published(state, config)
    conditions = {stream: torch.from_numpy(values[stream]) for stream in given}
    with torch.no_grad():
        out = network(torch.from_numpy(values["x"]), torch.from_numpy(values["t"]), **conditions)
    np.testing.assert_allclose(out.numpy(), values[name], atol=1e-5)


def test_the_published_quirk_matters(state, config, values) -> None:
    """Without the mask on self-attention the values are others: the comparison above is not blind to it."""
    repaired = from_published(state, UNetConfig.from_json({**config, "behaviour": "repaired"}))
    with torch.no_grad():
        out = repaired(
            torch.from_numpy(values["x"]), torch.from_numpy(values["t"]), torch.from_numpy(values["visual"])
        )
    assert np.abs(out.numpy() - values["eps_visual"]).max() > 1e-3


def test_the_full_network_has_the_tensors_of_a_published_checkpoint() -> None:
    published = json.loads((GOLDEN / "full_shapes.json").read_text())
    with torch.device("meta"):
        ours = {name: list(t.shape) for name, t in PublishedDenoiser(UNetConfig()).state_dict().items()}
    assert ours == {name: shape for name, shape in published.items() if name not in SCHEDULE}


def test_the_schedule_is_the_published_one(values) -> None:
    np.testing.assert_allclose(alpha_bars(), values["alpha_bar"], atol=1e-6)


def test_a_checkpoint_that_does_not_fit_is_named(state, config) -> None:
    name = "ldm.eps_model.out.2.bias"
    with pytest.raises(ValueError, match=f"{name}: missing"):
        from_published({k: v for k, v in state.items() if k != name}, config)
    with pytest.raises(ValueError, match=rf"{name}: shape \(3,\), expected \(2,\)"):
        from_published({**state, name: torch.zeros(3)}, config)
    with pytest.raises(ValueError, match=r"ldm\.extra: not part"):
        from_published({**state, "ldm.extra": torch.zeros(1)}, config)
    with pytest.raises(ValueError, match="another noise schedule"):
        from_published({**state, "ldm.alpha_bar": torch.linspace(1, 0, 1000)}, config)


def test_block_mask_cuts_time_into_equal_parts() -> None:
    mask = block_mask(4, 6, 2, torch.device("cpu"))
    assert mask.tolist() == [[True] * 3 + [False] * 3] * 2 + [[False] * 3 + [True] * 3] * 2


def masks_of(values: dict[str, np.ndarray], segments: int) -> torch.Tensor:
    """Visual rows, then caption rows, in equal parts, and the published selector, as one mask."""
    steps, rows = values["x"].shape[2], values["visual"].shape[1]
    blocks = block_mask(steps, rows, segments, torch.device("cpu"))[None].expand(len(values["t"]), -1, -1)
    caption = torch.from_numpy(values["t"] > 200)[:, None, None]
    return torch.cat([blocks & ~caption, blocks & caption], dim=2)


def test_a_mask_from_outside_says_the_same(state, config, values) -> None:
    network = from_published(state, config)
    given = [torch.from_numpy(values[name]) for name in ("x", "t", "visual", "caption")]
    with torch.no_grad():
        out = network(*given, mask=masks_of(values, 2))
        others = network(*given, mask=masks_of(values, 4))
    np.testing.assert_allclose(out.numpy(), values["eps_c_v"], atol=1e-5)
    assert np.abs(others.numpy() - values["eps_c_v"]).max() > 1e-3


def test_borders_are_of_each_sample(state, config, values) -> None:
    """A row changes the steps that see it and, where notes of other segments are not seen, no others."""
    network = from_published(state, config)
    x, t, visual = (torch.from_numpy(values[name][:2]) for name in ("x", "t", "visual"))
    owner = torch.tensor([[0] * 8 + [1] * 8, [0] * 4 + [1] * 12])
    seen = owner[:, :, None] == torch.tensor([[0] * 4 + [1] * 4, [0] * 2 + [1] * 6])[:, None]
    changed = visual.clone()
    changed[:, 3] += 1.0  # of the first segment in the first sample, of the second in the second
    block = network.ldm["eps_model"].middle_block[1].transformer_blocks[0]
    width = block.attn1.to_q.in_features
    flat = torch.randn((2, 16 * 4, width), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, after = (block(flat, rows, seen, 4) for rows in (visual, changed))
        whole = [network(x, t, rows, mask=seen) for rows in (visual, changed)]
    moved = (before != after).flatten(2).any(dim=2).view(2, 16, 4).any(dim=2)
    assert moved.tolist() == [[True] * 8 + [False] * 8, [False] * 4 + [True] * 12]
    assert not torch.equal(*whole)


def test_a_silent_stream_leaves_no_trace(state, config, values) -> None:
    """Visual rows alone, and both with captions hidden by the mask, are the same to the network."""
    network = from_published(state, config)
    x, t, visual, caption = (torch.from_numpy(values[name]) for name in ("x", "t", "visual", "caption"))
    mask = masks_of({**values, "t": np.zeros_like(values["t"])}, 2)
    with torch.no_grad():
        out = network(x, t, visual, caption, mask)
    np.testing.assert_allclose(out.numpy(), values["eps_visual"], atol=1e-5)


@pytest.mark.parametrize("selector", ["reversed", "both", "semantic", "dynamic"])
def test_the_selector_is_an_option(selector, state, config, values) -> None:
    ways = {**asdict(PUBLISHED), "selector": selector}
    network = from_published(state, UNetConfig.from_json({**config, "behaviour": ways}))
    with torch.no_grad():
        out = network(*(torch.from_numpy(values[name]) for name in ("x", "t", "visual", "caption")))
    high = values["t"] > 200
    expected = {
        "reversed": np.where(high[:, None, None, None], values["eps_visual"], values["eps_caption"]),
        "semantic": values["eps_caption"],
        "dynamic": values["eps_visual"],
    }
    if selector == "both":
        assert all(np.abs(out.numpy() - one).max() > 1e-3 for one in expected.values())
    else:
        np.testing.assert_allclose(out.numpy(), expected[selector], atol=1e-5)


def test_odd_rows_are_cut_as_published() -> None:
    mask = block_mask(4, 5, 2, torch.device("cpu"))
    assert mask[0].tolist() == [True, True, False, False, False]
    assert mask[2].tolist() == [False, False, True, True, True]


def test_sizes_and_ways_are_read_back_from_json() -> None:
    for config in (UNetConfig(), UNetConfig(mult=(1, 2), behaviour=REPAIRED)):
        assert UNetConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_the_exported_reference_network_equals_the_published_one(state, config, values, tmp_path) -> None:
    """ONNX Runtime against the values of the published code; float16 storage costs less than 1e-3."""
    network = from_published(state, config)
    graph = unet_graph(config["d_cond"], steps=16, pitches=16)
    graph.write(network, tmp_path / "unet.onnx")
    model = onnx.load(tmp_path / "unet.onnx")
    assert graph.largest_difference(network, model.SerializeToString()) < 1e-4
    given = {
        "planes": values["x"],
        "step": values["t"].astype(np.float32),
        "visual": values["visual"],
        "caption": values["caption"],
        "mask": masks_of(values, 2).numpy(),
    }
    for content, tolerance in ((model.SerializeToString(), 1e-4), (halve(model).SerializeToString(), 1e-3)):
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        (out,) = session.run(["noise"], given)
        np.testing.assert_allclose(out, values["eps_c_v"], atol=tolerance)
    # and the comparison can fail
    with torch.no_grad():
        network.caption_enc.bias.add_(0.1)
    assert graph.largest_difference(network, onnx.load(tmp_path / "unet.onnx").SerializeToString()) > 1e-4
