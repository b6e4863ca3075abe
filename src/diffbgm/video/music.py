"""Does a film's own sound carry music already?

Music holds pitches: its spectrum has narrow peaks that stay where they are for about half a second, and that
give way to others. The partials of a voice glide, wind and water have no such peaks, and a hum never changes.
Besides, either several pitches sound at once most of the time, or there is a steady beat (drums cover many
of the peaks). Nothing is learned here: drums alone or music far below a voice are not recognised, and bells
may pass for music.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from diffbgm.video.speech import RATE

_FRAME, _HOP = 4096, 1024  # samples: 256 ms, a step every 64 ms, 3.9 Hz a bin
_LOWEST_HZ, _HIGHEST_HZ = 160.0, 4000.0
_FRAMES_A_RUN = 64

_SHORT, _SHORT_HOP = 512, 256  # samples: for onsets, a step every 16 ms
_BAND_EDGES_HZ = np.geomspace(80.0, 7000.0, 17)
_BEATS_S = (0.29, 1.02)  # time from beat to beat: 59 to 207 a minute
_REPEATS = 4

_AROUND = 12  # bins on either side over which a peak must stand out
_STANDS_OUT_DB = 9.0
_BELOW_LOUDEST_DB = 45.0  # fainter peaks are not heard beside the loudest one
_AUDIBLE_DB = -65.0  # of full scale: below this a frame counts as silence
_HELD = 7  # frames (0.45 s) that a peak must stay on its bin
_AT_ONCE = 3

_STRETCH = 156  # frames (10 s) that are judged together
_SHORTEST = 47  # ... and the least of them (3 s) that must sound
_SHARE = 0.35  # of its sounding frames that hold several pitches, or ...
_STEADY = 0.3  # ... how strongly its onsets repeat: speech 0.16 at most, a song with drums 0.4 to 0.75
_VARIETY = 8  # held pitches that gave way to others
_OFTEN = 0.1  # of all stretches


class MusicDetector:
    """Feed it sound in order, block by block; memory does not grow."""

    def __init__(self) -> None:
        hz = np.fft.rfftfreq(_FRAME, 1 / RATE)
        low, high = (int(np.searchsorted(hz, edge)) for edge in (_LOWEST_HZ, _HIGHEST_HZ))
        self._bins = slice(low - _AROUND, high + _AROUND)
        self._window = np.hanning(_FRAME).astype(np.float32)
        self._waiting: list[NDArray[np.float32]] = []
        self._n_waiting = 0
        self._short_window = np.hanning(_SHORT).astype(np.float32)
        self._edges = np.searchsorted(np.fft.rfftfreq(_SHORT, 1 / RATE), _BAND_EDGES_HZ)
        self._last_bands: NDArray[np.float32] | None = None
        self._run = np.zeros(high - low, np.int32)  # frames for which each bin has held a peak
        self._n_stretches = self._n_musical = 0
        self._begin_stretch()

    def push(self, sound: NDArray[np.float32]) -> None:
        """sound: float32 (samples,), mono at RATE, -1..1, any length."""
        self._waiting.append(sound)
        self._n_waiting += len(sound)
        if self._n_waiting >= _FRAME + _HOP * _FRAMES_A_RUN:
            self._analyse()

    def finish(self) -> bool:
        """True where the sound seems to carry music in a good part of the film."""
        self._analyse()
        self._end_stretch()
        return self._n_musical > 0 and self._n_musical >= _OFTEN * self._n_stretches

    def _analyse(self) -> None:
        sound = np.concatenate([np.zeros(0, np.float32), *self._waiting])
        n_frames = max(0, 1 + (len(sound) - _FRAME) // _HOP)
        rest = sound[n_frames * _HOP :]
        self._waiting, self._n_waiting = [rest], len(rest)
        if n_frames == 0:
            return
        frames = np.lib.stride_tricks.sliding_window_view(sound, _FRAME)[::_HOP][:n_frames]
        sounding = 10 * np.log10(np.square(frames).mean(axis=1) + 1e-12) > _AUDIBLE_DB
        power = np.abs(np.fft.rfft(frames * self._window, axis=1)[:, self._bins]).astype(np.float32)
        peaks = _peaks(20 * np.log10(power + 1e-7)) & sounding[:, None]
        onsets = self._onsets(sound[: (n_frames - 1) * _HOP + _FRAME]).reshape(n_frames, -1)
        for frame_peaks, frame_onsets, sounds in zip(peaks, onsets, sounding, strict=True):
            self._follow(frame_peaks, frame_onsets, bool(sounds))

    def _onsets(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """How much louder each short frame is than the one before, on average over the bands (log10)."""
        n_short = (1 + (len(sound) - _FRAME) // _HOP) * (_HOP // _SHORT_HOP)
        frames = np.lib.stride_tricks.sliding_window_view(sound, _SHORT)[::_SHORT_HOP][:n_short]
        power = np.square(np.abs(np.fft.rfft(frames * self._short_window, axis=1)))
        bands = np.log10(np.add.reduceat(power, self._edges[:-1], axis=1) + 1e-6).astype(np.float32)
        before = bands[:1] if self._last_bands is None else self._last_bands
        self._last_bands = bands[-1:]
        rises = np.diff(np.concatenate([before, bands]), axis=0)
        return np.asarray(np.maximum(rises, 0.0).mean(axis=1), np.float32)

    def _follow(self, peaks: NDArray[np.bool_], onsets: NDArray[np.float32], sounds: bool) -> None:
        near = peaks.copy()  # a peak may waver by one bin
        near[1:] |= peaks[:-1]
        near[:-1] |= peaks[1:]
        held_before = self._run >= _HELD
        self._run = np.where(near, self._run + 1, 0)
        self._gave_way |= held_before & ~near
        self._envelope.extend(onsets.tolist())
        self._n_frames += 1
        self._n_sounding += sounds
        self._n_tonal += int((peaks & (self._run >= _HELD)).sum()) >= _AT_ONCE
        if self._n_frames == _STRETCH:
            self._end_stretch()

    def _begin_stretch(self) -> None:
        self._n_frames = self._n_sounding = self._n_tonal = 0
        self._gave_way = np.zeros(len(self._run), bool)
        self._envelope: list[float] = []

    def _end_stretch(self) -> None:
        if self._n_frames >= _SHORTEST:
            # Neighbouring bins belong to one pitch.
            pitches = int(np.diff(self._gave_way.astype(np.int8), prepend=0).clip(min=0).sum())
            musical = self._n_sounding >= _SHORTEST and pitches >= _VARIETY
            tonal = self._n_tonal >= _SHARE * self._n_sounding
            self._n_stretches += 1
            self._n_musical += musical and (tonal or beat_strength(np.array(self._envelope)) >= _STEADY)
        self._begin_stretch()


def beat_strength(envelope: NDArray[np.float64]) -> float:
    """How strongly onsets repeat at a steady beat, about 0 (not at all) .. 1 (exactly).

    The autocorrelation of the onset envelope (one value each 16 ms), averaged over the first four
    multiples of the beat, for the beat that gives the most.
    """
    around = np.convolve(envelope, np.ones(63) / 63, "same")
    level = envelope - around
    n = len(level)
    energy = float(np.square(level).sum())
    if energy < 1e-9 * n:
        return 0.0
    spectrum = np.fft.rfft(level, 2 * n)
    repeats = np.fft.irfft(np.square(np.abs(spectrum)))[:n] / energy
    repeats *= n / np.maximum(n - np.arange(n), 1)
    step_s = _SHORT_HOP / RATE
    best = 0.0
    for beat in np.arange(_BEATS_S[0] / step_s, min(_BEATS_S[1] / step_s, (n - 2) / _REPEATS), 0.25):
        places = np.round(beat * np.arange(1, _REPEATS + 1)).astype(int)
        best = max(best, float(np.mean([repeats[place - 1 : place + 2].max() for place in places])))
    return best


def _peaks(level_db: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Narrow peaks of spectra, bool (frames, bins - 2 * _AROUND); level_db: float32 (frames, bins)."""
    inner = level_db[:, _AROUND:-_AROUND]
    around = cv2.blur(level_db, (2 * _AROUND + 1, 1))[:, _AROUND:-_AROUND]
    left, right = level_db[:, _AROUND - 1 : -_AROUND - 1], level_db[:, _AROUND + 1 : -_AROUND + 1]
    loud = inner > inner.max(axis=1, keepdims=True) - _BELOW_LOUDEST_DB
    return np.asarray((inner > left) & (inner >= right) & (inner > around + _STANDS_OUT_DB) & loud)
