"""The manifest: which song goes with which video, and by how much the music is shifted.

A CSV or Parquet file, one row an item. Only `song` must be given; unknown columns are refused, so that a
misspelt one is not passed over. Paths are relative to the manifest's folder.

**The offset has one sign everywhere**: `offset_s` is the song time at video time 0,

    song time = video time + offset_s.

A music video with 12 s of talk before the song begins has offset_s = -12; a video that begins 30 s into the
song has offset_s = 30.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from os.path import normpath
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from diffbgm.errors import InputError, OptionError

_LEFT_OVER = 3  # faults shown of a manifest that has many

Id = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[\w.+-]+$")]


class ManifestRow(BaseModel):
    """One pair of song and video.

    item_id: names the item for ever; by default song and video id joined. song_id, video_id: which rows
    have the same song or video; by default the file names. song: a MIDI file, a POP909 song folder, or a
    folder inside an archive written `POP909.tar.xz!/POP909/001`. video: left out for songs alone.
    offset_s: see the module. confidence, method: how the pair was found, 1.0 where a person made it.
    audio: a recording of the song. captions, features, lyrics: files with what is known of the video and
    the words of the song. split: overrides the rule of the build.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    song: Annotated[str, Field(min_length=1)]
    video: str | None = None
    offset_s: Annotated[float, Field(ge=-86400.0, le=86400.0)] = 0.0
    item_id: Id | None = None
    song_id: Id | None = None
    video_id: Id | None = None
    confidence: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    method: str | None = None
    audio: str | None = None
    captions: str | None = None
    features: str | None = None
    lyrics: str | None = None
    title: str | None = None
    artist: str | None = None
    split: Literal["train", "heldout"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _empty_is_left_out(cls, cells: dict[str, Any]) -> dict[str, Any]:
        """An empty cell of a CSV file and a null of a Parquet file are values left out."""
        given = {name: value.strip() if isinstance(value, str) else value for name, value in cells.items()}
        return {name: value for name, value in given.items() if value not in (None, "")}

    @property
    def song_name(self) -> str:
        return self.song_id or name_of(self.song)

    @property
    def video_name(self) -> str | None:
        if self.video is None:
            return self.video_id
        return self.video_id or name_of(self.video)

    @property
    def item_name(self) -> str:
        return self.item_id or "-".join(name for name in (self.song_name, self.video_name) if name)


STAND_IN: Final = "stand-in"
"""What `method` begins with where a video does not belong to its song, and only fills the place of one."""

COLUMNS: tuple[str, ...] = tuple(ManifestRow.model_fields)


def read_manifest(path: Path) -> tuple[ManifestRow, ...]:
    """All rows, checked. Raises InputError that names the row numbers (1 = the first after the header)
    and what is wrong in them, also where two rows have the same item id, or different songs or videos whose
    files are called alike and that have no ids."""
    cells = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    rows, faults = [], []
    seen: dict[str, int] = {}
    named: dict[tuple[str, str], tuple[str, int]] = {}
    for number, row in enumerate(cells, start=1):
        try:
            checked = ManifestRow.model_validate(row)
        except ValidationError as error:
            faults.append(f"row {number}: {_first_fault(error)}")
            continue
        earlier = seen.setdefault(checked.item_name.casefold(), number)
        if earlier != number:
            faults.append(f"row {number}: item id {checked.item_name} is that of row {earlier}; set item_id")
        faults.extend(_same_names(checked, number, named))
        rows.append(checked)
    if faults:
        more = f"; and {len(faults) - _LEFT_OVER} more" if len(faults) > _LEFT_OVER else ""
        raise InputError(f"{path}: {'; '.join(faults[:_LEFT_OVER])}{more}")
    if not rows:
        raise InputError(f"{path}: no row; expected one song and video a row")
    return tuple(rows)


def _same_names(row: ManifestRow, number: int, named: dict[tuple[str, str], tuple[str, int]]) -> list[str]:
    """What is wrong where the row's song or video is called as another file that `named` knows.

    `a/song.mid` and `b/song.mid` would pass for one song, and all but the first be left out of training.
    """
    faults = []
    for role, path, given, name in (
        ("song", row.song, row.song_id, row.song_name),
        ("video", row.video, row.video_id, row.video_name),
    ):
        if path is None or name is None or given is not None:
            continue
        earlier, at = named.setdefault((role, name), (normpath(path), number))
        if earlier != normpath(path):
            faults.append(
                f"row {number}: {role} id {name} is that of another {role} in row {at}; set {role}_id"
            )
    return faults


def check_name(path: Path) -> None:
    """Raises OptionError unless a manifest can be written under this name."""
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise OptionError(f"{path}: a manifest ends in .csv or .parquet")


def write_manifest(rows: Iterable[ManifestRow], path: Path) -> None:
    """Write rows as CSV or Parquet by the name's ending; columns that no row uses are left out.

    Raises OptionError for another ending. The file appears whole or not at all.
    """
    check_name(path)
    cells = [row.model_dump(exclude_none=True) for row in rows]
    used = [name for name in COLUMNS if name == "song" or any(name in row for row in cells)]
    temporary = path.with_name(f".{path.name}.new")
    if path.suffix.lower() == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        numbers = ("offset_s", "confidence")
        schema = pa.schema([(name, pa.float64() if name in numbers else pa.string()) for name in used])
        pq.write_table(pa.Table.from_pylist(cells, schema=schema), temporary)
    else:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, used, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(cells)
    temporary.replace(path)


def _read_csv(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", strict=True)
            rows: list[dict[str, Any]] = list(reader)
            names = list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot read the manifest ({error}); expected CSV in UTF-8") from error
    _check_columns(path, names)
    for number, row in enumerate(rows, start=1):
        if "" in row:
            raise InputError(f"{path}: row {number} has more cells than the header")
    return rows


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot read the manifest ({error}); expected Parquet") from error
    _check_columns(path, table.column_names)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _check_columns(path: Path, names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        raise InputError(f"{path}: unknown column {unknown[0]!r}; known are {', '.join(COLUMNS)}")
    if "song" not in names:
        raise InputError(f"{path}: there is no column song, the MIDI file or song folder of each row")


def _first_fault(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')} (found {first['input']!r})"


def name_of(path: str) -> str:
    """The file name without its ending, with only the characters an id may have."""
    return re.sub(r"[^\w.+-]+", "_", PurePosixPath(path.replace("\\", "/")).stem) or "_"
