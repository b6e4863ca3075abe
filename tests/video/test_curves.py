"""Motion and colour over time, on pictures whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffbgm.video.analysis import Analysis
from diffbgm.video.analyze import analyze
from diffbgm.video.curves import split_motion
from tests.media import Pattern, ball, make_video, pan, texture


def _film(tmp_path: Path, *shots: tuple[float, Pattern]) -> Analysis:
    return analyze(make_video(tmp_path / "film.mp4", list(shots), fps=25))


def test_a_pan_is_camera_and_a_ball_is_subject(tmp_path: Path) -> None:
    analysis = _film(tmp_path, (2.0, texture(1)), (2.0, pan(1, 60)), (2.0, ball(3, 100)))
    still, panned, moved = (slice(k, k + 7) for k in (0, 9, 17))
    camera, motion = analysis.camera.values, analysis.motion.values
    assert camera[still].max() < 0.02
    assert motion[still].max() < 0.02
    # 60 of 320 pixels a second: 1 - exp(-0.1875 / 0.3)
    assert np.median(camera[panned]) == pytest.approx(0.465, abs=0.08)
    assert np.median(motion[panned]) < 0.15
    assert np.median(motion[moved]) > 0.5
    assert np.median(camera[moved]) < 0.2


def test_motion_grows_with_speed(tmp_path: Path) -> None:
    analysis = _film(tmp_path, (2.0, pan(1, 15)), (2.0, pan(2, 60)), (2.0, pan(3, 240)))
    slow, brisk, fast = (float(np.median(analysis.camera.values[k : k + 6])) for k in (1, 9, 17))
    assert 0.05 < slow < brisk - 0.1 < fast - 0.3


def test_a_cut_is_no_motion(tmp_path: Path) -> None:
    analysis = _film(tmp_path, *((0.6, texture(k)) for k in range(8)))
    assert analysis.camera.values.max() < 0.02
    assert analysis.motion.values.max() < 0.02


def test_colours(tmp_path: Path) -> None:
    colours = [(255, 255, 255), (255, 0, 0), (0, 0, 255), (255, 140, 0), (128, 128, 128)]
    analysis = _film(tmp_path, *((1.0, colour) for colour in colours))
    white, red, blue, orange, grey = (slice(4 * k + 1, 4 * k + 4) for k in range(5))
    bright, saturated, warm = (c.values for c in (analysis.brightness, analysis.saturation, analysis.warmth))
    assert bright[white] == pytest.approx(1.0, abs=0.02)
    assert bright[grey] == pytest.approx(0.5, abs=0.02)
    assert bright[blue] == pytest.approx(0.114, abs=0.03)  # luma weights of BT.601
    assert saturated[red].min() > 0.9
    assert saturated[blue].min() > 0.9
    assert saturated[white].max() < 0.03
    assert saturated[grey].max() < 0.03
    assert warm[orange].min() > 0.5
    assert warm[blue].max() < -0.4
    assert abs(warm[grey]).max() < 0.03


def test_curves_have_one_length_and_their_ranges(tmp_path: Path) -> None:
    analysis = _film(tmp_path, (1.1, pan(1, 300)), (1.3, ball(2, 900)))
    curves = (
        analysis.motion,
        analysis.camera,
        analysis.brightness,
        analysis.saturation,
        analysis.warmth,
    )
    for curve in curves:
        assert len(curve.values) == np.ceil(analysis.duration_s * curve.hz)
        assert curve.values.dtype == np.float32
        assert np.isfinite(curve.values).all()
        assert -1 <= curve.values.min() <= curve.values.max() <= 1
    assert min(c.values.min() for c in curves[:4]) >= 0


@settings(max_examples=30, deadline=None)
@given(
    shift=st.tuples(st.floats(-8, 8), st.floats(-8, 8)),
    zoom=st.floats(-0.05, 0.05),
    subject=st.tuples(st.floats(-6, 6), st.floats(-6, 6)),
)
def test_a_subject_does_not_pull_the_camera_along(
    shift: tuple[float, float], zoom: float, subject: tuple[float, float]
) -> None:
    """A known affine flow, with a sixth of the picture moving otherwise."""
    y, x = np.mgrid[0:90, 0:160].astype(np.float32)
    flow = np.stack([shift[0] + zoom * (x - 80), shift[1] + zoom * (y - 45)], axis=2).astype(np.float32)
    camera_alone = float(np.hypot(*flow[2::5, 2::5].reshape(-1, 2).T).mean())
    flow[20:60, 60:120] += np.float32(subject)
    camera, moved = split_motion(flow)
    assert camera == pytest.approx(camera_alone, abs=0.35)
    assert moved == pytest.approx(np.hypot(*subject) / 6, abs=0.35)
