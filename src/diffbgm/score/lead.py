"""A given melody: read from a MIDI file, and played as it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import mido

from diffbgm.diffusion.roll import TRACKS
from diffbgm.errors import InputError, OptionError
from diffbgm.score.decode import TrackNotes
from diffbgm.score.midi import opened
from diffbgm.score.score import Note, Part
from diffbgm.score.styles import Style, StylePart
from diffbgm.spotting.cuesheet import MelodyNote, Plan
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BEAT

_DRUM_CHANNEL: Final = 9
_NAMED_MELODY: Final = re.compile(r"melod|lead|vocal|voice|vox|tune|sing", re.IGNORECASE)

_OFF_GRID_BEATS: Final = 0.04
"""Parts that double a melody play it on the grid; one that strays further from it is not doubled."""


@dataclass(frozen=True)
class Lead:
    """A given melody in a style.

    parts: the style's, of which the one at `index` plays the melody alone and is struck at no hit. notes: as
    they sound. span: steps through which the tune is theirs; to_end: to the film's end. doubled: other parts
    may play along.
    """

    parts: tuple[StylePart, ...]
    index: int
    notes: tuple[Note, ...]
    span: range
    to_end: bool
    doubled: bool

    @classmethod
    def of(cls, plan: Plan, style: Style) -> Lead | None:
        """None where the plan has no melody. Beats become seconds and no more: no swing, no human hand.

        The first part that plays the melody alone has it; where there is none, the first that plays it gives
        it up to a part of the same instrument. Raises OptionError if none plays it.
        """
        if not plan.melody:
            return None
        parts = list(style.parts)
        singing = [index for index, part in enumerate(parts) if "melody" in part.plays]
        if not singing:
            raise OptionError(f"style {style.name}: no part of it plays a melody, but one is given")
        index = next((at for at in singing if parts[at].plays == ("melody",)), singing[0])
        others = tuple(name for name in parts[index].plays if name != "melody")
        alone: dict[str, object] = {"plays": ("melody",), "accent": False}
        if others:
            parts.append(parts[index].model_copy(update={"plays": others}))
            alone["name"] = f"{parts[index].name}: melody"
        parts[index] = parts[index].model_copy(update=alone)
        seconds = plan.tempo_map.seconds
        first, last = (beat * STEPS_PER_BEAT for beat in plan.melody_span)
        strays = [abs(note.beat - round(note.beat * STEPS_PER_BEAT) / STEPS_PER_BEAT) for note in plan.melody]
        return cls(
            parts=tuple(parts),
            index=index,
            notes=tuple(
                Note(
                    seconds(note.beat),
                    min(seconds(note.beat + note.beats), plan.duration_s),
                    note.pitch,
                    note.velocity,
                )
                for note in plan.melody
            ),
            span=range(first, last),
            to_end=last == plan.tempo_map.n_beats * STEPS_PER_BEAT,
            doubled=max(strays) <= _OFF_GRID_BEATS,
        )

    def left_to(self, index: int, tracks: TrackNotes) -> TrackNotes:
        """The tracks without what of the melody the part at `index` must not play itself."""
        if self.doubled and index != self.index:
            return tracks
        melody = TRACKS.index("melody")
        left = tuple(note for note in tracks[melody] if note.start_step not in self.span)
        return (*tracks[:melody], left, *tracks[melody + 1 :])

    def played(self, part: Part) -> Part:
        """The part that has the melody, with it; `part`: what it plays besides, where the tune is its own."""
        before = min(note.start_s for note in self.notes)
        own = (note for note in part.notes if not self.to_end or note.start_s < before)
        notes = sorted((*own, *self.notes), key=lambda note: (note.start_s, note.pitch))
        return replace(part, notes=tuple(notes))


@dataclass
class _Voice:
    """The notes of one track and channel: onset and end in ticks, pitch, velocity."""

    name: str
    notes: list[tuple[int, int, int, int]] = field(default_factory=list)
    sounding: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    def off(self, tick: int, pitch: int) -> None:
        if begun := self.sounding.get(pitch):
            onset, velocity = begun.pop(0)
            self.notes.append((onset, max(tick, onset + 1), pitch, velocity))


def read_melody(path: Path, first_bar: int = 1) -> tuple[MelodyNote, ...]:
    """The melody of a MIDI file on the file's own beats, exactly: onsets, lengths, pitches, velocities.

    Bar k of the file becomes bar k + `first_bar` - 1 of the film, whatever the tempo of either. Of several
    instruments the one is taken whose track is named melody, lead, voice or the like.
    Raises InputError if the file cannot be read, holds no notes, is not in 4/4 (2/4 and 2/2 go with it), or
    has several instruments of which not exactly one is named as the melody.
    """
    file = opened(path)
    for message in (message for track in file.tracks for message in track):
        if message.type == "time_signature" and BEATS_PER_BAR % (4 * message.numerator / message.denominator):
            raise InputError(
                f"{path}: is in {message.numerator}/{message.denominator}; the music of a film is in 4/4, "
                "so its melody must be too"
            )
    voices = _voices(file)
    if not voices:
        raise InputError(f"{path}: holds no notes, expected a melody")
    named = [voice for voice in voices if _NAMED_MELODY.search(voice.name)]
    if len(voices) > 1 and len(named) != 1:
        names = ", ".join(repr(voice.name) for voice in voices)
        raise InputError(
            f"{path}: has {len(voices)} instruments ({names}) and it is not clear which is the melody; "
            "name its track 'Melody', or keep only it"
        )
    shift = (first_bar - 1) * BEATS_PER_BAR
    ticks = file.ticks_per_beat
    return tuple(
        MelodyNote(beat=onset / ticks + shift, beats=(end - onset) / ticks, pitch=pitch, velocity=velocity)
        for onset, end, pitch, velocity in sorted((voices if len(voices) == 1 else named)[0].notes)
    )


def _voices(file: mido.MidiFile) -> list[_Voice]:
    """One for each track and channel that has notes, percussion left out."""
    voices: dict[tuple[int, int], _Voice] = {}
    for index, track in enumerate(file.tracks):
        name = next((message.name.strip() for message in track if message.type == "track_name"), "")
        tick = 0
        for message in track:
            tick += message.time
            if message.type not in ("note_on", "note_off") or message.channel == _DRUM_CHANNEL:
                continue
            voice = voices.setdefault(
                (index, message.channel), _Voice(name or f"track {index + 1}, channel {message.channel + 1}")
            )
            if message.type == "note_on" and message.velocity > 0:
                voice.sounding.setdefault(message.note, []).append((tick, message.velocity))
            else:
                voice.off(tick, message.note)
        for voice in (voice for (at, _), voice in voices.items() if at == index):
            for pitch, begun in voice.sounding.items():
                for _ in range(len(begun)):
                    voice.off(tick, pitch)
    return [voice for voice in voices.values() if voice.notes]
