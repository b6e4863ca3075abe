"""Embedders that others have trained: MusiCNN (the paper's), CLAP and MERT, from weights a person has.

None of them comes with diffbgm. CLAP and MERT are read from a local folder in the layout of the Hugging
Face hub, through `transformers`; nothing is fetched. MusiCNN is the package `musicnn`, which brings its
weights. Each takes mono sound at its own `rate`.
"""

from __future__ import annotations

import tempfile
import wave
from pathlib import Path
from typing import Any, Final

import numpy as np

from diffbgm.errors import MissingToolError
from diffbgm.metrics.embedders import Sound, SoundEmbedder
from diffbgm.timing import FloatArray

NAMES: Final = ("musicnn", "clap", "mert")


def open_embedder(name: str, folder: Path | None = None) -> SoundEmbedder:
    """The embedder `musicnn`, `clap` or `mert`; the latter two from the folder that holds their weights.

    Raises MissingToolError where the package or the weights are missing, ValueError for another name.
    """
    if name == "musicnn":
        return MusicnnEmbedder()
    if name not in NAMES:
        raise ValueError(f"no embedder {name!r}; expected one of {', '.join(NAMES)}")
    if folder is None:
        raise MissingToolError(f"{name} needs the folder with its weights; diffbgm brings none")
    return ClapEmbedder(folder) if name == "clap" else MertEmbedder(folder)


class ClapEmbedder:
    """CLAP's joint space of sound and text (LAION, arXiv 2211.06687), one row a clip of 10 s."""

    name: Final = "clap"

    def __init__(self, folder: Path, clip_s: float = 10.0) -> None:
        """Raises MissingToolError if transformers or the weights are missing."""
        transformers = _transformers("clap")
        self._features = _load(transformers.AutoFeatureExtractor, folder, "clap")
        self._model = _load(transformers.ClapModel, folder, "clap").eval()
        self.rate = int(self._features.sampling_rate)
        self._size = round(clip_s * self.rate)

    def embed(self, piece: Sound) -> FloatArray:
        """Row = the projected sound embedding, float64 (clips, 512 in the published models)."""
        return _by_clips(piece, self._size, self._one)

    def _one(self, clip: Sound) -> FloatArray:
        import torch

        inputs = self._features(np.asarray(clip, np.float32), sampling_rate=self.rate, return_tensors="pt")
        with torch.no_grad():
            out = self._model.get_audio_features(**inputs)
        return _row(getattr(out, "pooler_output", out))


class MertEmbedder:
    """MERT (Li et al., arXiv 2306.00107), one row a clip of 5 s: mean over time of the last layer.

    The published folders hold model code of their own, which `run_folder_code` allows to run.
    """

    name: Final = "mert"

    def __init__(self, folder: Path, clip_s: float = 5.0, *, run_folder_code: bool = False) -> None:
        """Raises MissingToolError if transformers or the weights are missing."""
        transformers = _transformers("mert")
        trust = {"trust_remote_code": run_folder_code}
        self._features = _load(transformers.AutoFeatureExtractor, folder, "mert", **trust)
        self._model = _load(transformers.AutoModel, folder, "mert", **trust).eval()
        self.rate = int(self._features.sampling_rate)
        self._size = round(clip_s * self.rate)

    def embed(self, piece: Sound) -> FloatArray:
        """float64 (clips, hidden size)."""
        return _by_clips(piece, self._size, self._one)

    def _one(self, clip: Sound) -> FloatArray:
        import torch

        inputs = self._features(np.asarray(clip, np.float32), sampling_rate=self.rate, return_tensors="pt")
        with torch.no_grad():
            return _row(self._model(**inputs).last_hidden_state.mean(dim=1))


class MusicnnEmbedder:
    """MusiCNN's penultimate layer (Pons and Serra, arXiv 1909.06654), one row a clip of 3 s."""

    name: Final = "musicnn"
    rate: Final = 16_000

    def __init__(self, model: str = "MTT_musicnn") -> None:
        """Raises MissingToolError if the package is missing."""
        try:
            from musicnn.extractor import extractor
        except ImportError as error:
            raise MissingToolError(
                "the musicnn embedder needs the package musicnn (with tensorflow); install it with: "
                "pip install musicnn"
            ) from error
        self._extract: Any = extractor
        self._model = model

    def embed(self, piece: Sound) -> FloatArray:
        """float64 (clips, 200)."""
        if len(piece) < 3 * self.rate:
            return np.zeros((0, 200))
        with tempfile.TemporaryDirectory() as folder:  # the package reads files only
            path = Path(folder) / "piece.wav"
            _write_wav(path, piece, self.rate)
            _, _, layers = self._extract(str(path), model=self._model, extract_features=True)
        return np.asarray(layers["penultimate"], np.float64)


def _transformers(name: str) -> Any:
    try:
        import torch  # noqa: F401  transformers loads models with it
        import transformers
    except ImportError as error:
        raise MissingToolError(
            f"the {name} embedder needs torch and transformers; install them with: "
            "pip install torch transformers"
        ) from error
    return transformers


def _load(kind: Any, folder: Path, name: str, **options: bool) -> Any:
    try:
        return kind.from_pretrained(str(folder), local_files_only=True, **options)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else "unreadable"
        raise MissingToolError(
            f"{folder}: holds no weights that {name} can be loaded from ({first})"
        ) from error


def _by_clips(piece: Sound, size: int, one: Any) -> FloatArray:
    rows = [one(piece[k : k + size]) for k in range(0, len(piece) - size + 1, size)]
    return np.array(rows, np.float64).reshape(len(rows), -1) if rows else np.zeros((0, 1))


def _row(tensor: Any) -> FloatArray:
    return np.asarray(tensor.reshape(-1).to("cpu").double().numpy())


def _write_wav(path: Path, samples: Sound, rate: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
