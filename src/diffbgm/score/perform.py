"""From the grid to seconds: swing, a human hand, note lengths and the pedal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from diffbgm.score.decode import GridNote
from diffbgm.score.form import Form
from diffbgm.score.score import Note, Pedal
from diffbgm.score.styles import Style
from diffbgm.timing import STEPS_PER_BAR, STEPS_PER_BEAT

_DOWNBEAT_S = 0.003
_SPREAD_S = 0.002
_GAP_S = 0.005
_SHORTEST_S = 0.03
_PEDAL_AFTER_S = 0.05
"""The pedal goes down just after the chord and up with the next one, as pianists do it."""

_RELEASE_SHARE = 0.35
"""Of what follows the last stroke at most this share is left for the release."""


@dataclass(frozen=True)
class Clock:
    """Where steps fall in seconds when this style is played; `end_s` is when the last note is let go."""

    form: Form
    style: Style
    duration_s: float

    @property
    def end_s(self) -> float:
        last_s = self.form.second(max([self.form.final_step, *self.form.accents]))
        return self.duration_s - min(self.style.release_s, _RELEASE_SHARE * (self.duration_s - last_s))

    def exact(self, step: int) -> bool:
        """Hits and the final chord fall exactly on the grid."""
        return step in self.form.accents or step >= self.form.final_step

    def onset_s(self, step: int) -> float:
        return self.form.second(step, 0.0 if step % 2 == 0 or self.exact(step) else self.style.swing)

    def notes(self, notes: Iterable[GridNote], length: float, rng: np.random.Generator) -> tuple[Note, ...]:
        """The notes as played, sorted by start and pitch.

        Hits and the final chord are exact, downbeats within 3 ms, the rest strays by a normal
        distribution of `style.humanise_ms` (cut at two deviations); notes struck together stray together.
        `length`: share of its written length for which a note is held.
        Notes of one pitch never overlap and none sounds after `end_s`.
        """
        sigma = self.style.humanise_ms / 1000
        stray: dict[int, float] = {}
        out: list[Note] = []
        for note in sorted(notes):
            step = note.start_step
            start = self.onset_s(step)
            if not self.exact(step):
                if step not in stray:
                    limit = min(_DOWNBEAT_S, 2 * sigma) if step % STEPS_PER_BAR == 0 else 2 * sigma
                    stray[step] = min(limit, max(-limit, float(rng.normal(0.0, sigma))))
                start += stray[step]
                if step % STEPS_PER_BAR != 0:
                    start += float(rng.uniform(-_SPREAD_S, _SPREAD_S)) * (sigma > 0)
            start = max(0.0, start)
            final = note.end_step >= self.form.n_steps  # a cymbal may be written beyond the end
            end = self.end_s if final else self.form.second(note.end_step)
            if not final:
                end = start + length * (end - start)
            out.append(Note(start, min(max(end, start + _SHORTEST_S), self.end_s), note.pitch, note.velocity))
        return _separated(out)

    def pedals(self, notes: Iterable[GridNote]) -> tuple[Pedal, ...]:
        """Pedal down from just after each chord (and bar) to the next one, where the part plays."""
        form = self.form
        changes = [
            step
            for step in range(0, form.final_step, STEPS_PER_BEAT)
            if form.chord_begins(step) or step % STEPS_PER_BAR == 0
        ]
        ends = [*changes, form.final_step][1:]
        starts = sorted({note.start_step for note in notes})
        spans = [
            (form.second(begin), form.second(end))
            for begin, end in zip(changes, ends, strict=True)
            if (at := int(np.searchsorted(starts, begin))) < len(starts) and starts[at] < end
        ]
        spans.append((form.second(form.final_step), self.end_s))
        return tuple(
            Pedal(begin + _PEDAL_AFTER_S, end) for begin, end in spans if end - begin > 2 * _PEDAL_AFTER_S
        )


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
