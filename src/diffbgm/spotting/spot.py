"""Spotting: the film and a person's wishes in, the plan of the music out."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from diffbgm.spotting.character import ENERGY_BY_AROUSAL, Character, characterise
from diffbgm.spotting.cuesheet import (
    CueSheet,
    Hit,
    MelodyNote,
    Plan,
    Role,
    Section,
    SectionWish,
    Wishes,
)
from diffbgm.spotting.curves import density_curve, picture_energy, shift_mean, smooth
from diffbgm.spotting.harmonise import harmonise
from diffbgm.spotting.hits import Candidate, candidate_hits
from diffbgm.spotting.landing import landed, met_hits
from diffbgm.spotting.look import Film, FloatArray
from diffbgm.spotting.modulation import prepared, with_keys
from diffbgm.spotting.polish import polish, section_tempo
from diffbgm.spotting.scenes import hold, section_borders
from diffbgm.spotting.search import search
from diffbgm.spotting.sections import Stretch, arc, has_melody, labels, roles
from diffbgm.spotting.settle import settled
from diffbgm.spotting.speech import spoken_beats
from diffbgm.spotting.tempo import Bars, Border, Task
from diffbgm.spotting.tension import tightened
from diffbgm.spotting.themes import themes
from diffbgm.spotting.wishes import check_wishes, fitted_melody
from diffbgm.timing import BEATS_PER_BAR, TempoMap
from diffbgm.video.analysis import Analysis

# Part of what a plan was solved from: raised whenever the same film and wishes give another plan.
SPOTTING_VERSION = 3
# The same for films that words of mood are given for.
_WORDS_VERSION = 3
# The same for films in which somebody speaks.
_SPEECH_VERSION = 1

# Worth of a hit to the solver by its weight w: base + slope * w. A person's wish is worth several cuts.
_CUT_WORTH = (3.5, 1.0)
_USER_WORTH = (12.0, 6.0)
# How far a section's mood leaves the film's where the picture does.
_SECTION_VALENCE = 0.5
_SECTION_AROUSAL = 1.2
_REGISTER_BY_VALENCE, _REGISTER_BY_AROUSAL = 0.6, 0.4


def resolve(sheet: CueSheet, analysis: Analysis) -> CueSheet:
    """The sheet with a plan for this film.

    A plan that was solved from the same wishes and the same film is kept, so that what a person changed in
    it holds; its curves follow the sections' energies (`settled`). Otherwise the plan is solved anew; wishes
    are never touched. Raises OptionError where a wish does not fit the film.
    """
    solved_from = digest(sheet.wishes, analysis)
    if sheet.plan is not None and sheet.plan.solved_from == solved_from:
        return sheet.model_copy(update={"plan": settled(sheet.plan)})
    return sheet.model_copy(update={"plan": spot(analysis, sheet.wishes)})


def digest(wishes: Wishes, analysis: Analysis) -> str:
    """SHA-256 over the wishes, the film's length and rate, and the version of spotting."""
    wished = wishes.model_dump(mode="json")
    # Sheets from before there were these wishes keep their plans: left open, they count for nothing.
    for name in ("chords", "melody", "modulate", "captions", "mood_read"):
        if not wished[name]:
            del wished[name]
    if wishes.room_for_speech or not analysis.speech_spans:
        del wished["room_for_speech"]
    for section in wished["sections"]:
        for name in ("chords", "key", "melody_register"):
            if section[name] is None:
                del section[name]
    content = {
        "wishes": wished,
        "duration_s": round(analysis.duration_s, 6),
        "fps": [analysis.frame_rate.numerator, analysis.frame_rate.denominator],
        "spotting": SPOTTING_VERSION,
    }
    if wishes.mood or wishes.captions:
        content["words"] = _WORDS_VERSION
    if analysis.speech_spans and wishes.room_for_speech:
        content["speech"] = _SPEECH_VERSION
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def spot(analysis: Analysis, wishes: Wishes) -> Plan:
    """Decide where the music changes and what it meets.

    Every kept hit lies within half a frame of a sixteenth or better; bars keep the tempo rules of
    `diffbgm.spotting.tempo`; the last bar, the final chord's, ends with the film. Raises OptionError
    where a wish does not fit the film.
    """
    check_wishes(wishes, analysis.duration_s)
    film = Film(analysis if wishes.room_for_speech else replace(analysis, speech_spans=()))
    beat = TempoMap(tuple(np.linspace(0.0, analysis.duration_s, max(2, round(analysis.duration_s / 2) + 1))))
    liveliness = float(picture_energy(film, beat).mean())
    whole = film.look(0.0, analysis.duration_s)
    character = characterise(wishes, whole, liveliness, analysis.duration_s)
    candidates = candidate_hits(analysis, wishes)
    task, bars = _solve(film, wishes, candidates, character)
    tempo_map = TempoMap((*(round(float(s), 6) for s in bars.starts_s[:-1]), analysis.duration_s))
    bars = replace(bars, starts_s=np.array(tempo_map.bar_starts_s))

    sections, energy, density = _characters(film, task, bars, tempo_map, wishes, character)
    hits = met_hits(candidates, task, tempo_map)
    melody, said = fitted_melody(wishes.melody, tempo_map.n_bars)
    chords = wishes.chords or _harmony(melody, character.key, tempo_map.n_bars)
    if not chords:
        sections = prepared(
            with_keys(sections, character.key) if wishes.modulate else sections, character.key
        )
        if character.mood.understood:
            sections = tightened(sections, character.key)
    elif wishes.modulate:
        said.append("modulate: the key stays, since chords or a melody are given")
    warnings = (*character.warnings, *said, *_warnings(wishes, hits, sections, bars, analysis.fps))
    return Plan(
        duration_s=analysis.duration_s,
        fps=analysis.fps,
        key=character.key,
        style=character.style,
        seed=character.seed,
        bar_starts_s=tempo_map.bar_starts_s,
        sections=sections,
        hits=hits,
        energy=tuple(round(float(each), 3) for each in energy),
        density=tuple(round(float(each), 3) for each in density),
        chords=chords,
        melody=melody,
        speech_spans=film.analysis.speech_spans,
        mood_understood=tuple(_said(character, sections)),
        warnings=warnings,
        solved_from=digest(wishes, analysis),
    )


def _harmony(melody: tuple[MelodyNote, ...], key: str, n_bars: int) -> str | None:
    """Chords for a given melody that came without."""
    if not melody:
        return None
    first = int(min(note.beat for note in melody)) // BEATS_PER_BAR
    last = max(note.beat + note.beats for note in melody)
    return harmonise(melody, key, first, min(n_bars, math.ceil(last / BEATS_PER_BAR)), n_bars)


def spot_on_bars(analysis: Analysis, bar_starts_s: FloatArray, wishes: Wishes | None = None) -> Plan:
    """What the film asks of music whose bars are given: `spot` with nothing to solve.

    bar_starts_s: float64 (bars + 1,), rising from 0 to the film's end, 4/4. Sections begin at the bar nearest
    to their scene. Without wishes the bars are those of a song: every hit falls on the nearest sixteenth, and
    the music does not end with the last bar.
    """
    of_song = wishes is None
    wishes = wishes or Wishes()
    film = Film(analysis if wishes.room_for_speech else replace(analysis, speech_spans=()))
    tempo_map = TempoMap(tuple(bar_starts_s.tolist()))
    candidates = candidate_hits(analysis, wishes)
    whole = film.look(0.0, analysis.duration_s)
    liveliness = float(picture_energy(film, tempo_map).mean())
    character = characterise(wishes, whole, liveliness, analysis.duration_s)
    scenes = [each.time_s for each in section_borders(film, candidates, wishes) if each.value >= 0]
    nearest = {int(np.argmin(np.abs(bar_starts_s[:-1] - time_s))) for time_s in scenes}
    section_bars = tuple(sorted({0} | nearest))
    bars = Bars(bar_starts_s, section_bars, (0,) * len(section_bars), fermata=False)
    hit_s = np.array([each.time_s for each in candidates])
    task = Task(analysis.duration_s, analysis.fps, hit_s, np.zeros(len(hit_s)), tempo_range=(40.0, 240.0))
    sections, energy, _ = _characters(film, task, bars, tempo_map, wishes, character)
    spoken = spoken_beats(film.analysis.speech_spans, tempo_map)
    return Plan(
        duration_s=analysis.duration_s,
        fps=analysis.fps,
        key=character.key,
        style=character.style,
        seed=character.seed,
        bar_starts_s=tempo_map.bar_starts_s,
        sections=sections,
        hits=tuple(landed(each, tempo_map.nearest_step(each.time_s), tempo_map) for each in candidates)
        if of_song
        else met_hits(candidates, task, tempo_map),
        energy=tuple(energy.tolist()),
        density=tuple(density_curve(energy, spoken, ends=not of_song).tolist()),
        speech_spans=film.analysis.speech_spans,
        mood_understood=(),
        warnings=(),
        solved_from=digest(wishes, analysis),
    )


def _solve(
    film: Film, wishes: Wishes, candidates: tuple[Candidate, ...], character: Character
) -> tuple[Task, Bars]:
    task = Task(
        duration_s=film.analysis.duration_s,
        fps=film.analysis.fps,
        hit_s=np.array([each.time_s for each in candidates]),
        hit_value=np.array([_worth(each) for each in candidates]),
        borders=section_borders(film, candidates, wishes, character.mood.turns_s(film.analysis.duration_s)),
        tempo_range=character.tempo_range,
        preferred_bpm=character.preferred_bpm,
        tempo_weight=character.mood_weight,
    )
    if character.mood.parts:
        task = replace(task, borders=tuple(_leaning(each, character) for each in task.borders))
    bars = search(task)
    tempi = {
        _section_at(bars, wish.at_s): wish.tempo_bpm for wish in wishes.sections if wish.tempo_bpm is not None
    }
    if tempi:
        # Which section a wish means is known once there are sections; they stay, the tempo is solved again.
        held = [
            hold(task.borders[border], tempi.get(index))
            if index
            else replace(task.borders[0], tempo_bpm=tempi.get(0))
            for index, border in enumerate(bars.section_borders)
        ]
        task = replace(task, borders=tuple(held))
        bars = search(task)
    return task, polish(bars, task)


def _leaning(border: Border, character: Character) -> Border:
    return replace(border, preferred_bpm=character.bpm_at(border.time_s))


def _worth(candidate: Candidate) -> float:
    base, slope = _USER_WORTH if candidate.source == "user" else _CUT_WORTH
    return base + slope * candidate.weight


def _section_at(bars: Bars, at_s: float) -> int:
    starts = bars.starts_s[list(bars.section_bars)]
    return max(0, int(np.searchsorted(starts, at_s + 1e-6, side="right")) - 1)


def _characters(
    film: Film, task: Task, bars: Bars, tempo_map: TempoMap, wishes: Wishes, character: Character
) -> tuple[tuple[Section, ...], FloatArray, FloatArray]:
    """The sections, and energy and density a beat."""
    energy = picture_energy(film, tempo_map)
    energy = 0.5 * energy + 0.5 * _section_means(energy, bars)
    if character.energy is not None:
        energy = shift_mean(0.6 * energy, character.energy)
    edges_s = tempo_map.seconds(np.arange(tempo_map.n_beats + 1, dtype=np.float64))
    spoken = spoken_beats(film.analysis.speech_spans, tempo_map)
    said_energy = np.zeros(tempo_map.n_beats)
    if character.mood.parts:
        said_energy = ENERGY_BY_AROUSAL * (character.course.arousal(edges_s[:-1]) - character.arousal)

    stretches = _stretches(film, bars, tempo_map, energy, spoken)
    wished = [_wish_for(wishes, stretch) for stretch in stretches]
    chosen: list[Role] = [wish.role or role for wish, role in zip(wished, roles(stretches), strict=True)]
    alike = labels([each.look for each in stretches])
    names = [
        wish.label or theme for wish, theme in zip(wished, themes(alike, chosen, stretches), strict=True)
    ]
    energy = smooth(arc(energy, chosen, stretches))
    if character.energy is not None:
        energy = shift_mean(energy + said_energy, character.energy)
    for wish, stretch in zip(wished, stretches, strict=True):
        if wish.energy is not None:
            energy[stretch.beats] = shift_mean(energy[stretch.beats], wish.energy)

    mean_energy = float(energy.mean())
    mean_valence = film.look(0.0, film.analysis.duration_s).valence()
    sections = []
    for index, (stretch, wish) in enumerate(zip(stretches, wished, strict=True)):
        level = float(energy[stretch.beats].mean())
        leanings = (each.leaning(stretch.start_s, stretch.end_s) for each in (character, character.captions))
        more_valence, more_arousal = np.sum(list(leanings), axis=0)
        looks = _SECTION_VALENCE * (stretch.look.valence() - mean_valence)
        seen = level - mean_energy - float(said_energy[stretch.beats].mean())
        valence = character.valence + more_valence + looks
        arousal = character.arousal + more_arousal + _SECTION_AROUSAL * seen
        sections.append(
            Section(
                start_s=stretch.start_s,
                end_s=stretch.end_s,
                start_bar=stretch.start_bar,
                end_bar=stretch.end_bar,
                role=chosen[index],
                label=names[index],
                energy=round(level, 3),
                valence=_signed(valence) if wish.valence is None else wish.valence,
                arousal=_signed(arousal) if wish.arousal is None else wish.arousal,
                tempo_bpm=max(40.0, min(240.0, round(section_tempo(bars, task, index), 3))),
                melody=has_melody(chosen[index], stretch, task.duration_s)
                if wish.melody is None
                else wish.melody,
                melody_register=_register(character, wish, valence, arousal),
                key=wish.key,
                chords=wish.chords,
            )
        )
    return tuple(sections), energy, density_curve(energy, spoken)


def _register(character: Character, wish: SectionWish, valence: float, arousal: float) -> float | None:
    """How high the melody lies: high where friendly or excited, left open where no words ask for a mood."""
    if wish.melody_register is not None or not character.mood.understood:
        return wish.melody_register
    return _signed(_REGISTER_BY_VALENCE * valence + _REGISTER_BY_AROUSAL * arousal)


def _said(character: Character, sections: tuple[Section, ...]) -> list[str]:
    """What was understood: of the words a line each, of the captions a line a section."""
    starts_s = [section.start_s for section in sections]
    moods = [character.captions.between(section.start_s, section.end_s) for section in sections]
    return [
        *character.mood.lines(sections[-1].end_s, starts_s),
        *(line for mood in moods for line in mood.understood),
    ]


def _stretches(
    film: Film, bars: Bars, tempo_map: TempoMap, energy: FloatArray, spoken: NDArray[np.bool_]
) -> list[Stretch]:
    edges = [*bars.section_bars, tempo_map.n_bars]
    out = []
    for first, last in itertools.pairwise(edges):
        start_s, end_s = tempo_map.bar_starts_s[first], tempo_map.bar_starts_s[last]
        beats = slice(first * BEATS_PER_BAR, last * BEATS_PER_BAR)
        out.append(
            Stretch(
                start_s=start_s,
                end_s=end_s,
                start_bar=first,
                end_bar=last,
                look=film.look(start_s, end_s),
                energy=float(energy[beats].mean()),
                spoken=float(spoken[beats].mean()),
            )
        )
    return out


def _section_means(values: FloatArray, bars: Bars) -> FloatArray:
    """Each beat's section mean, float64 (beats,)."""
    edges = np.array([*bars.section_bars, len(bars.starts_s) - 1]) * BEATS_PER_BAR
    means = [values[a:b].mean() for a, b in itertools.pairwise(edges)]
    return np.repeat(means, np.diff(edges))


def _wish_for(wishes: Wishes, stretch: Stretch) -> SectionWish:
    """All that was wished of this section; of two wishes for one field the later counts."""
    merged: dict[str, object] = {"at_s": stretch.start_s}
    for wish in wishes.sections:
        if stretch.start_s <= wish.at_s + 1e-6 < stretch.end_s:
            merged.update(wish.model_dump(exclude_none=True))
    return SectionWish.model_validate(merged)


def _warnings(
    wishes: Wishes, hits: tuple[Hit, ...], sections: tuple[Section, ...], bars: Bars, fps: float
) -> list[str]:
    out = []
    for hit in hits:
        if hit.source == "user" and hit.on is None:
            out.append(f"the hit wished at {hit.time_s:g} s cannot be met within the tempo rules")
    starts = [section.start_s for section in sections]
    for index, wish in enumerate(wishes.sections):
        if wish.start_s is not None:
            nearest = min(starts, key=lambda start: abs(start - (wish.start_s or 0.0)))
            if abs(nearest - wish.start_s) > 0.5 / fps:
                out.append(
                    f"wishes.sections.{index}.start_s: no section can begin at {wish.start_s:g} s; "
                    f"the nearest begins at {nearest:.2f} s"
                )
        here = next(s for s in sections if s.start_s <= wish.at_s + 1e-6 < s.end_s)
        if wish.tempo_bpm is not None and abs(here.tempo_bpm - wish.tempo_bpm) > 0.01:
            out.append(
                f"wishes.sections.{index}.tempo_bpm: {wish.tempo_bpm:g} cannot be had here; "
                f"the section goes at {here.tempo_bpm:.1f}"
            )
    if bars.fermata and wishes.tempo_bpm is not None:
        out.append("the film is too short for its tempo: the last chord is held as long as the film lasts")
    return out


def _signed(value: float) -> float:
    return round(max(-1.0, min(1.0, value)), 3)
