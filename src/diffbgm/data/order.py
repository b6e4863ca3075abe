"""In which order windows come: an order for each epoch that follows from the seed alone.

Nothing is drawn from a running generator, so the window at any position is known without those before it, and
a run that was stopped goes on with the very same sequence from the number of windows it has had.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

ORDER, EXAMPLE = range(2)
"""What a generator is for; part of its seed."""


def windows_at(positions: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Numbers of the windows at these positions of an endless sequence, int64.

    Positions [e * count, (e + 1) * count) are epoch e: each of the `count` windows once, shuffled.
    """
    epochs, places = np.divmod(positions, count)
    out = np.empty(len(positions), np.int64)
    for epoch in np.unique(epochs).tolist():
        inside = epochs == epoch
        out[inside] = _order(count, seed, epoch)[places[inside]]
    return out


@lru_cache(maxsize=4)
def _order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, ORDER, epoch)).permutation(count)
