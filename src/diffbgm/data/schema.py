"""The columns of the dataset: type, unit, axes and source of each, as a Parquet schema that explains itself.

float16 holds curves and learned features, whose own error is far above its 0.05 %; times stay float64.
pandas, polars, DuckDB and `datasets` all read float16, nested lists and structs (tests/data/test_store.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from diffbgm.data.annotation.music import PACKED_BYTES
from diffbgm.diffusion.conditions import DYNAMIC_FIELDS, SEMANTIC_FIELDS
from diffbgm.diffusion.roll import TRACKS
from diffbgm.timing import STEPS_PER_BEAT

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION: Final = "1.0"
MEDIA_ROLES: Final = ("song", "video", "audio", "captions", "features", "lyrics")

FILM_CURVES: Final = ("motion", "camera", "brightness", "saturation", "warmth")
GRID_CURVES: Final = (*FILM_CURVES, "speech", "cuts", "onsets", "melody_onsets", "velocity")

_SPAN_COLUMNS: Final = {
    "keys": ("keys, modulations as several spans: `C`, `F#`, `Am`", "estimated from the notes"),
    "given_keys": ("as the source writes them: `Gb:maj`; empty where it has none", "source dataset"),
    "chords": ("chords: `C`, `Am`, `G7`, `F/A`, `N` = none", "estimated from the notes"),
    "given_chords": ("as the source writes them: `C:min7/b3`; empty where it has none", "source dataset"),
    "phrases": ("phrases, equal labels are the same material", "as `phrase_source` says"),
}  # fmt: skip


def schema() -> pa.Schema:
    """The Arrow schema of a row; each field carries `description`, and `unit`, `axes`, `source` where it has
    them; the schema carries `diffbgm.schema_version`."""
    import pyarrow as pa

    fields = [*_identity(), *_music(), *_film(), *_features(), *_aligned()]
    return pa.schema(fields, metadata={"diffbgm.schema_version": SCHEMA_VERSION})


def media_type() -> pa.DataType:
    import pyarrow as pa

    return pa.struct([("path", pa.string()), ("sha256", pa.string()), ("size_bytes", pa.int64())])


def span_type() -> pa.DataType:
    import pyarrow as pa

    return pa.struct(
        [
            ("start_beat", pa.int32()),
            ("end_beat", pa.int32()),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("label", pa.string()),
            ("confidence", pa.float32()),
        ]
    )


def timed_text_type() -> pa.DataType:
    import pyarrow as pa

    return pa.struct([("start_s", pa.float64()), ("end_s", pa.float64()), ("text", pa.string())])


def stretch_type() -> pa.DataType:
    import pyarrow as pa

    return pa.struct([("start_s", pa.float64()), ("end_s", pa.float64())])


def _field(name: str, kind: Any, description: str, **more: str) -> pa.Field:
    import pyarrow as pa

    return pa.field(name, kind, metadata={"description": description, **more})


def _identity() -> Iterator[pa.Field]:
    import pyarrow as pa

    text = pa.string()
    yield _field("item_id", text, "names the item for ever")
    yield _field("song_id", text, "rows with the same song share it")
    yield _field("video_id", text, "rows with the same video share it; null for a song without video")
    yield _field("split", text, "which list of the folder splits/ holds the item")
    yield _field("source", text, "kind of the song's source: pop909 or midi")
    yield _field("title", text, "title of the song", source="manifest or source dataset")
    yield _field("artist", text, "artist of the song", source="manifest or source dataset")
    yield _field(
        "offset_s",
        pa.float64(),
        "song time at video time 0: song time = video time + offset_s",
        unit="s",
        source="manifest",
    )
    yield _field(
        "pair_confidence", pa.float32(), "how sure the pair and its offset are, 0..1", source="manifest"
    )
    yield _field("pair_method", text, "how the pair was found", source="manifest")
    for role in MEDIA_ROLES:
        yield _field(
            f"{role}_media",
            media_type(),
            f"the {role} by reference: path relative to `media_root` of dataset.json, SHA-256 of its bytes "
            "(of a folder: of the lines `sha256  name` sorted by name); null where there is none",
        )
    yield _field("inputs_sha256", text, "over everything the row was computed from")
    yield _field("schema_version", text, "version of these columns")


def _music() -> Iterator[pa.Field]:
    import pyarrow as pa

    tracks = ", ".join(TRACKS)
    yield _field("n_beats", pa.int32(), "beats of the song")
    yield _field("n_notes", pa.int32(), "note onsets on the grid", source="bits")
    yield _field("duration_s", pa.float64(), "from the first beat to the end of the last", unit="s")
    yield _field("tempo_bpm", pa.float32(), "median tempo", unit="beats a minute", source="beats_s")
    yield _field(
        "beats_s",
        pa.list_(pa.float64()),
        "song time at which each beat starts, and the end of the last one",
        unit="s",
        axes="(n_beats + 1)",
    )
    yield _field("downbeat", pa.list_(pa.bool_()), "whether a bar begins here", axes="(n_beats)")
    yield _field("beats_per_bar", pa.int8(), "counted beats a bar: 4 in 4/4 and 12/8, 3 in 3/4 and 9/8")
    yield _field("eighths_per_beat", pa.int8(), "2, or 3 in compound time")
    for name, (description, source) in _SPAN_COLUMNS.items():
        yield _field(
            name,
            pa.list_(span_type()),
            f"{description}; start_s, end_s: song time",
            unit="beats, s",
            source=source,
        )
    yield _field("phrase_source", pa.string(), "given with the song, or estimated")
    yield _field("roles", pa.list_(pa.string()), "melody, counter or accompaniment, a track of the file each")
    yield _field(
        "bits",
        pa.list_(pa.list_(pa.uint8(), PACKED_BYTES)),
        f"notes: numpy.packbits of bool (tracks {tracks}; planes onset, sustain; {STEPS_PER_BEAT} steps; 88 "
        "pitches from MIDI 21), most significant bit first",
        axes=f"(n_beats, {PACKED_BYTES})",
    )
    yield _field(
        "velocity",
        pa.list_(pa.list_(pa.uint8(), len(TRACKS) * STEPS_PER_BEAT)),
        f"mean MIDI velocity of the onsets at a step, 0 = none; tracks {tracks}, {STEPS_PER_BEAT} steps each",
        axes=f"(n_beats, {len(TRACKS)} * {STEPS_PER_BEAT})",
    )
    yield _field("dynamics", pa.list_(pa.float16()), "velocity curve", unit="MIDI velocity", axes="(n_beats)")
    yield _field("grid_fit", pa.float32(), "share of the onsets that lie on the grid, 0..1")
    yield _field(
        "lyrics", pa.list_(timed_text_type()), "words sung; song time", unit="s", source="lyrics_media"
    )


def _film() -> Iterator[pa.Field]:
    import pyarrow as pa

    transition = pa.struct(
        [
            ("time_s", pa.float64()),
            ("kind", pa.string()),
            ("from_s", pa.float64()),
            ("to_s", pa.float64()),
            ("strength", pa.float32()),
        ]
    )
    film = pa.struct(
        [
            ("container", pa.string()),
            ("duration_s", pa.float64()),
            ("frame_rate_numerator", pa.int32()),
            ("frame_rate_denominator", pa.int32()),
            ("n_frames", pa.int64()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("rotation", pa.int16()),
            ("has_audio", pa.bool_()),
            ("has_music", pa.bool_()),
            ("source_lufs", pa.float32()),
            ("warnings", pa.list_(pa.string())),
            ("shots", pa.list_(stretch_type())),
            ("transitions", pa.list_(transition)),
            ("speech", pa.list_(stretch_type())),
            ("curve_hz", pa.float64()),
            *((name, pa.list_(pa.float16())) for name in FILM_CURVES),
        ]
    )
    yield _field(
        "film",
        film,
        "what is seen and heard in the video; all times video time. Value k of a curve holds from "
        "k/curve_hz to (k+1)/curve_hz; motion, camera, brightness, saturation 0..1, warmth -1..1 (orange); "
        "source_lufs null where the video is silent. Null for a song without video",
        unit="s, LUFS",
        source="video_media",
    )


def _features() -> Iterator[pa.Field]:
    import pyarrow as pa

    rows = pa.list_(pa.list_(pa.float16()))
    model = pa.struct([("name", pa.string()), ("sha256", pa.string())])
    features = pa.struct(
        [
            ("alignment", pa.string()),
            ("film", model),
            ("duration_s", pa.float64()),
            ("visual", rows),
            ("visual_hz", pa.float64()),
            ("visual_by", model),
            ("shots", pa.list_(stretch_type())),
            ("shots_by", pa.string()),
            ("captions", pa.list_(timed_text_type())),
            ("captions_by", model),
            ("language", rows),
            ("language_by", model),
        ]
    )
    yield _field(
        "captions", pa.list_(timed_text_type()), "what is to be seen, in words; video time", unit="s",
        source="captions_media, features_media or the extractors",
    )  # fmt: skip
    yield _field(
        "features",
        features,
        "learned features; visual row k from k/visual_hz to (k+1)/visual_hz, one language row "
        "a caption. alignment: `time`, or `stretched` where rows have no times and are spread over the beats",
        axes="visual (rows, width), language (captions, width)",
        source="features_media or the extractors",
    )
    for name in ("visual", "language"):
        yield _field(
            f"{name}_on_beats", rows, f"{name} features of each beat, by time overlap or stretched as "
            "features.alignment says", axes="(n_beats, width)", source="features",
        )  # fmt: skip


def _aligned() -> Iterator[pa.Field]:
    import pyarrow as pa

    curves = [(name, pa.list_(pa.float16())) for name in GRID_CURVES]
    head = [("start_s", pa.list_(pa.float64())), ("covered", pa.list_(pa.float16()))]
    explained = (
        "motion, camera, brightness, saturation, warmth: means by true time overlap; speech: share of time; "
        "cuts: transitions in it; onsets, melody_onsets: notes that begin in it; velocity: their mean. Null "
        "outside the film or the song. covered: share of the step that lies in the film"
    )
    yield _field(
        "on_beats", pa.struct(head + curves), f"each beat of the song; start_s: video time. {explained}",
        axes="(n_beats)",
    )  # fmt: skip
    yield _field(
        "on_clock",
        pa.struct([("hz", pa.float64()), ("beat", pa.list_(pa.float32())), *head, *curves]),
        f"equal steps of video time, hz a second; beat: position in the song. {explained}",
        axes="(steps)",
    )
    codes = pa.struct(
        [
            ("dynamic", pa.list_(pa.list_(pa.uint8(), len(DYNAMIC_FIELDS)))),
            ("semantic", pa.list_(pa.list_(pa.uint8(), len(SEMANTIC_FIELDS)))),
            ("segment", pa.list_(pa.int16())),
            ("dynamic_on_clock", pa.list_(pa.list_(pa.uint8(), len(DYNAMIC_FIELDS)))),
            ("segment_on_clock", pa.list_(pa.int16())),
        ]
    )
    fields = f"dynamic: {', '.join(DYNAMIC_FIELDS)}; semantic: {', '.join(SEMANTIC_FIELDS)}"
    for source, made in (("music", "notes and phrases"), ("film", "picture, on the song's own bars")):
        yield _field(
            f"{source}_conditions",
            codes,
            f"codes of the two condition streams; 0 = unknown. {fields}. segment: row of semantic that a "
            "beat belongs to, -1 = none. Null where the metre is not 4/4 or there is too little of it",
            axes="dynamic (n_beats, fields), semantic (segments, fields), *_on_clock (steps, ...)",
            source=made,
        )
