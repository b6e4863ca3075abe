"""The dataset's folder: how rows come into it one by one, and how they become its files.

| file | what |
|---|---|
| `data-00000-of-00002.parquet` ... | the rows, ordered by item id |
| `splits/train.txt`, `splits/heldout.txt` | item ids |
| `dataset.json` | schema version, where media lie, settings, names of the data files |
| `failures.jsonl` | items that could not be built, with the reason |
| `build.jsonl` | what each row was built from, so that a later build does only what has changed |
| `items/` | rows of a build that has not come to its end yet |

A row appears in `items/` whole or not at all. At the end all files are written anew under a hidden name, the
hidden folder is renamed as a mark that it is complete, and its files are moved into place; a process killed
on the way leaves a folder from which the next build goes on. One build at a time may work in a folder.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from diffbgm.data.schema import schema
from diffbgm.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

DESCRIPTION: Final = "dataset.json"
FAILURES: Final = "failures.jsonl"
STATE: Final = "build.jsonl"
ITEMS: Final = "items"
SPLITS: Final = "splits"
SCRATCH: Final = ".work"

ROWS_PER_FILE: Final = 512
ROWS_PER_GROUP: Final = 32

_UNFINISHED: Final = ".files.new"
_COMPLETE: Final = ".files"
_BUILT: Final = b"diffbgm.built"


@dataclass(frozen=True)
class Built:
    """What a row was built from. stamp: digest of how the inputs look on disk (size, time of change);
    inputs_sha256: digest of what they contain and of the settings."""

    item_id: str
    stamp: str
    inputs_sha256: str


@dataclass(frozen=True)
class Failure:
    """An item that could not be built. expected: False where the reason is a fault of this program."""

    item_id: str
    row: int
    reason: str
    expected: bool


def write_item(folder: Path, table: pa.Table, built: Built) -> None:
    """Put one row into `items/`."""
    import pyarrow.parquet as pq

    home = folder / ITEMS
    home.mkdir(exist_ok=True)
    path = home / f"{_file_name(built.item_id)}.parquet"
    temporary = path.with_suffix(".new")
    metadata = {**table.schema.metadata, _BUILT: json.dumps(asdict(built)).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")
    temporary.replace(path)


def fresh_items(folder: Path) -> dict[str, Built]:
    """The rows in `items/`, by item id."""
    import pyarrow.parquet as pq

    found = {}
    for path in (folder / ITEMS).glob("*.parquet"):
        built = Built(**json.loads(pq.read_schema(path).metadata[_BUILT]))
        found[built.item_id] = built
    return found


def stored_items(folder: Path) -> dict[str, tuple[Built, str | None]]:
    """The rows in the data files and their split, by item id."""
    path = folder / STATE
    if not path.is_file():
        return {}
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {line["item_id"]: (_built(line), line["split"]) for line in lines}


def _built(line: dict[str, Any]) -> Built:
    return Built(line["item_id"], line["stamp"], line["inputs_sha256"])


def description(folder: Path) -> dict[str, Any]:
    """`dataset.json`. Raises InputError if there is no dataset, or one of another kind."""
    path = folder / DESCRIPTION
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            f"{folder}: no dataset there ({path.name}: {error}); `dataset build` makes one"
        ) from error
    if "schema_version" not in found:
        raise InputError(f"{path}: not the description of a dataset built by diffbgm")
    return found


def data_files(folder: Path) -> list[Path]:
    """The Parquet files of a dataset, in order. Raises InputError if one is missing."""
    files = [folder / name for name in description(folder)["files"]]
    for path in files:
        if not path.is_file():
            raise InputError(f"{path}: missing; build the dataset again")
    return files


def read_rows(files: Iterable[Path], columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The rows of data files one by one, a table each; never more than a row group is held."""
    import pyarrow.parquet as pq

    for path in files:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=columns)
                for row in range(len(table)):
                    yield table.slice(row, 1)


def compact(
    folder: Path, kept: Mapping[str, Built], splits: Mapping[str, str | None], about: Mapping[str, Any]
) -> None:
    """Write the data files anew: of every item of `kept` its row in `items/`, else the one stored before.

    splits: by item id. about: what else `dataset.json` says. The same rows give the same bytes.
    """
    shutil.rmtree(folder / _UNFINISHED, ignore_errors=True)
    new = folder / _UNFINISHED
    (new / SPLITS).mkdir(parents=True)
    order = sorted(kept)
    rows = _rows_in_order(folder, order)
    n_files = max(1, -(-len(order) // ROWS_PER_FILE))
    names = [f"data-{number:05d}-of-{n_files:05d}.parquet" for number in range(n_files)]
    for name in names:
        _write_file(new / name, islice(rows, ROWS_PER_FILE), splits)
    counts = {}
    for split in ("train", "heldout"):
        ids = [item_id for item_id in order if splits[item_id] == split]
        counts[split] = len(ids)
        (new / SPLITS / f"{split}.txt").write_text("".join(f"{each}\n" for each in ids), encoding="utf-8")
    state = ({**asdict(kept[item_id]), "split": splits[item_id]} for item_id in order)
    write_lines(new / STATE, state)
    found = {**about, "items": len(order), "splits": counts, "files": names}
    (new / DESCRIPTION).write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    new.replace(folder / _COMPLETE)
    finish(folder)


def finish(folder: Path) -> None:
    """Move complete files into place where a build was stopped before or while doing so."""
    complete = folder / _COMPLETE
    if complete.is_dir():
        (folder / SPLITS).mkdir(exist_ok=True)
        moving = [path for path in sorted(complete.rglob("*")) if path.is_file()]
        for path in sorted(moving, key=lambda each: each.name == DESCRIPTION):
            path.replace(folder / path.relative_to(complete))
        names = set(description(folder)["files"])
        for path in folder.glob("data-*.parquet"):
            if path.name not in names:
                path.unlink()
        shutil.rmtree(folder / ITEMS, ignore_errors=True)
        shutil.rmtree(complete)
    shutil.rmtree(folder / _UNFINISHED, ignore_errors=True)


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """JSON objects, one a line; the file appears whole."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n" for line in lines)
    temporary.replace(path)


def _rows_in_order(folder: Path, order: list[str]) -> Iterator[pa.Table]:
    """One row for each id; both `order` and the stored rows rise, so that they are walked once together."""
    import pyarrow.parquet as pq

    stored = read_rows(data_files(folder)) if (folder / STATE).is_file() else iter(())
    at, row = "", None
    for item_id in order:
        path = folder / ITEMS / f"{_file_name(item_id)}.parquet"
        if path.is_file():
            yield pq.read_table(path)
            continue
        while at < item_id:
            row = next(stored)
            at = row.column("item_id")[0].as_py()
        assert row is not None
        assert at == item_id
        yield row


def _write_file(path: Path, rows: Iterator[pa.Table], splits: Mapping[str, str | None]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, schema(), compression="zstd") as writer:
        while group := list(islice(rows, ROWS_PER_GROUP)):
            table = pa.concat_tables(each.replace_schema_metadata(schema().metadata) for each in group)
            column = pa.array([splits[each] for each in table.column("item_id").to_pylist()], pa.string())
            at = table.schema.get_field_index("split")
            writer.write_table(table.set_column(at, table.schema.field(at), column).combine_chunks())


def _file_name(item_id: str) -> str:
    """The item's file: its id, and a digest since some file systems do not tell `a` from `A`."""
    return f"{item_id}-{hashlib.sha256(item_id.encode()).hexdigest()[:8]}"
