"""Checkpoints of a run: written whole or not at all, opened without running what they hold."""

from __future__ import annotations

import json
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from diffbgm.errors import InputError, MissingToolError, OutputError
from diffbgm.train.recipe import Recipe

CHECKPOINT: Final = "checkpoint.pt"
FORMAT: Final = 2

State = dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stands. Batches follow from the recipe's seed and the step: no generator is kept.

    network, average, optimiser, scaler: state dictionaries; scaler is None without fp16.
    """

    recipe: Recipe
    step: int
    spent_s: float
    network: State
    average: State
    optimiser: State
    scaler: State | None

    def save(self, run: Path) -> None:
        """Write under a temporary name, then rename. Raises OutputError if the disk refuses."""
        temporary = run / (CHECKPOINT + ".part")
        state = self.__dict__ | {"format": FORMAT, "recipe": json.dumps(self.recipe.to_json())}
        try:
            torch.save(state, temporary)
            temporary.replace(run / CHECKPOINT)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            temporary.unlink(missing_ok=True)
            reason = " ".join(str(error).split())[:200]
            raise OutputError(f"{run / CHECKPOINT}: cannot be written ({reason})") from error

    @classmethod
    def load(cls, run: Path) -> Checkpoint:
        """Raises MissingToolError if the run has none, InputError if it is not one of ours."""
        path = run / CHECKPOINT
        if not path.exists():
            raise MissingToolError(f"{path}: no checkpoint; train first")
        if not zipfile.is_zipfile(path):
            raise InputError(f"{path}: not a training checkpoint")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            if state.pop("format", None) != FORMAT:
                raise InputError(f"{path}: a checkpoint of another version of diffbgm; train anew")
            return cls(**state | {"recipe": Recipe.build(json.loads(state["recipe"]), f"{path}: ")})
        except (OSError, RuntimeError, EOFError, ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: not a training checkpoint ({' '.join(str(error).split())})") from error
        except pickle.UnpicklingError as error:
            raise InputError(f"{path}: not a training checkpoint; it holds more than numbers") from error
