"""The segment mask: which segment's conditions a beat may attend to."""

from __future__ import annotations

from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from diffbgm.options import Segments

SEGMENTS: Final = get_args(Segments)


def segment_mask(mask: NDArray[np.bool_], segments: Segments) -> NDArray[np.bool_]:
    """The mask, bool (beats, segments), by the way segments are laid out.

    borders: as given, by the real borders. blocks: the window cut into as many equal parts as it has
    segments, part k for segment k, as in the published code. global: every beat sees every segment.
    Raises ValueError for another way.
    """
    beats, count = mask.shape
    if segments == "borders":
        return mask
    if segments == "blocks":
        return np.asarray((np.arange(beats) * count // beats)[:, None] == np.arange(count))
    if segments == "global":
        return np.ones_like(mask)
    raise ValueError(f"segments {segments!r}: expected one of {', '.join(SEGMENTS)}")
