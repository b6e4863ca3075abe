"""Hits and the ending: what must sound exactly where the picture asks for it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from diffbgm.diffusion.roll import TRACKS
from diffbgm.score.bass import bass_pitch
from diffbgm.score.decode import GridNote, TrackNotes
from diffbgm.score.drums import drum_note
from diffbgm.score.form import Form
from diffbgm.score.harmony import Chord, folded, nearest, voiced
from diffbgm.score.styles import StyleDrums, StylePart
from diffbgm.timing import STEPS_PER_BAR, STEPS_PER_BEAT

_LOUDER: Final = 12
_LOUDER_BY_ENERGY: Final = 6
_LOUDER_BY_WEIGHT: Final = 12
_CLEARLY: Final = 8
_LOUDEST: Final = 124
_LOCAL_STEPS: Final = 16
"""An accent is louder than the mean of its part within a bar of it by so much (less where the film is
calm), and than anything of its part within a beat of it by at least _CLEARLY."""

_NEIGHBOUR_STEPS: Final = 3
_NEIGHBOUR_FACTOR: Final = 0.8
"""Notes just beside a hit give way to it."""

_STRIKE_STEPS: Final = 4
_CRASH_WEIGHT: Final = 0.5
_CRASH_REST_STEPS: Final = 16
"""A crash only on the stronger hits, at most one a bar, and none at the lowest level."""


def strike_chord(part: StylePart, chord: Chord, near: Iterable[int]) -> tuple[int, ...]:
    """The pitches with which a part strikes a chord, close to the pitches it has just played."""
    low, high = part.range
    before = sorted(near)
    centre = sum(before) / len(before) if before else (low + high) / 2
    if part.written == "bass":
        return (bass_pitch(chord, round(centre), low, high),)
    if part.written == "chords":
        return voiced(chord.tones, before, low, high, part.voices)
    if "accompaniment" in part.plays:
        bass = nearest(chord.bass, low + 6, low, low + 12)
        upper_low = max(min(bass + 7, high - 12), low)
        return (bass, *(p for p in voiced(chord.tones, before, upper_low, high, 3) if p != bass))
    tones = [nearest(tone, centre, low, high) for tone in chord.tones]
    return (min(tones, key=lambda pitch: (abs(pitch - centre), pitch)),)


def with_accents(
    part: StylePart | StyleDrums, under: StylePart | StyleDrums | None, notes: list[GridNote], form: Form
) -> list[GridNote]:
    """The notes of a part with each hit struck, under speech as `under` would, None where it rests there.

    What the part has at the hit becomes louder than its surroundings; a part that strikes hits gets the
    chord (percussion: its accents) added, and in written parts what would sound through the hit ends
    there; notes just beside the hit become softer.
    """
    steps = sorted(step for step in form.accents if step < form.final_step)
    notes = sorted(notes)
    added: list[GridNote] = []
    last_crash = -_CRASH_REST_STEPS
    for step in steps:
        weight = form.accents[step]
        player = under if form.speech[step] else part
        if isinstance(player, StyleDrums):
            names = list(player.accent)
            loud = weight >= _CRASH_WEIGHT and form.level[step // STEPS_PER_BAR] > 0
            if player.crash and loud and step - last_crash >= _CRASH_REST_STEPS:
                names.append(player.crash)
                last_crash = step
            added += [drum_note(name, step, 1) for name in names]
        elif player and player.accent and form.level[step // STEPS_PER_BAR] >= player.from_level:
            added += _strike(player, notes, form, step)
    if isinstance(part, StylePart) and part.accent and part.written:
        notes = [_until_hit(note, steps) for note in notes]
    present = {(note.start_step, note.pitch) for note in notes}
    notes = sorted(notes + [note for note in added if (note.start_step, note.pitch) not in present])
    return [_balanced(note, notes, steps, form) for note in notes]


def _until_hit(note: GridNote, hits: list[int]) -> GridNote:
    at = bisect_right(hits, note.start_step)
    return replace(note, end_step=hits[at]) if at < len(hits) and hits[at] < note.end_step else note


def _strike(part: StylePart, notes: list[GridNote], form: Form, step: int) -> list[GridNote]:
    at = bisect_left(notes, GridNote(step, 0, 0, 0))
    before = {note.pitch for note in notes[max(0, at - 4) : at] if note.end_step >= step - _LOCAL_STEPS}
    until = min(form.chord_end(step), form.final_step)
    after = bisect_left(notes, GridNote(step + 1, 0, 0, 0))
    later = notes[after].start_step if after < len(notes) else until
    end = max(step + 1, min(until, max(later, step + _STRIKE_STEPS)))
    pitches = strike_chord(part, form.chord(step), before)
    return [GridNote(step, end, pitch, 1) for pitch in pitches]


def _balanced(note: GridNote, notes: list[GridNote], hits: list[int], form: Form) -> GridNote:
    step = note.start_step
    if step not in form.accents:
        at = bisect_left(hits, step)
        if all(abs(hit - step) > _NEIGHBOUR_STEPS for hit in hits[max(0, at - 1) : at + 1]):
            return note
        return replace(note, velocity=max(1, round(note.velocity * _NEIGHBOUR_FACTOR)))
    low = bisect_left(notes, GridNote(step - _LOCAL_STEPS, 0, 0, 0))
    high = bisect_left(notes, GridNote(step + _LOCAL_STEPS + 1, 0, 0, 0))
    local = [other for other in notes[low:high] if other.start_step not in form.accents]
    energy = float(form.energy[step])
    level = sum(n.velocity for n in local) / len(local) if local else 50 + 45 * energy
    wanted = level + _LOUDER + _LOUDER_BY_ENERGY * energy + _LOUDER_BY_WEIGHT * form.accents[step]
    beside = [n.velocity for n in local if abs(n.start_step - step) <= STEPS_PER_BEAT]
    wanted = max(wanted, max(beside, default=0) + _CLEARLY)
    return replace(note, velocity=min(_LOUDEST, max(note.velocity, round(wanted))))


def final_chord(part: StylePart, notes: list[GridNote], tracks: TrackNotes, form: Form) -> list[GridNote]:
    """The tonic chord on the last bar's downbeat, held; struck again only where a hit lies in that bar.

    A track whose own notes there belong to the tonic chord keeps them; otherwise it is written.
    """
    chord = form.key.tonic_chord
    last = max((note.start_step for note in notes), default=0)
    before = {note.pitch for note in notes if note.start_step == last}
    pitches: set[int] = set()
    if part.written:
        pitches.update(strike_chord(part, chord, before))
    for name in part.plays if not part.written else ():
        own = [note.pitch for note in tracks[TRACKS.index(name)] if note.start_step == form.final_step]
        if own and all(pitch % 12 in chord.tones for pitch in own) and name != "accompaniment":
            pitches.update(folded(pitch + 12 * part.octave, *part.range) for pitch in own)
        elif name == "accompaniment":
            pitches.update(strike_chord(part, chord, before))
        else:
            centre = sum(before) / len(before) if before else sum(part.range) / 2
            pitches.add(nearest(chord.tones[0 if name == "melody" else 1], centre, *part.range))
    velocity = round(58 + 36 * float(form.energy[form.final_step]) + 10 * (form.final_step in form.accents))
    again = sorted(step for step in form.accents if step > form.final_step) if part.accent else []
    starts = [form.final_step, *again]
    ends = [*again, form.n_steps]
    return [
        GridNote(start, end, pitch, velocity)
        for start, end in zip(starts, ends, strict=True)
        for pitch in sorted(pitches)
    ]
