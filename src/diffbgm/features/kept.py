"""What was computed once, kept in the user's cache folder piece by piece, under what it came from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from diffbgm.errors import OutputError
from diffbgm.features.film_features import Rows


class Kept:
    """A folder for the pieces of one computation, named by a hash of everything that they depend on.

    identity: JSON values (hashes of the film and the model, settings). Another identity is another folder,
    so that nothing ever has to be thrown away because it is out of date. Pieces appear whole or not at
    all; one that cannot be read any more counts as missing. Raises OutputError if the folder cannot be made
    or written.
    """

    def __init__(self, root: Path, **identity: Any) -> None:
        text = json.dumps(identity, sort_keys=True)
        self._folder = root / hashlib.sha256(text.encode()).hexdigest()[:32]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{self._folder}: the cache cannot be kept here ({error.strerror}); set XDG_CACHE_HOME"
            ) from error
        if not (self._folder / "identity.json").exists():
            self._write("identity.json", lambda file: file.write(text.encode()))

    def rows(self, index: int) -> Rows | None:
        """Piece `index` as float32 rows, None if it is not there."""
        try:
            return np.asarray(np.load(self._folder / f"{index:05}.npy", allow_pickle=False), np.float32)
        except (OSError, EOFError, ValueError):
            return None

    def keep_rows(self, index: int, rows: Rows) -> None:
        self._write(f"{index:05}.npy", lambda file: np.save(file, rows))

    def value(self, index: int) -> Any | None:
        """Piece `index` as a JSON value, None if it is not there."""
        try:
            return json.loads((self._folder / f"{index:05}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def keep_value(self, index: int, value: Any) -> None:
        text = json.dumps(value, ensure_ascii=False)
        self._write(f"{index:05}.json", lambda file: file.write(text.encode()))

    def _write(self, name: str, write: Callable[[IO[bytes]], object]) -> None:
        path = self._folder / name
        temporary = path.with_name(f"{name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                write(file)
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise OutputError(f"{path}: the cache cannot be written ({error.strerror})") from error
