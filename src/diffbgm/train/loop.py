"""Training of the beat transformer on windows of songs.

    python -m diffbgm.train recipes/beat-transformer.toml --data FOLDER --table FILE --run runs/NAME

Objective: with x the clean tokens, n standard normal noise and s uniform in 0..1, the network sees
z = (1 - s) x + s n and predicts x: cross-entropy for the bits, squared error for the velocities of the
steps that have an onset. The learning rate follows the steps, so that a run is the same on a fast and on a
slow machine; it can be stopped at any moment and resumes from its last checkpoint with optimiser, averages
and random generators.
"""

from __future__ import annotations

import json
import math
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from diffbgm.data.windows import WindowSource, drop_fields
from diffbgm.diffusion.conditions import Conditions
from diffbgm.diffusion.roll import ONSET
from diffbgm.diffusion.segments import Segments, segment_mask
from diffbgm.diffusion.selector import PUBLISHED_THRESHOLD, Mode, streams
from diffbgm.diffusion.tokens import BITS, BITS_SHAPE, CHORD, VELOCITIES, is_bit
from diffbgm.errors import InputError
from diffbgm.train.transformer import BeatTransformer, TransformerConfig

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Recipe:
    """One TOML file a trained model: what it is and how it is trained."""

    network: TransformerConfig
    steps: int
    batch: int = 32
    learning_rate: float = 6e-4
    warmup_steps: int = 300
    final_rate: float = 0.02
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    melody_weight: float = 2.0
    chord_weight: float = 2.0
    velocity_weight: float = 0.5
    seed: int = 0
    threads: int = 2
    bfloat16: bool = True
    segments: Segments = "borders"
    selector: Mode = "both"
    threshold: float = PUBLISHED_THRESHOLD

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Raises InputError if the file is not a recipe."""
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
            return cls(network=TransformerConfig(**values.pop("network")), **values["training"])
        except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a training recipe ({error})") from error


@dataclass(frozen=True)
class Batch:
    """Clean tokens float32 (batch, 64, 2148) and padded conditions as the network takes them."""

    tokens: Tensor
    dynamic: Tensor
    semantic: Tensor
    mask: Tensor


def collate(tokens: list[np.ndarray[Any, Any]], conditions: list[Conditions]) -> Batch:
    """Stack windows; segments are padded with unknown ones that no beat attends to."""
    n_segments = max(len(given.semantic) for given in conditions)
    semantic = [np.pad(g.semantic, ((0, n_segments - len(g.semantic)), (0, 0))) for g in conditions]
    mask = [np.pad(g.mask, ((0, 0), (0, n_segments - g.mask.shape[1]))) for g in conditions]
    return Batch(
        torch.from_numpy(np.stack(tokens)),
        torch.from_numpy(np.stack([g.dynamic for g in conditions])),
        torch.from_numpy(np.stack(semantic)),
        torch.from_numpy(np.stack(mask)),
    )


def batches(
    source: WindowSource,
    size: int,
    rng: np.random.Generator,
    dropout: bool = True,
    segments: Segments = "borders",
) -> Iterator[Batch]:
    """Windows drawn with replacement, without end."""
    while True:
        chosen = [source.windows[k] for k in rng.integers(0, len(source.windows), size)]
        given = [source.conditions(window) for window in chosen]
        if dropout:
            given = [drop_fields(one, rng) for one in given]
        given = [replace(one, mask=segment_mask(one.mask, segments)) for one in given]
        yield collate([source.tokens(window) for window in chosen], given)


def loss_weights(recipe: Recipe) -> Tensor:
    """Weight of each token entry in the loss, float32 (2148,); velocities are masked by their onsets too."""
    weights = np.ones(BITS_SHAPE, np.float32)
    weights[0] = weights[1] = recipe.melody_weight
    chord = np.full(CHORD.stop - CHORD.start, recipe.chord_weight, np.float32)
    velocity = np.full(VELOCITIES.stop - VELOCITIES.start, recipe.velocity_weight, np.float32)
    return torch.from_numpy(np.concatenate([weights.reshape(-1), velocity, chord]))


def loss_of(prediction: Tensor, tokens: Tensor, weights: Tensor) -> Tensor:
    """Weighted loss a beat, summed over the entries of its token."""
    bit = torch.from_numpy(is_bit())
    bits = (tokens > 0).float()
    cross_entropy = F.binary_cross_entropy_with_logits(prediction, bits, reduction="none")
    onsets = bits[..., BITS].view(*bits.shape[:-1], *BITS_SHAPE)[..., ONSET, :, :].any(dim=-1)
    square = torch.zeros_like(prediction)
    square[..., VELOCITIES] = (prediction[..., VELOCITIES] - tokens[..., VELOCITIES]) ** 2 * onsets.flatten(
        -2
    )
    return (torch.where(bit, cross_entropy, square) * weights).sum(dim=-1).mean()


def noisy(tokens: Tensor, noise_level: Tensor, generator: torch.Generator) -> Tensor:
    """z = (1 - s) x + s n."""
    s = noise_level[:, None, None]
    return (1 - s) * tokens + s * torch.randn(tokens.shape, generator=generator)


def heard(batch: Batch, noise_level: Tensor, recipe: Recipe, rng: np.random.Generator) -> Batch:
    """The batch with the streams that the recipe's selector silences at each noise level unknown."""
    semantic, dynamic = streams(noise_level.numpy(), recipe.selector, recipe.threshold, rng)
    return replace(
        batch,
        dynamic=batch.dynamic * torch.from_numpy(dynamic)[:, None, None],
        semantic=batch.semantic * torch.from_numpy(semantic)[:, None, None],
    )


def validation_loss(network: BeatTransformer, source: WindowSource, recipe: Recipe, n: int = 256) -> float:
    """Loss on `n` fixed windows at fixed noise with all conditions known: comparable between runs."""
    rng = np.random.default_rng(1)
    generator = torch.Generator().manual_seed(1)
    stream = batches(source, recipe.batch, rng, dropout=False, segments=recipe.segments)
    weights = loss_weights(recipe)
    total = 0.0
    rounds = n // recipe.batch
    for _ in range(rounds):
        batch = next(stream)
        s = (torch.arange(recipe.batch) + 0.5) / recipe.batch
        batch = heard(batch, s, recipe, rng)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            out = network(noisy(batch.tokens, s, generator), s, batch.dynamic, batch.semantic, batch.mask)
        total += float(loss_of(out.float(), batch.tokens, weights))
    return total / rounds


class Trainer:
    """State of one run: network, running average, optimiser, generators, time spent."""

    def __init__(self, recipe: Recipe, train: WindowSource, heldout: WindowSource, run: Path) -> None:
        self.recipe, self.train, self.heldout, self.run = recipe, train, heldout, run
        torch.set_num_threads(recipe.threads)
        torch.manual_seed(recipe.seed)
        self.network = BeatTransformer(recipe.network)
        self.average = BeatTransformer(recipe.network)
        self.average.load_state_dict(self.network.state_dict())
        self.average.requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), recipe.learning_rate, betas=(0.9, 0.98),
            weight_decay=recipe.weight_decay, fused=True,
        )  # fmt: skip
        self.rng = np.random.default_rng(recipe.seed)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.step = 0
        self.spent_s = 0.0

    def resume(self) -> None:
        """Continue from the run's checkpoint if there is one."""
        path = self.run / CHECKPOINT
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.rng.bit_generator.state = json.loads(state["rng"])
        self.step, self.spent_s = state["step"], state["spent_s"]

    def save(self) -> None:
        """Write the checkpoint under a temporary name, then rename it."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "rng": json.dumps(self.rng.bit_generator.state),
            "step": self.step,
            "spent_s": self.spent_s,
        }
        temporary = self.run / (CHECKPOINT + ".part")
        torch.save(state, temporary)
        temporary.replace(self.run / CHECKPOINT)

    def rate(self) -> float:
        """Linear warm-up, then a cosine down to `final_rate` at the last step."""
        progress = min(1.0, self.step / self.recipe.steps)
        floor = self.recipe.final_rate
        cosine = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))
        return self.recipe.learning_rate * min(1.0, (self.step + 1) / self.recipe.warmup_steps) * cosine

    def fit(self, checkpoint_s: float = 240.0, report_s: float = 60.0) -> None:
        """Train for the recipe's steps."""
        self.run.mkdir(parents=True, exist_ok=True)
        weights = loss_weights(self.recipe)
        stream = batches(self.train, self.recipe.batch, self.rng, segments=self.recipe.segments)
        last_save = last_report = before = time.monotonic()
        losses: list[float] = []
        while self.step < self.recipe.steps:
            losses.append(self._update(next(stream), weights))
            now = time.monotonic()
            self.spent_s, before = self.spent_s + now - before, now
            if now - last_report >= report_s:
                rate = len(losses) * self.recipe.batch / (now - last_report)
                self._log(f"loss {np.mean(losses):.3f}  {rate:.0f} windows/s  lr {self.rate():.2e}")
                losses, last_report = [], now
            if now - last_save >= checkpoint_s:
                self.save()
                self._log(f"held-out loss {validation_loss(self.average, self.heldout, self.recipe):.4f}")
                last_save = time.monotonic()
        self.save()
        self._log(f"held-out loss {validation_loss(self.average, self.heldout, self.recipe):.4f}  finished")

    def _update(self, batch: Batch, weights: Tensor) -> float:
        size = self.recipe.batch
        # Stratified: every batch spans all noise levels, which takes variance out of the gradient.
        s = (torch.arange(size) + torch.rand(size, generator=self.generator)) / size
        batch = heard(batch, s, self.recipe, self.rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16):
            out = self.network(
                noisy(batch.tokens, s, self.generator), s, batch.dynamic, batch.semantic, batch.mask
            )
        loss = loss_of(out.float(), batch.tokens, weights)
        if not torch.isfinite(loss):
            torch.save(batch.__dict__, self.run / "bad-batch.pt")
            raise FloatingPointError(
                f"loss is {float(loss.detach())} at step {self.step}; batch kept in bad-batch.pt"
            )
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimiser.step()
        self.step += 1
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - decay)
        return float(loss.detach())

    def _log(self, text: str) -> None:
        line = f"{self.spent_s / 60:6.1f} min  step {self.step}  {text}"
        print(line, flush=True)
        with (self.run / "log.txt").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
