"""The character of each section: its role, its label, its mood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diffbgm.spotting.cuesheet import Role
from diffbgm.spotting.look import FloatArray, Look

_SAME_LOOK = 0.12
_SHORT_INTRO_S = 20.0
_INTRO_BARS_WITHOUT_MELODY = 4
_INTRO_SHARE_WITHOUT_MELODY = 0.2
_MOST_SPOKEN, _MOST_SPOKEN_CALM = 0.9, 0.7  # shares of a section, beyond which it has no melody
_CLEARLY = 0.06  # a difference of energy that can be heard


@dataclass(frozen=True)
class Stretch:
    """A section before it has a character."""

    start_s: float
    end_s: float
    start_bar: int
    end_bar: int
    look: Look
    energy: float
    spoken: float  # share of its beats


def roles(stretches: Sequence[Stretch]) -> list[Role]:
    """What each section is for, by its place and its energy among the others.

    The liveliest is the climax and the one that leads up to it the build, if they stand out; the quiet ones
    are calm; the first is the intro and the last the outro of a film of three sections or more.
    """
    count = len(stretches)
    energy = np.array([each.energy for each in stretches])
    out: list[Role] = ["theme"] * count
    if count < 2:
        return out
    middle = float(np.median(energy))
    for k in range(count):
        if energy[k] < middle - _CLEARLY and energy[k] <= np.percentile(energy, 30):
            out[k] = "calm"
    top = int(np.argmax(energy))
    if count >= 3 and top > 0 and energy[top] > middle + _CLEARLY:
        out[top] = "climax"
        if top > 1 and energy[top - 1] < energy[top] - _CLEARLY / 2:
            out[top - 1] = "build"
    if count >= 3:
        first = stretches[0]
        if first.end_s - first.start_s <= _SHORT_INTRO_S or energy[0] < middle:
            out[0] = "intro"
        if out[-1] != "climax" or count > 3:
            out[-1] = "outro"
    elif energy[1] < energy[0] - _CLEARLY:
        out[1] = "outro"
    return out


def labels(looks: Sequence[Look]) -> list[str]:
    """A letter a section; sections that look alike share one, so that a theme can return."""
    known: list[Look] = []
    out = []
    for look in looks:
        distances = [look.distance(other) for other in known]
        nearest = int(np.argmin(distances)) if known else -1
        if nearest < 0 or distances[nearest] > _SAME_LOOK:
            known.append(look)
            nearest = len(known) - 1
        out.append(_letters(nearest))
    return out


def has_melody(role: Role, stretch: Stretch, duration_s: float) -> bool:
    """A short intro is accompaniment alone; a section full of speech leaves the tune to the voice."""
    bars = stretch.end_bar - stretch.start_bar
    share = (stretch.end_s - stretch.start_s) / duration_s
    if role == "intro" and bars <= _INTRO_BARS_WITHOUT_MELODY and share <= _INTRO_SHARE_WITHOUT_MELODY:
        return False
    return stretch.spoken <= (_MOST_SPOKEN_CALM if role == "calm" else _MOST_SPOKEN)


def shape(role: Role, values: FloatArray) -> FloatArray:
    """Energy of a section bent by its role: a build rises, an outro falls, a climax stands out."""
    ramp = np.linspace(-1.0, 1.0, len(values))
    change = {
        "build": 0.12 * ramp,
        "outro": -0.1 * ramp,
        "intro": 0.06 * ramp,
        "climax": 0.06 + 0.0 * ramp,
        "calm": -0.04 + 0.0 * ramp,
        "theme": 0.0 * ramp,
    }[role]
    return np.clip(values + change, 0.0, 1.0)


def _letters(index: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    out = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        out = chr(ord("A") + rest) + out
    return out
