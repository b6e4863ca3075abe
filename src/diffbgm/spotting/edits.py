"""What an edit asks of some bars, put into the plan: energy, mood and chords of these bars alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from diffbgm.errors import OptionError
from diffbgm.pitch import LEFT_OPEN, ChordSymbol, parse_progression
from diffbgm.spotting.cuesheet import Edit, Plan, Section
from diffbgm.spotting.curves import density_curve, shift_mean
from diffbgm.spotting.mood import Mood, read_mood
from diffbgm.spotting.settle import settled
from diffbgm.timing import BEATS_PER_BAR

BarChords = tuple[ChordSymbol | None, ...]

# As for the mood of a whole film: the energy that a mood's arousal means.
_CALM_TO_EXCITED = 0.3


def with_edit(plan: Plan, edit: Edit) -> Plan:
    """The plan with what the edit asks for; bars, tempo, hits and seed stay.

    energy: the mean of the bars, their curve is moved there and the density follows. mood: the valence and
    arousal of the bars, which become sections of their own with the role, label and key they had; without an
    energy asked for, arousal sets it. chords: from the first of the bars on, over and over.
    Raises OptionError if bars lie outside the film or no word of the mood is known.
    """
    n_bars = plan.tempo_map.n_bars
    if not 1 <= edit.bars[0] <= edit.bars[1] <= n_bars:
        raise OptionError(
            f"option bars: {edit.bars[0]}-{edit.bars[1]} are no bars of this music, which has 1-{n_bars}"
        )
    plan, energy = settled(plan), edit.energy
    if edit.mood is not None:
        mood = read_mood(edit.mood)
        if mood.valence is None or mood.arousal is None:
            raise OptionError(
                f"option mood: no word of {edit.mood!r} is known; try words such as calm, hopeful, tense, sad"
            )
        energy = 0.5 + _CALM_TO_EXCITED * mood.arousal if energy is None else energy
        plan = _with_mood(plan, edit, mood)
    if energy is not None:
        plan = _with_energy(plan, edit, energy)
    if edit.chords is not None:
        plan = _with_chords(plan, edit, edit.chords)
    return Plan.model_validate(plan.model_dump())


def _with_energy(plan: Plan, edit: Edit, wanted: float) -> Plan:
    beats = slice(edit.start_bar * BEATS_PER_BAR, edit.end_bar * BEATS_PER_BAR)
    energy, density = np.array(plan.energy), np.array(plan.density)
    energy[beats] = np.round(shift_mean(energy[beats], wanted), 3)
    density[beats] = np.round(density_curve(energy, plan.spoken_beats)[beats], 3)
    sections = []
    for section in plan.sections:
        if _shared(section, edit):
            within = energy[section.start_bar * BEATS_PER_BAR : section.end_bar * BEATS_PER_BAR]
            section = section.model_copy(update={"energy": round(float(within.mean()), 3)})
        sections.append(section)
    changed = {"energy": tuple(energy.tolist()), "density": tuple(density.tolist())}
    return plan.model_copy(update={**changed, "sections": tuple(sections)})


def _with_mood(plan: Plan, edit: Edit, mood: Mood) -> Plan:
    out: list[Section] = []
    for section in plan.sections:
        borders = (edit.start_bar, edit.end_bar)
        inner = [bar for bar in borders if section.start_bar < bar < section.end_bar]
        for start, end in pairwise([section.start_bar, *inner, section.end_bar]):
            changes: dict[str, object] = {
                "start_bar": start,
                "end_bar": end,
                "start_s": plan.bar_starts_s[start],
                "end_s": plan.bar_starts_s[end],
            }
            if inner:
                within = plan.energy[start * BEATS_PER_BAR : end * BEATS_PER_BAR]
                changes["energy"] = round(float(np.mean(within)), 3)
            if section.chords and inner:
                bars = chords_by_bar(plan, section)
                changes["chords"] = written(bars[start - section.start_bar : end - section.start_bar])
            if edit.start_bar <= start < edit.end_bar:
                changes |= {"valence": mood.valence, "arousal": mood.arousal}
            out.append(section.model_copy(update=changes))
    return plan.model_copy(update={"sections": tuple(out)})


def _with_chords(plan: Plan, edit: Edit, chords: str) -> Plan:
    """The plan whose sections spell out their chords, bar by bar, where the edit has some."""
    asked = parse_progression(chords)
    out = []
    for section in plan.sections:
        if _shared(section, edit):
            bars = chords_by_bar(plan, section)
            for bar in range(max(section.start_bar, edit.start_bar), min(section.end_bar, edit.end_bar)):
                bars[bar - section.start_bar] = asked[(bar - edit.start_bar) % len(asked)]
            section = section.model_copy(update={"chords": written(bars)})
        out.append(section)
    return plan.model_copy(update={"sections": tuple(out)})


def chords_by_bar(plan: Plan, section: Section) -> list[BarChords]:
    """The chords of each bar of a section; where none are asked for they are left open."""
    text = section.chords or plan.chords
    progression = parse_progression(text) if text else ((None,),)
    since = section.start_bar if section.chords else 0
    bars = range(section.start_bar, section.end_bar)
    return [progression[(bar - since) % len(progression)] for bar in bars]


def written(bars: Sequence[BarChords]) -> str:
    """A progression as `diffbgm.pitch.parse_progression` reads it."""
    return " ".join(",".join(LEFT_OPEN if chord is None else chord.text for chord in bar) for bar in bars)


def _shared(section: Section, edit: Edit) -> bool:
    return section.start_bar < edit.end_bar and edit.start_bar < section.end_bar
