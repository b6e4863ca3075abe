"""The score: notes in seconds, played by named instruments. The data type between arranging and sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from diffbgm.timing import TempoMap


@dataclass(frozen=True)
class Note:
    """One note. Times in seconds from the first frame; pitch and velocity as in MIDI (1..127)."""

    start_s: float
    end_s: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Pedal:
    """The sustain pedal held down from `start_s` to `end_s`."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class Tone:
    """An equalizer. low_cut_hz, high_cut_hz: what lies below or above goes, 12 dB an octave; 0 is none.

    low_db, high_db: shelves, below about 200 Hz and above about 4 kHz.
    """

    low_cut_hz: float = 0.0
    high_cut_hz: float = 0.0
    low_db: float = 0.0
    high_db: float = 0.0


@dataclass(frozen=True)
class Room:
    """The reverb of all parts, each of which sends as much into it as its `reverb` says.

    size 0..1: decay by 60 dB in 0.7 s (0), 1.6 s (0.5), 2.5 s (0.7), 5.4 s (0.9) or 9.6 s (1). damping 0..1:
    how much faster high frequencies decay. width: side against middle, 1 as much of both. level 0..1.
    """

    size: float = 0.7
    damping: float = 0.35
    width: float = 0.9
    level: float = 0.9


@dataclass(frozen=True)
class Part:
    """One instrument. `program` is the General MIDI program 0..127 (drum kit number where `is_drums`).

    volume and pan as MIDI controllers 7 and 10 (0..127, pan 64 = middle); reverb and chorus as
    controllers 91 and 93 (0..127). touch 0..1: how much darker soft notes sound than loud ones. width: by
    how much the difference of its sides is scaled, 0 is mono.
    """

    name: str
    program: int
    is_drums: bool
    notes: tuple[Note, ...]
    pedals: tuple[Pedal, ...] = ()
    volume: int = 100
    pan: int = 64
    reverb: int = 40
    chorus: int = 0
    tone: Tone = Tone()
    touch: float = 1.0
    width: float = 1.0


@dataclass(frozen=True)
class Marker:
    """`section`: where a section begins (MIDI marker). `hit`: a point met in the picture (cue point)."""

    time_s: float
    kind: Literal["section", "hit"]
    text: str


@dataclass(frozen=True)
class Score:
    """The finished music; it lasts `duration_s`, the film's length. `key` as `C`, `F#`, `Am`, `Ebm`.

    tone: of every part, after the part's own.
    """

    tempo_map: TempoMap
    key: str
    parts: tuple[Part, ...]
    markers: tuple[Marker, ...]
    duration_s: float
    room: Room = Room()
    tone: Tone = Tone()
