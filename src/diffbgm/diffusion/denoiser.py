"""The shipped network as a denoiser of whole pieces: windows, guidance and selector around one graph.

The graph is a single step with named tensors (see `diffbgm.train.export`); all that happens between the
steps is numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.conditions import Conditions
from diffbgm.diffusion.density import AskedDensity
from diffbgm.diffusion.guidance import guide
from diffbgm.diffusion.motif import Motifs
from diffbgm.diffusion.segments import segment_mask
from diffbgm.diffusion.selector import PUBLISHED_THRESHOLD, select, streams
from diffbgm.diffusion.tokens import F32, TOKEN_SIZE, VELOCITIES, clean_estimate
from diffbgm.diffusion.weights import Weights
from diffbgm.options import Segments, Selector
from diffbgm.timing import BEATS_PER_BAR

SHORTEST_BEATS: Final = 64  # the shortest music a network of this package has learned from at once
MAX_BEATS: Final = 1024  # a call: bounds memory, and larger batches are no faster


@dataclass(frozen=True)
class Guidance:
    """How conditions enter: `scale` and `rescale` as in `guide`, the feature selector, the segment mask."""

    scale: float = 2.0
    selector: Selector = "both"
    threshold: float = PUBLISHED_THRESHOLD
    segments: Segments = "borders"
    rescale: float = 0.0

    def select(self, given: Conditions, s: float) -> Conditions:
        """What the network may see of a window's conditions at noise level `s`."""
        seen = select(given, *self.speaks(s))
        return replace(seen, mask=segment_mask(seen.mask, self.segments))

    def speaks(self, s: float) -> tuple[bool, bool]:
        """Whether the semantic and the dynamic stream speak at noise level `s`."""
        coin = np.random.default_rng(int(s * 1e9))  # a level's draw is the same in every run and window
        semantic, dynamic = streams(np.array(s), self.selector, self.threshold, coin)
        return bool(semantic), bool(dynamic)


def guided(with_conditions: F32, without: F32, scale: float, rescale: float = 0.0) -> F32:
    """Push the prediction towards what the film asks for: `guide` on the logits of the bits.

    Velocities are taken from the conditioned prediction: extrapolated they would leave the range of the
    instrument. float32 (windows, beats, 2148); a new array of the same shape.
    """
    out = guide(with_conditions, without, scale, rescale)
    out[..., VELOCITIES] = with_conditions[..., VELOCITIES]
    return out


def hop_of(window: int) -> int:
    """By how many beats neighbouring windows lie apart at most: a quarter overlaps."""
    return window * 3 // 4


def window_starts(n_beats: int, window: int, hop: int) -> list[int]:
    """First beats of windows that cover `n_beats`, neighbours at most `hop` apart.

    Starts lie on bars. A piece shorter than a window has one, which reaches past its end.
    """
    last = max(0, n_beats - window)
    count = 1 - (-last // hop)
    return [round(k * last / max(1, count - 1) / BEATS_PER_BAR) * BEATS_PER_BAR for k in range(count)]


def window_weights(starts: list[int], n_beats: int, window: int, hop: int) -> F32:
    """Weight of each window at each beat, float32 (windows, n_beats); columns sum to 1.

    Inside an overlap the weights are linear cross-fades, so that no beat changes windows at once.
    """
    at = np.arange(n_beats, dtype=np.float32)[None]
    first = np.array(starts, np.float32)[:, None]
    overlap = window - hop
    rise = np.where(first == 0, 1.0, (at - first + 0.5) / overlap)
    last = first + window
    fall = np.where(last >= n_beats, 1.0, (last - at - 0.5) / overlap)
    inside = (at >= first) & (at < last)
    weights: F32 = (np.clip(np.minimum(rise, fall), 0.0, 1.0) * inside).astype(np.float32)
    weights /= weights.sum(axis=0)
    return weights


class WindowedDenoiser:
    """Clean estimate of a whole piece: its overlapping windows denoised together, averaged where they meet.

    Cost grows linearly with length; at most `MAX_BEATS` beats are in the network at once. A window is as long
    as those the network learned from; a shorter piece is one window of its own length.
    wanted: the beats whose estimate is asked for, all without it; windows that hold none are left out.
    """

    def __init__(
        self, weights: Weights, conditions: Conditions, guidance: Guidance, wanted: slice = slice(None)
    ) -> None:
        self.weights, self.guidance = weights, guidance
        self.n_beats = max(SHORTEST_BEATS, len(conditions.dynamic))
        self.window = min(weights.window_beats, self.n_beats)
        hop = hop_of(self.window)
        first, end, _ = wanted.indices(self.n_beats)
        starts = window_starts(self.n_beats, self.window, hop)
        used = [k for k, start in enumerate(starts) if start < end and start + self.window > first]
        self.starts = [starts[k] for k in used]
        self.conditions = [conditions.window(start, self.window) for start in self.starts]
        self.shaper = Shaper(conditions)
        self.fade = window_weights(starts, self.n_beats, self.window, hop)[used]

    @property
    def shape(self) -> tuple[int, int]:
        return (self.n_beats, TOKEN_SIZE)

    def __call__(self, z: F32, s: float) -> F32:
        """z: float32 (n_beats, 2148). Returns the estimate of the clean tokens, same shape."""
        out = np.zeros_like(z)
        noisy = np.stack([z[start : start + self.window] for start in self.starts])
        prediction = predict(self.weights, noisy, s, self.conditions, self.guidance)
        for k, start in enumerate(self.starts):
            beats = slice(start, start + self.window)
            out[beats] += self.fade[k, beats, None] * prediction[k]
        return self.shaper(clean_estimate(out), s, self.guidance)


class Shaper:
    """What the network's estimate is given beyond what it says: motifs, and the density that is asked."""

    def __init__(self, conditions: Conditions) -> None:
        self.motifs = Motifs(conditions)
        codes = conditions.dynamic.dtype == np.int64
        self.density = AskedDensity(conditions.dynamic) if codes else None

    def __call__(self, estimate: F32, s: float, guidance: Guidance) -> F32:
        """Tokens float32 (beats, 2148). Density is asked only while the dynamic stream speaks at `s`."""
        out = self.motifs(estimate, s)
        return self.density(out) if self.density is not None and guidance.speaks(s)[1] else out


def clean_windows(
    weights: Weights,
    noisy: F32,
    s: float,
    conditions: Sequence[Conditions],
    guidance: Guidance,
    shaped: bool = True,
) -> F32:
    """Clean estimate of windows that have nothing to do with one another, float32 (windows, beats, 2148).

    shaped: as composing shapes it; otherwise as the network says it.
    """
    estimate = clean_estimate(predict(weights, noisy, s, conditions, guidance))
    if not shaped:
        return estimate
    return np.stack([Shaper(one)(each, s, guidance) for one, each in zip(conditions, estimate, strict=True)])


def predict(
    weights: Weights, noisy: F32, s: float, conditions: Sequence[Conditions], guidance: Guidance
) -> F32:
    """Guided prediction for a batch of windows, float32 (windows, beats, 2148)."""
    out = np.empty_like(noisy)
    half = max(1, MAX_BEATS // noisy.shape[1] // 2)
    for first in range(0, len(noisy), half):
        part = slice(first, first + half)
        seen = [guidance.select(one, s) for one in conditions[part]]
        if guidance.scale == 1.0:
            out[part] = run(weights, noisy[part], s, seen)
            continue
        unseen = [one.without_dynamic().without_semantic() for one in seen]
        both = run(weights, np.concatenate([noisy[part]] * 2), s, [*seen, *unseen])
        count = len(seen)
        out[part] = guided(both[:count], both[count:], guidance.scale, guidance.rescale)
    return out


def run(weights: Weights, noisy: F32, s: float, conditions: Sequence[Conditions]) -> F32:
    """One call of the graph, float32 (windows, beats, 2148). Segments are padded with unseen unknown ones."""
    count = len(conditions)
    n_segments = max(len(one.semantic) for one in conditions)
    semantic = np.zeros((count, n_segments, conditions[0].semantic.shape[1]), conditions[0].semantic.dtype)
    mask: NDArray[np.bool_] = np.zeros((count, noisy.shape[1], n_segments), bool)
    for k, one in enumerate(conditions):
        semantic[k, : len(one.semantic)] = one.semantic
        mask[k, :, : one.mask.shape[1]] = one.mask
    (prediction,) = weights.session.run(
        ["prediction"],
        {
            "tokens": noisy,
            "noise_level": np.full(count, s, np.float32),
            "dynamic": np.stack([one.dynamic for one in conditions]),
            "semantic": semantic,
            "mask": mask,
        },
    )
    return np.asarray(prediction, np.float32)
