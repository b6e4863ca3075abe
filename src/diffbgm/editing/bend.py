"""Bars that give way a little so that whole ones fit between two moments of a film."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.timing import STEPS_PER_BAR

FloatArray = NDArray[np.float64]

MOST_BENT: Final = 0.08
"""By how much a bar that keeps its notes may be longer or shorter than it was, relative to its length."""
MOST_COMPOSED: Final = 0.16
"""The same for bars that are composed anew."""
MOST_HELD: Final = 0.5
"""By how much a closing bar that is composed may be longer."""

_FROM_BAR_TO_BAR: Final = 0.04
_TO_COMPOSED: Final = 0.1
# How much a bar's tempo wants to stay, and neighbours to be alike where they need not be.
_STAY: Final = 0.02
_LOOSELY: Final = 0.02


class Bend:
    """How bars leave their usual lengths so that together they last as long as they should.

    Least squares of the relative changes between neighbours, and to the bars that stay on either side where
    there are any (`beside`), subject to linear equations: the sum, and each hit on its step. Across the jump
    of the picture (before bar `jump`), and before a closing bar, neighbours may be as different as they like.

    target: float64 (bars,), usual lengths in seconds. composed: which bars are new.
    """

    def __init__(
        self,
        target: FloatArray,
        length_s: float,
        jump: int,
        composed: slice,
        beside: tuple[bool, bool],
        *,
        closing: bool,
    ) -> None:
        self.target, self.length_s, self.jump = target, length_s, jump
        n = len(target)
        new = np.zeros(n, np.bool_)
        new[composed] = True
        unit = np.eye(n)
        rows = [unit[k + 1] - unit[k] for k in range(n - 1)]
        steps = [_TO_COMPOSED if new[k] or new[k + 1] else _FROM_BAR_TO_BAR for k in range(n - 1)]
        weights = [1.0] * (n - 1)
        for k in range(n - 1):
            if k + 1 == jump or (closing and k == n - 2):
                steps[k], weights[k] = np.inf, _LOOSELY
        for end, is_near in ((0, beside[0] and jump > 0), (-1, beside[1] and jump < n)):
            if is_near:
                rows.append(unit[end])
                steps.append(_TO_COMPOSED if new[end] else _FROM_BAR_TO_BAR)
                weights.append(1.0)
        self.most = np.where(new, MOST_COMPOSED, MOST_BENT)
        self.least = -self.most.copy()
        if closing:
            self.least[-1], self.most[-1] = -MOST_BENT, MOST_HELD
        self.rows = np.array(rows).reshape(-1, n)
        self.steps = np.array(steps)
        self.system = self.rows.T @ (np.array(weights)[:, None] * self.rows) + _STAY * unit

    def solve(self, hits: Sequence[tuple[int, float]]) -> FloatArray | None:
        """The relative changes, None where they would break a limit. hits: (step, seconds from the start)."""
        n = len(self.target)
        rows, wanted = [self.target], [self.length_s - self.target.sum()]
        for step, time_s in hits:
            bar, rest = divmod(step, STEPS_PER_BAR)
            row = np.where(np.arange(n) < bar, self.target, 0.0)
            row[bar] = self.target[bar] * rest / STEPS_PER_BAR
            rows.append(row)
            wanted.append(time_s - row.sum())
        equations = np.array(rows)
        system = np.block([[self.system, equations.T], [equations, np.zeros((len(rows), len(rows)))]])
        change: FloatArray = np.linalg.lstsq(system, np.concatenate((np.zeros(n), wanted)), rcond=None)[0][:n]
        lawful = (
            np.all(change <= self.most)
            and np.all(change >= self.least)
            and np.all(np.abs(self.rows @ change) <= self.steps)
        )
        return change if lawful and np.allclose(equations @ change, wanted, atol=1e-6) else None
