"""How a model is sampled: what is kept with its weights, and what a person asks instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.denoiser import Guidance
from diffbgm.diffusion.levels import PUBLISHED_STEPS, noise_levels
from diffbgm.diffusion.selector import PUBLISHED_THRESHOLD
from diffbgm.errors import OptionError
from diffbgm.options import Sampler, Segments, Selector, Spacing


@dataclass(frozen=True)
class Sampling:
    """Everything that sampling can be told. `steps` counts what costs time: evaluations of the network.

    eta belongs to the sampler ddim. guidance and guidance_rescale: see `diffbgm.diffusion.guidance`;
    selector, threshold and segments: see the modules of these names.
    """

    steps: int = 32
    sampler: Sampler = "ddim"
    spacing: Spacing = "linear"
    eta: float = 0.0
    guidance: float = 2.0
    guidance_rescale: float = 0.0
    selector: Selector = "both"
    threshold: float = PUBLISHED_THRESHOLD
    segments: Segments = "borders"

    def __post_init__(self) -> None:
        if self.eta > 0 and self.sampler != "ddim":
            raise OptionError(f"option eta: is for the sampler ddim only, not for {self.sampler}")

    @classmethod
    def of(cls, recommended: Mapping[str, Any], **given: Any) -> Sampling:
        """What was recommended with a model's weights, under what is given (None: not given).

        Another sampler than the recommended one has eta 0, and ddpm is by default the published 1000 steps.
        Raises OptionError for an eta that the sampler does not take and for a threshold that the selector has
        no use for, TypeError for an unknown name.
        """
        asked = {name: value for name, value in given.items() if value is not None}
        known = {field.name for field in fields(cls)}
        chosen = {name: value for name, value in recommended.items() if name in known}
        if asked.get("sampler") not in (None, chosen.get("sampler", cls.sampler)):
            chosen["eta"] = 0.0
            if asked["sampler"] == "ddpm":
                chosen |= {"steps": PUBLISHED_STEPS, "spacing": "published"}
        sampling = cls(**{**chosen, **asked})
        if "threshold" in asked and sampling.selector not in ("gate", "reversed"):
            raise OptionError(
                f"option threshold: the selector {sampling.selector} has none; gate, reversed do"
            )
        return sampling

    @property
    def conditions(self) -> Guidance:
        """How conditions enter the network."""
        return Guidance(self.guidance, self.selector, self.threshold, self.segments, self.guidance_rescale)

    @property
    def levels(self) -> NDArray[np.float64]:
        """Noise levels that take `steps` calls of the network; with heun an even number leaves one over."""
        steps = (self.steps + 1) // 2 if self.sampler == "heun" else self.steps
        return noise_levels(steps, self.spacing)
