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
class Part:
    """One instrument. `program` is the General MIDI program 0..127 (drum kit number where `is_drums`).

    volume and pan as MIDI controllers 7 and 10 (0..127, pan 64 = middle); reverb and chorus as
    controllers 91 and 93 (0..127).
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


@dataclass(frozen=True)
class Marker:
    """`section`: where a section begins (MIDI marker). `hit`: a point met in the picture (cue point)."""

    time_s: float
    kind: Literal["section", "hit"]
    text: str


@dataclass(frozen=True)
class Score:
    """The finished music; it lasts `duration_s`, the film's length. `key` as `C`, `F#`, `Am`, `Ebm`."""

    tempo_map: TempoMap
    key: str
    parts: tuple[Part, ...]
    markers: tuple[Marker, ...]
    duration_s: float
