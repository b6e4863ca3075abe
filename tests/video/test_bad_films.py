"""Files that are no films, and films that are damaged."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from diffbgm.errors import InputError
from diffbgm.video.analyze import analyze
from tests.media import make_video, pan, texture

PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3.0,\nfilm.mp4\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile 'film.mp4'\n",
    "disguised.mp4": "ffconcat version 1.0\nfile 'film.mp4'\n",
    "list.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
    ' mediaPresentationDuration="PT3S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1">'
    "<BaseURL>film.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
}


def _refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        analyze(path)
    message = str(caught.value)
    assert caught.value.exit_code == 3
    assert path.name in message
    assert "\n" not in message
    return message


def test_missing(tmp_path: Path) -> None:
    assert "no such file" in _refusal(tmp_path / "absent.mp4")


def test_folder(tmp_path: Path) -> None:
    assert "is a folder" in _refusal(tmp_path)


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    assert "empty" in _refusal(path)


@pytest.mark.parametrize("name", ["text.mp4", "text.txt", "text.srt"])
def test_text(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("1\n00:00:01,000 --> 00:00:02,000\nThis is no film.\n" * 50)
    assert "cannot be read as a video" in _refusal(path) or "not read" in _refusal(path)


def test_noise(tmp_path: Path) -> None:
    path = tmp_path / "noise.mkv"
    path.write_bytes(np.random.default_rng(0).bytes(200_000))
    _refusal(path)


def test_header_that_cannot_be_read(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", [(2.0, pan(1, 50))]).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) // 2])  # the index stands at the end
    assert "cannot be read as a video" in _refusal(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = make_video(tmp_path / "film.mp4", [(0.5, texture(1))])
    path.chmod(0)
    assert "cannot be read" in _refusal(path)


def test_sound_alone(tmp_path: Path) -> None:
    import wave

    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    assert "no picture" in _refusal(path)


@pytest.mark.parametrize("name", PLAYLISTS)
def test_playlists_are_refused(tmp_path: Path, name: str) -> None:
    make_video(tmp_path / "film.mp4", [(3.0, texture(1))])
    path = tmp_path / name
    path.write_text(PLAYLISTS[name])
    assert "playlist" in _refusal(path) or "cannot be read" in _refusal(path)


def test_names_that_look_like_urls_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_video(tmp_path / "plain.mp4", [(0.5, texture(1))]).rename(tmp_path / "concat:a|b%03d.mp4")
    monkeypatch.chdir(tmp_path)
    assert analyze(Path("concat:a|b%03d.mp4")).duration_s == pytest.approx(0.5)


def test_cut_short(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mkv", [(3.0, pan(1, 50)), (3.0, pan(2, 50))]).read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole[: round(len(whole) * 0.7)])
    analysis = analyze(path)
    assert 3.2 < analysis.duration_s < 5.5
    assert len(analysis.shots) == 2
    (warning,) = [w for w in analysis.warnings if "cut short" in w]
    assert "6.0" in warning


def test_damaged(tmp_path: Path) -> None:
    whole = bytearray(make_video(tmp_path / "whole.mkv", [(3.0, pan(1, 90)), (3.0, pan(2, 90))]).read_bytes())
    rng = np.random.default_rng(3)
    for start in rng.integers(len(whole) // 4, len(whole) - 1000, 12):
        whole[start : start + 60] = rng.bytes(60)
    path = tmp_path / "damaged.mkv"
    path.write_bytes(whole)
    analysis = analyze(path)
    assert analysis.n_frames > 72
    assert any("damaged" in w for w in analysis.warnings)
