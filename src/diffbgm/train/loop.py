"""The training loop: any network whose `Objective` says what it is to learn, on one or several devices.

Batches and noise follow from the seed and the step (`diffbgm.train.batches`), the learning rate from the
step, so a run is the same on a fast and on a slow machine, and one that was stopped at any moment, even by a
power cut, ends with the same weights as one that was not: bit for bit on a CPU with as many threads.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Final, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from diffbgm.errors import DiffbgmError, OptionError
from diffbgm.train.batches import Batches, Tensors, heldout_batches, seed_dropout
from diffbgm.train.checkpoint import CHECKPOINT, Checkpoint
from diffbgm.train.examples import Examples
from diffbgm.train.objectives import objective_of
from diffbgm.train.recipe import Recipe

BAD_BATCH: Final = "bad-batch.pt"
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_PRECISION: Final = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


class Reporter(Protocol):
    """Told how a run goes. `step` is the number of updates done."""

    def update(self, step: int, spent_s: float, figures: dict[str, float]) -> None:
        """After each update: loss, learning_rate, gradient_norm."""

    def heldout(self, step: int, spent_s: float, loss: float) -> None:
        """After the held-out windows were measured, and a checkpoint written."""


class StoppedError(Exception):
    """The run was asked to stop; its checkpoint is written. `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by signal {number}")
        self.number = number


class Trainer:
    """State of one run: network, running average, optimiser, step, time spent.

    Raises OptionError if the recipe does not fit this machine, or the run in `run` is of another recipe.
    """

    def __init__(self, recipe: Recipe, train: Examples, heldout: Examples, run: Path) -> None:
        options = recipe.training
        self.recipe, self.options, self.run = recipe, options, run
        torch.set_num_threads(options.threads)
        self.accelerator = _accelerator(recipe)
        processes = self.accelerator.num_processes
        self.batches = Batches(train, options, self.accelerator.process_index, processes)
        self.heldout = heldout
        self.steps = options.total_steps(len(train))
        self.objective = objective_of(recipe)
        torch.manual_seed(options.seed)
        self.network = self.objective.network()
        begun = (run / CHECKPOINT).exists()
        if options.initial is not None and not begun:
            self._begin_with(Checkpoint.load(options.initial))
        self.average = self.objective.network()
        self.average.load_state_dict(self.network.state_dict())
        self.average.requires_grad_(False).eval().to(self.accelerator.device)
        optimiser = torch.optim.AdamW(
            self.network.parameters(), options.learning_rate, betas=options.betas,
            weight_decay=options.weight_decay, fused=True,
        )  # fmt: skip
        self.model, self.optimiser = self.accelerator.prepare(self.network, optimiser)
        self.step = 0
        self.spent_s = 0.0
        self._asked_to_stop = 0
        if begun:
            self._resume(Checkpoint.load(run))

    def _begin_with(self, kept: Checkpoint) -> None:
        """Raises OptionError if that run's network has other sizes."""
        ours, theirs = (asdict(recipe.network) | {"dropout": 0.0} for recipe in (self.recipe, kept.recipe))
        if ours != theirs:
            raise OptionError(
                f"training.initial: {self.options.initial} trained another network; [network] may only have "
                "another dropout"
            )
        self.network.load_state_dict(kept.average)

    def _resume(self, kept: Checkpoint) -> None:
        self.recipe.check_continues(kept.recipe)
        self.network.load_state_dict(kept.network)
        self.average.load_state_dict(kept.average)
        self.optimiser.load_state_dict(kept.optimiser)
        if self.accelerator.scaler is not None and kept.scaler is not None:
            self.accelerator.scaler.load_state_dict(kept.scaler)
        self.step, self.spent_s = kept.step, kept.spent_s

    def save(self) -> None:
        """Write the checkpoint, by the first of several processes."""
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            Checkpoint(
                recipe=self.recipe,
                step=self.step,
                spent_s=self.spent_s,
                network=self.network.state_dict(),
                average=self.average.state_dict(),
                optimiser=self.optimiser.state_dict(),
                scaler=None if scaler is None else scaler.state_dict(),
            ).save(self.run)

    def rate(self) -> float:
        """Learning rate of the next update: linear warm-up, then the schedule."""
        options = self.options
        rate = options.learning_rate
        if options.warmup_steps:
            rate *= min(1.0, (self.step + 1) / options.warmup_steps)
        if options.schedule == "constant":
            return rate
        floor = options.final_rate
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, self.step / self.steps)))
        return rate * (floor + (1 - floor) * cosine)

    def fit(
        self, reporter: Reporter | None = None, checkpoint_s: float = 240.0, every_steps: int | None = None
    ) -> None:
        """Train up to the recipe's number of updates, writing a checkpoint every so many seconds or steps.

        Raises StoppedError after Ctrl-C or SIGTERM, when the checkpoint is written; a second one ends at
        once. Raises DiffbgmError if the loss is not a number; the batch is kept.
        """
        self.run.mkdir(parents=True, exist_ok=True)
        last_save = before = time.monotonic()
        self.network.train()
        parts = iter(self.batches.loader(self.step, self.steps))
        with self._signals():
            while self.step < self.steps:
                figures = self._update(parts)
                now = time.monotonic()
                self.spent_s, before = self.spent_s + now - before, now
                if reporter is not None:
                    reporter.update(self.step, self.spent_s, figures)
                if self._stopping():
                    self.save()
                    raise StoppedError(self._asked_to_stop or signal.SIGTERM)
                due = now - last_save >= checkpoint_s if every_steps is None else not self.step % every_steps
                if due and self.step < self.steps:
                    self._checkpoint(reporter)
                    last_save = before = time.monotonic()
            self._checkpoint(reporter)

    def _checkpoint(self, reporter: Reporter | None) -> None:
        if self.accelerator.is_main_process:
            self.save()
            loss = self.heldout_loss()
            if reporter is not None:
                reporter.heldout(self.step, self.spent_s, loss)

    def heldout_loss(self) -> float:
        """Loss of the running average on fixed held-out windows."""
        options = self.options
        losses = []
        for batch in heldout_batches(self.heldout, options.batch, options.validation_windows):
            with torch.no_grad(), self.accelerator.autocast():
                losses.append(float(self.objective.loss(self.average, self._placed(batch))))
        return sum(losses) / len(losses)

    def _update(self, parts: Iterator[Tensors]) -> dict[str, float]:
        """One update from the parts of its batch."""
        accelerator, options = self.accelerator, self.options
        rate = self.rate()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        losses, norm = [], torch.tensor(0.0)
        for part in range(options.accumulate):
            batch = self._placed(next(parts))
            seed_dropout(options.seed, self.step, part, accelerator.process_index)
            with accelerator.accumulate(self.model):
                loss = self.objective.loss(self.model, batch)
                losses.append(self._finite(loss, batch))
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    norm = accelerator.clip_grad_norm_(self.network.parameters(), options.clip)
                self.optimiser.step()
                self.optimiser.zero_grad()
        self.step += 1
        decay = min(options.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - decay)
        loss_a_part = sum(losses) / len(losses)
        return {"loss": loss_a_part, "learning_rate": rate, "gradient_norm": float(norm)}

    def _finite(self, loss: Tensor, batch: Tensors) -> float:
        value = float(loss.detach())
        if not math.isfinite(value):
            path = self.run / BAD_BATCH
            torch.save({name: tensor.cpu() for name, tensor in batch.items()}, path)
            raise DiffbgmError(
                f"the loss is {value} at step {self.step}; the batch is kept in {path}; go on from the last "
                "checkpoint with a lower learning rate or precision fp32"
            )
        return value

    def _placed(self, batch: Tensors) -> Tensors:
        device = self.accelerator.device
        if device.type == "cpu":
            return batch
        return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}

    def _stopping(self) -> bool:
        """Whether any process was asked to stop; all of them learn it after the same update."""
        if self.accelerator.num_processes == 1:
            return bool(self._asked_to_stop)
        if self._asked_to_stop:
            self.accelerator.set_trigger()
        return bool(self.accelerator.check_trigger())

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM are noted once and looked at after the update; then they are as before."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}

        def note(number: int, _frame: FrameType | None) -> None:
            self._asked_to_stop = number
            restore()

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        for number in _SIGNALS:
            signal.signal(number, note)
        try:
            yield
        finally:
            restore()


def averaged(kept: Checkpoint) -> nn.Module:
    """The running average of a checkpoint, as a network to use."""
    network = objective_of(kept.recipe).network()
    network.load_state_dict(kept.average)
    return network.eval()


def _accelerator(recipe: Recipe) -> Accelerator:
    options = recipe.training
    try:
        accelerator = Accelerator(
            mixed_precision=_PRECISION[options.precision],
            gradient_accumulation_steps=options.accumulate,
        )
    except ValueError as error:  # the device cannot, or this process has begun with another precision
        reason = " ".join(str(error).split())
        raise OptionError(f"training.precision: {options.precision} is not to be had ({reason})") from error
    if options.precision == "fp16" and accelerator.device.type == "cpu":
        raise OptionError(
            "training.precision: fp16 needs a GPU; on a CPU use bf16 or fp32 (--precision bf16)"
        )
    return accelerator
