"""What the report plays and draws of the music: one pass over the file, in blocks of 0.1 s.

The waveform and the loudness curves are small enough to draw; the sound is encoded once more, compactly,
so that the page can play it without any file beside it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from diffbgm.errors import InputError

SAMPLE_RATE: Final = 48_000
BLOCK_HZ: Final = 10
"""ebur128 reports ten times a second and hands the sound on in blocks of that length."""

MAX_EMBEDDED_BYTES: Final = 15_000_000
MAX_WAVE_BINS: Final = 36_000
QUIETEST_LUFS: Final = -70.0
"""The absolute gate of ITU-R BS.1770: everything below counts as silence."""


class Bitrate(NamedTuple):
    """How the page's sound is encoded: bits a second, channel layout, samples a second."""

    bits_per_s: int
    layout: str
    sample_rate: int


LADDER: Final = (
    Bitrate(96_000, "stereo", 48_000),
    Bitrate(64_000, "stereo", 48_000),
    Bitrate(32_000, "mono", 24_000),
)


@dataclass(frozen=True)
class Listening:
    """The music as the page shows it.

    peak, rms: uint8 (bins,), `wave_hz` bins a second, the larger of both channels, 255 = full scale.
    momentary, short_term: float32 (blocks,), BLOCK_HZ values a second, LUFS over the last 0.4 s and 3 s
    (EBU Tech 3341), never below QUIETEST_LUFS.
    m4a: the whole music as AAC in MP4, or None where it is too long to be put into a page.
    """

    wave_hz: float
    peak: NDArray[np.uint8]
    rms: NDArray[np.uint8]
    momentary: NDArray[np.float32]
    short_term: NDArray[np.float32]
    m4a: bytes | None = field(repr=False)


def choose_bitrate(duration_s: float) -> Bitrate | None:
    """The best encoding whose file stays within MAX_EMBEDDED_BYTES; None if there is none.

    96 kbit/s stereo up to 20 minutes, 64 up to 31, 32 mono up to 62.
    """
    return next((rung for rung in LADDER if rung.bits_per_s / 8 * duration_s <= MAX_EMBEDDED_BYTES), None)


def listen(music: Path, duration_s: float) -> Listening:
    """Read the music once: waveform, loudness, and a compact copy to play.

    duration_s: the length of the film, by which bitrate and resolution are chosen. Memory holds the
    compact copy and some 100 bytes a second. Raises InputError if the file cannot be read as sound.
    """
    bins_per_block = next((n for n in (10, 5, 2) if n * BLOCK_HZ * duration_s <= MAX_WAVE_BINS), 1)
    bitrate = choose_bitrate(duration_s)
    peaks, means, momentary, short_term = [], [], [], []
    encoder = _Encoder(bitrate) if bitrate else None
    try:
        for block in _blocks(music):
            peak, rms = _levels(block.to_ndarray().astype(np.float64, copy=False), bins_per_block)
            peaks.append(peak)
            means.append(rms)
            if "lavfi.r128.M" in block.metadata:  # the meter does not read the last block if it is short
                momentary.append(float(block.metadata["lavfi.r128.M"]))
                short_term.append(float(block.metadata["lavfi.r128.S"]))
            if encoder:
                encoder.add(block)
    except av.FFmpegError as error:
        raise InputError(f"{music}: cannot be read as sound ({error})") from error
    return Listening(
        wave_hz=float(bins_per_block * BLOCK_HZ),
        peak=np.concatenate(peaks) if peaks else np.zeros(0, np.uint8),
        rms=np.concatenate(means) if means else np.zeros(0, np.uint8),
        momentary=_audible(momentary),
        short_term=_audible(short_term),
        m4a=encoder.finish() if encoder else None,
    )


def _audible(lufs: list[float]) -> NDArray[np.float32]:
    values = np.nan_to_num(np.asarray(lufs, dtype=np.float32), nan=QUIETEST_LUFS, neginf=QUIETEST_LUFS)
    return np.clip(values, QUIETEST_LUFS, 0.0)


def _levels(samples: NDArray[np.float64], bins: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Peak and root mean square of interleaved stereo, float64 (1, 2 * frames), cut into `bins` parts."""
    stereo = np.abs(samples.reshape(-1, 2))
    length = -(-len(stereo) // bins)
    padded = np.zeros((length * bins, 2))
    padded[: len(stereo)] = stereo
    parts = padded.reshape(bins, length, 2)
    peak = parts.max(axis=(1, 2))
    rms = np.sqrt((parts**2).mean(axis=1)).max(axis=1)
    return _to_byte(peak), _to_byte(rms)


def _to_byte(level: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.round(np.clip(level, 0.0, 1.0) * 255).astype(np.uint8)


def _blocks(music: Path) -> Iterator[AudioFrame]:
    """The sound as 48 kHz stereo in blocks of 0.1 s, each carrying its loudness as metadata."""
    with av.open(str(music)) as container:
        if not container.streams.audio:
            raise InputError(f"{music}: holds no sound")
        stream = container.streams.audio[0]
        graph = av.filter.Graph()
        nodes = [
            graph.add_abuffer(template=stream),
            graph.add("aformat", f"sample_rates={SAMPLE_RATE}:channel_layouts=stereo"),
            graph.add("ebur128", "metadata=1"),
            graph.add("abuffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        for frame in container.decode(stream):
            graph.push(frame)
            yield from _pull(graph)
        graph.push(None)
        yield from _pull(graph)


def _pull(graph: av.filter.Graph) -> Iterator[AudioFrame]:
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):  # it wants more sound, or there is no more
            return
        if isinstance(frame, AudioFrame):
            yield frame


class _Encoder:
    """AAC in MP4, in memory: the one combination that every current browser plays."""

    def __init__(self, bitrate: Bitrate) -> None:
        self._file = io.BytesIO()
        self._container = av.open(self._file, "w", format="mp4", options={"fflags": "+bitexact"})
        self._stream = self._container.add_stream("aac", rate=bitrate.sample_rate, layout=bitrate.layout)
        self._stream.bit_rate = bitrate.bits_per_s

    def add(self, frame: AudioFrame) -> None:
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> bytes:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._file.getvalue()
