"""What makes one item: read its inputs, annotate the song, analyze the video, align, and write the row.

`ItemWorker` is what every engine runs, in a process of this machine or on another one. It is told once where
things are and what to do, and is then called with jobs: a video and the songs that go with it, so that a
video shared by several songs is decoded once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from traceback import extract_tb
from typing import Any, Final

from diffbgm import __version__
from diffbgm.data.alignment import align, clock_edges
from diffbgm.data.annotation.lyrics import read_lyrics
from diffbgm.data.annotation.music import MusicAnnotation
from diffbgm.data.annotation.song import annotate_midi, annotate_pop909
from diffbgm.data.item import Item, LearnedFeatures, Media
from diffbgm.data.manifest import ManifestRow
from diffbgm.data.pop909 import read_table
from diffbgm.data.rows import to_table
from diffbgm.data.schema import MEDIA_ROLES, SCHEMA_VERSION
from diffbgm.data.shared_conditions import conditions_from_film, conditions_from_notes
from diffbgm.data.sources import Sources, song_kind
from diffbgm.data.store import Built, Failure, write_item
from diffbgm.diffusion.behaviour import Alignment
from diffbgm.errors import DiffbgmError, InputError, MissingToolError
from diffbgm.features.captions import Caption, read_captions
from diffbgm.features.film_features import FilmFeatures
from diffbgm.options import Detector
from diffbgm.video.analysis import Analysis

# Part of what rows are made from: raised whenever the same inputs give other rows.
BUILD_VERSION: Final = 2

# What damaged files make readers raise, and what a fault of ours would: one item fails and the others go on.
_FAULTS: Final = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError,
    RuntimeError, TypeError, ValueError,
)  # fmt: skip


@dataclass(frozen=True)
class BuildSettings:
    """How rows are made. shots: detector. extract: compute learned features of videos that have none.
    alignment: how learned features go on the beats; published ones have no times and are always stretched.
    song_table: POP909's table; by default the one found beside the songs."""

    shots: Detector = "builtin"
    extract: bool = False
    alignment: Alignment = "time"
    song_table: str | None = None

    def to_json(self) -> dict[str, Any]:
        """What rows depend on; where the table lies does not count, what it says of a song does."""
        return {name: value for name, value in asdict(self).items() if name != "song_table"}


@dataclass(frozen=True)
class Task:
    """One item to build: its row of the manifest and its number there, the stamp of its inputs, and the
    digest of the row that is there already, if one is."""

    row: ManifestRow
    number: int
    stamp: str
    known: str | None


@dataclass(frozen=True)
class Outcome:
    """What became of a task: `built` or `failure`. written: a row was written, not only found unchanged."""

    built: Built | None
    failure: Failure | None
    written: bool = False


class ItemWorker:
    """Builds items into `folder`. A job is a list of tasks (`task_to_json`), all of one video."""

    def __init__(self, folder: str, root: str, settings: dict[str, Any]) -> None:
        import cv2

        cv2.setNumThreads(1)  # the engine runs as many workers as there are cores
        self._folder = Path(folder)
        self._sources = Sources(Path(root), self._folder / ".work")
        self._settings = BuildSettings(**settings)
        self._tables: dict[Path, dict[str, dict[str, str]]] = {}

    def __call__(self, job: dict[str, str]) -> list[dict[str, str]]:
        """Outcomes as JSON, one a task, in order; under the name `outcome`, as the job is under `job`."""
        video = _Once(self._film)
        outcomes = []
        for text in json.loads(job["job"]):
            task = task_from_json(text)
            try:
                outcome = self._build(task, video)
            except DiffbgmError as error:
                outcome = failed(task, str(error), expected=True)
            except _FAULTS as error:
                at = extract_tb(error.__traceback__)[-1]
                reason = f"{type(error).__name__}: {error} ({Path(at.filename).name}, line {at.lineno})"
                outcome = failed(task, reason, expected=False)
            outcomes.append({"outcome": outcome_to_json(outcome)})
        return outcomes

    def _build(self, task: Task, video: _Once) -> Outcome:
        row = task.row
        media = {role: self._sources.media(each) for role, each in references_of(row, self._sources).items()}
        song_row = self._song_row(row)
        digest = inputs_digest(row, media, song_row, self._settings)
        built = Built(row.item_name, task.stamp, digest)
        if digest == task.known:
            return Outcome(built, None)
        film = None if row.video is None else video(row.video)
        item = self._item(row, media, digest, self._music(row, song_row), film)
        write_item(self._folder, to_table(item), built)
        return Outcome(built, None, written=True)

    def _item(
        self,
        row: ManifestRow,
        media: dict[str, Media],
        digest: str,
        music: MusicAnnotation,
        film: Analysis | None,
    ) -> Item:
        learned = self._features(row, film)
        captions: tuple[Caption, ...] = ()
        if row.captions is not None:
            captions = read_captions(self._sources.path(row.captions))
        elif learned is not None:
            captions = tuple(each for each in learned[0].captions if each.text)
        clock_s = clock_edges(music, film, row.offset_s)
        with_film = None if film is None else conditions_from_film(music, film, row.offset_s, clock_s)
        return Item(
            item_id=row.item_name,
            song_id=row.song_name,
            video_id=row.video_name,
            source=song_kind(self._sources.path(row.song)),
            title=row.title,
            artist=row.artist,
            offset_s=row.offset_s,
            pair_confidence=row.confidence,
            pair_method=row.method,
            media=media,
            inputs_sha256=digest,
            music=music,
            film=film,
            captions=captions,
            features=None if learned is None else on_beats(*learned, music, row.offset_s),
            aligned=align(music, film, row.offset_s),
            music_conditions=conditions_from_notes(music, row.offset_s, clock_s),
            film_conditions=with_film,
        )

    def _film(self, reference: str) -> Analysis:
        from diffbgm.video.analyze import analyze

        found = analyze(self._sources.path(reference), shots=self._settings.shots)
        return replace(found, video=reference, thumbnails=())

    def _music(self, row: ManifestRow, song_row: dict[str, str] | None) -> MusicAnnotation:
        path = self._sources.path(row.song)
        lyrics = None if row.lyrics is None else self._sources.path(row.lyrics)
        if song_row is None:
            return annotate_midi(path, lyrics)
        music = annotate_pop909(path, song_row)
        return music if lyrics is None else replace(music, lyrics=read_lyrics(lyrics))

    def _song_row(self, row: ManifestRow) -> dict[str, str] | None:
        """The song's row of POP909's table; None for songs from elsewhere."""
        path = self._sources.path(row.song)
        if song_kind(path) == "midi":
            return None
        named = self._settings.song_table
        table = Path(named) if named else self._sources.song_table(row.song)
        if table is None:
            raise InputError(f"{row.song}: POP909-songs.csv is not beside it; name it with --song-table")
        if table not in self._tables:
            self._tables[table] = {each["song_id"]: each for each in read_table(table)}
        if path.name not in self._tables[table]:
            raise InputError(f"{table}: has no song {path.name}")
        return self._tables[table][path.name]

    def _features(self, row: ManifestRow, film: Analysis | None) -> tuple[FilmFeatures, Alignment] | None:
        if row.features is not None:
            path = self._sources.path(row.features)
            if path.is_dir():
                from diffbgm.data.bgm909 import read_song
                from diffbgm.features.published import load_pth

                return read_song(path, row.song_name, load_pth).features, "stretched"
            return FilmFeatures.load(path), self._settings.alignment
        if not self._settings.extract or row.video is None:
            return None
        from diffbgm.features.extract import FeatureSettings, extract

        captions = None if row.captions is None else self._sources.path(row.captions)
        settings = FeatureSettings(captions=captions, shots=self._settings.shots)
        try:
            return extract(self._sources.path(row.video), settings), self._settings.alignment
        except MissingToolError as error:  # it speaks of options of the command that fetches models
            raise MissingToolError(f"--extract, as `diffbgm features`: {error}") from error


class _Once:
    """Calls a function once an argument; the last result, or the failure, is given again."""

    def __init__(self, function: Callable[[str], Analysis]) -> None:
        self._function = function
        self._argument: str | None = None
        self._result: Analysis | DiffbgmError | None = None

    def __call__(self, argument: str) -> Analysis:
        if argument != self._argument:
            self._argument = argument
            try:
                self._result = self._function(argument)
            except DiffbgmError as error:
                self._result = error
        if isinstance(self._result, DiffbgmError):
            raise self._result
        assert self._result is not None
        return self._result


def on_beats(
    film: FilmFeatures, alignment: Alignment, music: MusicAnnotation, offset_s: float
) -> LearnedFeatures:
    """Learned features with a row a beat of the song."""
    edges_s = music.beats_s - offset_s
    language = film.language_on_beats(edges_s, alignment) if film.captions else None
    return LearnedFeatures(film, alignment, film.visual_on_beats(edges_s, alignment), language)


def inputs_digest(
    row: ManifestRow, media: dict[str, Media], song_row: dict[str, str] | None, settings: BuildSettings
) -> str:
    """SHA-256 over all that a row of the dataset follows from. Where the inputs lie is part of it, since the
    row says so; the split is not, since it is put in at the end."""
    content = {
        "schema": SCHEMA_VERSION,
        "build": BUILD_VERSION,
        "diffbgm": __version__,
        "settings": settings.to_json(),
        "row": row.model_dump(mode="json", exclude={"split"}),
        "media": {role: asdict(each) for role, each in media.items()},
        "song": song_row,
    }
    return _digest(content)


def references_of(row: ManifestRow, sources: Sources) -> dict[str, str]:
    """What the row refers to, by role."""
    given = {role: getattr(row, role) for role in MEDIA_ROLES}
    return {role: sources.of_song(each, row.song_name) for role, each in given.items() if each is not None}


def stamp_of(row: ManifestRow, sources: Sources, settings: BuildSettings, table: Path | None) -> str:
    """Digest of how the inputs look on disk, without reading them: equal stamps, equal rows.

    Raises InputError where one is missing.
    """
    references = references_of(row, sources).values()
    stat = None if table is None else table.stat()
    content = {
        "schema": SCHEMA_VERSION,
        "build": BUILD_VERSION,
        "diffbgm": __version__,
        "settings": settings.to_json(),
        "row": row.model_dump(mode="json", exclude={"split"}),
        "stamps": [asdict(sources.stamp(each)) for each in references],
        "table": None if stat is None else [stat.st_size, stat.st_mtime_ns],
    }
    return _digest(content)


def failed(task: Task, reason: str, *, expected: bool) -> Outcome:
    """The outcome of a task that could not be done; `reason` on one line."""
    return Outcome(None, Failure(task.row.item_name, task.number, " ".join(reason.split()), expected))


def task_to_json(task: Task) -> dict[str, Any]:
    return {**asdict(task), "row": task.row.model_dump(mode="json", exclude_none=True)}


def task_from_json(content: dict[str, Any]) -> Task:
    return Task(**{**content, "row": ManifestRow.model_validate(content["row"])})


def outcome_to_json(outcome: Outcome) -> str:
    return json.dumps(asdict(outcome))


def outcome_from_json(text: str) -> Outcome:
    content = json.loads(text)
    built = None if content["built"] is None else Built(**content["built"])
    failure = None if content["failure"] is None else Failure(**content["failure"])
    return Outcome(built, failure, content["written"])


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
