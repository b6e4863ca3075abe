"""The feature selector: which condition stream steers at which noise level.

The paper's idea: while noise is high, melody and atmosphere are decided and the semantic stream speaks;
below a threshold the dynamic stream shapes the rhythm. The published threshold, step 200 of 1000, has the
signal-to-noise ratio that the straight-line schedule reaches at s = 0.364.
"""

from __future__ import annotations

from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.conditions import Conditions
from diffbgm.options import Selector

MODES: Final = get_args(Selector)
PUBLISHED_THRESHOLD: Final = 0.364


def streams(
    noise_level: NDArray[np.floating],
    mode: Selector,
    threshold: float = PUBLISHED_THRESHOLD,
    rng: np.random.Generator | None = None,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether the semantic and the dynamic stream speak at each noise level; bool arrays of its shape.

    | mode | noise_level > threshold | noise_level <= threshold |
    |---|---|---|
    | gate | semantic | dynamic |
    | reversed | dynamic | semantic |
    | both | both | both |
    | semantic | semantic | semantic |
    | dynamic | dynamic | dynamic |
    | random | one of the two, drawn from `rng` | one of the two, drawn from `rng` |

    Where both speak, the network attends to the tokens of both, side by side.
    Raises ValueError for another mode, and for random without a generator.
    """
    shape = noise_level.shape
    if mode == "both":
        return np.ones(shape, bool), np.ones(shape, bool)
    semantic: NDArray[np.bool_]
    if mode == "gate":
        semantic = np.asarray(noise_level > threshold)
    elif mode == "reversed":
        semantic = np.asarray(noise_level <= threshold)
    elif mode == "random":
        if rng is None:
            raise ValueError("the random selector needs a generator")
        semantic = rng.random(shape) < 0.5
    elif mode in ("semantic", "dynamic"):
        semantic = np.full(shape, mode == "semantic")
    else:
        raise ValueError(f"selector {mode!r}: expected one of {', '.join(MODES)}")
    return semantic, ~semantic


def select(given: Conditions, semantic: bool, dynamic: bool) -> Conditions:
    """What the network may see of `given`: a stream that does not speak becomes unknown."""
    if not semantic:
        given = given.without_semantic()
    return given if dynamic else given.without_dynamic()
