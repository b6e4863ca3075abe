"""Takes to measure: what the shipped weights write for a small plan, and what can be made of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from diffbgm.diffusion.compose import compose_roll
from diffbgm.diffusion.roll import ONSET, SUSTAIN, PianoRoll
from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.tokens import drop_orphans, shift_pitches
from diffbgm.diffusion.weights import open_weights
from diffbgm.spotting.cuesheet import Plan
from diffbgm.timing import STEPS_PER_BAR
from tests.diffusion.plans import make_plan

PLAN = make_plan(bars=17, key="C")


@cache
def sampled(take: int = 0) -> PianoRoll:
    """A take of `PLAN` by the shipped weights; about half a second."""
    return draw(PLAN.model_copy(update={"take": take}))


def draw(plan: Plan) -> PianoRoll:
    weights = open_weights()
    sampling = Sampling.of(weights.sampling, sampler="dpm++2m", steps=8, eta=0.0)
    return compose_roll(plan, weights, sampling=sampling)


def with_bits(roll: PianoRoll, bits: np.ndarray, velocity: int | None = None) -> PianoRoll:
    """The roll with other notes; velocities where there were none are 80, or all of them `velocity`."""
    struck = bits[:, ONSET].any(axis=-1)
    loud = np.where(roll.velocity > 0, roll.velocity, 80) if velocity is None else velocity
    return replace(roll, bits=bits, velocity=np.where(struck, loud, 0).astype(np.uint8))


def emptied(roll: PianoRoll, from_bar: int) -> PianoRoll:
    """Without notes from a bar on."""
    bits = roll.bits.copy()
    bits[:, :, from_bar * STEPS_PER_BAR :] = False
    return with_bits(roll, bits)


def transposed(roll: PianoRoll, semitones: int) -> PianoRoll:
    """Its notes in another key than its chords."""
    return with_bits(roll, drop_orphans(shift_pitches(roll.bits, semitones)))


def repeated(roll: PianoRoll, bar: int) -> PianoRoll:
    """One bar over and over, all notes equally loud."""
    one = roll.bits[:, :, bar * STEPS_PER_BAR : (bar + 1) * STEPS_PER_BAR].copy()
    one[:, SUSTAIN, 0] = False
    bits = np.tile(one, (1, 1, roll.n_steps // STEPS_PER_BAR, 1))
    return with_bits(roll, drop_orphans(bits), velocity=80)


def random_notes(roll: PianoRoll, seed: int = 0) -> PianoRoll:
    """As many notes in each track, anywhere."""
    rng = np.random.default_rng(seed)
    bits = np.zeros_like(roll.bits)
    for track in range(3):
        count = int(roll.bits[track, ONSET].sum())
        bits[track, ONSET, rng.integers(0, roll.n_steps, count), rng.integers(20, 70, count)] = True
    return with_bits(roll, bits)


def with_melody(roll: PianoRoll, pitches: list[int], steps: int = 2, from_step: int = 0) -> PianoRoll:
    """A melody of equal notes of two sixteenths in place of the roll's own there."""
    bits = roll.bits.copy()
    until = from_step + steps * len(pitches)
    bits[0, :, from_step:until] = False
    for k, pitch in enumerate(pitches):
        at = from_step + steps * k
        bits[0, ONSET, at, pitch - 21] = True
        bits[0, SUSTAIN, at + 1 : at + steps, pitch - 21] = True
    return with_bits(roll, drop_orphans(bits))
