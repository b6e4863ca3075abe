"""What each network is trained to do: what it is made of, what it sees, what it loses.

| | beat transformer | U-Net |
|---|---|---|
| noise level | s, uniform in 0..1 | t, a whole step of 1000 |
| what it sees | z = (1 - s) x + s n | z = sqrt(ab_t) x + sqrt(1 - ab_t) n |
| what it says | x: logits of the bits, values of the velocities | n |
| loss | cross-entropy, and squared error of velocities where something is struck | mean squared error |
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffbgm.diffusion.levels import PUBLISHED_STEPS, alpha_bars
from diffbgm.diffusion.roll import ONSET
from diffbgm.diffusion.tokens import BITS, BITS_SHAPE, CHORD, VELOCITIES, is_bit
from diffbgm.train.batches import Tensors
from diffbgm.train.recipe import Recipe, TrainingOptions
from diffbgm.train.transformer import BeatTransformer, TransformerConfig
from diffbgm.train.unet import PublishedDenoiser, UNetConfig


class Objective(Protocol):
    """What the training loop needs to know of a network."""

    def network(self) -> nn.Module:
        """A new one, with weights from torch's generator."""

    def loss(self, network: nn.Module, batch: Tensors) -> Tensor:
        """The loss of a batch, one number."""


class CleanTokens:
    """The beat transformer's: predict the clean tokens."""

    def __init__(self, config: TransformerConfig, options: TrainingOptions) -> None:
        self.config = config
        self.weights = loss_weights(options)
        self.bit = torch.from_numpy(is_bit())

    def network(self) -> nn.Module:
        return BeatTransformer(self.config)

    def loss(self, network: nn.Module, batch: Tensors) -> Tensor:
        s = batch["level"][:, None, None]
        noisy = (1 - s) * batch["clean"] + s * batch["noise"]
        prediction = network(noisy, batch["level"], batch["dynamic"], batch["semantic"], batch["mask"])
        if self.weights.device != prediction.device:
            self.weights, self.bit = self.weights.to(prediction.device), self.bit.to(prediction.device)
        return token_loss(prediction.float(), batch["clean"], self.weights, self.bit)


class Noise:
    """The U-Net's: predict the noise."""

    def __init__(self, config: UNetConfig) -> None:
        self.config = config
        self.alpha_bar = torch.from_numpy(alpha_bars()).float()

    def network(self) -> nn.Module:
        return PublishedDenoiser(self.config)

    def loss(self, network: nn.Module, batch: Tensors) -> Tensor:
        step = (batch["level"] * PUBLISHED_STEPS).long().clamp(max=PUBLISHED_STEPS - 1)
        signal = self.alpha_bar.to(step.device)[step][:, None, None, None]
        noisy = signal.sqrt() * batch["clean"] + (1 - signal).sqrt() * batch["noise"]
        noise = network(noisy, step, batch["visual"], batch["caption"], batch["mask"])
        return F.mse_loss(noise.float(), batch["noise"])


def objective_of(recipe: Recipe) -> Objective:
    if isinstance(recipe.network, UNetConfig):
        return Noise(recipe.network)
    return CleanTokens(recipe.network, recipe.training)


def loss_weights(options: TrainingOptions) -> Tensor:
    """Weight of each token entry in the loss, float32 (2148,); velocities are masked by their onsets too."""
    weights = np.ones(BITS_SHAPE, np.float32)
    weights[0] = weights[1] = options.melody_weight
    chord = np.full(CHORD.stop - CHORD.start, options.chord_weight, np.float32)
    velocity = np.full(VELOCITIES.stop - VELOCITIES.start, options.velocity_weight, np.float32)
    return torch.from_numpy(np.concatenate([weights.reshape(-1), velocity, chord]))


def token_loss(prediction: Tensor, tokens: Tensor, weights: Tensor, bit: Tensor) -> Tensor:
    """Weighted loss a beat, summed over the entries of its token. bit: bool (2148,), which are bits."""
    bits = (tokens > 0).float()
    cross_entropy = F.binary_cross_entropy_with_logits(prediction, bits, reduction="none")
    onsets = bits[..., BITS].view(*bits.shape[:-1], *BITS_SHAPE)[..., ONSET, :, :].any(dim=-1)
    error = (prediction[..., VELOCITIES] - tokens[..., VELOCITIES]) ** 2
    square = torch.zeros_like(prediction)
    square[..., VELOCITIES] = error * onsets.flatten(-2)
    return (torch.where(bit, cross_entropy, square) * weights).sum(dim=-1).mean()
