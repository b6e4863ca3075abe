"""From a training checkpoint to a file of weights that runs without torch.

The graph is one denoising step of the averaged network with named tensors and free batch, length and number
of segments. Matrices are stored as float16 and widened when the session is made: half the file, and the
arithmetic stays float32. The exported graph is compared with the network before it is written.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from torch import nn

from diffbgm.diffusion import handmade
from diffbgm.diffusion.conditions import DYNAMIC_FIELDS, SEMANTIC_FIELDS
from diffbgm.diffusion.tokens import TOKEN_SIZE
from diffbgm.diffusion.weights import METADATA_KEY, SCHEMA
from diffbgm.errors import DiffbgmError
from diffbgm.features.film_features import LANGUAGE_WIDTH, VISUAL_WIDTH
from diffbgm.train.checkpoint import Checkpoint
from diffbgm.train.export_unet import unet_graph
from diffbgm.train.graph import Example, Graph, halve
from diffbgm.train.loop import averaged
from diffbgm.train.recipe import Recipe
from diffbgm.train.transformer import TransformerConfig
from diffbgm.train.unet import UNetConfig

PARITY: Final = 1e-4
DATA: Final = {
    "pop909": "POP909 (MIT), songs with aligned bars; held out: numbers that end in 9",
    "bgm909": "BGM909: POP909 songs with features of their films",
    "dataset": "a dataset that `diffbgm dataset build` made",
}


def transformer_graph(features: bool = False) -> Graph:
    """The beat transformer's graph; conditions are codes, or with `features` rows of numbers."""

    def example(seed: int) -> Example:
        """Noisy tokens, levels and conditions: `seed` + 1 windows, every condition code, sorted segments."""
        rng = np.random.default_rng(seed)
        batch, beats, segments = seed + 1, 32 + 16 * seed, 2 + seed
        dynamic: np.ndarray[Any, Any]
        semantic: np.ndarray[Any, Any]
        if features:
            dynamic = rng.standard_normal((batch, beats, VISUAL_WIDTH), np.float32)
            semantic = rng.standard_normal((batch, segments, LANGUAGE_WIDTH), np.float32)
            dynamic[:, 0] = semantic[:, 0] = 0  # unknown
        else:
            codes = [rng.integers(0, size, (batch, beats)) for size in DYNAMIC_FIELDS.values()]
            dynamic = np.stack(codes, axis=-1)
            codes = [rng.integers(0, size, (batch, segments)) for size in SEMANTIC_FIELDS.values()]
            semantic = np.stack(codes, axis=-1)
        owner = np.sort(rng.integers(0, segments, (batch, beats)), axis=1)
        return {
            "tokens": rng.standard_normal((batch, beats, TOKEN_SIZE), np.float32),
            "noise_level": rng.random(batch, np.float32),
            "dynamic": dynamic,
            "semantic": semantic,
            "mask": owner[..., None] == np.arange(segments),
        }

    return Graph(
        {
            "tokens": {0: "batch", 1: "beats"},
            "noise_level": {0: "batch"},
            "dynamic": {0: "batch", 1: "beats"},
            "semantic": {0: "batch", 1: "segments"},
            "mask": {0: "batch", 1: "beats", 2: "segments"},
            "prediction": {0: "batch", 1: "beats"},
        },
        example,
    )


def graph_of(network: nn.Module, config: TransformerConfig | UNetConfig) -> tuple[nn.Module, Graph]:
    """The network, and the graph that it becomes."""
    if isinstance(config, UNetConfig):
        return network, unet_graph(config.d_cond)
    return network, transformer_graph(config.features)


def export(
    network: nn.Module, graph: Graph, metadata: dict[str, Any], architecture: str, folder: Path
) -> Path:
    """Write `network` with its metadata into `folder`; returns the file.

    Raises DiffbgmError if the float32 graph differs from the network by more than 1e-4.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "export.part"
    graph.write(network, temporary)
    model = onnx.load(temporary)
    temporary.unlink()
    difference = graph.largest_difference(network, model.SerializeToString())
    if difference > PARITY:
        raise DiffbgmError(
            f"the exported graph differs from the network by {difference:.2e}, over {PARITY:g}"
        )
    entry = model.metadata_props.add()
    entry.key = METADATA_KEY
    entry.value = json.dumps({"schema": SCHEMA, "architecture": architecture, **metadata}, sort_keys=True)
    content = halve(model).SerializeToString()
    signature = hashlib.sha256(json.dumps(metadata["recipe"], sort_keys=True).encode()).hexdigest()[:6]
    digest = hashlib.sha256(content).hexdigest()[:8]
    path = folder / f"{architecture}-{signature}-{digest}.onnx"
    temporary.write_bytes(content)
    temporary.replace(path)
    return path


def export_run(
    run: Path, folder: Path, sampling: dict[str, Any], *, commit: str = "unknown", scores: Any = None
) -> tuple[Path, dict[str, Any]]:
    """Write the averaged network of a run into `folder`; returns the file and its metadata.

    sampling: what to sample these weights with unless told otherwise; selector, threshold and way of the
    segments are the recipe's. Raises MissingToolError without a checkpoint.
    """
    kept = Checkpoint.load(run)
    recipe = kept.recipe
    metadata = {
        "recipe": recipe.to_json(),
        "trained": {"step": kept.step, "minutes": round(kept.spent_s / 60, 1), "commit": commit},
        "scores": scores or {},
        "data": DATA[recipe.data.set],
        "conditions": conditions_of(recipe),
        "sampling": ways_of(recipe) | sampling,
    }
    network, graph = graph_of(averaged(kept), recipe.network)
    return export(network, graph, metadata, recipe.architecture, folder), metadata


def conditions_of(recipe: Recipe) -> str:
    """What steers the network: condition codes, hand-made rows of one layout, or learned features."""
    if recipe.data.paired:
        return "features"
    return f"handmade-{handmade.LAYOUT}" if isinstance(recipe.network, UNetConfig) else "codes"


def ways_of(recipe: Recipe) -> dict[str, Any]:
    """Selector, threshold and segments as the network was trained with them."""
    network = recipe.network
    given = network.behaviour if isinstance(network, UNetConfig) else recipe.conditions
    return {"selector": given.selector, "threshold": given.threshold, "segments": given.segments}
