"""How strongly each note is played: the beat, the line, the phrase and a hand, before the film's energy.

What is added to a velocity is multiplied by the style's `dynamics`, 0 being a machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from diffbgm.score.decode import GridNote
from diffbgm.score.form import GROUP_BARS, Form
from diffbgm.score.phrasing import phrases, wander
from diffbgm.score.styles import Style, StylePart
from diffbgm.timing import STEPS_PER_BAR, FloatArray

_PULSE_OF_PLAYED: Final = 0.6
"""Tracks of the roll bring some of the beat's weight themselves; written parts none."""

_ARCH: Final = {"melody": 12.0, "other": 7.0}
"""From the ends of a phrase to its peak."""

_PEAK: Final = (0.4, 0.6, 0.8)
"""Where a phrase has its peak, as a share of it: at its highest note, but within these; else in between."""

_BY_SEMITONE: Final = 0.25
_BY_OCTAVE_OF_LENGTH: Final = 1.5
_SHORTEST_PHRASE: Final = 4
_HAND: Final = 2.5
_DRUMMER: Final = 5.0
"""Standard deviation of a hand's velocity."""

_SWELL_BARS: Final = 2
_SWELL: Final = 0.4
"""Into a section of more energy the last bars grow by so much of the difference."""


def expressed(
    part: StylePart, notes: Iterable[GridNote], form: Form, style: Style, rng: np.random.Generator
) -> list[GridNote]:
    """The notes of a part with the weight of the beat, the shape of phrases and a hand, sorted.

    The beat weighs as the style's `pulse` says. Phrases grow to their peak and fall to their end (a parabola,
    as N. Todd, The dynamics of dynamics, J. Acoust. Soc. Am. 91, 1992); in melodies higher and longer notes
    are louder. Into a section of more energy all grows.
    """
    notes = sorted(notes)
    swell = _swell(form)
    hand = _hand(notes, style, rng) * _HAND
    share = 1.0 if part.written else _PULSE_OF_PLAYED
    out = []
    for phrase in phrases(notes, form):
        shape = _shape([notes[index] for index in phrase], part)
        for index, added in zip(phrase, shape, strict=True):
            note = notes[index]
            added += share * style.pulse[note.start_step % STEPS_PER_BAR]
            value = (note.velocity + style.dynamics * added) * swell[note.start_step] + hand[index]
            out.append(replace(note, velocity=_velocity(value)))
    return out


def drummed(notes: Iterable[GridNote], form: Form, style: Style, rng: np.random.Generator) -> list[GridNote]:
    """The strokes of percussion, each drum by a hand that wanders, growing into sections of more energy."""
    swell = _swell(form)
    out = []
    by_pitch: dict[int, list[GridNote]] = {}
    for note in sorted(notes):
        by_pitch.setdefault(note.pitch, []).append(note)
    for strokes in by_pitch.values():
        hand = _hand(strokes, style, rng) * _DRUMMER
        out += [
            replace(note, velocity=_velocity(note.velocity * swell[note.start_step] + added))
            for note, added in zip(strokes, hand, strict=True)
        ]
    return sorted(out)


def _hand(notes: Sequence[GridNote], style: Style, rng: np.random.Generator) -> FloatArray:
    """A hand's wandering for each note, at most two deviations; none where the style has no hand."""
    if not style.humanise_ms or not notes:
        return np.zeros(len(notes))
    steps = sorted({note.start_step for note in notes})
    strays = dict(zip(steps, np.clip(wander(steps, rng), -2, 2) * style.dynamics, strict=True))
    return np.array([strays[note.start_step] for note in notes])


def _shape(notes: Sequence[GridNote], part: StylePart) -> FloatArray:
    """What line and phrase add to each note of one phrase."""
    starts = np.array([note.start_step for note in notes], dtype=np.float64)
    begin, length = starts[0], starts[-1] - starts[0]
    if len(set(starts)) < _SHORTEST_PHRASE:
        return np.zeros(len(notes))
    place = (starts - begin) / length
    pitches = np.array([note.pitch for note in notes], dtype=np.float64)
    low, middle, high = _PEAK
    if part.written or not {"melody", "counter"} & set(part.plays):
        return _ARCH["other"] * _parabola(place, middle)
    peak = float(np.clip(place[int(pitches.argmax())], low, high))
    lengths = np.log2([note.steps for note in notes])
    line = np.clip(_BY_SEMITONE * (pitches - pitches.mean()), -4, 4)
    line += np.clip(_BY_OCTAVE_OF_LENGTH * (lengths - lengths.mean()), -3, 3)
    return np.asarray(line + _ARCH["melody"] * _parabola(place, peak))


def _parabola(place: FloatArray, peak: float) -> FloatArray:
    """1/3 at the peak, down to -2/3 at the end farther from it."""
    return np.asarray(1 / 3 - ((place - peak) / max(peak, 1 - peak)) ** 2)


def _swell(form: Form) -> FloatArray:
    """Factor of each step by which the bars before a section of more energy grow."""
    factor = np.ones(form.n_steps)
    for before, first in zip(form.first_bars, form.first_bars[1:], strict=False):
        border = first * STEPS_PER_BAR
        begin = max(before, first - _SWELL_BARS) * STEPS_PER_BAR
        after = form.energy[border : border + GROUP_BARS * STEPS_PER_BAR].mean()
        rise = max(0.0, float(after - form.energy[begin:border].mean()))
        factor[begin:border] += _SWELL * rise * np.linspace(0, 1, border - begin)
    return factor


def _velocity(value: float) -> int:
    return min(127, max(1, round(value)))
