"""Guidance: pushing a prediction towards what the film asks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


def guide(conditioned: F32, free: F32, scale: float, rescale: float = 0.0) -> F32:
    """free + scale (conditioned - free), its spread brought back by `rescale` to the conditioned one's.

    Ho and Salimans 2022 (arXiv 2207.12598) eq. 6, scale = 1 + w: 0 ignores the film, 1 follows it plainly,
    more exaggerates. A large scale also widens the prediction; Lin et al. 2023 (arXiv 2305.08891) section
    3.4 mend that: g' = phi (std(conditioned) / std(g)) g + (1 - phi) g, phi = `rescale` in 0..1, the standard
    deviation over all of one batch entry.

    conditioned, free: float32 (batch, ...): predictions with and without conditions, as logits, noise or
    clean values. Returns a new array of that shape.
    """
    out = (free + scale * (conditioned - free)).astype(np.float32, copy=False)
    if rescale > 0:
        axes = tuple(range(1, out.ndim))
        ratio = conditioned.std(axis=axes, keepdims=True) / out.std(axis=axes, keepdims=True)
        out *= 1 + rescale * (ratio - 1)
    return out
