"""Where a soundtrack lies on the time of a song: offset, speed and how sure one can be.

    song time = video time + offset_s

as in the manifest, so an official video with an intro of 12 s has offset -12. Where the soundtrack runs at
another speed, offset_s holds in the middle of what both share and drifts from there. Three steps, all from
the notes, so that no song has to be rendered:

1. Chroma of the sound and of the notes, 10 a second (`metrics.chroma`), freed of their mean, which only
   says the key, are cross-correlated over all lags and a few speeds. A lag is judged by its correlation
   times the root of its overlap: a short stretch agrees by chance. As the whole overlap counts, a chorus
   that returns is told from itself by what surrounds it.
2. Around the best lag the rise of each pitch class at 150 frames a second is read at the onsets of the
   notes of that class, in stretches spread over the overlap; the straight line through their lags that
   collects the most gives offset and speed to milliseconds. Speech and noise rise at other moments and
   in other classes.
3. A logistic curve over the two figures found on the way, the significance of the chroma and that of the
   onsets, times the share of the best place among those of the song gives the confidence;
   docs/dataset-pairing.md says how it was fitted and how well the right song is told from others.

A soundtrack must be a performance of the notes at their tempi, up to a constant factor of 0.994 to 1.006:
live versions and remixes are not found and get a low confidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.metrics.chroma import FRAME_HZ, SOUND_HZ, chroma_filters, chroma_of_notes, chroma_of_sound
from diffbgm.metrics.notes import Notes
from diffbgm.timing import FloatArray

Samples = NDArray[np.float32]

SPEEDS: Final = 1 + 0.001 * np.arange(-6, 7)
MIN_OVERLAP_S: Final = 10.0

_PLACES, _NEARLY = 3, 0.75  # places followed up, and how good they must be beside the best
_APART: Final = 20  # frames of 0.1 s between two of them
_BLUR: Final = 5  # frames of 0.1 s
_HOP: Final = 147
_FINE_HZ: Final = SOUND_HZ / _HOP
_WINDOW: Final = 2048
_MOST: Final = 4.0
_RISE_LAG: Final = 4  # frames: 27 ms
_STRETCHES, _STRETCH_S = 12, 8.0
_REACH: Final = 60  # fine frames: 0.4 s
_DRIFTS_S: Final = 0.002 * np.array(
    sorted(range(-80, 81), key=abs)
)  # how far off the coarse speed may be at either end
_HEARD_LATE_S: Final = 0.0145
_CONSTANT, _CHROMA, _ONSETS, _MOST_ONSETS = -9.0, 2.2, 0.25, 12.0  # the logistic curve


@dataclass(frozen=True)
class SongPrint:
    """A song to be found: its notes and their centred chroma, float64 (frames, 12) at 10 a second."""

    notes: Notes
    chroma: FloatArray


@dataclass(frozen=True)
class SoundPrint:
    """A soundtrack to look in: float32 samples at 22.05 kHz and their centred chroma as above."""

    samples: Samples
    chroma: FloatArray

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SOUND_HZ


@dataclass(frozen=True)
class Alignment:
    """song time = video time + offset_s + (speed - 1) * (video time - middle_s).

    overlap_s: how much of the video the song covers. correlation: of the centred chroma, -1..1.
    significance: that times the root of the overlap in seconds. onsets: standard deviations by which the
    notes' onsets meet rises of the sound. certainty: how surely the song lies there and not where it is
    nearly the same, 0..1.
    """

    offset_s: float
    speed: float
    middle_s: float
    overlap_s: float
    correlation: float
    significance: float
    onsets: float
    certainty: float = 1.0

    @property
    def evidence(self) -> float:
        """What speaks for the song and the place, to compare songs and places by."""
        return _CHROMA * self.significance + _ONSETS * self.onsets

    @property
    def confidence(self) -> float:
        """How likely it is that the soundtrack is this song and lies there, 0 .. 1.

        Onsets count up to a limit: those of another song at the same tempo meet many.
        """
        logit = _CONSTANT + _CHROMA * self.significance + _ONSETS * min(self.onsets, _MOST_ONSETS)
        return self.certainty / (1 + float(np.exp(-min(max(logit, -30.0), 30.0))))

    @property
    def drift_s(self) -> float:
        """How far the offset is off at either end of what both share."""
        return abs(self.speed - 1) * self.overlap_s / 2


def song_print(notes: Notes) -> SongPrint:
    """What is looked for of a song."""
    return SongPrint(notes, _centred(chroma_of_notes(notes)))


def sound_print(samples: Samples) -> SoundPrint:
    """What is looked in of a soundtrack, mono at 22.05 kHz (`metrics.onsets.read_sound` reads it so)."""
    return SoundPrint(samples, _centred(chroma_of_sound(samples)))


def align(song: SongPrint, sound: SoundPrint) -> Alignment | None:
    """The best place of a soundtrack in a song; None if either is silent or too short to say anything."""
    return _likeliest(song, sound, _coarse(song.chroma, sound.chroma))


def best_songs(
    songs: Mapping[str, SongPrint], sound: SoundPrint, count: int = 3
) -> list[tuple[str, Alignment]]:
    """The `count` likeliest songs of a soundtrack, best first; the second step is made for twice as many."""
    places = {name: _coarse(song.chroma, sound.chroma) for name, song in songs.items()}
    likely = sorted((name for name in places if places[name]), key=lambda name: -places[name][0].significance)
    found = []
    for name in likely[: 2 * count]:
        alignment = _likeliest(songs[name], sound, places[name])
        assert alignment is not None
        found.append((name, alignment))
    return sorted(found, key=lambda pair: -pair[1].evidence)[:count]


def _likeliest(song: SongPrint, sound: SoundPrint, places: list[_Place]) -> Alignment | None:
    """The best of several places after the second step, which tells a part from its repetition."""
    found = sorted((_aligned(song, sound, place) for place in places), key=lambda each: -each.evidence)
    if not found:
        return None
    rivals = sum(float(np.exp(each.evidence - found[0].evidence)) for each in found)
    return replace(found[0], certainty=1 / rivals)


def _aligned(song: SongPrint, sound: SoundPrint, place: _Place) -> Alignment:
    begin_s, speed, onsets = _refined(song.notes, sound.samples, place)
    first_s = max(0.0, -begin_s / speed)
    last_s = min(sound.duration_s, (song.notes.duration_s - begin_s) / speed)
    middle_s = (first_s + last_s) / 2
    return Alignment(
        offset_s=begin_s + (speed - 1) * middle_s,
        speed=speed,
        middle_s=middle_s,
        overlap_s=place.overlap_s,
        correlation=place.correlation,
        significance=place.significance,
        onsets=onsets,
    )


def _centred(chroma: FloatArray) -> FloatArray:
    """Blurred over half a second, each class without its mean over the frames that sound."""
    sums = np.cumsum(np.pad(chroma, ((_BLUR // 2 + 1, _BLUR // 2), (0, 0))), axis=0)
    blurred = (sums[_BLUR:] - sums[:-_BLUR]) / _BLUR
    sounding = np.linalg.norm(blurred, axis=1) > 1e-3
    if sounding.any():
        blurred[sounding] -= blurred[sounding].mean(axis=0)
    blurred[~sounding] = 0.0
    return np.asarray(blurred)


@dataclass(frozen=True)
class _Place:
    """A place to a tenth of a second: song time = begin_s + speed * video time; figures as in `Alignment`."""

    begin_s: float
    speed: float
    overlap_s: float
    correlation: float

    @property
    def significance(self) -> float:
        return self.correlation * float(np.sqrt(self.overlap_s))


def _coarse(song: FloatArray, sound: FloatArray) -> list[_Place]:
    """The most significant places of all lags and speeds, best first, those nearly as good as the best."""
    size = 1 << (len(sound) + round(len(song) * SPEEDS[-1])).bit_length()
    heard = np.conj(np.fft.rfft(sound, size, axis=0))
    found: list[_Place] = []
    for speed in SPEEDS.tolist():
        at = np.rint(np.arange(int(len(song) / speed)) * speed).astype(np.int64)
        played = song[np.minimum(at, len(song) - 1)]
        product = np.fft.irfft((np.fft.rfft(played, size, axis=0) * heard).sum(axis=1), size)
        lags = np.arange(-len(sound) + 1, len(played))  # frame k of the sound is frame k + lag of the song
        first, last = np.maximum(-lags, 0), np.minimum(len(played) - lags, len(sound))
        energy = _energy(sound, first, last) * _energy(played, first + lags, last + lags)
        overlap_s = np.maximum(last - first, 0) / FRAME_HZ
        enough = (overlap_s >= MIN_OVERLAP_S) & (energy > 1e-6)
        correlation = np.zeros(len(lags))
        correlation[enough] = product[lags[enough]] / np.sqrt(energy[enough])
        significance = correlation * np.sqrt(overlap_s)
        for _ in range(_PLACES):
            k = int(significance.argmax())
            if significance[k] <= 0:
                break
            found.append(
                _Place(lags[k] * speed / FRAME_HZ, speed, float(overlap_s[k]), float(correlation[k]))
            )
            significance[max(k - _APART, 0) : k + _APART] = 0.0
    found.sort(key=lambda place: -place.significance)
    kept: list[_Place] = []
    for place in found:
        apart = all(abs(place.begin_s - other.begin_s) > _APART / FRAME_HZ for other in kept)
        if apart and place.significance > _NEARLY * found[0].significance:
            kept.append(place)
    return kept[:_PLACES]


def _energy(frames: FloatArray, first: NDArray[np.int64], last: NDArray[np.int64]) -> FloatArray:
    sums = np.concatenate([[0.0], np.cumsum((frames**2).sum(axis=1))])
    return np.asarray(sums[np.maximum(last, first)] - sums[first])


def _refined(notes: Notes, samples: Samples, place: _Place) -> tuple[float, float, float]:
    """Begin and speed to milliseconds, and by how many standard deviations the onsets meet rises."""
    begin_s, speed = place.begin_s, place.speed
    heard_s = (notes.start_s - begin_s) / speed + _HEARD_LATE_S
    inside = (heard_s >= 0) & (heard_s <= len(samples) / SOUND_HZ)
    if not inside.any():
        return begin_s, speed, 0.0
    heard_s, classes = heard_s[inside], notes.pitch[inside] % 12
    weight = notes.velocity[inside] / 127.0
    middles, curves = [], []
    for from_s in _stretches(float(heard_s[0]), float(heard_s[-1])):
        chosen = (heard_s >= from_s) & (heard_s < from_s + _STRETCH_S)
        if chosen.sum() >= 4:
            middles.append(from_s + _STRETCH_S / 2)
            curves.append(_curve(samples, from_s, heard_s[chosen], classes[chosen], weight[chosen]))
    if not curves:
        return begin_s, speed, 0.0
    lag_s, bend, onsets = _line(np.array(middles), np.array(curves))
    speed /= 1 + bend
    return begin_s - speed * lag_s, speed, onsets


def _stretches(first_s: float, last_s: float) -> Iterator[float]:
    """Where stretches begin: side by side if there is room for no more, else spread evenly."""
    room = max(last_s - first_s - _STRETCH_S, 0.0)
    count = min(_STRETCHES, int(room / _STRETCH_S) + 1)
    yield from (first_s + room * np.arange(count) / max(count - 1, 1)).tolist()


def _curve(
    samples: Samples, begin_s: float, heard_s: FloatArray, classes: NDArray[np.int64], weight: FloatArray
) -> FloatArray:
    """How much the notes' classes rise where they should begin, by lag -0.4 .. 0.4 s; by chance 0 +- 1."""
    origin = int(begin_s * SOUND_HZ) - (_REACH + 2) * _HOP
    rises = _rises(samples, origin, round((_STRETCH_S + 2 * (_REACH + 3) / _FINE_HZ) * _FINE_HZ))
    at = (heard_s * SOUND_HZ - origin) / _HOP
    low = np.floor(at).astype(np.int64)
    share = (at - low)[:, None]
    lags = np.arange(-_REACH, _REACH + 1)
    frames = np.clip(low[:, None] + lags, 0, len(rises) - 2)
    values = rises[frames, classes[:, None]] * (1 - share) + rises[frames + 1, classes[:, None]] * share
    total = weight @ values
    by_chance = float(np.sqrt((weight**2).sum()))
    return np.asarray((total - total.mean()) / by_chance)


def _rises(samples: Samples, origin: int, count: int) -> FloatArray:
    """Rise of the level of each pitch class, float64 (count, 12), each class of mean 0 and deviation 1."""
    start = origin - _WINDOW // 2 - _RISE_LAG * _HOP
    length = (count + _RISE_LAG - 1) * _HOP + _WINDOW
    piece = np.zeros(length, np.float32)
    first, last = max(start, 0), min(start + length, len(samples))
    if last > first:
        piece[first - start : last - start] = samples[first:last]
    frames = np.lib.stride_tricks.sliding_window_view(piece, _WINDOW)[::_HOP]
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2 @ chroma_filters(_WINDOW).T
    level = np.log10(power + 1e-3 * power.mean() + 1e-12)
    rise = np.maximum(level[_RISE_LAG:] - level[:-_RISE_LAG], 0.0)
    deviations = (rise - rise.mean(axis=0)) / np.maximum(rise.std(axis=0), 1e-9)
    return np.asarray(np.minimum(deviations, _MOST))  # a lone click must not decide


def _line(middles_s: FloatArray, curves: FloatArray) -> tuple[float, float, float]:
    """Lag at video time 0, lag per second, and significance of the line that collects most of the curves.

    middles_s: float64 (stretches,), video time. curves: float64 (stretches, lags).
    """
    n_lags = curves.shape[1]
    about = middles_s - middles_s.mean()
    tie = 1e-6 * np.abs(np.arange(n_lags) - _REACH)  # where nothing rises the place stays as it is
    best = (-np.inf, 0.0, 0.0)
    for bend in _DRIFTS_S / about[-1] if len(middles_s) > 2 else (0.0,):
        shift = bend * about * _FINE_HZ
        low = np.floor(shift).astype(np.int64)
        frames = np.arange(n_lags) + low[:, None]
        rows = np.arange(len(curves))[:, None]
        a = curves[rows, np.clip(frames, 0, n_lags - 1)]
        b = curves[rows, np.clip(frames + 1, 0, n_lags - 1)]
        share = (shift - low)[:, None]
        total = (a * (1 - share) + b * share).sum(axis=0) - tie
        k = int(total.argmax())
        if total[k] > best[0]:
            best = (float(total[k]), k - _REACH + _vertex(total, k), float(bend))
    height, lag, bend = best
    lag_s = lag / _FINE_HZ
    return lag_s - bend * float(middles_s.mean()), bend, height / float(np.sqrt(len(curves)))


def _vertex(values: FloatArray, k: int) -> float:
    """Where the parabola through a maximum and its neighbours peaks, in steps from k."""
    if not 0 < k < len(values) - 1:
        return 0.0
    left, top, right = values[k - 1 : k + 2]
    curve = left - 2 * top + right
    return float(0.5 * (left - right) / curve) if curve < 0 else 0.0
