"""Chances tilted to a sum that is asked.

With independent bits of probabilities p, those under the condition that k of them are set are close to p
tilted, sigmoid(logit p + b), with the one b for which they add up to k.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FARTHEST: Final = 3.0
"""The largest b: what is held for twenty times as likely is not overruled."""

_HALVINGS: Final = 12
_UNLIKELY: Final = 1e-4  # chances below it add up to nothing


def tilted_sums(chance: NDArray[Any], wanted: NDArray[np.float64]) -> NDArray[Any]:
    """The rows of `chance` (rows, bits), float 0..1, tilted so that each adds up to `wanted` (rows,).

    A new array of the same type; a sum that is out of reach of `FARTHEST` is missed.
    """
    out = chance.copy()
    row, column = np.nonzero(chance > _UNLIKELY)
    p = np.minimum(chance[row, column].astype(np.float64), 1 - _UNLIKELY)
    odds = p / (1 - p)
    least, most = (np.full(len(chance), side * FARTHEST) for side in (-1.0, 1.0))
    for _ in range(_HALVINGS):
        middle = (least + most) / 2
        raised = odds * np.exp(middle)[row]
        few = np.bincount(row, raised / (1 + raised), len(chance)) < wanted
        least, most = np.where(few, middle, least), np.where(few, most, middle)
    raised = odds * np.exp((least + most) / 2)[row]
    out[row, column] = raised / (1 + raised)
    return out
