"""How much happens in a bar, held to what is asked while the notes are drawn.

The network is told the density of every bar and follows it, but loosely. So its estimate is corrected: the
chances of a bar's onsets are tilted until they add up to what is asked (`tilt`). Asked is a code, a range of
counts: a bar within it stays as it is, and one outside is moved to its border.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.conditions import DYNAMIC_INDEX, UNKNOWN
from diffbgm.diffusion.roll import ONSET, TRACKS
from diffbgm.diffusion.tilt import tilted_sums
from diffbgm.diffusion.tokens import BITS, BITS_SHAPE, F32, TRACK_AMPLITUDE
from diffbgm.timing import BEATS_PER_BAR

NOTES_A_CODE: Final = 2.0
"""Onsets a bar by which codes of density differ: half an onset a beat."""

_CLOSE: Final = 0.01

Range = tuple[NDArray[np.float64], NDArray[np.float64]]


def asked_onsets(dynamic: NDArray[np.int64]) -> Range:
    """The least and the most onsets of each bar to draw for the codes of `dynamic` (..., beats, fields).

    float64 (..., bars); 0 and infinity where density is unknown. A code stands for counts up to one below and
    above its middle; of the expected number a little is lost where chances become notes.
    """
    code = dynamic[..., ::BEATS_PER_BAR, DYNAMIC_INDEX["density"]].astype(np.float64)
    middle = NOTES_A_CODE * (code - 1)
    return _where_known(code, np.maximum(middle - 0.2, 0.0), middle + 0.6)


def asked_melody(dynamic: NDArray[np.int64]) -> Range:
    """The same of the melody's onsets, whose codes are rounded up: 1 is none, 2 one or two, ..."""
    code = dynamic[..., ::BEATS_PER_BAR, DYNAMIC_INDEX["melody"]].astype(np.float64)
    high = NOTES_A_CODE * (code - 1)
    return _where_known(code, np.maximum(high - 0.5, 0.0), high)


class AskedDensity:
    """Moves estimates to as many onsets a bar as `dynamic`, int64 (..., beats, fields), asks.

    First those of the melody, where that is asked, then those of all tracks, or of the others.
    """

    def __init__(self, dynamic: NDArray[np.int64]) -> None:
        self.least, self.most = (side.reshape(-1) for side in asked_onsets(dynamic))
        self.least_sung, self.most_sung = (side.reshape(-1) for side in asked_melody(dynamic))
        self.beats = dynamic.shape[-2] // BEATS_PER_BAR * BEATS_PER_BAR

    def __call__(self, estimate: F32) -> F32:
        """Tokens float32 (..., beats, 2148), a new array; beats past those of `dynamic` stay as they are."""
        out = estimate.copy()
        amplitude = np.array(TRACK_AMPLITUDE, np.float32)[:, None, None]
        bits = out[..., : self.beats, BITS].reshape(-1, BEATS_PER_BAR, *BITS_SHAPE)
        onsets = bits[..., ONSET, :, :]  # (bars, 4 beats, 3 tracks, 4 steps, 88)
        chance = ((1 + onsets / amplitude) / 2).swapaxes(1, 2)
        shape, chance = chance.shape, chance.reshape(len(bits), len(TRACKS), -1)
        chance[:, 0] = _moved(chance[:, 0], self.least_sung, self.most_sung)
        settled = np.isfinite(self.most_sung)
        sung = np.where(settled, chance[:, 0].sum(axis=1), 0.0)
        free = chance.copy()
        free[settled, 0] = 0
        least, most = np.maximum(self.least - sung, 0), np.maximum(self.most - sung, 0)
        moved = _moved(free.reshape(len(bits), -1), least, most).reshape(chance.shape)
        moved[settled, 0] = chance[settled, 0]
        bits[..., ONSET, :, :] = amplitude * (2 * moved.reshape(shape).swapaxes(1, 2) - 1)
        out[..., : self.beats, BITS] = bits.reshape(*out.shape[:-2], self.beats, -1)
        return out


def _where_known(code: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> Range:
    known = code != UNKNOWN
    return np.where(known, low, 0.0), np.where(known, high, np.inf)


def _moved(
    chance: NDArray[np.floating], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.floating]:
    """Chances (bars, onsets) tilted so that each bar's sum lies within `low` and `high`; a new array."""
    out = chance.copy()
    total = chance.sum(axis=1)
    wanted = np.clip(total, low, high)
    bars = np.flatnonzero(np.abs(wanted - total) > _CLOSE)
    out[bars] = tilted_sums(chance[bars], wanted[bars])
    return out
