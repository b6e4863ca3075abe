"""Statistics of annotated songs from which chords, keys and phrases are told: the file `model.json`.

Counted on the training songs of POP909 by `python benchmarks/annotation.py --fit`; no song whose number ends
in 9 had a part in them.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np

from diffbgm.timing import FloatArray

FILE: Final = "model.json"


@cache
def table(section: str, name: str) -> FloatArray:
    """One table of the file as float64, not to be written to."""
    values = np.asarray(_content()[section][name], np.float64)
    values.flags.writeable = False
    return values


@cache
def _content() -> dict[str, Any]:
    text = resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def best_path(scores: FloatArray, change: FloatArray | float) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The sequence of states with the highest sum (Viterbi), int64 (steps,).

    scores: float64 (steps, states), what each state is worth at each step. change: what it is worth to enter
    a state from any other, one value or one a state; staying is worth 0.
    """
    steps, states = scores.shape
    value = scores[0] + change
    came_from = np.zeros((steps, states), np.int64)
    own = np.arange(states)
    for step in range(1, steps):
        best = int(value.argmax())
        entered = value[best] + change
        came_from[step] = np.where(value >= entered, own, best)
        value = np.maximum(value, entered) + scores[step]
    path = np.zeros(steps, np.int64)
    path[-1] = value.argmax()
    for step in range(steps - 1, 0, -1):
        path[step - 1] = came_from[step, path[step]]
    return path
