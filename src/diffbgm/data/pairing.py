"""Which video belongs to which song: proposed by file name, by duration, or by what is heard.

Every video gets at most one song; a song may have several videos when it is heard in them, one otherwise. A
proposal says how sure it is, 0 to 1:

- by name: how much of the two names agrees, divided by the number of songs that agree as well;
- by duration: 1 for equal, 0 at a difference of 10 s, divided by the number of songs that are as near. A
  weak sign, as official videos have intros;
- by audio: how surely the song is heard in the soundtrack (`pairing_audio`), which also gives the offset.
  Other methods leave it at 0. Name or duration first and audio then gives their pairs with measured offsets.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from os.path import relpath
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np

from diffbgm.data.manifest import ManifestRow, name_of
from diffbgm.data.pairing_audio import SoundPrint, best_songs, song_print, sound_print
from diffbgm.data.sources import rows_of
from diffbgm.errors import DiffbgmError, InputError, OptionError
from diffbgm.film import open_film
from diffbgm.metrics.chroma import SOUND_HZ
from diffbgm.metrics.notes import Notes, read_notes
from diffbgm.metrics.onsets import read_sound
from diffbgm.progress import Listener, Stages

VIDEO_SUFFIXES: Final = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".flv")
MIN_CONFIDENCE: Final = 0.6  # two places that are alike share it
DRIFT_WARNED_S: Final = 0.05

_METHODS: Final = (("name",), ("duration",), ("audio",), ("name", "audio"), ("duration", "audio"))
_LEAST_NAME: Final = 0.6
_AS_GOOD: Final = 0.05  # likenesses that differ by less do not tell songs apart
_FARTHEST_S: Final = 10.0


@dataclass(frozen=True)
class SongFile:
    """A song to pair. path: a MIDI file or a POP909 folder. midi: the file with the notes. name: its id."""

    path: Path
    midi: Path
    name: str


@dataclass(frozen=True)
class Pair:
    """A proposal. song time = video time + offset_s; `drift_s` is how far that is off at either end, where
    the soundtrack runs at `speed` times the song's tempo. runner_up: the next likeliest song, "" for none."""

    song: SongFile
    video: Path
    confidence: float
    method: str
    offset_s: float = 0.0
    speed: float = 1.0
    drift_s: float = 0.0
    runner_up: str = ""
    runner_up_confidence: float = 0.0


@dataclass(frozen=True)
class Proposal:
    """pairs: by video. unpaired, unused: videos without a song and songs without a video, with the reason."""

    pairs: tuple[Pair, ...]
    unpaired: dict[Path, str]
    unused: dict[str, str]

    def rows(self, manifest: Path) -> list[ManifestRow]:
        """Rows for a manifest at this path; names of files relative to its folder."""
        home = manifest.parent.absolute()
        called = Counter(name_of(str(video)) for video in {pair.video for pair in self.pairs})
        return [
            ManifestRow(
                song=_reference(pair.song.path, home),
                song_id=None if pair.song.name == pair.song.path.stem else pair.song.name,
                video=_reference(pair.video, home),
                video_id=_id(pair.video, home) if called[name_of(str(pair.video))] > 1 else None,
                offset_s=round(pair.offset_s, 4),
                confidence=round(pair.confidence, 4),
                method=pair.method,
            )
            for pair in self.pairs
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "pairs": [
                {
                    "song": str(pair.song.path),
                    "video": str(pair.video),
                    "confidence": round(pair.confidence, 4),
                    "method": pair.method,
                    "offset_s": round(pair.offset_s, 4),
                    "speed": round(pair.speed, 6),
                    "drift_s": round(pair.drift_s, 4),
                    "runner_up": pair.runner_up,
                    "runner_up_confidence": round(pair.runner_up_confidence, 4),
                }
                for pair in self.pairs
            ],
            "unpaired": {str(video): reason for video, reason in self.unpaired.items()},
            "unused": self.unused,
        }


def propose(
    songs: Path,
    videos: Path,
    by: Sequence[str] = ("audio",),
    *,
    min_confidence: float = MIN_CONFIDENCE,
    progress: Listener | None = None,
) -> Proposal:
    """Pairs of what two folders hold. With several methods each takes the pairs of the one before.

    Songs as `dataset build` finds them: POP909 folders or MIDI files. Videos: files with an ending of
    VIDEO_SUFFIXES, in subfolders too. What cannot be read is left out with the reason.
    Raises InputError if a folder is missing or holds nothing, OptionError for methods in another order.
    """
    if tuple(by) not in _METHODS:
        raise OptionError(
            f"option by: {', '.join(by) or 'nothing'}; expected name, duration or audio, or one of the first "
            "two and then audio"
        )
    found_songs, found_videos = find_songs(songs), find_videos(videos)
    stages = Stages(progress)
    unpaired: dict[Path, str] = {}
    unused: dict[str, str] = {}
    notes = {} if by[-1] == "name" else _notes_of(found_songs, unused, stages)
    readable = [song for song in found_songs if song.name not in unused]
    pairs: list[Pair] = []
    if by[0] == "name":
        pairs = _matched(readable, found_videos, _name_likeness, "name", _LEAST_NAME)
    elif by[0] == "duration":
        durations_s = _durations_of(found_videos, unpaired)

        def likeness(song: SongFile, video: Path) -> float:
            return 1 - abs(notes[song.name].duration_s - durations_s[video]) / _FARTHEST_S

        pairs = _matched(readable, list(durations_s), likeness, "duration", 0.0)
    if by[-1] == "audio":
        candidates = {pair.video: pair for pair in pairs} if len(by) > 1 else dict.fromkeys(found_videos)
        pairs = _heard(readable, notes, candidates, unpaired, stages)
    kept = [pair for pair in pairs if pair.confidence >= min_confidence]
    for pair in pairs:
        if pair.confidence < min_confidence:
            unpaired[pair.video] = f"the likeliest song is {pair.song.name}, confidence {pair.confidence:.2f}"
    paired = {pair.video for pair in kept}
    unpaired |= {
        video: "no song is like it" for video in found_videos if video not in paired | unpaired.keys()
    }
    used = {pair.song.name for pair in kept}
    unused |= {song.name: "no video is like it" for song in readable if song.name not in used}
    return Proposal(
        tuple(sorted(kept, key=lambda pair: pair.video)),
        dict(sorted(unpaired.items())),
        dict(sorted(unused.items())),
    )


def find_songs(folder: Path) -> list[SongFile]:
    """The songs of a folder. Raises InputError if it is missing or has none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected one with MIDI files or POP909 songs")
    root, rows = rows_of(folder)
    return [song_file(root / row.song, row.song_name) for row in rows]


def song_file(path: Path, name: str) -> SongFile:
    """A song by its MIDI file or POP909 folder."""
    return SongFile(path, path / f"{path.name}.mid" if path.is_dir() else path, name)


def find_videos(folder: Path) -> list[Path]:
    """The videos of a folder. Raises InputError if it is missing or has none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected one with videos")
    found = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()
    )
    if not found:
        raise InputError(f"{folder}: holds no videos ({', '.join(VIDEO_SUFFIXES)})")
    return found


def read_soundtrack(video: Path) -> SoundPrint:
    """Raises InputError if it cannot be read or there is no sound in it."""
    with open_film(video):  # refuses playlists and what is no film
        pass
    return sound_print(read_sound(video, SOUND_HZ))


def name_likeness(song: str, video: str) -> float:
    """How alike two names are, 0 .. 1: 1 for equal letters and digits, 0.9 for one that is in the other.

    The words of one found in the other in order count in any script; case, accents, brackets and signs do
    not. Names that are numbers must be equal.
    """
    a, b = _words(song), _words(video)
    if not a or not b:
        return 0.0
    if a == b:
        return 1.0
    short, long = sorted((a, b), key=len)
    if any(long[k : k + len(short)] == short for k in range(len(long) - len(short) + 1)):
        return 0.9
    if all(word.isdigit() for word in short):
        return 0.0
    return 0.85 * SequenceMatcher(None, " ".join(a), " ".join(b), autojunk=False).ratio()


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.findall(r"\d+|[^\W\d_]+", plain)


def _name_likeness(song: SongFile, video: Path) -> float:
    return max(name_likeness(song.name, video.stem), name_likeness(song.path.stem, video.stem))


def _notes_of(songs: Sequence[SongFile], unused: dict[str, str], stages: Stages) -> dict[str, Notes]:
    """The notes of each song; those that cannot be read are put into `unused`."""
    notes = {}
    with stages.stage("songs") as tell:
        for number, song in enumerate(songs):
            tell(number / len(songs))
            try:
                notes[song.name] = read_notes(song.midi)
            except InputError as error:
                unused[song.name] = str(error)
    return notes


def _durations_of(videos: Sequence[Path], unpaired: dict[Path, str]) -> dict[Path, float]:
    """How long the videos say they are; those that do not are put into `unpaired`."""
    durations_s = {}
    for video in videos:
        try:
            with open_film(video) as container:
                duration = container.duration
        except InputError as error:
            unpaired[video] = str(error)
            continue
        if duration is None:
            unpaired[video] = "does not say how long it is; pair it by audio"
        else:
            durations_s[video] = duration / 1e6
    return durations_s


def _matched(
    songs: Sequence[SongFile],
    videos: Sequence[Path],
    likeness: Callable[[SongFile, Path], float],
    method: str,
    least: float,
) -> list[Pair]:
    """The likeliest pairs first, each song and video once."""
    table = np.array([[likeness(song, video) for song in songs] for video in videos]).reshape(len(videos), -1)
    pairs: list[Pair] = []
    free = np.ones_like(table, bool)
    for place in np.argsort(-table, axis=None, kind="stable"):
        row, column = np.unravel_index(place, table.shape)
        like = float(table[row, column])
        if like <= 0 or like < least:
            break
        if not free[row, column]:
            continue
        free[row], free[:, column] = False, False
        as_good = int((table[row] >= like - _AS_GOOD).sum())
        pair = Pair(songs[column], videos[row], like / as_good, method)
        others = np.delete(table[row], column)
        if len(others) and others.max() > 0:
            name = [song for k, song in enumerate(songs) if k != column][int(others.argmax())].name
            pair = replace(pair, runner_up=name, runner_up_confidence=float(others.max()))
        pairs.append(pair)
    return pairs


def _heard(
    songs: Sequence[SongFile],
    notes: Mapping[str, Notes],
    candidates: Mapping[Path, Pair | None],
    unpaired: dict[Path, str],
    stages: Stages,
) -> list[Pair]:
    """The song heard in each video, of all songs where the candidate is None. Each song is prepared once."""
    wanted = {pair.song.name for pair in candidates.values() if pair is not None} or notes.keys()
    prints = {name: song_print(notes[name]) for name in wanted}
    named = {song.name: song for song in songs}
    pairs = []
    with stages.stage("videos") as tell:
        for number, (video, candidate) in enumerate(candidates.items()):
            tell(number / len(candidates))
            try:
                sound = read_soundtrack(video)
            except DiffbgmError as error:
                unpaired[video] = str(error)
                continue
            found = best_songs(
                prints if candidate is None else {candidate.song.name: prints[candidate.song.name]}, sound
            )
            if not found:
                unpaired[video] = "its soundtrack is silent or too short"
                continue
            (name, best), *others = found
            pair = Pair(
                song=named[name],
                video=video,
                confidence=best.confidence,
                method="audio" if candidate is None else f"{candidate.method}, audio",
                offset_s=best.offset_s,
                speed=best.speed,
                drift_s=best.drift_s,
            )
            if others:
                pair = replace(pair, runner_up=others[0][0], runner_up_confidence=others[0][1].confidence)
            pairs.append(pair)
    return pairs


def _id(path: Path, home: Path) -> str:
    """A name for one of several videos called alike: its way from the manifest."""
    return name_of("-".join(part for part in PurePosixPath(_reference(path, home)).parts if part != ".."))


def _reference(path: Path, home: Path) -> str:
    return Path(relpath(path.absolute(), home)).as_posix()
