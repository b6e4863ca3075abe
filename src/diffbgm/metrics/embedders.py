"""Music as vectors for retrieval: one small interface, and two embedders that need nothing but numpy.

An embedder turns a piece into one row a clip. `SymbolicEmbedder` reads notes, `AudioEmbedder` sound;
`diffbgm.metrics.pretrained` wraps MusiCNN, CLAP and MERT. Rows are standardised on a reference set, so
that cosine weighs what differs between pieces; embed both sides of a comparison with the same object.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from diffbgm.metrics.chroma import SOUND_HZ, chroma_of_sound
from diffbgm.metrics.features import LENGTHS_STEPS, polyphony, windows
from diffbgm.metrics.notes import Notes
from diffbgm.timing import BEATS_PER_BAR, FloatArray

Piece = TypeVar("Piece", contravariant=True)
Sound = NDArray[np.floating]
"""Mono samples at the rate that the embedder names."""


class Embedder(Protocol[Piece]):
    """Anything that turns a piece into vectors."""

    @property
    def name(self) -> str: ...

    def embed(self, piece: Piece) -> FloatArray:
        """One row a clip, float64 (clips, dimensions); no rows for a piece without a whole clip."""
        ...


class SoundEmbedder(Embedder[Sound], Protocol):
    """An embedder of mono sound at `rate` samples a second."""

    @property
    def rate(self) -> int: ...


@dataclass(frozen=True)
class Scaling:
    """Mean and deviation of each dimension in a reference set, and the weight of its group."""

    mean: FloatArray
    spread: FloatArray
    weight: FloatArray

    @classmethod
    def fit(cls, rows: FloatArray, groups: tuple[int, ...]) -> Scaling:
        """From rows (n, dimensions) whose columns come in groups of these sizes.

        Each group counts alike, however many columns it has. Raises ValueError for fewer than two rows.
        """
        if len(rows) < 2:
            raise ValueError("a reference set needs two clips or more")
        spread = rows.std(axis=0)
        weight = np.concatenate([np.full(size, 1 / np.sqrt(size)) for size in groups])
        return cls(rows.mean(axis=0), np.where(spread > 1e-9, spread, np.inf), weight)

    def apply(self, rows: FloatArray) -> FloatArray:
        return np.asarray(np.clip((rows - self.mean) / self.spread, -4, 4) * self.weight)


class SymbolicEmbedder:
    """Statistics of notes in stretches of whole bars.

    Pitch classes and bass classes by duration, intervals of the top line, positions in the bar, note
    lengths, register, dynamics, tempo, density, polyphony. In the piece's own key: a generated piece in
    another key than the one it belongs to is less alike.
    """

    name: Final = "symbolic"

    def __init__(self, reference: Iterable[Notes], bars: int = 8) -> None:
        self.bars = bars
        rows = [_note_statistics(window, bars) for piece in reference for window in windows(piece, bars)]
        self._scaling = Scaling.fit(np.array(rows), _NOTE_GROUPS)

    def embed(self, piece: Notes) -> FloatArray:
        """Raises nothing; stretches without notes give no row."""
        rows = [_note_statistics(window, self.bars) for window in windows(piece, self.bars)]
        return self._scaling.apply(np.array(rows).reshape(len(rows), sum(_NOTE_GROUPS)))


_NOTE_GROUPS: Final = (12, 12, 25, 16, len(LENGTHS_STEPS), 2, 2, 1, 2, 1)


def _note_statistics(notes: Notes, bars: int) -> FloatArray:
    sounding = np.minimum(notes.end_q - notes.start_q, BEATS_PER_BAR)
    moments, first = np.unique(notes.start_q, return_index=True)
    lowest = notes.pitch[first]  # sorted by pitch within a moment
    highest = notes.pitch[np.append(first[1:], len(notes)) - 1]
    gaps = np.minimum(np.diff(np.append(moments, bars * BEATS_PER_BAR)), BEATS_PER_BAR)
    moves = np.clip(np.diff(highest), -12, 12) + 12
    positions = np.floor(4 * notes.start_q + 0.5).astype(np.int64) % 16
    steps = np.maximum(np.rint(4 * (notes.end_q - notes.start_q)).astype(np.int64), 1)
    span_q = float(notes.start_q[-1] - notes.start_q[0])
    quarter_s = float(notes.start_s[-1] - notes.start_s[0]) / span_q if span_q > 0 else 0.5
    low_q = lowest < np.median(notes.pitch)
    length_class = np.searchsorted(LENGTHS_STEPS, steps, side="right") - 1
    return np.concatenate([
        _shares(np.bincount(notes.pitch % 12, sounding, 12)),
        _shares(np.bincount(lowest[low_q] % 12, gaps[low_q], 12)),
        _shares(np.bincount(moves, minlength=25)),
        _shares(np.bincount(positions, minlength=16)),
        _shares(np.bincount(length_class, minlength=len(LENGTHS_STEPS))),
        [notes.pitch.mean(), notes.pitch.std()],
        [notes.velocity.mean(), notes.velocity.std()],
        [np.log2(max(quarter_s, 1e-3))],
        [len(notes) / bars, len(moments) / bars],
        [polyphony(notes)],
    ])  # fmt: skip


def _shares(counts: NDArray[np.generic]) -> FloatArray:
    total = counts.sum()
    return counts / total if total else counts.astype(np.float64)


class AudioEmbedder:
    """Statistics of sound in clips of `clip_s` seconds: timbre, harmony, movement, level.

    Mean and deviation of 40 log-mel bands and of their change, mean and deviation of chroma, and the
    autocorrelation of the rise in level over 0.2 to 2 s (how it pulses).
    """

    name: Final = "audio"
    rate: Final = SOUND_HZ

    def __init__(self, reference: Iterable[Sound], clip_s: float = 10.0) -> None:
        self.clip_s = clip_s
        rows = [self._raw(piece) for piece in reference]
        self._scaling = Scaling.fit(np.concatenate(rows), _SOUND_GROUPS)

    def embed(self, piece: Sound) -> FloatArray:
        return self._scaling.apply(self._raw(piece))

    def _raw(self, piece: Sound) -> FloatArray:
        size = round(self.clip_s * SOUND_HZ)
        clips = [piece[k : k + size] for k in range(0, len(piece) - size + 1, size)]
        return np.array([_sound_statistics(clip) for clip in clips]).reshape(len(clips), sum(_SOUND_GROUPS))


_MELS: Final = 40
_LAGS: Final = range(4, 41)  # of 0.05 s
_SOUND_GROUPS: Final = (_MELS, _MELS, _MELS, 12, 12, len(_LAGS))
_MEL_WINDOW: Final = 2048
_MEL_HOP: Final = SOUND_HZ // 20


def _sound_statistics(clip: Sound) -> FloatArray:
    mel = log_mel(clip)
    change = np.diff(mel, axis=0)
    rise = np.maximum(change, 0).mean(axis=1)
    rise = rise - rise.mean()
    power = float((rise**2).sum()) or 1.0
    pulse = np.array([(rise[lag:] * rise[:-lag]).sum() / power for lag in _LAGS])
    chroma = chroma_of_sound(clip)
    return np.concatenate([
        mel.mean(axis=0), mel.std(axis=0), np.abs(change).mean(axis=0),
        chroma.mean(axis=0), chroma.std(axis=0), pulse,
    ])  # fmt: skip


def log_mel(samples: Sound) -> FloatArray:
    """Natural logarithm of mel band powers, float64 (frames, 40), 20 frames a second, floor 1e-8."""
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(samples, np.float64), _MEL_WINDOW)[
        ::_MEL_HOP
    ]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_MEL_WINDOW) / _MEL_WINDOW)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2 / window.sum() ** 2
    return np.asarray(np.log(power @ _mel_filters().T + 1e-8))


def _mel_filters() -> FloatArray:
    """Triangles evenly spaced in mel (2595 log10(1 + f / 700)) from 30 Hz to 10 kHz, (40, bins)."""
    low, high = 2595 * np.log10(1 + np.array([30.0, 10_000.0]) / 700)
    centres = 700 * (10 ** (np.linspace(low, high, _MELS + 2) / 2595) - 1)
    hz = np.arange(_MEL_WINDOW // 2 + 1) * SOUND_HZ / _MEL_WINDOW
    up = (hz - centres[:-2, None]) / np.diff(centres)[:-1, None]
    down = (centres[2:, None] - hz) / np.diff(centres)[1:, None]
    return np.asarray(np.maximum(0.0, np.minimum(up, down)))
