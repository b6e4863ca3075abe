"""Rows of numbers for what captions say, from a language model of `transformers`.

The paper takes 768 numbers a caption from BERT-base (Devlin et al. 2019, arXiv 1810.04805). How the published
rows were pooled from its words is not said; here it is a choice, the mean by default, which told sentences'
meanings apart far better than the other two in Reimers & Gurevych 2019 (arXiv 1908.10084, table 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np

from diffbgm.features.film_features import LANGUAGE_WIDTH, Rows
from diffbgm.features.kept import Kept
from diffbgm.features.models import Model

MODEL: Final = "google-bert/bert-base-uncased"

Pooling = Literal["mean", "cls", "pooler"]
"""mean: of the last layer over all tokens. cls: its first token. pooler: the model's own `pooler_output`."""

_BATCH: Final = 32
_LONGEST: Final = 512  # tokens; what is longer is cut off


class LanguageEncoder:
    """Raises MissingToolError where the model cannot be loaded."""

    def __init__(self, model: Model, pooling: Pooling = "mean") -> None:
        import transformers

        self._pooling = pooling
        self._tokenizer = model.preprocessor(transformers.AutoTokenizer)
        # Many published folders leave the pooler out.
        self._net = model.load(transformers.AutoModel, without=None if pooling == "pooler" else "pooler.")
        positions = getattr(self._net.config, "max_position_embeddings", _LONGEST)
        self._longest = min(_LONGEST, positions, self._tokenizer.model_max_length)

    def embed(self, texts: Sequence[str]) -> Rows:
        """A row for each text, float32 (texts, width)."""
        import torch

        rows = []
        with torch.inference_mode():
            for start in range(0, len(texts), _BATCH):
                inputs = self._tokenizer(
                    list(texts[start : start + _BATCH]),
                    padding=True,
                    truncation=True,
                    max_length=self._longest,
                    return_tensors="pt",
                ).to(self._net.device)
                found = self._net(**inputs)
                if self._pooling == "pooler":
                    pooled = found.pooler_output
                elif self._pooling == "cls":
                    pooled = found.last_hidden_state[:, 0]
                else:
                    there = inputs["attention_mask"][..., None].float()
                    pooled = (found.last_hidden_state * there).sum(1) / there.sum(1)
                rows.append(pooled.float().cpu().numpy())
        return np.concatenate(rows)


def language_rows(texts: Sequence[str], model: Model, pooling: Pooling, cache: Path) -> Rows:
    """A row for each text, float32 (texts, width); width is `hidden_size` of the model's configuration.

    Rows of the same texts are taken from the cache.
    """
    if not texts:
        return np.zeros((0, int(model.config.get("hidden_size", LANGUAGE_WIDTH))), np.float32)
    kept = Kept(cache, kind="language", model=model.source.sha256, pooling=pooling, texts=list(texts))
    rows = kept.rows(0)
    if rows is None:
        rows = LanguageEncoder(model, pooling).embed(texts)
        kept.keep_rows(0, rows)
    return rows
