"""Motifs: bars of one phrase that share a rhythm, as bars of songs do.

In songs a sung bar has exactly the rhythm of the bar two before in 15 of 100 cases and that of four before
in 25, and an accompaniment keeps its pattern; bars that are drawn side by side do so by chance only. So while
the notes are drawn, the expected onsets of each step move towards the mean of the phrase's bars in the same
place, and the chances of the step's pitches are tilted to them (`tilt`), which leaves open which are struck.
The accompaniment's pull ends before the details are settled. Left alone are the last bar of a phrase and the
steps where the film asks for an accent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.conditions import ACCENT, Conditions
from diffbgm.diffusion.roll import N_PITCHES, ONSET, TRACKS
from diffbgm.diffusion.tilt import tilted_sums
from diffbgm.diffusion.tokens import BITS, BITS_SHAPE, F32, TRACK_AMPLITUDE
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BAR


@dataclass(frozen=True)
class Motif:
    """How a track repeats its rhythm. bars: every how many; the pull grows from 0 at the noise level `loose`
    to `most` at `tight`."""

    track: str
    bars: int
    loose: float
    tight: float
    most: float

    def pull(self, s: float) -> float:
        return self.most * min(1.0, max(0.0, (s - self.loose) / (self.tight - self.loose)))


MOTIFS: Final = (
    Motif("melody", 2, 0.0, 0.2, 0.7),
    Motif("melody", 4, 0.0, 0.05, 1.0),
    Motif("accompaniment", 1, 0.1, 0.4, 0.7),
)
"""Chosen by how often held-out windows repeat their rhythms, and songs theirs (docs/experiments/LOG.md)."""

_CLOSE: Final = 0.02


class Motifs:
    """Moves estimates of a piece towards motifs, by the phrases that its conditions tell."""

    def __init__(self, conditions: Conditions) -> None:
        n_bars = len(conditions.dynamic) // BEATS_PER_BAR
        self.beats = n_bars * BEATS_PER_BAR
        self.groups = [motif_groups(conditions.mask[: self.beats], motif.bars) for motif in MOTIFS]
        accents = np.zeros((n_bars, STEPS_PER_BAR), bool)
        if conditions.dynamic.dtype == np.int64:
            accents = conditions.dynamic[: self.beats, ACCENT].reshape(n_bars, STEPS_PER_BAR) > 0
        self.free = ~accents

    def __call__(self, estimate: F32, s: float) -> F32:
        """Tokens float32 (beats, 2148) at noise level `s`; a new array where anything moves."""
        pulls = [motif.pull(s) for motif in MOTIFS]
        if not any(pulls):
            return estimate
        out = estimate.copy()
        bits = out[: self.beats, BITS].reshape(-1, BEATS_PER_BAR, *BITS_SHAPE)
        for motif, pull, groups in zip(MOTIFS, pulls, self.groups, strict=True):
            track = TRACKS.index(motif.track)
            onsets = bits[:, :, track, ONSET]  # (bars, 4 beats, 4 steps, 88)
            chance = ((1 + onsets / TRACK_AMPLITUDE[track]) / 2).reshape(-1, N_PITCHES)
            expected = chance.sum(axis=1).reshape(-1, STEPS_PER_BAR)
            wanted = expected.copy()
            for bars in groups:
                wanted[bars] += pull * self.free[bars] * (expected[bars].mean(axis=0) - expected[bars])
            rows = np.flatnonzero(np.abs(wanted - expected) > _CLOSE)
            chance[rows] = tilted_sums(chance[rows], wanted.reshape(-1)[rows])
            bits[:, :, track, ONSET] = TRACK_AMPLITUDE[track] * (2 * chance.reshape(onsets.shape) - 1)
        out[: self.beats, BITS] = bits.reshape(self.beats, -1)
        return out


def motif_groups(mask: NDArray[np.bool_], every: int) -> list[NDArray[np.int64]]:
    """Bars that share a rhythm: those `every` bars apart in each phrase, a column of `mask` (beats, phrases).

    The last bar of a phrase is in none, nor is a bar that has no other.
    """
    out = []
    for column in mask.T:
        bars = np.unique(np.flatnonzero(column) // BEATS_PER_BAR)[:-1]
        for place in range(min(every, len(bars))):
            group = bars[(bars - bars[0]) % every == place]
            if len(group) > 1:
                out.append(group)
    return out
