"""The beat transformer: predicts clean beat tokens from noisy ones.

Self-attention over the beats of the window (rotary positions, Su et al. 2021, arXiv 2104.09864), adaptive
layer norm from the noise level (Peebles and Xie 2023, arXiv 2212.09748), and, in every second block,
segment-aware cross-attention: a beat attends to the dynamic tokens of the beats of its own segment and to
that segment's semantic tokens, and to nothing else. The dynamic token of a beat is also added to the beat
itself, so that its exact position costs no attention.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffbgm.diffusion.conditions import DYNAMIC_FIELDS, SEMANTIC_FIELDS
from diffbgm.diffusion.tokens import TOKEN_SIZE
from diffbgm.features.film_features import LANGUAGE_WIDTH, VISUAL_WIDTH


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of the network; stored in the weights' metadata.

    dropout: share of what each block adds that is left out in training. features: conditions are rows of
    numbers, 512 of the film's pictures a beat and 768 of its captions a segment, in place of codes.
    """

    width: int = 256
    depth: int = 8
    heads: int = 4
    bottleneck: int = 192
    cross_every: int = 2
    dropout: float = 0.0
    features: bool = False

    def __post_init__(self) -> None:
        sizes = (self.width, self.depth, self.heads, self.bottleneck, self.cross_every)
        if min(sizes) < 1 or self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} is not an even multiple of {self.heads} heads")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout} is not a share from 0 to below 1")

    def to_json(self) -> dict[str, int | float | bool]:
        return asdict(self)


class BeatTransformer(nn.Module):
    """forward(tokens, noise_level, dynamic, semantic, mask) -> prediction.

    tokens: float (batch, beats, 2148), noisy. noise_level: float (batch,), 0 = clean .. 1 = noise.
    dynamic: int64 (batch, beats, 10). semantic: int64 (batch, segments, 7). With `config.features` both are
    float, (batch, beats, 512) and (batch, segments, 768). In either form 0 throughout is "unknown".
    mask: bool (batch, beats, segments), at least one True in each row.
    Returns float (batch, beats, 2148): logits of the bits, values of the velocities.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.squeeze = nn.Linear(TOKEN_SIZE, config.bottleneck)
        self.enter = nn.Linear(config.bottleneck, width)
        if config.features:
            self.dynamic = nn.ModuleList([Rows(VISUAL_WIDTH, width)])
            self.semantic = nn.ModuleList([Rows(LANGUAGE_WIDTH, width)])
        else:
            self.dynamic = nn.ModuleList(nn.Embedding(size, width) for size in DYNAMIC_FIELDS.values())
            self.semantic = nn.ModuleList(nn.Embedding(size, width) for size in SEMANTIC_FIELDS.values())
        self.noise = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.blocks = nn.ModuleList(
            Block(width, config.heads, k % config.cross_every == config.cross_every - 1, config.dropout)
            for k in range(config.depth)
        )
        self.last_norm = nn.LayerNorm(width, elementwise_affine=False)
        self.last_modulation = nn.Linear(width, 2 * width)
        self.leave = nn.Linear(width, TOKEN_SIZE)
        for tables, spread in ((self.dynamic, 0.02), (self.semantic, 0.2)):
            for table in tables:
                if isinstance(table, nn.Embedding):
                    nn.init.normal_(table.weight, std=spread)
        for block in self.blocks:
            zero(block.modulation)
        zero(self.last_modulation)
        zero(self.leave)
        nn.init.constant_(self.leave.bias, -4.0)  # bits are rarely set

    def forward(
        self, tokens: Tensor, noise_level: Tensor, dynamic: Tensor, semantic: Tensor, mask: Tensor
    ) -> Tensor:
        level = self.noise(fourier_features(noise_level))
        fields = [dynamic] if self.config.features else list(dynamic.unbind(-1))
        rhythm = sum(table(field) for table, field in zip(self.dynamic, fields, strict=True))
        fields = [semantic] if self.config.features else list(semantic.unbind(-1))
        meanings = [table(field) for table, field in zip(self.semantic, fields, strict=True)]
        memory = torch.cat([rhythm, torch.stack(meanings, dim=2).flatten(1, 2)], dim=1)
        allowed = attention_mask(mask, len(self.semantic))
        rotation = rotary(tokens.shape[1], self.config.width // self.config.heads, tokens.device)
        x = self.enter(self.squeeze(tokens)) + rhythm
        for block in self.blocks:
            x = block(x, level, rotation, memory, allowed)
        shift, scale = self.last_modulation(level)[:, None].chunk(2, dim=-1)
        prediction: Tensor = self.leave(self.last_norm(x) * (1 + scale) + shift)
        return prediction


def zero(layer: object) -> None:
    """Start a linear layer at zero: what it modulates begins as the identity."""
    assert isinstance(layer, nn.Linear)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


class Rows(nn.Module):
    """Rows of numbers as tokens: (..., size) -> (..., width). A row of zeros says nothing: a learned token.

    Rows are scaled to the same length first, since features of different makers differ in that.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(size, width)
        self.unknown = nn.Parameter(torch.zeros(width))
        nn.init.normal_(self.unknown, std=0.02)

    def forward(self, rows: Tensor) -> Tensor:
        length = rows.pow(2).sum(dim=-1, keepdim=True).sqrt()
        scaled = rows * (math.sqrt(rows.shape[-1]) / length.clamp(min=1e-6))
        return torch.where(length > 0, self.enter(scaled), self.unknown)


class Block(nn.Module):
    """Self-attention, segment-aware cross-attention where asked, feed-forward."""

    def __init__(self, width: int, heads: int, with_cross: bool, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.with_cross = with_cross
        if with_cross:
            self.norm_cross = nn.LayerNorm(width)
            self.norm_memory = nn.LayerNorm(width)
            self.q = nn.Linear(width, width)
            self.kv = nn.Linear(width, 2 * width)
            self.out_cross = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.modulation = nn.Linear(width, 6 * width)

    def forward(
        self, x: Tensor, level: Tensor, rotation: tuple[Tensor, Tensor], memory: Tensor, allowed: Tensor
    ) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(level)[:, None].chunk(6, dim=-1)
        q, k, v = self._split(self.qkv(self.norm1(x) * (1 + scale1) + shift1), 3)
        attended = F.scaled_dot_product_attention(rotate(q, rotation), rotate(k, rotation), v)
        x = x + self.dropout((1 + gate1) * self.out(self._join(attended)))
        if self.with_cross:
            (q,) = self._split(self.q(self.norm_cross(x)), 1)
            k, v = self._split(self.kv(self.norm_memory(memory)), 2)
            attended = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
            x = x + self.dropout(self.out_cross(self._join(attended)))
        hidden = F.gelu(self.up(self.norm2(x) * (1 + scale2) + shift2), approximate="tanh")
        out: Tensor = x + self.dropout((1 + gate2) * self.down(hidden))
        return out

    def _split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """(batch, length, parts * width) -> parts of (batch, heads, length, width / heads)."""
        batch, length, _ = x.shape
        return x.view(batch, length, parts, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)

    @staticmethod
    def _join(x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(2)


def attention_mask(mask: Tensor, n_semantic: int) -> Tensor:
    """Which memory tokens a beat may see, bool (batch, 1, beats, beats + segments * n_semantic).

    `mask` (batch, beats, segments). Two beats see each other's dynamic tokens if they share a segment.
    """
    as_float = mask.float()
    same_segment = torch.matmul(as_float, as_float.transpose(1, 2)) > 0
    semantic = mask.unsqueeze(-1).expand(-1, -1, -1, n_semantic).flatten(2)
    return torch.cat([same_segment, semantic], dim=2)[:, None]


def fourier_features(noise_level: Tensor) -> Tensor:
    """(batch,) -> (batch, 64): cosines and sines of the noise level at 32 frequencies from 1 to 1000."""
    frequencies = torch.exp(torch.linspace(0, math.log(1000.0), 32, device=noise_level.device))
    angles = noise_level[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def rotary(length: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the rotation of each position, both (length, size / 2)."""
    frequencies = 10000 ** (-torch.arange(0, size, 2, device=device).float() / size)
    angles = torch.arange(length, device=device).float()[:, None] * frequencies
    return angles.cos(), angles.sin()


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary position embedding of (batch, heads, length, size), halves paired."""
    cos, sin = (part.to(x.dtype) for part in rotation)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
