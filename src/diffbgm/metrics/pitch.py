"""Which pitch classes are used: how evenly, and how far within one scale.

Conventions: pitches are MIDI numbers, 0 = C; a histogram counts onsets, not durations. Two variants of
pitch-class histogram entropy (PCHE) exist and give different numbers:

- MusDr's (`pitch_class_entropy`): every window of n bars, moved on bar by bar, windows without notes
  left out, the last bars included.
- the notebook's (`notebook_pche`): pieces of 32 quarters (8 bars of 4/4) one after the other, the last
  one dropped even where it is full, 1e-6 added inside the logarithm.

Wu and Yang, "The Jazz Transformer on the front line", ISMIR 2020 (arXiv 2008.01307), section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.metrics.notes import Event, Notes

MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
CHUNK_QUARTERS: Final = 32
"""Length of a piece of music in the notebook's entropy."""


def validate(pitches_by_bar: Sequence[Sequence[int] | NDArray[Any]], window_bars: int) -> None:
    """Raises ValueError unless `window_bars` is positive and every pitch is in 0..127."""
    if window_bars < 1:
        raise ValueError(f"a window of {window_bars} bars; expected 1 or more")
    for bar in pitches_by_bar:
        pitches = np.asarray(bar)
        if pitches.size and (pitches.min() < 0 or pitches.max() > 127):
            raise ValueError("pitches outside 0..127")


def pitch_class_counts(onsets: NDArray[np.generic], lowest_pitch: int = 21) -> NDArray[np.int64]:
    """How often each pitch class starts, int64 (..., 12), from onset counts or bits (..., pitches)."""
    classes = (np.arange(onsets.shape[-1]) + lowest_pitch) % 12
    return np.stack([onsets[..., classes == c].sum(axis=-1) for c in range(12)], axis=-1).astype(np.int64)


def histogram_entropy(counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """Entropy of pitch-class histograms in bits, float64 (...,), 0 .. log2 12 = 3.585.

    H = - sum_c p_c log2 p_c. counts: (..., 12); NaN where all are 0.
    """
    total = counts.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = counts / total
        terms = np.where(p > 0, p * np.log2(p), 0.0)
    return np.where(total[..., 0] > 0, -terms.sum(axis=-1), np.nan)


def pitch_class_entropy(pitches_by_bar: Sequence[Sequence[int] | NDArray[Any]], window_bars: int) -> float:
    """Mean entropy of the pitch classes in every window of `window_bars` bars, in bits (PCHE, MusDr's H).

    0 = one pitch class alone, 3.585 = all twelve alike. Windows start at each bar; those without notes
    are left out, and a piece shorter than the window is one window. pitches_by_bar: for each bar the
    MIDI pitches (or pitch classes) that start in it. NaN where there are no notes.
    """
    validate(pitches_by_bar, window_bars)
    bars = np.array([np.bincount(np.asarray(bar, np.int64) % 12, minlength=12) for bar in pitches_by_bar])
    if not bars.sum():
        return float("nan")
    width = min(window_bars, len(bars))
    sums = np.cumsum(np.concatenate([np.zeros((1, 12), np.int64), bars]), axis=0)
    entropies = histogram_entropy(sums[width:] - sums[:-width])
    return float(np.nanmean(entropies))


def notebook_pche(events: Sequence[Event]) -> float:
    """PCHE as the notebook published with Diff-BGM computes it, in bits; the paper reports 2.840.

    Events are walked in order; a chunk is closed when one starts at or after its end and the one before
    started earlier than that, at most one chunk an event (after a rest of more than 32 quarters no
    further chunk is closed); what follows the last closing is dropped.
    H = - sum_c p_c log2(p_c + 1e-6), averaged over the closed chunks.

    events: (offset in quarters, pitch classes) sorted by offset; offsets may be fractions.
    NaN where no chunk was closed or one of them is empty, where the notebook divides by zero.
    Raises ValueError if the offsets go back.
    """
    chunks: list[list[int]] = []
    current: list[int] = []
    before: Any = 0
    for offset, classes in events:
        if offset < before:
            raise ValueError("events must be sorted by offset")
        end = CHUNK_QUARTERS * (len(chunks) + 1)
        if before < end <= offset:
            chunks.append(current)
            current = []
        current.extend(classes)
        before = offset
    if not chunks or not all(chunks):
        return float("nan")
    counts = np.array([np.bincount(np.asarray(chunk) % 12, minlength=12) for chunk in chunks])
    p = counts / counts.sum(axis=1, keepdims=True)
    return float(np.mean(-(p * np.log2(p + 1e-6)).sum(axis=1)))


def scale_share(counts: NDArray[np.generic], tonic: int = 0) -> float:
    """Share of the notes that lie in the major scale on `tonic`; NaN where there are none."""
    inside = [(tonic + degree) % 12 for degree in MAJOR_SCALE]
    total = counts.sum()
    return float(counts[..., inside].sum() / total) if total else float("nan")


def scale_consistency(pitches: NDArray[Any]) -> float:
    """Largest share of the notes that one major scale holds, 0 .. 1; NaN where there are none.

    Natural minor scales are the same sets, so all 24 keys are covered (Mogren 2016, arXiv 1611.09904).
    Notes spread evenly over the twelve classes reach 7/12.
    """
    counts = np.bincount(np.asarray(pitches, np.int64) % 12, minlength=12)
    return max(scale_share(counts, tonic) for tonic in range(12))


def evaluate(notes: Notes) -> dict[str, float]:
    """All pitch figures of a piece by name; NaN where there are no notes."""
    bars = notes.pitches_by_bar()
    return {
        "pche_1bar": pitch_class_entropy(bars, 1),
        "pche_4bar": pitch_class_entropy(bars, 4),
        "pche_8bar": pitch_class_entropy(bars, 8),
        "pche_notebook": notebook_pche(notes.events()),
        "scale_consistency": scale_consistency(notes.pitch),
        "pitch_range": float(np.ptp(notes.pitch)) if len(notes) else float("nan"),
    }
