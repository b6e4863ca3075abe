"""Note names as pitch classes: the one place that knows that D lies two semitones above C."""

from __future__ import annotations

from typing import Final

_LETTERS: Final = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def pitch_class(name: str) -> int:
    """0 for C to 11 for B, of a note or key name such as `C`, `F#`, `Bb` or `Ebm`; the mode is ignored."""
    note = name.removesuffix("m")
    return (_LETTERS[note[0]] + note.count("#") - note[1:].count("b")) % 12
