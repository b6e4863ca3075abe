"""The film's own sound: which track it is, and its samples aligned with the picture.

Sample 0 is the moment of the first video frame, whatever the timestamps inside the file are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import av
import av.filter

from diffbgm.errors import InputError
from diffbgm.film import best_audio, best_video, open_film
from diffbgm.sound.files import Block, fitted
from diffbgm.sound.fluidsynth import SAMPLE_RATE
from diffbgm.sound.loudness import block_of

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

# Damaged places that end a read; more than this in a row and the rest is given up.
_MOST_FAILURES: Final = 200


def packets(container: InputContainer, *streams: Stream) -> Iterator[Packet[Stream]]:
    """The packets of these streams, going on behind places that cannot be read; no flushing packets."""
    failures = 0
    while failures < _MOST_FAILURES:
        try:
            for packet in container.demux(*streams):
                if packet.size:
                    failures = 0
                    yield packet
            return
        except av.EOFError:
            return
        except av.FFmpegError:
            failures += 1


def first_frame_s(path: Path) -> Fraction:
    """Timestamp of the first frame of the main picture track, in seconds.

    Raises InputError if the film has no picture that can be decoded.
    """
    with open_film(path, derive_timestamps=True) as container:
        stream = best_video(container)
        if stream is None:
            raise InputError(f"{path}: has no picture; expected a video file")
        for packet in packets(container, stream):
            try:
                frames = stream.decode(packet)
            except av.FFmpegError:
                continue
            if frames and frames[0].pts is not None:
                return frames[0].pts * (frames[0].time_base or Fraction(1))
        frames = stream.decode(None)  # a film of few frames: the decoder held them all back
        if frames and frames[0].pts is not None:
            return frames[0].pts * (frames[0].time_base or Fraction(1))
    raise InputError(f"{path}: no frame of its picture can be decoded")


@dataclass
class SourceSound:
    """The main sound track of a film as a stream of blocks that can be read again and again.

    layout: FFmpeg's name of the channel layout in which it is given. n_samples: the length to which it is
    cut or filled with silence.
    n_damaged: packets that could not be decoded in the latest reading; silence stands in for them.
    """

    path: Path
    layout: str
    start: Fraction
    n_samples: int
    n_damaged: int = field(default=0, compare=False)

    @property
    def channels(self) -> int:
        return av.AudioLayout(self.layout).nb_channels

    def blocks(self) -> Iterator[Block]:
        """float32 (channels, up to BLOCK_SAMPLES) at 48 kHz, `n_samples` in all."""
        yield from fitted(self.pieces(), self.channels, self.n_samples)

    def pieces(self) -> Iterator[Block]:
        """The whole track in blocks of any size: gaps filled and overlaps cut by its timestamps."""
        self.n_damaged = 0
        converter: _Converter | None = None
        for frame in self._frames():
            if converter is None or not converter.takes(frame):
                given = 0 if converter is None else converter.given
                if converter is not None:
                    yield from converter.finish()
                    given = converter.given
                converter = _Converter(frame, self.layout, self.start, given)
            yield from converter.push(frame)
        if converter is not None:
            yield from converter.finish()

    def _frames(self) -> Iterator[AudioFrame]:
        with open_film(self.path, derive_timestamps=True) as container:
            stream = best_audio(container)
            assert stream is not None  # `source_channels` found it
            for packet in packets(container, stream):
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    self.n_damaged += 1
                    continue
                for frame in frames:
                    assert isinstance(frame, av.AudioFrame)
                    yield frame


class _Converter:
    """Resamples frames of one form to blocks, beginning at output sample `given`."""

    def __init__(self, first: AudioFrame, layout: str, start: Fraction, given: int) -> None:
        self.given = given
        self._form = _form(first)
        self._graph = graph = av.filter.Graph()
        graph.threads = 1
        rate = first.sample_rate
        base = first.time_base or Fraction(1, rate)
        self._offset = round(start / base)
        nodes = [
            graph.add_abuffer(
                sample_rate=rate, format=first.format.name, layout=first.layout.name, time_base=base
            ),
            # async=1: silence into gaps, overlaps cut; first_pts (in samples of the input) sets sample 0.
            graph.add("aresample", f"{SAMPLE_RATE}:async=1:first_pts={round(given * rate / SAMPLE_RATE)}"),
            graph.add("aformat", f"sample_fmts=flt:channel_layouts={layout}"),
            graph.add("asetnsamples", "n=9600:p=0"),  # fewer, larger frames: less work in Python
            graph.add("abuffersink"),
        ]
        graph.link_nodes(*nodes).configure()

    def takes(self, frame: AudioFrame) -> bool:
        return _form(frame) == self._form

    def push(self, frame: AudioFrame) -> Iterator[Block]:
        if frame.pts is not None:
            frame.pts -= self._offset
        self._graph.push(frame)
        yield from self._ready()

    def finish(self) -> Iterator[Block]:
        self._graph.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[Block]:
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, av.AudioFrame)
            self.given += frame.samples
            yield block_of(frame)


def _form(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def source_channels(path: Path) -> int | None:
    """How many channels the main sound track has; None where the film has no sound."""
    with open_film(path, derive_timestamps=True) as container:
        stream = best_audio(container)
        return None if stream is None else stream.layout.nb_channels
