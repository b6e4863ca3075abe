"""One decode of the picture: every frame as a small upright-agnostic picture with its time.

A filter graph shrinks each decoded frame to `SMALL` pixels (transposed for portrait pictures) in YUV
4:4:4, full range; this costs next to nothing over decoding alone, and everything that is said about the
picture is computed from these small frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from diffbgm.errors import InputError
from diffbgm.film import best_video, open_film

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

SMALL = (160, 90)

# Containers whose header states how long each film is; others only guess it from the bit rate.
_STATES_DURATION = {"mov", "matroska", "avi", "flv", "asf"}


@dataclass(frozen=True)
class SmallFrame:
    """A shrunken frame. `yuv`: uint8 (height, width, 3), Y Cb Cr, full range."""

    time_s: float
    yuv: NDArray[np.uint8]


@dataclass
class Picture:
    """Facts of the picture track; those below the line are known once all frames have been read.

    width, height, aspect: as stored, before `rotation` (counterclockwise degrees) turns it upright; aspect
    is that of the displayed picture and includes the shape of its pixels. declared_s: what the header
    says, of this track if `declared_for_picture`, else of the whole file.
    """

    container: str
    width: int
    height: int
    aspect: Fraction
    declared_s: float | None
    declared_for_picture: bool
    declared_rates: tuple[Fraction, ...]
    # ---
    first_s: float = 0.0
    duration_s: float = 0.0
    n_frames: int = 0
    rotation: int = 0
    frame_rate: Fraction = Fraction(25)
    n_damaged: int = 0


class PictureReader:
    """Reads the best picture track of a file once, from the first frame to the last.

    Iterate to get `SmallFrame`s in order of time (seconds from the first frame); `facts` is complete
    afterwards. Damaged packets are skipped and counted. Raises InputError where the file has no picture
    track or no frame of it can be decoded.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with open_film(path) as container:
            stream = self._stream(container)
            rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
            self.facts = Picture(
                container=container.format.name,
                width=stream.width,
                height=stream.height,
                aspect=Fraction(stream.width, stream.height) * (stream.sample_aspect_ratio or 1),
                declared_s=_declared_s(container, stream),
                declared_for_picture=stream.duration is not None,
                declared_rates=tuple(rate for rate in rates if rate),
            )

    def _stream(self, container: InputContainer) -> VideoStream:
        stream = best_video(container)
        if stream is None:
            raise InputError(f"{self._path}: has no picture track; expected a video")
        return stream

    def __iter__(self) -> Iterator[SmallFrame]:
        shrink = _Shrinker()
        for time_s, frame in self.frames():
            yield SmallFrame(time_s, shrink(frame))

    def frames(self) -> Iterator[tuple[float, VideoFrame]]:
        """The same frames as they were decoded, neither shrunken nor turned, each with its time."""
        facts = self.facts
        nominal = float(1 / facts.declared_rates[0]) if facts.declared_rates else 0.04
        last = held = 0.0
        with open_film(self._path) as container:
            stream = self._stream(container)
            stream.thread_type = "AUTO"
            for frame in self._frames(container, stream):
                at = frame.time
                if facts.n_frames == 0:
                    facts.first_s, facts.rotation = at or 0.0, (frame.rotation + 179) % 360 - 179
                    time_s = 0.0
                else:
                    # Timestamps that are missing or run backwards: assume the steady rate.
                    time_s = -1.0 if at is None else at - facts.first_s
                    if time_s <= last:
                        time_s = last + nominal
                facts.n_frames += 1
                facts.n_damaged += frame.is_corrupt
                last = time_s
                base = frame.time_base or stream.time_base
                held = float(frame.duration * base) if base else 0.0
                yield time_s, frame
        if facts.n_frames == 0:
            raise InputError(f"{self._path}: not one frame of its picture track can be decoded")
        facts.frame_rate = _frame_rate(facts.declared_rates, facts.n_frames, last)
        facts.duration_s = last + (held or float(1 / facts.frame_rate))

    def _frames(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """Decoded frames; what cannot be decoded is counted and skipped."""
        for packet in self._packets(container, stream):
            try:
                frames = stream.decode(packet)
            except av.error.FFmpegError:
                self.facts.n_damaged += 1
                continue
            yield from frames

    def _packets(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[Packet[VideoStream] | None]:
        """Packets up to the end or to where the file cannot be read on; None flushes the decoder."""
        try:
            yield from container.demux(stream)
        except av.error.FFmpegError:
            self.facts.n_damaged += 1
            yield None


class _Shrinker:
    """Scales frames to SMALL; rebuilds its graph when size or pixel format change within the film."""

    def __init__(self) -> None:
        self._made_for: tuple[int, int, str] | None = None
        self._graph = Graph()

    def __call__(self, frame: VideoFrame) -> NDArray[np.uint8]:
        key = (frame.width, frame.height, frame.format.name)
        if key != self._made_for:
            size = SMALL if frame.width >= frame.height else SMALL[::-1]
            self._graph, self._made_for = scaling_graph(frame, size, "yuv444p"), key
        self._graph.vpush(frame)
        return np.asarray(self._graph.vpull().to_ndarray(channel_last=True), np.uint8)


def scaling_graph(frame: VideoFrame, size: tuple[int, int], pixel_format: str) -> Graph:
    """A filter graph that scales frames such as this one to (width, height), BT.601, full range."""
    graph = Graph()
    graph.threads = 1  # the decoder keeps the other cores busy; threads here only cost
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    scale = graph.add("scale", f"{size[0]}:{size[1]}:flags=area:out_range=pc:out_color_matrix=bt601")
    graph.link_nodes(source, scale, graph.add("format", pixel_format), graph.add("buffersink"))
    graph.configure()
    return graph


def _declared_s(container: InputContainer, stream: VideoStream) -> float | None:
    """How long the header says the picture track is; None where it does not say."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.format.name.split(",")[0] not in _STATES_DURATION or container.duration is None:
        return None
    return container.duration / av.time_base


def _frame_rate(declared: tuple[Fraction, ...], n_frames: int, last_s: float) -> Fraction:
    """The declared rate that fits the timestamps within a quarter of a frame, else the mean rate.

    A header's rate is a clean fraction (30000/1001) where it is true, but it is a guess for films of
    variable rate.
    """
    if n_frames < 2 or last_s <= 0:
        return declared[0] if declared else Fraction(25)
    for rate in declared:
        if rate.denominator <= 1001 and abs((n_frames - 1) - last_s * float(rate)) < 0.25:
            return rate
    return Fraction((n_frames - 1) / last_s).limit_denominator(1001)
