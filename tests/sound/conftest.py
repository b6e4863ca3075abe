"""Small scores, music with known levels, and measurements made without the code under test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from diffbgm.score.score import Note, Part, Score
from diffbgm.sound.synth import Music, render_music
from diffbgm.timing import TempoMap

RATE = 48_000
Sound = NDArray[np.float32]


def part(notes: Sequence[tuple[float, float, int, int]], program: int = 0, **more: object) -> Part:
    """A part of (start, end, pitch, velocity) notes, dry unless asked otherwise."""
    values = {"name": "part", "is_drums": False, "reverb": 0} | more
    return Part(program=program, notes=tuple(Note(*note) for note in notes), **values)  # type: ignore[arg-type]


def score(*parts: Part, duration_s: float = 2.0) -> Score:
    return Score(TempoMap((0.0, 2.0)), "C", parts, (), duration_s)


def band(duration_s: float, seed: int = 0) -> Score:
    """A piano, strings, a bass and drums, playing all the time."""
    rng = np.random.default_rng(seed)

    def line(step_s: float, low: int, high: int) -> list[tuple[float, float, int, int]]:
        starts = np.arange(0.0, max(duration_s - 0.6, 0.1), step_s)
        return [(t, t + step_s, int(rng.integers(low, high)), int(rng.integers(60, 110))) for t in starts]

    return score(
        part(line(0.25, 55, 80), 0, name="Piano", reverb=60),
        part(line(1.0, 48, 67), 48, name="Strings", reverb=80, pan=40),
        part(line(0.5, 28, 43), 32, name="Bass"),
        part(line(0.25, 36, 43), 0, name="Drums", is_drums=True),
        duration_s=duration_s,
    )


@pytest.fixture(scope="session")
def music_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Music]:
    """The band's music of that many seconds, each length played once."""
    made: dict[float, Music] = {}

    def play(duration_s: float) -> Music:
        if duration_s not in made:
            made[duration_s] = render_music(band(duration_s), tmp_path_factory.mktemp("music"))
        return made[duration_s]

    return play


def raw_music(path: Path, stereo: Sound) -> Music:
    """Any stereo sound as music on disk."""
    stereo.T.astype("<f4").tofile(path)
    peak = float(np.abs(stereo).max())
    return Music(path, stereo.shape[1], peak, (peak,))


def sine(hz: float, db: float, seconds: float, channels: int = 2) -> Sound:
    """A sine whose amplitude is `db` below full scale, float32 (channels, samples)."""
    wave = 10 ** (db / 20) * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)
    return np.tile(wave.astype(np.float32), (channels, 1))


def level_db(sound: Sound) -> float:
    """Root mean square of all channels, in dB of full scale."""
    return float(10 * np.log10(np.mean(np.asarray(sound, np.float64) ** 2) + 1e-20))


def tone_db(sound: Sound, hz: float) -> float:
    """Amplitude of one frequency in the first channel, in dB of full scale."""
    channel = np.asarray(sound[0], np.float64)
    turning = np.exp(-2j * np.pi * hz * np.arange(len(channel)) / RATE) * np.hanning(len(channel))
    return float(20 * np.log10(4 * abs(np.mean(channel * turning)) + 1e-20))


def decode(path: Path, track: int = 0) -> Sound:
    """A sound track, float32 (channels, samples), from its first sample on, without looking at times."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[track]
        resampler = av.AudioResampler("fltp", stream.layout, RATE)
        frames = [f for frame in container.decode(stream) for f in resampler.resample(frame)]
        return np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
