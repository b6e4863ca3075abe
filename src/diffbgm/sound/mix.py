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
from numpy.typing import NDArray

from diffbgm.options import ComposeOptions
from diffbgm.sound.ducking import Ducking
from diffbgm.sound.files import Block, read_raw, rechunk
from diffbgm.sound.fluidsynth import SAMPLE_RATE
from diffbgm.sound.loudness import Meter, amplitude
from diffbgm.sound.source import SourceSound
from diffbgm.sound.speech import SpeechLevel, integrated, levels_under_speech, middles_s, speech_levels
from diffbgm.sound.synth import Music
from diffbgm.timing import SHORTEST_PAUSE_S, Span, merge_spans

# How far the music lies below a film's sound without speech, in LU.
_UNDER_SOUND_LU: Final = 3.0
# `duck`: how far the film's own sound goes down under the music.
_SOURCE_DUCK_DB: Final = 12.0
# Music this far below its own loudness counts as a rest, which the film's own sound may fill.
_REST_LU: Final = 45.0
# Shorter rests are not filled: the level should not pump.
_SHORTEST_REST_S: Final = 1.0
_WINDOW: Final = SAMPLE_RATE // 10


@dataclass(frozen=True)
class Mix:
    """What is heard: music and, unless None, the film's own sound, each with its gain and ducking.

    speech: how far the music lies under the words, span by span.
    """

    music: Music
    source: SourceSound | None
    layout: str
    music_gain: float = 1.0
    source_gain: float = 1.0
    music_ducking: Ducking = field(default_factory=Ducking)
    source_ducking: Ducking = field(default_factory=Ducking)
    speech: tuple[SpeechLevel, ...] = ()

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


def _meter(blocks: Iterable[Block], layout: str) -> NDArray[np.float64]:
    """Momentary loudness of a sound."""
    meter = Meter(layout, true_peak=False)
    for block in blocks:
        meter.add(block)
    return meter.momentary


def balance(
    music: Music,
    source: SourceSound | None,
    layout: str,
    speech: tuple[Span, ...],
    options: ComposeOptions,
) -> Mix:
    """Set the levels of music and film sound against each other, as `options.original_audio` says.

    keep: the film's own sound stays as it is, the music lies below; under speech it goes down by what it is
    not low enough already, at most `duck_db` (see `sound.speech`). duck: the film's own sound goes 12 dB down
    while music sounds. drop: the music alone. A film without sound, or with a silent track, gets the music
    alone.
    """
    if source is None or options.original_audio == "drop":
        return Mix(music, None, layout)
    heard, own = _meter(music_blocks(music, layout), layout), _meter(source.blocks(), layout)
    music_lufs, source_lufs = integrated(heard), integrated(own)
    if music_lufs is None or source_lufs is None:
        return Mix(music, source, layout)
    speech = merge_spans(speech, SHORTEST_PAUSE_S)
    if options.original_audio == "duck":
        sounding = sounding_spans(music_blocks(music, layout), music_lufs - _REST_LU)
        sounding = merge_spans(sounding, _SHORTEST_REST_S)
        under_music = Ducking(sounding, _SOURCE_DUCK_DB, options.duck_ramp_s)
        gain_db = max(source_lufs, options.loudness) - music_lufs
        lowered = own - under_music.down_db(middles_s(own))
        levels = speech_levels(speech, lowered, heard + gain_db)
        return Mix(music, source, layout, amplitude(gain_db), source_ducking=under_music, speech=levels)
    if speech:
        gain_db, levels = levels_under_speech(speech, own, heard, options.loudness, options.duck_db)
    else:
        # Under the film's own sound, or, where that is quieter than the target, where the target asks the
        # whole to be: faint ambience stays faint instead of being lifted with the music.
        gain_db, levels = max(source_lufs, options.loudness) - _UNDER_SOUND_LU - music_lufs, ()
    under_speech = Ducking(speech, tuple(level.ducked_db for level in levels), options.duck_ramp_s)
    return Mix(music, source, layout, amplitude(gain_db), music_ducking=under_speech, speech=levels)
