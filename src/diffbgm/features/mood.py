"""Words of mood that the lexicon does not know, read by a language model.

The model gives a row for each of the lexicon's words, whose valence and arousal are known, and one for the
words asked about. Kernel ridge regression between them, with the cosine of the centred rows as the kernel;
how far to trust it is measured on the known words themselves, each predicted from all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from diffbgm.errors import OptionError
from diffbgm.features.film_features import Rows
from diffbgm.features.language import language_rows
from diffbgm.features.models import find_model
from diffbgm.spotting.cuesheet import MoodReading
from diffbgm.spotting.look import FloatArray
from diffbgm.spotting.mood_words import known_moods, unread
from diffbgm.video.transnet import cache_folder

_RIDGES: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_LEAST: Final = 0.3
"""Correlation on the known words below which a model is refused; tiny random networks reach 0.2."""
_NEAR: Final = 2


def read_moods(texts: Sequence[str], model: str, *, cache: Path | None = None) -> tuple[MoodReading, ...]:
    """What the model makes of the parts of these texts in which the lexicon knows no word of mood.

    model: a folder, or a name on the Hugging Face hub that is in the hub's cache; nothing is fetched. Its
    rows are the means over the tokens of its last layer. cache: where rows are kept (default: `features` in
    the user's cache folder).

    Raises MissingToolError, one line, if a library or a file of the model is missing, OptionError for a model
    that cannot tell the moods of the words known.
    """
    found = find_model(model, "mood-model", words=True, download=None)
    asked = tuple(dict.fromkeys(part for text in texts for part in unread(text)))
    if not asked:
        return ()
    known = known_moods()
    cache = cache or cache_folder() / "features"
    anchors = language_rows(list(known), found, "mean", cache)
    regression = Regression(anchors, np.array(list(known.values())))
    if regression.correlation < _LEAST:
        raise OptionError(
            f"option mood-model: {model} cannot tell moods apart: its answers for the {len(known)} known "
            f"words correlate {regression.correlation:.2f} with theirs, expected {_LEAST} at least; choose a "
            "model of sentences such as sentence-transformers/all-MiniLM-L6-v2"
        )
    words = list(known)
    values, confidence, near = regression.predict(language_rows(asked, found, "mean", cache))
    return tuple(
        MoodReading(
            words=part,
            valence=round(float(values[k, 0]), 2),
            arousal=round(float(values[k, 1]), 2),
            near=tuple(words[index] for index in near[k]),
            confidence=round(float(confidence[k]), 2),
            model=found.source.name,
        )
        for k, part in enumerate(asked)
    )


class Regression:
    """Kernel ridge regression from rows to valence and arousal.

    rows: float32 (words, width). values: float64 (words, 2). The ridge is the one that predicts each word
    best from all others. correlation: of these predictions with the values, the mean of valence and arousal.
    """

    def __init__(self, rows: Rows, values: FloatArray) -> None:
        self._centre = rows.mean(axis=0)
        self._rows = self._directions(rows)
        self._mean = values.mean(axis=0)
        centred = values - self._mean
        kernel = self._rows @ self._rows.T
        least = np.inf
        for ridge in _RIDGES:
            inverse = np.linalg.inv(kernel + ridge * np.eye(len(kernel)))
            # Left out one by one in closed form: (K + r I)^-1 y over its diagonal.
            missed = inverse @ centred / np.diag(inverse)[:, None]
            error = float((missed**2).mean())
            if error < least:
                least, self._inverse, predicted = error, inverse, centred - missed
        self._weights = self._inverse @ centred
        pairs = zip(predicted.T, centred.T, strict=True)
        self.correlation = float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs]))

    def predict(self, rows: Rows) -> tuple[FloatArray, FloatArray, list[list[int]]]:
        """Valence and arousal within -1..1, float64 (rows, 2); confidence, float64 (rows,); the rows nearest.

        confidence: the correlation on the known words, times the root of the share of a row that these span.
        """
        likeness = self._directions(rows) @ self._rows.T
        values = np.clip(self._mean + likeness @ self._weights, -1.0, 1.0)
        spanned = np.clip(np.einsum("ij,jk,ik->i", likeness, self._inverse, likeness), 0.0, 1.0)
        nearest = np.argsort(-likeness, axis=1)[:, :_NEAR]
        return values, max(self.correlation, 0.0) * np.sqrt(spanned), nearest.tolist()

    def _directions(self, rows: Rows) -> FloatArray:
        centred = rows.astype(np.float64) - self._centre
        directions: FloatArray = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
        return directions
