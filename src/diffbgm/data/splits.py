"""Which items are trained on and which are held out: always by song, so that no song is on both sides."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from diffbgm.data.bgm909 import read_split
from diffbgm.data.manifest import ManifestRow
from diffbgm.data.pop909 import Split, split_of
from diffbgm.errors import InputError

_NAMES: Final[dict[str, Split]] = {
    "train": "train", "heldout": "heldout", "val": "heldout", "valid": "heldout", "validation": "heldout",
    "test": "heldout",
}  # fmt: skip


def split_by_rule(song_id: str) -> Split:
    """Songs whose number ends in 9 are held out; of songs without a number, a tenth by a hash of the id."""
    if song_id[-1:].isdigit():
        return split_of(song_id)
    return "heldout" if hashlib.sha256(song_id.encode()).digest()[0] % 10 == 9 else "train"


def splits_of(rows: Sequence[ManifestRow], file: Path | None) -> dict[str, Split | None]:
    """The split of each item. The manifest's own comes first, then the file's, where one is given, else the
    rule's. A song that the file does not list is in no split. Raises InputError if it lists none."""
    listed = None if file is None else read_split_file(file)
    if listed is not None and not any(row.song_name in listed for row in rows):
        raise InputError(
            f"{file}: lists none of the songs; it has {', '.join(list(listed)[:3])}, and the manifest "
            f"{', '.join(row.song_name for row in rows[:3])}"
        )
    return {
        row.item_name: row.split
        or (split_by_rule(row.song_name) if listed is None else listed.get(row.song_name))
        for row in rows
    }


def read_split_file(path: Path) -> dict[str, Split]:
    """The published split (.pickle, .pkl), or CSV with the columns song_id and split. By song id.

    Raises InputError if it is neither, or lists a song on both sides.
    """
    if path.suffix.lower() in (".pickle", ".pkl"):
        train, heldout = read_split(path)
        pairs: list[tuple[str, Split]] = [
            *((each, "train") for each in train),
            *((each, "heldout") for each in heldout),
        ]
    else:
        pairs = _read_csv(path)
    found: dict[str, Split] = {}
    for song_id, split in pairs:
        if found.setdefault(song_id, split) != split:
            raise InputError(f"{path}: song {song_id} is both in train and in heldout")
    return found


def _read_csv(path: Path) -> list[tuple[str, Split]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot read the split ({error})") from error
    if not rows or not {"song_id", "split"} <= rows[0].keys():
        raise InputError(f"{path}: expected a pickle of two lists, or CSV with the columns song_id and split")
    pairs = []
    for number, row in enumerate(rows, start=1):
        if row["split"] not in _NAMES:
            raise InputError(f"{path}: row {number}: split {row['split']!r}; known are {', '.join(_NAMES)}")
        pairs.append((row["song_id"], _NAMES[row["split"]]))
    return pairs
