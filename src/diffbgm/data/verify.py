"""`dataset verify`: what can be found wrong with a dataset, or with POP909 as it is distributed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from numpy.typing import NDArray

from diffbgm.data import store
from diffbgm.data.item import Item
from diffbgm.data.rows import items_of
from diffbgm.data.sources import INSIDE, Sources
from diffbgm.data.verify_items import check_item
from diffbgm.data.verify_pop909 import check_pop909, is_pop909, like_songs
from diffbgm.data.verify_report import Finding, Report, finding
from diffbgm.errors import InputError
from diffbgm.progress import Listener, Stages


def verify(folder: Path, *, media: bool = False, progress: Listener | None = None) -> Report:
    """Check a built dataset, or a folder with POP909's songs (or the folder POP909 in it). Changes nothing.

    media: also read all media of a dataset, compare their hashes and listen for the songs in the soundtracks;
    about ten seconds a video instead of a tenth.
    Raises InputError if there is neither, or the dataset cannot be opened at all.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a dataset or POP909")
    stages = Stages(progress)
    for place in (folder, folder / "POP909"):
        if is_pop909(place):
            with stages.stage("songs") as tell:
                count, findings = check_pop909(place, tell)
            return Report(str(folder), "pop909", count, False, tuple(findings))
    with stages.stage("items") as tell:
        return _verify_dataset(folder, media, tell)


def _verify_dataset(folder: Path, media: bool, tell: Any) -> Report:
    about = store.description(folder)
    files = store.data_files(folder)
    together = _Together()
    out: list[Finding] = []
    with TemporaryDirectory(prefix="diffbgm-") as scratch:
        sources = Sources(folder / about["media_root"], Path(scratch))
        for table in store.read_rows(files):
            name = str(table.column("item_id")[0].as_py())
            together.n_items += 1
            try:
                (item,) = items_of(table)
            except ValueError as error:  # the types of a record refuse what contradicts itself
                out.append(finding("record_broken", name, str(error)))
                continue
            if media:
                sources.unpack([each.path for each in item.media.values() if INSIDE in each.path])
            found, tune = check_item(item, sources, media=media)
            out += found
            together.add(item, tune)
            tell(min(together.n_items / max(about["items"], 1), 1.0))
    out += together.findings()
    out += _check_splits(folder, together.split_of_item)
    return Report(str(folder), "dataset", together.n_items, media, tuple(out))


class _Together:
    """What is kept of each item to compare it with the others."""

    def __init__(self) -> None:
        self.n_items = 0
        self.split_of_item: dict[str, str] = {}
        self._tunes: dict[str, NDArray[Any]] = {}
        self._twice: list[str] = []
        # What must not be on two sides: a song, a video, a file's content; in which splits, by which items.
        self._shared: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)

    def add(self, item: Item, tune: NDArray[Any]) -> None:
        if item.item_id in self.split_of_item:
            self._twice.append(item.item_id)
        split = item.split or ""
        self.split_of_item[item.item_id] = split
        self._tunes.setdefault(item.song_id, tune)
        things = [("song", item.song_id), ("video", item.video_id)]
        things += [
            (f"content of the {role}", item.media[role].sha256)
            for role in ("song", "video")
            if role in item.media
        ]
        for kind, name in things:
            if name is not None:
                self._shared[kind, name].setdefault(split, item.item_id)

    def findings(self) -> Iterator[Finding]:
        for name in self._twice:
            yield finding("duplicate_id", name, "this id is used twice")
        told = set()
        for (kind, name), by_split in self._shared.items():
            items = ", ".join(sorted(item for split, item in by_split.items() if split))
            if items.count(", ") and items not in told:
                told.add(items)
                yield finding("leak", items, f"the same {kind}, {name}, in {' and '.join(sorted(by_split))}")
        songs = {name: next(iter(self._shared["song", name])) for name in self._tunes}
        yield from like_songs(self._tunes, songs)


def _check_splits(folder: Path, split_of_item: dict[str, str]) -> Iterator[Finding]:
    """The lists in `splits/` say the same as the rows."""
    for path in sorted((folder / store.SPLITS).glob("*.txt")):
        listed = set(path.read_text(encoding="utf-8").split())
        rows = {item for item, split in split_of_item.items() if split == path.stem}
        for name in sorted(listed ^ rows):
            where = "the list, not in the row" if name in listed else "the row, not in the list"
            yield finding("record_broken", name, f"is in {path.stem} by {where}", split=path.stem)
