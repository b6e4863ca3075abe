"""The form of the piece: what every part must know before it plays its first note."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.score.harmony import Chord, Key
from diffbgm.score.styles import Style
from diffbgm.spotting.cuesheet import Plan, Role
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BAR, STEPS_PER_BEAT, FloatArray, TempoMap

GROUP_BARS: Final = 4
"""Patterns change with the phrase, not with each bar."""

_DENSITY_SHARE = 1 / 3
"""Of a bar's intensity so much is how many notes it has, the rest how strong they are."""

_ROLE_LEVEL: dict[Role, int] = {"intro": -1, "calm": -1, "outro": -1, "climax": 1}
"""Levels above or below what the energy says: roles are meant, energies are measured."""


@dataclass(frozen=True)
class Form:
    """Bars, levels, harmony, hits and speech on the grid.

    level: int per bar, which pattern of a style plays. energy: 0..1 per step. speech, melody, rests: bool
    per step: room is made for words; the melody may play; no chord is to sound. accents: step of each kept
    hit -> weight 0..1. section_of_bar: index of the section per bar. first_bars: first bar of each section.
    step_s: second at which each step falls, with the end of the last one. final_step: where the final
    chord is struck.
    """

    tempo_map: TempoMap
    step_s: FloatArray
    key: Key
    section_keys: tuple[Key, ...]
    chords: tuple[Chord, ...]
    level: tuple[int, ...]
    energy: FloatArray
    speech: NDArray[np.bool_]
    melody: NDArray[np.bool_]
    rests: NDArray[np.bool_]
    accents: dict[int, float]
    section_of_bar: tuple[int, ...]
    first_bars: tuple[int, ...]

    @property
    def n_steps(self) -> int:
        return self.tempo_map.n_bars * STEPS_PER_BAR

    @property
    def final_step(self) -> int:
        return self.n_steps - STEPS_PER_BAR

    def second(self, step: int, late: float = 0.0) -> float:
        """Second at which a step falls; `late` moves it by a share of that step's length."""
        at = float(self.step_s[step])
        return at + late * (float(self.step_s[step + 1]) - at) if late else at

    def key_at(self, step: int) -> Key:
        return self.section_keys[self.section_of_bar[step // STEPS_PER_BAR]]

    def chord(self, step: int) -> Chord:
        return self.chords[step // STEPS_PER_BEAT]

    def chord_begins(self, step: int) -> bool:
        """A chord other than the one before begins at this step (also at step 0), or a rest of harmony."""
        beat, rest = divmod(step, STEPS_PER_BEAT)
        if rest or beat == 0:
            return step == 0
        return self.chords[beat] != self.chords[beat - 1] or bool(self.rests[step] != self.rests[step - 1])

    def chord_end(self, step: int) -> int:
        """The step at which the chord sounding at `step` gives way, or the final chord begins."""
        at = (step // STEPS_PER_BEAT + 1) * STEPS_PER_BEAT
        while at < self.final_step and not self.chord_begins(at):
            at += STEPS_PER_BEAT
        return min(at, max(self.final_step, step + 1))

    def rest_after(self, step: int) -> int:
        """The next step at which no chord is to sound any more, or the final chord's."""
        resting = np.flatnonzero(self.rests[step : self.final_step])
        return step + int(resting[0]) if resting.size else self.final_step

    def token(self, patterns: tuple[str, ...], step: int) -> str:
        """The sign of a pattern at a step, "" where this level has no pattern.

        Patterns longer than a bar are counted from the section's first bar.
        """
        bar, within = divmod(step, STEPS_PER_BAR)
        pattern = patterns[self.level[bar]]
        if not pattern:
            return ""
        bars = len(pattern) // STEPS_PER_BAR
        since = (bar - self.first_bars[self.section_of_bar[bar]]) % bars
        return pattern[since * STEPS_PER_BAR + within]

    def harmonic_token(self, patterns: tuple[str, ...], step: int) -> str:
        """The sign of a pattern of chords or bass: "." where no chord is to sound, and after that what the
        pattern would be holding.
        """
        if self.rests[step]:
            return "."
        token = self.token(patterns, step) or "."
        while token == "-" and step > 0 and self.rests[step - 1]:
            step -= 1
            token = self.token(patterns, step) or "."
        return token

    @classmethod
    def of(cls, plan: Plan, key: Key, chords: tuple[Chord, ...], style: Style) -> Form:
        """Read the form from the plan; `chords` one a beat."""
        tempo_map = plan.tempo_map
        n_steps = tempo_map.n_bars * STEPS_PER_BAR
        section_of_bar = [0] * tempo_map.n_bars
        melody = np.ones(n_steps, dtype=np.bool_)
        unsounded = [chord is not None and not chord.tones for chord in plan.asked_chords]
        for index, section in enumerate(plan.sections):
            section_of_bar[section.start_bar : section.end_bar] = [index] * (
                section.end_bar - section.start_bar
            )
            melody[section.start_bar * STEPS_PER_BAR : section.end_bar * STEPS_PER_BAR] = section.melody
        step_s = tempo_map.seconds(np.arange(n_steps + 1) / STEPS_PER_BEAT)
        # A beat's energy holds at its middle; between middles it goes in a straight line.
        middles = np.arange(tempo_map.n_beats) + 0.5
        energy = np.interp(np.arange(n_steps) / STEPS_PER_BEAT, middles, np.asarray(plan.energy))
        accents: dict[int, float] = {}
        for hit in plan.hits:
            if hit.step is not None and hit.step < n_steps:
                accents[hit.step] = max(accents.get(hit.step, 0.0), hit.weight)
        return cls(
            tempo_map=tempo_map,
            step_s=step_s,
            key=key,
            section_keys=tuple(Key.parse(section.key) if section.key else key for section in plan.sections),
            chords=chords,
            level=_levels(plan, style),
            energy=energy,
            speech=np.repeat(plan.spoken_beats, STEPS_PER_BEAT),
            melody=melody,
            rests=np.repeat(unsounded, STEPS_PER_BEAT),
            accents=accents,
            section_of_bar=tuple(section_of_bar),
            first_bars=tuple(section.start_bar for section in plan.sections),
        )


def _levels(plan: Plan, style: Style) -> tuple[int, ...]:
    """The level of each bar: the style's thresholds on four bars' mean intensity, shifted by role."""
    intensity = (1 - _DENSITY_SHARE) * np.asarray(plan.energy) + _DENSITY_SHARE * np.asarray(plan.density)
    per_bar = intensity.reshape(-1, BEATS_PER_BAR).mean(axis=1)
    out: list[int] = []
    for section in plan.sections:
        for begin in range(section.start_bar, section.end_bar, GROUP_BARS):
            end = min(begin + GROUP_BARS, section.end_bar)
            level = int(np.searchsorted(style.levels, per_bar[begin:end].mean(), side="right"))
            level += _ROLE_LEVEL.get(section.role, 0)
            out += [min(max(level, 0), style.n_levels - 1)] * (end - begin)
    return tuple(out)
