"""Pretrained networks in the layout of the Hugging Face hub: found, checked, loaded through `transformers`.

A model is named by a folder, or by its name on the hub, which is looked for in the hub's cache on this
machine. The network is not touched unless a download is asked for.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

from diffbgm.errors import MissingToolError, OptionError
from diffbgm.features.film_features import Source

_HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_WEIGHTS: Final = (
    ("model.safetensors",),
    ("model.safetensors.index.json", "model-*.safetensors"),
    ("pytorch_model.bin",),
    ("pytorch_model.bin.index.json", "pytorch_model-*.bin"),
)
_DESCRIPTIONS: Final = ("*.json", "*.txt", "*.model")  # configuration, vocabulary, merges
_PICTURES: Final = ("preprocessor_config.json", "processor_config.json")
_WORDS: Final = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")


@dataclass(frozen=True)
class Model:
    """The files of one model. config: its config.json. source: its name and what its files hold."""

    folder: Path
    config: dict[str, Any]
    source: Source

    def load(self, kind: Any, *, without: str | None = None) -> Any:
        """The network for inference, on the GPU if there is one. kind: an auto class of `transformers`.

        Numbers that the files do not hold would be drawn at random: raises MissingToolError then, except for
        those whose name begins with `without`, which the caller does not use.
        """
        import torch
        from safetensors import SafetensorError
        from transformers import utils

        logging: Any = utils.logging
        had_bar = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # for a second's work
        try:
            net, found = kind.from_pretrained(
                self.folder,
                local_files_only=True,
                output_loading_info=True,
                dtype=torch.float32,
                trust_remote_code=False,
            )
        except UnpicklingError as error:
            raise MissingToolError(
                f"{self.folder}: {self.source.name} cannot be loaded (its pickle is broken, or holds "
                "more than tensors)"
            ) from error
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise MissingToolError(
                f"{self.folder}: {self.source.name} cannot be loaded ({_first_line(error)})"
            ) from error
        finally:
            if had_bar:
                logging.enable_progress_bar()
        wrong = [name for name in found["missing_keys"] if without is None or not name.startswith(without)]
        wrong += [str(entry) for entry in found["mismatched_keys"]]
        if wrong:
            raise MissingToolError(
                f"{self.folder}: the weights do not hold all of {self.source.name}: {len(wrong)} tensors are "
                f"missing, such as {min(wrong)}"
            )
        return net.to("cuda" if torch.cuda.is_available() else "cpu")

    def preprocessor(self, kind: Any, **options: Any) -> Any:
        """An image processor or tokenizer. kind: an auto class of `transformers`."""
        try:
            return kind.from_pretrained(
                self.folder, local_files_only=True, trust_remote_code=False, **options
            )
        except (OSError, ValueError) as error:
            raise MissingToolError(
                f"{self.folder}: the {kind.__name__} of {self.source.name} cannot be loaded "
                f"({_first_line(error)})"
            ) from error


def find_model(
    name: str, option: str, *, pictures: bool = False, words: bool = False, download: bool | None = False
) -> Model:
    """Find a model's files, check that none is missing, and hash them.

    name: a folder, or a name on the hub. option: the option that names it, for messages. pictures, words:
    whether it needs an image processor and a tokenizer. download: fetch from the hub what is not there; None
    where that cannot be asked for.
    Raises MissingToolError, one line, if a library or a file is missing, OptionError for a name that is
    neither a folder nor possible on the hub.
    """
    missing = [each for each in ("torch", "transformers") if importlib.util.find_spec(each) is None]
    if missing:
        raise MissingToolError(
            f"option {option}: its models need {' and '.join(missing)}: pip install 'diffbgm[features]'"
        )
    local = name != "" and Path(name).is_dir()
    if not local and not _HUB_NAME.fullmatch(name):
        raise OptionError(
            f"option {option}: {name} is neither a folder nor a name such as openai/clip-vit-base-patch32"
        )
    folder = Path(name) if local else _in_hub_cache(name)
    lacking = _lacking(folder, pictures, words)
    if lacking and download and not local:
        folder = _fetch(name)
        lacking = _lacking(folder, pictures, words)
    if lacking or folder is None:
        if local:
            raise MissingToolError(
                f"{name}: {' and '.join(lacking)} missing; expected the layout of the Hugging Face hub, "
                "as `hf download NAME --local-dir DIR` writes it"
            )
        again = "" if download is None else "run again with --download, or "
        raise MissingToolError(
            f"{name}: {' and '.join(lacking)} missing in the hub's cache; "
            f"{again}fetch it with `hf download {name} --local-dir DIR` and give --{option} DIR"
        )
    source = folder.resolve().name if local else name
    return Model(folder, _json(folder / "config.json"), Source(source, _digest(folder)))


def check_width(model: Model, option: str, found: int, expected: int | None) -> None:
    """Raises OptionError unless the model gives rows of the expected width; None expects nothing."""
    if expected is not None and found != expected:
        raise OptionError(
            f"option {option}: {model.source.name} gives {found} numbers a row, the paper's networks take "
            f"{expected}; choose another model, or --any-width for weights that were trained on it"
        )


def _in_hub_cache(name: str) -> Path | None:
    """The model's folder in the hub's cache on this machine."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json")
    return Path(found).parent if isinstance(found, str) else None


def _fetch(name: str) -> Path:
    """Download a model into the hub's cache: descriptions, and the first form of weights that there is."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        folder = Path(snapshot_download(name, allow_patterns=list(_DESCRIPTIONS)))
        for form in _WEIGHTS:
            if not _weights(folder):
                folder = Path(snapshot_download(name, allow_patterns=[*_DESCRIPTIONS, *form]))
    except (HfHubHTTPError, OSError) as error:
        raise MissingToolError(f"{name}: cannot be downloaded ({_first_line(error)})") from error
    return folder


def _lacking(folder: Path | None, pictures: bool, words: bool) -> list[str]:
    """The files that a model needs and that are not in the folder; of equivalent ones the usual name."""
    needed = [("config.json",), *([_PICTURES] if pictures else []), *([_WORDS] if words else [])]
    if folder is None:
        return [*(names[0] for names in needed), _WEIGHTS[0][0]]
    lacking = [names[0] for names in needed if not any((folder / name).is_file() for name in names)]
    return lacking if _weights(folder) else [*lacking, _WEIGHTS[0][0]]


def _weights(folder: Path) -> list[Path]:
    """The files of the weights in the form that `transformers` prefers; empty if any are missing."""
    for form in _WEIGHTS:
        first = folder / form[0]
        if first.is_file():
            parts = set(_json(first).get("weight_map", {}).values()) if len(form) > 1 else set()
            files = [first, *(folder / part for part in sorted(parts))]
            if all(file.is_file() for file in files):
                return files
    return []


def _json(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MissingToolError(f"{path}: cannot be read ({_first_line(error)})") from error
    if not isinstance(config, dict):
        raise MissingToolError(f"{path}: is not a JSON object")
    return config


def _digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all files that have a part in what the model says."""
    files = {path for pattern in _DESCRIPTIONS for path in folder.glob(pattern)} | set(_weights(folder))
    total = hashlib.sha256()
    for path in sorted(files):
        with path.open("rb") as file:
            total.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
