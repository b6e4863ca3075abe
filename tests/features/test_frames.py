"""Pictures at given moments: the right ones, upright and in true proportions."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from diffbgm.errors import InputError
from diffbgm.features.frames import SHORT_SIDE, pictures_at

from ..media import make_video


def level(at_s: float, width: int, height: int) -> np.ndarray:
    """Grey that rises by 40 each second's quarter; the film shows which frame it is."""
    return np.full((height, width, 3), 20 + 40 * round(at_s * 4), np.uint8)


def test_the_picture_on_screen_at_each_time(tmp_path: Path) -> None:
    """Frames at 0, 0.25, ... 1.25 s; the last one stays."""
    film = make_video(tmp_path / "film.mkv", [(1.5, level)], fps=4, size=(64, 36))
    times = [0.0, 0.1, 0.25, 0.49, 0.5, 0.5, 1.24, 1.26, 9.0]
    shown = [round((float(picture.mean()) - 20) / 40) for picture in pictures_at(film, times)]
    assert shown == [0, 0, 1, 1, 2, 2, 4, 5, 5]


def test_no_times_no_pictures(three_shots: Path) -> None:
    assert list(pictures_at(three_shots, [])) == []


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_pictures_stand_upright(tmp_path: Path, rotation: int) -> None:
    def red_above(at_s: float, width: int, height: int) -> np.ndarray:
        """As stored: red where, once turned counterclockwise by `rotation`, the top will be, else blue."""
        upright = np.zeros((height, width, 3) if rotation % 180 == 0 else (width, height, 3), np.uint8)
        upright[: len(upright) // 2] = (220, 20, 20)
        upright[len(upright) // 2 :] = (20, 20, 220)
        return np.ascontiguousarray(np.rot90(upright, -rotation // 90))

    film = make_video(tmp_path / "film.mp4", [(0.5, red_above)], size=(160, 96), rotation=rotation)
    (picture,) = pictures_at(film, [0.2])
    assert picture.shape == ((96, 160, 3) if rotation % 180 == 0 else (160, 96, 3))
    assert picture.dtype == np.uint8
    third = len(picture) // 3
    np.testing.assert_allclose(picture[:third].mean((0, 1)), (220, 20, 20), atol=12)
    np.testing.assert_allclose(picture[-third:].mean((0, 1)), (20, 20, 220), atol=12)


def test_pixels_that_are_not_square_and_large_pictures(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=4, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(np.zeros((576, 720, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (picture,) = pictures_at(path, [0.0])
    assert picture.shape == (576, 1024, 3)
    large = make_video(tmp_path / "large.mp4", [(0.1, (9, 9, 9))], fps=10, size=(2560, 1440))
    (picture,) = pictures_at(large, [0.0])
    assert picture.shape == (SHORT_SIDE, round(SHORT_SIDE * 16 / 9), 3)


def test_only_what_is_needed_is_decoded(three_shots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last moment that is asked for the film is not read on."""
    from diffbgm.video.decode import PictureReader

    seen = []
    whole = PictureReader.frames

    def counted(self: PictureReader):  # type: ignore[no-untyped-def]
        for frame in whole(self):
            seen.append(frame[0])
            yield frame

    monkeypatch.setattr(PictureReader, "frames", counted)
    assert len(list(pictures_at(three_shots, [0.5]))) == 1
    assert seen[-1] < 1.0


def test_no_film(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(pictures_at(tmp_path / "none.mp4", [0.0]))
