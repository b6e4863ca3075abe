"""Harmony for tension: chords with a tritone, asked of sections whose mood is dark and excited."""

from __future__ import annotations

from typing import Final

from diffbgm.pitch import LEFT_OPEN, MAJOR_KEYS, MINOR_KEYS, pitch_class
from diffbgm.spotting.cuesheet import Section

# By how much arousal exceeds valence: one bar of four is asked for from here, two from there.
_SOME: Final = 0.5
_MUCH: Final = 0.75


def tightened(sections: tuple[Section, ...], key: str) -> tuple[Section, ...]:
    """The sections, tense ones without chords of their own with diminished chords in some of their bars.

    The diminished seventh on the leading note in every fourth bar, and the half-diminished seventh on the
    second degree two bars before it where the mood is very tense; the other bars are left to the model.
    """
    out = []
    for section in sections:
        tension = section.arousal - section.valence
        if section.chords is None and tension >= _SOME:
            tonic = pitch_class((section.key or key).removesuffix("m"))
            second = f"{MAJOR_KEYS[(tonic + 2) % 12]}m7b5" if tension >= _MUCH else LEFT_OPEN
            leading = f"{MINOR_KEYS[(tonic + 11) % 12].removesuffix('m')}dim7"
            chords = " ".join((LEFT_OPEN, second, LEFT_OPEN, leading))
            section = section.model_copy(update={"chords": chords})
        out.append(section)
    return tuple(out)
