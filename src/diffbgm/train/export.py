"""From a training checkpoint to a file of weights that runs without torch.

    python -m diffbgm.train.export runs/NAME --recipe recipes/X.toml --out FOLDER

The graph is one denoising step of the averaged network with named tensors and free batch, length and
number of segments. Matrices are stored as float16 and widened when the session is made: half the file, and
the arithmetic stays float32. The exported graph is compared with the network before it is written.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper

from diffbgm.diffusion.conditions import DYNAMIC_FIELDS, SEMANTIC_FIELDS
from diffbgm.diffusion.tokens import TOKEN_SIZE
from diffbgm.diffusion.weights import METADATA_KEY, SCHEMA
from diffbgm.errors import DiffbgmError, MissingToolError
from diffbgm.train.loop import CHECKPOINT, Recipe
from diffbgm.train.transformer import BeatTransformer

OPSET: Final = 18
INPUTS: Final = ("tokens", "noise_level", "dynamic", "semantic", "mask")
PARITY: Final = 1e-4
HALF_FROM: Final = 1024  # smaller tensors stay float32: they weigh nothing and set scales

Example = dict[str, np.ndarray[Any, Any]]


def example_inputs(rng: np.random.Generator, batch: int, beats: int, segments: int) -> Example:
    """Random inputs of the graph: noisy tokens, levels, every condition code, one segment a beat."""
    dynamic = [rng.integers(0, size, (batch, beats)) for size in DYNAMIC_FIELDS.values()]
    semantic = [rng.integers(0, size, (batch, segments)) for size in SEMANTIC_FIELDS.values()]
    owner = np.sort(rng.integers(0, segments, (batch, beats)), axis=1)
    return {
        "tokens": rng.standard_normal((batch, beats, TOKEN_SIZE), np.float32),
        "noise_level": rng.random(batch, np.float32),
        "dynamic": np.stack(dynamic, axis=-1),
        "semantic": np.stack(semantic, axis=-1),
        "mask": owner[..., None] == np.arange(segments),
    }


def to_onnx(network: BeatTransformer, path: Path) -> None:
    """Write the graph in float32."""
    example = example_inputs(np.random.default_rng(0), batch=2, beats=64, segments=3)
    free = {
        "tokens": {0: "batch", 1: "beats"},
        "noise_level": {0: "batch"},
        "dynamic": {0: "batch", 1: "beats"},
        "semantic": {0: "batch", 1: "segments"},
        "mask": {0: "batch", 1: "beats", 2: "segments"},
        "prediction": {0: "batch", 1: "beats"},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of itself
        torch.onnx.export(
            network.eval(),
            tuple(torch.from_numpy(example[name]) for name in INPUTS),
            str(path),
            input_names=list(INPUTS),
            output_names=["prediction"],
            dynamic_axes=free,
            opset_version=OPSET,
            dynamo=False,
        )


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store large float32 tensors as float16 behind a Cast; ONNX Runtime folds it when it loads."""
    casts = []
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < HALF_FROM:
            continue
        wide = tensor.name
        narrow = numpy_helper.from_array(array.astype(np.float16), wide + "_half")
        tensor.CopyFrom(narrow)
        casts.append(onnx.helper.make_node("Cast", [narrow.name], [wide], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def largest_difference(network: BeatTransformer, model: bytes, seeds: int = 3) -> float:
    """Largest |torch - ONNX Runtime| over random inputs of several sizes."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    worst = 0.0
    for seed in range(seeds):
        example = example_inputs(
            np.random.default_rng(seed), batch=seed + 1, beats=32 + 16 * seed, segments=2 + seed
        )
        (found,) = session.run(["prediction"], example)
        with torch.no_grad():
            expected = network(*(torch.from_numpy(example[name]) for name in INPUTS))
        worst = max(worst, float(np.abs(expected.numpy() - found).max()))
    return worst


def export(network: BeatTransformer, metadata: dict[str, Any], architecture: str, folder: Path) -> Path:
    """Write `network` with its metadata into `folder`; returns the file.

    Raises DiffbgmError if the float32 graph differs from the network by more than 1e-4.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "export.part"
    to_onnx(network, temporary)
    model = onnx.load(temporary)
    temporary.unlink()
    difference = largest_difference(network, model.SerializeToString())
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


def averaged_network(run: Path, recipe: Recipe) -> tuple[BeatTransformer, dict[str, Any]]:
    """The running average of a run's checkpoint, and where the run stood."""
    path = run / CHECKPOINT
    if not path.exists():
        raise MissingToolError(f"{path}: no checkpoint; train first")
    state = torch.load(path, weights_only=True)
    network = BeatTransformer(recipe.network)
    network.load_state_dict(state["average"])
    return network.eval(), {"step": state["step"], "minutes": round(state["spent_s"] / 60, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m diffbgm.train.export", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--eta", type=float, default=0.0)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--selector", default="both")
    parser.add_argument("--threshold", type=float, default=0.364)
    parser.add_argument("--commit", default="unknown", help="of the code that trained it")
    parser.add_argument("--scores", type=Path, help="what `benchmarks/quality.py --json` wrote for this run")
    given = parser.parse_args()
    try:
        recipe = Recipe.read(given.recipe)
        network, trained = averaged_network(given.run, recipe)
        metadata = {
            "recipe": {
                "network": recipe.network.to_json(),
                "batch": recipe.batch,
                "learning_rate": recipe.learning_rate,
                "seed": recipe.seed,
            },
            "trained": {**trained, "commit": given.commit},
            "scores": {} if given.scores is None else json.loads(given.scores.read_text(encoding="utf-8")),
            "data": "POP909 (MIT), songs with aligned bars; held out: numbers that end in 9",
            "sampling": {
                "guidance": given.guidance,
                "eta": given.eta,
                "steps": given.steps,
                "selector": given.selector,
                "threshold": given.threshold,
            },
        }
        path = export(network, metadata, "beat-transformer", given.out)
    except DiffbgmError as error:
        print(f"diffbgm: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, step {trained['step']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
