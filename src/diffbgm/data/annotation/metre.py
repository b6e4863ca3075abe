"""Beats and bars of an ordinary MIDI file, from its tempo and time-signature events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.timing import FloatArray

_LONGEST_BEATS: Final = 1_000_000


@dataclass(frozen=True)
class Metre:
    """How a time signature is counted. beat_q: quarters a beat; the others as in `MusicAnnotation`."""

    beat_q: float
    beats_per_bar: int
    eighths_per_beat: int


@dataclass(frozen=True)
class BeatGrid:
    """beats_q: float64 (beats + 1,), quarters from the file's beginning; downbeat: bool (beats,)."""

    beats_q: FloatArray
    downbeat: NDArray[np.bool_]
    metre: Metre


def metre_of(numerator: int, denominator: int) -> Metre:
    """Dotted beats in 6/8, 9/8, 12/16 ..., else quarters where whole ones fill a bar, else the unit itself.

    1/4 is read as 4/4: programs write it where they know no metre.
    """
    if numerator <= 1 or denominator <= 0:
        return Metre(1.0, 4, 2)
    unit = 4 / denominator
    if denominator >= 8 and numerator % 3 == 0:
        return Metre(3 * unit, numerator // 3, 3)
    quarters = numerator * unit
    if quarters == round(quarters):
        return Metre(1.0, round(quarters), 2)
    return Metre(unit, numerator, 2)


def beat_grid(signatures: list[tuple[float, int, int]], end_q: float) -> BeatGrid:
    """The beats up to at least `end_q` quarters, in whole bars of the last signature.

    signatures: (quarter at which it begins, numerator, denominator), in order; 4/4 before the first. Bars
    begin anew at each; what is left of a beat before it joins the beat before. `metre` is the one that
    covers most of the piece.
    """
    changes = [(0.0, Metre(1.0, 4, 2))] if not signatures or signatures[0][0] > 0 else []
    changes += [(at, metre_of(numerator, denominator)) for at, numerator, denominator in signatures]
    starts: list[FloatArray] = []
    downbeats: list[NDArray[np.bool_]] = []
    covered: dict[Metre, float] = {}
    for index, (at, metre) in enumerate(changes):
        last = index + 1 == len(changes)
        length = (end_q - at) if last else changes[index + 1][0] - at
        if length <= 0 and (not last or starts):
            continue
        bar_q = metre.beat_q * metre.beats_per_bar
        if last:
            count = max(1, int(np.ceil(length / bar_q - 1e-9))) * metre.beats_per_bar
        else:
            count = max(1, int(np.floor(length / metre.beat_q + 1e-9)))
        beats = np.arange(min(count, _LONGEST_BEATS))
        starts.append(np.asarray(at + metre.beat_q * beats, np.float64))
        downbeats.append(beats % metre.beats_per_bar == 0)
        covered[metre] = covered.get(metre, 0.0) + max(length, bar_q if last else 0.0)
        if last:
            starts.append(np.array([at + metre.beat_q * len(beats)]))
    beats_q = np.concatenate(starts)
    if len(beats_q) != sum(map(len, downbeats)) + 1:  # the last signature begins after the last note
        beats_q = np.append(beats_q, max(end_q, beats_q[-1] + 1.0))
    return BeatGrid(beats_q, np.concatenate(downbeats), max(covered, key=lambda metre: covered[metre]))
