"""A built dataset as arrays that are mapped into memory, so that training starts at once and holds little.

Parquet holds compressed pages of nested lists, and nothing in them can be mapped as an array. So the first
start writes what windows are made of uncompressed beside the data, in `.windows/` (81 MB for POP909), and
every later start maps it. It is written anew when the data files change, and can be deleted at any time.
Several processes may start at once, and workers share the pages of one another.

A song counts once, however many videos it has. Left out, with the reason, are items that are not in 4/4 with
even bars, whose notes do not lie on the grid, or whose beats have gaps: what `POP909-songs.csv` flags as GRID
and MIDI_GAP, but measured, so that it holds for songs from anywhere.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from diffbgm.data import store
from diffbgm.data.annotation.music import MusicAnnotation
from diffbgm.data.paired import PairedSource, semitones_home
from diffbgm.data.pop909 import Phrase, Song, Split
from diffbgm.data.pop909 import song_of as phrases_of
from diffbgm.data.rows import TRAINING_COLUMNS, TrainingRow, training_row
from diffbgm.data.shared_conditions import song_of, whole_bars
from diffbgm.data.windows import SongFeatures, Window, WindowSource
from diffbgm.diffusion.behaviour import Alignment
from diffbgm.errors import InputError, OutputError
from diffbgm.features.film_features import Rows
from diffbgm.features.rows import shots_of_beats
from diffbgm.timing import BEATS_PER_BAR

CACHE: Final = ".windows"
LEAST_GRID_FIT: Final = 0.7
LONGEST_BEAT: Final = 1.5  # in median beats: a longer one is a gap in the annotation

_VERSION: Final = 1  # of the files; raised whenever they change
_ABOUT: Final = "about.json"
_EIGHT_BARS: Final = 8 * BEATS_PER_BAR
_OF_SONG: Final = ("bits", "velocity", "chroma", "bass", "third", "tonic", "minor", "bpm")
_OF_FEATURES: Final = ("onsets", "melody", "intensity", "melody_pitch", "accents")
_OF_PAIR: Final = ("bits", "velocity", "chroma", "bass", "visual", "language", "segment")


class Told(Protocol):
    """Told how far the first start is, 0 .. 1."""

    def __call__(self, share: float, /) -> None: ...


@dataclass(frozen=True)
class MappedPair:
    """Notes of one song with a film; arrays as in `bgm909.PairedSong`, mapped."""

    song_id: str
    bits: NDArray[np.uint8]
    velocity: NDArray[np.uint8]
    chroma: NDArray[np.bool_]
    bass: NDArray[np.int8]
    starts: NDArray[np.int64]

    @property
    def n_beats(self) -> int:
        return len(self.bits)


class MappedWindows(WindowSource):
    """`WindowSource` over the songs of a dataset. Other processes open it again, and nothing is copied."""

    def __init__(self, folder: Path, split: Split | None) -> None:
        self._from = (folder, split)
        mapped = Mapped(folder)
        chosen = [each for each in mapped.songs if split in (None, each["split"])]
        super().__init__(
            [mapped.song(each) for each in chosen],
            [mapped.features(each) for each in chosen],
            [
                Window(k, start, semitones)
                for k, each in enumerate(chosen)
                for start, semitones in each["windows"]
            ],
        )

    def __reduce__(self) -> tuple[type[MappedWindows], tuple[Path, Split | None]]:
        return MappedWindows, self._from


class MappedPairs(PairedSource):
    """`PairedSource` over the items of a dataset that have learned features with captions.

    Windows begin where the film covers all of the eight bars that follow. Raises InputError where there are
    none, or where rows were put on the beats in another way than `alignment`.
    """

    def __init__(self, folder: Path, split: Split | None, beats: int, alignment: Alignment) -> None:
        self._from = (folder, split, beats, alignment)
        mapped = Mapped(folder)
        chosen = [each for each in mapped.pairs if split in (None, each["split"])]
        if not chosen:
            raise InputError(
                f"{folder}: no item of split {split or 'any'} has features of its film and captions; "
                "`dataset build --extract` computes them"
            )
        for each in chosen:
            if each["alignment"] != alignment:
                raise InputError(
                    f"{folder}: features of {each['item_id']} lie on the beats by {each['alignment']}, asked "
                    f"for is {alignment}; build it with --align {alignment}"
                )
        pairs = [mapped.pair(each) for each in chosen]
        self._fill(
            [pair for pair, _, _ in pairs], beats, [rows for _, rows, _ in pairs],
            [segments for _, _, segments in pairs], [each["home"] for each in chosen],
        )  # fmt: skip

    def __reduce__(self) -> tuple[type[MappedPairs], tuple[Path, Split | None, int, Alignment]]:
        return MappedPairs, self._from


class Mapped:
    """The mapped arrays of a dataset; they are written if they are not there.

    songs, pairs: what `song`, `features` and `pair` take, in the order of the items; each has `item_id`,
    `song_id`, `split`. left_out: reason by item id. first_start: whether the arrays were written now.

    Raises InputError for a folder without a dataset, OutputError if the arrays cannot be written.
    """

    def __init__(self, folder: Path, tell: Told | None = None) -> None:
        home = folder / CACHE / _digest(folder)
        self.first_start = not (home / _ABOUT).is_file()
        if self.first_start:
            _write(folder, home, tell)
        about = json.loads((home / _ABOUT).read_text(encoding="utf-8"))
        self.songs: list[dict[str, Any]] = about["songs"]
        self.pairs: list[dict[str, Any]] = about["pairs"]
        self.left_out: dict[str, str] = about["left_out"]
        self._arrays = {
            name: _map(home / name, dtype, tuple(shape)) for name, (dtype, shape) in about["arrays"].items()
        }

    def song(self, about: Mapping[str, Any]) -> Song:
        """The song that `read_songs` would give, bit for bit."""
        phrases = tuple(Phrase(start, end, label) for start, end, label in about["phrases"])
        return Song(about["song_id"], **self._of("song", _OF_SONG, about), phrases=phrases)

    def features(self, about: Mapping[str, Any]) -> SongFeatures:
        return SongFeatures(**self._of("song", _OF_FEATURES, about), roles=tuple(about["roles"]))

    def pair(self, about: Mapping[str, Any]) -> tuple[MappedPair, tuple[Rows, Rows], NDArray[np.int64]]:
        """Notes, visual and language rows a beat (float16), and the number of each beat's shot."""
        of = self._of("pair", _OF_PAIR, about)
        notes = {name: of[name] for name in ("bits", "velocity", "chroma", "bass")}
        starts = np.array(about["starts"], np.int64)
        rows = (of["visual"], of["language"])
        return MappedPair(about["song_id"], **notes, starts=starts), rows, of["segment"].astype(np.int64)

    def _of(self, table: str, names: Sequence[str], about: Mapping[str, Any]) -> dict[str, Any]:
        beats = slice(about["first"], about["first"] + about["beats"])
        return {name: self._arrays[f"{table}.{name}"][beats] for name in names}


class _Columns:
    """Arrays that grow at their end, a file each; nothing of them is held."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._files: dict[str, Any] = {}
        self.about: dict[str, tuple[str, list[int]]] = {}

    def add(self, table: str, arrays: Mapping[str, NDArray[Any]]) -> int:
        """Put rows at the end of the table's columns; the number of the first one."""
        first = 0
        for column, array in arrays.items():
            name = f"{table}.{column}"
            dtype, shape = self.about.setdefault(name, (array.dtype.str, [0, *array.shape[1:]]))
            if dtype != array.dtype.str or shape[1:] != list(array.shape[1:]):
                raise InputError(
                    f"{column} of width {list(array.shape[1:])} beside others of {shape[1:]}; features of a "
                    "dataset that is to be trained on must come from one model"
                )
            if name not in self._files:
                self._files[name] = self._stack.enter_context((self._folder / name).open("wb"))
            self._files[name].write(np.ascontiguousarray(array).tobytes())
            first, shape[0] = shape[0], shape[0] + len(array)
        return first


def _write(folder: Path, home: Path, tell: Told | None) -> None:
    """Write the arrays under a name of their own and rename them; arrays of older data go."""
    files = store.data_files(folder)
    total = store.description(folder)["items"]
    try:
        home.parent.mkdir(exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=home.parent))
    except OSError as error:
        raise OutputError(
            f"{home.parent}: cannot be written ({error.strerror}); the first start puts arrays there to map"
        ) from error
    try:
        with ExitStack() as stack:
            columns = _Columns(scratch, stack)
            about: dict[str, Any] = {"songs": [], "pairs": [], "left_out": {}}
            seen: set[str] = set()
            for number, table in enumerate(store.read_rows(files, list(TRAINING_COLUMNS)), start=1):
                _add(columns, about, training_row(table), seen)
                if tell is not None:
                    tell(number / total)
            about["arrays"] = columns.about
        (scratch / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
        for old in home.parent.iterdir():
            if old != home and not old.name.startswith(".new-"):
                shutil.rmtree(old, ignore_errors=True)
        _rename(scratch, home)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _rename(scratch: Path, home: Path) -> None:
    """Move the arrays into place, unless another process was faster."""
    try:
        scratch.replace(home)
    except OSError:
        if not (home / _ABOUT).is_file():
            raise


def _add(columns: _Columns, about: dict[str, Any], row: TrainingRow, seen: set[str]) -> None:
    music = row.music
    reason = _unfit(music)
    if reason is not None:
        about["left_out"][row.item_id] = reason
        return
    names = {"item_id": row.item_id, "song_id": row.song_id, "split": row.split}
    if row.features is not None and row.features.language_on_beats is not None:
        about["pairs"].append(names | _add_pair(columns, row))
    if row.song_id in seen:
        return
    seen.add(row.song_id)
    song = phrases_of(row.song_id, music)
    if song is None:
        about["left_out"][row.item_id] = "fewer than 16 bars under its phrases"
        return
    source = WindowSource([song])
    (features,) = source.features
    arrays = {name: getattr(song, name) for name in _OF_SONG}
    first = columns.add("song", arrays | {name: getattr(features, name) for name in _OF_FEATURES})
    about["songs"].append(
        names
        | {
            "first": first,
            "beats": song.n_beats,
            "phrases": [[each.start_beat, each.end_beat, each.label] for each in song.phrases],
            "roles": list(features.roles),
            "windows": [[each.start_beat, each.semitones] for each in source.windows],
        }
    )


def _add_pair(columns: _Columns, row: TrainingRow) -> dict[str, Any]:
    """The item's notes and rows on its whole bars."""
    learned, bars = row.features, whole_bars(row.music)
    assert learned is not None
    assert bars is not None
    song = song_of(row.music, row.song_id)
    assert song is not None
    beats = slice(*bars)
    edges_s = row.music.beats_s - row.offset_s
    if learned.alignment == "stretched":  # rows have no times: shots are laid over the beats as they are
        edges_s = np.arange(row.music.n_beats + 1, dtype=np.float64)
    segment = shots_of_beats(learned.film, edges_s, learned.alignment)
    seen = (row.covered > 0) | (learned.alignment == "stretched")
    starts = [
        start
        for start in range(0, song.n_beats - _EIGHT_BARS + 1, BEATS_PER_BAR)
        if seen[beats][start : start + _EIGHT_BARS].all()
    ]
    language = learned.language_on_beats
    assert language is not None
    arrays = {name: getattr(song, name) for name in ("bits", "velocity", "chroma", "bass")}
    arrays["visual"] = learned.visual_on_beats[beats].astype(np.float16)
    arrays["language"] = language[beats].astype(np.float16)
    arrays["segment"] = segment[beats].astype(np.int16)
    first = columns.add("pair", arrays)
    return {
        "first": first,
        "beats": song.n_beats,
        "starts": starts,
        "home": semitones_home(song),
        "alignment": learned.alignment,
    }


def _unfit(music: MusicAnnotation) -> str | None:
    """Why no windows are made of a song; None if they are."""
    if whole_bars(music) is None:
        return "not in 4/4 with even bars throughout"
    if music.grid_fit < LEAST_GRID_FIT:
        return f"{music.grid_fit:.0%} of its notes lie on the grid, expected {LEAST_GRID_FIT:.0%}"
    beat_s = np.diff(music.beats_s)
    if beat_s.max() >= LONGEST_BEAT * np.median(beat_s):
        return "its beats have gaps"
    if not (music.phrases and (music.given_keys or music.keys) and (music.given_chords or music.chords)):
        return "no phrases, keys or chords"
    return None


def _digest(folder: Path) -> str:
    """Of all that the arrays follow from, without reading the rows."""
    content: list[Any] = [_VERSION, LEAST_GRID_FIT, LONGEST_BEAT]
    for path in [*store.data_files(folder), folder / store.DESCRIPTION]:
        stat = path.stat()
        content.append((path.name, stat.st_size, stat.st_mtime_ns))
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _map(path: Path, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """A plain array over the mapped file; of an array without rows there is nothing to map."""
    if shape[0] == 0:
        return np.zeros(shape, dtype)
    return np.asarray(np.memmap(path, dtype, "r", shape=shape))
