"""The things to evaluate: which files belong together, and the notes in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from diffbgm.diffusion.roll import PianoRoll
from diffbgm.errors import InputError
from diffbgm.metrics.notes import Notes, notes_of_roll, read_notes
from diffbgm.spotting.cuesheet import CueSheet

MIDI: Final = (".mid", ".midi")
ROLL: Final = ".roll.npz"
SOUNDS: Final = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus")
FILMS: Final = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg")
_SIDECARS: Final = (".mid", ".wav", ROLL)


@dataclass(frozen=True)
class Piece:
    """One thing to measure. name: its file name; film, sound, notes: where each of these is read from.

    video: the picture that the music was made for, where the piece itself is not a film.
    """

    name: str
    notes: Path | None = None
    sound: Path | None = None
    film: Path | None = None
    video: Path | None = None

    @property
    def stem(self) -> str:
        return stem_of(Path(self.name))

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.film, self.sound, self.notes, self.video) if path is not None)


def find_pieces(paths: Sequence[Path], videos: Path | None) -> list[Piece]:
    """The pieces in files and folders (with all folders in them), sorted by name.

    A film takes the MIDI file, the sound and the piano roll of the same name along; a piano roll beside a
    MIDI file of the same name is left out. Raises InputError for a path that does not exist.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        found += sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    if videos is not None and not videos.is_dir():
        raise InputError(f"{videos}: is no folder of films")
    films = {(p.parent, stem_of(p)) for p in found if p.suffix.lower() in FILMS}
    midis = {(p.parent, stem_of(p)) for p in found if p.suffix.lower() in MIDI}
    pictures = (
        {stem_of(p): p for p in sorted(videos.iterdir()) if p.suffix.lower() in FILMS} if videos else {}
    )
    out: dict[str, Piece] = {}
    for path in found:
        key = (path.parent, stem_of(path))
        kind = path.suffix.lower()
        if kind not in FILMS and key in films and path.name.endswith(_SIDECARS):
            continue
        if path.name.endswith(ROLL) and key in midis:
            continue
        name = path.name if path.name not in out else f"{path.parent.name}/{path.name}"
        video = pictures.get(stem_of(path)) or pictures.get(stem_of(path).removesuffix(".bgm"))
        if kind in FILMS:
            beside = {suffix: path.with_name(stem_of(path) + suffix) for suffix in _SIDECARS}
            held = {suffix: place for suffix, place in beside.items() if place.is_file()}
            out[name] = Piece(name, held.get(".mid") or held.get(ROLL), held.get(".wav") or path, path)
        elif kind in MIDI or path.name.endswith(ROLL):
            out[name] = Piece(name, notes=path, video=video)
        elif kind in SOUNDS:
            out[name] = Piece(name, sound=path, video=video)
    return [out[name] for name in sorted(out)]


def stem_of(path: Path) -> str:
    """The name without its ending, that of a piano roll being `.roll.npz`."""
    return path.name.removesuffix(ROLL) if path.name.endswith(ROLL) else path.stem


def notes_in(piece: Piece) -> Notes:
    """The notes of a piece that has any file of them. Raises InputError or CueSheetError if it is broken."""
    assert piece.notes is not None
    if piece.notes.suffix.lower() in MIDI:
        return read_notes(piece.notes)
    roll = PianoRoll.load(piece.notes)
    sheet = piece.notes.with_name(f"{stem_of(piece.notes)}.cues.json")
    plan = CueSheet.load(sheet).plan if sheet.is_file() else None
    fits = plan is not None and plan.tempo_map.n_beats == roll.n_beats
    return notes_of_roll(roll, plan.tempo_map if plan is not None and fits else None)
