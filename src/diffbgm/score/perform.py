"""From the grid to seconds: swing, a human hand, note lengths and the pedal."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from typing import Final

import numpy as np

from diffbgm.score.decode import GridNote
from diffbgm.score.form import Form
from diffbgm.score.instruments import DRUMS
from diffbgm.score.phrasing import phrases, wander
from diffbgm.score.score import Note, Pedal
from diffbgm.score.styles import Style, StyleDrums, StylePart
from diffbgm.timing import STEPS_PER_BAR, STEPS_PER_BEAT, FloatArray

_DOWNBEAT_S: Final = 0.003
_SPREAD_S: Final = 0.002
_GAP_S: Final = 0.005
_SHORTEST_S: Final = 0.03

_TOGETHER, _ALONE, _AT_RANDOM = 0.5, 0.3, 0.2
"""Shares of the variance of the timing: players follow each other (Hennig 2014, Synchronization in human
musical rhythms, PNAS 111), each wanders for himself, and the rest is chance."""

_RUBATO_STEPS: Final = 8
"""Through so many steps before its last onset a phrase slows down, by one deviation at most."""

_STRUM_BEFORE: Final = 1 / 3
_STRUM_SHARE: Final = 0.5
"""A third of a strum comes before the beat, and all of it takes at most half a sixteenth."""

_PEDAL_AFTER_S: Final = (0.06, 0.12)
"""How long after the new chord the pedal goes down again: half a sixteenth, but between these."""

_PEDAL_HELD: Final = 0.8
"""The pedal catches notes that are still held: it is down after this share of the shortest of them."""

_REST_STEPS: Final = 2 * STEPS_PER_BEAT
"""Where the part stops playing the pedal comes up two beats after the end of its last note."""

_RELEASE_SHARE: Final = 0.35
"""Of what follows the last stroke at most this share is left for the release."""


@dataclass(frozen=True)
class Clock:
    """Where steps fall in seconds when this style is played; `end_s` is when the last note is let go."""

    form: Form
    style: Style
    duration_s: float
    seed: int

    @cached_property
    def _together(self) -> FloatArray:
        """How all players stray together, a step, in standard deviations."""
        return wander(range(self.form.n_steps), np.random.default_rng([self.seed, *b"together"]))

    @property
    def end_s(self) -> float:
        last_s = self.form.second(max([self.form.final_step, *self.form.accents]))
        return self.duration_s - min(self.style.release_s, _RELEASE_SHARE * (self.duration_s - last_s))

    def exact(self, step: int) -> bool:
        """Hits and the final chord fall exactly on the grid."""
        return step in self.form.accents or step >= self.form.final_step

    def onset_s(self, step: int) -> float:
        """Second of a step with the style's swing, which makes the first of each two eighths or sixteenths
        longer by its share and the second as much shorter; what lies between moves along.
        """
        if self.exact(step):
            return self.form.second(step)
        unit = 2 if self.style.swing_of == "eighths" else 1
        place = step % (2 * unit)
        return self.form.second(step, self.style.swing * min(place, 2 * unit - place))

    def notes(
        self, part: StylePart | StyleDrums, notes: Iterable[GridNote], rng: np.random.Generator
    ) -> tuple[Note, ...]:
        """The notes as played, sorted by start and pitch.

        Hits and the final chord are exact. Elsewhere a part is `lag_ms` late, strays by `style.humanise_ms`
        (standard deviation; at most two, and 3 ms on downbeats), slows down by as much at the ends of
        phrases, and spreads what it strikes together by `strum_ms`, upwards on the beats and, where chords
        are written, downwards between them. Strays wander, they do not jump; parts stray partly together.
        Notes of one pitch never overlap and none sounds after `end_s`.
        """
        notes = sorted(notes)
        late = self._late(part, notes, rng)
        strum = _strummed(notes, part)
        lags = _lags_s(part)
        length = part.length if isinstance(part, StylePart) else 1.0
        out: list[Note] = []
        for note in notes:
            step = note.start_step
            start = self.onset_s(step)
            if not self.exact(step):
                after = self.form.second(step + 1)
                spread, order = strum.get((step, note.pitch), (0.0, 0.0))
                spread = min(spread, _STRUM_SHARE * (after - self.form.second(step)))
                start += late[step] + lags.get(note.pitch, lags[None]) + spread * order
                if step % STEPS_PER_BAR != 0:
                    start += float(rng.uniform(-_SPREAD_S, _SPREAD_S)) * (self.style.humanise_ms > 0)
                start = max(0.0, min(start, after - _SHORTEST_S))
            final = note.end_step >= self.form.n_steps  # a cymbal may be written beyond the end
            end = self.end_s if final else start + length * (self.onset_s(note.end_step) - start)
            out.append(Note(start, min(max(end, start + _SHORTEST_S), self.end_s), note.pitch, note.velocity))
        return _separated(out)

    def pedals(self, notes: Iterable[GridNote]) -> tuple[Pedal, ...]:
        """The pedal as pianists change it: up with each new chord (and bar), down just after it.

        It lies between bars and chords where the part plays, and comes up where the part rests for long.
        """
        form = self.form
        changes = [
            step
            for step in range(0, form.final_step, STEPS_PER_BEAT)
            if form.chord_begins(step) or step % STEPS_PER_BAR == 0
        ]
        notes = sorted(notes)
        starts = [note.start_step for note in notes]
        out = []
        for begin, end in pairwise([*changes, form.final_step]):
            struck = notes[bisect_left(starts, begin) : bisect_left(starts, end)]
            if struck:
                let_go = max(note.end_step for note in struck) + _REST_STEPS
                out.append(self._pedal(struck, begin, form.second(min(end, let_go))))
        if struck := notes[bisect_left(starts, form.final_step) :]:
            out.append(self._pedal(struck, form.final_step, self.end_s))
        return tuple(pedal for pedal in out if pedal.end_s > pedal.start_s)

    def _pedal(self, struck: Sequence[GridNote], begin: int, end_s: float) -> Pedal:
        """One stretch of pedal under notes struck from the step `begin` on."""
        form = self.form
        first = struck[0].start_step
        at, step_s = form.second(begin), form.second(begin + 1) - form.second(begin)
        low, high = _PEDAL_AFTER_S
        after = min(max(low, step_s / 2), high)
        if first == begin:
            held = min(note.steps for note in struck if note.start_step == begin)
            after = min(after, _PEDAL_HELD * held * step_s)
        return Pedal(at + after, end_s)

    def _late(
        self, part: StylePart | StyleDrums, notes: Sequence[GridNote], rng: np.random.Generator
    ) -> dict[int, float]:
        """How many seconds late a part is at each step at which it plays, beyond its own lag."""
        sigma = self.style.humanise_ms / 1000
        steps = sorted({note.start_step for note in notes})
        if not sigma or not steps:
            return dict.fromkeys(steps, 0.0)
        stray = (
            _TOGETHER**0.5 * self._together[np.minimum(steps, self.form.n_steps - 1)]
            + _ALONE**0.5 * wander(steps, rng)
            + _AT_RANDOM**0.5 * rng.normal(size=len(steps))
        )
        late = dict(zip(steps, (sigma * np.clip(stray, -2, 2)).tolist(), strict=True))
        if isinstance(part, StylePart):
            for phrase in phrases(notes, self.form):
                last = notes[phrase[-1]].start_step
                begin = max(notes[phrase[0]].start_step, last - _RUBATO_STEPS)
                for step in {notes[index].start_step for index in phrase}:
                    if begin < step:
                        late[step] += sigma * ((step - begin) / _RUBATO_STEPS) ** 2
        for step in steps:
            if step % STEPS_PER_BAR == 0:
                late[step] = min(_DOWNBEAT_S, max(-_DOWNBEAT_S, late[step]))
        return late


def _lags_s(part: StylePart | StyleDrums) -> Mapping[int | None, float]:
    """How late a part always is, in seconds: by pitch where its drums differ, None for all others."""
    if isinstance(part, StylePart):
        return {None: part.lag_ms / 1000}
    return {None: 0.0} | {DRUMS[name]: lag / 1000 for name, lag in part.lag_ms.items()}


def _strummed(
    notes: Sequence[GridNote], part: StylePart | StyleDrums
) -> dict[tuple[int, int], tuple[float, float]]:
    """For each note (step, pitch) struck with others: seconds from the first to the last of them, and its
    place among them, 0 at the beat.
    """
    if isinstance(part, StyleDrums) or not part.strum_ms:
        return {}
    out = {}
    for step, group in groupby(notes, key=lambda note: note.start_step):
        pitches = sorted({note.pitch for note in group})
        if part.written and step % STEPS_PER_BEAT:
            pitches.reverse()
        last = len(pitches) - 1
        for index, pitch in enumerate(pitches if last else ()):
            out[step, pitch] = (part.strum_ms / 1000 * last, index / last - _STRUM_BEFORE)
    return out


def _separated(notes: list[Note]) -> tuple[Note, ...]:
    """Ends each note just before the next of its pitch; what is left too short to hear is dropped."""
    out: list[Note] = []
    following: dict[int, Note] = {}
    for note in sorted(notes, key=lambda n: (n.start_s, n.pitch, n.velocity), reverse=True):
        after = following.get(note.pitch)
        end = note.end_s if after is None else min(note.end_s, after.start_s - _GAP_S)
        if after is not None and end - note.start_s < _SHORTEST_S / 2:
            continue
        played = Note(note.start_s, end, note.pitch, note.velocity)
        following[note.pitch] = played
        out.append(played)
    return tuple(reversed(out))
