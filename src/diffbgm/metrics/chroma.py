"""Chroma: how much of each pitch class sounds over time, from a sound or from notes.

Both give the frames that MusDr's structure measure starts from: 10 a second, smoothed over 2.1 s and
thinned to 2 a second, each frame of length 1. From a sound as in MusDr: power spectrum of 0.2 s Hann
windows at 22.05 kHz, folded by Ellis's chroma filters (as librosa's `chroma_stft` without tuning).
Departure from the published program: it pads the sound by reflection at both ends, here by silence.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.metrics.notes import Notes
from diffbgm.timing import FloatArray

SOUND_HZ: Final = 22_050
"""Sample rate of the sounds taken here."""

FRAME_HZ: Final = 10
FEATURE_HZ: Final = 2
SMOOTHING: Final = 21  # frames of 0.1 s
_WINDOW: Final = 4410
_HOP: Final = SOUND_HZ // FRAME_HZ
_BLOCK: Final = 512  # frames transformed at once
_CENTRE_OCTAVE, _OCTAVES = 5.0, 2.0  # the filters favour the middle of the keyboard
_SILENT: Final = 0.001  # length of a smoothed frame below which no pitch class counts more than another


def chroma_filters(window: int = _WINDOW, rate: int = SOUND_HZ) -> FloatArray:
    """Weight of each frequency bin in each pitch class, float64 (12, window // 2 + 1).

    A Gaussian bump, one bin of the spectrum wide, around each octave of the class (columns of length 1),
    times a Gaussian over octaves around 27.5 * 2^5 = 880 Hz. D. Ellis, chroma features, 2007.
    """
    octave = np.log2(np.arange(1, window) * rate / window / 27.5)
    bins = np.concatenate([[12 * octave[0] - 18], 12 * octave])  # bin 0: an octave and a half below bin 1
    width = np.concatenate([np.maximum(np.diff(bins), 1.0), [1.0]])
    distance = np.remainder(bins[None] - np.arange(12)[:, None] + 6 + 120, 12) - 6
    weights = np.exp(-0.5 * (2 * distance / width) ** 2)
    weights /= np.linalg.norm(weights, axis=0)
    weights *= np.exp(-0.5 * ((bins / 12 - _CENTRE_OCTAVE) / _OCTAVES) ** 2)
    return np.ascontiguousarray(np.roll(weights, -3, axis=0)[:, : window // 2 + 1])  # from A to C first


def chroma_of_sound(samples: NDArray[np.floating]) -> FloatArray:
    """Chroma of mono sound at 22.05 kHz, float64 (frames, 12), 10 a second, 0 = C, each of length 1 or 0.

    Frame k is centred on second k / 10. Raises ValueError unless `samples` has one axis.
    """
    if samples.ndim != 1:
        raise ValueError(f"sound of shape {samples.shape}; expected one channel")
    n_frames = 1 + len(samples) // _HOP
    padded = np.zeros((n_frames - 1) * _HOP + _WINDOW)
    padded[_WINDOW // 2 : _WINDOW // 2 + len(samples)] = samples[: len(padded) - _WINDOW // 2]
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
    filters = chroma_filters()
    out = np.zeros((n_frames, 12))
    for first in range(0, n_frames, _BLOCK):
        block = slice(first, first + _BLOCK)
        spectrum = np.fft.rfft(frames[block] * window, axis=1)
        out[block] = (spectrum.real**2 + spectrum.imag**2) @ filters.T
    return _unit_rows(out, 1e-12, 0.0)


def chroma_of_notes(notes: Notes) -> FloatArray:
    """Chroma of notes, float64 (frames, 12), 10 a second, 0 = C, each of length 1 or 0.

    A note adds the square of its velocity to every frame whose middle it sounds through, and to one at
    least. Unlike in sound there are no overtones and nothing fades, so figures from notes and from sound
    are not comparable.
    """
    n_frames = int(np.ceil(notes.duration_s * FRAME_HZ)) + 1
    first = np.minimum(np.floor(notes.start_s * FRAME_HZ + 0.5).astype(np.int64), n_frames - 1)
    last = np.clip(np.floor(notes.end_s * FRAME_HZ + 0.5).astype(np.int64), first + 1, n_frames)
    change = np.zeros((n_frames + 1, 12))
    power = (notes.velocity / 127.0) ** 2
    np.add.at(change, (first, notes.pitch % 12), power)
    np.add.at(change, (last, notes.pitch % 12), -power)
    return _unit_rows(np.maximum(np.cumsum(change, axis=0)[:-1], 0.0), 1e-6, 0.0)


def smooth(chroma: FloatArray) -> FloatArray:
    """Frames 2 a second from 10 a second: mean over 2.1 s, every fifth kept, length 1.

    A frame in which next to nothing sounds becomes the even one, 1/sqrt(12) everywhere, as in MusDr.
    """
    sums = np.cumsum(np.pad(chroma, ((SMOOTHING // 2 + 1, SMOOTHING // 2), (0, 0))), axis=0)
    means = (sums[SMOOTHING:] - sums[:-SMOOTHING]) / SMOOTHING
    return _unit_rows(means[:: FRAME_HZ // FEATURE_HZ], _SILENT, 1 / np.sqrt(12))


def _unit_rows(rows: FloatArray, least: float, otherwise: float) -> FloatArray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(length > least, rows / np.maximum(length, least), otherwise)
