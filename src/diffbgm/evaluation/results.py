"""What an evaluation found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diffbgm import __version__
from diffbgm.evaluation.measure import Figures, finite, summary


@dataclass(frozen=True)
class Evaluation:
    """files: figures of each piece by name. errors: one line for each piece that could not be measured.

    reference: figures of each reference piece. whole: what was measured on all pieces together.
    """

    files: dict[str, Figures]
    errors: dict[str, str]
    reference: dict[str, Figures] = field(default_factory=dict)
    whole: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """`files`, `summary` (mean, ci95, n by key), and what else there is; numbers not finite are None."""
        out: dict[str, Any] = {
            "diffbgm": __version__,
            "files": self.files,
            "summary": summary(self.files),
            "errors": self.errors,
            "warnings": list(self.warnings),
        }
        if self.reference:
            out |= {"reference": self.reference, "reference_summary": summary(self.reference)}
        out |= _plain(self.whole)
        return out


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return finite(float(value) if isinstance(value, np.floating) else value)
