"""The trained models: which ship, and how a file of weights is opened.

A file is an ONNX graph of one denoising step; its metadata entry `diffbgm` is a JSON object with what made
it (architecture, recipe, data, commit, scores) and the sampling defaults that were chosen for it. A file's
name is `<architecture>-<run signature>-<first 8 hex of its SHA-256>.onnx`.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from diffbgm.errors import MissingToolError

SCHEMA: Final = 1
METADATA_KEY: Final = "diffbgm"
FOLDER: Final = Path(__file__).parent.parent / "assets" / "weights"
MAX_THREADS: Final = 4


@dataclass(frozen=True)
class Weights:
    """An opened model. `name` is the file's name without its ending; `session` is ONNX Runtime's."""

    name: str
    path: Path
    metadata: dict[str, Any]
    session: Any

    @property
    def architecture(self) -> str:
        """`beat-transformer` or `unet`."""
        return str(self.metadata["architecture"])

    @property
    def conditions(self) -> str:
        """What it follows: `codes`, `handmade-` and the layout of the rows, or `features`."""
        return str(self.metadata.get("conditions", "codes"))

    @property
    def window_beats(self) -> int:
        """How much music the beat transformer has learned from at once."""
        return int(self.metadata["recipe"].get("data", {}).get("window_beats", 64))

    @property
    def feature_widths(self) -> tuple[int, int]:
        """Widths of the visual and the caption rows that the network takes."""
        visual, caption = ("visual", "caption") if self.architecture == "unet" else ("dynamic", "semantic")
        shapes = {given.name: given.shape for given in self.session.get_inputs()}
        return shapes[visual][-1], shapes[caption][-1]

    @property
    def sampling(self) -> dict[str, Any]:
        """What was chosen for this model, by the names of `diffbgm.diffusion.sampling.Sampling`."""
        return dict(self.metadata["sampling"])


def list_weights() -> list[Path]:
    """The files that ship with the package, by name."""
    return sorted(FOLDER.glob("*.onnx"))


def open_weights(name_or_path: str | None = None) -> Weights:
    """Open shipped weights by name (or an unambiguous beginning of it), or a file by path.

    None opens the shipped default. Raises MissingToolError if there is no such file, if it is not one of
    ours, or if a shipped file's checksum does not match its name.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as failures

    path = _find(name_or_path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(MAX_THREADS, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (failures.Fail, failures.InvalidProtobuf, failures.InvalidGraph, failures.NoSuchFile) as error:
        raise MissingToolError(f"{path}: not a readable ONNX model") from error
    entries = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in entries:
        raise MissingToolError(f"{path}: an ONNX model, but not one that diffbgm exported")
    metadata = json.loads(entries[METADATA_KEY])
    if metadata.get("schema") != SCHEMA:
        raise MissingToolError(
            f"{path}: weights of schema {metadata.get('schema')}; this diffbgm reads schema {SCHEMA}"
        )
    return Weights(path.stem, path, metadata, session)


def _find(name_or_path: str | None) -> Path:
    shipped = list_weights()
    if name_or_path is None:
        if not shipped:
            raise MissingToolError(f"{FOLDER}: no weights are installed; reinstall diffbgm")
        return _verified(shipped[0])
    matches = [path for path in shipped if path.stem.startswith(name_or_path)]
    if len(matches) == 1:
        return _verified(matches[0])
    path = Path(name_or_path)
    if path.is_file():
        return path
    names = ", ".join(p.stem for p in shipped) or "none"
    raise MissingToolError(
        f"weights {name_or_path!r}: no such file, and not one of those installed ({names})"
    )


def _verified(path: Path) -> Path:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    if path.stem.rsplit("-", 1)[-1] != digest:
        raise MissingToolError(f"{path}: damaged (its checksum begins with {digest}); reinstall diffbgm")
    return path
