"""A sentence for each shot, from an image captioning model of `transformers`.

The paper describes its videos with BLIP (Li et al. 2022, arXiv 2201.12086). Any model that
`AutoModelForImageTextToText` loads and that needs no prompt will do. Captions are found by beam search
without chance, so that the same film and model say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Final

import numpy as np

from diffbgm.features.captions import Caption
from diffbgm.features.film_features import Source
from diffbgm.features.frames import Pixels, pictures_at
from diffbgm.features.kept import Kept
from diffbgm.features.models import Model
from diffbgm.video.analysis import Shot

MODEL: Final = "Salesforce/blip-image-captioning-base"

_BATCH: Final = 8
_SHOTS_A_PIECE: Final = 16  # kept together: what an interruption can cost


@dataclass(frozen=True)
class CaptionSettings:
    """frames: pictures of a shot that are described. beams, max_tokens: of the search for the words."""

    frames: int = 1
    beams: int = 3
    max_tokens: int = 30


class Captioner:
    """Raises MissingToolError where the model cannot be loaded."""

    def __init__(self, model: Model, settings: CaptionSettings) -> None:
        import transformers

        self._settings = settings
        self._processor = model.preprocessor(transformers.AutoImageProcessor, backend="pil")
        self._tokenizer = model.preprocessor(transformers.AutoTokenizer)
        self._net = model.load(transformers.AutoModelForImageTextToText)

    def describe(self, pictures: Iterable[Pixels]) -> list[str]:
        """A sentence for each picture. pictures: uint8 (height, width, 3), RGB."""
        import torch

        inputs = (self._processor(images=each, return_tensors="pt")["pixel_values"] for each in pictures)
        said: list[str] = []
        with torch.inference_mode():
            while batch := list(islice(inputs, _BATCH)):
                tokens = self._net.generate(
                    pixel_values=torch.cat(batch).to(self._net.device),
                    num_beams=self._settings.beams,
                    max_new_tokens=self._settings.max_tokens,
                    do_sample=False,
                )
                said += self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [" ".join(each.split()) for each in said]


def shot_captions(
    film: Path,
    film_source: Source,
    shots: Sequence[Shot],
    model: Model,
    settings: CaptionSettings,
    cache: Path,
    tell: Callable[[float], None],
) -> tuple[Caption, ...]:
    """A caption for each shot: of its middle picture, or of several evenly spread ones, each thing said once.

    What was described before is taken from the cache; what is described is put there, 16 shots at a time.
    tell: called with the share done.
    """
    kept = Kept(
        cache,
        kind="captions",
        film=film_source.sha256,
        model=model.source.sha256,
        shots=[[shot.start_s, shot.end_s] for shot in shots],
        frames=settings.frames,
        beams=settings.beams,
        max_tokens=settings.max_tokens,
    )
    pieces = [kept.value(index) for index in range(ceil(len(shots) / _SHOTS_A_PIECE))]
    missing = [index for index, piece in enumerate(pieces) if piece is None]
    if missing:
        todo = [shots[index * _SHOTS_A_PIECE : (index + 1) * _SHOTS_A_PIECE] for index in missing]
        captioner = Captioner(model, settings)
        pictures = pictures_at(
            film, [at for some in todo for shot in some for at in sample_times(shot, settings.frames)]
        )
        for done, (index, some) in enumerate(zip(missing, todo, strict=True)):
            tell(done / len(missing))
            said = iter(captioner.describe(islice(pictures, len(some) * settings.frames)))
            texts = [". ".join(dict.fromkeys(islice(said, settings.frames))) for _ in some]
            kept.keep_value(index, texts)
            pieces[index] = texts
    texts = [text for piece in pieces for text in piece or ()]
    return tuple(Caption(shot.start_s, shot.end_s, text) for shot, text in zip(shots, texts, strict=True))


def sample_times(shot: Shot, n_frames: int) -> list[float]:
    """The middles of n equal parts of a shot."""
    parts = (np.arange(n_frames) + 0.5) / n_frames
    return [float(at) for at in shot.start_s + parts * (shot.end_s - shot.start_s)]
