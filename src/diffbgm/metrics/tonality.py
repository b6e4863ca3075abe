"""Key, tempo and ending as they are heard or written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.metrics.onsets import RATE
from diffbgm.pitch import key_fits

FloatArray = NDArray[np.float64]

NOTE_NAMES: Final = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")

_CHROMA_WINDOW: Final = 8192  # 0.34 s at 24 kHz: 2.9 Hz, which tells semitones apart from 100 Hz on
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 2000.0
_TUNED_WITHIN: Final = 0.2  # semitones

_USUAL_BPM, _OCTAVES = 100.0, 0.9
_SLOWEST_BPM, _FASTEST_BPM = 40.0, 240.0


@dataclass(frozen=True)
class HeardKey:
    """The key that fits best. mode_margin: best fit of a major key minus best fit of a minor one, -2 .. 2."""

    name: str
    mode_margin: float


def chroma_of(samples: NDArray[np.float32]) -> FloatArray:
    """Energy of a sound by pitch class from C, float64 (12,); every moment counts alike, loud or soft.

    samples: float32 (n,) at `onsets.RATE`. Spectral peaks between 60 Hz and 2 kHz, those out of tune less.
    """
    bins_hz = np.fft.rfftfreq(_CHROMA_WINDOW, 1 / RATE)
    used = np.flatnonzero((bins_hz >= _LOWEST_HZ) & (bins_hz <= _HIGHEST_HZ))
    midi = 69 + 12 * np.log2(bins_hz[used] / 440)
    tuned = np.exp(-0.5 * ((midi - np.rint(midi)) / _TUNED_WITHIN) ** 2)
    pitch_class = np.rint(midi).astype(np.int64) % 12
    window = np.hanning(_CHROMA_WINDOW)
    out = np.zeros(12)
    for start in range(0, len(samples) - _CHROMA_WINDOW + 1, _CHROMA_WINDOW // 2):
        energy = np.abs(np.fft.rfft(samples[start : start + _CHROMA_WINDOW] * window)) ** 2
        here = energy[used]
        peak = (here >= energy[used - 1]) & (here > energy[used + 1])
        found = np.bincount(pitch_class, weights=here * peak * tuned, minlength=12)
        out += found / max(float(found.sum()), 1e-9)
    return out


def key_of(chroma: FloatArray) -> HeardKey | None:
    """Key of a sound from its energy by pitch class, float64 (12,) from C; None for silence or even energy.

    The one that fits best by `diffbgm.pitch.key_fits`.
    """
    fits = key_fits(chroma)
    if fits is None:
        return None
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
