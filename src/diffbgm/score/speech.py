"""How the arrangement makes room for words.

Consonants live between 1 and 4 kHz, and the ear follows one line at a time. So under speech (`Form.speech`):

- the melody and what answers it rest. They leave with the end of a phrase before the words, and come back
  on a beat or with a phrase after them;
- what carries on lies low, so that its notes and their octaves stay below 1 kHz, has three voices at most and
  begins notes only on beats; two parts besides the bass carry the harmony, bright instruments only where no
  other can;
- percussion keeps a soft pulse of low drums, one level calmer, and nothing in calm scenes; no fills, no
  crashes.

Each part is written twice, as its style has it and thinned, and the two are joined at the borders of speech:
no note is cut off but by its own part's next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np

from diffbgm.diffusion.roll import TRACKS
from diffbgm.score.decode import GridNote, TrackNotes
from diffbgm.score.form import Form
from diffbgm.score.styles import StyleDrums, StylePart
from diffbgm.timing import STEPS_PER_BAR, STEPS_PER_BEAT

_SOFTER: Final = {"struck": 0.8, "sustained": 0.65, "drums": 0.7}
"""Of their velocity, what is left to notes under speech: of what does not die away by itself least."""

BRIGHT: Final = frozenset((
    "Accordion", "Bagpipe", "Baritone Sax", "Brass Section", "Church Organ", "Clarinet", "Clavinet",
    "Distortion Guitar", "Dulcimer", "Electric Guitar (clean)", "English Horn", "FX 8 (sci-fi)",
    "Glockenspiel", "Guitar Harmonics", "Harmonica", "Koto", "Oboe", "Overdriven Guitar", "Shamisen",
    "Shanai", "Sitar", "Soprano Sax", "Tango Accordion", "Tenor Sax", "Trumpet", "Tubular Bells",
    "Xylophone",
))  # fmt: skip
"""Instruments that have more than 28 % of their power between 1 and 4 kHz, from G3 to B4, half loud, in the
shipped soundfont (`benchmarks/speech.py --instruments`)."""

_CEILING: Final = 71
"""B4: its octave is the last below 1 kHz."""

_HIGHEST_LOW: Final = 64
"""A part whose range begins higher than this lies in the way of words altogether."""

_MOST_CARRYING: Final = 2
_VOICES: Final = 3
_CHORD_STEPS: Final = 2 * STEPS_PER_BEAT

_SOFT_DRUMS: Final = frozenset((
    "Acoustic Bass Drum", "Bass Drum 1", "Low Floor Tom", "High Floor Tom", "Low Tom", "Closed Hi-hat",
    "Pedal Hi-hat", "Side Stick", "Low Conga", "Low Bongo", "Low Wood Block", "Cabasa", "Maracas",
))  # fmt: skip

_RINGS_ON: Final = STEPS_PER_BEAT
"""So far into the words the last note of a phrase may ring."""

_STUMP_STEPS: Final = STEPS_PER_BAR // 2
"""A phrase that has begun no longer than this before the words does not begin."""


def thinned(parts: Sequence[StylePart]) -> list[StylePart | None]:
    """What each part becomes under speech, None where it rests.

    Besides the bass two parts at most carry the harmony. There is always one, and one that strikes the film's
    hits: if all who would are too bright, the first of them stays.
    """
    out = [_thin(part) if part.instrument not in BRIGHT else None for part in parts]
    carrying = [index for index, part in enumerate(out) if part and part.written != "bass"]
    # First those that always play, and of them those that sustain.
    carrying.sort(key=lambda index: (parts[index].from_level, parts[index].length < 1.0, index))
    for index in carrying[_MOST_CARRYING:]:
        out[index] = None
    if not any(part and part.from_level == 0 and part.written != "bass" for part in out):
        for index, part in enumerate(parts):
            if part.written != "bass" and (kept := _thin(part)):
                out[index] = kept
                break
    if not any(part and part.accent and part.from_level == 0 for part in out):
        for index, thin in enumerate(out):
            if thin and thin.from_level == 0:
                out[index] = thin.model_copy(update={"accent": True})
                break
    return out


def _thin(part: StylePart) -> StylePart | None:
    low, high = part.range
    plays = tuple(name for name in part.plays if name not in ("melody", "counter"))
    if not plays or low > _HIGHEST_LOW:
        return None
    changed: dict[str, object] = {
        "plays": plays,
        "range": (low, min(high, max(_CEILING, low + 12))),
        "finest": max(part.finest, STEPS_PER_BEAT),
        "hold": True,
        "polyphony": min(part.polyphony, _VOICES),
        "voices": min(part.voices, _VOICES),
        "gain": part.gain * _SOFTER["sustained" if part.hold or part.length == 1.0 else "struck"],
    }
    if part.written:
        grid = STEPS_PER_BEAT if part.written == "bass" else _CHORD_STEPS
        changed["patterns"] = tuple(_coarse(each, grid) for each in _calmer(part.patterns))
    return part.model_copy(update=changed)


def thinned_drums(drums: StyleDrums) -> StyleDrums:
    """Percussion under speech: a pulse of low and soft drums, a level calmer, and none at the lowest."""
    patterns = {
        name: ("", *(_coarse(each, STEPS_PER_BEAT, ".") for each in levels[:-1]))
        for name, levels in drums.patterns.items()
        if name in _SOFT_DRUMS
    }
    accent = tuple(name for name in drums.accent if name in _SOFT_DRUMS)
    bare: dict[str, object] = {"fills": {}, "variations": {}, "builds": {}, "crash": None}
    gain = drums.gain * _SOFTER["drums"]
    return drums.model_copy(update={**bare, "patterns": patterns, "accent": accent, "gain": gain})


def _calmer(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Each level's pattern replaced by the one below it, where that one is not silent."""
    return (
        *patterns[:1],
        *(before if set(before) - {"."} else pattern for before, pattern in pairwise(patterns)),
    )


def _coarse(pattern: str, grid: int, gap: str = "-") -> str:
    """The pattern with onsets only every `grid` steps; what sounded before goes on (percussion: `gap` ".").

    A pattern that has none there is held from its beginning instead.
    """
    out = ""
    for step, sign in enumerate(pattern):
        if sign not in "-." and step % grid:
            sign = gap if out[-1] != "." else "."
        out += sign
    first = next((sign for sign in pattern if sign not in "-."), None)
    if gap == "-" and first and not set(out) - {"-", "."}:
        return first + "-" * (len(pattern) - 1)
    return out


def joined(free: list[GridNote], thin: Iterable[GridNote], form: Form) -> list[GridNote]:
    """The notes of `thin` that begin under speech and those of `free` that begin elsewhere, sorted.

    A note that would sound on over the border ends with its part's first note there.
    """
    borders = np.array([step for stretch in _stretches(form) for step in stretch], dtype=np.int64)
    if not borders.size:
        return free
    notes = sorted(
        [note for note in free if not form.speech[note.start_step]]
        + [note for note in thin if form.speech[note.start_step]]
    )
    starts = np.array([note.start_step for note in notes], dtype=np.int64)
    borders = np.append(borders, form.n_steps)
    following = borders[np.searchsorted(borders, starts, side="right")]
    limits = np.append(starts, np.iinfo(np.int64).max)[np.searchsorted(starts, following)]
    return [
        replace(note, end_step=min(note.end_step, int(limit))) if note.end_step > border else note
        for note, border, limit in zip(notes, following, limits, strict=True)
    ]


def leaving_room(tracks: TrackNotes, form: Form) -> TrackNotes:
    """The tracks with melody and counter-melody resting under speech, led out of it and into it."""
    silent = [name in ("melody", "counter") for name in TRACKS]
    return tuple(
        _around(notes, form) if leads else notes for notes, leads in zip(tracks, silent, strict=True)
    )


def _around(line: Sequence[GridNote], form: Form) -> tuple[GridNote, ...]:
    """A line that ends before each stretch of speech and begins again after it."""
    for begin, end in _stretches(form):
        before = [note for note in line if note.start_step < begin]
        after = [note for note in line if note.start_step >= end]
        line = [*_led_out(before, begin, form), *_led_in(after, end)]
    return tuple(line)


def _led_out(line: list[GridNote], begin: int, form: Form) -> list[GridNote]:
    """The line up to the last note of its last phrase on which it can end: a chord tone on a beat of the last
    bar, held until the chord changes. A phrase that has only just begun is left out.
    """
    if not line or begin - line[-1].end_step >= STEPS_PER_BEAT:
        return line
    first = len(line) - 1
    while first and line[first].start_step - line[first - 1].end_step < STEPS_PER_BEAT:
        first -= 1
    if line[first].start_step >= begin - _STUMP_STEPS:
        return line[:first]
    last = max(
        (
            index
            for index in range(first, len(line))
            if line[index].start_step >= begin - STEPS_PER_BAR
            and line[index].start_step % STEPS_PER_BEAT == 0
            and line[index].pitch % 12 in form.chord(line[index].start_step).tones
        ),
        default=len(line) - 1,
    )
    final = line[last].start_step
    held = form.chord_end(final)
    return [
        replace(
            note,
            end_step=min(begin + _RINGS_ON, max(note.end_step, held if note.start_step == final else 0)),
        )
        for note in line
        if note.start_step <= final
    ]


def _led_in(line: list[GridNote], end: int) -> list[GridNote]:
    """The line from the first note on a beat or after a rest, looked for through a bar."""
    sounded = end - STEPS_PER_BEAT
    for index, note in enumerate(line):
        if note.start_step >= end + STEPS_PER_BAR:
            return line[index:]
        if note.start_step % STEPS_PER_BEAT == 0 or (index and note.start_step - sounded >= 2):
            return line[index:]
        sounded = max(sounded, note.end_step)
    return []


def _stretches(form: Form) -> Iterator[tuple[int, int]]:
    """First step and the one after the last of each stretch of speech."""
    edges = np.flatnonzero(np.diff(form.speech.astype(np.int8), prepend=0, append=0))
    for begin, end in edges.reshape(-1, 2):
        yield int(begin), int(end)
