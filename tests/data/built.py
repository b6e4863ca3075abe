"""Small datasets for tests, built in this process."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from diffbgm.data.build import BuildResult, build
from diffbgm.data.worker import BuildSettings, ItemWorker, outcome_from_json


def build_here(source: Path, folder: Path, settings: BuildSettings | None = None) -> BuildResult:
    """`build` with one worker that is this process."""

    def run(_engine: str, arguments: Any, given: Iterator[dict[str, str]], _workers: int) -> Iterator[Any]:
        worker = ItemWorker(*arguments)
        for job in given:
            yield from (outcome_from_json(each["outcome"]) for each in worker(job))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("diffbgm.data.build.run", run)
        return build(source, folder, settings)


def unpack_songs(shared: Path, folder: Path, songs: Sequence[str]) -> Path:
    """These songs of POP909, with the table of songs beside them."""
    wanted = tuple(f"POP909/{song}/" for song in songs)
    with tarfile.open(shared / "data" / "POP909.tar.xz") as archive:
        for member in archive:
            if member.name.startswith(wanted):
                archive.extract(member, folder, filter="data")
    table = shared / "data" / "POP909-songs.csv"
    (folder / table.name).write_bytes(table.read_bytes())
    return folder
