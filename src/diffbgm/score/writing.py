"""Chords and broken chords, written from the harmony by a style's patterns.

All notes are on the grid, before dynamics.
"""

from __future__ import annotations

from typing import Final

from diffbgm.score.decode import GridNote
from diffbgm.score.form import Form
from diffbgm.score.harmony import voiced
from diffbgm.score.styles import StylePart

_CHORD_STRIKE: Final = {"X": 84, "x": 66}
_TONE: Final = 74


def chord_part(part: StylePart, form: Form) -> list[GridNote]:
    """Chords or broken chords by the pattern, each in the inversion nearest to the one before.

    `X` and `x` strike the whole chord (loud, soft), `0`..`7` its notes counted from the lowest, `-` goes
    on (struck anew where the chord changes), `.` rests.
    """
    low, high = part.range
    stack: tuple[int, ...] = ()
    out: list[GridNote] = []
    last = ""
    begun: tuple[int, tuple[int, ...], int] | None = None  # step, pitches, velocity
    for step in range(form.final_step):
        token = form.harmonic_token(part.patterns, step)
        if form.chord_begins(step):
            stack = voiced(form.chord(step).tones, stack, low, high, part.voices)
            token = last if token == "-" and begun else token
        if token == "-":
            continue
        if begun:
            out += [GridNote(begun[0], step, pitch, begun[2]) for pitch in begun[1]]
        begun, last = None, token
        if token in _CHORD_STRIKE:
            begun = (step, stack, _CHORD_STRIKE[token])
        elif token != ".":
            begun = (step, (_tone(stack, int(token), high),), _TONE)
    if begun:
        out += [GridNote(begun[0], form.final_step, pitch, begun[2]) for pitch in begun[1]]
    return out


def _tone(stack: tuple[int, ...], index: int, high: int) -> int:
    """The index-th note of the chord, going on in the next octave above its highest."""
    octaves, within = divmod(index, len(stack))
    pitch = stack[within] + 12 * octaves
    while pitch > high:
        pitch -= 12
    return pitch
