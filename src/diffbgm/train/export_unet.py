"""The U-Net's graph: what it takes and gives.

| tensor | type and shape | meaning |
|---|---|---|
| planes | float32 (batch, 2, 128, 128) | noisy onset and sustain planes, as on the published chain |
| step | float32 (batch,) | published step 0..999, whole or between |
| visual | float32 (batch, visual_rows, 512) | rows of the dynamic stream |
| caption | float32 (batch, caption_rows, 768) | rows of the semantic stream |
| mask | bool (batch, 128, visual_rows + caption_rows) | which rows each time step sees; at least one |
| noise | float32 (batch, 2, 128, 128) | what is noise in `planes` |
"""

from __future__ import annotations

from typing import Final

import numpy as np

from diffbgm.diffusion.behaviour import stream_mask, visible_rows
from diffbgm.diffusion.handmade import CAPTION_SIZE, VISUAL_SIZE
from diffbgm.diffusion.planes import PLANE_PITCHES
from diffbgm.diffusion.unet import WINDOW_BEATS
from diffbgm.timing import STEPS_PER_BEAT
from diffbgm.train.graph import Example, Graph

STEPS: Final = WINDOW_BEATS * STEPS_PER_BEAT


def unet_graph(visual_size: int = VISUAL_SIZE, steps: int = STEPS, pitches: int = PLANE_PITCHES) -> Graph:
    """The graph of a network with visual rows of this width (`UNetConfig.d_cond`) and planes of this size."""

    def example(seed: int) -> Example:
        rng = np.random.default_rng(seed)
        batch, rows = seed + 1, (WINDOW_BEATS, 8, 48)[seed % 3]
        masks = []
        for sample in range(batch):
            segments = np.sort(rng.integers(0, 3, rows))[:, None] == np.arange(3)
            visible = visible_rows(segments, "borders", 2)
            speaks = ((True, True), (False, True), (True, False))[(seed + sample) % 3]
            masks.append(stream_mask(visible, *speaks)[np.arange(steps) * rows // steps])
        return {
            "planes": rng.standard_normal((batch, 2, steps, pitches), np.float32),
            "step": (rng.random(batch, np.float32) * 999).astype(np.float32),
            "visual": rng.standard_normal((batch, rows, visual_size), np.float32),
            "caption": rng.standard_normal((batch, rows, CAPTION_SIZE), np.float32),
            "mask": np.stack(masks),
        }

    batch = {0: "batch"}
    return Graph(
        {
            "planes": batch,
            "step": batch,
            "visual": {0: "batch", 1: "visual_rows"},
            "caption": {0: "batch", 1: "caption_rows"},
            "mask": {0: "batch", 2: "rows"},
            "noise": batch,
        },
        example,
    )
