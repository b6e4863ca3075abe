"""POP909 as distributed: are its files whole, and do notes, beats, metre, chords, keys and recording agree?

Only what the archive itself holds is read (`NNN/NNN.mid`, the five text files, `index.xlsx`), so that the
findings can be held against what people have written about the data set. Held-out songs are those whose
number ends in 9 (`pop909.split_of`).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from diffbgm.data.annotation.grid import Tones
from diffbgm.data.leakage import near_duplicates, passages_of
from diffbgm.data.pop909 import parse_chord, read_tones, split_of
from diffbgm.data.verify_beats import Bars, check_beats
from diffbgm.data.verify_report import Finding, finding
from diffbgm.errors import InputError
from diffbgm.pitch import pitch_class
from diffbgm.timing import FloatArray

TEXT_FILES: Final = ("beat_midi.txt", "beat_audio.txt", "chord_midi.txt", "chord_audio.txt", "key_audio.txt")
TRACK_NAMES: Final = ("MELODY", "BRIDGE", "PIANO")

_FEW_NOTES: Final = 16
_LEAST_IN_CHORD, _LEAST_IN_KEY = 0.8, 0.8
_SHORT_S, _MANY_SHORT = 0.005, 5
_LEAST_TRANSPOSED: Final = 0.7
_FAR_S: Final = 10.0
_OFF_S: Final = 0.1
_LEVEL_SLACK, _MOST_OFF_LEVEL = 0.25, 0.05
_SCALES: Final = {
    "maj": (0, 2, 4, 5, 7, 9, 11),
    "min": (0, 2, 3, 5, 7, 8, 10, 11),  # with the leading note
}


@dataclass(frozen=True)
class Segments:
    """Rows `start end name`. start_s, end_s: float64 (rows,)."""

    start_s: FloatArray
    end_s: FloatArray
    names: tuple[str, ...]

    def at(self, times_s: FloatArray) -> NDArray[np.int64]:
        """The row at each time; the first or last outside."""
        return np.clip(np.searchsorted(self.start_s, times_s, side="right") - 1, 0, len(self.names) - 1)


def is_pop909(folder: Path) -> bool:
    """Whether a folder holds POP909's song folders."""
    return any((path / f"{path.name}.mid").is_file() for path in folder.glob("[0-9][0-9][0-9]"))


def check_pop909(folder: Path, progress: Callable[[float], None] | None = None) -> tuple[int, list[Finding]]:
    """The number of songs, and all findings about them; those about two songs last."""
    songs = sorted(path for path in folder.glob("[0-9][0-9][0-9]") if path.is_dir())
    out: list[Finding] = []
    metres: dict[str, int] = {}
    try:
        metres = read_index(folder / "index.xlsx")
    except InputError as error:
        out.append(
            finding("file_broken" if (folder / "index.xlsx").is_file() else "file_missing", "", str(error))
        )
    tunes = {}
    for number, path in enumerate(songs):
        found, tones = check_song(path, metres.get(path.name))
        out += found
        if tones is not None:
            melody = tones.voice == 0
            tunes[path.name] = passages_of(tones.start_s[melody], tones.pitch[melody])
        if progress:
            progress((number + 1) / len(songs))
    return len(songs), out + list(like_songs(tunes, {name: split_of(name) for name in tunes}))


def like_songs(tunes: dict[str, NDArray[np.uint64]], splits: dict[str, str]) -> Iterator[Finding]:
    """duplicate and leak, from the passages and the split of each song; "" for a song in no split."""
    for like in near_duplicates(tunes):
        sides = {splits[like.first], splits[like.second]}
        yield finding(
            "leak" if len(sides - {""}) == 2 else "duplicate",
            f"{like.first}, {like.second}",
            f"they share {like.share:.0%} of the shorter melody's passages of eleven notes "
            f"({' and '.join(sorted(side or 'no split' for side in sides))})",
            share=round(like.share, 3),
            passages=like.passages,
        )


def check_song(folder: Path, beats_per_bar: int | None) -> tuple[list[Finding], Tones | None]:
    """Findings about one song folder, and its notes where they can be read.

    beats_per_bar: `num_beats_per_measure` of the index, None where it is not known.
    """
    item = folder.name
    out = []
    files: dict[str, NDArray[np.float64] | Segments] = {}
    for name in TEXT_FILES:
        if not (folder / name).is_file():
            out.append(finding("file_missing", item, f"there is no {name}", file=name))
            continue
        try:
            files[name] = _beats(folder / name) if name.startswith("beat") else _segments(folder / name)
        except InputError as error:
            out.append(finding("file_broken", item, str(error), file=name))
    midi = folder / f"{item}.mid"
    if not midi.is_file():
        return [*out, finding("file_missing", item, f"there is no {midi.name}", file=midi.name)], None
    try:
        tones = read_tones(midi)
    except InputError as error:
        return [*out, finding("file_broken", item, str(error), file=midi.name)], None
    out += _check_tracks(item, tones)
    beats, audio = files.get("beat_midi.txt"), files.get("beat_audio.txt")
    if isinstance(beats, np.ndarray):
        out += check_beats(item, tones, _bars(beats, beats_per_bar))
        if isinstance(audio, np.ndarray):
            out += _check_audio(item, beats[:, 0], audio, tones, beats_per_bar)
    chords, keys = files.get("chord_midi.txt"), files.get("key_audio.txt")
    heard = files.get("chord_audio.txt")
    if isinstance(chords, Segments):
        out += _check_chords(item, tones, chords)
        if isinstance(heard, Segments):
            out += _check_transposition(item, chords, heard)
    if isinstance(keys, Segments):
        out += _check_keys(item, tones, keys)
    return out, tones


def read_index(path: Path) -> dict[str, int]:
    """Beats a bar by song number, from the workbook. Raises InputError if it cannot be read."""
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    try:
        with zipfile.ZipFile(path) as book:
            sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
        rows = [
            [cell.findtext(f"{space}is/{space}t", "") for cell in row.iter(f"{space}c")]
            for row in sheet.iter(f"{space}row")
        ]
        number, beats = rows[0].index("song_id"), rows[0].index("num_beats_per_measure")
        return {row[number]: int(row[beats]) for row in rows[1:]}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (zipfile.BadZipFile, ElementTree.ParseError, KeyError, IndexError, ValueError) as error:
        raise InputError(f"{path}: is not the index of POP909 ({error})") from error


def _lines(path: Path, columns: int) -> list[list[str]]:
    try:
        rows = [line.split(maxsplit=columns - 1) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name}: cannot be read ({error})") from error
    if not rows:
        raise InputError(f"{path.name}: is empty")
    for number, row in enumerate(rows, 1):
        if len(row) != columns:
            raise InputError(f"{path.name}: row {number} has {len(row)} cells, expected {columns}")
    return rows


def _numbers(path: Path, rows: list[list[str]]) -> NDArray[np.float64]:
    try:
        return np.array(rows, np.float64)
    except ValueError as error:
        raise InputError(f"{path.name}: a number is expected ({error})") from error


def _beats(path: Path) -> NDArray[np.float64]:
    """Rows of beat_midi (time, short bar, long bar) or beat_audio (time, number in the bar)."""
    values = _numbers(path, _lines(path, 3 if path.name == "beat_midi.txt" else 2))
    if len(values) < 9 or not (np.diff(values[:, 0]) > 0).all():
        raise InputError(f"{path.name}: times do not rise, or there are fewer than nine beats")
    return values


def _segments(path: Path) -> Segments:
    rows = _lines(path, 3)
    times = _numbers(path, [row[:2] for row in rows])
    apart = np.abs(times[1:, 0] - times[:-1, 1]) > 0.01
    if (times[:, 1] <= times[:, 0]).any():
        raise InputError(f"{path.name}: a segment ends before it begins")
    if path.name != "key_audio.txt" and apart.any():
        raise InputError(f"{path.name}: a gap or an overlap at {times[1:, 0][apart][0]:.2f} s")
    names = tuple(row[2].strip() for row in rows)
    if path.name == "chord_midi.txt":
        for name in set(names):
            parse_chord(name)
    return Segments(times[:, 0], times[:, 1], names)


def _bars(beats: NDArray[np.float64], beats_per_bar: int | None) -> Bars:
    """The long bars of four beats in duple time, the short ones of three otherwise."""
    triple = beats_per_bar == 3
    edges_s = np.append(beats[:, 0], 2 * beats[-1, 0] - beats[-2, 0])
    return Bars(edges_s, beats[:, 1 if triple else 2] == 1, 3 if triple else 4)


def _check_tracks(item: str, tones: Tones) -> Iterator[Finding]:
    for voice, name in enumerate(TRACK_NAMES):
        own = tones.voice == voice
        count = int(own.sum())
        if count < _FEW_NOTES:
            yield finding(
                "track_empty",
                item,
                f"{name} has {count} notes",
                severity="error" if name == "MELODY" else None,
                track=name,
                notes=count,
            )
        elif len(np.unique(tones.velocity[own])) == 1:
            yield finding(
                "velocity_constant",
                item,
                f"all {count} notes of {name} have velocity {int(tones.velocity[own][0])}",
                track=name,
                notes=count,
            )
    short = int((tones.end_s - tones.start_s < _SHORT_S).sum())
    if short >= _MANY_SHORT:
        yield finding("notes_short", item, f"{short} notes are shorter than 5 ms", notes=short)


def _check_audio(
    item: str, beats_s: FloatArray, audio: NDArray[np.float64], tones: Tones, beats_per_bar: int | None
) -> Iterator[Finding]:
    heard_s = audio[:, 0]
    tempo = np.interp((heard_s[1:] + heard_s[:-1]) / 2, beats_s[1:], np.diff(beats_s)) / np.diff(heard_s)
    level = float(np.median(tempo))
    off_level = float((np.abs(tempo / level - 1) > _LEVEL_SLACK).mean())
    if abs(level - 1) > 0.1 or off_level > _MOST_OFF_LEVEL:
        yield finding(
            "audio_tempo",
            item,
            f"beat_audio runs at {level:.2f} times the tempo, {off_level:.0%} of its beats at another",
            level=round(level, 3),
            off_level=round(off_level, 3),
        )
    if beats_per_bar == 3 and audio[:, 1].max() > 3:
        yield finding(
            "audio_metre",
            item,
            f"beat_audio counts to {audio[:, 1].max():.0f}, the index says 3 beats a bar",
            audio=int(audio[:, 1].max()),
            index=3,
        )
    late = float(heard_s[-1] - tones.end_s.max())
    if abs(late) > _FAR_S:
        when = "after" if late > 0 else "before"
        yield finding(
            "audio_extent", item, f"beat_audio ends {abs(late):.1f} s {when} the notes", late_s=round(late, 2)
        )
    inside = heard_s[(heard_s > beats_s[0]) & (heard_s < beats_s[-1])]
    halves = np.sort(np.concatenate([beats_s, (beats_s[1:] + beats_s[:-1]) / 2])) if level > 1.5 else beats_s
    following = np.clip(np.searchsorted(halves, inside), 1, len(halves) - 1)
    distance = np.minimum(np.abs(halves[following] - inside), np.abs(halves[following - 1] - inside))
    if len(inside) and float(np.median(distance)) > _OFF_S:
        middle = float(np.median(distance))
        yield finding(
            "audio_off",
            item,
            f"beat_audio lies {middle:.2f} s off the beats of the notes",
            median_s=round(middle, 3),
        )


def _check_chords(item: str, tones: Tones, chords: Segments) -> Iterator[Finding]:
    members = np.zeros((len(chords.names), 12), bool)
    for number, name in enumerate(chords.names):
        members[number, sorted(parse_chord(name)[0])] = True
    # Long notes are judged by how they begin: a chord may change under them.
    row = chords.at(tones.start_s + np.minimum(tones.end_s - tones.start_s, 0.5) / 2)
    told = members[row].any(axis=1) & (tones.voice == 2)
    share = _share(members[row, tones.pitch % 12], tones, told)
    if share < _LEAST_IN_CHORD:
        yield finding(
            "chords_off",
            item,
            f"{share:.0%} of PIANO belongs to the chords of chord_midi",
            share=round(share, 3),
        )


def _check_transposition(item: str, chords: Segments, heard: Segments) -> Iterator[Finding]:
    """Whether the recording is in another key than the notes: the roots of its chords say so throughout."""
    at_s = np.arange(0.0, min(chords.end_s[-1], heard.end_s[-1]), 0.25)
    ours, theirs = _roots(chords)[chords.at(at_s)], _roots(heard)[heard.at(at_s)]
    told = (ours >= 0) & (theirs >= 0)
    share = np.bincount((theirs - ours)[told] % 12, minlength=12) / max(int(told.sum()), 1)
    up = int(share.argmax())
    if up and share[up] > _LEAST_TRANSPOSED:
        yield finding(
            "transposed",
            item,
            f"the recording's chords lie {up if up <= 6 else up - 12:+d} semitones from those of the notes, "
            f"{share[up]:.0%} of the time",
            semitones=up if up <= 6 else up - 12,
            share=round(float(share[up]), 3),
        )


def _roots(chords: Segments) -> NDArray[np.int64]:
    """The pitch class of each chord's root, -1 for none."""
    names = [re.match(r"[A-G][#b]*", name) for name in chords.names]
    return np.array([-1 if name is None else pitch_class(name[0]) for name in names])


def _check_keys(item: str, tones: Tones, keys: Segments) -> Iterator[Finding]:
    members = np.zeros((len(keys.names), 12), bool)
    for row, name in enumerate(keys.names):
        tonic, _, mode = name.partition(":")
        if mode not in _SCALES:
            yield finding("file_broken", item, f"key_audio.txt: unknown key {name!r}", file="key_audio.txt")
            return
        members[row, [(pitch_class(tonic) + step) % 12 for step in _SCALES[mode]]] = True
    share = _share(members[keys.at(tones.start_s), tones.pitch % 12], tones, np.ones(len(tones), bool))
    if share < _LEAST_IN_KEY:
        yield finding(
            "key_off",
            item,
            f"{share:.0%} of the notes belong to the keys of key_audio",
            share=round(share, 3),
        )


def _share(belongs: NDArray[np.bool_], tones: Tones, chosen: NDArray[np.bool_]) -> float:
    """Share of the chosen notes' time, at most two seconds a note, that belongs; 1 for no notes."""
    weight = np.minimum(tones.end_s - tones.start_s, 2.0) * chosen
    total = float(weight.sum())
    return float(weight[belongs].sum()) / total if total > 0 else 1.0
