from __future__ import annotations

import numpy as np

from diffbgm.metrics.curves import POINTS, asked, given
from diffbgm.metrics.notes import Notes, build_notes, no_notes
from diffbgm.spotting.cuesheet import Plan, Section


def plan(halves: tuple[float, float]) -> Plan:
    """Eight bars of 2 s in two sections with this density, energy, valence and arousal."""
    bars = tuple(2.0 * k for k in range(9))
    sections = tuple(
        Section(
            start_s=8.0 * k, end_s=8.0 * (k + 1), start_bar=4 * k, end_bar=4 * (k + 1), role="theme",
            label="A", energy=value, valence=2 * value - 1, arousal=2 * value - 1, tempo_bpm=120,
        )
        for k, value in enumerate(halves)
    )  # fmt: skip
    curve = (halves[0],) * 16 + (halves[1],) * 16
    return Plan(
        duration_s=16.0, fps=24.0, key="C", style="piano", seed=0, bar_starts_s=bars, sections=sections,
        hits=(), energy=curve, density=curve,
    )  # fmt: skip


def music() -> Notes:
    """Soft quarters of C minor in bars 0-3, loud eighths of C major an octave higher after that."""
    start = np.concatenate([np.arange(16.0), np.arange(16.0, 32.0, 0.5)])
    late = start >= 16
    pitch = np.where(
        late, np.array([72, 76])[np.arange(len(start)) % 2], np.array([60, 63])[np.arange(len(start)) % 2]
    )
    return build_notes(start, start + 0.5, pitch, np.where(late, 100, 50), np.zeros(len(start)))


def test_what_was_asked_is_found_in_the_music() -> None:
    sheet = plan((0.2, 0.9))
    wanted = asked(sheet, tempo=False).reshape(4, POINTS)
    measured = given(music(), sheet, tempo=False).reshape(4, POINTS)
    for a, b in zip(wanted, measured, strict=True):
        assert np.corrcoef(a, b)[0, 1] > 0.9
    assert asked(sheet).shape == given(music(), sheet).shape == (5 * POINTS,)
    assert measured[0].tolist() == [2.0] * 8 + [4.0] * 8  # onsets a second


def test_music_without_notes_gives_level_curves() -> None:
    assert np.ptp(given(no_notes(), plan((0.5, 0.5)), tempo=False)) == 0.0
