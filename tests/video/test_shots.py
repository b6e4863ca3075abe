"""Shot boundaries: synthetic films whose edits are known, and the shared clips."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from benchmarks.shots import Score, compare, detect, true_boundaries

from diffbgm.video.analysis import Transition
from diffbgm.video.analyze import analyze
from tests.media import Pattern, Picture, ball, make_video, mix, paint, pan, texture

BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def _transitions(path: Path, shots: list[tuple[float, Pattern]], fps: float = 24) -> tuple[Transition, ...]:
    return analyze(make_video(path, shots, fps=fps)).transitions


@pytest.mark.parametrize("fps", [10, 23.976, 25, 60])
def test_cuts_are_found_on_the_frame(tmp_path: Path, fps: float) -> None:
    patterns = [texture(1), ball(2, 90), pan(3, 120), (200, 40, 30), texture(4)]
    found = _transitions(tmp_path / "film.mp4", [(1.0, pattern) for pattern in patterns], fps)
    frames = round(fps)
    assert [t.kind for t in found] == ["cut"] * 4
    assert [t.time_s for t in found] == pytest.approx([k * frames / fps for k in range(1, 5)], abs=0.002)
    assert all(t.from_s == t.time_s == t.to_s and 0 < t.strength <= 1 for t in found)


def test_dissolve_is_told_at_its_middle(tmp_path: Path) -> None:
    shots = [(2.0, texture(1)), (1.0, mix(texture(1), texture(2), 1.0)), (2.0, texture(2))]
    (found,) = _transitions(tmp_path / "film.mp4", shots)
    assert found.kind == "dissolve"
    assert found.time_s == pytest.approx(2.5, abs=0.06)
    assert (found.from_s, found.to_s) == (pytest.approx(2.0, abs=0.1), pytest.approx(3.0, abs=0.1))


def test_dissolve_between_moving_shots(tmp_path: Path) -> None:
    shots = [(2.0, pan(1, 30)), (0.6, mix(pan(1, 30), ball(2, 50), 0.6)), (2.0, ball(2, 50))]
    (found,) = _transitions(tmp_path / "film.mp4", shots)
    assert found.kind == "dissolve"
    assert 2.0 <= found.time_s <= 2.6


@pytest.mark.parametrize("blank", [BLACK, WHITE])
def test_fade_is_told_where_the_new_picture_appears(tmp_path: Path, blank: tuple[int, int, int]) -> None:
    out, into = mix(texture(1), blank, 0.5), mix(blank, texture(2), 0.5)
    (found,) = _transitions(
        tmp_path / "film.mp4", [(2.0, texture(1)), (0.5, out), (0.25, blank), (0.5, into), (2.0, texture(2))]
    )
    assert found.kind == "fade"
    assert found.time_s == pytest.approx(2.75, abs=0.13)
    assert found.from_s == pytest.approx(2.0, abs=0.1)
    assert found.to_s == pytest.approx(3.25, abs=0.1)


def test_fade_from_and_to_black_at_the_ends_is_no_boundary(tmp_path: Path) -> None:
    shots = [
        (0.5, BLACK),
        (1.0, mix(BLACK, texture(1), 1.0)),
        (2.0, texture(1)),
        (1.0, mix(texture(1), BLACK, 1.0)),
        (0.5, BLACK),
    ]
    assert _transitions(tmp_path / "film.mp4", shots) == ()


def _zoom(at_s: float, width: int, height: int) -> Picture:
    """Zooms in by a quarter each second, as by a motor."""
    whole = paint(texture(5), 0.0, width * 4, height * 4)
    scale = 4 / 1.25**at_s
    w, h = round(width * scale), round(height * scale)
    left, top = (4 * width - w) // 2, (4 * height - h) // 2
    rows, columns = np.linspace(top, top + h - 1, height), np.linspace(left, left + w - 1, width)
    return np.ascontiguousarray(whole[rows.astype(int)][:, columns.astype(int)])


def _discs(scale: float) -> Pattern:
    """A picture full of small things, seen through a lens of the given focal length."""

    def draw(at_s: float, width: int, height: int) -> Picture:
        rng = np.random.default_rng(8)
        picture = np.full((height, width, 3), 90, np.uint8)
        for _ in range(400):
            x, y, size = rng.uniform(-1.5, 1.5), rng.uniform(-1.5, 1.5), rng.uniform(0.02, 0.06)
            corner = (round((x * scale + 1) * width / 2), round((y * scale + 1) * height / 2))
            other = (corner[0] + round(size * scale * width), corner[1] + round(size * scale * width))
            cv2.rectangle(picture, corner, other, tuple(map(int, rng.integers(0, 255, 3))), -1)
        return picture

    return draw


def _letterboxed(pattern: Pattern) -> Pattern:
    def draw(at_s: float, width: int, height: int) -> Picture:
        picture = paint(pattern, at_s, width, height).copy()
        picture[: height // 5] = picture[-height // 5 :] = 0
        return picture

    return draw


def test_black_bars_do_not_hide_a_cut(tmp_path: Path) -> None:
    shots = [(1.0, _letterboxed(texture(k, 70))) for k in (1, 2, 3, 4)]
    assert len(_transitions(tmp_path / "film.mp4", shots)) == 3


@pytest.mark.parametrize(
    "shots",
    [
        [(2.0, texture(1)), (2 / 24, texture(2)), (2.0, texture(1))],
        [(1.0, _discs(1.0)), (1.0, _discs(1.5)), (1.0, _discs(1.1))],
        [(2.0, texture(1)), (2 / 24, WHITE), (2.0, texture(1))],
        [(2.0, texture(1)), (0.2, BLACK), (2.0, texture(1))],
        [(2.0, texture(1, 120)), (2.0, texture(1, 240))],
        [(3.0, pan(3, 600))],
        [(3.0, ball(4, 500))],
        [(3.0, _zoom)],
        [(1.0, WHITE)],
    ],
    ids=[
        "two odd frames",
        "another lens",
        "flash",
        "blink",
        "light switched on",
        "fast pan",
        "fast subject",
        "zoom",
        "blank film",
    ],
)
def test_what_is_no_boundary(tmp_path: Path, shots: list[tuple[float, Pattern]]) -> None:
    assert _transitions(tmp_path / "film.mp4", shots) == ()


def test_slides_held_for_long(tmp_path: Path) -> None:
    """Five pictures of one frame each, 12 s apart, and a film that stops for a minute before its cut."""
    slides = [(1 / 24, texture(k)) for k in range(5)]
    film = make_video(tmp_path / "slides.mp4", slides, frame_times=[12.0 * k for k in range(5)])
    assert [t.time_s for t in analyze(film).transitions] == pytest.approx([12, 24, 36, 48])
    times = [k / 24 + 60 * (k > 30) for k in range(96)]
    film = make_video(tmp_path / "stop.mp4", [(2.0, pan(1, 40)), (2.0, pan(2, 40))], frame_times=times)
    assert [t.time_s for t in analyze(film).transitions] == pytest.approx([62.0])


def test_shots_share_their_borders_with_the_transitions(tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.mp4", [(0.5, texture(k)) for k in range(8)], fps=30)
    analysis = analyze(film)
    assert len(analysis.shots) == 8
    assert analysis.shots[0].start_s == 0
    assert analysis.shots[-1].end_s == analysis.duration_s
    starts = [shot.start_s for shot in analysis.shots[1:]]
    assert starts == [shot.end_s for shot in analysis.shots[:-1]] == [t.time_s for t in analysis.transitions]
    times = [thumbnail.time_s for thumbnail in analysis.thumbnails]
    assert all(s.start_s <= t < s.end_s for s, t in zip(analysis.shots, times, strict=True))


@pytest.mark.data
@pytest.mark.slow
def test_shared_clips(shared: Path) -> None:
    pooled = Score(0, (), ())
    for video in sorted((shared / "data" / "videos").iterdir()):
        if video.suffix in {".mp4", ".mkv", ".webm"}:
            truth = true_boundaries(video)
            found, frame_s = detect(video)
            score = compare(found, truth, frame_s)
            assert truth or not score.false, f"{video.name} is one shot, but {score.false} was found"
            pooled += score
    assert pooled.n_true == 41
    assert pooled.f1 >= 0.92, (pooled.missed, pooled.false)
