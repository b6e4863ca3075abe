"""Where the files go: their names, the checks before any work is done, and how they appear.

Everything is written under a hidden folder beside its destination and renamed into place at the end, so
that a failure, a full disk or a killed process leaves whole old files or whole new ones.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from diffbgm.errors import InputError, OptionError, OutputError

CONTAINERS: Final = (".mp4", ".mov", ".mkv", ".webm")

_NO_ROOM: Final = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file grew larger than allowed there",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EIO: "the disk reports an error",
}


@dataclass(frozen=True)
class Outputs:
    """The files of one film. `stems` is a folder; what was not asked for is None."""

    video: Path
    wav: Path
    midi: Path
    cues: Path
    roll: Path
    report: Path | None
    stems: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, the film last: where it stands, all the others do."""
        side = (self.wav, self.midi, self.cues, self.roll, self.report)
        return (*(path for path in side if path is not None), self.video)

    def to_json(self) -> dict[str, str | None]:
        return {
            name: None if path is None else str(path)
            for name, path in (
                ("video", self.video),
                ("wav", self.wav),
                ("midi", self.midi),
                ("cues", self.cues),
                ("roll", self.roll),
                ("report", self.report),
                ("stems", self.stems),
            )
        }


def film_path(video: Path, output: Path | None) -> Path:
    """The film to write: `output`, or `<name>.bgm.<ext>` beside the video.

    Raises OptionError if `output` ends in anything but the containers that can be written.
    """
    if output is None:
        suffix = video.suffix if video.suffix.lower() in CONTAINERS else ".mkv"
        return video.with_name(f"{video.stem}.bgm{suffix}")
    if output.suffix.lower() not in CONTAINERS:
        raise OptionError(f"option output: {output} should end in {', '.join(CONTAINERS)}")
    return output


def name_outputs(film: Path, *, report: bool, stems: Path | None, cues: Path | None) -> Outputs:
    """All files named after `film`. The sheet given as `cues` keeps its place: the new one steps aside."""
    sheet = film.with_suffix(".cues.json")
    if cues is not None and _same(sheet, cues):
        sheet = film.with_suffix(".solved.cues.json")
    return Outputs(
        video=film,
        wav=film.with_suffix(".wav"),
        midi=film.with_suffix(".mid"),
        cues=sheet,
        roll=film.with_suffix(".roll.npz"),
        report=film.with_suffix(".html") if report else None,
        stems=stems,
    )


def of_take(film: Path, stems: Path | None, seed: int) -> tuple[Path, Path | None]:
    """The film and stems folder of one of several takes: the seed stands before the suffix."""
    return film.with_name(f"{film.stem}.{seed}{film.suffix}"), None if stems is None else stems / str(seed)


def roll_beside(cues: Path) -> Path:
    """Where `compose` puts the roll of this cue sheet."""
    name = cues.name.removesuffix(".json").removesuffix(".cues").removesuffix(".solved")
    return cues.with_name(f"{name}.roll.npz")


def check_input(path: Path) -> None:
    """Raises InputError unless `path` is an ordinary file with something in it."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give a video file")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_file():
        raise InputError(f"{path}: is not an ordinary file; give a video file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes)")


def check_places(places: tuple[Path, ...], *, force: bool, inputs: tuple[Path, ...]) -> None:
    """Raises OutputError if a file cannot or must not be written there. Nothing stays changed."""
    for path in places:
        for given in inputs:
            if _same(path, given):
                raise OutputError(
                    f"{path}: is an input and is never overwritten; choose another name with -o"
                )
        if path.is_dir():
            raise OutputError(f"{path}: is a folder; choose another name with -o")
        if path.exists() and not force:
            raise OutputError(f"{path}: exists already; use --force to overwrite it, or another name with -o")
        if not path.parent.is_dir():
            raise OutputError(f"{path}: there is no folder {path.parent}; create it first")
    for parent in dict.fromkeys(path.parent for path in places):
        _try_writing(parent)


def check_stems(folder: Path, *, force: bool) -> None:
    """Raises OutputError unless stems can be put into `folder`, which may be missing."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; stems need a folder")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise OutputError(f"{folder}: is not empty; use --force to write the stems there, or another folder")
    nearest = _nearest_existing(folder)
    if not nearest.is_dir():
        raise OutputError(f"{folder}: cannot be made, {nearest} is a file")
    _try_writing(nearest)


class Staging:
    """Hidden folders beside the destinations; `move_in` puts the finished files in place."""

    def __init__(self, stack: ExitStack, home: Path) -> None:
        self._stack = stack
        self._hidden: dict[Path, Path] = {}
        self._moves: dict[Path, Path] = {}
        self._folders: dict[Path, Path] = {}
        self.work = self._hidden_in(home) / "work"
        self.work.mkdir()

    def file(self, destination: Path) -> Path:
        """The temporary name under which to write what shall stand at `destination`.

        Files of one folder lie together under their own names, so that links between them hold.
        """
        temporary = self._hidden_in(destination.parent) / destination.name
        self._moves[destination] = temporary
        return temporary

    def folder(self, destination: Path) -> Path:
        """The temporary folder for files that shall stand in `destination`, a folder that may be missing."""
        nearest = _nearest_existing(destination)
        temporary = self._hidden_in(nearest) / f"into-{len(self._folders)}"
        temporary.mkdir()
        self._folders[destination] = temporary
        return temporary

    def move_in(self) -> None:
        """Rename everything into place, the files in the order in which they were asked for."""
        for destination, temporary in self._folders.items():
            destination.mkdir(parents=True, exist_ok=True)
            for file in sorted(temporary.iterdir()):
                file.replace(destination / file.name)
        for destination, temporary in self._moves.items():
            temporary.replace(destination)

    def public(self, text: str) -> str:
        """The text of an error with the names a person knows instead of the temporary ones."""
        for parent, hidden in self._hidden.items():
            text = text.replace(str(hidden), str(parent))
        return text

    def _hidden_in(self, parent: Path) -> Path:
        if parent not in self._hidden:
            made = Path(tempfile.mkdtemp(prefix=".diffbgm-", dir=parent))
            self._stack.callback(shutil.rmtree, made, ignore_errors=True)
            self._hidden[parent] = made
        return self._hidden[parent]


@contextmanager
def staging(folder: Path) -> Iterator[Staging]:
    """Temporary names for the block's files, and `work`, a folder in `folder` that is gone afterwards.

    Raises OutputError if the disk refuses them (full, read-only).
    """
    with ExitStack() as stack:
        try:
            place = Staging(stack, folder)
            yield place
        except OutputError as error:
            raise OutputError(place.public(str(error))) from error
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise OutputError(f"{folder}: cannot write the outputs, {_NO_ROOM[error.errno]}") from error
            raise


def _try_writing(folder: Path) -> None:
    """Raises OutputError unless something can be put into the folder. Permissions alone do not tell."""
    try:
        Path(tempfile.mkdtemp(prefix=".diffbgm-", dir=folder)).rmdir()
    except OSError as error:
        raise OutputError(
            f"{folder}: the folder is not writable ({error.strerror}); choose another one with -o"
        ) from error


def _nearest_existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _same(path: Path, other: Path) -> bool:
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()
