"""The music and the film's own sound together: their levels, and which goes down under the other.

Nothing is held in memory: a `Mix` is a recipe whose blocks are made when they are asked for, from the
music on disk and the film's own track.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import av
import numpy as np

from diffbgm.options import ComposeOptions
from diffbgm.sound.ducking import Ducking, Span, merge_spans
from diffbgm.sound.files import Block, read_raw, rechunk
from diffbgm.sound.fluidsynth import SAMPLE_RATE
from diffbgm.sound.loudness import Loudness, Meter, amplitude, measure
from diffbgm.sound.source import SourceSound
from diffbgm.sound.synth import Music

# How far the music lies below the speech (in its pauses; under it `duck_db` further), or below a film's
# sound without speech, in LU.
_UNDER_SPEECH_LU: Final = 4.0
_UNDER_SOUND_LU: Final = 3.0
# Speech is never taken for quieter than this below the target, or its hiss would be lifted with it.
_FAINTEST_SPEECH_LU: Final = 24.0
# `duck`: how far the film's own sound goes down under the music.
_SOURCE_DUCK_DB: Final = 12.0
# Music this far below its own loudness counts as a rest, which the film's own sound may fill.
_REST_LU: Final = 45.0
_WINDOW: Final = SAMPLE_RATE // 10


@dataclass(frozen=True)
class Mix:
    """What is heard: music and, unless None, the film's own sound, each with its gain and ducking."""

    music: Music
    source: SourceSound | None
    layout: str
    music_gain: float = 1.0
    source_gain: float = 1.0
    music_ducking: Ducking = field(default_factory=Ducking)
    source_ducking: Ducking = field(default_factory=Ducking)

    @property
    def channels(self) -> int:
        return av.AudioLayout(self.layout).nb_channels

    def blocks(self) -> Iterator[Block]:
        """float32 (channels, up to BLOCK_SAMPLES), as long as the music."""
        start = 0
        sources: Iterable[Block | None] = (
            iter(lambda: None, 0) if self.source is None else self.source.blocks()
        )
        for music, source in zip(music_blocks(self.music, self.layout), sources, strict=False):
            n = music.shape[1]
            mixed = music * (self.music_ducking.gains(start, n) * np.float32(self.music_gain))
            if source is not None:
                mixed += source * (self.source_ducking.gains(start, n) * np.float32(self.source_gain))
            start += n
            yield mixed


def music_blocks(music: Music, layout: str) -> Iterator[Block]:
    """The stereo music in another layout: both sides together in mono, else front left and right."""
    names = [channel.name for channel in av.AudioLayout(layout).channels]
    for stereo in read_raw(music.path):
        if len(names) == 1:
            yield stereo.mean(axis=0, keepdims=True)
            continue
        placed = np.zeros((len(names), stereo.shape[1]), np.float32)
        placed[[names.index("FL"), names.index("FR")]] = stereo
        yield placed


def sounding_spans(blocks: Iterable[Block], threshold_db: float) -> tuple[Span, ...]:
    """Where the sound's level, over tenths of a second, exceeds the threshold (dB of full scale)."""
    powers = []
    for block in rechunk(blocks):
        whole = np.pad(block, ((0, 0), (0, -block.shape[1] % _WINDOW)))
        powers.append((whole**2).mean(axis=0).reshape(-1, _WINDOW).mean(axis=1))
    if not powers:
        return ()
    loud = np.flatnonzero(np.concatenate(powers) > 10.0 ** (threshold_db / 10.0))
    step = _WINDOW / SAMPLE_RATE
    return merge_spans(((k * step, (k + 1) * step) for k in loud), step / 2)


def _measure_source(source: SourceSound, speech: tuple[Span, ...]) -> tuple[Loudness, Loudness]:
    """Of the whole, and of the speech alone (the samples within the spans, put together)."""
    whole, spoken = Meter(source.layout, true_peak=False), Meter(source.layout, true_peak=False)
    borders = np.asarray([round(edge * SAMPLE_RATE) for span in merge_spans(speech, 0.0) for edge in span])
    start = 0
    for block in source.blocks():
        whole.add(block)
        inside = np.searchsorted(borders, np.arange(start, start + block.shape[1]), side="right") % 2 == 1
        spoken.add(block[:, inside])
        start += block.shape[1]
    return whole.result(), spoken.result()


def _music_level(source_lufs: float, speech_lufs: float | None, target: float) -> float:
    """Where `keep` puts the music, in LUFS, the film's own sound staying as it is.

    Under speech by a fixed distance, whatever else sounds. Without speech under the film's own sound,
    or, where that is quieter than the target, where the target asks the whole to be: faint ambience
    stays faint instead of being lifted with the music.
    """
    if speech_lufs is not None:
        return max(speech_lufs, target - _FAINTEST_SPEECH_LU) - _UNDER_SPEECH_LU
    return max(source_lufs, target) - _UNDER_SOUND_LU


def balance(
    music: Music,
    source: SourceSound | None,
    layout: str,
    speech: tuple[Span, ...],
    options: ComposeOptions,
) -> Mix:
    """Set the levels of music and film sound against each other, as `options.original_audio` says.

    keep: the film's own sound stays as it is, the music lies below and goes down by `duck_db` under
    speech. duck: the film's own sound goes 12 dB down while music sounds. drop: the music alone.
    A film without sound, or with a silent track, gets the music alone.
    """
    alone = Mix(music, None, layout)
    if source is None or options.original_audio == "drop":
        return alone
    music_lufs = measure(music_blocks(music, layout), layout, true_peak=False).lufs
    whole, spoken = _measure_source(source, speech)
    if music_lufs is None or whole.lufs is None:
        return Mix(music, source, layout)
    if options.original_audio == "duck":
        sounding = sounding_spans(music_blocks(music, layout), music_lufs - _REST_LU)
        under_music = Ducking(sounding, _SOURCE_DUCK_DB, options.duck_ramp_s)
        level = max(whole.lufs, options.loudness)
        return Mix(music, source, layout, amplitude(level - music_lufs), source_ducking=under_music)
    level = _music_level(whole.lufs, spoken.lufs, options.loudness)
    under_speech = Ducking(speech, options.duck_db, options.duck_ramp_s)
    return Mix(music, source, layout, amplitude(level - music_lufs), music_ducking=under_speech)
