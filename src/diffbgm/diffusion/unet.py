"""The paper's U-Net as a denoiser of whole pieces: (z, s) -> clean estimate, like the beat transformer's.

The graph is one step of a noise-predicting network over eight bars (`diffbgm.train.export_unet`). What turns
it into a denoiser of any length on the straight-line schedule is here, in numpy:

| here | meaning |
|---|---|
| z = (1 - s) x + s n | what samplers hold; x: planes (2, steps, 128), 0..1, see `diffbgm.diffusion.planes` |
| z / hypot(1 - s, s) | the same as the published chain has it, sqrt(ab) x + sqrt(1 - ab) n |
| t | the published step of that signal-to-noise ratio, also between whole ones; at most the last, 999 |

A sampler that starts above the last step's level gives pure noise where the chain has a rest of signal; the
network is then asked about step 999, which is how the published sampler starts too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from diffbgm.diffusion.behaviour import F32, Behaviour, Mask, no_condition, stream_mask, visible_rows
from diffbgm.diffusion.conditions import Conditions
from diffbgm.diffusion.denoiser import Guidance, window_starts, window_weights
from diffbgm.diffusion.guidance import guide
from diffbgm.diffusion.handmade import handmade_rows
from diffbgm.diffusion.levels import alpha_bars, level_of
from diffbgm.diffusion.planes import PLANE_PITCHES
from diffbgm.diffusion.weights import Weights
from diffbgm.timing import STEPS_PER_BEAT

WINDOW_BEATS: Final = 32
HOP_BEATS: Final = 24
MAX_BATCH: Final = 4  # windows a call: a window's activations take some 150 MB
PUBLISHED_LEVELS: Final = level_of(alpha_bars())


@dataclass(frozen=True)
class FeatureRows:
    """What steers the U-Net, a row a beat. visual: float32 (beats, 512). caption: float32 (beats, 768).

    segments: bool (beats, segments), where the film's segments lie.
    """

    visual: F32
    caption: F32
    segments: Mask

    @classmethod
    def of_conditions(cls, given: Conditions) -> FeatureRows:
        """The hand-made rows of the conditions."""
        return cls(*handmade_rows(given), given.mask)

    def as_conditions(self) -> Conditions:
        """The same for the beat transformer: visual rows a beat, the mean caption of each segment."""
        shares = self.segments / np.maximum(self.segments.sum(axis=0), 1)
        return Conditions(self.visual, (shares.T @ self.caption).astype(np.float32), self.segments)

    def window(self, start_beat: int, n_beats: int) -> FeatureRows:
        """The stretch of `n_beats` from `start_beat`; past the end rows are 0, in a segment of their own.

        The published data set ends in rows of 0 likewise.
        """
        beats = slice(start_beat, start_beat + n_beats)
        missing = n_beats - len(self.visual[beats])
        segments = np.pad(self.segments[beats], ((0, missing), (0, 1)))
        segments[n_beats - missing :, -1] = True
        after = ((0, missing), (0, 0))
        return FeatureRows(np.pad(self.visual[beats], after), np.pad(self.caption[beats], after), segments)


def step_of(s: float) -> float:
    """The published step, 0..999, with the signal-to-noise ratio of level `s`; also between whole ones."""
    return float(np.interp(s, PUBLISHED_LEVELS, np.arange(len(PUBLISHED_LEVELS))))


def behaviour_of(weights: Weights) -> Behaviour:
    """How the network was trained to be treated."""
    return Behaviour.of(weights.metadata["recipe"]["network"]["behaviour"])


class UNetDenoiser:
    """Clean estimate of a whole piece: its overlapping windows denoised together, averaged where they meet.

    `guidance` says how strongly the rows steer, which of them when (selector), and what a beat sees
    (segments); the weights' own behaviour the rest. A window costs one forward a step, two with guidance.
    """

    def __init__(self, weights: Weights, rows: FeatureRows, guidance: Guidance) -> None:
        self.weights, self.guidance = weights, guidance
        self.behaviour = behaviour = behaviour_of(weights)
        self.n_beats = max(WINDOW_BEATS, len(rows.visual))
        self.starts = window_starts(self.n_beats, WINDOW_BEATS, HOP_BEATS)
        self.rows = [rows.window(start, WINDOW_BEATS) for start in self.starts]
        self.visible = [
            visible_rows(window.segments, guidance.segments, behaviour.n_blocks) for window in self.rows
        ]
        fade = window_weights(self.starts, self.n_beats, WINDOW_BEATS, HOP_BEATS)
        self.fade = np.repeat(fade, STEPS_PER_BEAT, axis=1)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (2, self.n_beats * STEPS_PER_BEAT, PLANE_PITCHES)

    def __call__(self, z: F32, s: float) -> F32:
        """z: float32 (2, 4 * n_beats, 128). Returns the estimate of the clean planes, same shape."""
        level = min(s, float(PUBLISHED_LEVELS[-1]))
        signal, noise = (part / math.hypot(1 - level, level) for part in (1 - level, level))
        noisy = (z / math.hypot(1 - s, s)).astype(np.float32)
        out = np.zeros_like(z)
        for first in range(0, len(self.starts), MAX_BATCH // 2):
            part = range(first, min(first + MAX_BATCH // 2, len(self.starts)))
            windows = np.stack([noisy[:, _steps(self.starts[k])] for k in part])
            clean = (windows - noise * self._noise(windows, list(part), s)) / signal
            for k, window in zip(part, clean, strict=True):
                steps = _steps(self.starts[k])
                out[:, steps] += self.fade[k, steps, None] * window
        return out.clip(0.0, 1.0) if self.behaviour.clip else out

    def _noise(self, windows: F32, chosen: list[int], s: float) -> F32:
        """The noise in some windows, (windows, 2, 128, 128), pushed towards what their rows ask for."""
        semantic, dynamic = self.guidance.speaks(s)
        visual = [self.rows[k].visual for k in chosen]
        caption = [self.rows[k].caption for k in chosen]
        masks = [stream_mask(self.visible[k], semantic, dynamic) for k in chosen]
        if self.guidance.scale == 1.0:
            return run(self.weights, windows, step_of(s), visual, caption, masks)
        for k in chosen:
            nothing, mask = no_condition(self.rows[k].visual, self.visible[k], self.behaviour)
            visual.append(nothing)
            masks.append(mask)
        both = run(self.weights, np.concatenate([windows] * 2), step_of(s), visual, caption * 2, masks)
        given, free = np.split(both, 2)
        return guide(given, free, self.guidance.scale, self.guidance.rescale)


def run(
    weights: Weights, windows: F32, t: float, visual: list[F32], caption: list[F32], masks: list[Mask]
) -> F32:
    """One call of the graph: the noise in `windows`, float32 (windows, 2, 128, 128).

    visual, caption: rows of each window; masks: what each of its beats sees of both, (beats, 2 * beats).
    """
    (noise,) = weights.session.run(
        ["noise"],
        {
            "planes": windows,
            "step": np.full(len(windows), t, np.float32),
            "visual": np.stack(visual),
            "caption": np.stack(caption),
            "mask": np.repeat(np.stack(masks), STEPS_PER_BEAT, axis=1),
        },
    )
    return np.asarray(noise, np.float32)


def _steps(first_beat: int) -> slice:
    return slice(first_beat * STEPS_PER_BEAT, (first_beat + WINDOW_BEATS) * STEPS_PER_BEAT)
