"""Loudness and true peak (EBU R128 / ITU-R BS.1770), and a true-peak limiter: FFmpeg's filters.

Sound comes and goes as blocks: float32 (channels, samples) at 48 kHz, full scale 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import av.filter
import numpy as np
from numpy.typing import NDArray

from diffbgm.sound.files import Block, interleave
from diffbgm.sound.fluidsynth import SAMPLE_RATE

# The gate of BS.1770: what lies below counts as silence.
_SILENCE_LUFS: Final = -70.0
_STEP: Final = SAMPLE_RATE // 10
_OVERSAMPLED: Final = 4 * SAMPLE_RATE
_QUIETEST_LIMIT: Final = 0.0625  # the lowest that `alimiter` takes


@dataclass(frozen=True)
class Loudness:
    """lufs: integrated loudness, None where nothing is above the gate or it lasts under 0.4 s.
    true_peak_dbtp: largest of all channels, None for digital silence.
    range_lu: loudness range (EBU Tech 3342); 0 for a sound shorter than the 3 s over which it is measured.
    """

    lufs: float | None
    true_peak_dbtp: float | None
    range_lu: float = 0.0


def decibels(gain: float) -> float:
    """20 log10; minus infinity for 0."""
    return 20.0 * math.log10(gain) if gain > 0 else -math.inf


def amplitude(db: float) -> float:
    """Inverse of `decibels`."""
    return float(10.0 ** (db / 20.0))


def audio_frame(block: Block, layout: str, start: int) -> av.AudioFrame:
    """The block as a packed float frame whose time is sample `start`."""
    # Packed, because PyAV's planar frames end at seven channels.
    frame = av.AudioFrame.from_ndarray(interleave(block)[None], format="flt", layout=layout)
    frame.sample_rate = SAMPLE_RATE
    frame.time_base = Fraction(1, SAMPLE_RATE)
    frame.pts = start
    return frame


def block_of(frame: av.AudioFrame) -> Block:
    """float32 (channels, samples) of a packed float frame."""
    return np.asarray(frame.to_ndarray(), np.float32).reshape(-1, frame.layout.nb_channels).T


class Chain:
    """A chain of FFmpeg filters, each (name, arguments), between blocks of one layout."""

    def __init__(self, layout: str, filters: Iterable[tuple[str, str]]) -> None:
        self._layout = layout
        self._graph = graph = av.filter.Graph()
        graph.threads = 1
        nodes = [graph.add_abuffer(sample_rate=SAMPLE_RATE, format="flt", layout=layout)]
        nodes += [graph.add(name, arguments) for name, arguments in filters]
        nodes.append(graph.add("abuffersink"))
        graph.link_nodes(*nodes).configure()
        self._pushed = 0

    def push(self, block: Block) -> Iterator[av.AudioFrame]:
        """Give it a block; take what it has ready."""
        self._graph.push(audio_frame(block, self._layout, self._pushed))
        self._pushed += block.shape[1]
        yield from self._ready()

    def finish(self) -> Iterator[av.AudioFrame]:
        """Say that no block follows; take the rest."""
        self._graph.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[av.AudioFrame]:
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):  # needs more, or has given all
                return
            assert isinstance(frame, av.AudioFrame)
            yield frame


class Meter:
    """Measures sound as it passes. layout: FFmpeg's name, such as `stereo` or `5.1`."""

    def __init__(self, layout: str, true_peak: bool = True) -> None:
        peak = "true" if true_peak else "none"
        self._chain = Chain(layout, [("ebur128", f"metadata=1:framelog=quiet:peak={peak}")])
        self._channels = av.AudioLayout(layout).nb_channels
        self._last: dict[str, str] = {}
        self._momentary: list[float] = []

    def add(self, block: Block) -> None:
        if block.shape[1]:
            self._take(self._chain.push(block))

    def result(self) -> Loudness:
        """Ends the measurement."""
        lufs = float(self._last.get("lavfi.r128.I", "-inf"))
        range_lu = float(self._last.get("lavfi.r128.LRA", "0"))
        # The filter looks at whole tenths of a second only: silence makes the last one whole, so that
        # no peak in it is missed. The loudness is read before.
        self._take(self._chain.push(np.zeros((self._channels, 2 * _STEP), np.float32)))
        self._take(self._chain.finish())
        peak = decibels(float(self._last.get("lavfi.r128.true_peak", "0")))
        return Loudness(
            lufs if lufs > _SILENCE_LUFS else None,
            peak if math.isfinite(peak) else None,
            range_lu,
        )

    @property
    def momentary(self) -> NDArray[np.float64]:
        """Momentary loudness in LUFS: of the 0.4 s before the end of each tenth of a second so far.

        Minus infinity where that would begin before the sound.
        """
        return np.asarray([-math.inf] * min(3, len(self._momentary)) + self._momentary[3:])

    def _take(self, frames: Iterable[av.AudioFrame]) -> None:
        for frame in frames:
            if "lavfi.r128.I" in frame.metadata:
                self._last = frame.metadata
                self._momentary.append(float(frame.metadata["lavfi.r128.M"]))


def measure(blocks: Iterable[Block], layout: str, true_peak: bool = True) -> Loudness:
    """Integrated loudness and true peak of a stream of blocks."""
    meter = Meter(layout, true_peak)
    for block in blocks:
        meter.add(block)
    return meter.result()


def limited(blocks: Iterable[Block], layout: str, ceiling_dbtp: float) -> Iterator[Block]:
    """The sound with its peaks held below the ceiling, also between the samples; timing unchanged.

    A look-ahead limiter at four times the sample rate, all channels held down together. The ceiling is
    met to about 0.2 dB; a sound below it passes unchanged but for the resampling.
    """
    limit = max(_QUIETEST_LIMIT, amplitude(ceiling_dbtp))
    chain = Chain(
        layout,
        [
            ("aresample", str(_OVERSAMPLED)),
            ("alimiter", f"limit={limit:.6f}:level=0:attack=5:release=60:latency=1"),
            ("aresample", str(SAMPLE_RATE)),
            ("aformat", f"sample_fmts=flt:channel_layouts={layout}"),
        ],
    )
    for block in blocks:
        for frame in chain.push(block):
            yield block_of(frame)
    for frame in chain.finish():
        yield block_of(frame)
