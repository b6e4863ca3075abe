"""Which takes are broken: rules with bounds from real songs. docs/takes.md says how often each strikes."""

from __future__ import annotations

from typing import Final

from diffbgm.takes.asked import Asked
from diffbgm.takes.features import FEATURES
from diffbgm.takes.measures import Measures
from diffbgm.takes.reference import Reference, reference_for
from diffbgm.timing import BEATS_PER_BAR

COPIED_NOTES: Final = 16
"""A passage of this many notes shared with a training song: 1 of 438 held-out windows of 16 bars has one."""

MOST_EMPTY: Final = 0.1
MOST_OFF: Final = 0.5
"""Distance from the density that was asked; the median bar of a song strikes 20 notes."""


def faults(measures: Measures, asked: Asked) -> tuple[str, ...]:
    """What is broken about a take, in words with figures; empty if it passes.

    Pieces below four bars are looked at for emptiness, key and copies alone.
    """
    found = []
    if not measures.features["notes"] > 0:
        return ("empty: no note at all",)
    if measures.empty > MOST_EMPTY:
        found.append(f"empty: nothing in {measures.empty:.0%} of the bars that were to have notes")
    if measures.density_error > MOST_OFF:
        found.append(f"density: {measures.density_error:.0%} off what was asked")
    if measures.copied_notes >= COPIED_NOTES:
        found.append(f"copied: a passage of {measures.copied_notes} notes may be a training song's")
    reference = reference_for(asked.n_beats // BEATS_PER_BAR)
    if reference is not None:
        found += _unlike_songs(measures, reference)
    return tuple(found)


def _unlike_songs(measures: Measures, songs: Reference) -> list[str]:
    found = []
    if measures.off_key > songs.off_key:
        found.append(f"off-key: {measures.off_key:.0%} of the notes are outside the scale")
    for name, word in _TOO_MUCH.items():
        value, most = measures.features[name], songs.high[FEATURES.index(name)]
        if value > most:
            found.append(f"{word} {value:.2f}, songs below {most:.2f}")
    for name, word in _TOO_LITTLE.items():
        value, least = measures.features[name], songs.low[FEATURES.index(name)]
        if value < least:
            found.append(f"{word} {value:.2f}, songs above {least:.2f}")
    return found


_TOO_MUCH: Final = {
    "gps": "metronomic: likeness of the bars' rhythms",
    "likeness": "one bar over and over: likeness of neighbouring bars",
    "clash": "chaotic: moments with neighbouring semitones",
    "pche": "chaotic: entropy of pitch classes",
}
_TOO_LITTLE: Final = {
    "consistency": "chaotic: likeness of neighbouring rhythms",
    "velocity_spread": "metronomic: spread of velocities",
}
