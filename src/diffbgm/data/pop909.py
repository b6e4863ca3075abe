"""POP909 songs on the beat grid, with the annotations the conditions are computed from.

Reads the two archives' folder (`POP909/NNN/...`) and the table of statistics and flags that goes with
them. Four departures from a plain reading, each because of a fault of the data:

- Beat times come from `beat_midi.txt`, not from MIDI ticks, whose grid is off the beat by a constant
  phase in most songs.
- Bar starts come from the alignment of the phrase labels (`struct_offset_q`), as the published bar
  column is wrong in about a third of the songs. Songs without an alignment are left out.
- Songs flagged GRID (notes do not fit the beats) or MIDI_GAP (beats missing), and songs not in duple
  time with two eighths a beat, are left out.
- Chords and keys are looked up by time at the middle of each beat.

Held out everywhere and for ever: songs whose number ends in 9.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from diffbgm.data.annotation.chords import chord_evidence, estimate_chords, harte_of
from diffbgm.data.annotation.grid import GridNotes, Tones, dynamics_of, grid_fit, on_grid, roll_of, unpacked
from diffbgm.data.annotation.music import MusicAnnotation, Role, Span
from diffbgm.diffusion.roll import TRACKS
from diffbgm.diffusion.tokens import drop_orphans
from diffbgm.errors import InputError
from diffbgm.metrics.notes import read_score
from diffbgm.pitch import pitch_class
from diffbgm.timing import BEATS_PER_BAR

Split = Literal["train", "heldout"]
Labels = Literal["label1", "label2"]

_VOICES: Final = ("MELODY", "BRIDGE", "PIANO")  # track names, in the order of `TRACKS`

_DEGREE = {"1": 0, "2": 2, "3": 4, "4": 5, "5": 7, "6": 9, "7": 11, "9": 2}
# Intervals above the root of the chord qualities of `chord_midi.txt`.
_QUALITY = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "maj6": (0, 4, 7, 9),
    "min6": (0, 3, 7, 9),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "minmaj7": (0, 3, 7, 11),
    "dim7": (0, 3, 6, 9),
    "hdim7": (0, 3, 6, 10),
    "9": (0, 2, 4, 7, 10),
    "maj9": (0, 2, 4, 7, 11),
    "min9": (0, 2, 3, 7, 10),
    "sus4(b7)": (0, 5, 7, 10),
    "sus4(b7,9)": (0, 2, 5, 7, 10),
    "11": (0, 2, 5, 7, 10),
    "min11": (0, 2, 3, 5, 7, 10),
    "13": (0, 2, 4, 7, 9, 10),
    "maj(9)": (0, 2, 4, 7),
    "min(9)": (0, 2, 3, 7),
    "maj(11)": (0, 4, 5, 7),
    "min(11)": (0, 3, 5, 7),
}


@dataclass(frozen=True)
class Phrase:
    """A labelled stretch of whole bars, in beats of the song; `label` as in the annotation."""

    start_beat: int
    end_beat: int
    label: str


@dataclass(frozen=True)
class Song:
    """One song in its own key. Beat 0 is a downbeat; the number of beats is a multiple of four.

    bits: uint8 (beats, 264), `numpy.packbits` of bool (beats, tracks, planes, 4 steps, 88 pitches).
    velocity: uint8 (beats, tracks, 4), mean velocity of the onsets at a step, 0 where there are none.
    chroma: bool (beats, 12); bass: int8 (beats,), -1 = no chord. third: int8 (beats,), +1 where the
    chord has a major third, -1 a minor one, 0 neither.
    tonic: int8 (beats,) pitch class of the key; minor: bool (beats,). bpm: float32 (beats,).
    """

    song_id: str
    bits: NDArray[np.uint8]
    velocity: NDArray[np.uint8]
    chroma: NDArray[np.bool_]
    bass: NDArray[np.int8]
    third: NDArray[np.int8]
    tonic: NDArray[np.int8]
    minor: NDArray[np.bool_]
    bpm: NDArray[np.float32]
    phrases: tuple[Phrase, ...]

    @property
    def n_beats(self) -> int:
        return len(self.bits)


def split_of(song_id: str) -> Split:
    """`heldout` for songs whose number ends in 9."""
    return "heldout" if song_id.endswith("9") else "train"


def parse_chord(name: str) -> tuple[frozenset[int], int, int]:
    """`Bb:min7/b3` -> pitch classes, bass (-1 for no chord), third (+1 major, -1 minor, 0 none)."""
    if name in ("N", "X"):
        return frozenset(), -1, 0
    match = re.fullmatch(r"([A-G][#b]*):?([^/]*)(?:/([#b]*)(\d+))?", name)
    if match is None:
        raise InputError(f"chord {name!r} is not of the form root:quality/bass")
    root = pitch_class(match[1])
    intervals = _QUALITY.get(match[2] or "maj")
    if intervals is None:
        raise InputError(f"chord {name!r} has an unknown quality")
    bass = root
    if match[4]:
        bass = (root + _DEGREE[match[4]] + match[3].count("#") - match[3].count("b")) % 12
    third = 1 if 4 in intervals else -1 if 3 in intervals else 0
    return frozenset((root + i) % 12 for i in intervals) | {bass}, bass, third


def parse_phrases(label: str) -> list[tuple[str, int]]:
    """`i4A8B8o2` -> [("i", 4), ("A", 8), ...], lengths in bars."""
    return [(letter, int(bars)) for letter, bars in re.findall(r"([A-Za-z])(\d+)", label)]


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of `POP909-songs.csv`. Raises InputError if it is not there, or another table."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            rows = list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot read the song table ({error})") from error
    missing = {"song_id", "flags", "struct_offset_q"} - set(table.fieldnames or ())
    if missing:
        raise InputError(f"{path}: not POP909-songs.csv, it has no column {min(missing)}")
    return rows


def usable(row: dict[str, str]) -> bool:
    """Whether a song can be put on the grid with known bar starts (module docstring)."""
    flags = row["flags"].split("|")
    return (
        row["beats_per_bar_index"] == "2"
        and row["quavers_per_beat_index"] == "2"
        and "GRID" not in flags
        and "MIDI_GAP" not in flags
        and row["struct_offset_q"] != ""
    )


def read_songs(
    folder: Path, table: Path, split: Split | None = None, labels: Labels = "label1"
) -> Iterator[Song]:
    """All usable songs of a split in the order of their numbers; `folder` holds `POP909/`.

    labels: which of the two annotators' phrases; both are right, with other preferences.
    """
    for row in read_table(table):
        if usable(row) and split in (None, split_of(row["song_id"])):
            song = read_song(folder / "POP909" / row["song_id"], row | {"label1": row[labels]})
            if song is not None:
                yield song


def read_song(folder: Path, row: dict[str, str]) -> Song | None:
    """One song from its bar alignment on; None where fewer than 16 bars are left."""
    annotation, _ = read_given(folder, row)
    return song_of(row["song_id"], annotation)


def read_given(folder: Path, row: dict[str, str]) -> tuple[MusicAnnotation, GridNotes]:
    """What POP909 and the structure data say of a song, and its notes on its beats.

    folder: `POP909/NNN`. Every metre; the grid is all of `beat_midi.txt`. Bars begin where the alignment of
    the phrase labels says; songs without one have no phrases, and their bars begin where the chords that
    we estimate do (`bar_phase`). Raises InputError for missing or unreadable files.
    """
    try:
        beats_s = np.loadtxt(folder / "beat_midi.txt", usecols=0)
        middles = (beats_s[:-1] + beats_s[1:]) / 2
        chords = _spans(_names_at(folder / "chord_midi.txt", middles))
        keys = _spans(_names_at(folder / "key_audio.txt", middles))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: cannot read the annotation ({error})") from error
    in_ticks = read_score(folder / f"{row['song_id']}.mid")
    tones, roles = _tones(in_ticks.to("second"))
    notes = on_grid(tones, beats_s)
    labels = parse_phrases(row["label1"])
    beats_per_bar = _beats_per_bar(row)
    if row["struct_offset_q"]:
        first = _first_downbeat(in_ticks, beats_s, float(row["struct_offset_q"]))
        phrases = tuple(_place(labels, first, beats_per_bar, notes.n_beats))
    else:
        first, phrases = bar_phase(estimate_chords(chord_evidence(notes)), beats_per_bar), ()
    bits, velocity = roll_of(notes)
    return MusicAnnotation(
        beats_s=beats_s,
        downbeat=(np.arange(notes.n_beats) - first) % beats_per_bar == 0,
        beats_per_bar=beats_per_bar,
        eighths_per_beat=int(row["quavers_per_beat_index"]),
        keys=(),
        given_keys=keys,
        chords=(),
        given_chords=chords,
        phrases=phrases,
        phrase_source="given",
        roles=roles,
        bits=bits,
        velocity=velocity,
        dynamics=dynamics_of(notes),
        grid_fit=grid_fit(notes, 2 * int(row["quavers_per_beat_index"])),
    ), notes


def song_of(song_id: str, annotation: MusicAnnotation) -> Song | None:
    """The part of an annotated song that its phrases cover, in whole bars; None below 16 bars.

    Given chords and keys go before estimated ones. Notes that began before the first bar are left out.
    Raises InputError unless the song is in 4/4 and has phrases, chords and keys.
    """
    chords = [(span, span.label) for span in annotation.given_chords] or [
        (span, harte_of(span.label)) for span in annotation.chords
    ]
    keys = annotation.given_keys or annotation.keys
    if annotation.beats_per_bar != BEATS_PER_BAR or not (annotation.phrases and chords and keys):
        raise InputError(f"song {song_id}: expected 4/4 with phrases, chords and keys")
    begins = annotation.phrases[0].start_beat
    start = begins + int(np.argmax(annotation.downbeat[begins:]))
    n_beats = (annotation.phrases[-1].end_beat - start) // BEATS_PER_BAR * BEATS_PER_BAR
    if n_beats < 16 * BEATS_PER_BAR:
        return None
    beats = slice(start, start + n_beats)
    chroma = np.zeros((annotation.n_beats, 12), bool)
    bass, third = np.full(annotation.n_beats, -1, np.int8), np.zeros(annotation.n_beats, np.int8)
    for span, name in chords:
        classes, lowest, kind = parse_chord(name)
        chroma[span.start_beat : span.end_beat, sorted(classes)] = True
        bass[span.start_beat : span.end_beat] = lowest
        third[span.start_beat : span.end_beat] = kind
    tonic, minor = np.zeros(annotation.n_beats, np.int8), np.zeros(annotation.n_beats, bool)
    for span in keys:
        note, _, mode = span.label.partition(":")
        tonic[span.start_beat : span.end_beat] = pitch_class(note)
        minor[span.start_beat : span.end_beat] = mode.startswith("min") or note.endswith("m")
    return Song(
        song_id=song_id,
        bits=_without_loose_ends(annotation.bits[beats]),
        velocity=annotation.velocity[beats],
        chroma=chroma[beats],
        bass=bass[beats],
        third=third[beats],
        tonic=tonic[beats],
        minor=minor[beats],
        bpm=(60 / np.diff(annotation.beats_s[start : start + n_beats + 1])).astype(np.float32),
        phrases=tuple(_moved(annotation.phrases, start, n_beats)),
    )


def bar_phase(chords: Sequence[Span], beats_per_bar: int) -> int:
    """The likeliest first downbeat, 0 .. beats_per_bar - 1: the beat of the bar on which chords begin.

    A chord counts as long as it lasts, a bar at most.
    """
    begun = [chord.start_beat % beats_per_bar for chord in chords[1:]]
    length = [min(chord.end_beat - chord.start_beat, beats_per_bar) for chord in chords[1:]]
    return int(np.bincount(begun, length, beats_per_bar).argmax()) if begun else 0


def read_tones(path: Path) -> Tones:
    """The notes of a song's MIDI file as they were played. Raises InputError if it is missing or broken."""
    return _tones(read_score(path).to("second"))[0]


def _tones(in_seconds: Any) -> tuple[Tones, tuple[Role, ...]]:
    """The notes of the three named tracks, and the role of every track of the file that has notes."""
    columns = []
    roles: list[Role] = []
    for track in in_seconds.tracks:
        if track.name in _VOICES:
            voice = _VOICES.index(track.name)
            roles.append(TRACKS[voice])
            notes = track.notes.numpy()
            end = notes["time"] + notes["duration"]
            columns.append((notes["time"], end, notes["pitch"], notes["velocity"], np.full(len(end), voice)))
    if not columns:
        raise InputError(f"expected tracks named {', '.join(_VOICES)} in a POP909 file")
    start, end, pitch, velocity, voices = (np.concatenate(column) for column in zip(*columns, strict=True))
    tones = Tones(
        start.astype(np.float64),
        end.astype(np.float64),
        pitch.astype(np.int64),
        velocity.astype(np.int64),
        voices,
    )
    return tones, tuple(roles)


def _beats_per_bar(row: dict[str, str]) -> int:
    """3 in 3/4 and 9/8, 4 in duple time: bars of two beats are joined in pairs, as in the phrase labels."""
    return 3 if row["beats_per_bar_index"] == "3" else BEATS_PER_BAR


def _first_downbeat(in_ticks: Any, beats_s: NDArray[np.float64], offset_q: float) -> int:
    """Index of the annotated beat at which the phrase labels begin; negative if before the first one.

    `offset_q` counts quarters of MIDI ticks. A tick is turned into seconds by a score that holds one
    note there, so that the song's own tempo map is applied.
    """
    from symusic import Note, Track

    probe = in_ticks.copy()
    tick = round(offset_q * probe.ticks_per_quarter)
    track: Any = Track()
    track.notes.append(Note(max(tick, 0), 1, 60, 64))
    probe.tracks = type(probe.tracks)([track])
    at_s = probe.to("second").tracks[0].notes[0].start
    period = float(np.median(np.diff(beats_s)))
    extrapolated = np.concatenate([beats_s[0] + period * np.arange(-64, 0), beats_s])
    index = int(np.argmin(np.abs(extrapolated - at_s))) - 64
    return index + (round(offset_q) if tick < 0 else 0)


def _names_at(path: Path, times_s: NDArray[np.float64]) -> list[str]:
    starts, names = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        start, _, name = line.split(maxsplit=2)
        starts.append(float(start))
        names.append(name.strip())
    index = np.clip(np.searchsorted(np.array(starts), times_s, side="right") - 1, 0, len(names) - 1)
    return [names[k] for k in index]


def _spans(names: Sequence[str]) -> tuple[Span, ...]:
    """Runs of equal names, one a beat, as spans."""
    borders = [0, *(k for k in range(1, len(names)) if names[k] != names[k - 1]), len(names)]
    return tuple(Span(a, b, names[a]) for a, b in pairwise(borders))


def _place(labels: list[tuple[str, int]], first: int, beats_per_bar: int, n_beats: int) -> Iterator[Span]:
    """Phrases in beats; `first` is the beat of the first, negative where the labels begin before the grid."""
    at = first
    for label, bars in labels:
        start, at = max(at, 0), at + bars * beats_per_bar
        if start < min(at, n_beats):
            yield Span(start, min(at, n_beats), label)


def _moved(phrases: Sequence[Span], start: int, n_beats: int) -> Iterator[Phrase]:
    for phrase in phrases:
        first, last = max(phrase.start_beat - start, 0), min(phrase.end_beat - start, n_beats)
        if first < last:
            yield Phrase(first, last, phrase.label)


def _without_loose_ends(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The bits without the sustains at the beginning that no onset leads to."""
    bits = unpacked(packed)
    n_beats, tracks, planes, steps, pitches = bits.shape
    by_step = drop_orphans(bits.transpose(1, 2, 0, 3, 4).reshape(tracks, planes, -1, pitches))
    by_beat = by_step.reshape(tracks, planes, n_beats, steps, pitches).transpose(2, 0, 1, 3, 4)
    return np.packbits(by_beat.reshape(n_beats, -1), axis=1)
