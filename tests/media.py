"""Small synthetic films with known answers, made with PyAV.

    make_video(path, [(2.0, texture(1)), (1.5, (200, 30, 30))], fps=25, audio="tone")

A shot is (seconds, pattern). A pattern is a colour (r, g, b), or a function (seconds into the shot, width,
height) -> uint8 (height, width, 3). The container follows from the suffix, the codec from the container
unless given. Cuts fall on whole frames: `frame_counts` gives the number of frames of each shot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Pattern = tuple[int, int, int] | Callable[[float, int, int], Picture]
Sound = Literal["silence", "tone"] | NDArray[np.float32]

SOUND_RATE = 48_000

# Suffix: picture codec, sound codec. PyAV's own build can encode all of them.
_CODECS = {
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "aac"),
    ".mkv": ("libx264", "aac"),
    ".webm": ("libvpx", "libopus"),
    ".avi": ("mpeg4", "pcm_s16le"),
    ".mpg": ("mpeg2video", "mp2"),
}
_ENCODER_OPTIONS = {
    "libx264": {"preset": "ultrafast", "crf": "18"},
    "libx265": {"preset": "ultrafast", "crf": "20", "x265-params": "log-level=none"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "crf": "12", "b": "2M"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "20", "b": "2M"},
    "libsvtav1": {"preset": "12", "crf": "25"},
    "mpeg4": {"b": "4M"},
    "mpeg2video": {"b": "6M"},
}


def texture(seed: int, contrast: int = 200) -> Pattern:
    """A still picture of coloured blotches; different seeds look like different shots."""
    return pan(seed, 0.0, contrast)


def pan(seed: int, pixels_per_s: float, contrast: int = 200) -> Pattern:
    """The picture of `texture(seed)`, over which the camera pans to the right."""
    rng = np.random.default_rng(seed)
    tint = rng.uniform(0.2, 1.0, 3)
    coarse = np.clip(rng.uniform(0, contrast, (9, 64, 3)) * tint, 0, 255).astype(np.uint8)

    def draw(at_s: float, width: int, height: int) -> Picture:
        wide = cv2.resize(coarse, (width * 4, height), interpolation=cv2.INTER_CUBIC)
        left = round(at_s * pixels_per_s) % (width * 3)
        return np.ascontiguousarray(wide[:, left : left + width]).astype(np.uint8)

    return draw


def ball(seed: int, pixels_per_s: float) -> Pattern:
    """A disc that runs from side to side over the still picture of `texture(seed)`."""
    still = texture(seed, 120)

    def draw(at_s: float, width: int, height: int) -> Picture:
        assert callable(still)
        picture = still(0.0, width, height)
        radius = height // 5
        way = width - 2 * radius
        x = radius + abs((at_s * pixels_per_s + way) % (2 * way) - way)
        cv2.circle(picture, (round(x), height // 2), radius, (250, 250, 250), -1)
        cv2.circle(picture, (round(x), height // 2), radius // 2, (20, 20, 20), -1)
        return picture

    return draw


def mix(first: Pattern, second: Pattern, seconds: float) -> Pattern:
    """A dissolve from the one pattern to the other; use it as a shot of its own of that length."""

    def draw(at_s: float, width: int, height: int) -> Picture:
        share = min(at_s / seconds, 1.0)
        a, b = (paint(p, at_s, width, height).astype(np.float32) for p in (first, second))
        return np.asarray(a * (1 - share) + b * share, np.float32).round().astype(np.uint8)

    return draw


def paint(pattern: Pattern, at_s: float, width: int, height: int) -> Picture:
    """One picture of a pattern, uint8 (height, width, 3) RGB."""
    if callable(pattern):
        return pattern(at_s, width, height)
    return np.full((height, width, 3), pattern, np.uint8)


def frame_counts(shots: Sequence[tuple[float, Pattern]], fps: Fraction | float) -> list[int]:
    """Frames of each shot; a cut falls at the sum of those before it over `fps`."""
    return [max(1, round(seconds * fps)) for seconds, _ in shots]


def sound_of(sound: Sound, seconds: float) -> NDArray[np.float32]:
    """float32 (channels, samples) at 48 kHz, as long as the film (an array is taken as it is)."""
    samples = round(seconds * SOUND_RATE)
    if isinstance(sound, np.ndarray):
        return np.atleast_2d(sound).astype(np.float32)
    if sound == "silence":
        return np.zeros((2, samples), np.float32)
    wave = 0.25 * np.sin(2 * np.pi * 440 * np.arange(samples) / SOUND_RATE)
    return np.stack([wave, wave]).astype(np.float32)


def make_video(
    path: Path,
    shots: Sequence[tuple[float, Pattern]],
    *,
    fps: Fraction | float = 24,
    size: tuple[int, int] = (320, 180),
    codec: str | None = None,
    pix_fmt: str | None = None,
    audio: Sound | None = None,
    audio_codec: str | None = None,
    rotation: int = 0,
    start_s: float = 0.0,
    frame_times: Sequence[float] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a film and return its path.

    rotation: degrees (0, 90, 180, 270) in the display matrix, as a phone writes it (mp4, mov).
    start_s: timestamp of the first frame. frame_times: seconds of each frame counted from the first
    (variable frame rate); frame k still shows what constant rate `fps` would show at k/fps.
    """
    picture_codec, sound_codec = _CODECS[path.suffix]
    codec, audio_codec = codec or picture_codec, audio_codec or sound_codec
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w") as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=rate, options=_ENCODER_OPTIONS.get(codec, {}))
        stream.width, stream.height = size
        if codec == "mpeg4":
            stream.codec_context.max_b_frames = 0  # avi has no way to say that frames are reordered
        stream.pix_fmt = pix_fmt or ("yuv422p10le" if codec.startswith("prores") else "yuv420p")
        base = 1 / rate if frame_times is None and start_s == 0 else Fraction(1, 90_000)
        stream.codec_context.time_base = stream.time_base = base
        if rotation:
            stream.set_display_rotation(rotation)
        sound = None if audio is None else sound_of(audio, sum(frame_counts(shots, rate)) / float(rate))
        if sound is not None:
            layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(sound)]
            sound_stream = container.add_stream(audio_codec, rate=SOUND_RATE, layout=layout)
        for index, picture in enumerate(_pictures(shots, rate, size)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            at_s = start_s + (index / rate if frame_times is None else frame_times[index])
            frame.pts, frame.time_base = round(Fraction(at_s) / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            for start in range(0, sound.shape[1], SOUND_RATE // 10):
                block = np.ascontiguousarray(sound[:, start : start + SOUND_RATE // 10])
                sound_frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                sound_frame.sample_rate = SOUND_RATE
                sound_frame.pts = start + round(start_s * SOUND_RATE)
                sound_frame.time_base = Fraction(1, SOUND_RATE)
                container.mux(sound_stream.encode(sound_frame))
            container.mux(sound_stream.encode())
    return path


def _pictures(
    shots: Sequence[tuple[float, Pattern]], rate: Fraction, size: tuple[int, int]
) -> Iterator[Picture]:
    for (_, pattern), count in zip(shots, frame_counts(shots, rate), strict=True):
        for index in range(count):
            yield paint(pattern, float(index / rate), *size)


def repeat_video(source: Path, path: Path, times: int) -> Path:
    """Play an mp4 or mov film `times` times over without encoding it again: a long film, made at once."""
    with av.open(str(path), "w") as target, av.open(str(source)) as film:
        copies = {s.index: target.add_stream_from_template(s) for s in film.streams if s.type != "data"}
        packets = [p for p in film.demux() if p.size and p.stream_index in copies]
        ends = [((p.dts or 0) + (p.duration or 0)) * p.time_base for p in packets]
        length_s = max(ends) - min((p.dts or 0) * p.time_base for p in packets)
        for turn in range(times):
            for packet in packets:
                shift = round(turn * length_s / packet.time_base)
                again = av.Packet(bytes(packet))
                again.pts, again.dts = (packet.pts or 0) + shift, (packet.dts or 0) + shift
                again.duration, again.time_base = packet.duration, packet.time_base
                again.is_keyframe = packet.is_keyframe
                again.stream = copies[packet.stream_index]
                target.mux(again)
    return path
