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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from os.path import relpath
from pathlib import Path
from typing import Any, Final

from diffbgm.data.manifest import ManifestRow
from diffbgm.data.pairing_audio import SongPrint, SoundPrint, best_songs, song_print, sound_print
from diffbgm.data.sources import rows_of
from diffbgm.errors import DiffbgmError, InputError, OptionError
from diffbgm.film import open_film
from diffbgm.metrics.chroma import SOUND_HZ
from diffbgm.metrics.notes import read_notes
from diffbgm.metrics.onsets import read_sound
from diffbgm.progress import Listener, Stages

VIDEO_SUFFIXES: Final = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".flv")
MIN_CONFIDENCE: Final = 0.5
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
    """pairs: by video. unpaired: videos without a song, with the reason. unused: songs without a video."""

    pairs: tuple[Pair, ...]
    unpaired: dict[Path, str]
    unused: tuple[str, ...]

    def rows(self, manifest: Path) -> list[ManifestRow]:
        """Rows for a manifest at this path; names of files relative to its folder."""
        home = manifest.parent.absolute()
        return [
            ManifestRow(
                song=_reference(pair.song.path, home),
                video=_reference(pair.video, home),
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
            "unused": list(self.unused),
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
    VIDEO_SUFFIXES, in subfolders too. A video that cannot be read is left unpaired with the reason.
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
    pairs: list[Pair] = []
    first = by[0]
    if first == "name":
        pairs = _matched(found_songs, found_videos, _name_likeness(), "name")
    elif first == "duration":
        readable = _durations(found_songs, found_videos, unpaired)
        pairs = _matched(found_songs, list(readable[1]), _duration_likeness(*readable), "duration")
    if "audio" in by:
        only = None if first == "audio" else {pair.video: pair for pair in pairs}
        pairs = _heard(found_songs, found_videos, only, unpaired, stages)
    kept = [pair for pair in pairs if pair.confidence >= min_confidence]
    for pair in pairs:
        if pair.confidence < min_confidence:
            unpaired[pair.video] = f"the likeliest song is {pair.song.name}, confidence {pair.confidence:.2f}"
    paired = {pair.video for pair in kept}
    for video in found_videos:
        if video not in paired:
            unpaired.setdefault(video, "no song is like it")
    used = {pair.song.name for pair in kept}
    unused = tuple(song.name for song in found_songs if song.name not in used)
    return Proposal(tuple(sorted(kept, key=lambda pair: pair.video)), dict(sorted(unpaired.items())), unused)


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


def _name_likeness() -> Callable[[SongFile, Path], float]:
    return lambda song, video: max(
        name_likeness(song.name, video.stem), name_likeness(song.path.stem, video.stem)
    )


def _duration_likeness(
    songs: dict[str, float], videos: dict[Path, float]
) -> Callable[[SongFile, Path], float]:
    return lambda song, video: max(0.0, 1 - abs(songs[song.name] - videos[video]) / _FARTHEST_S)


def _durations(
    songs: Iterable[SongFile], videos: Iterable[Path], unpaired: dict[Path, str]
) -> tuple[dict[str, float], dict[Path, float]]:
    of_videos = {}
    for video in videos:
        try:
            with open_film(video) as container:
                if container.duration is None:
                    raise InputError(f"{video}: does not say how long it is; pair it by audio")
                of_videos[video] = container.duration / 1e6
        except InputError as error:
            unpaired[video] = str(error)
    return {song.name: read_notes(song.midi).duration_s for song in songs}, of_videos


def _matched(
    songs: Sequence[SongFile],
    videos: Sequence[Path],
    likeness: Callable[[SongFile, Path], float],
    method: str,
) -> list[Pair]:
    """The likeliest pairs first, each song and video once."""
    likenesses = {(song.name, video): likeness(song, video) for video in videos for song in songs}
    order = sorted(
        (
            (-likenesses[song.name, video], str(video), number)
            for video in videos
            for number, song in enumerate(songs)
        ),
    )
    pairs: list[Pair] = []
    used_songs: set[int] = set()
    used_videos: set[str] = set()
    for negative, video_name, number in order:
        like = -negative
        if like < _LEAST_NAME * (method == "name") or like <= 0:
            break
        if number in used_songs or video_name in used_videos:
            continue
        used_songs.add(number)
        used_videos.add(video_name)
        video = Path(video_name)
        as_good = sum(likenesses[song.name, video] >= like - _AS_GOOD for song in songs)
        others = [
            (likenesses[song.name, video], song.name) for song in songs if song.name != songs[number].name
        ]
        next_like, next_name = max(others, default=(0.0, ""))
        pairs.append(
            Pair(
                songs[number],
                video,
                like / max(as_good, 1),
                method,
                runner_up=next_name,
                runner_up_confidence=next_like,
            )
        )
    return pairs


def _heard(
    songs: Sequence[SongFile],
    videos: Sequence[Path],
    only: dict[Path, Pair] | None,
    unpaired: dict[Path, str],
    stages: Stages,
) -> list[Pair]:
    """The song heard in each video; of `only` those pairs, each with its own song. A song is read once."""
    prints: dict[str, SongPrint] = {}
    named = {song.name: song for song in songs}
    with stages.stage("songs") as tell:
        wanted = songs if only is None else [pair.song for pair in only.values()]
        for number, song in enumerate(wanted):
            prints[song.name] = song_print(read_notes(song.midi))
            tell((number + 1) / len(wanted))
    pairs = []
    with stages.stage("videos") as tell:
        for number, video in enumerate(videos):
            tell(number / len(videos))
            if only is not None and video not in only:
                continue
            try:
                sound = read_soundtrack(video)
            except DiffbgmError as error:
                unpaired[video] = str(error)
                continue
            chosen = prints if only is None else {only[video].song.name: prints[only[video].song.name]}
            found = best_songs(chosen, sound)
            if not found:
                unpaired[video] = "its soundtrack is silent or too short"
                continue
            (name, best), *others = found
            method = "audio" if only is None else f"{only[video].method}, audio"
            pair = Pair(
                named[name], video, best.confidence, method,
                offset_s=best.offset_s, speed=best.speed, drift_s=best.drift_s,
            )  # fmt: skip
            if others:
                pair = replace(pair, runner_up=others[0][0], runner_up_confidence=others[0][1].confidence)
            pairs.append(pair)
    return pairs


def _reference(path: Path, home: Path) -> str:
    return Path(relpath(path.absolute(), home)).as_posix()
