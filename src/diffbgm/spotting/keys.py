"""Musical keys: reading what a person wrote, and choosing one."""

from __future__ import annotations

import re

from diffbgm.errors import OptionError
from diffbgm.pitch import pitch_class

_SPELLED = re.compile(r"([A-Ga-g])([#b♯♭]?)\s*(m|min|minor|moll|maj|major|dur|M)?")
# The keys a key signature can be written for (up to seven sharps or flats).
_MAJOR = ("C", "C#", "Db", "D", "Eb", "E", "F", "F#", "Gb", "G", "Ab", "A", "Bb", "B", "Cb")
_MINOR = ("C", "C#", "D", "D#", "Eb", "E", "F", "F#", "G", "G#", "Ab", "A", "A#", "Bb", "B")

# Easy keys under which the accompaniment lies well on every instrument, calm ones first.
_COMFORTABLE_MAJOR = ("C", "F", "G", "D", "Bb", "Eb", "A")
_COMFORTABLE_MINOR = ("Am", "Dm", "Em", "Cm", "Gm", "Bm", "Fm")


def parse_key(text: str) -> str:
    """The key's short name: `C`, `F#`, `Am`, `Ebm`.

    Accepts a note name with an optional # or b, and optionally m, min, minor, maj or major after it.
    A spelling that no key signature has (such as G# major) becomes its equivalent (Ab). Raises
    OptionError for anything else.
    """
    match = _SPELLED.fullmatch(text.strip())
    if match is None:
        raise OptionError(
            f"key: {text!r} is not a key; expected a note C, C#, Db, D, ... B, "
            "alone or followed by m, min, minor, maj or major, such as C, F#, Am or Eb minor"
        )
    letter, accidental, mode = match.groups()
    minor = mode in ("m", "min", "minor", "moll")
    name = letter.upper() + accidental.replace("♯", "#").replace("♭", "b")
    known = _MINOR if minor else _MAJOR
    if name not in known:
        name = next(each for each in known if pitch_class(each) == pitch_class(name))
    return name + ("m" if minor else "")


def choose_key(valence: float, brightness: float, seed: int) -> str:
    """A key for the mood: major at or above valence 0, minor below it.

    Among seven comfortable tonics, by the picture's brightness (0..1) and the seed; the same every time.
    """
    choices = _COMFORTABLE_MAJOR if valence >= 0.0 else _COMFORTABLE_MINOR
    return choices[(round(brightness * 6) + seed) % len(choices)]
