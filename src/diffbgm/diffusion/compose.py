"""Plan in, piano roll out: conditions, windows, guidance, clamped ending, sampling, transposition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.behaviour import Alignment
from diffbgm.diffusion.cadence import CADENCE_BEATS, final_cadence
from diffbgm.diffusion.conditions import conditions_of
from diffbgm.diffusion.denoiser import WindowedDenoiser
from diffbgm.diffusion.form import alike, tied, ties_of
from diffbgm.diffusion.given import SHOWN_LEVEL, given_clamp, over, padded, shown, with_asked_basses
from diffbgm.diffusion.handmade import LAYOUT
from diffbgm.diffusion.modulation import in_keys, key_offsets
from diffbgm.diffusion.planes import clamp_of_planes, planes_in_keys, roll_of_planes, within_scale
from diffbgm.diffusion.rhythm import striking, struck_exactly
from diffbgm.diffusion.roll import PianoRoll
from diffbgm.diffusion.sampler import Clamp, Denoiser, sample
from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.tokens import to_roll
from diffbgm.diffusion.unet import FeatureRows, UNetDenoiser
from diffbgm.diffusion.weights import Weights
from diffbgm.errors import MissingToolError, OptionError
from diffbgm.pitch import transposition
from diffbgm.spotting.cuesheet import Plan
from diffbgm.timing import STEPS_PER_BEAT

PASSES_AROUND: Final = 4
"""How often each step is repeated while music is kept around what is drawn: see `sample`."""

SHOWN_AROUND: Final = 0.5
"""Share of the noise level at which the network sees what is kept around: see `shown`."""


def compose_roll(
    plan: Plan,
    weights: Weights,
    *,
    sampling: Sampling | None = None,
    features: FeatureRows | None = None,
    progress: Callable[[float], None] | None = None,
) -> PianoRoll:
    """Sample the film's music: one roll over all bars of the plan, in the plan's key.

    `sampling` defaults to what was chosen for these weights. `features`: what networks say of the film, a
    row a beat, for weights that follow it. The plan's seed and take decide all that is random; `progress` is
    called with the share done. Raises MissingToolError if the weights need features or rows of another
    layout, OptionError if they have no use for features.
    """
    return with_asked_basses(draw(plan, weights, sampling, features, progress), plan)


@dataclass(frozen=True)
class Around:
    """What stays around bars that are drawn anew.

    clamp: of tokens (beats of the piece, 2148), wins over all else that is held. beats: those not wholly
    held. seed: takes the place of the plan's. struck: int64 (3 tracks, steps), how many of the notes that are
    not held to be struck at each step, -1 where that is open; None: open everywhere.
    """

    clamp: Clamp
    beats: slice
    seed: int
    struck: NDArray[np.int64] | None = None


def draw(
    plan: Plan,
    weights: Weights,
    sampling: Sampling | None = None,
    features: FeatureRows | None = None,
    progress: Callable[[float], None] | None = None,
    around: Around | None = None,
) -> PianoRoll:
    """`compose_roll` without the asked basses put right; of a piece that is kept `around`, the missing part.

    Raises what `compose_roll` raises, and OptionError if a rhythm is to be kept by weights without tracks.
    """
    check_features(weights, features is not None)
    sampling = sampling or Sampling.of(weights.sampling)
    denoiser = _denoiser(plan, weights, features, sampling, slice(None) if around is None else around.beats)
    with_planes = isinstance(denoiser, UNetDenoiser)
    piece_beats = plan.tempo_map.n_beats
    minor = plan.key.endswith("m")
    semitones = transposition(plan.key)
    offsets = key_offsets(plan, denoiser.n_beats)
    denoise: Denoiser = denoiser
    if offsets.any() and in_one_key(weights):
        denoise = (planes_in_keys if with_planes else in_keys)(denoiser, offsets)
    given = given_clamp(plan, denoiser.n_beats, semitones)
    held = clamp = final_cadence(denoiser.n_beats, piece_beats, minor)
    if given is not None:
        held = clamp = over(held, given)
    struck = None
    if around is not None:
        held = clamp = over(held, padded(around.clamp, denoiser.n_beats))
        struck = around.struck
    if struck is not None:
        if with_planes:
            raise OptionError(f"option like: {weights.name} knows no tracks, so it cannot keep their rhythm")
        denoise = striking(denoise, struck, held)
    if with_planes:
        given = None if given is None else clamp_of_planes(given)
        clamp = clamp_of_planes(held)
        if not in_one_key(weights):
            clamp = within_scale(clamp, minor, offsets)
    in_sight, share = (given, SHOWN_LEVEL) if around is None else (clamp, SHOWN_AROUND)
    if in_sight is not None:
        denoise = shown(denoise, in_sight, share)
    noise = None
    if around is None and not with_planes:
        ties = ties_of(conditions_of(plan), piece_beats - CADENCE_BEATS, plan.asked_chords)
        denoise, noise = tied(denoise, ties, offsets, given), partial(alike, ties=ties, offsets=offsets)
    drawn = sample(
        denoise,
        denoiser.shape,
        sampling.levels,
        np.random.default_rng(plan.noise_seed if around is None else around.seed),
        sampler=sampling.sampler,
        eta=sampling.eta,
        clamp=clamp,
        passes=1 if around is None else PASSES_AROUND,
        noise=noise,
        progress=progress,
    )
    if with_planes:
        held = Clamp(held.mask[:piece_beats], held.values[:piece_beats])
        planes = drawn[:, : piece_beats * STEPS_PER_BEAT]
        return roll_of_planes(planes, np.asarray(plan.energy), semitones, held)
    if struck is not None:
        drawn = struck_exactly(drawn, struck, held)
    return to_roll(drawn[:piece_beats], semitones)


def in_one_key(weights: Weights) -> bool:
    """Whether the network writes in C major and A minor only; otherwise in whatever key it likes."""
    data = weights.metadata["recipe"].get("data", {})  # the first weights came before other data
    return bool(data.get("transpose", "key") == "key")


def check_features(weights: Weights, given: bool) -> None:
    """See that there are features if the weights follow them, and only then.

    Raises MissingToolError if they are missing, OptionError if there is no use for them.
    """
    needed = weights.conditions == "features"
    if needed and not given:
        raise MissingToolError(
            f"{weights.name}: follows features of the film; make them with `diffbgm features FILM` and "
            "give the file with --features"
        )
    if given and not needed:
        raise OptionError(f"option features: the weights {weights.name} follow no features of a film")


def alignment_of(weights: Weights) -> Alignment:
    """How rows of features lie on the beats for these weights."""
    recipe = weights.metadata["recipe"]
    ways = recipe["network"]["behaviour"] if weights.architecture == "unet" else recipe["conditions"]
    return "stretched" if ways["alignment"] == "stretched" else "time"


def _denoiser(
    plan: Plan, weights: Weights, features: FeatureRows | None, sampling: Sampling, wanted: slice
) -> WindowedDenoiser | UNetDenoiser:
    if weights.architecture == "unet":
        return UNetDenoiser(weights, _rows(plan, weights, features), sampling.conditions)
    conditions = conditions_of(plan) if features is None else features.as_conditions()
    return WindowedDenoiser(weights, conditions, sampling.conditions, wanted)


def _rows(plan: Plan, weights: Weights, features: FeatureRows | None) -> FeatureRows:
    """What steers the U-Net: the features, or the hand-made rows of the plan."""
    if features is not None:
        return features
    if weights.conditions != f"handmade-{LAYOUT}":
        raise MissingToolError(
            f"{weights.name}: follows rows {weights.conditions}; this diffbgm makes handmade-{LAYOUT}"
        )
    return FeatureRows.of_conditions(conditions_of(plan))
