"""Key changes between sections: to which key a turn of mood leads, and the chords that prepare it."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from diffbgm.pitch import LEFT_OPEN, MAJOR_KEYS, MINOR_KEYS, pitch_class
from diffbgm.spotting.cuesheet import Section
from diffbgm.spotting.keys import parse_key

_TURN: Final = 0.15
_SHORTEST_BARS: Final = 4
"""A mood turns against the key where valence has the other sign by so much, for so many bars."""

_MAJOR: Final = (0, 2, 4, 5, 7, 9, 11)
_MINOR: Final = (0, 2, 3, 5, 7, 8, 11)  # harmonic: its dominant is a major chord
_PIVOTS: Final = (
    ((2, True), (5, False), (9, True), (0, False)),
    ((5, True), (8, False), (3, False), (0, True)),
)
"""Chords that lead to a dominant, best first, as semitones above the tonic and whether minor.

In major ii, IV, vi, I; in minor iv, VI, III, i.
"""


def with_keys(sections: tuple[Section, ...], key: str) -> tuple[Section, ...]:
    """The sections, those whose mood turns against the film's key in its parallel key.

    Not the first and the last; a section that has a key keeps it. The parallel key and not the relative one,
    which has the same notes: between those the network goes as it likes (docs/harmony.md).
    """
    minor = key.endswith("m")
    out = []
    for index, section in enumerate(sections):
        turns = section.valence >= _TURN if minor else section.valence <= -_TURN
        inner = 0 < index < len(sections) - 1 and section.end_bar - section.start_bar >= _SHORTEST_BARS
        if section.key is None and turns and inner:
            section = section.model_copy(update={"key": parallel(key)})
        out.append(section)
    return tuple(out)


def prepared(sections: tuple[Section, ...], key: str) -> tuple[Section, ...]:
    """The sections with a pivot chord and the new dominant in the last bar before each change of key.

    Only where the section before has no chords of its own.
    """
    out = list(sections)
    for index, (before, after) in enumerate(pairwise(sections)):
        old, new = before.key or key, after.key or key
        if old != new and before.chords is None:
            bars = before.end_bar - before.start_bar
            text = " ".join([*[LEFT_OPEN] * (bars - 1), preparation(old, new)])
            out[index] = before.model_copy(update={"chords": text})
    return tuple(out)


def parallel(key: str) -> str:
    """The key of the same tonic and the other mode."""
    return parse_key(key.removesuffix("m") if key.endswith("m") else f"{key}m")


def preparation(old: str, new: str) -> str:
    """A bar that leads from one key to another: a chord of both, then the new key's dominant seventh.

    Where the keys share no chord that leads there, the dominant alone.
    """
    tonic = pitch_class(new)
    dominant = f"{MAJOR_KEYS[(tonic + 7) % 12]}7"
    scale = {(pitch_class(old) + step) % 12 for step in (_MINOR if old.endswith("m") else _MAJOR)}
    for step, minor in _PIVOTS[new.endswith("m")]:
        root = (tonic + step) % 12
        if scale.issuperset({root, (root + (3 if minor else 4)) % 12, (root + 7) % 12}):
            return f"{(MINOR_KEYS if minor else MAJOR_KEYS)[root]},{dominant}"
    return dominant
