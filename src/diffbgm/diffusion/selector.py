"""The feature selector: which condition stream steers at which noise level.

The paper's idea: while noise is high, melody and atmosphere are decided and the semantic stream speaks;
below a threshold the dynamic stream shapes the rhythm. The published threshold, step 200 of 1000, has the
signal-to-noise ratio that the straight-line schedule reaches at s = 0.364.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from diffbgm.diffusion.conditions import Conditions

Mode = Literal["gate", "reversed", "both", "semantic", "dynamic"]
MODES: Final = get_args(Mode)
PUBLISHED_THRESHOLD: Final = 0.364


def select(given: Conditions, noise_level: float, mode: Mode, threshold: float) -> Conditions:
    """What the network may see of `given` at `noise_level`; the other stream becomes unknown.

    | mode | noise_level > threshold | noise_level <= threshold |
    |---|---|---|
    | gate | semantic | dynamic |
    | reversed | dynamic | semantic |
    | both | both | both |
    | semantic | semantic | semantic |
    | dynamic | dynamic | dynamic |
    """
    if mode == "both":
        return given
    high = noise_level > threshold
    semantic = mode == "semantic" or (mode == "gate" and high) or (mode == "reversed" and not high)
    return given.without_dynamic() if semantic else given.without_semantic()
