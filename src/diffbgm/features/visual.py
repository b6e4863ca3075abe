"""Rows of numbers for what is to be seen, from a vision-language model of `transformers`.

The paper takes 512 numbers from a video encoder built on CLIP. Here the frames of a stretch of film go
through CLIP ViT-B/32 (Radford et al. 2021, arXiv 2103.00020), whose image features have 512 numbers, and are
pooled to one row as CLIP4Clip's parameter-free video features are (Luo et al. 2021, arXiv 2104.08860,
section 3.2): mean of the unit vectors, again of length 1. Any other model with image features will do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.errors import OptionError
from diffbgm.features.film_features import VISUAL_WIDTH, Rows, Source
from diffbgm.features.frames import Pixels, pictures_at
from diffbgm.features.kept import Kept
from diffbgm.features.models import Model, check_width

MODEL: Final = "openai/clip-vit-base-patch32"

_BATCH: Final = 32
_ROWS_A_PIECE: Final = 64  # kept together: what an interruption can cost


@dataclass(frozen=True)
class VisualSettings:
    """hz: rows a second. frames: pictures that are pooled to a row. width: numbers in a row, None: any."""

    hz: float = 1.0
    frames: int = 2
    width: int | None = VISUAL_WIDTH


class VisualEncoder:
    """A model's image features. Raises MissingToolError if it cannot be loaded, OptionError without any."""

    def __init__(self, model: Model) -> None:
        import transformers

        self._processor = model.preprocessor(transformers.AutoImageProcessor, backend="pil")
        self._net = model.load(transformers.AutoModel)
        if not hasattr(self._net, "get_image_features"):
            raise OptionError(
                f"option visual: {model.source.name} has no image features; give a vision-language "
                f"model such as {MODEL}"
            )

    def embed(self, pictures: Iterable[Pixels]) -> Rows:
        """Image features of length 1, float32 (pictures, width). pictures: uint8 (height, width, 3), RGB."""
        import torch

        # Each picture becomes the network's small input at once, so that no more than one is held.
        inputs = (self._processor(images=each, return_tensors="pt")["pixel_values"] for each in pictures)
        rows = []
        with torch.inference_mode():
            while batch := list(islice(inputs, _BATCH)):
                found = self._net.get_image_features(pixel_values=torch.cat(batch).to(self._net.device))
                rows.append(getattr(found, "pooler_output", found).float().cpu().numpy())
        return _unit(np.concatenate(rows))


def visual_rows(
    film: Path,
    film_source: Source,
    duration_s: float,
    model: Model,
    settings: VisualSettings,
    cache: Path,
    tell: Callable[[float], None],
) -> Rows:
    """Visual rows of a whole film, float32 (rows, width), as `FilmFeatures.visual` holds them.

    Row k pools the pictures on screen at `settings.frames` evenly spread moments of its time. What was
    computed before is taken from the cache; what is computed is put there, 64 rows at a time. tell: called
    with the share done. Raises OptionError where the width is not the expected one.
    """
    times_s = sample_times(duration_s, settings)
    n_rows = ceil(len(times_s) / settings.frames)
    kept = Kept(
        cache,
        kind="visual",
        film=film_source.sha256,
        model=model.source.sha256,
        hz=settings.hz,
        frames=settings.frames,
    )
    pieces = [kept.rows(index) for index in range(ceil(n_rows / _ROWS_A_PIECE))]
    missing = [index for index, piece in enumerate(pieces) if piece is None]
    if missing:
        size = _ROWS_A_PIECE * settings.frames
        todo = [times_s[index * size : (index + 1) * size] for index in missing]
        encoder = VisualEncoder(model)
        pictures = pictures_at(film, [at for each in todo for at in each])
        for done, (index, times) in enumerate(zip(missing, todo, strict=True)):
            tell(done / len(missing))
            frames = encoder.embed(islice(pictures, len(times)))
            check_width(model, "visual", frames.shape[1], settings.width)
            rows = pool(frames, settings.frames)
            kept.keep_rows(index, rows)
            pieces[index] = rows
    rows = np.concatenate([piece for piece in pieces if piece is not None])
    check_width(model, "visual", rows.shape[1], settings.width)
    return rows


def sample_times(duration_s: float, settings: VisualSettings) -> list[float]:
    """The moments to look at, `settings.frames` to a row; at least one, and none after the film's end."""
    rate = settings.hz * settings.frames
    return [(k + 0.5) / rate for k in range(max(1, ceil(duration_s * rate - 0.5)))]


def pool(frames: Rows, n_frames: int) -> Rows:
    """Means of each n_frames rows, of length 1; the last of those that are left. float32 (rows, width)."""
    starts = np.arange(0, len(frames), n_frames)
    counts = np.diff([*starts, len(frames)])[:, None]
    return _unit(np.add.reduceat(frames, starts, axis=0) / counts)


def _unit(rows: NDArray[np.floating]) -> Rows:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, np.finfo(np.float32).tiny), np.float32)
