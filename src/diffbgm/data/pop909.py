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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.roll import LOWEST_PITCH, N_PITCHES, ONSET, SUSTAIN, TRACKS
from diffbgm.errors import InputError
from diffbgm.pitch import pitch_class
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BEAT

Split = Literal["train", "heldout"]

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
    """Rows of `POP909-songs.csv`. Raises InputError if it is not there."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"{path}: cannot read the song table ({error})") from error


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


def read_songs(folder: Path, table: Path, split: Split | None = None) -> Iterator[Song]:
    """All usable songs of a split in the order of their numbers; `folder` holds `POP909/`."""
    for row in read_table(table):
        if usable(row) and split in (None, split_of(row["song_id"])):
            song = read_song(folder / "POP909" / row["song_id"], row)
            if song is not None:
                yield song


def read_song(folder: Path, row: dict[str, str]) -> Song | None:
    """One song from its bar alignment on; None where fewer than 16 bars are left."""
    from symusic import Score

    beats_s = np.loadtxt(folder / "beat_midi.txt", usecols=0)
    in_ticks: Any = Score(str(folder / f"{row['song_id']}.mid"))
    in_seconds = in_ticks.to("second")
    first_beat = _first_downbeat(in_ticks, beats_s, float(row["struct_offset_q"]))
    phrases = parse_phrases(row["label1"])
    labelled = sum(bars for _, bars in phrases) * BEATS_PER_BAR
    skipped_bars = 0
    while first_beat < 0:  # the labels begin before the first annotated beat
        first_beat += BEATS_PER_BAR
        skipped_bars += 1
    last_beat = min(len(beats_s) - 1, first_beat + labelled - skipped_bars * BEATS_PER_BAR)
    n_beats = (last_beat - first_beat) // BEATS_PER_BAR * BEATS_PER_BAR
    if n_beats < 16 * BEATS_PER_BAR:
        return None
    grid_s = beats_s[first_beat : first_beat + n_beats + 1]
    bits, velocity = _roll(in_seconds, grid_s)
    middles = (grid_s[:-1] + grid_s[1:]) / 2
    chords = [parse_chord(name) for name in _names_at(folder / "chord_midi.txt", middles)]
    keys = [name.split(":") for name in _names_at(folder / "key_audio.txt", middles)]
    chroma = np.zeros((n_beats, 12), bool)
    for beat, (classes, _, _) in enumerate(chords):
        chroma[beat, sorted(classes)] = True
    return Song(
        song_id=row["song_id"],
        bits=np.packbits(bits.reshape(n_beats, -1), axis=1),
        velocity=velocity,
        chroma=chroma,
        bass=np.array([bass for _, bass, _ in chords], np.int8),
        third=np.array([third for _, _, third in chords], np.int8),
        tonic=np.array([pitch_class(key[0]) for key in keys], np.int8),
        minor=np.array([key[1].startswith("min") for key in keys]),
        bpm=(60 / np.diff(grid_s)).astype(np.float32),
        phrases=tuple(_place(phrases, skipped_bars, n_beats)),
    )


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


def _roll(score: Any, grid_s: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    n_steps = (len(grid_s) - 1) * STEPS_PER_BEAT
    bits = np.zeros((len(TRACKS), 2, n_steps, N_PITCHES), bool)
    total = np.zeros((len(TRACKS), n_steps))
    count = np.zeros((len(TRACKS), n_steps))
    by_name = {track.name: track for track in score.tracks}
    for index, name in enumerate(("MELODY", "BRIDGE", "PIANO")):
        if name not in by_name:
            continue
        columns = by_name[name].notes.numpy()
        inside = (columns["time"] >= grid_s[0] - 0.1) & (columns["time"] < grid_s[-1])
        start = np.interp(columns["time"], grid_s, np.arange(len(grid_s))) * STEPS_PER_BEAT
        end = (
            np.interp(columns["time"] + columns["duration"], grid_s, np.arange(len(grid_s))) * STEPS_PER_BEAT
        )
        first = np.rint(start).astype(int)
        last = np.maximum(first + 1, np.rint(end).astype(int))
        pitch = columns["pitch"].astype(int) - LOWEST_PITCH
        inside &= (first < n_steps) & (pitch >= 0) & (pitch < N_PITCHES)
        for k in np.flatnonzero(inside):
            bits[index, SUSTAIN, first[k] + 1 : last[k], pitch[k]] = True
            total[index, first[k]] += columns["velocity"][k]
            count[index, first[k]] += 1
        bits[index, ONSET, first[inside], pitch[inside]] = True
        bits[index, SUSTAIN] &= ~bits[index, ONSET]
    velocity = np.where(count > 0, np.rint(total / np.maximum(count, 1)), 0).astype(np.uint8)
    n_beats = len(grid_s) - 1
    by_beat = bits.reshape(len(TRACKS), 2, n_beats, STEPS_PER_BEAT, N_PITCHES).transpose(2, 0, 1, 3, 4)
    velocity_by_beat = velocity.reshape(len(TRACKS), n_beats, STEPS_PER_BEAT).transpose(1, 0, 2)
    return by_beat, velocity_by_beat


def _names_at(path: Path, times_s: NDArray[np.float64]) -> list[str]:
    starts, names = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        start, _, name = line.split(maxsplit=2)
        starts.append(float(start))
        names.append(name.strip())
    index = np.clip(np.searchsorted(np.array(starts), times_s, side="right") - 1, 0, len(names) - 1)
    return [names[k] for k in index]


def _place(phrases: list[tuple[str, int]], skipped_bars: int, n_beats: int) -> Iterator[Phrase]:
    at = -skipped_bars * BEATS_PER_BAR
    for label, bars in phrases:
        start, at = max(at, 0), at + bars * BEATS_PER_BAR
        if start < min(at, n_beats):
            yield Phrase(start, min(at, n_beats), label)
