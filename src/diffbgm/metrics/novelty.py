"""Is the music new, or copied from the training songs? Longest note sequences that both share.

A line is the notes of one part, at each moment the highest one, as symbols (interval to the next note in
semitones, time until it in sixteenths, at most a bar). Symbols do not change when a passage is transposed
or played at another tempo, so a copy is found in any key. A match of n symbols is a passage of n + 1 notes.

Popular music shares short figures and repeated notes, so a figure means something only beside the same
figure of real songs that were not trained on (`diffbgm evaluate --reference --training` gives both).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.metrics.notes import IntArray, Notes
from diffbgm.timing import BEATS_PER_BAR

MAX_STEPS: Final = 16
_STEPS: Final = MAX_STEPS + 1
_SYMBOLS: Final = 256 * _STEPS
_ONE_NOTE: Final = 1e-6


@dataclass(frozen=True)
class Line:
    """One voice as symbols. symbols: int64 (n,); at_q: float64 (n,), where each one's first note starts."""

    symbols: IntArray
    at_q: NDArray[np.float64]


@dataclass(frozen=True)
class Match:
    """The longest passage of a piece that a training song shares.

    notes: its length (0 = none). song: name of that training song, "" for none. at_q: where it starts in
    the piece. by_window: the same length for each window of `window_bars` bars, int64 (windows,).
    covered: share of the piece's symbols that lie in a shared passage of at least `long_notes` notes.
    """

    notes: int
    song: str
    at_q: float
    by_window: IntArray
    covered: float


def validate(window_bars: int) -> None:
    """Raises ValueError unless a window has one bar or more."""
    if window_bars < 1:
        raise ValueError(f"a window of {window_bars} bars; expected 1 or more")


def line_of(notes: Notes) -> Line:
    """The highest notes of a part as symbols; empty for fewer than two moments."""
    order = np.lexsort((-notes.pitch, notes.start_q))
    start, pitch = notes.start_q[order], notes.pitch[order]
    top = np.concatenate([[True], np.diff(start) > _ONE_NOTE]) if len(start) else np.zeros(0, bool)
    start, pitch = start[top], pitch[top]
    steps = np.clip(np.rint(4 * np.diff(start)), 1, MAX_STEPS).astype(np.int64)
    return Line((np.diff(pitch) + 128) * _STEPS + steps, start[:-1])


def lines_of(notes: Notes) -> list[Line]:
    """The line of each part, those with anything in it."""
    lines = [line_of(notes.select(notes.part == part)) for part in np.unique(notes.part)]
    return [line for line in lines if len(line.symbols)]


class TrainingIndex:
    """All lines of the training songs, to look up passages in.

    songs: pairs of a name and the song's lines.
    """

    def __init__(self, songs: Sequence[tuple[str, Sequence[Line]]]) -> None:
        self.names = tuple(name for name, _ in songs)
        rows, owners = [], []
        for number, (_, lines) in enumerate(songs):
            for line in lines:
                rows.append(np.append(line.symbols, -1))  # -1: a border that no passage crosses
                owners.append(np.full(len(line.symbols) + 1, number))
        self.symbols = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        self.owner = np.concatenate(owners) if owners else np.zeros(0, np.int64)

    def longest_at(self, symbols: IntArray) -> tuple[IntArray, IntArray]:
        """At each position the most symbols from there on that occur in training, and in which song.

        symbols: int64 (n,), -1 where passages end. Returns int64 (n,) lengths and int64 (n,) song numbers
        (-1 for none; the first song where several share the passage).

        Passages grow by one symbol at a time and only those found on both sides go on, so the work
        shrinks quickly and nothing is hashed.
        """
        length, song = np.zeros(len(symbols), np.int64), np.full(len(symbols), -1)
        theirs, ours = np.arange(len(self.symbols)), np.arange(len(symbols))
        their_ids, our_ids = np.zeros(len(theirs), np.int64), np.zeros(len(ours), np.int64)
        grown = 0
        while len(theirs) and len(ours):
            their_ids, theirs = _grow(their_ids, theirs, self.symbols, grown)
            our_ids, ours = _grow(our_ids, ours, symbols, grown)
            known, first, their_ids = np.unique(their_ids, return_index=True, return_inverse=True)
            if not len(known) or not len(ours):
                break
            at = np.minimum(np.searchsorted(known, our_ids), len(known) - 1)
            shared = known[at] == our_ids
            ours, our_ids = ours[shared], at[shared]
            grown += 1
            length[ours] = grown
            song[ours] = self.owner[theirs[first[our_ids]]]
            wanted = np.zeros(len(known), bool)
            wanted[our_ids] = True
            kept = wanted[their_ids]
            theirs, their_ids = theirs[kept], their_ids[kept]
        return length, song


def _grow(ids: IntArray, positions: IntArray, symbols: IntArray, grown: int) -> tuple[IntArray, IntArray]:
    """Passages one symbol longer: an id from the old one and the next symbol; those at a border end."""
    inside = positions + grown < len(symbols)
    ids, positions = ids[inside], positions[inside]
    following = symbols[positions + grown]
    alive = following >= 0
    return ids[alive] * _SYMBOLS + following[alive], positions[alive]


def find_matches(
    pieces: Sequence[Sequence[Line]],
    index: TrainingIndex,
    *,
    window_bars: int = 8,
    long_notes: int = 12,
) -> list[Match]:
    """The longest shared passage of each piece given as lines, and of each of its windows.

    Windows lie side by side from bar 0; passages are cut at their ends. All pieces are looked up together,
    which takes hardly longer than one.
    """
    validate(window_bars)
    border = np.array([-1])
    symbols = [part for lines in pieces for line in lines for part in (line.symbols, border)]
    length, song = index.longest_at(np.concatenate(symbols) if symbols else np.zeros(0, np.int64))
    out, at = [], 0
    for lines in pieces:
        found = []
        for line in lines:
            here = slice(at, at + len(line.symbols))
            found.append((line, length[here], song[here]))
            at = here.stop + 1
        out.append(_match_of(found, index, window_bars, long_notes))
    return out


def _match_of(
    found: Sequence[tuple[Line, IntArray, IntArray]], index: TrainingIndex, window_bars: int, long_notes: int
) -> Match:
    """From each line of a piece with the lengths and songs of what is shared at its positions."""
    last_q = max((float(line.at_q[-1]) for line, _, _ in found), default=0.0)
    by_window = np.zeros(int(last_q // (BEATS_PER_BAR * window_bars)) + 1 if found else 0, np.int64)
    best, song, at_q = 0, "", 0.0
    in_long = total = 0
    for line, length, owner in found:
        if length.max(initial=0) > best:
            at = int(length.argmax())
            best, song, at_q = int(length[at]), index.names[owner[at]], float(line.at_q[at])
        window = (line.at_q // (BEATS_PER_BAR * window_bars)).astype(np.int64)
        until_border = np.searchsorted(window, window, side="right") - np.arange(len(window))
        np.maximum.at(by_window, window, np.minimum(length, until_border))
        in_long += int(_covered(length, long_notes - 1).sum())
        total += len(length)
    as_notes = np.where(by_window > 0, by_window + 1, 0)
    return Match(best + 1 if best else 0, song, at_q, as_notes, in_long / total if total else float("nan"))


def _covered(length: IntArray, least: int) -> NDArray[np.bool_]:
    """Positions that lie in a match of at least `least` symbols."""
    change = np.zeros(len(length) + 1, np.int64)
    starts = np.flatnonzero(length >= least)
    np.add.at(change, starts, 1)
    np.add.at(change, starts + length[starts], -1)
    return np.cumsum(change)[:-1] > 0


def evaluate(pieces: Sequence[Notes], index: TrainingIndex) -> list[dict[str, float | str]]:
    """Novelty figures of each piece by name: longest passage shared with training, mean over its windows of
    8 bars, share of notes in shared passages of 12 notes or more, and the training song nearest to it."""
    return [
        {
            "copied_notes": float(match.notes),
            "copied_notes_8bar": float(match.by_window.mean()) if len(match.by_window) else float("nan"),
            "copied_share": match.covered,
            "nearest_song": match.song,
        }
        for match in find_matches([lines_of(notes) for notes in pieces], index)
    ]
