"""The numbers behind an item's page. Page time begins with the video or the song, whichever is first.

Lanes that the page of a finished film has as well (`diffbgm.report.view`) take the same values; those of an
item alone are `spans`, `curves` and `heat`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.data.annotation.music import BITS_SHAPE, MusicAnnotation, Span
from diffbgm.data.item import Item
from diffbgm.data.schema import FILM_CURVES, GRID_CURVES
from diffbgm.data.shared_conditions import NO_SEGMENT, ItemConditions
from diffbgm.diffusion.conditions import DYNAMIC_FIELDS, ROLES, SEMANTIC_FIELDS, SEMANTIC_INDEX
from diffbgm.diffusion.roll import TRACKS, PianoRoll
from diffbgm.report.harmony import SHARPS
from diffbgm.report.listening import QUIETEST_LUFS, Listening
from diffbgm.report.view import LOUDNESS_BYTES_PER_LU, base64_of, fitting, part_of, unit_bytes
from diffbgm.score.decode import notes_of
from diffbgm.score.score import Note, Part, Score
from diffbgm.timing import STEPS_PER_BEAT, FloatArray, TempoMap
from diffbgm.video.analysis import Analysis, Curve, Thumbnail

# Directions in which learned features vary most, drawn one a row: 512 rows could not be seen.
_MOST_DIRECTIONS: Final = 8
_ALL_NOTES: Final = (88, 88, 88)
_UNKNOWN_BYTE: Final = 255


@dataclass(frozen=True)
class Clock:
    """Page time = video time + video_s = song time + song_s."""

    video_s: float
    song_s: float

    @classmethod
    def of(cls, item: Item) -> Clock:
        if item.film is None:
            return cls(0.0, 0.0)
        lead_s = max(0.0, item.offset_s)
        return cls(lead_s, lead_s - item.offset_s)

    def beats(self, music: MusicAnnotation) -> FloatArray:
        """Page time of each beat and of the end of the last, float64 (n_beats + 1,)."""
        return music.beats_s + self.song_s


def score_of(item: Item) -> Score:
    """The item's notes in page time, a piano part for each role."""
    clock, music = Clock.of(item), item.music
    beats_s = clock.beats(music)
    bits = np.unpackbits(music.bits, axis=1, count=int(np.prod(BITS_SHAPE))).reshape(-1, *BITS_SHAPE)
    roll = PianoRoll(
        bits.transpose(1, 2, 0, 3, 4).reshape(len(TRACKS), 2, -1, BITS_SHAPE[-1]).astype(bool),
        music.velocity.transpose(1, 0, 2).reshape(len(TRACKS), -1),
        np.zeros((music.n_beats, 12), bool),
        np.full(music.n_beats, -1, np.int8),
    )

    def second(step: int) -> float:
        return float(np.interp(step / STEPS_PER_BEAT, np.arange(music.n_beats + 1), beats_s))

    parts = tuple(
        Part(
            name,
            0,
            is_drums=False,
            notes=tuple(
                Note(second(each.start_step), second(each.end_step), each.pitch, each.velocity)
                for each in notes
            ),
        )
        for name, notes in zip(TRACKS, notes_of(roll, _ALL_NOTES), strict=True)
    )
    video_end_s = 0.0 if item.film is None else item.film.duration_s + clock.video_s
    duration_s = max(float(beats_s[-1]), video_end_s)
    return Score(TempoMap((0.0, duration_s)), "C", parts, (), duration_s)


def view_model(
    item: Item, score: Score, thumbnails: Sequence[Thumbnail], listening: Listening | None
) -> dict[str, Any]:
    """Everything that is drawn, ready for JSON. thumbnails: video time."""
    clock, music = Clock.of(item), item.music
    beats_s = clock.beats(music)
    return {
        "duration": score.duration_s,
        "fps": 25.0 if item.film is None else item.film.fps,
        "meter": music.beats_per_bar,
        "beats": [round(each, 4) for each in beats_s.tolist()],
        "downbeats": music.downbeat.astype(int).tolist(),
        "bars": _bars(music, beats_s),
        **_film(item.film, clock, thumbnails),
        "energy": unit_bytes(music.dynamics / 127),
        "sections": _sections(item, beats_s),
        "hits": [],
        "pitches": SHARPS,
        "chords": [],
        "parts": [part_of(part) for part in score.parts],
        **_sound(listening),
        "spans": _spans(item, beats_s, clock),
        "curves": _curves(item, clock),
        "heat": {name: rows for name, rows in _heat(item) if rows},
    }


def _bars(music: MusicAnnotation, beats_s: FloatArray) -> list[float]:
    """Where bars begin, and where the last whole one ends; the whole song as one where there are none."""
    edges = np.flatnonzero(music.downbeat).tolist()
    if edges and edges[-1] + music.beats_per_bar == music.n_beats:
        edges.append(music.n_beats)
    return [round(float(beats_s[k]), 5) for k in (edges if len(edges) > 1 else [0, music.n_beats])]


def _film(film: Analysis | None, clock: Clock, thumbnails: Sequence[Thumbnail]) -> dict[str, Any]:
    """What the page of a finished film draws too; nothing where there is no film."""
    nothing = {"hz": 1.0, "values": ""}
    at = clock.video_s
    shots = () if film is None else film.shots
    transitions = () if film is None else film.transitions
    speech = () if film is None else film.speech_spans
    return {
        "shots": [[round(shot.start_s + at, 3), round(shot.end_s + at, 3)] for shot in shots],
        "transitions": [
            {"t": cut.time_s + at, "kind": cut.kind, "from": cut.from_s + at, "to": cut.to_s + at}
            for cut in transitions
        ],
        "thumbnails": [
            [round(each.time_s + at, 3), base64_of(each.jpeg)] for each in fitting(tuple(thumbnails))
        ],
        "motion": nothing,
        "camera": nothing,
        "speech": [[start_s + at, end_s + at] for start_s, end_s in speech],
    }


def _sections(item: Item, beats_s: FloatArray) -> list[dict[str, Any]]:
    """The phrases and what lies between them, end to end."""
    out: list[dict[str, Any]] = []
    at = 0.0
    end_s = float(beats_s[-1])
    for span in item.music.phrases:
        start_s = float(beats_s[span.start_beat])
        if start_s > at + 1e-6:
            out.append(_section(item, at, start_s, None))
        at = float(beats_s[span.end_beat])
        out.append(_section(item, start_s, at, span))
    if at < end_s - 1e-6 or not out:
        out.append(_section(item, at, end_s, None))
    return out


def _section(item: Item, start_s: float, end_s: float, span: Span | None) -> dict[str, Any]:
    downbeat = item.music.downbeat
    bars = 0 if span is None else int(downbeat[span.start_beat : span.end_beat].sum())
    dynamics = [] if span is None else item.music.dynamics[span.start_beat : span.end_beat].tolist()
    return {
        "start": max(start_s, 0.0),
        "end": end_s,
        "role": "" if span is None else _role(item.music_conditions, span),
        "label": "–" if span is None else span.label,
        "energy": float(np.mean(dynamics)) / 127 if dynamics else 0.0,
        "bars": bars,
    }


def _role(conditions: ItemConditions | None, span: Span) -> str:
    """The role of a phrase as the shared conditions say it; empty where they do not."""
    if conditions is None:
        return ""
    segment = int(conditions.segment[(span.start_beat + span.end_beat) // 2])
    code = 0 if segment == NO_SEGMENT else int(conditions.semantic[segment, SEMANTIC_INDEX["role"]])
    return ROLES[code - 1] if code else ""


def _sound(listening: Listening | None) -> dict[str, Any]:
    """The waveform; loudness, which the page does not draw, is empty."""
    loudness = {"hz": 1.0, "floor": QUIETEST_LUFS, "scale": LOUDNESS_BYTES_PER_LU}
    wave = {"hz": 1.0, "peak": "", "rms": ""}
    if listening is not None:
        wave = {
            "hz": listening.wave_hz,
            "peak": base64_of(listening.peak.tobytes()),
            "rms": base64_of(listening.rms.tobytes()),
        }
    return {"wave": wave, "loudness": loudness | {"momentary": "", "short": ""}}


def _spans(item: Item, beats_s: FloatArray, clock: Clock) -> dict[str, Any]:
    """Labelled stretches by lane, a list a row: [start, end, label, confidence]."""
    music = item.music

    def of_beats(spans: Iterable[Span]) -> list[list[Any]]:
        return [
            [float(beats_s[each.start_beat]), float(beats_s[each.end_beat]), each.label, each.confidence]
            for each in spans
        ]

    def of_texts(texts: Iterable[Any], shift_s: float) -> list[list[Any]]:
        return [[each.start_s + shift_s, each.end_s + shift_s, each.text, 1.0] for each in texts]

    lanes = {
        "keys": {"given": of_beats(music.given_keys), "estimated": of_beats(music.keys)},
        "harmony": {"given": of_beats(music.given_chords), "estimated": of_beats(music.chords)},
        "captions": {"captions": of_texts(item.captions, clock.video_s)},
        "lyrics": {"lyrics": of_texts(music.lyrics, clock.song_s)},
    }
    return {
        lane: [{"name": name, "spans": spans} for name, spans in rows.items() if spans]
        for lane, rows in lanes.items()
    }


def _curves(item: Item, clock: Clock) -> dict[str, Any]:
    """Curves of the film by name: 0 .. 1, warmth from -1 .. 1."""
    if item.film is None:
        return {}

    def scaled(name: str, curve: Curve) -> dict[str, Any]:
        values = (curve.values + 1) / 2 if name == "warmth" else curve.values
        return {"start": clock.video_s, "hz": curve.hz, "values": unit_bytes(values)}

    return {name: scaled(name, getattr(item.film, name)) for name in FILM_CURVES}


def _heat(item: Item) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    """Strips of values a beat: lane, rows."""
    grid = item.aligned.on_beats
    rows = [(name.replace("_", " "), getattr(grid, name).astype(np.float64)) for name in GRID_CURVES]
    rows = [(name, values) for name, values in rows if np.isfinite(values).any()]
    yield "features", [_heat_row(name, values) for name, values in rows]
    learned = item.features
    if learned is not None:
        found = _directions("visual", learned.visual_on_beats)
        if learned.language_on_beats is not None:
            found += _directions("language", learned.language_on_beats)
        yield "learned", found
    yield "notes_conditions", _codes(item.music_conditions)
    yield "film_conditions", _codes(item.film_conditions)


def _heat_row(
    name: str, values: FloatArray, low: float | None = None, high: float | None = None
) -> dict[str, Any]:
    """A row as bytes 0 .. 254 between its least and its largest value; 255 is unknown."""
    known = np.isfinite(values)
    low = float(values[known].min()) if low is None else low
    high = float(values[known].max()) if high is None else high
    share = np.where(known, (values - low) / max(high - low, 1e-9), 0.0)
    data = np.where(known, np.rint(254 * share.clip(0, 1)), _UNKNOWN_BYTE).astype(np.uint8)
    return {"name": name, "low": low, "high": high, "values": base64_of(data.tobytes())}


def _directions(name: str, rows: NDArray[np.float32]) -> list[dict[str, Any]]:
    """How far each beat lies along the directions in which the rows vary most."""
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    most = min(_MOST_DIRECTIONS, int((sizes > 1e-6 * max(sizes[0], 1e-12)).sum()))
    return [_heat_row(f"{name} {k + 1}", left[:, k] * sizes[k]) for k in range(most)]


def _codes(conditions: ItemConditions | None) -> list[dict[str, Any]]:
    """A row a field; unknown is blank."""
    if conditions is None:
        return []
    segment = conditions.segment
    semantic = np.where((segment == NO_SEGMENT)[:, None], 0, conditions.semantic[segment])
    rows = []
    for fields, codes in ((DYNAMIC_FIELDS, conditions.dynamic), (SEMANTIC_FIELDS, semantic)):
        for column, (name, size) in enumerate(fields.items()):
            values = np.where(codes[:, column] == 0, np.nan, codes[:, column]).astype(np.float64)
            rows.append(_heat_row(name.replace("_", " "), values, 0.0, size - 1.0))
    return rows
