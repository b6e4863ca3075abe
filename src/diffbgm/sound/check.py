"""What the finished film measures: loudness, true peak, length and silences, from the file itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

from diffbgm.film import best_audio, best_video, open_film
from diffbgm.sound.files import Block
from diffbgm.sound.fluidsynth import SAMPLE_RATE
from diffbgm.sound.loudness import Loudness, Meter
from diffbgm.sound.mix import sounding_spans
from diffbgm.sound.source import SourceSound, packets
from diffbgm.timing import Span

_SILENCE_DB: Final = -60.0
_SHORTEST_SILENCE_S: Final = 1.0


@dataclass(frozen=True)
class SoundCheck:
    """The main sound track, decoded: its loudness, its length, and where it is silent for 1 s or longer."""

    loudness: Loudness
    duration_s: float
    silences: tuple[Span, ...]


class _Counter:
    """Blocks passing by: measured and counted."""

    def __init__(self, blocks: Iterable[Block], meter: Meter) -> None:
        self._blocks, self._meter = blocks, meter
        self.n_samples = 0

    def __iter__(self) -> Iterator[Block]:
        for block in self._blocks:
            self.n_samples += block.shape[1]
            self._meter.add(block)
            yield block


def check_sound(path: Path, start: Fraction = Fraction(0)) -> SoundCheck:
    """Decode and measure the main sound track of a file.

    start: timestamp of the first video frame, second 0 of the result.
    Raises InputError if the file cannot be read; ValueError if it has no sound.
    """
    with open_film(path, derive_timestamps=True) as container:
        stream = best_audio(container)
        if stream is None:
            raise ValueError(f"{path}: has no sound")
        layout = stream.layout.name
    meter = Meter(layout)
    passing = _Counter(SourceSound(path, layout, start, 0).pieces(), meter)
    sounding = sounding_spans(passing, _SILENCE_DB)
    duration_s = passing.n_samples / SAMPLE_RATE
    edges = [0.0, *(edge for span in sounding for edge in span), duration_s]
    gaps = zip(edges[::2], edges[1::2], strict=True)
    silences = tuple((a, b) for a, b in gaps if b - a >= _SHORTEST_SILENCE_S)
    return SoundCheck(meter.result(), duration_s, silences)


def count_frames(path: Path) -> int:
    """Packets of the main picture track, one a frame."""
    with open_film(path, derive_timestamps=True) as container:
        stream = best_video(container)
        return 0 if stream is None else sum(1 for _ in packets(container, stream))
