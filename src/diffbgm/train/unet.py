"""The paper's network: a U-Net over piano rolls of eight bars with segment-masked attention.

Diff-BGM (Li et al., CVPR 2024, arXiv 2405.11913) denoises 2 x 128 x 128 rolls (onset and sustain plane, time
step, pitch) with the U-Net of latent diffusion (Rombach et al. 2022, arXiv 2112.10752). Modules are named as
in the published checkpoints, so that those load by name; `from_published` takes any size of the network.

Attention runs over time x pitch flattened with time outer. Which condition rows a time step may see is an
input, one mask for segments and feature selector together, so that the published ways and the repaired ones
(`diffbgm.diffusion.behaviour`) are the same network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffbgm.diffusion.behaviour import PUBLISHED, Behaviour
from diffbgm.diffusion.handmade import CAPTION_SIZE
from diffbgm.diffusion.levels import alpha_bars, level_of
from diffbgm.diffusion.selector import streams

SCHEDULE: Final = ("ldm.alpha", "ldm.beta", "ldm.alpha_bar", "ldm.sigma2")


@dataclass(frozen=True)
class UNetConfig:
    """Sizes under the names of the published configuration; the defaults are the paper's network.

    channels: base width. mult: factor of each level. levels: which levels attend. nres: residual blocks a
    level. d_cond: width of a condition row. heads: attention heads. behaviour: see its module; the network
    itself needs its `mask_self_attention`, the rest is for training, export and use.
    """

    channels: int = 64
    mult: tuple[int, ...] = (1, 2, 4, 4)
    levels: tuple[int, ...] = (2, 3)
    nres: int = 2
    d_cond: int = 512
    heads: int = 4
    behaviour: Behaviour = PUBLISHED

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> UNetConfig:
        """From the fields of a `config.json`; lists become tuples, `behaviour` is a preset or its fields."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        if "behaviour" in values:
            values["behaviour"] = Behaviour.of(values["behaviour"])
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON holds them."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}


class PublishedDenoiser(nn.Module):
    """The whole model: the U-Net, the layer that takes captions in, the feature selector.

    forward(x, t, visual=None, caption=None, mask=None) -> noise estimate, float (batch, 2, steps, pitches).

    x: float (batch, 2, steps, pitches). t: (batch,), published steps 0..999, whole or between.
    visual: float (batch, rows, d_cond). caption: float (batch, rows, 768).
    mask: bool (batch, steps, rows of both), visual rows first: which condition rows each time step may see,
    by segment and by selector. Each step must see one at least. Without it the window has equal blocks and
    the behaviour's selector chooses by `t` (the published one: captions where t > 200, visual rows
    elsewhere); what is given alone always speaks.
    Raises ValueError if neither stream is given, or if the random selector is to choose, which needs a mask.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.caption_enc = nn.Linear(CAPTION_SIZE, config.d_cond)
        self.ldm = nn.ModuleDict({"eps_model": UNet(config)})

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        visual: Tensor | None = None,
        caption: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        rows = [] if visual is None else [visual]
        if caption is not None:
            rows.append(self.caption_enc(caption))
        if not rows:
            raise ValueError("the U-Net needs visual features, captions, or both")
        if mask is None:
            mask = self._equal_blocks(x.shape[2], t, [part.shape[1] for part in rows])
        out: Tensor = self.ldm["eps_model"](x, t, torch.cat(rows, dim=1), mask)
        return out

    def _equal_blocks(self, steps: int, t: Tensor, rows: list[int]) -> Tensor:
        """The mask of the equal blocks for one stream, or for both with the selector's choice."""
        parts = [block_mask(steps, count, self.config.behaviour.n_blocks, t.device)[None] for count in rows]
        if len(rows) == 2:
            behaviour = self.config.behaviour
            level = level_of(alpha_bars())[t.cpu().numpy()]
            semantic, dynamic = streams(level, behaviour.selector, behaviour.threshold)
            speaks = [torch.from_numpy(stream).to(t.device) for stream in (dynamic, semantic)]
            parts = [part & stream[:, None, None] for part, stream in zip(parts, speaks, strict=True)]
        return torch.cat(parts, dim=2).expand(len(t), -1, -1)


def from_published(state_dict: Mapping[str, Tensor], config: Mapping[str, Any] | UNetConfig) -> nn.Module:
    """The network with the weights of a published `model` dictionary.

    `config` has the fields of the reference's `config.json` (`UNetConfig`). Schedule constants in the
    dictionary (`ldm.beta`, ...) are checked against the schedule, not loaded.
    Raises ValueError naming the first tensor that is missing, unknown or of another shape;
    `diffbgm.train.published` names them all.
    """
    if not isinstance(config, UNetConfig):
        config = UNetConfig.from_json(config)
    network = PublishedDenoiser(config)
    weights = {name: tensor for name, tensor in state_dict.items() if name not in SCHEDULE}
    expected = network.state_dict()
    for name, tensor in expected.items():
        if name not in weights:
            raise ValueError(f"{name}: missing from the checkpoint")
        if weights[name].shape != tensor.shape:
            raise ValueError(f"{name}: shape {tuple(weights[name].shape)}, expected {tuple(tensor.shape)}")
    unknown = sorted(set(weights) - set(expected))
    if unknown:
        raise ValueError(f"{unknown[0]}: not part of the network")
    found = state_dict.get("ldm.alpha_bar")
    expected_bars = torch.from_numpy(alpha_bars()).float()
    if found is not None and not torch.allclose(found.float(), expected_bars, atol=1e-5):
        raise ValueError("ldm.alpha_bar: another noise schedule than the published one")
    network.load_state_dict(weights)
    return network.eval()


class UNet(nn.Module):
    """forward(x, t, condition, mask) -> noise estimate of the shape of `x`.

    x: (batch, 2, steps, pitches). t: (batch,). condition: (batch, rows, d_cond).
    mask: bool (batch, steps, rows).
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.channels = config.channels
        embedding = 4 * config.channels
        self.time_embed = nn.Sequential(
            nn.Linear(config.channels, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        widths = [config.channels * factor for factor in config.mult]
        width = config.channels
        self.input_blocks = nn.ModuleList([Steps(nn.Conv2d(2, width, 3, padding=1))])
        skips = [width]
        for level, target in enumerate(widths):
            for _ in range(config.nres):
                layers: list[nn.Module] = [ResidualBlock(width, target, embedding)]
                width = target
                if level in config.levels:
                    layers.append(SpatialTransformer(width, config))
                self.input_blocks.append(Steps(*layers))
                skips.append(width)
            if level < len(widths) - 1:
                self.input_blocks.append(Steps(Downsample(width)))
                skips.append(width)
        self.middle_block = Steps(
            ResidualBlock(width, width, embedding),
            SpatialTransformer(width, config),
            ResidualBlock(width, width, embedding),
        )
        self.output_blocks = nn.ModuleList()
        for level, target in reversed(list(enumerate(widths))):
            for index in range(config.nres + 1):
                layers = [ResidualBlock(width + skips.pop(), target, embedding)]
                width = target
                if level in config.levels:
                    layers.append(SpatialTransformer(width, config))
                if level > 0 and index == config.nres:
                    layers.append(Upsample(width))
                self.output_blocks.append(Steps(*layers))
        self.out = nn.Sequential(nn.GroupNorm(32, width), nn.SiLU(), nn.Conv2d(width, 2, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor, condition: Tensor, mask: Tensor) -> Tensor:
        level = self.time_embed(step_embedding(t, self.channels))
        kept = []
        for block in self.input_blocks:
            x = block(x, level, condition, mask)
            kept.append(x)
        x = self.middle_block(x, level, condition, mask)
        for block in self.output_blocks:
            x = block(torch.cat([x, kept.pop()], dim=1), level, condition, mask)
        out: Tensor = self.out(x)
        return out


class Steps(nn.Sequential):
    """Layers in a row, each given what it takes: the noise level, the condition, or the roll alone."""

    def forward(  # type: ignore[override]
        self, x: Tensor, level: Tensor, condition: Tensor, mask: Tensor
    ) -> Tensor:
        for layer in self:
            if isinstance(layer, ResidualBlock):
                x = layer(x, level)
            elif isinstance(layer, SpatialTransformer):
                x = layer(x, condition, mask)
            else:
                x = layer(x)
        return x


class ResidualBlock(nn.Module):
    """Two convolutions with the noise level added between them."""

    def __init__(self, width: int, target: int, embedding: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(32, width), nn.SiLU(), nn.Conv2d(width, target, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, target))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(32, target), nn.SiLU(), nn.Identity(), nn.Conv2d(target, target, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if width == target else nn.Conv2d(width, target, 1)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        hidden = self.in_layers(x) + self.emb_layers(level)[:, :, None, None]
        out: Tensor = self.skip_connection(x) + self.out_layers(hidden)
        return out


class SpatialTransformer(nn.Module):
    """Self-attention over time x pitch, cross-attention to the condition rows, feed-forward."""

    def __init__(self, width: int, config: UNetConfig) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, width, eps=1e-6)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(width, config)])
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, condition: Tensor, mask: Tensor) -> Tensor:
        height, width = x.shape[2:]
        seen = at_steps(mask, height)
        flat = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            flat = block(flat, condition, seen, width)
        out: Tensor = x + self.proj_out(flat.transpose(1, 2).unflatten(2, (height, width)))
        return out


class TransformerBlock(nn.Module):
    """attn1: self-attention, attn2: cross-attention, ff: gated feed-forward.

    forward(x, condition, seen, pitches): x (batch, steps * pitches, width), seen bool (batch, steps, rows).
    """

    def __init__(self, width: int, config: UNetConfig) -> None:
        super().__init__()
        self.mask_self = config.behaviour.mask_self_attention
        self.attn1 = Attention(width, width, config.heads)
        self.attn2 = Attention(width, config.d_cond, config.heads)
        self.ff = GatedFeedForward(width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, x: Tensor, condition: Tensor, seen: Tensor, pitches: int) -> Tensor:
        normed = self.norm1(x)
        x = x + self.attn1(normed, normed, same_segment(seen, pitches) if self.mask_self else None)
        x = x + self.attn2(self.norm2(x), condition, seen.repeat_interleave(pitches, dim=1)[:, None])
        out: Tensor = x + self.ff(self.norm3(x))
        return out


def block_mask(steps: int, rows: int, n_blocks: int, device: torch.device) -> Tensor:
    """Which row each step may see, bool (steps, rows): those of its own one of `n_blocks` equal parts.

    Part i of n things begins at i n / n_blocks, rounded down.
    """
    cuts = [np.arange(1, n_blocks) * count // n_blocks for count in (steps, rows)]
    step_block, row_block = (
        torch.from_numpy(np.searchsorted(cut, np.arange(count), side="right")).to(device)
        for cut, count in zip(cuts, (steps, rows), strict=True)
    )
    return step_block[:, None] == row_block


def at_steps(mask: Tensor, steps: int) -> Tensor:
    """`mask` (batch, fine steps, rows) where time has `steps`: what the first fine step of each sees."""
    return mask[:, :: mask.shape[1] // steps]


def same_segment(seen: Tensor, pitches: int) -> Tensor:
    """Which notes see each other, bool (batch, 1, steps * pitches, same): those that see a row in common."""
    as_float = seen.float()
    together = torch.matmul(as_float, as_float.transpose(1, 2)) > 0
    return together.repeat_interleave(pitches, dim=1).repeat_interleave(pitches, dim=2)[:, None]


class Attention(nn.Module):
    """Multi-head attention of `x` over the rows of `memory`."""

    def __init__(self, width: int, memory_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(memory_width, width, bias=False)
        self.to_v = nn.Linear(memory_width, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width))

    def forward(self, x: Tensor, memory: Tensor, allowed: Tensor | None) -> Tensor:
        q, k, v = (
            projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projected in (self.to_q(x), self.to_k(memory), self.to_v(memory))
        )
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        out: Tensor = self.to_out(attended.transpose(1, 2).flatten(2))
        return out


class GatedFeedForward(nn.Module):
    """Linear, GEGLU (Shazeer 2020, arXiv 2002.05202), linear."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(Gate(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


class Gate(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        out: Tensor = value * F.gelu(gate)
        return out


class Downsample(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.op(x)
        return out


class Upsample(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out


def step_embedding(t: Tensor, size: int) -> Tensor:
    """Cosines and sines of the step at `size` / 2 frequencies from 1 down to 1/10000, float (batch, size)."""
    half = size // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, device=t.device) / half)
    angles = t[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
