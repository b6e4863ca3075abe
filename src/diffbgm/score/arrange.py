"""The piano roll of a film becomes music for instruments: `arrange`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np

from diffbgm.diffusion.roll import TRACKS, PianoRoll
from diffbgm.score.accents import final_chord, with_accents
from diffbgm.score.bass import bass_line
from diffbgm.score.decode import GridNote, TrackNotes, notes_of, smoothed
from diffbgm.score.drums import drum_note, drum_part
from diffbgm.score.dynamics import drummed, expressed
from diffbgm.score.form import Form
from diffbgm.score.harmony import Key, chords_of, folded, with_asked
from diffbgm.score.lead import Lead
from diffbgm.score.perform import Clock
from diffbgm.score.score import Marker, Part, Score
from diffbgm.score.speech import joined, leaving_room, thinned, thinned_drums
from diffbgm.score.styles import Style, StyleDrums, StylePart
from diffbgm.score.writing import chord_part
from diffbgm.spotting.cuesheet import Plan
from diffbgm.timing import STEPS_PER_BAR

_MEAN_VELOCITY: Final = 78
"""Where the velocities of each track are centred: how strongly a piece is played is for energy to say."""

_SOFTEST: Final = 0.62
_ENERGY_RANGE: Final = 0.6
"""Velocities are scaled by _SOFTEST .. _SOFTEST + _ENERGY_RANGE as the energy goes from 0 to 1, in a style
of average dynamics."""

_UNDER_MELODY: Final = 12
"""Where one part plays the melody and another track, as a pianist's hand does, the melody is louder."""

_LOUDEST_PLAIN: Final = 104
"""Notes that are no hit stay below this, so that hits stand out."""

_BREATH_STEPS: Final = 2


def arrange(roll: PianoRoll, plan: Plan, style: Style) -> Score:
    """Give the notes of a roll to the instruments of a style, in time with the film.

    roll: in the film's own key, one column a step of the plan's bars.
    An accented onset sounds exactly at every kept hit of the plan; dynamics follow its energy; under speech
    the music makes room (see `score.speech`). Chords that the plan asks for and the roll holds are what
    written parts play; a given melody is played as it stands, by a part of its own. The last bar holds the
    tonic chord alone, let go shortly before `plan.duration_s`; no note sounds later. Deterministic in its
    arguments (`plan.seed` moves the human hand).
    Raises ValueError if roll and plan differ in length, OptionError if `plan.key` is no key, or if
    a melody is given and the style has no part for it.
    """
    if roll.n_beats != plan.tempo_map.n_beats:
        raise ValueError(f"the roll has {roll.n_beats} beats, the plan {plan.tempo_map.n_beats}")
    key = Key.parse(plan.key)
    tracks = notes_of(roll)
    chords = with_asked(chords_of(roll, tracks, key), roll, plan.asked_chords)
    form = Form.of(plan, key, chords, style)
    tracks = leaving_room(tuple(smoothed(_centred(notes)) for notes in tracks), form)
    clock = Clock(form, style, plan.duration_s, plan.seed)
    lead = Lead.of(plan, style)
    players = lead.parts if lead else style.parts
    parts = []
    for index, (part, under) in enumerate(zip(players, thinned(players), strict=True)):
        heard = lead.left_to(index, tracks) if lead else tracks
        parts.append(_part(part, under, heard, form, clock, np.random.default_rng([plan.seed, index])))
    if lead:
        parts[lead.index] = lead.played(parts[lead.index])
    if style.drums:
        parts.append(_drums(style.drums, form, clock, np.random.default_rng([plan.seed, len(parts)])))
    return Score(
        tempo_map=plan.tempo_map,
        key=plan.key,
        parts=tuple(part for part in parts if part.notes),
        markers=_markers(plan),
        duration_s=plan.duration_s,
        room=style.room.room(),
        tone=style.tone.tone(),
    )


def _part(
    part: StylePart,
    under: StylePart | None,
    tracks: TrackNotes,
    form: Form,
    clock: Clock,
    rng: np.random.Generator,
) -> Part:
    """What a part plays; `under`: what it is under speech, None where it rests there."""
    thin = _written(under, tracks, form) if under else []
    notes = joined(_written(part, tracks, form), thin, form)
    notes = expressed(part, notes, form, clock.style, rng)
    notes = _with_dynamics(notes, form, clock.style, part.gain, under.gain if under else part.gain)
    notes = with_accents(part, under, notes, form)
    last = under if form.speech[form.final_step] else part
    if last and form.level[-1] >= last.from_level:
        notes += [
            replace(note, velocity=_velocity(note.velocity * last.gain))
            for note in final_chord(last, notes, tracks, form)
        ]
    return Part(
        name=part.name,
        program=part.program,
        is_drums=False,
        notes=clock.notes(part, notes, rng),
        pedals=clock.pedals(notes) if part.pedal and notes else (),
        volume=part.volume,
        pan=part.pan,
        reverb=part.reverb,
        chorus=part.chorus,
        tone=part.tone.tone(),
        width=part.width,
        touch=part.touch,
    )


def _written(part: StylePart, tracks: TrackNotes, form: Form) -> list[GridNote]:
    """The notes of a part before dynamics and hits, up to the final chord."""
    if part.written == "bass":
        notes = bass_line(part, form)
    elif part.written == "chords":
        notes = chord_part(part, form)
    else:
        notes = _from_tracks(part, tracks, form)
    return [note for note in notes if form.level[note.start_step // STEPS_PER_BAR] >= part.from_level]


def _drums(drums: StyleDrums, form: Form, clock: Clock, rng: np.random.Generator) -> Part:
    under = thinned_drums(drums)
    notes = joined(drum_part(drums, form), drum_part(under, form), form)
    notes = drummed(notes, form, clock.style, rng)
    notes = _with_dynamics(notes, form, clock.style, drums.gain, under.gain)
    notes = with_accents(drums, under, notes, form)
    if drums.crash and form.level[-1] >= 1 and not form.speech[form.final_step]:
        notes.append(drum_note(drums.crash, form.final_step, 60))
    return Part(
        name=drums.name,
        program=drums.kit,
        is_drums=True,
        notes=clock.notes(drums, notes, rng),
        volume=drums.volume,
        pan=drums.pan,
        reverb=drums.reverb,
        chorus=drums.chorus,
        tone=drums.tone.tone(),
        width=drums.width,
    )


def _from_tracks(part: StylePart, tracks: TrackNotes, form: Form) -> list[GridNote]:
    """The part's tracks in its register and density, up to the final chord."""
    loudest: dict[tuple[int, int], GridNote] = {}
    for name in part.plays:
        for note in tracks[TRACKS.index(name)]:
            step = note.start_step
            if step >= form.final_step or step % part.finest or not _wanted(note, name, form):
                continue
            pitch = folded(note.pitch + 12 * part.octave, *part.range)
            end = form.final_step if name == "melody" else form.rest_after(step)
            under = _UNDER_MELODY if name != "melody" and "melody" in part.plays else 0
            velocity = _velocity(note.velocity - under)
            played = GridNote(step, min(note.end_step, end), pitch, velocity)
            other = loudest.get((step, pitch))
            if other is None or (played.velocity, played.steps) > (other.velocity, other.steps):
                loudest[step, pitch] = played
    notes = _limited(sorted(loudest.values()), part.polyphony)
    return _held(notes, form, part.hold) if part.hold or part.length == 1.0 else notes


def _wanted(note: GridNote, track: str, form: Form) -> bool:
    """Whether a track may play here."""
    return bool(form.melody[note.start_step] if track == "melody" else not form.rests[note.start_step])


def _limited(notes: list[GridNote], polyphony: int) -> list[GridNote]:
    """At most so many notes at once: of those struck together the highest, older ones end."""
    out: list[GridNote] = []
    sounding: list[int] = []  # indices into out, oldest first
    for index, note in enumerate(notes):
        together = [
            other.pitch for other in notes[index + 1 : index + 24] if other.start_step == note.start_step
        ]
        together += [out[i].pitch for i in sounding if out[i].start_step == note.start_step]
        if sum(pitch > note.pitch for pitch in together) >= polyphony:
            continue
        sounding = [i for i in sounding if out[i].end_step > note.start_step]
        if len(sounding) >= polyphony:
            oldest = sounding.pop(0)
            out[oldest] = replace(out[oldest], end_step=note.start_step)
        sounding.append(len(out))
        out.append(note)
    return [note for note in out if note.steps > 0]


def _held(notes: list[GridNote], form: Form, through: bool) -> list[GridNote]:
    """Notes for instruments that sustain, each until the part's next onset.

    through: over any rest, up to the end of the chord; else only over rests too short to breathe in.
    """
    starts = [*sorted({note.start_step for note in notes}), form.final_step]
    following = dict(pairwise(starts))
    out = []
    for note in notes:
        until = following[note.start_step]
        if through:
            until = min(until, form.chord_end(note.start_step))
        elif until - note.end_step > _BREATH_STEPS:
            until = note.end_step
        out.append(replace(note, end_step=max(note.end_step, until)))
    return out


def _centred(notes: Iterable[GridNote]) -> list[GridNote]:
    """A track's notes with their velocities moved so that the mean is _MEAN_VELOCITY."""
    notes = list(notes)
    shift = _MEAN_VELOCITY - sum(note.velocity for note in notes) / max(1, len(notes))
    return [replace(note, velocity=_velocity(note.velocity + shift)) for note in notes]


def _with_dynamics(
    notes: Iterable[GridNote], form: Form, style: Style, gain: float, under_speech: float
) -> list[GridNote]:
    """Velocities scaled by energy, as far as the style's dynamics go, and by the part's gain."""
    out = []
    for note in notes:
        step = note.start_step
        energy = 0.5 + style.dynamics * (float(form.energy[step]) - 0.5)
        factor = _SOFTEST + _ENERGY_RANGE * energy
        factor *= under_speech if form.speech[step] else gain
        out.append(replace(note, velocity=min(_LOUDEST_PLAIN, _velocity(note.velocity * factor))))
    return out


def _velocity(value: float) -> int:
    return min(127, max(1, round(value)))


def _markers(plan: Plan) -> tuple[Marker, ...]:
    """Sections by role and label, and the hits that were met, in order of time."""
    markers = [
        Marker(plan.bar_starts_s[section.start_bar], "section", f"{section.role} {section.label}")
        for section in plan.sections
    ]
    for hit in plan.hits:
        if hit.step is not None:
            markers.append(Marker(plan.tempo_map.seconds(hit.step / 4), "hit", f"hit {hit.source}"))
    return tuple(sorted(markers, key=lambda marker: (marker.time_s, marker.kind)))
