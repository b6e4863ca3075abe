"""What a listening test asks, of which systems, on which films.

A test is described by a TOML file, or simply by one folder a system:

    title = "Music for short films"
    kind = "mos"                       # or "pairwise"
    [systems]
    ours = "out/ours"                  # folders, relative to this file
    other = "out/other"
    [[questions]]                      # left out: the paper's two questions
    id = "quality"
    text = "How good is the music, taken by itself?"
    low = "bad"
    high = "excellent"

Films of one name in the folders belong together: `beach.mp4`, `beach.bgm.mp4` and `beach.webm` are "beach".
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from diffbgm.errors import InputError, OptionError

Kind = Literal["mos", "pairwise"]

FILMS: Final = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
SOUNDS: Final = (".wav", ".mp3", ".m4a", ".ogg", ".opus", ".flac")

_MADE_BY_US: Final = re.compile(r"\.bgm(\.\d+)?$")

Name = Annotated[str, Field(min_length=1, max_length=60)]
Text = Annotated[str, Field(min_length=1, max_length=2000)]


class Question(BaseModel):
    """One question. low, high: words for the ends of the scale (not used in pairwise tests)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
    text: Text
    low: str = "bad"
    high: str = "excellent"


MOS_QUESTIONS: Final = (
    Question(id="quality", text="How good is the music, taken by itself?"),
    Question(
        id="correspondence", text="How well does the music fit the video?", low="not at all", high="perfectly"
    ),
)
PAIRWISE_QUESTIONS: Final = (
    Question(id="quality", text="Which music is better, taken by itself?"),
    Question(id="correspondence", text="Which music fits the video better?"),
)
"""Music quality and video correspondence, as in the user study of the paper (arXiv 2405.11913)."""


class Spec(BaseModel):
    """A listening test before it is built.

    points: length of the rating scale. must_hear: share of a clip that has to be played before going on.
    checks: how many times a listener is told which answer to choose. seed: of names and checks; None draws
    a new one, so that nobody can work the names out. clips_per_listener: each listener gets this many
    clips (or pairs), drawn for him; None gives him all. match_loudness: play the louder systems' clips
    softer, so that all takes of a film are equally loud.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Text = "Listening test"
    introduction: Annotated[str, Field(max_length=4000)] = ""
    send_to: Annotated[str, Field(max_length=400)] = ""
    kind: Kind = "mos"
    systems: dict[Name, Path] = Field(min_length=1)
    questions: tuple[Question, ...] = ()
    points: Annotated[int, Field(ge=2, le=10)] = 5
    must_hear: Annotated[float, Field(ge=0, le=1)] = 0.7
    checks: Annotated[int, Field(ge=0, le=5)] = 1
    clips_per_listener: Annotated[int, Field(ge=1)] | None = None
    match_loudness: bool = True
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None

    @field_validator("questions")
    @classmethod
    def _distinct(cls, value: tuple[Question, ...]) -> tuple[Question, ...]:
        if len({question.id for question in value}) != len(value):
            raise ValueError("two questions have the same id")
        return value

    @model_validator(mode="after")
    def _enough_systems(self) -> Spec:
        if self.kind == "pairwise" and len(self.systems) < 2:
            raise ValueError("a pairwise test needs at least two systems")
        return self

    @property
    def asked(self) -> tuple[Question, ...]:
        """The questions; the paper's two unless others are given."""
        return self.questions or (MOS_QUESTIONS if self.kind == "mos" else PAIRWISE_QUESTIONS)


def load_spec(path: Path) -> Spec:
    """Read a TOML file. Raises InputError naming the first field that is wrong."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: cannot read the listening test's description ({error})") from error
    try:
        spec = Spec.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the description"
        raise InputError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from error
    systems = {name: path.parent / folder for name, folder in spec.systems.items()}
    return spec.model_copy(update={"systems": systems})


def spec_of_folders(folders: Sequence[Path], kind: Kind = "mos") -> Spec:
    """A test with the usual questions; every folder is a system of its own name. Raises OptionError."""
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) != len(names):
        raise OptionError(
            f"folders: two have the same name ({', '.join(names)}), which is their system's name; "
            "give a TOML file instead"
        )
    if len(folders) < (1 if kind == "mos" else 2):
        raise OptionError(f"folders: a {kind} test needs at least {1 if kind == 'mos' else 2}, one a system")
    return Spec(kind=kind, systems=dict(zip(names, folders, strict=True)))


def with_changes(spec: Spec, **changes: Any) -> Spec:
    """The same test with some fields changed. Raises OptionError if it then is none."""
    try:
        return Spec.model_validate(spec.model_dump() | changes)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "listening-test"
        raise OptionError(f"option {where}: {first['msg'].removeprefix('Value error, ')}") from error


def find_clips(spec: Spec) -> dict[str, dict[str, Path]]:
    """The file of every video and system: {video: {system: path}}, videos in order of their names.

    Films, or sound files where no folder holds a film. Raises InputError if a folder is missing or empty,
    or if a system lacks a video that another one has.
    """
    folders = {name: _files_in(folder) for name, folder in spec.systems.items()}
    kinds = FILMS if any(f.suffix.lower() in FILMS for files in folders.values() for f in files) else SOUNDS
    found: dict[str, dict[str, Path]] = {}
    for system, files in folders.items():
        mine = [file for file in files if file.suffix.lower() in kinds]
        if not mine:
            raise InputError(f"{spec.systems[system]}: holds no film and no sound for system {system!r}")
        for file in mine:
            video = _MADE_BY_US.sub("", file.stem)
            if system in found.setdefault(video, {}):
                raise InputError(f"{file}: system {system!r} has two files for {video!r}; keep one")
            found[video][system] = file
    for video, files_of in found.items():
        for system, folder in spec.systems.items():
            if system not in files_of:
                raise InputError(f"{folder}: has no file for {video!r}; every system needs the same videos")
    return dict(sorted(found.items()))


def _files_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; give one folder a system")
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
