"""Plan in, piano roll out: conditions, windows, guidance, clamped ending, sampling, transposition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from diffbgm.diffusion.behaviour import Alignment
from diffbgm.diffusion.cadence import final_cadence
from diffbgm.diffusion.conditions import conditions_of
from diffbgm.diffusion.denoiser import WindowedDenoiser
from diffbgm.diffusion.given import given_clamp, over, shown, with_asked_basses
from diffbgm.diffusion.handmade import LAYOUT
from diffbgm.diffusion.modulation import in_keys, key_offsets
from diffbgm.diffusion.planes import clamp_of_planes, planes_in_keys, roll_of_planes, within_scale
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
    row a beat, for weights that follow it. The plan's seed decides all that is random; `progress` is called
    with the share done. Raises MissingToolError if the weights need features or rows of another layout,
    OptionError if they have no use for features.
    """
    check_features(weights, features is not None)
    sampling = sampling or Sampling.of(weights.sampling)
    denoiser = _denoiser(plan, weights, features, sampling)
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
    if with_planes:
        given = None if given is None else clamp_of_planes(given)
        clamp = clamp_of_planes(held)
        if not in_one_key(weights):
            clamp = within_scale(clamp, minor, offsets)
    drawn = sample(
        denoise if given is None else shown(denoise, given),
        denoiser.shape,
        sampling.levels,
        np.random.default_rng(plan.seed),
        sampler=sampling.sampler,
        eta=sampling.eta,
        clamp=clamp,
        progress=progress,
    )
    if with_planes:
        held = Clamp(held.mask[:piece_beats], held.values[:piece_beats])
        planes = drawn[:, : piece_beats * STEPS_PER_BEAT]
        roll = roll_of_planes(planes, np.asarray(plan.energy), semitones, held)
    else:
        roll = to_roll(drawn[:piece_beats], semitones)
    return with_asked_basses(roll, plan)


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
    plan: Plan, weights: Weights, features: FeatureRows | None, sampling: Sampling
) -> WindowedDenoiser | UNetDenoiser:
    if weights.architecture == "unet":
        return UNetDenoiser(weights, _rows(plan, weights, features), sampling.conditions)
    conditions = conditions_of(plan) if features is None else features.as_conditions()
    return WindowedDenoiser(weights, conditions, sampling.conditions)


def _rows(plan: Plan, weights: Weights, features: FeatureRows | None) -> FeatureRows:
    """What steers the U-Net: the features, or the hand-made rows of the plan."""
    if features is not None:
        return features
    if weights.conditions != f"handmade-{LAYOUT}":
        raise MissingToolError(
            f"{weights.name}: follows rows {weights.conditions}; this diffbgm makes handmade-{LAYOUT}"
        )
    return FeatureRows.of_conditions(conditions_of(plan))
