"""The numbers behind the drawings, as small as they can be: what the page's script reads.

Everything is seconds from the first frame. Long rows of numbers are base64 of bytes, since JSON would
take four times the room: an hour's film has to stay a page that can be mailed.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.roll import PianoRoll
from diffbgm.report.harmony import chord_spans, instrument_name, pitch_classes
from diffbgm.report.listening import BLOCK_HZ, QUIETEST_LUFS, Listening
from diffbgm.score.score import Part, Score
from diffbgm.spotting.cuesheet import Plan
from diffbgm.video.analysis import Analysis, Curve, Thumbnail

MAX_CURVE_POINTS: Final = 12_000
MAX_THUMBNAIL_BYTES: Final = 2_000_000
LOUDNESS_BYTES_PER_LU: Final = 3
LOUDNESS_EVERY: Final = 2
"""Every second value of the meter is kept: 5 a second."""


def view_model(
    analysis: Analysis, plan: Plan, roll: PianoRoll, score: Score, listening: Listening
) -> dict[str, Any]:
    """Everything that is drawn, ready for JSON."""
    return {
        "duration": score.duration_s,
        "fps": plan.fps,
        "shots": [[round(shot.start_s, 3), round(shot.end_s, 3)] for shot in analysis.shots],
        "transitions": [
            {"t": cut.time_s, "kind": cut.kind, "from": cut.from_s, "to": cut.to_s}
            for cut in analysis.transitions
        ],
        "thumbnails": [
            [round(thumb.time_s, 3), base64_of(thumb.jpeg)] for thumb in fitting(analysis.thumbnails)
        ],
        "motion": _curve(analysis.motion),
        "camera": _curve(analysis.camera),
        "speech": [[start, end] for start, end in analysis.speech_spans],
        "bars": [round(start, 5) for start in plan.bar_starts_s],
        "energy": unit_bytes(np.asarray(plan.energy)),
        "sections": [
            {
                "start": section.start_s,
                "end": section.end_s,
                "role": section.role,
                "label": section.label,
                "energy": section.energy,
                "bars": section.end_bar - section.start_bar,
            }
            for section in plan.sections
        ],
        "hits": [
            {"t": hit.time_s, "at": hit.landed_s, "error": hit.error_ms, "on": hit.on, "source": hit.source}
            for hit in plan.hits
        ],
        "pitches": pitch_classes(score.key),
        "chords": chord_spans(roll.chroma, roll.bass, score.key),
        "parts": [part_of(part) for part in score.parts],
        "wave": {
            "hz": listening.wave_hz,
            "peak": base64_of(listening.peak.tobytes()),
            "rms": base64_of(listening.rms.tobytes()),
        },
        "loudness": {
            "hz": BLOCK_HZ / LOUDNESS_EVERY,
            "floor": QUIETEST_LUFS,
            "scale": LOUDNESS_BYTES_PER_LU,
            "momentary": _loudness_bytes(listening.momentary),
            "short": _loudness_bytes(listening.short_term),
        },
    }


def to_json(value: Any) -> str:
    """JSON that may stand inside a `<script>` element.

    Numbers that JSON does not know (infinite, undefined) become null. `<`, `>` and `&` are written as
    escapes, so that no string can end the element or open a comment in it; everything else beyond
    ASCII is escaped by JSON itself.
    """
    text = json.dumps(_finite(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def without_folders(result: Mapping[str, Any]) -> dict[str, Any]:
    """The result with every path cut to its name: a report is passed on, folders are private."""

    def name(value: Any) -> Any:
        return PurePath(value).name if isinstance(value, str) else value

    private = ("output", "cues", "stems", "soundfont", "weights")
    options = result.get("options") or {}
    return {
        **result,
        "video": name(result.get("video")),
        "outputs": {kind: name(place) for kind, place in (result.get("outputs") or {}).items()},
        "options": {key: name(value) if key in private else value for key, value in options.items()},
    }


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def unit_bytes(values: NDArray[Any]) -> str:
    """Values in 0..1 as bytes."""
    clean = np.clip(np.nan_to_num(values.astype(np.float64)), 0.0, 1.0)
    return base64_of(np.round(clean * 255).astype(np.uint8).tobytes())


def _loudness_bytes(lufs: NDArray[np.float32]) -> str:
    steps = np.round((lufs[LOUDNESS_EVERY - 1 :: LOUDNESS_EVERY] - QUIETEST_LUFS) * LOUDNESS_BYTES_PER_LU)
    return base64_of(steps.astype(np.uint8).tobytes())


def _curve(curve: Curve) -> dict[str, Any]:
    """A curve of at most MAX_CURVE_POINTS values, each the mean over its time."""
    values = curve.values
    every = max(1, -(-len(values) // MAX_CURVE_POINTS))
    if every > 1:
        whole = len(values) // every * every
        values = values[:whole].reshape(-1, every).mean(axis=1)
    return {"hz": curve.hz / every, "values": unit_bytes(values)}


def fitting(thumbnails: tuple[Thumbnail, ...]) -> tuple[Thumbnail, ...]:
    """All thumbnails, or every n-th where they would take more than MAX_THUMBNAIL_BYTES."""
    total = sum(len(thumb.jpeg) for thumb in thumbnails)
    every = max(1, math.ceil(total / MAX_THUMBNAIL_BYTES))
    return thumbnails[::every]


def part_of(part: Part) -> dict[str, Any]:
    """Notes as one flat row of whole numbers, four a note: start and length in ms, pitch, velocity."""
    notes = sorted(part.notes, key=lambda note: (note.start_s, note.pitch))
    return {
        "name": part.name,
        "instrument": instrument_name(part.program, part.is_drums),
        "drums": part.is_drums,
        "notes": [
            number
            for note in notes
            for number in (
                round(note.start_s * 1000),
                round((note.end_s - note.start_s) * 1000),
                note.pitch,
                note.velocity,
            )
        ],
    }
