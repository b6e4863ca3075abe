"""Standard MIDI files: the score written for a sequencer, and any ordinary file read as a score.

Tick 0 is the first frame of the film.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import mido
import numpy as np

from diffbgm.errors import InputError
from diffbgm.pitch import MAJOR_KEYS, MINOR_KEYS
from diffbgm.score.harmony import Key
from diffbgm.score.instruments import INSTRUMENTS
from diffbgm.score.score import Marker, Note, Part, Pedal, Score
from diffbgm.score.styles import MAX_MELODIC_PARTS
from diffbgm.timing import BEATS_PER_BAR, FloatArray, TempoMap

TICKS_PER_BEAT: Final = 960
_DRUM_CHANNEL: Final = 9
_TEMPO_SLACK_S: Final = 2e-5
"""A new tempo event is written only where keeping the last one would miss the bar's end by more."""

_VOLUME, _PAN, _EXPRESSION, _SUSTAIN, _REVERB, _CHORUS = 7, 10, 11, 64, 91, 93
_DEFAULTS: Final = {_VOLUME: 100, _PAN: 64, _EXPRESSION: 127, _REVERB: 40, _CHORUS: 0}
_RING_S: Final = 2.0
"""Time for the last notes to fade where a file ends with them."""

_LONGEST_S: Final = 24 * 3600.0

_Event = tuple[int, int, mido.Message | mido.MetaMessage]
"""Tick, rank among events of that tick, message."""


def write_midi(score: Score, path: Path) -> None:
    """Write a type 1 file of 960 ticks a quarter; its bytes depend on the score alone.

    Track 0 holds tempo (one a bar where it changes), time and key signature, sections as markers and
    hits as cue points; then one named track a part, percussion on channel 10. At the file's tempi each
    note lies within 1 ms of its time in the score down to 32 beats a minute.
    Raises ValueError if there are more than 15 melodic parts or more than one of percussion.
    """
    if sum(part.is_drums for part in score.parts) > 1:
        raise ValueError("a MIDI file has one channel for percussion")
    if sum(not part.is_drums for part in score.parts) > MAX_MELODIC_PARTS:
        raise ValueError(f"a MIDI file has channels for {MAX_MELODIC_PARTS} melodic parts")
    tempi, ticks_of = _tempo_events(score.tempo_map)
    end_tick = ticks_of(score.duration_s)
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT, charset="utf-8")
    file.tracks.append(_track([*tempi, *_conductor(score, ticks_of)], end_tick))
    channels = iter(channel for channel in range(16) if channel != _DRUM_CHANNEL)
    for part in score.parts:
        channel = _DRUM_CHANNEL if part.is_drums else next(channels)
        file.tracks.append(_track(_part_events(part, channel, ticks_of), end_tick))
    with path.open("wb") as out:
        file.save(file=out)


class _Ticks:
    """Seconds to ticks at the tempi that the file really carries (whole microseconds a quarter)."""

    def __init__(self, bar_starts_s: list[float], bar_s: list[float]) -> None:
        self._starts = bar_starts_s
        self._lengths = bar_s

    def __call__(self, second: float) -> int:
        bar = max(0, bisect_right(self._starts, second) - 1)
        beats = BEATS_PER_BAR * (bar + (second - self._starts[bar]) / self._lengths[bar])
        return max(0, round(beats * TICKS_PER_BEAT))


def _tempo_events(tempo_map: TempoMap) -> tuple[list[_Event], _Ticks]:
    """Tempo events whose rounding errors do not add up, and the clock they make."""
    events: list[_Event] = []
    starts: list[float] = []
    lengths: list[float] = []
    now, tempo = 0.0, 0
    for bar, end in enumerate(tempo_map.bar_starts_s[1:]):
        if abs(now + tempo * BEATS_PER_BAR * 1e-6 - end) > _TEMPO_SLACK_S:
            tempo = min(max(1, round((end - now) / BEATS_PER_BAR * 1e6)), 0xFFFFFF)
            tick = bar * BEATS_PER_BAR * TICKS_PER_BEAT
            events.append((tick, 0, mido.MetaMessage("set_tempo", tempo=tempo)))
        starts.append(now)
        lengths.append(tempo * BEATS_PER_BAR * 1e-6)
        now += lengths[-1]
    return events, _Ticks(starts, lengths)


def _conductor(score: Score, ticks_of: _Ticks) -> Iterator[_Event]:
    key = Key.parse(score.key)
    name = (MINOR_KEYS if key.minor else MAJOR_KEYS)[key.tonic]
    yield 0, 0, mido.MetaMessage("time_signature", numerator=BEATS_PER_BAR, denominator=4)
    yield 0, 0, mido.MetaMessage("key_signature", key=name)
    for marker in score.markers:
        kind = "marker" if marker.kind == "section" else "cue_marker"
        yield ticks_of(marker.time_s), 1, mido.MetaMessage(kind, text=marker.text)


def _part_events(part: Part, channel: int, ticks_of: _Ticks) -> Iterator[_Event]:
    def control(number: int, value: int) -> mido.Message:
        return mido.Message("control_change", channel=channel, control=number, value=value)

    yield 0, 0, mido.MetaMessage("track_name", name=part.name)
    yield 0, 0, mido.Message("program_change", channel=channel, program=part.program)
    settings = ((_VOLUME, part.volume), (_PAN, part.pan), (_REVERB, part.reverb), (_CHORUS, part.chorus))
    for number, value in settings:
        yield 0, 0, control(number, value)
    for pedal in part.pedals:
        yield ticks_of(pedal.end_s), 1, control(_SUSTAIN, 0)
        yield ticks_of(pedal.start_s), 4, control(_SUSTAIN, 127)
    for note in part.notes:
        start = ticks_of(note.start_s)
        end = max(start + 1, ticks_of(note.end_s))
        yield start, 3, mido.Message("note_on", channel=channel, note=note.pitch, velocity=note.velocity)
        yield end, 2, mido.Message("note_off", channel=channel, note=note.pitch, velocity=64)


def _track(events: Iterable[_Event], end_tick: int) -> mido.MidiTrack:
    """A track of delta times; within a tick: settings, pedal up, notes off, notes on, pedal down."""
    track = mido.MidiTrack()
    now = 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        message.time = tick - now
        track.append(message)
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=max(0, end_tick - now)))
    return track


def read_midi(path: Path) -> Score:
    """Read an ordinary MIDI file (type 0 or 1) as a score.

    One part for each track, channel and program that has notes; tempo changes, pedals, panning, reverb
    and chorus are taken over, changes of volume and expression go into the velocities. Bars of the
    tempo map are groups of four quarters. The score lasts as long as the file says, or until two seconds
    after its last note where the file ends with that.
    Pitch bends, aftertouch and other controllers are left out: `Score` has no place for them.
    Raises InputError if the file is missing, broken, empty of notes, of type 2 or in SMPTE time.
    """
    file = opened(path)
    clock = _FileClock.of(file)
    last_s = clock.second(max((sum(m.time for m in track) for track in file.tracks), default=0))
    if last_s > _LONGEST_S:
        raise InputError(f"{path}: this MIDI file claims to last {last_s / 3600:.0f} hours; is it damaged?")
    parts = _parts_of(file, clock, last_s)
    if not parts:
        raise InputError(f"{path}: this MIDI file holds no notes")
    notes_end = max(note.end_s for part in parts for note in part.notes)
    duration = last_s if last_s > notes_end + 0.1 else notes_end + _RING_S
    return Score(
        tempo_map=clock.tempo_map(duration),
        key=_key_of(file),
        parts=tuple(parts),
        markers=_markers_of(file, clock),
        duration_s=duration,
    )


def opened(path: Path) -> mido.MidiFile:
    """The file as mido reads it. Raises InputError if it is missing, broken, of type 2 or in SMPTE time."""
    try:
        file = mido.MidiFile(path, clip=True)
    except OSError as error:
        reason = error.strerror or str(error) or "not a MIDI file"
        raise InputError(f"{path}: cannot be read as a MIDI file ({reason})") from error
    except (EOFError, ValueError, KeyError, IndexError, TypeError, mido.KeySignatureError) as error:
        raise InputError(f"{path}: broken MIDI file ({error or 'it ends too early'})") from error
    if file.type == 2:
        raise InputError(f"{path}: MIDI type 2 (separate songs) cannot be rendered; save it as type 0 or 1")
    if file.ticks_per_beat <= 0:
        raise InputError(f"{path}: MIDI in SMPTE time cannot be rendered; save it with ticks per beat")
    return file


@dataclass(frozen=True)
class _FileClock:
    """The tempo changes of a file: from `ticks[k]` (at `seconds[k]`) a tick lasts `tick_s[k]`."""

    ticks: FloatArray
    seconds: FloatArray
    tick_s: FloatArray
    ticks_per_beat: int

    @classmethod
    def of(cls, file: mido.MidiFile) -> _FileClock:
        changes = {0: 500_000}
        for track in file.tracks:
            now = 0
            for message in track:
                now += message.time
                if message.type == "set_tempo" and message.tempo > 0:
                    changes[now] = message.tempo
        ticks = np.array(sorted(changes), dtype=np.float64)
        tick_s = np.array([changes[int(tick)] * 1e-6 / file.ticks_per_beat for tick in ticks])
        seconds = np.concatenate([[0.0], np.cumsum(np.diff(ticks) * tick_s[:-1])])
        return cls(ticks, seconds, tick_s, file.ticks_per_beat)

    def second(self, tick: int) -> float:
        at = int(np.searchsorted(self.ticks, tick, side="right")) - 1
        return float(self.seconds[at] + (tick - self.ticks[at]) * self.tick_s[at])

    def tempo_map(self, duration_s: float) -> TempoMap:
        """Bars of four quarters until at least `duration_s`."""
        starts = [0.0]
        while starts[-1] < duration_s:
            starts.append(self.second(len(starts) * BEATS_PER_BAR * self.ticks_per_beat))
        return TempoMap(tuple(starts))


@dataclass
class _Voice:
    """The notes of one track and program on a channel, and the channel's settings at the first of them."""

    settings: dict[int, int]
    notes: list[Note] = field(default_factory=list)


@dataclass
class _Channel:
    """The state of one channel while the file is read; tracks share it."""

    program: int = 0
    control: dict[int, int] = field(default_factory=lambda: dict(_DEFAULTS))
    pedal_from_s: float | None = None
    pedals: list[Pedal] = field(default_factory=list)
    sounding: dict[int, list[tuple[float, int, _Voice]]] = field(default_factory=dict)
    voices: dict[tuple[int, int], _Voice] = field(default_factory=dict)

    def note_on(self, second: float, pitch: int, velocity: int, track: int) -> None:
        voice = self.voices.setdefault((track, self.program), _Voice(dict(self.control)))
        # Volume and expression act on amplitude as velocity does, so their changes can stand in it.
        share = self.control[_EXPRESSION] / 127
        share *= self.control[_VOLUME] / max(1, voice.settings[_VOLUME])
        heard = min(127, max(1, round(velocity * share)))
        self.sounding.setdefault(pitch, []).append((second, heard, voice))

    def note_off(self, second: float, pitch: int) -> None:
        if begun := self.sounding.get(pitch):
            start, velocity, voice = begun.pop(0)
            if second > start:
                voice.notes.append(Note(start, second, pitch, velocity))

    def controller(self, second: float, number: int, value: int) -> None:
        if number == _SUSTAIN:
            if value >= 64 and self.pedal_from_s is None:
                self.pedal_from_s = second
            elif value < 64:
                self._pedal_up(second)
        elif number in _DEFAULTS:
            self.control[number] = value

    def _pedal_up(self, second: float) -> None:
        if self.pedal_from_s is not None and second > self.pedal_from_s:
            self.pedals.append(Pedal(self.pedal_from_s, second))
        self.pedal_from_s = None

    def close(self, second: float) -> None:
        for pitch, begun in self.sounding.items():
            for _ in range(len(begun)):
                self.note_off(second, pitch)
        self._pedal_up(second)


def _parts_of(file: mido.MidiFile, clock: _FileClock, last_s: float) -> list[Part]:
    """The parts in order of their tracks."""
    names = [""] * len(file.tracks)
    events: list[tuple[int, int, mido.Message]] = []
    for index, track in enumerate(file.tracks):
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "track_name":
                names[index] = names[index] or message.name.strip()
            elif not message.is_meta and hasattr(message, "channel"):
                events.append((tick, index, message))
    channels: dict[int, _Channel] = {}
    for tick, index, message in sorted(events, key=lambda event: event[:2]):
        _take(channels.setdefault(message.channel, _Channel()), message, clock.second(tick), index)
    found: list[tuple[int, int, int, _Channel]] = []
    for number, channel in channels.items():
        channel.close(last_s)
        found += [(track, number, program, channel) for track, program in channel.voices]
    parts = []
    for track, number, program, channel in sorted(found, key=lambda entry: entry[:3]):
        voice = channel.voices[track, program]
        siblings = [entry for entry in found if entry[0] == track]
        name = names[track] or f"Track {track + 1}"
        if len(siblings) > 1:
            name = f"{name} ({INSTRUMENTS[program] if number != _DRUM_CHANNEL else 'Drums'})"
        if voice.notes:
            parts.append(_part_of(name, number == _DRUM_CHANNEL, program, voice, channel))
    return parts


def _take(channel: _Channel, message: mido.Message, second: float, track: int) -> None:
    match message.type:
        case "note_on" if message.velocity > 0:
            channel.note_on(second, message.note, message.velocity, track)
        case "note_on" | "note_off":
            channel.note_off(second, message.note)
        case "control_change":
            channel.controller(second, message.control, message.value)
        case "program_change":
            channel.program = message.program


def _part_of(name: str, is_drums: bool, program: int, voice: _Voice, channel: _Channel) -> Part:
    return Part(
        name=name,
        program=program,
        is_drums=is_drums,
        notes=tuple(sorted(voice.notes, key=lambda note: (note.start_s, note.pitch))),
        pedals=tuple(channel.pedals),
        volume=voice.settings[_VOLUME],
        pan=voice.settings[_PAN],
        reverb=voice.settings[_REVERB],
        chorus=voice.settings[_CHORUS],
    )


def _key_of(file: mido.MidiFile) -> str:
    for track in file.tracks:
        for message in track:
            if message.type == "key_signature":
                return str(message.key)
    return "C"


def _markers_of(file: mido.MidiFile, clock: _FileClock) -> tuple[Marker, ...]:
    markers: list[Marker] = []
    for track in file.tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type in ("marker", "cue_marker"):
                kind: Literal["section", "hit"] = "section" if message.type == "marker" else "hit"
                markers.append(Marker(clock.second(tick), kind, message.text))
    return tuple(sorted(markers, key=lambda marker: (marker.time_s, marker.kind)))
