"""The last step of sound: to the loudness that was asked for, below the highest peak that is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from diffbgm.sound.files import Block, fitted, read_raw, write_raw
from diffbgm.sound.loudness import Loudness, Meter, amplitude, decibels, limited, measure
from diffbgm.sound.mix import Mix
from diffbgm.sound.synth import Music

_TOLERANCE_LU: Final = 0.1
_MOST_PASSES: Final = 8
# How much of a decibel of gain becomes loudness where the limiter works: assumed before it is known,
# and the least that is believed.
_USUAL_SLOPE: Final = 0.7
_LEAST_SLOPE: Final = 0.2
# A sound whose peaks would have to be held down further than this is left quieter than asked.
_MOST_LIMITING_DB: Final = 30.0
_MUSIC_PEAK_DB: Final = -1.0


def music_gain(music: Music, target_lufs: float) -> float:
    """Gain for the music alone, as it is given beside the film: to the target where its peaks allow.

    Neither limited nor ducked, so that its stems add up to it: the gain also keeps every stem and the
    whole at or below -1 dB.
    """
    loudness = measure(read_raw(music.path), "stereo")
    peaks = [decibels(peak) for peak in (music.peak, *music.stem_peaks)]
    if loudness.true_peak_dbtp is not None:
        peaks.append(loudness.true_peak_dbtp)
    wanted = 0.0 if loudness.lufs is None else target_lufs - loudness.lufs
    return amplitude(min(wanted, _MUSIC_PEAK_DB - max(peaks)))


@dataclass(frozen=True)
class Mixed:
    """A mix on disk as raw float32, and how it measures."""

    path: Path
    layout: str
    channels: int
    n_samples: int
    loudness: Loudness


def store(mix: Mix, path: Path) -> Mixed:
    """Make the mix once and keep it, since mastering goes over it several times. OSError if disk refuses."""
    meter = Meter(mix.layout)
    n_samples = 0
    with path.open("wb") as file:
        for block in mix.blocks():
            meter.add(block)
            write_raw(file, block)
            n_samples += block.shape[1]
    return Mixed(path, mix.layout, mix.channels, n_samples, meter.result())


@dataclass(frozen=True)
class Master:
    """A gain in dB, and a limiter unless `ceiling_dbtp` is None."""

    gain_db: float
    ceiling_dbtp: float | None

    def blocks(self, mixed: Mixed) -> Iterator[Block]:
        """The finished sound, as long as the mix."""
        gain = amplitude(self.gain_db)
        louder = (block * np.float32(gain) for block in read_raw(mixed.path, mixed.channels))
        if self.ceiling_dbtp is None:
            return louder
        held = limited(louder, mixed.layout, self.ceiling_dbtp)
        return fitted(held, mixed.channels, mixed.n_samples)


def solve_master(
    mixed: Mixed, target_lufs: float, ceiling_dbtp: float, guess_db: float | None = None
) -> Master:
    """Gain and limiter that bring the mix to the target loudness below the ceiling.

    Measured, not guessed: where the limiter works it takes some loudness away, so the gain is corrected
    by the secant method until the limited sound is within 0.1 LU. A mix without measurable loudness
    keeps its level. guess_db: a gain near the answer, if one is known.
    """
    raw = mixed.loudness
    plain_db = 0.0 if raw.lufs is None else target_lufs - raw.lufs
    if raw.true_peak_dbtp is None or raw.true_peak_dbtp + plain_db <= ceiling_dbtp:
        return Master(plain_db, None)
    most_db = max(plain_db, ceiling_dbtp - raw.true_peak_dbtp + _MOST_LIMITING_DB)
    gain_db = plain_db if guess_db is None else guess_db
    slope, before = _USUAL_SLOPE, None
    for _ in range(_MOST_PASSES):
        master = Master(gain_db, ceiling_dbtp)
        lufs = measure(master.blocks(mixed), mixed.layout, true_peak=False).lufs
        if lufs is None or raw.lufs is None or abs(target_lufs - lufs) <= _TOLERANCE_LU:
            break
        if before is not None and gain_db != before[0]:
            slope = min(1.0, max(_LEAST_SLOPE, (lufs - before[1]) / (gain_db - before[0])))
        before = (gain_db, lufs)
        gain_db = min(most_db, gain_db + (target_lufs - lufs) / slope)
        if gain_db == before[0]:
            break
    return master
