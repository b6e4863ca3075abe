"""The character of each section: its role, its label, its mood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diffbgm.spotting.cuesheet import Role
from diffbgm.spotting.look import FloatArray, Look
from diffbgm.timing import BEATS_PER_BAR

_SAME_LOOK = 0.12
_SHORT_INTRO_S = 20.0
_INTRO_BARS_WITHOUT_MELODY = 4
_INTRO_SHARE_WITHOUT_MELODY = 0.2
_MOST_SPOKEN, _MOST_SPOKEN_CALM = 0.9, 0.7  # shares of a section, beyond which it has no melody
_CLEARLY = 0.06  # a difference of energy that can be heard

# By how much the energy of a section rises on either side of its middle, and by how much it is raised.
_BENT: dict[Role, tuple[float, float]] = {
    "intro": (0.06, 0.0),
    "theme": (0.0, 0.0),
    "build": (0.12, 0.0),
    "climax": (0.0, 0.06),
    "calm": (0.0, -0.08),
    "outro": (-0.1, 0.0),
}
_LEAD_BEATS = 4 * BEATS_PER_BAR
_LEAD, _GENTLY = 0.15, 0.12


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

    @property
    def beats(self) -> slice:
        return slice(self.start_bar * BEATS_PER_BAR, self.end_bar * BEATS_PER_BAR)


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
    """A letter a section; sections that look alike share one."""
    known: list[Look] = []
    out = []
    for look in looks:
        distances = [look.distance(other) for other in known]
        nearest = int(np.argmin(distances)) if known else -1
        if nearest < 0 or distances[nearest] > _SAME_LOOK:
            known.append(look)
            nearest = len(known) - 1
        out.append(letters(nearest))
    return out


def has_melody(role: Role, stretch: Stretch, duration_s: float) -> bool:
    """A short intro is accompaniment alone; a section full of speech leaves the tune to the voice."""
    bars = stretch.end_bar - stretch.start_bar
    share = (stretch.end_s - stretch.start_s) / duration_s
    if role == "intro" and bars <= _INTRO_BARS_WITHOUT_MELODY and share <= _INTRO_SHARE_WITHOUT_MELODY:
        return False
    return stretch.spoken <= (_MOST_SPOKEN_CALM if role == "calm" else _MOST_SPOKEN)


def arc(energy: FloatArray, roles: Sequence[Role], stretches: Sequence[Stretch]) -> FloatArray:
    """The energy of a film, a value a beat, bent by the roles of its sections; a new array.

    A build rises, an outro falls, a climax stands out, calm is thinned. Over the four bars before a climax
    the energy rises, or over half the section before if that is shorter. A film that begins more quietly
    than it goes on begins gently, and one that does not at once.
    """
    out = energy.copy()
    for role, stretch in zip(roles, stretches, strict=True):
        beats = stretch.beats
        ramp = np.linspace(-1.0, 1.0, beats.stop - beats.start)
        rises, raised = _BENT[role]
        out[beats] += rises * ramp + raised
    for before, role in zip(stretches, roles[1:], strict=False):
        if role == "climax":
            beats = before.beats
            lead = min(_LEAD_BEATS, (beats.stop - beats.start) // 2)
            out[beats.stop - lead : beats.stop] += np.linspace(0.0, _LEAD, lead)
    opening = min(_LEAD_BEATS, stretches[0].beats.stop // 2)
    if roles[0] == "intro" and energy[:opening].mean() < energy.mean():
        out[:opening] -= np.linspace(_GENTLY, 0.0, opening)
    return np.clip(out, 0.0, 1.0)


def letters(index: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    out = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        out = chr(ord("A") + rest) + out
    return out
