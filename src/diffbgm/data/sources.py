"""Where songs and videos come from: references of a manifest, turned into files on this machine.

A reference is a path, absolute or relative to the manifest's folder. `ARCHIVE.tar.xz!/INNER` names what lies
inside an archive, which is unpacked once into a folder of the build. POP909 is read from its folder or from
the archive as it is distributed; a song of it is the folder `POP909/NNN`. Any other song is a MIDI file.
`FOLDER#NNN` names what a folder of published BGM909 features holds for one song.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from diffbgm.data.bgm909 import CAPTIONS, SHOTS, SONGS, VISUAL
from diffbgm.data.item import Media
from diffbgm.data.manifest import ManifestRow, read_manifest
from diffbgm.errors import InputError
from diffbgm.features.film_features import sha256_of

INSIDE: Final = "!/"
MIDI_SUFFIXES: Final = (".mid", ".midi")
AUDIO_SUFFIXES: Final = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus")
SONG_TABLE: Final = "POP909-songs.csv"
_POP909_SONG: Final = re.compile(r"\d{3}")

SongKind = Literal["pop909", "midi"]


@dataclass(frozen=True)
class Stamp:
    """How a reference looked on disk: enough to tell, without reading it, that it has not changed."""

    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Sources:
    """Finds what a manifest refers to. root: its folder. scratch: where archives are unpacked."""

    root: Path
    scratch: Path

    def path(self, reference: str) -> Path:
        """The file or folder. Raises InputError if it is not there, or its archive was not unpacked."""
        reference = self._published(reference)[0]
        archive, inner = _split(reference)
        if archive is None:
            path = self.root / reference
        else:
            path = self._unpacked(self.root / archive) / inner
            if not path.resolve().is_relative_to(self._unpacked(self.root / archive).resolve()):
                raise InputError(f"{reference}: leads out of the archive")
        if not path.exists():
            raise InputError(f"{reference}: no such file (looked for {self.root / reference})")
        return path

    def stamp(self, reference: str) -> Stamp:
        """Size and time of change of a file, of all files of a folder, or of the archive it lies in."""
        archive, _ = _split(reference)
        whole, song = self._published(reference)
        path = self.root / (whole if archive is None else archive)
        if not path.exists():
            raise InputError(f"{reference}: no such file (looked for {path})")
        stats = [each.stat() for each in _files(path, song)]
        return Stamp(
            sum(each.st_size for each in stats), max((each.st_mtime_ns for each in stats), default=0)
        )

    def media(self, reference: str) -> Media:
        """The reference with its hash and size; see `Media` for the hash of a folder."""
        path = self.path(reference)
        files = _files(path, self._published(reference)[1])
        digest = sha256_of(path) if path.is_file() else _folder_digest(files)
        return Media(reference, digest, sum(each.stat().st_size for each in files))

    def song_table(self, reference: str) -> Path | None:
        """POP909's table of songs beside the song's folder or archive, or in a folder around them."""
        archive, _ = _split(reference)
        start = (self.root / (reference if archive is None else archive)).absolute()
        around = (folder / SONG_TABLE for folder in list(start.parents)[:3])
        return next((table for table in around if table.is_file()), None)

    def unpack(self, references: list[str]) -> None:
        """Unpack the archives these lie in, each once. Raises InputError if one cannot be read."""
        for archive in sorted({_split(each)[0] for each in references} - {None}, key=str):
            source = self.root / str(archive)
            target = self._unpacked(source)
            if target.is_dir() or not source.is_file():
                continue
            partial = target.with_name(f".{target.name}")
            try:
                with tarfile.open(source) as file:
                    file.extractall(partial, filter="data")
            except (OSError, EOFError, tarfile.TarError) as error:
                raise InputError(f"{source}: cannot be unpacked ({error}); expected a tar archive") from error
            partial.replace(target)

    def of_song(self, reference: str, song_name: str) -> str:
        """Of a folder of published features what it holds for the song; any other reference as it is."""
        return f"{reference}#{song_name}" if (self.root / reference / VISUAL).is_dir() else reference

    def _published(self, reference: str) -> tuple[str, str | None]:
        folder, hash_sign, song = reference.rpartition("#")
        is_published = bool(hash_sign) and (self.root / folder / VISUAL).is_dir()
        return (folder, song) if is_published else (reference, None)

    def _unpacked(self, archive: Path) -> Path:
        """Where an archive is unpacked: named by what it is, so that a changed one is unpacked anew."""
        stamp = archive.stat() if archive.is_file() else None
        about = (
            f"{archive.absolute()} {stamp.st_size} {stamp.st_mtime_ns}" if stamp else str(archive.absolute())
        )
        return self.scratch / hashlib.sha256(about.encode()).hexdigest()[:16]


def song_kind(path: Path) -> SongKind:
    """What a song reference leads to. Raises InputError unless it is a POP909 folder or a MIDI file."""
    if path.is_dir() and (path / "beat_midi.txt").is_file():
        return "pop909"
    if path.is_file() and path.suffix.lower() in MIDI_SUFFIXES:
        return "midi"
    raise InputError(f"{path}: no song; expected a MIDI file (.mid) or a POP909 song folder")


def rows_of(source: Path) -> tuple[Path, tuple[ManifestRow, ...]]:
    """The rows to build, and the folder their paths are relative to.

    A manifest (.csv, .parquet); POP909 as an archive or a folder, its songs without videos; or any folder
    with MIDI files, a recording beside one and of the same name being its audio. Raises InputError.
    """
    if source.is_dir():
        rows = _pop909_folder(source) or _midi_folder(source)
        if not rows:
            raise InputError(f"{source}: holds neither POP909 songs nor MIDI files")
        return source, rows
    if not source.is_file():
        raise InputError(f"{source}: no such file or folder; expected a manifest, POP909 or a folder of MIDI")
    if tarfile.is_tarfile(source):
        return source.parent, _pop909_archive(source)
    if source.suffix.lower() in (".csv", ".parquet"):
        return source.parent, read_manifest(source)
    raise InputError(f"{source}: expected a manifest (.csv, .parquet), a tar archive or a folder")


def _pop909_folder(folder: Path) -> tuple[ManifestRow, ...]:
    base = folder / "POP909" if (folder / "POP909").is_dir() else folder
    songs = [each for each in sorted(base.iterdir()) if (each / "beat_midi.txt").is_file()]
    return tuple(ManifestRow(song=each.relative_to(folder).as_posix(), song_id=each.name) for each in songs)


def _pop909_archive(archive: Path) -> tuple[ManifestRow, ...]:
    try:
        with tarfile.open(archive) as file:
            names = [PurePosixPath(name) for name in file.getnames()]
    except (OSError, EOFError, tarfile.TarError) as error:
        raise InputError(f"{archive}: cannot be read ({error}); expected POP909 as a tar archive") from error
    songs = sorted(name.parent for name in names if name.name == "beat_midi.txt")
    if not songs:
        raise InputError(f"{archive}: holds no POP909 songs (folders NNN with beat_midi.txt)")
    return tuple(
        ManifestRow(song=f"{archive.name}{INSIDE}{song}", song_id=song.name)
        for song in songs
        if _POP909_SONG.fullmatch(song.name)
    )


def _midi_folder(folder: Path) -> tuple[ManifestRow, ...]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in MIDI_SUFFIXES)
    rows = []
    for path in found:
        beside = (path.with_suffix(suffix) for suffix in AUDIO_SUFFIXES)
        audio = next((each.relative_to(folder).as_posix() for each in beside if each.is_file()), None)
        name = re.sub(r"[^\w.+-]+", "_", path.relative_to(folder).with_suffix("").as_posix())
        rows.append(ManifestRow(song=path.relative_to(folder).as_posix(), song_id=name, audio=audio))
    return tuple(rows)


def _split(reference: str) -> tuple[str | None, str]:
    archive, inside, inner = reference.partition(INSIDE)
    return (archive, inner) if inside else (None, reference)


def _files(path: Path, song: str | None = None) -> list[Path]:
    """The files a reference stands for; of published features only those of the song."""
    if song is not None:
        parts = (
            f"{SONGS}/{song}.npz",
            f"{VISUAL}/{song}.pth",
            f"{CAPTIONS}/{song}.npy",
            f"{SHOTS}/{song}_scenes.txt",
        )
        return sorted(path / part for part in parts if (path / part).is_file())
    return sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]


def _folder_digest(files: list[Path]) -> str:
    lines = "".join(f"{sha256_of(each)}  {each.name}\n" for each in files)
    return hashlib.sha256(lines.encode()).hexdigest()
