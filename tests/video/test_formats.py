"""Containers, codecs and the odd things that ordinary files do; every film has a cut at 1 s."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from diffbgm.video.analyze import analyze, to_json
from tests.media import ball, make_video, pan, repeat_video, texture

TWO_SHOTS = [(1.0, texture(1)), (1.0, ball(2, 80))]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("h264.mp4", {}),
        ("hevc.mp4", {"codec": "libx265"}),
        ("av1.mp4", {"codec": "libsvtav1"}),
        ("h264.mov", {}),
        ("prores.mov", {"codec": "prores_ks"}),
        ("h264.mkv", {}),
        ("ten_bit.mkv", {"codec": "libx265", "pix_fmt": "yuv420p10le"}),
        ("vp8.webm", {}),
        ("vp9.webm", {"codec": "libvpx-vp9"}),
        ("mpeg4.avi", {}),
        ("mpeg2.mpg", {}),
        ("mpeg1.mpg", {"codec": "mpeg1video"}),
    ],
)
def test_containers_and_codecs(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    analysis = analyze(make_video(tmp_path / name, TWO_SHOTS, fps=25, audio="tone", **options))
    assert [t.time_s for t in analysis.transitions] == [pytest.approx(1.0, abs=0.002)]
    assert analysis.duration_s == pytest.approx(2.0, abs=0.002)
    assert analysis.frame_rate == 25
    assert (analysis.n_frames, analysis.width, analysis.height) == (50, 320, 180)
    assert analysis.has_audio
    assert analysis.warnings == ()
    assert analysis.source_lufs == pytest.approx(-12.7, abs=0.6)


def test_times_count_from_the_first_frame(tmp_path: Path) -> None:
    analysis = analyze(make_video(tmp_path / "film.mkv", TWO_SHOTS, start_s=3.5, audio="tone"))
    assert [t.time_s for t in analysis.transitions] == [pytest.approx(1.0, abs=0.002)]
    assert analysis.duration_s == pytest.approx(2.0, abs=0.002)
    assert analysis.warnings == ()


def test_variable_frame_rate(tmp_path: Path) -> None:
    steps = np.random.default_rng(1).uniform(0.01, 0.09, 48)
    times = np.concatenate([[0.0], np.cumsum(steps)])
    analysis = analyze(make_video(tmp_path / "film.mp4", TWO_SHOTS, frame_times=list(times[:48])))
    assert [t.time_s for t in analysis.transitions] == [pytest.approx(times[24], abs=0.001)]
    assert times[47] < analysis.duration_s < times[47] + 0.1
    assert analysis.fps == pytest.approx(47 / times[47], rel=0.01)


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frame_rate_is_exact(tmp_path: Path, rate: Fraction, suffix: str) -> None:
    film = make_video(tmp_path / f"film{suffix}", [(2.0, texture(1))], fps=rate, size=(64, 36))
    assert analyze(film).frame_rate == rate


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_is_told_and_thumbnails_stand_upright(tmp_path: Path, rotation: int) -> None:
    def top_is_white(at_s: float, width: int, height: int) -> np.ndarray:
        """As stored: white where, once turned counterclockwise by `rotation`, the top will be."""
        upright = np.zeros((height, width) if rotation == 180 else (width, height), np.uint8)
        upright[: upright.shape[0] // 2] = 255
        stored = np.rot90(upright, -rotation // 90)
        return np.repeat(stored[..., None], 3, axis=2).copy()

    film = make_video(tmp_path / "film.mp4", [(1.0, top_is_white)], size=(160, 96), rotation=rotation)
    analysis = analyze(film)
    assert analysis.rotation == rotation
    assert (analysis.width, analysis.height) == (160, 96)
    picture = cv2.imdecode(np.frombuffer(analysis.thumbnails[0].jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == ((96, 160) if rotation == 180 else (160, 96))
    assert picture[: len(picture) // 3].min() > 200
    assert picture[-len(picture) // 3 :].max() < 50


@pytest.mark.parametrize("size", [(321, 181), (90, 160), (16, 16)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    film = make_video(tmp_path / "film.mkv", TWO_SHOTS, size=size, pix_fmt="yuv444p")
    analysis = analyze(film)
    assert (analysis.width, analysis.height) == size
    assert len(analysis.shots) == 2
    assert analysis.thumbnails[0].jpeg.startswith(b"\xff\xd8")


def test_a_long_shot_has_a_picture_every_few_seconds(tmp_path: Path) -> None:
    analysis = analyze(make_video(tmp_path / "film.mp4", [(24.0, texture(1))], fps=5))
    assert len(analysis.shots) == 1
    assert [each.time_s for each in analysis.thumbnails] == pytest.approx([2.5, 7.5, 12.5, 19.5], abs=0.2)


def test_half_a_second(tmp_path: Path) -> None:
    analysis = analyze(make_video(tmp_path / "film.mp4", [(0.5, pan(1, 50))], audio="silence"))
    assert analysis.duration_s == pytest.approx(0.5)
    assert len(analysis.shots) == len(analysis.thumbnails) == 1
    assert len(analysis.motion.values) == 2
    assert analysis.has_audio
    assert analysis.source_lufs is None


def test_a_still_held_for_minutes(tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.mp4", [(2 / 24, texture(1))], frame_times=[0.0, 180.0])
    analysis = analyze(film)
    assert analysis.duration_s == pytest.approx(180, abs=0.2)
    assert len(analysis.shots) == 1
    assert len(analysis.motion.values) == len(analysis.warmth.values) >= 720
    assert not analysis.motion.values.any()
    assert analysis.camera.values.max() < 0.001
    assert np.ptp(analysis.brightness.values) < 0.02


def test_one_frame(tmp_path: Path) -> None:
    analysis = analyze(make_video(tmp_path / "film.mp4", [(1 / 24, texture(1))]))
    assert (analysis.n_frames, len(analysis.shots), len(analysis.motion.values)) == (1, 1, 1)


@pytest.mark.parametrize(
    ("defaults", "width"), [({"small", "large"}, 160), ({"small"}, 64), ({"large"}, 160)], ids=str
)
def test_which_picture_track_is_taken(tmp_path: Path, defaults: set[str], width: int) -> None:
    """The largest of those marked as default, and never the cover, though it is larger and comes first."""
    small = make_video(tmp_path / "small.mp4", [(2.0, texture(7))], size=(64, 36), audio="tone")
    large = make_video(tmp_path / "large.mp4", TWO_SHOTS, size=(160, 90), audio="silence")
    both = tmp_path / "both.mp4"
    with av.open(str(both), "w") as target, av.open(str(small)) as one, av.open(str(large)) as other:
        cover = target.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 2600, 2600, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        sources = [(film, stream) for film in (one, other) for stream in film.streams]
        tracks = [target.add_stream_from_template(stream) for _, stream in sources]
        for (film, _), track in zip(sources, tracks, strict=True):
            marked = Path(film.name).stem in defaults
            track.disposition = av.stream.Disposition.default if marked else av.stream.Disposition(0)
        picture = av.VideoFrame(2600, 2600, "yuvj420p")
        picture.pts, picture.time_base = 0, Fraction(1)
        target.mux([*cover.encode(picture), *cover.encode()])
        for (film, stream), track in zip(sources, tracks, strict=True):
            film.seek(0)
            for packet in film.demux(stream):
                if packet.size:
                    packet.stream = track
                    target.mux(packet)
    analysis = analyze(both)
    assert analysis.width == width
    assert len(analysis.shots) == (2 if width == 160 else 1)
    silent = analysis.source_lufs is None
    assert silent == (defaults == {"large"})


def test_a_change_of_size_within_the_film(tmp_path: Path) -> None:
    path = tmp_path / "film.mpg"
    parts = [
        make_video(tmp_path / f"{k}.mpg", [(1.0, texture(k))], size=size, fps=25).read_bytes()
        for k, size in enumerate([(320, 180), (160, 288)])
    ]
    path.write_bytes(b"".join(parts))
    analysis = analyze(path)
    assert analysis.n_frames >= 48  # the decoder loses a frame or two at the seam
    assert analysis.duration_s == pytest.approx(2.0, abs=0.1)


def test_json_has_every_field(tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.mp4", TWO_SHOTS, audio="tone")
    told: list[float] = []
    plain = to_json(analyze(film, told.append))
    assert {
        "video", "duration_s", "fps", "width", "height", "rotation", "has_audio", "shots", "motion",
        "brightness", "speech_spans", "warnings",
    } <= set(plain)  # fmt: skip
    assert plain["shots"] == [{"start_s": 0.0, "end_s": 1.0}, {"start_s": 1.0, "end_s": 2.0}]
    assert set(plain["motion"]) == {"hz", "values"}
    assert len(plain["motion"]["values"]) == len(plain["brightness"]["values"]) == 2 * plain["motion"]["hz"]
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    """Peak memory of a film and of the same film twelve times over, each in a process of its own."""
    shots = [(0.7, pan(k, 40)) for k in range(12)]
    film = make_video(tmp_path / "film.mp4", shots, fps=30, audio="tone")
    long = repeat_video(film, tmp_path / "long.mp4", 12)
    short_mb, long_mb = _peak_mb(film), _peak_mb(long)
    assert long_mb < short_mb + 15, (short_mb, long_mb)


def _peak_mb(film: Path) -> float:
    import subprocess
    import sys

    program = (
        "import resource, sys; from pathlib import Path; from diffbgm.video.analyze import analyze;"
        "analyze(Path(sys.argv[1])); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(film)], check=True, capture_output=True, text=True
    )
    return float(done.stdout)
