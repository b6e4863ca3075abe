"""Records to Arrow rows and back. Arrays keep their axes as nested lists; NaN becomes null and null NaN."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.data.alignment import Aligned, GridCurves
from diffbgm.data.annotation.music import BITS_SHAPE, Lyric, MusicAnnotation, Span
from diffbgm.data.item import Item, LearnedFeatures, Media
from diffbgm.data.schema import FILM_CURVES, GRID_CURVES, MEDIA_ROLES, SCHEMA_VERSION, schema
from diffbgm.data.shared_conditions import ItemConditions
from diffbgm.diffusion.roll import ONSET, TRACKS
from diffbgm.errors import InputError
from diffbgm.features.captions import Caption
from diffbgm.features.film_features import FilmFeatures, Source
from diffbgm.timing import STEPS_PER_BEAT
from diffbgm.video.analysis import Analysis, Curve, Fingerprints, Shot, Transition

if TYPE_CHECKING:
    import pyarrow as pa

_SPANS = ("keys", "given_keys", "chords", "given_chords", "phrases")

TRAINING_COLUMNS: Final = (
    "item_id", "song_id", "split", "offset_s", "n_beats", "beats_s", "downbeat", "beats_per_bar",
    "eighths_per_beat", *_SPANS, "phrase_source", "roles", "bits", "velocity", "dynamics", "grid_fit",
    "lyrics", "on_beats.covered", "features", "visual_on_beats", "language_on_beats",
)  # fmt: skip


@dataclass(frozen=True)
class TrainingRow:
    """The part of a row that training windows are made of. covered: float32 (n_beats,), share of each beat
    that lies in the film."""

    item_id: str
    song_id: str
    split: str | None
    offset_s: float
    music: MusicAnnotation
    covered: NDArray[np.float32]
    features: LearnedFeatures | None


def to_table(item: Item) -> pa.Table:
    """One row with the columns of `schema.schema()`."""
    import pyarrow as pa

    values = {**_identity(item), **_music(item.music), **_aligned(item)}
    values["film"] = None if item.film is None else _film(item.film)
    values["captions"] = [_text(each) for each in item.captions]
    values.update(_features(item.features))
    columns = schema()
    return pa.table([_column(values[field.name], field.type) for field in columns], schema=columns)


def items_of(table: pa.Table) -> Iterable[Item]:
    """The records of a table's rows, one after the other.

    Raises InputError if the table is of another schema version.
    """
    _check_version(table)
    table = table.combine_chunks()
    for row in range(len(table)):
        yield _item(_values(table.slice(row, 1)))


def training_row(table: pa.Table) -> TrainingRow:
    """The single row of a table with `TRAINING_COLUMNS`. Raises InputError for another schema version."""
    _check_version(table)
    row = _values(table.combine_chunks())
    return TrainingRow(
        item_id=row["item_id"],
        song_id=row["song_id"],
        split=row["split"],
        offset_s=row["offset_s"],
        music=_music_of(row),
        covered=row["on_beats"]["covered"].astype(np.float32),
        features=None if row["features"] is None else _features_of(row),
    )


def _check_version(table: pa.Table) -> None:
    version = (table.schema.metadata or {}).get(b"diffbgm.schema_version", b"none").decode()
    if version != SCHEMA_VERSION:
        raise InputError(f"rows of schema version {version}; this diffbgm reads {SCHEMA_VERSION}")


def _values(table: pa.Table) -> dict[str, Any]:
    """The values of a table's one row by column; the table has one chunk."""
    return {name: _plain(table.column(name).chunk(0)) for name in table.column_names}


def _identity(item: Item) -> dict[str, Any]:
    media = {role: item.media.get(role) for role in MEDIA_ROLES}
    return {
        "item_id": item.item_id,
        "song_id": item.song_id,
        "video_id": item.video_id,
        "split": item.split,
        "source": item.source,
        "title": item.title,
        "artist": item.artist,
        "offset_s": item.offset_s,
        "pair_confidence": item.pair_confidence,
        "pair_method": item.pair_method,
        "inputs_sha256": item.inputs_sha256,
        "schema_version": SCHEMA_VERSION,
        **{f"{role}_media": None if each is None else vars(each) for role, each in media.items()},
    }


def _music(music: MusicAnnotation) -> dict[str, Any]:
    bits = np.unpackbits(music.bits, axis=1, count=int(np.prod(BITS_SHAPE))).reshape(-1, *BITS_SHAPE)
    return {
        "n_beats": music.n_beats,
        "n_notes": int(bits[:, :, ONSET].sum()),
        "duration_s": float(music.beats_s[-1] - music.beats_s[0]),
        "tempo_bpm": float(np.median(60 / np.diff(music.beats_s))),
        "beats_s": music.beats_s,
        "downbeat": music.downbeat,
        "beats_per_bar": music.beats_per_bar,
        "eighths_per_beat": music.eighths_per_beat,
        **{name: [_span(each, music.beats_s) for each in getattr(music, name)] for name in _SPANS},
        "phrase_source": music.phrase_source,
        "roles": list(music.roles),
        "bits": music.bits,
        "velocity": music.velocity.reshape(music.n_beats, -1),
        "dynamics": music.dynamics,
        "grid_fit": music.grid_fit,
        "lyrics": [_text(each) for each in music.lyrics],
    }


def _span(span: Span, beats_s: NDArray[np.float64]) -> dict[str, Any]:
    seconds = {"start_s": float(beats_s[span.start_beat]), "end_s": float(beats_s[span.end_beat])}
    return {**vars(span), **seconds}


def _text(each: Caption | Lyric) -> dict[str, Any]:
    return {"start_s": each.start_s, "end_s": each.end_s, "text": each.text}


def _stretches(pairs: Iterable[tuple[float, float]]) -> list[dict[str, float]]:
    return [{"start_s": start_s, "end_s": end_s} for start_s, end_s in pairs]


def _film(film: Analysis) -> dict[str, Any]:
    return {
        "container": film.container,
        "duration_s": film.duration_s,
        "frame_rate_numerator": film.frame_rate.numerator,
        "frame_rate_denominator": film.frame_rate.denominator,
        "n_frames": film.n_frames,
        "width": film.width,
        "height": film.height,
        "rotation": film.rotation,
        "has_audio": film.has_audio,
        "has_music": film.has_music,
        "source_lufs": film.source_lufs,
        "warnings": list(film.warnings),
        "shots": _stretches((each.start_s, each.end_s) for each in film.shots),
        "transitions": [vars(each) for each in film.transitions],
        "speech": _stretches(film.speech_spans),
        "curve_hz": film.motion.hz,
        **{name: getattr(film, name).values for name in FILM_CURVES},
    }


def _features(learned: LearnedFeatures | None) -> dict[str, Any]:
    if learned is None:
        return {"features": None, "visual_on_beats": None, "language_on_beats": None}
    film = learned.film
    return {
        "visual_on_beats": learned.visual_on_beats,
        "language_on_beats": learned.language_on_beats,
        "features": {
            "alignment": learned.alignment,
            "film": vars(film.film),
            "duration_s": film.duration_s,
            "visual": film.visual,
            "visual_hz": film.visual_hz,
            "visual_by": vars(film.visual_by),
            "shots": _stretches((each.start_s, each.end_s) for each in film.shots),
            "shots_by": film.shots_by,
            "captions": [_text(each) for each in film.captions],
            "captions_by": vars(film.captions_by),
            "language": film.language,
            "language_by": vars(film.language_by),
        },
    }


def _aligned(item: Item) -> dict[str, Any]:
    aligned = item.aligned
    on_clock = {"hz": aligned.clock_hz, "beat": aligned.beat, **vars(aligned.on_clock)}
    conditions = {"music_conditions": item.music_conditions, "film_conditions": item.film_conditions}
    return {
        "on_beats": vars(aligned.on_beats),
        "on_clock": on_clock,
        **{name: None if each is None else vars(each) for name, each in conditions.items()},
    }


def _column(value: Any, kind: Any) -> pa.Array:
    """An Arrow array of length 1 with the value; numpy arrays are put in as nested lists without loops."""
    import pyarrow as pa

    if value is None:
        return pa.nulls(1, kind)
    if pa.types.is_struct(kind):
        return pa.StructArray.from_arrays(
            [_column(value[each.name], each.type) for each in kind], fields=list(kind)
        )
    if pa.types.is_list(kind) and isinstance(value, np.ndarray):
        return pa.ListArray.from_arrays(
            pa.array([0, len(value)], pa.int32()), _flat(value, kind.value_type), type=kind
        )
    return pa.array([value], kind)


def _flat(values: NDArray[Any], kind: Any) -> pa.Array:
    """The rows of an array: its numbers, or lists of them where it has two axes."""
    import pyarrow as pa

    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(_flat(values.reshape(-1), kind.value_type), type=kind)
    if pa.types.is_list(kind):
        offsets = pa.array(np.arange(len(values) + 1) * values.shape[1], pa.int32())
        return pa.ListArray.from_arrays(offsets, _flat(values.reshape(-1), kind.value_type), type=kind)
    numbers = values.astype(kind.to_pandas_dtype())
    unknown = np.isnan(numbers) if numbers.dtype.kind == "f" else None
    return pa.array(numbers, kind, mask=unknown)


def _plain(array: Any) -> Any:
    """The single value of an Arrow array of length 1; the inverse of `_column`."""
    import pyarrow as pa

    kind = array.type
    if not array[0].is_valid:
        return None
    if pa.types.is_struct(kind):
        return {each.name: _plain(field) for each, field in zip(kind, array.flatten(), strict=True)}
    if pa.types.is_list(kind) and not _of_objects(kind.value_type):
        return _rows(array.flatten())
    return array[0].as_py()


def _of_objects(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_struct(kind) or pa.types.is_string(kind))


def _rows(values: Any) -> NDArray[Any]:
    import pyarrow as pa

    kind = values.type
    if pa.types.is_fixed_size_list(kind):
        return _rows(values.flatten()).reshape(-1, kind.list_size)
    if pa.types.is_list(kind):
        return (
            _rows(values.flatten()).reshape(len(values), -1) if len(values) else np.zeros((0, 0), np.float16)
        )
    out: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return out


def _item(row: dict[str, Any]) -> Item:
    media = {role: row[f"{role}_media"] for role in MEDIA_ROLES}
    on_clock = dict(row["on_clock"])
    return Item(
        item_id=row["item_id"],
        song_id=row["song_id"],
        video_id=row["video_id"],
        split=row["split"],
        source=row["source"],
        title=row["title"],
        artist=row["artist"],
        offset_s=row["offset_s"],
        pair_confidence=row["pair_confidence"],
        pair_method=row["pair_method"],
        media={role: Media(**each) for role, each in media.items() if each is not None},
        inputs_sha256=row["inputs_sha256"],
        music=_music_of(row),
        film=None if row["film"] is None else _film_of(row["film"], row["video_media"]["path"]),
        captions=tuple(Caption(**each) for each in row["captions"]),
        features=None if row["features"] is None else _features_of(row),
        aligned=Aligned(
            clock_hz=on_clock.pop("hz"),
            beat=on_clock.pop("beat"),
            on_beats=_curves_of(row["on_beats"]),
            on_clock=_curves_of(on_clock),
        ),
        music_conditions=_conditions_of(row["music_conditions"]),
        film_conditions=_conditions_of(row["film_conditions"]),
    )


def _music_of(row: dict[str, Any]) -> MusicAnnotation:
    def spans(name: str) -> tuple[Span, ...]:
        return tuple(
            Span(each["start_beat"], each["end_beat"], each["label"], each["confidence"])
            for each in row[name]
        )

    return MusicAnnotation(
        beats_s=row["beats_s"],
        downbeat=row["downbeat"],
        beats_per_bar=row["beats_per_bar"],
        eighths_per_beat=row["eighths_per_beat"],
        keys=spans("keys"),
        given_keys=spans("given_keys"),
        chords=spans("chords"),
        given_chords=spans("given_chords"),
        phrases=spans("phrases"),
        phrase_source=row["phrase_source"],
        roles=tuple(row["roles"]),
        bits=row["bits"],
        velocity=row["velocity"].reshape(row["n_beats"], len(TRACKS), STEPS_PER_BEAT),
        dynamics=row["dynamics"].astype(np.float32),
        grid_fit=row["grid_fit"],
        lyrics=tuple(Lyric(**each) for each in row["lyrics"]),
    )


def _film_of(film: dict[str, Any], path: str) -> Analysis:
    hz = film["curve_hz"]
    curves = {name: Curve(hz, film[name].astype(np.float32)) for name in FILM_CURVES}
    return Analysis(
        video=path,
        container=film["container"],
        duration_s=film["duration_s"],
        frame_rate=Fraction(film["frame_rate_numerator"], film["frame_rate_denominator"]),
        n_frames=film["n_frames"],
        width=film["width"],
        height=film["height"],
        rotation=film["rotation"],
        has_audio=film["has_audio"],
        shots=tuple(Shot(**each) for each in film["shots"]),
        transitions=tuple(Transition(**each) for each in film["transitions"]),
        **curves,
        speech_spans=tuple((each["start_s"], each["end_s"]) for each in film["speech"]),
        source_lufs=film["source_lufs"],
        has_music=film["has_music"],
        thumbnails=(),
        warnings=tuple(film["warnings"]),
        fingerprints=Fingerprints.none(),
    )


def _features_of(row: dict[str, Any]) -> LearnedFeatures:
    found = row["features"]
    language = row["language_on_beats"]
    return LearnedFeatures(
        film=FilmFeatures(
            film=Source(**found["film"]),
            duration_s=found["duration_s"],
            visual=found["visual"].astype(np.float32),
            visual_hz=found["visual_hz"],
            visual_by=Source(**found["visual_by"]),
            shots=tuple(Shot(**each) for each in found["shots"]),
            shots_by=found["shots_by"],
            captions=tuple(Caption(**each) for each in found["captions"]),
            captions_by=Source(**found["captions_by"]),
            language=found["language"].astype(np.float32),
            language_by=Source(**found["language_by"]),
        ),
        alignment=found["alignment"],
        visual_on_beats=row["visual_on_beats"].astype(np.float32),
        language_on_beats=None if language is None else language.astype(np.float32),
    )


def _curves_of(curves: dict[str, Any]) -> GridCurves:
    values = {name: curves[name].astype(np.float32) for name in ("covered", *GRID_CURVES)}
    return GridCurves(start_s=curves["start_s"], **values)


def _conditions_of(codes: dict[str, Any] | None) -> ItemConditions | None:
    return (
        None
        if codes is None
        else ItemConditions(**{name: each.astype(np.int64) for name, each in codes.items()})
    )
