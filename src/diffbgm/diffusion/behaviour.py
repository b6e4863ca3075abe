"""The U-Net's ways: what the published code does, and what is repaired here. Every difference is a field.

| field | published | repaired |
|---|---|---|
| segments | blocks: the window's equal parts, wherever the film's borders are | borders |
| n_blocks | 2 (a path in the published notebook speaks of 4) | 2, used for `segments = "blocks"` only |
| mask_self_attention | True: no note of one part sees one of another | False |
| selector, threshold | gate, 0.364: captions while t > 200 of 1000, visual rows below | both |
| null | -1: rows of -1 that training never showed | 0: rows of 0, which training shows |
| alignment | stretched: feature rows spread evenly over the beats | time: by the second |
| clip | False | True: the clean estimate is held to 0..1, as all music is |

`docs/unet.md` says more of each. Training, export and use read them here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.segments import segment_mask
from diffbgm.diffusion.selector import PUBLISHED_THRESHOLD
from diffbgm.options import Segments, Selector

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]
Alignment = Literal["time", "stretched"]


@dataclass(frozen=True)
class Behaviour:
    """One way of each; the table above. `null` is the value of every entry of a row that says nothing."""

    segments: Segments = "borders"
    n_blocks: int = 2
    mask_self_attention: bool = False
    selector: Selector = "both"
    threshold: float = PUBLISHED_THRESHOLD
    null: float = 0.0
    alignment: Alignment = "time"
    clip: bool = True

    @classmethod
    def of(cls, given: str | Mapping[str, Any]) -> Behaviour:
        """From a preset's name, or from fields over the repaired ones. Raises ValueError for unknown ones."""
        if isinstance(given, str):
            if given not in PRESETS:
                raise ValueError(f"behaviour {given!r}: expected {' or '.join(PRESETS)}")
            return PRESETS[given]
        unknown = sorted(set(given) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"behaviour: unknown field {unknown[0]}")
        return cls(**given)


REPAIRED: Final = Behaviour()
PUBLISHED: Final = Behaviour(
    segments="blocks",
    mask_self_attention=True,
    selector="gate",
    null=-1.0,
    alignment="stretched",
    clip=False,
)
PRESETS: Final = {"published": PUBLISHED, "repaired": REPAIRED}


def visible_rows(segments: Mask, way: Segments, n_blocks: int) -> Mask:
    """Which condition rows each beat may see, bool (beats, beats): those of the beats of its own segment.

    segments: bool (beats, segments), where the real segments lie. `way`: see `segment_mask`; for "blocks" the
    window has `n_blocks` equal parts, whatever its segments are. A beat without a segment sees itself.
    """
    if way == "blocks":
        segments = np.ones((len(segments), n_blocks), bool)
    cut = segment_mask(segments, way).astype(np.float32)
    return np.asarray((cut @ cut.T > 0) | np.eye(len(cut), dtype=bool))


def stream_mask(visible: Mask, semantic: bool, dynamic: bool) -> Mask:
    """The mask over the rows of both streams, bool (beats, 2 * beats): visual rows, then caption rows.

    A stream that does not speak is not seen. At least one must speak.
    """
    return np.concatenate([visible & dynamic, visible & semantic], axis=1)


def no_condition(visual: F32, visible: Mask, behaviour: Behaviour) -> tuple[F32, Mask]:
    """What "no condition" is to the network: visual rows that say nothing, and no caption rows.

    visual: float32 (beats, width). Returns rows of that shape, all `behaviour.null`, and the mask for them.
    The same for condition dropout in training as for the free prediction of guidance. (In the published code
    the rows of -1 stand behind the layer that takes captions in, and visual rows are where that layer ends.)
    """
    return np.full_like(visual, behaviour.null), stream_mask(visible, semantic=False, dynamic=True)
