"""The published BGM909 layout, read as it is: songs of POP909 with features of their music videos.

Below one folder, under the names that the published code looks for:

| file | what |
|---|---|
| `POP909_4_bin_pnt_8bar/NNN.npz` | the song on sixteenth steps, four a beat (below) |
| `bgm909/new_raw_video_feats/NNN.pth` | visual features, a torch file with one tensor (rows, 512) |
| `bgm909/caption_feats/NNN.npy` | language features of the captions, (rows, 768) |
| `bgm909/detection/NNN_scenes.txt` | first and last frame of a shot on each line |
| `train_split_pnt/pop909_new.pickle` | names of the training and of the validation songs (`001.npz`) |
| `POP909/NNN/beat_midi.txt` | when each beat falls, from POP909 itself; for alignment by the clock only |

An npz holds `notes` (three tracks of rows: onset step, pitch, duration in steps, velocity, program), `db_pos`
(steps of the downbeats), `db_pos_filter` (which of them begin eight whole bars), `chord` (beats x 14: root,
12 pitch classes, bass) and `start_table` (first note of each step: follows from `notes` and is not read).

Pickles inside these files can run any program when they are opened the usual way. Here they are opened with
everything refused but lists, names and arrays of numbers.

The published loader passes over six songs (`SKIPPED`), and so does this one. The shot lists know frames, not
seconds: shots are laid over the film's length in proportion.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from diffbgm.data.pop909 import split_of
from diffbgm.diffusion.roll import LOWEST_PITCH, N_PITCHES, ONSET, SUSTAIN, TRACKS
from diffbgm.errors import InputError
from diffbgm.features.captions import Caption
from diffbgm.features.film_features import LANGUAGE_WIDTH, VISUAL_WIDTH, FilmFeatures, Rows, Source
from diffbgm.timing import STEPS_PER_BEAT, FloatArray
from diffbgm.video.analysis import Shot

Part = Literal["train", "heldout"]
Split = Literal["published", "numbers"]
RowReader = Callable[[Path], NDArray[Any]]
"""Reads the one tensor of a torch file as an array; torch stays with whoever trains."""

SONGS: Final = "POP909_4_bin_pnt_8bar"
VISUAL: Final = "bgm909/new_raw_video_feats"
CAPTIONS: Final = "bgm909/caption_feats"
SHOTS: Final = "bgm909/detection"
SPLIT: Final = "train_split_pnt/pop909_new.pickle"
BEATS: Final = "POP909"

SKIPPED: Final = ("034", "203", "215", "254", "280", "328")
CHORD_WIDTH: Final = 14
NOTE_WIDTH: Final = 5

_ARRAY_PARTS: Final = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}
_BROKEN_PICKLE: Final = (pickle.UnpicklingError, ValueError, IndexError, KeyError, AttributeError, TypeError)


@dataclass(frozen=True)
class PairedSong:
    """One song in its own key and the features of its film.

    bits: uint8 (beats, 264), `numpy.packbits` of bool (beats, tracks, planes, 4 steps, 88 pitches).
    velocity: uint8 (beats, tracks, 4), mean of the onsets at a step, 0 where there are none.
    chroma: bool (beats, 12); bass: int8 (beats,), -1 = no chord.
    starts: int64 (windows,), beats on which eight whole bars begin.
    beats_s: float64 (beats + 1,), when each beat falls and the last one ends; None if it was not asked for.
    """

    song_id: str
    bits: NDArray[np.uint8]
    velocity: NDArray[np.uint8]
    chroma: NDArray[np.bool_]
    bass: NDArray[np.int8]
    starts: NDArray[np.int64]
    features: FilmFeatures
    beats_s: FloatArray | None

    @property
    def n_beats(self) -> int:
        return len(self.bits)


def song_ids(folder: Path, split: Split, part: Part) -> list[str]:
    """Numbers of the songs to train on, or to hold out, without those in `SKIPPED`.

    published: as the split file says. numbers: those that end in 9 are held out, all others are trained on.
    Raises InputError if the layout is not there, or the split file is not one.
    """
    if split == "published":
        known = read_split(folder / SPLIT)[part == "heldout"]
    else:
        known = sorted(path.stem for path in (folder / SONGS).glob("*.npz"))
        if not known:
            raise InputError(f"{folder / SONGS}: no songs there; expected the published layout, NNN.npz")
        known = [name for name in known if split_of(name) == part]
    return [name for name in known if name not in SKIPPED]


def read_split(path: Path) -> tuple[list[str], list[str]]:
    """Song numbers of the training and of the validation list. Raises InputError for anything else."""
    try:
        with path.open("rb") as file:
            lists = _Refusing(file).load()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected the published split") from error
    except (OSError, EOFError, *_BROKEN_PICKLE) as error:
        raise InputError(f"{path}: not a pickle of two lists of names ({error})") from error
    if not isinstance(lists, list | tuple) or len(lists) < 2:
        raise InputError(f"{path}: expected two lists of names, training and validation")
    for names in lists[:2]:
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise InputError(f"{path}: expected lists of names such as 001.npz")
    training, validation = ([name.removesuffix(".npz") for name in names] for names in lists[:2])
    return training, validation


def read_songs(
    folder: Path,
    names: list[str],
    load_rows: RowReader,
    *,
    visual_row_s: float = 1.0,
    with_times: bool = False,
) -> Iterator[PairedSong]:
    """The songs of these numbers, in their order; what is missing or broken raises InputError."""
    for name in names:
        yield read_song(folder, name, load_rows, visual_row_s=visual_row_s, with_times=with_times)


def read_song(
    folder: Path, name: str, load_rows: RowReader, *, visual_row_s: float = 1.0, with_times: bool = False
) -> PairedSong:
    """One song with its features. `with_times` also reads POP909's beat times.

    visual_row_s: seconds of film that one visual row covers, which gives the film's length; captions and
    shots lie in proportion over it. Stretched alignment does not depend on it.
    Raises InputError naming the file that is missing or not as it should be.
    """
    path = folder / SONGS / f"{name}.npz"
    arrays = _song_arrays(path)
    chord = arrays["chord"]
    if chord.ndim != 2 or chord.shape[1] != CHORD_WIDTH or not len(chord):
        raise InputError(f"{path}: chord of shape {chord.shape}, expected (beats, {CHORD_WIDTH})")
    n_beats = len(chord)
    bits, velocity = _roll(arrays["notes"], n_beats, path)
    downbeats, whole = arrays["db_pos"], arrays["db_pos_filter"].astype(bool)
    if downbeats.ndim != 1 or downbeats.shape != whole.shape:
        raise InputError(f"{path}: db_pos and db_pos_filter differ in shape")
    starts = downbeats[whole].astype(np.int64) // STEPS_PER_BEAT
    if len(starts) and (starts.min() < 0 or starts.max() >= n_beats):
        raise InputError(f"{path}: a downbeat lies outside the song's {n_beats} beats")
    chroma = chord[:, 1:13] > 0
    bass = np.where(chroma.any(axis=1), chord[:, 13].astype(np.int64) % 12, -1)
    return PairedSong(
        song_id=name,
        bits=np.packbits(bits.reshape(n_beats, -1), axis=1),
        velocity=velocity,
        chroma=chroma,
        bass=bass.astype(np.int8),
        starts=starts,
        features=_features(folder, name, load_rows, visual_row_s),
        beats_s=_beat_times(folder / BEATS / name / "beat_midi.txt", n_beats) if with_times else None,
    )


class _Refusing(pickle.Unpickler):
    """Opens pickles of lists, numbers and names; whatever would call something is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it wants {module}.{name}, which is refused")


class _ArraysOnly(_Refusing):
    """The same, with arrays allowed too."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ARRAY_PARTS:
            return super().find_class(module, name)
        return pickle.Unpickler.find_class(self, module, name)


def _song_arrays(path: Path) -> dict[str, Any]:
    """The arrays of a song; `notes` as a list of three arrays (n, 5)."""
    names = ("notes", "db_pos", "db_pos_filter", "chord")
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {}
            for name in names:
                with archive.open(f"{name}.npy") as file:
                    arrays[name] = _array(file)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected the published layout") from error
    except KeyError as error:
        raise InputError(f"{path}: lacks an array ({error.args[0]}); expected {', '.join(names)}") from error
    except (OSError, EOFError, zipfile.BadZipFile, *_BROKEN_PICKLE) as error:
        raise InputError(f"{path}: not a song of the published layout ({error})") from error
    tracks = [np.asarray(track, np.int64).reshape(-1, NOTE_WIDTH) for track in _tracks(arrays["notes"], path)]
    return arrays | {"notes": tracks}


def _array(file: IO[bytes]) -> NDArray[Any]:
    """An array of an npz, numbers or a pickle of arrays."""
    version = np.lib.format.read_magic(file)
    header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in header:
        raise ValueError(f"array format {version}")
    shape, fortran, dtype = header[version](file)
    if dtype.hasobject:
        return np.asarray(_ArraysOnly(file).load(), object)
    flat = np.frombuffer(file.read(), dtype, count=int(np.prod(shape)))
    return flat.reshape(shape, order="F" if fortran else "C")


def _tracks(notes: NDArray[Any], path: Path) -> list[Any]:
    if len(notes) != len(TRACKS):
        raise InputError(f"{path}: notes of {len(notes)} tracks, expected {', '.join(TRACKS)}")
    for track in notes:
        shape = np.shape(track)
        if np.size(track) and (len(shape) != 2 or shape[1] != NOTE_WIDTH):
            raise InputError(f"{path}: notes of shape {shape}, expected (n, {NOTE_WIDTH})")
    return list(notes)


def _roll(
    tracks: list[NDArray[np.int64]], n_beats: int, path: Path
) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """bits (beats, tracks, planes, 4, 88) and velocity (beats, tracks, 4); what no piano has is left out."""
    n_steps = n_beats * STEPS_PER_BEAT
    bits = np.zeros((len(TRACKS), 2, n_steps, N_PITCHES), bool)
    total, count = (np.zeros((len(TRACKS), n_steps)) for _ in range(2))
    for track, notes in enumerate(tracks):
        onset, pitch, duration, velocity = notes[:, 0], notes[:, 1] - LOWEST_PITCH, notes[:, 2], notes[:, 3]
        if len(notes) and (onset.min() < 0 or duration.min() < 0):
            raise InputError(f"{path}: a note begins or lasts less than no time")
        inside = (onset < n_steps) & (pitch >= 0) & (pitch < N_PITCHES)
        for k in np.flatnonzero(inside):
            bits[track, SUSTAIN, onset[k] + 1 : onset[k] + duration[k], pitch[k]] = True
        bits[track, ONSET, onset[inside], pitch[inside]] = True
        bits[track, SUSTAIN] &= ~bits[track, ONSET]
        np.add.at(total[track], onset[inside], velocity[inside])
        np.add.at(count[track], onset[inside], 1)
    mean = np.rint(total / np.maximum(count, 1)).clip(1, 127)
    by_beat = bits.reshape(len(TRACKS), 2, n_beats, STEPS_PER_BEAT, N_PITCHES).transpose(2, 0, 1, 3, 4)
    struck = np.where(count > 0, mean, 0).astype(np.uint8).reshape(len(TRACKS), n_beats, STEPS_PER_BEAT)
    return by_beat, struck.transpose(1, 0, 2)


def _features(folder: Path, name: str, load_rows: RowReader, visual_row_s: float) -> FilmFeatures:
    visual = _rows(folder / VISUAL / f"{name}.pth", load_rows, VISUAL_WIDTH)
    language = _rows(folder / CAPTIONS / f"{name}.npy", _load_npy, LANGUAGE_WIDTH)
    frames = _shots(folder / SHOTS / f"{name}_scenes.txt")
    length_s = len(visual) * visual_row_s
    edges = np.linspace(0, length_s, len(language) + 1).tolist()
    frame_s = length_s / (frames[-1, 1] + 1)
    layout = Source("BGM909", "")
    return FilmFeatures(
        film=Source(name, ""),
        duration_s=length_s,
        visual=visual,
        visual_hz=1 / visual_row_s,
        visual_by=layout,
        shots=tuple(Shot(float(first * frame_s), float((last + 1) * frame_s)) for first, last in frames),
        shots_by=layout.name,
        captions=tuple(Caption(a, b, "") for a, b in pairwise(edges)),
        captions_by=layout,
        language=language,
        language_by=layout,
    )


def _load_npy(path: Path) -> NDArray[Any]:
    return np.asarray(np.load(path, allow_pickle=False))


def _rows(path: Path, load: RowReader, width: int) -> Rows:
    try:
        rows = load(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected the published layout") from error
    except (OSError, EOFError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: cannot read the features ({reason})") from error
    if rows.ndim != 2 or rows.shape[1] != width or not len(rows):
        raise InputError(f"{path}: features of shape {rows.shape}, expected (rows, {width})")
    if not np.isfinite(rows).all():
        raise InputError(f"{path}: a feature is not a finite number")
    return rows.astype(np.float32)


def _shots(path: Path) -> NDArray[np.int64]:
    """First and last frame of each shot, int64 (shots, 2)."""
    try:
        frames = [[int(number) for number in line.split()] for line in path.read_text().splitlines() if line]
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected the published layout") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a list of shots, two frame numbers a line ({error})") from error
    if not frames or any(len(pair) != 2 or not 0 <= pair[0] <= pair[1] for pair in frames):
        raise InputError(f"{path}: expected one shot a line, its first and its last frame")
    return np.array(frames, np.int64)


def _beat_times(path: Path, n_beats: int) -> FloatArray:
    """When each beat falls, float64 (n_beats + 1,): a song may be one beat longer than its list."""
    try:
        times_s = np.loadtxt(path, usecols=0, ndmin=1)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read the beat times for alignment by time ({error})") from error
    if len(times_s) < max(2, n_beats) or not (np.diff(times_s) > 0).all():
        raise InputError(f"{path}: {len(times_s)} beat times for {n_beats} beats, expected rising times")
    if len(times_s) == n_beats:
        times_s = np.append(times_s, 2 * times_s[-1] - times_s[-2])
    return np.asarray(times_s[: n_beats + 1], np.float64)
