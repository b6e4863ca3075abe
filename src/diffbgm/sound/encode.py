"""The finished sound as AAC or Opus, in a small file of its own until it joins the picture."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import av
import av.audio

from diffbgm.sound.files import Block
from diffbgm.sound.fluidsynth import SAMPLE_RATE
from diffbgm.sound.loudness import audio_frame

AudioCodec = Literal["aac", "opus"]

_ENCODERS: Final[dict[AudioCodec, str]] = {"aac": "aac", "opus": "libopus"}
# Bits a second: so much, and so much a channel. Transparent for music at these rates.
_BIT_RATES: Final[dict[AudioCodec, tuple[int, int]]] = {"aac": (32_000, 80_000), "opus": (32_000, 64_000)}
# Channel layouts that decoders everywhere understand, by number of channels.
_COMMON: Final = {1: "mono", 2: "stereo", 3: "3.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_LAYOUTS: Final[dict[AudioCodec, dict[int, str]]] = {
    "aac": _COMMON | {4: "4.0", 7: "7.1"},
    "opus": _COMMON | {4: "quad", 7: "6.1"},
}


def layout_for(codec: AudioCodec, channels: int) -> str:
    """The layout, as FFmpeg names it, in which the codec carries that many channels."""
    return _LAYOUTS[codec].get(channels, "7.1")


def encode(blocks: Iterable[Block], layout: str, codec: AudioCodec, path: Path) -> None:
    """Write the blocks as one sound track. OSError if the disk refuses."""
    channels = av.AudioLayout(layout).nb_channels
    base, each = _BIT_RATES[codec]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(_ENCODERS[codec], rate=SAMPLE_RATE, layout=layout)
        assert isinstance(stream, av.audio.AudioStream)
        stream.bit_rate = base + each * channels
        start = 0
        for block in blocks:
            container.mux(stream.encode(audio_frame(block, layout, start)))
            start += block.shape[1]
        container.mux(stream.encode(None))
