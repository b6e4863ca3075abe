"""Names for what the notes are: chords, pitches, General MIDI instruments."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

SHARPS: Final = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
FLATS: Final = ("C", "D♭", "D", "E♭", "E", "F", "G♭", "G", "A♭", "A", "B♭", "B")
FLAT_KEYS: Final = frozenset(["F", "Bb", "Eb", "Ab", "Db", "Gb", "Dm", "Gm", "Cm", "Fm", "Bbm", "Ebm"])

# Pitch classes above the root -> what is written after the root's name. Simpler chords come first:
# where two readings fit (C6 = Am7/C) and the bass does not decide, the first one is taken.
QUALITIES: Final[dict[frozenset[int], str]] = {
    frozenset({0, 4, 7}): "",
    frozenset({0, 3, 7}): "m",
    frozenset({0, 4, 7, 10}): "7",
    frozenset({0, 4, 7, 11}): "maj7",
    frozenset({0, 3, 7, 10}): "m7",
    frozenset({0, 5, 7}): "sus4",
    frozenset({0, 2, 7}): "sus2",
    frozenset({0, 3, 6}): "dim",
    frozenset({0, 4, 8}): "aug",
    frozenset({0, 3, 6, 10}): "m7♭5",
    frozenset({0, 3, 6, 9}): "dim7",
    frozenset({0, 3, 7, 11}): "m(maj7)",
    frozenset({0, 5, 7, 10}): "7sus4",
    frozenset({0, 4, 7, 9}): "6",
    frozenset({0, 3, 7, 9}): "m6",
    frozenset({0, 2, 4, 7}): "add9",
    frozenset({0, 2, 4, 7, 10}): "9",
    frozenset({0, 2, 4, 7, 11}): "maj9",
    frozenset({0, 2, 3, 7, 10}): "m9",
    frozenset({0, 7}): "5",
    frozenset({0, 4, 8, 10}): "7♯5",
    frozenset({0, 4, 6, 10}): "7♭5",
    frozenset({0, 1, 4, 7, 10}): "7♭9",
    frozenset({0, 3, 4, 7, 10}): "7♯9",
    frozenset({0, 2, 4, 7, 9}): "6/9",
    frozenset({0, 2, 3, 7}): "m(add9)",
    frozenset({0, 2, 5, 7, 10}): "9sus4",
    frozenset({0, 2, 4, 7, 9, 10}): "13",
    frozenset({0, 2, 3, 5, 7, 10}): "m11",
}

_INSTRUMENTS: Final = """
Grand piano|Bright piano|Electric grand|Honky-tonk|Electric piano 1|Electric piano 2|Harpsichord|Clavinet
Celesta|Glockenspiel|Music box|Vibraphone|Marimba|Xylophone|Tubular bells|Dulcimer
Drawbar organ|Percussive organ|Rock organ|Church organ|Reed organ|Accordion|Harmonica|Bandoneon
Nylon guitar|Steel guitar|Jazz guitar|Clean guitar
Muted guitar|Overdriven guitar|Distorted guitar|Guitar harmonics
Acoustic bass|Fingered bass|Picked bass|Fretless bass|Slap bass 1|Slap bass 2|Synth bass 1|Synth bass 2
Violin|Viola|Cello|Double bass|Tremolo strings|Pizzicato strings|Harp|Timpani
Strings|Slow strings|Synth strings 1|Synth strings 2|Choir aahs|Voice oohs|Synth voice|Orchestra hit
Trumpet|Trombone|Tuba|Muted trumpet|French horn|Brass section|Synth brass 1|Synth brass 2
Soprano sax|Alto sax|Tenor sax|Baritone sax|Oboe|English horn|Bassoon|Clarinet
Piccolo|Flute|Recorder|Pan flute|Blown bottle|Shakuhachi|Whistle|Ocarina
Square lead|Saw lead|Calliope lead|Chiff lead|Charang lead|Voice lead|Fifths lead|Bass and lead
New age pad|Warm pad|Polysynth pad|Choir pad|Bowed pad|Metallic pad|Halo pad|Sweep pad
Rain|Soundtrack|Crystal|Atmosphere|Brightness|Goblins|Echoes|Sci-fi
Sitar|Banjo|Shamisen|Koto|Kalimba|Bagpipe|Fiddle|Shanai
Tinkle bell|Agogo|Steel drums|Woodblock|Taiko|Melodic tom|Synth drum|Reverse cymbal
Fret noise|Breath noise|Seashore|Bird tweet|Telephone|Helicopter|Applause|Gunshot
"""
INSTRUMENTS: Final = tuple(name for line in _INSTRUMENTS.split("\n") if line for name in line.split("|"))
"""The 128 programs of General MIDI level 1, in short words."""


def pitch_classes(key: str) -> tuple[str, ...]:
    """The twelve note names as they are spelt in `key` (`Ebm`, `F#`, ...)."""
    return FLATS if key in FLAT_KEYS else SHARPS


def chord_name(chroma: NDArray[np.bool_], bass: int, key: str) -> str:
    """Name of a chord, such as `Am7` or `C/E`; empty where it is none that has a name.

    chroma: bool (12,), the pitch classes that sound. bass: the lowest one's class, -1 if unknown.
    The bass is tried as root first, then the others upwards from C; a root other than the bass gives
    a slash chord.
    """
    sounding = [int(pitch) for pitch in np.flatnonzero(chroma)]
    names = pitch_classes(key)
    for root in sorted(sounding, key=lambda pitch: (pitch != bass, pitch)):
        quality = QUALITIES.get(frozenset((pitch - root) % 12 for pitch in sounding))
        if quality is not None:
            slash = f"/{names[bass]}" if bass not in (-1, root) else ""
            return f"{names[root]}{quality}{slash}"
    return ""


def chord_spans(chroma: NDArray[np.bool_], bass: NDArray[np.int8], key: str) -> list[tuple[int, int, str]]:
    """Runs of equal chords as (first beat, beats, name), without those that have no name.

    chroma: bool (beats, 12), bass: int8 (beats,), as in `PianoRoll`.
    """
    spans: list[tuple[int, int, str]] = []
    for beat in range(len(bass)):
        name = chord_name(chroma[beat], int(bass[beat]), key)
        if spans and spans[-1][2] == name:
            first, length, _ = spans[-1]
            spans[-1] = (first, length + 1, name)
        else:
            spans.append((beat, 1, name))
    return [span for span in spans if span[2]]


def instrument_name(program: int, is_drums: bool) -> str:
    """What a General MIDI program is called."""
    return "Drum kit" if is_drums else INSTRUMENTS[program]
