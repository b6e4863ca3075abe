"""Build a dataset from a manifest: what is there already stays, what is new or has changed is made.

Every finished item is on disk at once, so a build may be killed at any moment and goes on where it was. An
item that fails is recorded with the reason and the others go on. The same inputs give the same bytes,
whatever the engine, the number of workers and the order of the rows.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final

from diffbgm import __version__
from diffbgm.data import store
from diffbgm.data.engines import Engine, Job, run
from diffbgm.data.manifest import ManifestRow
from diffbgm.data.schema import SCHEMA_VERSION
from diffbgm.data.sources import Sources, rows_of
from diffbgm.data.splits import splits_of
from diffbgm.data.store import Built, Failure
from diffbgm.data.worker import BuildSettings, Task, stamp_of, task_to_json
from diffbgm.errors import InputError, OutputError

# Songs with one video are built by one worker, which decodes it once; of very many this many at a time.
_MOST_PER_JOB: Final = 16


@dataclass(frozen=True)
class Progress:
    """How far a build is. rate: items a minute since it began."""

    done: int
    total: int
    failed: int
    rate: float
    remaining_s: float


@dataclass(frozen=True)
class BuildResult:
    """What a build did. items: rows in the dataset; built: made now; unchanged: there already."""

    folder: Path
    items: int
    built: int
    unchanged: int
    failures: tuple[Failure, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "items": self.items,
            "built": self.built,
            "unchanged": self.unchanged,
            "failures": [asdict(each) for each in self.failures],
            "seconds": round(self.seconds, 3),
        }


def build(
    source: Path,
    folder: Path,
    settings: BuildSettings | None = None,
    *,
    engine: Engine = "local",
    workers: int | None = None,
    split: Path | None = None,
    force: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> BuildResult:
    """Build the dataset of a manifest, of POP909 or of a folder of MIDI into `folder`.

    workers: processes (default: one a core). split: a file with splits in place of our rule. force: make
    every row anew. An item that fails keeps the row it had, if it had one.

    Raises InputError for a manifest or split that cannot be read or a song table that is not there,
    OutputError if `folder` cannot be written or holds something else, MissingToolError if the engine is not
    installed.
    """
    begin = monotonic()
    settings = settings or BuildSettings()
    if settings.song_table is not None and not Path(settings.song_table).is_file():
        raise InputError(f"{settings.song_table}: no such file; expected POP909-songs.csv")
    root, rows = rows_of(source)
    splits = splits_of(rows, split)
    _open(folder)
    sources = Sources(root, folder / store.SCRATCH)
    known = {} if force else _known(folder)
    kept, tasks = _compare(rows, known, sources, settings)
    outcomes = Progressing(len(tasks), progress)
    failures: list[Failure] = []
    written = 0
    if tasks:
        sources.unpack([task.row.song for task in tasks])
        arguments = (str(folder.absolute()), str(root.absolute()), asdict(settings))
        count = workers or os.cpu_count() or 1
        for outcome in run(engine, arguments, _jobs(tasks), count):
            if outcome.built is not None:
                kept[outcome.built.item_id] = outcome.built
                written += outcome.written
            else:
                assert outcome.failure is not None
                failures.append(outcome.failure)
                before = known.get(outcome.failure.item_id)
                if before is not None:
                    kept[before.item_id] = before
            outcomes.count(failed=outcome.failure is not None)
    about = _about(root, folder, settings, split)
    if _differs(folder, kept, splits, about):
        store.compact(folder, kept, {item_id: splits[item_id] for item_id in kept}, about)
    failures.sort(key=lambda each: each.row)
    store.write_lines(folder / store.FAILURES, (asdict(each) for each in failures))
    shutil.rmtree(folder / store.SCRATCH, ignore_errors=True)
    return BuildResult(
        folder=folder,
        items=len(kept),
        built=written,
        unchanged=len(rows) - written - len(failures),
        failures=tuple(failures),
        seconds=monotonic() - begin,
    )


class Progressing:
    """Counts items and tells a listener."""

    def __init__(self, total: int, tell: Callable[[Progress], None] | None) -> None:
        self._total, self._tell = total, tell
        self._begin = monotonic()
        self._done = self._failed = 0

    def count(self, *, failed: bool) -> None:
        """One more item is done, or has failed."""
        self._done += 1
        self._failed += failed
        if self._tell is not None:
            elapsed_s = max(monotonic() - self._begin, 1e-6)
            left_s = elapsed_s / self._done * (self._total - self._done)
            self._tell(Progress(self._done, self._total, self._failed, 60 * self._done / elapsed_s, left_s))


def _open(folder: Path) -> None:
    """Make the folder, or go on in it. Raises OutputError if it holds something that is no dataset."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; choose a folder with -o")
    ours = (store.DESCRIPTION, store.ITEMS, store.SCRATCH, ".files", ".files.new", store.FAILURES)
    if folder.is_dir() and any(folder.iterdir()) and not any((folder / name).exists() for name in ours):
        raise OutputError(f"{folder}: holds other files and no dataset; choose an empty folder with -o")
    try:
        (folder / store.SCRATCH).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written ({error.strerror}); choose another with -o"
        ) from error
    store.finish(folder)


def _known(folder: Path) -> dict[str, Built]:
    stored = {item_id: built for item_id, (built, _) in store.stored_items(folder).items()}
    return {**stored, **store.fresh_items(folder)}


def _compare(
    rows: Iterable[ManifestRow], known: dict[str, Built], sources: Sources, settings: BuildSettings
) -> tuple[dict[str, Built], list[Task]]:
    """What is there and unchanged, and what is to be done."""
    kept: dict[str, Built] = {}
    tasks = []
    for number, row in enumerate(rows, start=1):
        before = known.get(row.item_name)
        stamp = _stamp(row, sources, settings)
        if before is not None and before.stamp == stamp:
            kept[row.item_name] = before
        else:
            tasks.append(Task(row, number, stamp, None if before is None else before.inputs_sha256))
    return kept, tasks


def _stamp(row: ManifestRow, sources: Sources, settings: BuildSettings) -> str:
    """The stamp of a row; empty where an input is missing, of which the worker then tells."""
    named = settings.song_table
    try:
        return stamp_of(row, sources, settings, Path(named) if named else sources.song_table(row.song))
    except InputError:
        return ""


def _jobs(tasks: list[Task]) -> Iterator[Job]:
    """Tasks with the same video together, as JSON."""
    groups: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        groups[task.row.video or f"song {task.number}"].append(task)
    for group in groups.values():
        for start in range(0, len(group), _MOST_PER_JOB):
            yield {"job": json.dumps([task_to_json(task) for task in group[start : start + _MOST_PER_JOB]])}


def _about(root: Path, folder: Path, settings: BuildSettings, split: Path | None) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "diffbgm_version": __version__,
        "media_root": Path(os.path.relpath(root.absolute(), folder.absolute())).as_posix(),
        "settings": settings.to_json(),
        "split_rule": "song numbers that end in 9 are held out" if split is None else f"file {split.name}",
    }


def _differs(folder: Path, kept: dict[str, Built], splits: dict[str, Any], about: dict[str, Any]) -> bool:
    """Whether the data files have to be written anew."""
    if not (folder / store.DESCRIPTION).is_file() or (folder / store.ITEMS).is_dir():
        return True
    there = store.description(folder)
    if any(there.get(name) != value for name, value in about.items()):
        return True
    wanted = {item_id: (built, splits[item_id]) for item_id, built in kept.items()}
    return store.stored_items(folder) != wanted
