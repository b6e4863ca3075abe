"""What a sound measures besides its level: range, spectrum and width; and ours beside the film's own."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.sound.files import Block, read_raw, rechunk
from diffbgm.sound.fluidsynth import SAMPLE_RATE
from diffbgm.sound.loudness import Meter
from diffbgm.sound.source import SourceSound, first_frame_s, source_channels
from diffbgm.sound.synth import Music
from diffbgm.timing import Span, merge_spans

BANDS: Final = (
    ("bass", 0, 120),
    ("low", 120, 400),
    ("middle", 400, 2000),
    ("presence", 2000, 6000),
    ("air", 6000, 24_000),
)
"""Name, lowest and highest frequency in Hz."""

_WINDOW: Final = SAMPLE_RATE // 10  # spectral lines every 10 Hz
_SHORTEST_S: Final = 3.0


@dataclass(frozen=True)
class SoundFigures:
    """A sound in figures; None where it is silent.

    lufs, range_lu: integrated loudness and loudness range (EBU R128, Tech 3342). peak_to_loudness_db: true
    peak above the integrated loudness: how much room transients take. centroid_hz: power-weighted mean
    frequency. bands_db: power of each of BANDS against the whole. side_db: power of the difference of left
    and right against that of their mean, None unless stereo. mono_loss_db: level lost where both sides are
    put together, at most 3 dB unless they cancel.
    """

    lufs: float | None
    range_lu: float | None
    peak_to_loudness_db: float | None
    centroid_hz: float | None
    bands_db: dict[str, float] | None
    side_db: float | None
    mono_loss_db: float | None

    def to_json(self) -> dict[str, Any]:
        return {name: _rounded(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Comparison:
    """The film's own sound beside the music composed, each alone.

    film: outside speech; None unless the film seems to have music of its own, at least 3 s without speech.
    """

    film: SoundFigures | None
    music: SoundFigures | None

    def to_json(self) -> dict[str, Any]:
        return {
            name: None if measured is None else measured.to_json()
            for name, measured in (("film", self.film), ("music", self.music))
        }


def figures(blocks: Iterable[Block], layout: str) -> SoundFigures:
    """Measure a sound, float32 (channels, samples) at 48 kHz, in one pass."""
    meter = Meter(layout)
    spectrum = np.zeros(_WINDOW // 2 + 1)
    power = middle = side = 0.0
    window = np.hanning(_WINDOW).astype(np.float32)
    for block in rechunk(blocks):
        meter.add(block)
        whole = np.pad(block, ((0, 0), (0, -block.shape[1] % _WINDOW)))
        lines = np.fft.rfft(whole.reshape(len(whole), -1, _WINDOW) * window)
        spectrum += (np.abs(lines) ** 2).sum(axis=(0, 1))
        if len(block) == 2:
            power += float((block.astype(np.float64) ** 2).sum()) / 2
            middle += float(((block[0] + block[1]).astype(np.float64) ** 2).sum()) / 4
            side += float(((block[0] - block[1]).astype(np.float64) ** 2).sum()) / 4
    loudness = meter.result()
    lufs, peak = loudness.lufs, loudness.true_peak_dbtp
    if lufs is None or not spectrum.any():
        return SoundFigures(None, None, None, None, None, None, None)
    return SoundFigures(
        lufs=lufs,
        range_lu=loudness.range_lu,
        peak_to_loudness_db=None if peak is None else peak - lufs,
        centroid_hz=float((np.arange(len(spectrum)) * 10.0 * spectrum).sum() / spectrum.sum()),
        bands_db=_bands(spectrum),
        side_db=_db(side / middle) if middle else None,
        mono_loss_db=_db(power / middle) if middle else None,
    )


def compare(film: Path, music: Music, gain: float, speech: tuple[Span, ...], has_music: bool) -> Comparison:
    """The film's own music in figures, and ours at the gain at which it is given, where the film has any.

    speech: spans of the film that are left out. Raises InputError if the film cannot be read.
    """
    channels = source_channels(film) if has_music else None
    if channels is None:
        return Comparison(None, None)
    layout = "stereo" if channels > 1 else "mono"
    source = SourceSound(film, layout, first_frame_s(film), music.n_samples)
    speaking = merge_spans(speech, 0.0)
    silent_s = music.n_samples / SAMPLE_RATE - sum(end - start for start, end in speaking)
    own = figures(_outside(source.blocks(), speaking), layout) if silent_s >= _SHORTEST_S else None
    if own is None or own.lufs is None:
        return Comparison(None, None)
    louder = (block * np.float32(gain) for block in read_raw(music.path))
    return Comparison(own, figures(louder, "stereo"))


def _outside(blocks: Iterable[Block], spans: tuple[Span, ...]) -> Iterable[Block]:
    """The sound without what lies within the spans."""
    borders = np.asarray([round(edge * SAMPLE_RATE) for span in spans for edge in span])
    start = 0
    for block in blocks:
        at = np.arange(start, start + block.shape[1])
        start += block.shape[1]
        yield block[:, np.searchsorted(borders, at, side="right") % 2 == 0]


def _bands(spectrum: NDArray[np.float64]) -> dict[str, float]:
    total = spectrum.sum()
    lines = np.arange(len(spectrum)) * 10
    return {
        name: _db(float(spectrum[(lines >= low) & (lines < high)].sum() / total)) for name, low, high in BANDS
    }


def _db(ratio: float) -> float:
    return 10.0 * math.log10(max(ratio, 1e-12))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return None if value is None else round(value, 1)
