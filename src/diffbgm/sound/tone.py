"""Equalizers: FFmpeg's second-order filters, which keep their state from block to block."""

from __future__ import annotations

from typing import Final

import numpy as np

from diffbgm.score.score import Tone
from diffbgm.sound.files import Block
from diffbgm.sound.loudness import Chain, block_of

_LOW_SHELF_HZ: Final = 200
_HIGH_SHELF_HZ: Final = 4000
# Butterworth: as steep as two poles are without a bump; shelves of the same steepness.
_SHAPE: Final = "t=q:w=0.7071:r=f64"


def filters(*tones: Tone) -> list[tuple[str, str]]:
    """The filters of FFmpeg, each (name, arguments), that do what these tones say, one after another."""
    chain: list[tuple[str, str]] = []
    for tone in tones:
        if tone.low_cut_hz:
            chain.append(("highpass", f"f={tone.low_cut_hz:g}:{_SHAPE}"))
        if tone.high_cut_hz:
            chain.append(("lowpass", f"f={tone.high_cut_hz:g}:{_SHAPE}"))
        if tone.low_db:
            chain.append(("bass", f"g={tone.low_db:g}:f={_LOW_SHELF_HZ}:{_SHAPE}"))
        if tone.high_db:
            chain.append(("treble", f"g={tone.high_db:g}:f={_HIGH_SHELF_HZ}:{_SHAPE}"))
    return chain


def widened(sound: Block, width: float) -> Block:
    """Stereo, float32 (2, samples), with the difference of its sides times `width`, their mean as it is."""
    if width == 1.0:
        return sound
    share = np.float32((1.0 + width) / 2.0)
    return sound * share + sound[::-1] * (np.float32(1.0) - share)


class Equalizer:
    """The tones of one stereo sound, block after block.

    Linear, without delay, and the same whatever the blocks' lengths: sounds equalized alike add up to their
    sum equalized.
    """

    def __init__(self, *tones: Tone) -> None:
        chain = filters(*tones)
        self._chain = Chain("stereo", [*chain, ("aformat", "sample_fmts=flt")]) if chain else None

    def __call__(self, block: Block) -> Block:
        """The next block, float32 (2, samples), equalized; the same block where there is nothing to do."""
        if self._chain is None:
            return block
        return np.concatenate([block_of(frame) for frame in self._chain.push(block)], axis=1)
