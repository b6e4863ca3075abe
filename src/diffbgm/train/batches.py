"""Batches as a function of the step: which windows, which noise, what is dropped.

Nothing of this is drawn from a running generator. Every window of every batch has generators of its own, made
from the run's seed, the step and the window's place in the batch. So a run that was stopped goes on exactly
where it was, and several processes, parts of a batch or preparing workers give the same batches as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from diffbgm.data.order import EXAMPLE, ORDER, windows_at
from diffbgm.errors import OptionError
from diffbgm.train.examples import Arrays, Examples
from diffbgm.train.recipe import TrainingOptions

Tensors = dict[str, Tensor]

_TORCH: Final = 2  # beside ORDER and EXAMPLE
_HELDOUT_SEED: Final = 1


class Batches(Dataset[Tensors]):
    """Item k is part `k % accumulate` of the batch of step `k // accumulate`, this process's share of it.

    A batch has the arrays of the examples stacked, and `level` float32 (windows,), 0..1, and `noise`,
    standard normal float32 of the shape of `clean`.
    """

    def __init__(self, examples: Examples, options: TrainingOptions, process: int = 0, of: int = 1) -> None:
        parts = of * options.accumulate
        if options.batch % parts:
            raise OptionError(
                f"training.batch: {options.batch} windows cannot be shared by {of} processes in "
                f"{options.accumulate} parts each; choose a multiple of {parts}"
            )
        self.examples, self.options = examples, options
        self.process, self.of = process, of

    def __getitem__(self, index: int) -> Tensors:
        options = self.options
        step, part = divmod(index, options.accumulate)
        chosen = self.windows_of(step)
        mine = range(self.process + part * self.of, options.batch, self.of * options.accumulate)
        generator = torch.Generator()
        arrays, levels, noise = [], [], []
        for place in mine:
            rng = np.random.default_rng((options.seed, EXAMPLE, step, place))
            level = float(rng.random())
            if options.stratified:
                level = (place + level) / options.batch
            generator.manual_seed(int(rng.integers(2**63)))
            arrays.append(self.examples.draw(int(chosen[place]), level, rng))
            levels.append(level)
            noise.append(torch.randn(arrays[-1]["clean"].shape, generator=generator))
        return collate(arrays) | {"level": torch.tensor(levels), "noise": torch.stack(noise)}

    def windows_of(self, step: int) -> NDArray[np.int64]:
        """Numbers of the windows of a step's whole batch, int64 (batch,)."""
        count, size, seed = len(self.examples), self.options.batch, self.options.seed
        if self.options.order == "replacement":
            return np.random.default_rng((seed, ORDER, step)).integers(0, count, size)
        return windows_at(np.arange(step * size, (step + 1) * size), count, seed)

    def loader(self, first_step: int, last_step: int) -> DataLoader[Tensors]:
        """The parts of the batches of these steps in order, prepared by the recipe's workers."""
        parts = range(first_step * self.options.accumulate, last_step * self.options.accumulate)
        pin = torch.cuda.is_available()
        return DataLoader(
            self, batch_size=None, sampler=parts, num_workers=self.options.workers, pin_memory=pin
        )


def seed_dropout(seed: int, step: int, part: int, process: int) -> None:
    """Seed what networks draw by themselves (dropout), which torch takes from one generator for all."""
    (state,) = np.random.SeedSequence((seed, _TORCH, step, part, process)).generate_state(1, np.uint64)
    torch.manual_seed(int(state))


def heldout_batches(examples: Examples, size: int, count: int) -> list[Tensors]:
    """Fixed windows at fixed noise with nothing dropped: comparable between runs of equal `size`."""
    rng = np.random.default_rng(_HELDOUT_SEED)
    generator = torch.Generator().manual_seed(_HELDOUT_SEED)
    levels = ((np.arange(size) + 0.5) / size).tolist()
    batches = []
    for _ in range(max(1, count // size)):
        chosen = rng.integers(0, len(examples), size)
        batch = collate([examples.draw(int(k), s, None) for k, s in zip(chosen, levels, strict=True)])
        noise = torch.randn(batch["clean"].shape, generator=generator)
        batches.append(batch | {"level": torch.tensor(levels), "noise": noise})
    return batches


def collate(arrays: Sequence[Arrays]) -> Tensors:
    """Stack examples; segments are padded with unknown ones that no beat attends to."""
    return {name: torch.from_numpy(_stacked([one[name] for one in arrays])) for name in arrays[0]}


def _stacked(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    shape = tuple(np.max([array.shape for array in arrays], axis=0))
    if all(array.shape == shape for array in arrays):
        return np.stack(arrays)
    out = np.zeros((len(arrays), *shape), arrays[0].dtype)
    for slot, array in zip(out, arrays, strict=True):
        slot[tuple(slice(size) for size in array.shape)] = array
    return out
