from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from diffbgm.data.pop909 import read_table

LEARNED = ("010", "250", "500", "750")
HELD_OUT = tuple(f"{number:03d}" for number in range(19, 909, 80))


class Songs:
    """Some songs of POP909. folder: holds `POP909/`. rows: of the song table, by song."""

    def __init__(self, folder: Path, table: Path) -> None:
        self.folder, self.table = folder, table
        self.rows = {row["song_id"]: row for row in read_table(table)}


@pytest.fixture(scope="session")
def songs(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Songs:
    folder = tmp_path_factory.mktemp("pop909")
    for archive in ("POP909.tar.xz", "POP909-structure.tar.xz"):
        with tarfile.open(shared / "data" / archive, "r:xz") as tar:
            wanted = {*LEARNED, *HELD_OUT}
            members = [m for m in tar if m.name.split("/")[1:2] and m.name.split("/")[1] in wanted]
            tar.extractall(folder, members, filter="data")
    lines = (shared / "data" / "POP909-songs.csv").read_text(encoding="utf-8").splitlines()
    head, *rows = lines
    table = folder / "songs.csv"
    kept = [row for row in rows if row.split(",")[0].strip('"') in wanted]
    table.write_text("\n".join([head, *kept]) + "\n", encoding="utf-8")
    return Songs(folder, table)
