"""A checkpoint of the published code becomes a file of weights: read, checked tensor by tensor, exported.

A checkpoint is what the published training writes: a torch file whose entry `model` holds the network and the
constants of its schedule, or these tensors alone, also as safetensors. Their names and shapes stand in
`published_shapes.json`. A torch file is a pickle, which could run any program when it is opened; this opens
it with `weights_only=True`, which reads tensors and plain containers and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from diffbgm.diffusion.behaviour import PUBLISHED
from diffbgm.errors import InputError
from diffbgm.train.export import export, graph_of
from diffbgm.train.unet import PublishedDenoiser, UNetConfig, from_published

MOST_NAMED: Final = 8  # of each kind of misfit; the others are counted

# The published sampler takes all 1000 steps: at half a second a forward and eight bars on a CPU, 16 minutes
# for eight bars with guidance. 50 of DDIM take 50 seconds.
SAMPLING: Final = {
    "sampler": "ddim",
    "steps": 50,
    "spacing": "published",
    "eta": 0.0,
    "guidance": 5.0,
    "selector": PUBLISHED.selector,
    "threshold": PUBLISHED.threshold,
    "segments": PUBLISHED.segments,
}

# What else opening a broken or hostile file raises.
_UNREADABLE: Final = (
    EOFError, OSError, RuntimeError, ValueError, TypeError, LookupError,
    AttributeError, AssertionError, ImportError, MemoryError, zipfile.BadZipFile, SafetensorError,
)  # fmt: skip


def published_shapes() -> dict[str, list[int]]:
    """Name and shape of every tensor of a published checkpoint."""
    text = resources.files("diffbgm.train").joinpath("published_shapes.json").read_text(encoding="utf-8")
    shapes: dict[str, list[int]] = json.loads(text)
    return shapes


def import_published(
    source: Path,
    folder: Path,
    config: UNetConfig | None = None,
    shapes: Mapping[str, list[int]] | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Write the network of a published checkpoint into `folder`; returns the file and its metadata.

    config, shapes: of the paper's network unless given. Raises InputError naming all that does not fit.
    """
    state, trained = read_checkpoint(source)
    check_fit(source, state, published_shapes() if shapes is None else shapes)
    config = config or UNetConfig()
    try:
        network = from_published(state, config)
    except ValueError as error:
        raise InputError(f"{source}: not a published checkpoint: {error}") from error
    assert isinstance(network, PublishedDenoiser)
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    metadata = {
        "recipe": {
            "architecture": "unet",
            "network": config.to_json(),
            "data": {"set": "bgm909", "transpose": "random", "roll_features": True},
        },
        "trained": {**trained, "source": source.name, "sha256": digest},
        "scores": {},
        "data": "BGM909, as the authors of Diff-BGM published it",
        "conditions": "features",
        "sampling": SAMPLING,
    }
    network, graph = graph_of(network, config)
    return export(network, graph, metadata, "unet", folder), metadata


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The tensors of a checkpoint, and the step and epoch at which it was written where it says so.

    Raises InputError in one line if the file cannot be read, holds anything but tensors and plain
    containers, or has no tensors under names.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            _refuse_packed(path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of other pickle protocols, which then fail or not
                content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's own text proposes to open it unsafely
        raise InputError(
            f"{path}: is no torch file, or holds more than tensors, which could be a program; not opened"
        ) from error
    except _UNREADABLE as error:
        reason = str(error).strip().split("\n")[0][:120] or type(error).__name__
        raise InputError(f"{path}: cannot be read as a checkpoint ({reason})") from error
    trained = {}
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        trained = {name: n for name in ("step", "epoch") if isinstance(n := content.get(name), int)}
        content = content["model"]
    if not isinstance(content, dict) or not any(isinstance(part, Tensor) for part in content.values()):
        raise InputError(f"{path}: holds no tensors under names; expected a checkpoint of Diff-BGM")
    return {str(name): part for name, part in content.items() if isinstance(part, Tensor)}, trained


def check_fit(path: Path, state: Mapping[str, Tensor], shapes: Mapping[str, list[int]]) -> None:
    """Raises InputError with every tensor that is missing, unknown, of another shape, or not finite."""
    misfits = {
        "missing": [name for name in shapes if name not in state],
        "of another shape": [
            f"{name} {list(state[name].shape)}, expected {list(shape)}"
            for name, shape in shapes.items()
            if name in state and list(state[name].shape) != list(shape)
        ],
        "not part of the network": [name for name in state if name not in shapes],
        "not of finite numbers": [
            name
            for name, shape in shapes.items()
            if name in state and list(state[name].shape) == list(shape) and not _finite(state[name])
        ],
    }
    told = [f"{len(names)} {kind}: {_some(names)}" for kind, names in misfits.items() if names]
    if told:
        fitting = sum(name in state for name in shapes) - sum(
            len(misfits[kind]) for kind in ("of another shape", "not of finite numbers")
        )
        raise InputError(
            f"{path}: not the published network, {fitting} of its {len(shapes)} tensors fit; "
            + "; ".join(told)
        )


def _some(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _finite(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and bool(torch.isfinite(tensor).all())


def _refuse_packed(path: Path) -> None:
    """torch stores its tensors unpacked: an archive that unpacks to more than its own size is not torch's."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                raise ValueError("a packed archive")
