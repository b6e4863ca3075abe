"""Hand-made features: the codes of the conditions as rows of the widths that the paper's network takes.

Where no feature extractor has looked at a film, the paper's U-Net can be steered by what steers the beat
transformer: each field of `diffbgm.diffusion.conditions` becomes a group of columns with a single 1, and the
rest of the row is zero. An unknown field has no column set, so a row of zeros says that nothing is known.
Nothing here is learned, and training and use lay the columns out alike.

The fields stand in the order of `DYNAMIC_FIELDS` (visual rows, one a beat) and `SEMANTIC_FIELDS` (caption
rows, one a beat: those of the segments it belongs to), each with one column a code from 1 up. `LAYOUT` names
the layout in the metadata of weights; it changes with the fields.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.conditions import DYNAMIC_FIELDS, SEMANTIC_FIELDS, Conditions

F32 = NDArray[np.float32]

VISUAL_SIZE: Final = 512
CAPTION_SIZE: Final = 768
LAYOUT: Final = hashlib.sha256(json.dumps([DYNAMIC_FIELDS, SEMANTIC_FIELDS]).encode()).hexdigest()[:8]


def handmade_rows(conditions: Conditions) -> tuple[F32, F32]:
    """Visual and caption rows of a stretch of music: float32 (beats, 512) and (beats, 768), of 0 and 1.

    The visual row of a beat holds its dynamic codes. Its caption row holds the semantic codes of the
    segment it lies in; of several segments all codes are set, and without one the row is zero.
    """
    semantic = one_hot(conditions.semantic, SEMANTIC_FIELDS.values(), CAPTION_SIZE)
    caption = (conditions.mask.astype(np.float32) @ semantic).clip(max=1.0)
    return one_hot(conditions.dynamic, DYNAMIC_FIELDS.values(), VISUAL_SIZE), caption


def one_hot(codes: NDArray[np.int64], sizes: Iterable[int], width: int) -> F32:
    """Codes (rows, fields) as rows of 0 and 1, float32 (rows, width).

    A field of `size` values has size - 1 columns, one for each code from 1; code 0, unknown, sets none.
    Columns behind the last field stay zero. Raises ValueError for codes out of range, or if `width` is too
    small for the fields.
    """
    counts = np.array(list(sizes), np.int64) - 1
    if codes.shape[1] != len(counts) or (codes < 0).any() or (codes > counts).any():
        raise ValueError(f"codes of shape {codes.shape} do not fit fields with {list(counts)} codes")
    if counts.sum() > width:
        raise ValueError(f"{counts.sum()} columns do not fit into rows of {width}")
    out = np.zeros((len(codes), width), np.float32)
    columns = np.cumsum(counts) - counts + codes - 1
    row, field = np.nonzero(codes)
    out[row, columns[row, field]] = 1.0
    return out
