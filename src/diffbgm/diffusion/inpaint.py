"""Some bars of a roll composed anew, in all tracks or in some, while every other bit stays as it is.

The whole roll but the free entries is clamped (`diffbgm.diffusion.sampler`), so that the network writes what
joins on to it; afterwards what was not free is copied back from the old roll, bit for bit, whatever the
weights. Notes across the borders of the edited bars:

- held over the first border: what was struck before stays struck; how long it sounds in the edited bars is
  free.
- held over the last border: stays as it is from where it is struck, also inside the edited bars, since what
  follows could otherwise not stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.compose import Around, draw
from diffbgm.diffusion.given import with_asked_basses
from diffbgm.diffusion.roll import N_PITCHES, ONSET, SUSTAIN, TRACKS, PianoRoll
from diffbgm.diffusion.sampler import Clamp
from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.tokens import (
    BITS,
    CHORD,
    N_BITS,
    TOKEN_SIZE,
    VELOCITIES,
    drop_orphans,
    encode,
    shift_pitches,
)
from diffbgm.diffusion.unet import FeatureRows
from diffbgm.diffusion.weights import Weights
from diffbgm.pitch import transposition
from diffbgm.spotting.cuesheet import Edit, Plan
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BAR, STEPS_PER_BEAT

Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class Free:
    """Which entries of a roll an edit may change: True there, shapes as in the roll, `chords` (beats,)."""

    bits: Bits
    velocity: Bits
    chords: Bits


def recompose(
    roll: PianoRoll,
    plan: Plan,
    edit: Edit,
    weights: Weights,
    *,
    sampling: Sampling | None = None,
    features: FeatureRows | None = None,
    progress: Callable[[float], None] | None = None,
) -> PianoRoll:
    """The roll with the bars and tracks of `edit` composed anew from the plan; all else bit-identical.

    roll: in the plan's key, as many beats as the plan. The edit's seed decides what is random. Chords belong
    to the accompaniment: they are new where it is. like "rhythm": every track strikes as many notes at the
    same steps as before, as strongly; like "notes": the chords stay, and in each bar a track uses only pitch
    classes that it used there before. Raises what `draw` raises.
    """
    free = free_entries(roll, edit)
    struck = _struck(roll, free) if edit.like == "rhythm" else None
    drawn = _drawn(roll, plan, free, (edit,), weights, sampling, features, progress, struck)
    # Where rhythm or pitches are to stay, they come before the bass that a chord asks for.
    return merged(roll, drawn if edit.like else with_asked_basses(drawn, plan), free)


def recompose_all(
    roll: PianoRoll,
    plan: Plan,
    edits: Sequence[Edit],
    weights: Weights,
    *,
    sampling: Sampling | None = None,
    features: FeatureRows | None = None,
    progress: Callable[[float], None] | None = None,
) -> PianoRoll:
    """`recompose` of several stretches of bars at once, none with `like`; the first's seed decides."""
    each = [free_entries(roll, edit) for edit in edits]
    free = Free(
        np.logical_or.reduce([one.bits for one in each]),
        np.logical_or.reduce([one.velocity for one in each]),
        np.logical_or.reduce([one.chords for one in each]),
    )
    drawn = _drawn(roll, plan, free, edits, weights, sampling, features, progress)
    return merged(roll, with_asked_basses(drawn, plan), free)


def _drawn(
    roll: PianoRoll,
    plan: Plan,
    free: Free,
    edits: Sequence[Edit],
    weights: Weights,
    sampling: Sampling | None,
    features: FeatureRows | None,
    progress: Callable[[float], None] | None,
    struck: NDArray[np.int64] | None = None,
) -> PianoRoll:
    """What is free drawn around what is kept."""
    first, end = min(edit.start_bar for edit in edits), max(edit.end_bar for edit in edits)
    around = Around(
        clamp=kept_clamp(roll, free, transposition(plan.key)),
        beats=slice(first * BEATS_PER_BAR, end * BEATS_PER_BAR),
        seed=edits[0].seed,
        struck=struck,
    )
    return draw(plan, weights, sampling, features, progress, around)


def free_entries(roll: PianoRoll, edit: Edit) -> Free:
    """What of the roll is not to stay.

    Of a note that is held over the end of the edited bars nothing is free. like "rhythm": velocities are not
    free, onsets only where the track strikes now. like "notes": chords are not free, bits only at pitch
    classes that sound in the track in that bar.
    """
    steps = slice(edit.start_bar * STEPS_PER_BAR, edit.end_bar * STEPS_PER_BAR)
    tracks = [TRACKS.index(name) for name in edit.tracks]
    bits = np.zeros(roll.bits.shape, bool)
    bits[tracks, :, steps] = ~held_over(roll.bits[tracks], steps.stop)[:, None, steps]
    velocity = np.zeros(roll.velocity.shape, bool)
    velocity[tracks, steps] = True
    velocity &= ~(roll.bits[:, ONSET] & ~bits[:, ONSET]).any(axis=-1)
    chords = np.zeros(roll.n_beats, bool)
    chords[steps.start // STEPS_PER_BEAT : steps.stop // STEPS_PER_BEAT] = "accompaniment" in edit.tracks
    if edit.like == "rhythm":
        velocity[:] = False
        bits[:, ONSET] &= roll.bits[:, ONSET].any(axis=-1, keepdims=True)
    elif edit.like == "notes":
        chords[:] = False
        bits &= _classes_used(roll.bits)[:, None]
    return Free(bits, velocity, chords)


def held_over(bits: Bits, step: int) -> Bits:
    """Where the notes sound that are held from before `step` into it: bool (tracks, steps, 88).

    bits: bool (tracks, 2, steps, 88). True from each such note's onset up to `step`.
    """
    out = np.zeros(bits[:, 0].shape, bool)
    if step >= bits.shape[2]:
        return out
    reaching = bits[:, SUSTAIN, step]
    for at in range(step - 1, -1, -1):
        reaching = reaching & bits[:, :, at].any(axis=1)
        if not reaching.any():
            break
        out[:, at] = reaching
        reaching = reaching & ~bits[:, ONSET, at]
    return out


def kept_clamp(roll: PianoRoll, free: Free, semitones: int) -> Clamp:
    """Clamp of tokens (beats, 2148) to all of the roll that is not free. semitones: as for `to_roll`."""
    beats = roll.n_beats
    values = encode(
        _by_beat(shift_pitches(roll.bits, -semitones)),
        _velocities_by_beat(roll.velocity),
        np.roll(roll.chroma, -semitones, axis=1),
        np.where(roll.bass < 0, -1, (roll.bass - semitones) % 12).astype(np.int8),
    )
    mask = np.empty((beats, TOKEN_SIZE), bool)
    mask[:, BITS] = ~_by_beat(shift_pitches(free.bits, -semitones)).reshape(beats, N_BITS)
    mask[:, VELOCITIES] = ~_velocities_by_beat(free.velocity).reshape(beats, -1)
    mask[:, CHORD] = ~free.chords[:, None]
    return Clamp(mask, values)


def merged(old: PianoRoll, new: PianoRoll, free: Free) -> PianoRoll:
    """The new roll where it is free, without sustain that continues nothing, the old one elsewhere."""
    bits = drop_orphans(np.where(free.bits, new.bits, old.bits))
    bits = np.where(free.bits, bits, old.bits)
    velocity = np.where(bits[:, ONSET].any(axis=-1), new.velocity, 0)
    return PianoRoll(
        bits,
        np.where(free.velocity, velocity, old.velocity).astype(np.uint8),
        np.where(free.chords[:, None], new.chroma, old.chroma),
        np.where(free.chords, new.bass, old.bass).astype(np.int8),
    )


def _struck(roll: PianoRoll, free: Free) -> NDArray[np.int64]:
    """How many of the notes struck now are free, int64 (3, steps); -1 where no onset is."""
    counts = (roll.bits[:, ONSET] & free.bits[:, ONSET]).sum(axis=-1)
    return np.where(free.bits[:, ONSET].any(axis=-1), counts, -1)


def _classes_used(bits: Bits) -> Bits:
    """Keys whose pitch class sounds in the track in the bar: bool (tracks, steps, 88)."""
    tracks, _, steps, _ = bits.shape
    by_bar = bits.any(axis=1).reshape(tracks, steps // STEPS_PER_BAR, STEPS_PER_BAR, N_PITCHES).any(axis=2)
    same_class = (np.arange(N_PITCHES)[:, None] - np.arange(N_PITCHES)) % 12 == 0
    used: Bits = by_bar @ same_class
    return np.repeat(used, STEPS_PER_BAR, axis=1)


def _by_beat(bits: Bits) -> Bits:
    """(3, 2, steps, 88) as (beats, 3, 2, 4, 88)."""
    tracks, planes, _, keys = bits.shape
    return bits.reshape(tracks, planes, -1, STEPS_PER_BEAT, keys).transpose(2, 0, 1, 3, 4)


def _velocities_by_beat(values: NDArray[Any]) -> NDArray[Any]:
    """(3, steps) as (beats, 3, 4)."""
    return values.reshape(len(TRACKS), -1, STEPS_PER_BEAT).transpose(1, 0, 2)
