"""Analyses made by hand: films of known cuts and looks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np

from diffbgm.spotting.cuesheet import Plan
from diffbgm.timing import STEPS_PER_BEAT
from diffbgm.video.analysis import Analysis, Curve, Shot, Transition

HZ = 4.0


def film(
    duration_s: float,
    cuts: Sequence[float] = (),
    fps: Fraction | int = 25,
    *,
    strengths: Sequence[float] | None = None,
    looks: Sequence[tuple[float, float, float, float]] | None = None,
    speech: Sequence[tuple[float, float]] = (),
) -> Analysis:
    """A film with these cuts. looks: brightness, saturation, warmth and motion of each shot."""
    edges = [0.0, *cuts, duration_s]
    looks = looks or [(0.45, 0.3, 0.0, 0.2)] * (len(edges) - 1)
    times = (np.arange(max(1, round(duration_s * HZ))) + 0.5) / HZ
    shot = np.clip(np.searchsorted(np.asarray(cuts, dtype=float), times, side="right"), 0, len(looks) - 1)
    curves = np.asarray(looks, dtype=np.float32)[shot]
    strengths = strengths or [0.7] * len(cuts)
    return Analysis(
        video="film.mp4",
        container="mp4",
        duration_s=duration_s,
        frame_rate=Fraction(fps),
        n_frames=max(1, round(duration_s * float(fps))),
        width=640,
        height=360,
        rotation=0,
        has_audio=bool(speech),
        shots=tuple(Shot(a, b) for a, b in pairwise(edges)),
        transitions=tuple(
            Transition(cut, "cut", cut, cut, strength) for cut, strength in zip(cuts, strengths, strict=True)
        ),
        motion=Curve(HZ, curves[:, 3]),
        camera=Curve(HZ, np.zeros(len(times), np.float32)),
        brightness=Curve(HZ, curves[:, 0]),
        saturation=Curve(HZ, curves[:, 1]),
        warmth=Curve(HZ, curves[:, 2]),
        speech_spans=tuple(speech),
        source_lufs=None,
        has_music=False,
        thumbnails=(),
        warnings=(),
    )


def steady_cuts(duration_s: float, gap_s: float) -> list[float]:
    return [
        round(gap_s * k, 3) for k in range(1, int(duration_s / gap_s) + 1) if gap_s * k < duration_s - 0.2
    ]


def check_rules(plan: Plan, low: float = 60.0, high: float = 140.0) -> None:
    """Every promise a plan makes about time, asserted.

    low, high: the tempo range; bars of a range narrower than 5 % either way may leave it that far.
    """
    starts = plan.bar_starts_s
    bpm = plan.tempo_map.bpm_of_bars()
    assert starts[0] == 0.0
    assert starts[-1] == plan.duration_s
    assert plan.sections[0].start_s == 0.0
    assert plan.sections[-1].end_s == plan.duration_s
    middle = (low * high) ** 0.5
    low, high = min(low, middle / 1.05), max(high, middle * 1.05)
    lone_bar = plan.tempo_map.n_bars == 1
    # A film of a few seconds may leave no lawful place for its last bar: then, and only then, it says so.
    held = any("last chord" in warning for warning in plan.warnings)
    free = len(bpm) - 1 if held else len(bpm)
    free = 0 if lone_bar else free
    assert np.all(bpm[:free] > low - 1e-6)
    assert np.all(bpm[:free] < high + 1e-6)
    for section in plan.sections:
        assert section.end_bar - section.start_bar >= (1 if lone_bar else 2)
        here = bpm[section.start_bar : min(section.end_bar, free)] if not lone_bar else bpm[:0]
        assert np.all(np.abs(here / section.tempo_bpm - 1) <= 0.05)
        assert np.all(np.maximum(here[1:] / here[:-1], here[:-1] / here[1:]) <= 1.02)
        assert section.start_s == starts[section.start_bar]
        assert section.end_s == starts[section.end_bar]
    for hit in plan.hits:
        if hit.step is None:
            assert hit.on is None
            assert hit.landed_s is None
            assert hit.error_ms is None
            continue
        grid_s = plan.tempo_map.seconds(hit.step / STEPS_PER_BEAT)
        assert abs(grid_s - hit.time_s) <= 0.5 / plan.fps
        assert hit.landed_s is not None
        assert hit.error_ms is not None
        assert abs(hit.landed_s - grid_s) < 1e-5
        assert abs(hit.error_ms - 1000 * (grid_s - hit.time_s)) < 0.01
        size = {"downbeat": 16, "beat": 4, "eighth": 2, "sixteenth": 1}
        unit = next(name for name, steps in size.items() if hit.step % steps == 0)
        assert hit.on == unit
    steps = [hit.step for hit in plan.hits if hit.step is not None]
    assert steps == sorted(steps)
    assert all(0 <= step < plan.tempo_map.n_beats * STEPS_PER_BEAT for step in steps)
