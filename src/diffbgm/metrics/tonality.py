"""Key, tempo and ending as they are heard or written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

NOTE_NAMES: Final = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")

# How well each pitch class fits a key on C (Krumhansl and Kessler 1982, probe-tone ratings).
_MAJOR: Final = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
_MINOR: Final = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])

_USUAL_BPM, _OCTAVES = 100.0, 0.9
_SLOWEST_BPM, _FASTEST_BPM = 40.0, 240.0


@dataclass(frozen=True)
class HeardKey:
    """The key that fits best. mode_margin: best fit of a major key minus best fit of a minor one, -2 .. 2."""

    name: str
    mode_margin: float


def key_of(chroma: FloatArray) -> HeardKey | None:
    """Key of a sound from its energy by pitch class, float64 (12,) from C; None for silence or even energy.

    Krumhansl and Schmuckler: the highest correlation with the 24 rotated key profiles.
    """
    centred = chroma - chroma.mean()
    size = float(np.linalg.norm(centred))
    if size <= 1e-12:
        return None
    fits = np.zeros((2, 12))
    for row, profile in enumerate((_MAJOR, _MINOR)):
        shape = profile - profile.mean()
        for tonic in range(12):
            fits[row, tonic] = centred @ np.roll(shape, tonic) / (size * np.linalg.norm(shape))
    row, tonic = divmod(int(fits.argmax()), 12)
    return HeardKey(NOTE_NAMES[tonic] + "m" * row, float(fits[0].max() - fits[1].max()))


def tempo_of(rise: FloatArray, hz: float) -> float:
    """Tempo in beats a minute from an onset curve, float64 (n,), `hz` values a second; NaN for silence.

    The strongest period of its autocorrelation, weighted towards 100 BPM (log-normal, 0.9 octaves, after
    Ellis 2007). It may be heard at half or twice what was written; compare with that in mind.
    """
    centred = rise - rise.mean()
    slowest = round(hz * 60 / _SLOWEST_BPM)
    if len(rise) < 2 * slowest or not np.any(centred):
        return float("nan")
    spectrum = np.fft.rfft(centred, 2 * len(rise))
    similarity = np.fft.irfft(np.abs(spectrum) ** 2)[: slowest + 1]
    lags = np.arange(round(hz * 60 / _FASTEST_BPM), slowest + 1)
    bpm = 60 * hz / lags
    weight = np.exp(-0.5 * (np.log2(bpm / _USUAL_BPM) / _OCTAVES) ** 2)
    return float(bpm[int((similarity[lags] * weight).argmax())])


@dataclass(frozen=True)
class FinalChord:
    """The last chord: in_triad: share of its notes in the tonic triad; bass_is_tonic: its lowest note."""

    in_triad: float
    bass_is_tonic: bool

    @property
    def resolves(self) -> bool:
        """All notes in the tonic triad over the tonic in the bass."""
        return self.in_triad == 1.0 and self.bass_is_tonic


def final_chord(
    notes: FloatArray, tonic: int, *, minor: bool, from_s: float | None = None
) -> FinalChord | None:
    """The final chord of pitched notes, float64 (n, 3): start, end (s), MIDI pitch. None without notes.

    It is what sounds from `from_s` on (the last bar); by default what sounds when the last note begins.
    """
    if not len(notes):
        return None
    at = float(notes[:, 0].max()) if from_s is None else from_s
    sounding = notes[notes[:, 1] > at + 0.05]
    if not len(sounding):
        return None
    pitches = sounding[:, 2].astype(np.int64)
    degrees = (pitches - tonic) % 12
    triad = (0, 3, 7) if minor else (0, 4, 7)
    return FinalChord(float(np.isin(degrees, triad).mean()), bool((pitches.min() - tonic) % 12 == 0))
