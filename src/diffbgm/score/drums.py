"""Percussion, written by a style's patterns: variations, fills and builds that lead from section to section.

All strokes are on the grid, before dynamics: velocities here say how strong a stroke is among the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from diffbgm.score.decode import GridNote
from diffbgm.score.form import Form
from diffbgm.score.instruments import DRUMS
from diffbgm.score.styles import KEEP, StyleDrums
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BAR, STEPS_PER_BEAT

_RINGING: Final = ("Cymbal", "Open", "Ride")
_RINGING_STEPS: Final = 16
_SOFTEST_STROKE: Final = 18
_STROKE: Final = 12
"""A digit d is a stroke of velocity _SOFTEST_STROKE + _STROKE * d: 1 is a ghost note, 9 as loud as can be."""

_CRASH: Final = 96
_AROUND_BARS: Final = 4
"""How much energy rises at a border is judged by so many bars on either side of it."""

_RISE: Final = 0.08
_STRONG_RISE: Final = 0.2
"""From here on energy is felt to rise into a section; from here on a build leads into it, not a fill."""


class _LeadIn(NamedTuple):
    """What replaces the patterns in one bar: signs by drum, where its bar begins in them, from which step."""

    signs: Mapping[str, str]
    offset: int
    from_step: int

    def sign(self, name: str, within: int) -> str:
        signs = self.signs.get(name, "")
        return signs[self.offset + within] if signs and within >= self.from_step else KEEP


def drum_part(drums: StyleDrums, form: Form) -> list[GridNote]:
    """The percussion of the whole piece.

    Patterns by level, with the style's variation in the last of every few bars of a
    section. Into a section that is no quieter leads a fill: of one beat up to a whole bar, as it grows
    louder, or a build where energy rises strongly. A crash falls where it has risen.
    """
    leads = dict(_lead_ins(drums, form))
    out: list[GridNote] = []
    for name in sorted({*drums.patterns, *drums.fills, *drums.variations, *drums.builds}):
        patterns, variations = drums.patterns.get(name), drums.variations.get(name)
        for step in range(form.final_step):
            bar, within = divmod(step, STEPS_PER_BAR)
            sign = KEEP
            if bar in leads:
                sign = leads[bar].sign(name, within)
            elif variations and _varies(bar, drums, form):
                variation = variations[form.level[bar]]
                sign = variation[within] if variation else KEEP
            if sign == KEEP:
                sign = (patterns and form.token(patterns, step)) or "."
            if sign != ".":
                out.append(drum_note(name, step, _SOFTEST_STROKE + _STROKE * int(sign)))
    if drums.crash:
        for first in form.first_bars[1:]:
            step = first * STEPS_PER_BAR
            higher = form.level[first] > form.level[first - 1] or _rise(first, form) >= _RISE
            if step < form.final_step and form.level[first] >= 1 and higher and not form.speech[step]:
                out.append(drum_note(drums.crash, step, _CRASH))
    return out


def drum_note(name: str, step: int, velocity: int) -> GridNote:
    """One stroke; what rings is given time to."""
    steps = _RINGING_STEPS if any(word in name for word in _RINGING) else 1
    return GridNote(step, step + steps, DRUMS[name], min(velocity, 127))


def _varies(bar: int, drums: StyleDrums, form: Form) -> bool:
    since = bar - form.first_bars[form.section_of_bar[bar]]
    return (since + 1) % drums.vary_every == 0


def _rise(first: int, form: Form) -> float:
    """How much more energy there is after the beginning of a bar than before it."""
    at, around = first * STEPS_PER_BAR, _AROUND_BARS * STEPS_PER_BAR
    return float(form.energy[at : at + around].mean() - form.energy[max(0, at - around) : at].mean())


def _lead_ins(drums: StyleDrums, form: Form) -> Iterator[tuple[int, _LeadIn]]:
    """The bars before sections that are no quieter, with what leads out of them; none over speech."""
    build_bars = max((len(signs) for signs in drums.builds.values()), default=0) // STEPS_PER_BAR
    for before, first in zip(form.first_bars, form.first_bars[1:], strict=False):
        last = first - 1
        if form.level[last] == 0 or form.level[first] < form.level[last]:
            continue
        if first == form.tempo_map.n_bars - 1:
            continue  # the final chord comes out of calm
        rise = _rise(first, form)
        n_bars = build_bars if rise >= _STRONG_RISE and before < first - build_bars else 0
        if form.speech[(first - max(1, n_bars)) * STEPS_PER_BAR : first * STEPS_PER_BAR].any():
            continue
        if n_bars:
            for bar in range(n_bars):
                yield first - n_bars + bar, _LeadIn(drums.builds, bar * STEPS_PER_BAR, 0)
        else:
            beats = form.level[last] + (2 if rise >= _RISE else 0)
            yield last, _LeadIn(drums.fills, 0, max(0, BEATS_PER_BAR - beats) * STEPS_PER_BEAT)
