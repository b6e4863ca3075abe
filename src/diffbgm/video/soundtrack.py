"""One pass over the film's own sound: loudness, speech, music."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from diffbgm.film import best_audio, open_film
from diffbgm.video.music import MusicDetector
from diffbgm.video.speech import RATE, SpeechDetector

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.filter.context import FilterContext
    from av.packet import Packet

_SILENT_LUFS = -70.0  # the absolute gate of EBU R128: nothing above it was heard


@dataclass(frozen=True)
class Soundtrack:
    """What was heard. Times: seconds from the first video frame. lufs: None where it is silent."""

    speech_spans: tuple[tuple[float, float], ...]
    lufs: float | None
    has_music: bool
    end_s: float
    n_damaged: int


def listen(path: Path, first_s: float, progress: Callable[[float], None]) -> Soundtrack | None:
    """Hear the sound track that ffmpeg would pick, once, in blocks. None where the film has none.

    first_s: timestamp of the first video frame, which is second 0 of the result. progress is called
    with the second that was reached.
    """
    with open_film(path) as container:
        stream = best_audio(container)
        if stream is None:
            return None
        speech, music = SpeechDetector(), MusicDetector()
        track = _Track(container, stream, first_s)
        n_heard = 0
        for block in track:
            speech.push(block)
            music.push(block)
            n_heard += len(block)
            progress(n_heard / RATE)
        return Soundtrack(speech.finish(), track.lufs, music.finish(), n_heard / RATE, track.n_damaged)


class _Track:
    """Iterates over the sound as mono blocks at RATE, silence put into gaps, while loudness is measured.

    Mono is for the detectors only; loudness is that of all channels (ebur128 filter, EBU R128).
    """

    def __init__(self, container: InputContainer, stream: AudioStream, first_s: float) -> None:
        self._container = container
        self._stream = stream
        self._first_s = first_s
        self.lufs: float | None = None
        self.n_damaged = 0

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        graph: Graph | None = None
        for frame in self._uniform():
            if graph is None:
                graph, meter, mono = self._build(frame)
            graph.push(frame)
            yield from self._pull(meter, mono)
        if graph is not None:
            graph.push(None)
            yield from self._pull(meter, mono)

    def _uniform(self) -> Iterator[AudioFrame]:
        """The frames in the sample format, layout and rate of the first one; a change is rare."""
        first: AudioFrame | None = None
        for frame in self._frames():
            first = first or frame
            if _shape(frame) == _shape(first):
                yield frame
            else:
                yield from av.AudioResampler(first.format, first.layout, first.sample_rate).resample(frame)

    def _frames(self) -> Iterator[AudioFrame]:
        for packet in self._packets():
            try:
                frames = self._stream.decode(packet)
            except av.error.FFmpegError:
                self.n_damaged += 1
                continue
            yield from frames

    def _packets(self) -> Iterator[Packet[AudioStream] | None]:
        try:
            yield from self._container.demux(self._stream)
        except av.error.FFmpegError:
            self.n_damaged += 1
            yield None

    def _build(self, frame: AudioFrame) -> tuple[Graph, FilterContext, FilterContext]:
        graph = Graph()
        source = graph.add_abuffer(
            sample_rate=frame.sample_rate, format=frame.format, layout=frame.layout, time_base=frame.time_base
        )
        split = graph.add("asplit")
        source.link_to(split)
        loudness = graph.add("ebur128", "metadata=1")
        split.link_to(loudness, 0)
        meter = graph.add("abuffersink")
        loudness.link_to(meter)
        start = round(self._first_s * frame.sample_rate)  # first_pts counts samples that go in
        resample = graph.add("aresample", f"{RATE}:async=1:first_pts={start}")
        split.link_to(resample, 1)
        down = graph.add("aformat", "sample_fmts=flt:channel_layouts=mono")
        resample.link_to(down)
        mono = graph.add("abuffersink")
        down.link_to(mono)
        graph.configure()
        return graph, meter, mono

    def _pull(self, meter: FilterContext, mono: FilterContext) -> Iterator[NDArray[np.float32]]:
        for frame in _ready(meter):
            if "lavfi.r128.I" in frame.metadata:  # stands on every frame that completes a 100 ms step
                value = float(frame.metadata["lavfi.r128.I"])
                self.lufs = value if value > _SILENT_LUFS else None
        for frame in _ready(mono):
            yield np.asarray(frame.to_ndarray(), np.float32).ravel()


def _ready(sink: FilterContext) -> Iterator[AudioFrame]:
    while True:
        try:
            frame = sink.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(frame, av.AudioFrame)
        yield frame


def _shape(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
