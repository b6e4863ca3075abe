"""The first station: read a film once and tell what is in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from diffbgm.video.analysis import Analysis, Curve, Shot, Transition
from diffbgm.video.curves import Sampler
from diffbgm.video.decode import Picture, PictureReader
from diffbgm.video.fingerprints import FingerprintReader
from diffbgm.video.shots import ShotDetector
from diffbgm.video.soundtrack import Soundtrack, listen
from diffbgm.video.thumbnails import Album
from diffbgm.video.transnet import TransNetDetector

# The share of the work that the picture takes; the rest is the sound.
_PICTURE_SHARE = 0.85


def analyze(
    path: Path,
    progress: Callable[[float], None] | None = None,
    shots: Literal["builtin", "transnet"] = "builtin",
) -> Analysis:
    """Decode a film once and describe it: shots, motion, colour, speech, loudness.

    progress: called now and then with the share done, 0..1. All times of the result are seconds from
    the first video frame. Memory does not grow with the length of the film. shots: the built-in detector,
    or TransNetV2, which is slower and needs the extra `diffbgm[transnet]`.

    Raises InputError, one line, if the file is missing, is not a video or has no decodable picture;
    MissingToolError if TransNetV2 is asked for and not there.
    Damage that leaves something to see is said in `warnings`.
    """
    picture = PictureReader(path)
    facts = picture.facts
    report = _Progress(progress, facts.declared_s)
    detector = ShotDetector() if shots == "builtin" else TransNetDetector()
    sampler, album, fingerprints = Sampler(), Album(), FingerprintReader()
    transitions: list[Transition] = []

    def found(transition: Transition) -> None:
        transitions.append(transition)
        album.close_shot(transition.time_s)

    for frame in picture:
        sampler.push(frame.time_s, frame.yuv)
        album.push(frame.time_s, frame.yuv, facts.aspect, facts.rotation)
        fingerprints.push(frame.time_s, frame.yuv, facts.rotation)
        for transition in detector.push(frame.time_s, frame.yuv):
            found(transition)
        report(frame.time_s, 0.0, _PICTURE_SHARE)
    for transition in detector.finish():
        found(transition)
    album.close_shot(facts.duration_s)
    sound = listen(path, facts.first_s, lambda at_s: report(at_s, _PICTURE_SHARE, 1.0 - _PICTURE_SHARE))
    report.done()
    speech = () if sound is None else _clip(sound.speech_spans, facts.duration_s)
    borders = [0.0, *(t.time_s for t in transitions), facts.duration_s]
    return Analysis(
        video=str(path),
        container=facts.container,
        duration_s=facts.duration_s,
        frame_rate=facts.frame_rate,
        n_frames=facts.n_frames,
        width=facts.width,
        height=facts.height,
        rotation=facts.rotation,
        has_audio=sound is not None,
        shots=tuple(Shot(a, b) for a, b in pairwise(borders)),
        transitions=tuple(transitions),
        **sampler.curves(facts.duration_s, transitions),
        speech_spans=speech,
        source_lufs=None if sound is None else sound.lufs,
        has_music=sound is not None and sound.has_music,
        thumbnails=album.thumbnails(),
        warnings=tuple(_warnings(facts, sound)),
        fingerprints=fingerprints.fingerprints(),
    )


def to_json(analysis: Analysis) -> dict[str, Any]:
    """The analysis as plain JSON values (without the thumbnails), as `analyze --json` prints it."""

    def curve(of: Curve) -> dict[str, Any]:
        return {"hz": of.hz, "values": [round(float(v), 4) for v in of.values]}

    return {
        "video": analysis.video,
        "container": analysis.container,
        "duration_s": round(analysis.duration_s, 6),
        "fps": analysis.fps,
        "frame_rate": f"{analysis.frame_rate.numerator}/{analysis.frame_rate.denominator}",
        "n_frames": analysis.n_frames,
        "width": analysis.width,
        "height": analysis.height,
        "rotation": analysis.rotation,
        "has_audio": analysis.has_audio,
        "shots": [{"start_s": round(s.start_s, 6), "end_s": round(s.end_s, 6)} for s in analysis.shots],
        "transitions": [
            {
                "time_s": round(t.time_s, 6),
                "kind": t.kind,
                "from_s": round(t.from_s, 6),
                "to_s": round(t.to_s, 6),
                "strength": round(t.strength, 4),
            }
            for t in analysis.transitions
        ],
        "motion": curve(analysis.motion),
        "camera": curve(analysis.camera),
        "brightness": curve(analysis.brightness),
        "saturation": curve(analysis.saturation),
        "warmth": curve(analysis.warmth),
        "speech_spans": [[round(a, 3), round(b, 3)] for a, b in analysis.speech_spans],
        "source_lufs": analysis.source_lufs,
        "has_music": analysis.has_music,
        "warnings": list(analysis.warnings),
    }


class _Progress:
    """Passes progress on, at most once a hundredth."""

    def __init__(self, callback: Callable[[float], None] | None, expected_s: float | None) -> None:
        self._callback = callback
        self._expected_s = expected_s or 0.0
        self._last = -1.0

    def __call__(self, at_s: float, base: float, share: float) -> None:
        if self._callback is None or self._expected_s <= 0:
            return
        done = base + share * min(at_s / self._expected_s, 1.0)
        if done >= self._last + 0.01:
            self._last = done
            self._callback(done)

    def done(self) -> None:
        if self._callback is not None:
            self._callback(1.0)


def _clip(spans: Sequence[tuple[float, float]], end_s: float) -> tuple[tuple[float, float], ...]:
    """Speech after the last picture is not part of the film."""
    return tuple((a, min(b, end_s)) for a, b in spans if a < end_s)


def _warnings(facts: Picture, sound: Soundtrack | None) -> list[str]:
    said = []
    if facts.n_damaged:
        said.append(f"the picture is damaged in {facts.n_damaged} places, which were left out")
    if sound is not None and sound.n_damaged:
        said.append(f"the sound is damaged in {sound.n_damaged} places, which were left out")
    reached = facts.duration_s
    if not facts.declared_for_picture:  # then it is the time at which the longest track ends
        reached = facts.first_s + max(reached, sound.end_s if sound is not None else 0.0)
    if facts.declared_s is not None and reached < facts.declared_s - max(0.5, 0.01 * facts.declared_s):
        said.append(
            f"the file says {facts.declared_s:.2f} s but ends after {reached:.2f} s: it is cut short or "
            "damaged, and only what is there was used"
        )
    if sound is not None and sound.has_music:
        said.append(
            "the film's own sound seems to carry music already; use --original-audio drop to replace it"
        )
    return said
