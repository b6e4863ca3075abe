"""The paper's network against values that its published code computed (golden/official-unet)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training tests need torch: pip install 'diffbgm[train]'")
pytest.importorskip("safetensors", reason="the golden weights are a safetensors file")

import torch
from safetensors.torch import load_file

from diffbgm.diffusion.levels import alpha_bars
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
