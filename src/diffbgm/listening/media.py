"""Clips that say nothing of where they come from: streams copied, metadata and names gone."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from diffbgm.errors import InputError
from diffbgm.metrics.onsets import hear, read_sound

# What current browsers play without plug-ins, by container.
_MP4_PICTURE, _MP4_SOUND = ("h264", "av1", "vp9"), ("aac", "mp3", "opus")
_WEBM_PICTURE, _WEBM_SOUND = ("vp8", "vp9", "av1"), ("opus", "vorbis")
_REMEDY: Final = "convert it to H.264 with AAC in an mp4"

_BEEP_RATE: Final = 48_000


def suffix_for(clip: Path) -> str:
    """`.mp4`, `.webm`, or a sound file's own suffix. Raises InputError if browsers cannot play the codecs."""
    with _opened(clip) as container:
        sound, picture = container.streams.best("audio"), container.streams.best("video")
        if sound is None:
            raise InputError(f"{clip}: has no sound, so there is nothing to judge")
        heard = sound.codec_context.name
        if picture is None:
            return clip.suffix.lower()
        seen = picture.codec_context.name
    if seen in _WEBM_PICTURE and heard in _WEBM_SOUND:
        return ".webm"
    if seen in _MP4_PICTURE and heard in _MP4_SOUND:
        return ".mp4"
    raise InputError(f"{clip}: browsers do not play {seen} with {heard}; {_REMEDY}")


def copy_bare(clip: Path, target: Path) -> None:
    """Copy picture and sound of a clip, packet by packet, without names, dates and other metadata."""
    options = {"fflags": "+bitexact"}  # else the muxer signs the file with its version
    if target.suffix in (".mp4", ".m4a"):
        options["movflags"] = "+faststart"
    with _opened(clip) as source, av.open(str(target), "w", container_options=options) as out:
        streams = [s for s in (source.streams.best("video"), source.streams.best("audio")) if s is not None]
        copies: dict[int, Any] = {}
        try:
            for stream in streams:
                copies[stream.index] = out.add_stream_from_template(stream, opaque=True)
                copies[stream.index].metadata.clear()
            for packet in _packets(source, streams):
                packet.stream = copies[packet.stream_index]
                out.mux_one(packet)
        except (av.FFmpegError, ValueError) as error:
            raise InputError(f"{clip}: cannot be copied for the browser ({error}); {_REMEDY}") from error


def loudness_of(clip: Path) -> float:
    """Loudness of a clip's sound in LUFS, ungated. Raises InputError."""
    sound = hear(read_sound(clip))
    return sound.loudness(0.0, sound.duration_s)


def write_beeps(path: Path, count: int) -> None:
    """A 16-bit WAV of `count` soft beeps, 0.2 s each and 0.5 s apart: the check that sound is on."""
    t = np.arange(round((0.5 + 0.5 * count) * _BEEP_RATE)) / _BEEP_RATE
    into = t - 0.25 - 0.5 * np.clip(np.floor((t - 0.25) / 0.5), 0, count - 1)
    edge = np.clip(np.minimum(into, 0.2 - into) / 0.01, 0.0, 1.0)
    samples = 0.2 * edge * np.sin(2 * np.pi * 660 * into)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_BEEP_RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def _opened(clip: Path) -> Any:
    try:
        return av.open(str(clip), options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{clip}: is not a film or sound that can be read ({error})") from error


def _packets(source: Any, streams: list[Any]) -> Iterator[Any]:
    for packet in source.demux(streams):
        if packet.dts is not None:  # the last one, which only flushes
            yield packet
