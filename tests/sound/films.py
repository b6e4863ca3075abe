"""Films for the tests of muxing, with things that plain synthetic clips lack; and what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from ..media import make_video, texture
from .conftest import RATE, Sound


def film(path: Path, seconds: float = 3.2, **more: object) -> Path:
    """A small film, 96x64 at 10 frames a second."""
    return make_video(path, [(seconds, texture(1))], fps=10, size=(96, 64), **more)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Extras:
    """What to add to a film. subtitles: codec such as `subrip`. sounds: further sound tracks."""

    subtitles: str = ""
    sounds: Sequence[Sound] = ()
    chapters: bool = False
    attachment: bool = False
    cover: bool = False
    second_picture: bool = False


def enrich(source: Path, path: Path, extras: Extras) -> Path:
    """A copy of a film with extras."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        copies = {s.index: [new.add_stream_from_template(s, opaque=True)] for s in old.streams}
        if extras.second_picture:
            picture = old.streams.video[0]
            copies[picture.index].append(new.add_stream_from_template(picture, opaque=True))
        sounds = [(_sound_track(new, sound), sound) for sound in extras.sounds]
        if extras.subtitles:
            words = new.add_mux_stream(extras.subtitles, time_base=Fraction(1, 1000))
            words.metadata["language"] = "eng"
        if extras.attachment:
            new.add_attachment("font.ttf", "application/x-truetype-font", b"not really a font")
        if extras.cover:
            new.add_attachment("cover.png", "image/png", _png())
        if extras.chapters:
            new.set_chapters([_chapter(1, 0, 2000, "One"), _chapter(2, 2000, 4000, "Two")])
        for packet in old.demux():
            for copy in copies[packet.stream_index] if packet.size else ():
                new.mux(repacked(packet, bytes(packet), copy))
        if extras.subtitles:
            _write_words(new, words, extras.subtitles)
        for stream, sound in sounds:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), "fltp", stream.layout)
            frame.sample_rate, frame.pts = RATE, 0
            new.mux(stream.encode(frame))
            new.mux(stream.encode(None))
    return path


def repacked(packet: av.Packet[Any], data: bytes, stream: Any) -> av.Packet[Any]:
    """Other data at the same time in another stream."""
    new = av.Packet(data)
    new.pts, new.dts, new.duration = packet.pts, packet.dts, packet.duration
    new.time_base, new.is_keyframe, new.stream = packet.time_base, packet.is_keyframe, stream
    return new


def _sound_track(container: Any, sound: Sound) -> Any:
    stream = container.add_stream("aac", rate=RATE, layout="mono" if len(sound) == 1 else "stereo")
    stream.metadata["language"] = "deu"
    return stream


def _chapter(number: int, start: int, end: int, title: str) -> Any:
    return {
        "id": number,
        "start": start,
        "end": end,
        "time_base": Fraction(1, 1000),
        "metadata": {"title": title},
    }


def _write_words(container: Any, stream: Any, codec: str) -> None:
    """`hello` at 0.5 s and at 2.5 s, for a second each."""
    for start in (500, 2500):
        word = av.Packet(b"\x00\x05hello" if codec == "mov_text" else b"hello")
        word.pts = word.dts = start
        word.duration, word.time_base, word.stream = 1000, Fraction(1, 1000), stream
        container.mux(word)


def _png() -> bytes:
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 16, 16, "rgb24", Fraction(1, 1)
    frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), "rgb24")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


@dataclass(frozen=True)
class Pictures:
    """One picture track: hash of every packet's data, key flags, and times relative to the first."""

    hashes: tuple[str, ...]
    keys: tuple[bool, ...]
    times_s: tuple[Fraction, ...]


def pictures(path: Path) -> list[Pictures]:
    """Every picture track's packets, in the order of the file."""
    found = []
    with av.open(str(path)) as container:
        indices = [stream.index for stream in container.streams.video]
    for index in indices:
        with av.open(str(path)) as container:
            packets = [packet for packet in container.demux(container.streams[index]) if packet.size]
            stamps = [packet.pts * packet.time_base for packet in packets if packet.pts is not None]
            found.append(
                Pictures(
                    tuple(hashlib.sha256(bytes(packet)).hexdigest() for packet in packets),
                    tuple(packet.is_keyframe for packet in packets),
                    tuple(stamp - min(stamps) for stamp in stamps),
                )
            )
    return found
