"""Plan in, piano roll out: conditions, windows, guidance, clamped ending, sampling, transposition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from diffbgm.diffusion.cadence import final_cadence
from diffbgm.diffusion.conditions import conditions_of
from diffbgm.diffusion.denoiser import Guidance, WindowedDenoiser
from diffbgm.diffusion.roll import PianoRoll
from diffbgm.diffusion.sampler import noise_levels, sample
from diffbgm.diffusion.tokens import to_roll
from diffbgm.diffusion.weights import Weights
from diffbgm.pitch import pitch_class
from diffbgm.spotting.cuesheet import Plan


def compose_roll(
    plan: Plan,
    weights: Weights,
    *,
    guidance: float | None = None,
    steps: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> PianoRoll:
    """Sample the film's music: one roll over all bars of the plan, in the plan's key.

    `guidance` and `steps` default to what was chosen for these weights. The plan's seed decides all that
    is random; `progress` is called with the share done.
    """
    chosen = weights.sampling
    minor = plan.key.endswith("m")
    denoiser = WindowedDenoiser(
        weights,
        conditions_of(plan),
        Guidance(
            scale=chosen["guidance"] if guidance is None else guidance,
            selector=chosen["selector"],
            threshold=chosen["threshold"],
        ),
    )
    piece_beats = plan.tempo_map.n_beats
    tokens = sample(
        denoiser,
        denoiser.shape,
        noise_levels(steps or chosen["steps"]),
        np.random.default_rng(plan.seed),
        eta=chosen["eta"],
        clamp=final_cadence(denoiser.n_beats, piece_beats, minor),
        progress=progress,
    )
    return to_roll(tokens[:piece_beats], transposition(plan.key))


def transposition(key: str) -> int:
    """Semitones from C major or A minor to `key` (`C`, `F#`, `Ebm`), -6 .. 5."""
    home = 9 if key.endswith("m") else 0
    return (pitch_class(key) - home + 6) % 12 - 6
