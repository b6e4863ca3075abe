"""Opening a film safely, and choosing its picture and sound tracks as the ffmpeg command does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.stream import Disposition

from diffbgm.errors import InputError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

# Demuxers that read one file and nothing else. Playlists (hls, dash, concat, imf) and formats made of
# many files are left out: a film someone was sent must not make us open other files or hosts.
_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,live_flv,asf,ogg,mxf,gif,apng,"
    "nut,ivf,h264,hevc,av1,obu,m4v,dv,rm,swf,wtv,yuv4mpegpipe,mjpeg,wav,mp3,flac,aac,aiff,w64"
)
_OPEN_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}


def open_film(path: Path, *, derive_timestamps: bool = False) -> InputContainer:
    """Open a local file for reading. Use it as a context manager.

    derive_timestamps: give packets the presentation times that old containers leave out, which copying
    needs and decoding does not.
    Only the file itself is ever opened: no network, no playlist, no file that it names.
    Raises InputError, one line, if it is missing, a folder, empty, a playlist or not a film.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; expected one video file")
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty; expected a video file")
        options = _OPEN_OPTIONS | ({"fflags": "+genpts"} if derive_timestamps else {})
        # The explicit protocol keeps a name such as `a:b.mp4` from being taken for a URL.
        return av.open(f"file:{path.absolute()}", "r", options=options, metadata_errors="replace")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the name and the folder") from error
    except av.error.ArgumentError as error:
        raise InputError(
            f"{path}: is a playlist or in a format that is not read; give the video file itself"
        ) from error
    except (av.error.FFmpegError, OSError) as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"{path}: cannot be read as a video ({reason}); expected a film such as mp4, mov, mkv or webm"
        ) from error


def best_video(container: InputContainer) -> VideoStream | None:
    """The picture track the ffmpeg command picks: largest, default ones first, never a cover picture."""
    films = [
        s for s in container.streams.video if _is_known(s) and not s.disposition & Disposition.attached_pic
    ]
    return max(films, key=lambda s: _is_default(s) + s.width * s.height, default=None)


def best_audio(container: InputContainer) -> AudioStream | None:
    """The sound track the ffmpeg command picks: most channels, default ones first."""
    sounds = [s for s in container.streams.audio if _is_known(s)]
    return max(sounds, key=lambda s: _is_default(s) + s.channels, default=None)


def _is_known(stream: VideoStream | AudioStream) -> bool:
    """Whether there is a decoder for the track; PyAV gives it no codec context where there is none."""
    context: object | None = stream.codec_context
    return context is not None


def _is_default(stream: Stream) -> int:
    """ffmpeg's own bonus for a track marked as default, on the scale of pixels or channels."""
    return 5_000_000 if stream.disposition & Disposition.default else 0
