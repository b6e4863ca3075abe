"""Harmony for tension: chords with a tritone, asked of sections whose mood is dark and excited."""

from __future__ import annotations

from typing import Final

from diffbgm.pitch import LEFT_OPEN, MAJOR_KEYS, MINOR_KEYS, pitch_class
from diffbgm.spotting.cuesheet import Section

# By how much arousal exceeds a valence below 0: two bars of four are asked for from here, three from there.
_SOME: Final = 0.5
_MUCH: Final = 0.75

# Four bars each. ii: the half-diminished seventh on the second degree; vii: the diminished seventh on the
# leading note, which leads to the tonic; the bars left open are the model's, and mostly the tonic.
_PATTERNS_OF_SOME: Final = ("* ii * vii",)
_PATTERNS_OF_MUCH: Final = ("* vii ii vii", "* ii vii,ii vii", "*,ii ii,vii *,ii ii,vii")


def tightened(sections: tuple[Section, ...], key: str) -> tuple[Section, ...]:
    """The sections, tense ones without chords of their own with diminished chords in some of their bars.

    Sections of one label share a pattern, so that a theme returns with its harmony. The last bar before
    another section leads to the tonic; the one before the film's last chord is left to its cadence.
    """
    labels = list(dict.fromkeys(section.label for section in sections))
    out = []
    for section in sections:
        tension = section.arousal - section.valence
        if section.chords is None and section.valence < 0.0 and tension >= _SOME:
            patterns = _PATTERNS_OF_MUCH if tension >= _MUCH else _PATTERNS_OF_SOME
            pattern = patterns[labels.index(section.label) % len(patterns)]
            chords = _chords(pattern, section, key, ends_film=section is sections[-1])
            section = section.model_copy(update={"chords": chords})
        out.append(section)
    return tuple(out)


def _chords(pattern: str, section: Section, key: str, *, ends_film: bool) -> str:
    """The pattern over the section's bars, in its key."""
    tonic = pitch_class((section.key or key).removesuffix("m"))
    ii, vii = MAJOR_KEYS[(tonic + 2) % 12], MINOR_KEYS[(tonic + 11) % 12].removesuffix("m")
    of_four = pattern.split()
    bars = [of_four[bar % len(of_four)] for bar in range(section.end_bar - section.start_bar)]
    if ends_film:
        bars[-2:] = [LEFT_OPEN] * len(bars[-2:])
    elif len(bars) > 1:
        bars[-1] = "vii"
    return " ".join(bars).replace("vii", f"{vii}dim7").replace("ii", f"{ii}m7b5")
