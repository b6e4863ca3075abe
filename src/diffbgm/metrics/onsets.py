"""When notes begin in a sound, how strongly, and how loud the sound is: heard, not read from the score.

Onsets are found by SuperFlux (Boeck and Widmer, "Maximum filter vibrato suppression for onset detection",
DAFx 2013): the rise of a logarithmic, log-frequency spectrogram over what its neighbourhood held 25 ms
before, with peaks above a moving threshold. Departures: an 85 ms window at 24 kHz with a frame each 5 ms,
and a second pass that times each onset with a 10.7 ms window, because the long one blurs it.

Loudness follows ITU-R BS.1770's K-weighting, applied to the spectrum of the same frames and without gates.

Conventions: mono float32 at `RATE` samples a second; times in seconds from the first sample, which for
`read_sound` is the first video frame; curves have `FRAME_HZ` values a second, value k at second k/FRAME_HZ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.errors import InputError

FloatArray = NDArray[np.float64]
Samples = NDArray[np.float32]

RATE: Final = 24_000
FRAME_HZ: Final = 200.0

_HOP: Final = 120
_WINDOW: Final = 2048
_LAG: Final = 5  # frames: 25 ms
_LOWEST_HZ, _BANDS_PER_OCTAVE = 40.0, 24
_COMPRESSION: Final = 3000.0
_BLOCK: Final = 2000  # frames held in memory at once: 10 s

_FINE_HOP: Final = 24  # 1 ms
_FINE_WINDOW: Final = 256
_FINE_LAG: Final = 4
_FINE_REACH_S: Final = 0.03

_MIN_GAP_S: Final = 0.03
_PEAK_REACH_S: Final = 0.03
_MEAN_BEFORE_S, _MEAN_AFTER_S = 0.10, 0.07
_FLOOR: Final = 0.011
_SILENCE_LUFS: Final = -70.0


@dataclass(frozen=True)
class Sound:
    """What is heard over time.

    rise: float64 (frames,), how much the spectrum rises (mean over bands, log10 units).
    power: float64 (frames,), K-weighted mean square. duration_s: length of the sound.
    """

    rise: FloatArray
    power: FloatArray
    duration_s: float

    def loudness(self, from_s: float, to_s: float) -> float:
        """Loudness of a stretch in LUFS, ungated; -70 for silence."""
        first = max(0, round(from_s * FRAME_HZ))
        stretch = self.power[first : max(first + 1, round(to_s * FRAME_HZ))]
        return _lufs(float(stretch.mean())) if stretch.size else _SILENCE_LUFS


@dataclass(frozen=True)
class Onsets:
    """Where notes begin. times_s: float64 (n,), rising; strength: float64 (n,), the spectrum's rise there."""

    times_s: FloatArray
    strength: FloatArray

    def __len__(self) -> int:
        return len(self.times_s)


def read_sound(path: Path, rate: int = RATE) -> Samples:
    """The default audio track of a file, mixed to mono at `rate`; sample 0 is the first video frame's moment.

    In a file without pictures sample 0 is the first sample. Returns float32 (samples,).
    Raises InputError if the file cannot be read or holds no sound.
    """
    import av

    try:
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            stream = container.streams.best("audio")
            if stream is None:
                raise InputError(f"{path}: has no sound to measure")
            picture = container.streams.best("video")
            resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
            start_s: float | None = None
            pieces: list[Samples] = []
            for frame in container.decode(stream):
                assert isinstance(frame, av.AudioFrame)
                start_s = frame.time if start_s is None else start_s
                pieces += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
            pieces += [piece.to_ndarray()[0] for piece in resampler.resample(None)]
            origin_s = _first_frame_s(picture) if picture is not None else start_s
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path}: its sound cannot be read ({error})") from error
    if not pieces or start_s is None:
        raise InputError(f"{path}: its audio track is empty")
    samples = np.concatenate(pieces)
    late = round((start_s - (origin_s or 0.0)) * rate)
    return np.concatenate([np.zeros(late, np.float32), samples]) if late > 0 else samples[-late:]


def hear(samples: Samples) -> Sound:
    """The curves of a sound, float32 (samples,) at `RATE`. Memory stays within blocks of 10 s."""
    n_frames = 1 + len(samples) // _HOP
    bands, weight = _bands(), _k_weighting()
    scale = _COMPRESSION / max(_full_scale(samples), 1e-9)
    rise = np.zeros(n_frames)
    power = np.zeros(n_frames)
    before = np.zeros((_LAG, len(bands)))
    for first, spectrum in _spectra(samples, n_frames):
        here = slice(first, first + len(spectrum))
        power[here] = spectrum**2 @ weight
        level = np.concatenate([before, np.log10(1.0 + scale * (spectrum @ bands.T))])
        widest = level.copy()
        np.maximum(widest[:, 1:], level[:, :-1], out=widest[:, 1:])
        np.maximum(widest[:, :-1], level[:, 1:], out=widest[:, :-1])
        rise[here] = np.maximum(level[_LAG:] - widest[:-_LAG], 0.0).mean(axis=1)
        before = level[-_LAG:]
    return Sound(rise, power, len(samples) / RATE)


def find_onsets(samples: Samples, sound: Sound | None = None) -> Onsets:
    """Where notes begin in a sound, float32 (samples,) at `RATE`; `sound` saves hearing it again.

    On struck, plucked and synthetic notes the times are within 10 ms of the truth; slow attacks (pads,
    bowed strings) are heard later than they are written, and so are they here.
    """
    sound = sound or hear(samples)
    peaks = _peaks(sound.rise)
    refined = [_fine_time(samples, frame / FRAME_HZ) for frame in peaks]
    times = np.array(refined, np.float64)
    order = np.argsort(times, kind="stable")
    times, strength = times[order], sound.rise[peaks][order]
    keep = np.ones(len(times), np.bool_)
    for index in range(1, len(times)):  # two peaks that proved to be one moment
        if times[index] - times[index - 1] < _MIN_GAP_S / 2:
            weaker = index if strength[index] <= strength[index - 1] else index - 1
            keep[weaker] = False
    return Onsets(times[keep], strength[keep])


def _first_frame_s(stream: object) -> float:
    start, base = getattr(stream, "start_time", None), getattr(stream, "time_base", None)
    return float(start * base) if start is not None and base is not None else 0.0


def _full_scale(samples: Samples) -> float:
    """Largest spectral value the sound could reach: it makes the detector blind to the playback level."""
    peak = float(np.abs(samples).max()) if samples.size else 0.0
    return peak * _WINDOW / 4


def _spectra(samples: Samples, n_frames: int) -> Iterator[tuple[int, FloatArray]]:
    """Magnitudes, float64 (frames, bins), block by block with the number of the block's first frame."""
    window = np.hanning(_WINDOW + 1)[:-1]
    for first in range(0, n_frames, _BLOCK):
        count = min(_BLOCK, n_frames - first)
        start = first * _HOP - _WINDOW // 2
        stretch = _stretch(samples, start, (count - 1) * _HOP + _WINDOW)
        frames = np.lib.stride_tricks.sliding_window_view(stretch, _WINDOW)[::_HOP]
        yield first, np.abs(np.fft.rfft(frames * window, axis=1))


def _stretch(samples: Samples, start: int, length: int) -> Samples:
    """`length` samples from `start` on; silence outside the sound."""
    inside = samples[max(start, 0) : max(start + length, 0)]
    before = min(max(-start, 0), length)
    return np.pad(inside, (before, length - before - len(inside)))


def _bands() -> FloatArray:
    """Triangular filters a quarter tone apart, float64 (bands, bins), each summing to 1.

    Below 550 Hz bins are wider than bands; bands without a bin of their own are left out.
    """
    bins_hz = np.fft.rfftfreq(_WINDOW, 1 / RATE)
    count = int(_BANDS_PER_OCTAVE * np.log2(RATE / 2 / _LOWEST_HZ))
    centres = _LOWEST_HZ * 2.0 ** (np.arange(count) / _BANDS_PER_OCTAVE)
    edges = np.unique(np.rint(centres / bins_hz[1]).astype(int))
    out = np.zeros((len(edges) - 2, len(bins_hz)))
    for row, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        out[row, low : middle + 1] = np.linspace(0, 1, middle - low + 1)
        out[row, middle : high + 1] = np.linspace(1, 0, high - middle + 1)
    return np.asarray(out / out.sum(axis=1, keepdims=True), np.float64)


def _k_weighting() -> FloatArray:
    """Weights that turn squared magnitudes into K-weighted mean square, float64 (bins,).

    The two filters of ITU-R BS.1770-4 in their analogue form (high shelf of 4 dB at 1682 Hz, Q 0.7072;
    high pass at 38.1 Hz, Q 0.5003).
    """
    s = 1j * np.fft.rfftfreq(_WINDOW, 1 / RATE)
    shelf_hz, shelf_q, gain = 1681.974, 0.7071752, 10 ** (3.99984 / 20)
    x = s / shelf_hz
    shelf = (gain * x**2 + gain**0.4996668 / shelf_q * x + 1) / (x**2 + x / shelf_q + 1)
    y = s / 38.13547
    high_pass = y**2 / (y**2 + y / 0.5003270 + 1)
    window = np.hanning(_WINDOW + 1)[:-1]
    both_sides = np.full(len(s), 2.0)
    both_sides[[0, -1]] = 1.0
    response: FloatArray = both_sides * np.abs(shelf * high_pass) ** 2
    return response / (_WINDOW * float((window**2).sum()))


def _lufs(mean_square: float) -> float:
    return max(_SILENCE_LUFS, -0.691 + 10 * math.log10(mean_square + 1e-12))


def _peaks(rise: FloatArray) -> NDArray[np.int64]:
    """Frames that are the largest within 30 ms and stand out from the mean around them."""
    reach = round(_PEAK_REACH_S * FRAME_HZ)
    padded = np.pad(rise, reach)
    largest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1)
    before, after = round(_MEAN_BEFORE_S * FRAME_HZ), round(_MEAN_AFTER_S * FRAME_HZ)
    sums = np.concatenate([[0.0], np.cumsum(rise)])
    index = np.arange(len(rise))
    low, high = np.maximum(index - before, 0), np.minimum(index + after + 1, len(rise))
    mean = (sums[high] - sums[low]) / (high - low)
    found = np.flatnonzero((rise >= largest) & (rise >= mean + _FLOOR))
    last = -reach
    out: list[int] = []
    for frame in map(int, found):
        if (frame - last) / FRAME_HZ >= _MIN_GAP_S:
            out.append(frame)
            last = frame
    return np.array(out, np.int64)


def _fine_time(samples: Samples, near_s: float) -> float:
    """The moment of steepest rise within 30 ms of `near_s`, to a fraction of a millisecond."""
    reach = round(_FINE_REACH_S * RATE)
    centre = round(near_s * RATE)
    stretch = _stretch(samples, centre - reach - _FINE_WINDOW // 2, 3 * reach + _FINE_WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(stretch, _FINE_WINDOW)[::_FINE_HOP]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(_FINE_WINDOW), axis=1))
    level = np.log10(1.0 + spectrum * (_COMPRESSION / max(float(spectrum.max()), 1e-9)))
    rise = np.maximum(level[_FINE_LAG:] - level[:-_FINE_LAG], 0.0).mean(axis=1)
    best = int(rise.argmax())
    shift = 0.0
    if 0 < best < len(rise) - 1:
        left, top, right = rise[best - 1 : best + 2]
        curve = left - 2 * top + right
        shift = 0.5 * (left - right) / curve if curve < 0 else 0.0
    at = centre - reach + (best + shift + _FINE_LAG / 2) * _FINE_HOP
    return max(0.0, at / RATE)
