"""How rough notes that sound together are: the beating of their partials.

The model of Hutchinson and Knopoff ("The acoustic component of Western consonance", Interface 7, 1978): a
note has harmonics of amplitude 1/n, and of all pairs of partials those a quarter of a critical band apart
beat most. The curve over the band is Mashinter's (2006) formula for the table of Plomp and Levelt (1965).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

_HARMONICS: Final = 11
_MOST_BEATING: Final = 0.25  # of a critical band
_BEYOND: Final = 1.2  # critical bands: no beating from here on


def roughness(pitches: Iterable[int]) -> float:
    """Roughness of notes struck equally loud: 0 for one that is alone among its harmonics, about 0.5 at most.

    D = sum over pairs of a_i a_j g(y_ij) / sum of a_i^2, with g(y) = (y / 0.25 exp(1 - y / 0.25))^2, y being
    the distance in critical bands of width 1.72 f^0.65 Hz around the middle frequency f. Where partials of
    several notes coincide their powers add up. So a minor second has 0.48 around middle C and a major triad
    0.12; low chords are rougher than high ones.

    pitches: MIDI numbers; of equal ones the second counts for nothing. Returns 0 for no note at all.
    """
    return _roughness(frozenset(pitches))


def mean_roughness(sounding: NDArray[np.bool_], lowest_pitch: int) -> float:
    """Mean roughness over the moments at which two notes or more sound, 0 without any such moment.

    sounding: bool (moments, pitches), the first pitch being `lowest_pitch` in MIDI numbers.
    """
    found = [
        roughness((np.flatnonzero(row) + lowest_pitch).tolist()) for row in sounding[sounding.sum(axis=1) > 1]
    ]
    return float(np.mean(found)) if found else 0.0


@lru_cache(maxsize=4096)
def _roughness(pitches: frozenset[int]) -> float:
    partials: dict[float, float] = {}
    for pitch in pitches:
        for number in range(1, _HARMONICS + 1):
            at = round(pitch + 12.0 * math.log2(number), 6)  # the same number for the same partial
            partials[at] = partials.get(at, 0.0) + 1.0 / number**2
    if not partials:
        return 0.0
    hertz = 440.0 * 2.0 ** ((np.array(list(partials)) - 69.0) / 12.0)
    amplitude = np.sqrt(np.array(list(partials.values())))
    first, second = np.triu_indices(len(hertz), 1)
    middle = (hertz[first] + hertz[second]) / 2.0
    apart = np.abs(hertz[first] - hertz[second]) / (1.72 * middle**0.65)
    scaled = apart / _MOST_BEATING
    beating = np.where(apart < _BEYOND, (scaled * np.exp(1.0 - scaled)) ** 2, 0.0)
    return float((amplitude[first] * amplitude[second] * beating).sum() / (amplitude**2).sum())
