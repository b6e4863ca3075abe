"""The files of a listening test that are read again: the key, kept by whoever runs it, and the results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from diffbgm.errors import InputError
from diffbgm.listening.spec import Kind, Question

Choice = Literal["first", "second", "same"]
Answer = Annotated[int, Field(ge=1, le=10)] | Choice


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Clip(_Record):
    """Where a clip with a meaningless name comes from. level_db: how much softer it is played."""

    system: str
    video: str
    level_db: float = 0.0


class Key(_Record):
    """What listeners must not know.

    trials: the clips each trial shows, by trial; one of them for ratings, two for pairs (first, second).
    checks: the answer that each check of attention asks for. beeps: of the sound check.
    """

    format: Literal["diffbgm-listening-key-1"] = "diffbgm-listening-key-1"
    test: str
    title: str
    kind: Kind
    points: int
    must_hear: float
    questions: tuple[Question, ...]
    systems: tuple[str, ...]
    clips: dict[str, Clip]
    trials: dict[str, tuple[str, ...]]
    checks: dict[str, Answer]
    beeps: int


class Trial(_Record):
    """One listener's answers to one trial. heard: share of each clip played; seconds: time spent on it."""

    trial: str
    answers: dict[str, Answer]
    heard: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    seconds: Annotated[float, Field(ge=0)] = 0.0
    position: Annotated[int, Field(ge=0)] = 0


class Results(_Record):
    """What one listener's page exports. beeps: how many were counted, None if the check was not reached."""

    format: Literal["diffbgm-listening-results-1"]
    test: str
    listener: Annotated[str, Field(min_length=1, max_length=80)]
    started: str = ""
    finished: str | None = None
    beeps: int | None = None
    comment: Annotated[str, Field(max_length=10_000)] = ""
    browser: Annotated[str, Field(max_length=600)] = ""
    trials: tuple[Trial, ...] = ()


_R = TypeVar("_R", Key, Results)


def load_key(path: Path) -> Key:
    """Raises InputError, naming the first field that is wrong."""
    return _load(path, Key, "key of a listening test")


def load_results(path: Path) -> Results:
    """Raises InputError, naming the first field that is wrong."""
    return _load(path, Results, "listening test's results")


def _load(path: Path, kind: type[_R], what: str) -> _R:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read the {what} ({error})") from error
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise InputError(f"{path}: is not a {what}: {where}: {first['msg']}") from error
