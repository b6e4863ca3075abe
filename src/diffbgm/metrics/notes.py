"""The notes of a piece as the metrics read them: plain arrays, from MIDI or from a piano roll.

Positions are quarter notes from beat 0 and seconds from the beginning. Bars are groups of four quarters
counted from beat 0, whatever time signature a file declares: the published metrics do the same, and the
time signatures of the data they were used on are wrong. Percussion is left out, as it has no pitch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.roll import LOWEST_PITCH, ONSET, SUSTAIN, PianoRoll
from diffbgm.errors import InputError
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BEAT, FloatArray, TempoMap

IntArray = NDArray[np.int64]

Event = tuple[Any, Sequence[int]]
"""Offset in quarters (int, float or Fraction) and the pitch classes that start there."""

DEFAULT_BPM: Final = 120.0


@dataclass(frozen=True)
class Notes:
    """Pitched notes sorted by start, pitch and part; every array has one entry a note.

    start_q, end_q: float64, quarters; start_s, end_s: float64, seconds; pitch: int64, 0..127;
    velocity: int64, 1..127; part: int64, the number of the track.
    Raises ValueError if the arrays differ in length, a note ends before it starts, or order is broken.
    """

    start_q: FloatArray
    end_q: FloatArray
    start_s: FloatArray
    end_s: FloatArray
    pitch: IntArray
    velocity: IntArray
    part: IntArray

    def __post_init__(self) -> None:
        columns = (self.end_q, self.start_s, self.end_s, self.pitch, self.velocity, self.part)
        if any(column.shape != self.start_q.shape for column in columns):
            raise ValueError("the columns of notes differ in length")
        if (np.diff(self.start_q) < 0).any() or (self.end_q < self.start_q).any():
            raise ValueError("notes must be sorted by start and end after they start")

    def __len__(self) -> int:
        return len(self.pitch)

    @property
    def n_bars(self) -> int:
        """Bars up to the last one in which a note starts."""
        return int(self.start_q[-1] // BEATS_PER_BAR) + 1 if len(self) else 0

    @property
    def duration_s(self) -> float:
        return float(self.end_s.max()) if len(self) else 0.0

    def select(self, chosen: NDArray[Any]) -> Notes:
        """The notes at a boolean mask or ascending indices."""
        return Notes(
            self.start_q[chosen], self.end_q[chosen], self.start_s[chosen], self.end_s[chosen],
            self.pitch[chosen], self.velocity[chosen], self.part[chosen],
        )  # fmt: skip

    def bars(self, first: int, count: int) -> Notes:
        """The notes that start in bars first .. first + count - 1, moved so that those begin at 0."""
        start = float(first * BEATS_PER_BAR)
        inside = (self.start_q >= start) & (self.start_q < start + count * BEATS_PER_BAR)
        kept = self.select(inside)
        if not len(kept):
            return kept
        # Seconds are moved by where the bar begins at the tempo of its first note.
        with np.errstate(invalid="ignore", divide="ignore"):
            pace = (kept.end_s[0] - kept.start_s[0]) / (kept.end_q[0] - kept.start_q[0])
        origin = kept.start_s[0] - (kept.start_q[0] - start) * (pace if np.isfinite(pace) else 0.0)
        return Notes(
            kept.start_q - start, kept.end_q - start, kept.start_s - origin, kept.end_s - origin,
            kept.pitch, kept.velocity, kept.part,
        )  # fmt: skip

    def pitches_by_bar(self) -> list[IntArray]:
        """MIDI pitches that start in each bar."""
        borders = np.searchsorted(self.start_q, BEATS_PER_BAR * np.arange(self.n_bars + 1))
        return [self.pitch[a:b] for a, b in pairwise(borders)]

    def onsets_by_bar(self, positions: int = 16) -> NDArray[np.bool_]:
        """Where notes start, bool (bars, positions); each at its nearest position."""
        at = np.floor(self.start_q * positions / BEATS_PER_BAR + 0.5).astype(np.int64)
        bars = np.zeros(
            (max(self.n_bars, int(at.max()) // positions + 1 if len(self) else 0), positions), bool
        )
        bars.reshape(-1)[at] = True
        return bars

    def events(self) -> list[Event]:
        """(offset in quarters, pitch classes) of every moment at which notes start, in order."""
        if not len(self):
            return []
        moments, first = np.unique(self.start_q, return_index=True)
        groups = np.split(self.pitch % 12, first[1:])
        return [(float(at), group.tolist()) for at, group in zip(moments, groups, strict=True)]


def no_notes() -> Notes:
    """A piece without notes."""
    nothing, none = np.zeros(0), np.zeros(0, np.int64)
    return Notes(nothing, nothing, nothing, nothing, none, none, none)


def build_notes(
    start_q: FloatArray,
    end_q: FloatArray,
    pitch: NDArray[Any],
    velocity: NDArray[Any],
    part: NDArray[Any],
    tempo_map: TempoMap | None = None,
) -> Notes:
    """Notes in any order, timed by `tempo_map` or else at 120 beats a minute."""
    order = np.lexsort((part, pitch, start_q))
    start, end = np.asarray(start_q, np.float64)[order], np.asarray(end_q, np.float64)[order]
    if tempo_map is None:
        start_s, end_s = start * 60 / DEFAULT_BPM, end * 60 / DEFAULT_BPM
    else:
        start_s, end_s = tempo_map.seconds(start), tempo_map.seconds(end)
    ints = [np.asarray(column)[order].astype(np.int64) for column in (pitch, velocity, part)]
    return Notes(start, end, start_s, end_s, *ints)


def notes_of_roll(roll: PianoRoll, tempo_map: TempoMap | None = None) -> Notes:
    """The notes of a piano roll; part 0 is the melody, 1 the counter-melody, 2 the accompaniment."""
    part, first, key = np.nonzero(roll.bits[:, ONSET])
    # A note lasts until the first later step that does not sustain it.
    free = ~roll.bits[:, SUSTAIN]
    n_steps = roll.n_steps
    ends = np.full((*free.shape[:1], n_steps + 1, free.shape[2]), n_steps, np.int64)
    for step in range(n_steps - 1, -1, -1):
        ends[:, step] = np.where(free[:, step], step, ends[:, step + 1])
    last = ends[part, first + 1, key]
    velocity = roll.velocity[part, first]
    start_q, end_q = first / STEPS_PER_BEAT, last / STEPS_PER_BEAT
    return build_notes(start_q, end_q, key + LOWEST_PITCH, velocity, part, tempo_map)


def read_notes(path: Path) -> Notes:
    """The pitched notes of a MIDI file, at the ticks that it holds.

    Raises InputError if the file is missing, broken or in SMPTE time. A file without notes gives none.
    """
    score = read_score(path)
    per_quarter = score.ticks_per_quarter
    rows = [
        (note.time, note.time + note.duration, note.pitch, note.velocity, number)
        for number, track in enumerate(score.tracks)
        if not track.is_drum
        for note in track.notes
    ]
    if not rows:
        return no_notes()
    table = np.array(sorted(rows, key=lambda row: (row[0], row[2], row[4])), np.int64)
    seconds = seconds_clock([(tempo.time, tempo.mspq) for tempo in score.tempos], per_quarter)
    start, end, pitch, velocity, part = table.T
    return Notes(start / per_quarter, end / per_quarter, seconds(start), seconds(end), pitch, velocity, part)


def read_score(path: Path) -> Any:
    """A MIDI file as a `symusic.Score`. Raises InputError if it is missing, broken or in SMPTE time."""
    from symusic import Score

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        score: Any = Score(str(path))
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{path}: broken MIDI file ({error})") from error
    if score.ticks_per_quarter <= 0:
        raise InputError(f"{path}: MIDI in SMPTE time has no beats; save it with ticks per beat")
    return score


def seconds_clock(tempos: list[tuple[int, int]], per_quarter: int) -> Any:
    """Seconds of ticks, from (tick, microseconds a quarter)."""
    changes = {0: round(60e6 / DEFAULT_BPM)} | dict(tempos)
    ticks = np.array(sorted(changes), np.float64)
    tick_s = np.array([changes[int(tick)] * 1e-6 / per_quarter for tick in ticks])
    starts = np.concatenate([[0.0], np.cumsum(np.diff(ticks) * tick_s[:-1])])

    def seconds(at: IntArray) -> FloatArray:
        index = np.searchsorted(ticks, at, side="right") - 1
        return np.asarray(starts[index] + (at - ticks[index]) * tick_s[index])

    return seconds
