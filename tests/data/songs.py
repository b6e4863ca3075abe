"""Songs with known answers: written in four or three, as POP909 folders or MIDI files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffbgm.score.midi import write_midi
from diffbgm.score.score import Note, Part, Score
from diffbgm.timing import TempoMap

PROGRESSIONS = ((0, 9, 5, 7), (0, 5, 7, 0), (9, 5, 0, 7), (0, 7, 9, 5), (5, 7, 0, 9), (2, 7, 0, 9))
SCALE = np.array([0, 2, 4, 5, 7, 9, 11])
LEAD_S = 0.5
"""Silence before beat 0."""


@dataclass(frozen=True)
class Made:
    """notes: (start in beats, length in beats, pitch, velocity, track 0..2). chords: root of each bar."""

    bpm: float
    beats_per_bar: int
    n_bars: int
    notes: tuple[tuple[float, float, int, int, int], ...]
    chords: tuple[int, ...]
    key: int

    @property
    def n_beats(self) -> int:
        return self.n_bars * self.beats_per_bar

    @property
    def beats_s(self) -> NDArray[np.float64]:
        return LEAD_S + np.arange(self.n_beats) * 60 / self.bpm

    @property
    def duration_s(self) -> float:
        return LEAD_S + self.n_beats * 60 / self.bpm


def make_song(seed: int, n_bars: int = 32, beats_per_bar: int = 4, bpm: float = 100.0, key: int = 0) -> Made:
    """A tune over repeated chords: two phrases of eight bars in the order A A B A."""
    rng = np.random.default_rng(seed)
    key_shift = key
    phrases = [_phrase(rng, beats_per_bar), _phrase(rng, beats_per_bar)]
    notes, chords = [], []
    for bar in range(n_bars):
        chord, tune = phrases[(0, 0, 1, 0)[bar // 8 % 4]][bar % 8]
        root = PROGRESSIONS[0][0] + chord
        chords.append((root + key_shift) % 12)
        start = bar * beats_per_bar
        low = 36 + (root + key_shift) % 12
        notes.append((start, beats_per_bar, low, 85 + int(rng.integers(8)), 2))
        third = 3 if root in (2, 4, 9) else 4
        for beat in range(beats_per_bar):
            loud = (80 if beat == 0 else 60) + int(rng.integers(10))
            for step in (0, third, 7):
                notes.append((start + beat, 0.9, 48 + (root + key_shift) % 12 + step, loud, 2))
        for at, length, degree in tune:
            pitch = 72 + 12 * (degree // 7) + int(SCALE[degree % 7]) + key_shift
            notes.append((start + at, length, pitch, 70 + int(rng.integers(40)), 0))
        if bar % 4 == 3:
            high = 67 + key_shift
            notes += [(start + k / 2, 0.5, high + int(rng.integers(10)), 55 + 5 * k, 1) for k in range(4)]
    return Made(bpm, beats_per_bar, n_bars, tuple(notes), tuple(chords), key)


def _phrase(rng: np.random.Generator, beats_per_bar: int) -> list[tuple[int, list[tuple[float, float, int]]]]:
    """Eight bars: the chord's root and the tune as (beat, length, degree of the scale)."""
    roots = [*PROGRESSIONS[rng.integers(6)], *PROGRESSIONS[rng.integers(6)]]
    bars = []
    degree = int(rng.integers(0, 7))
    for root in roots:
        at, tune = 0.0, []
        while at < beats_per_bar - 0.25:
            length = float(rng.choice([0.5, 0.5, 1.0, 0.25, 1.5]))
            degree = int(np.clip(degree + rng.integers(-4, 5), -4, 9))
            tune.append((at, min(length, beats_per_bar - at), degree))
            at += length
        bars.append((root, tune))
    return bars


def score_of(song: Made, *, speed: float = 1.0, lead_s: float = LEAD_S) -> Score:
    """The song as a score that begins `lead_s` before its first beat, `speed` times as fast."""
    beat_s = 60 / song.bpm

    def second(beat: float) -> float:
        return (lead_s + beat * beat_s) / speed

    parts = tuple(
        Part(
            name,
            0,
            False,
            tuple(
                Note(second(start), second(start + length), pitch, velocity)
                for start, length, pitch, velocity, track in song.notes
                if track == number
            ),
        )
        for number, name in enumerate(("MELODY", "BRIDGE", "PIANO"))
    )
    duration = second(song.n_beats)
    bars = tuple(np.arange(0.0, duration + 4 * beat_s, 4 * beat_s / speed).tolist())
    return Score(tempo_map=TempoMap(bars), key="C", parts=parts, markers=(), duration_s=duration)


def write_song(song: Made, path: Path, lead_s: float = 0.0) -> Path:
    """A MIDI file; without a lead its bars are the song's."""
    write_midi(score_of(song, lead_s=lead_s), path)
    return path


def write_pop909(song: Made, folder: Path) -> Path:
    """A song folder as in POP909; `folder` is named by the song's number."""
    folder.mkdir(parents=True)
    write_midi(score_of(song), folder / f"{folder.name}.mid")
    beats, bar = song.beats_s, song.beats_per_bar
    rows = [
        f"{at:.6f} {float(k % (bar if bar == 3 else 2) == 0)} {float(k % (6 if bar == 3 else 4) == 0)}"
        for k, at in enumerate(beats)
    ]
    (folder / "beat_midi.txt").write_text("\n".join(rows) + "\n")
    (folder / "beat_audio.txt").write_text(
        "".join(f"{at:.2f}\t{1 + k % bar}.0\n" for k, at in enumerate(beats))
    )
    edges = [*beats[::bar], song.duration_s]
    names = ["C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"]
    mode = {0: "maj", 2: "min", 4: "min", 5: "maj", 7: "maj", 9: "min"}
    chords = "".join(
        f"{edges[k]:.6f}\t{edges[k + 1]:.6f}\t{names[root]}:{mode[(root - song.key) % 12]}\n"
        for k, root in enumerate(song.chords)
    )
    (folder / "chord_midi.txt").write_text(chords)
    (folder / "chord_audio.txt").write_text(chords)
    (folder / "key_audio.txt").write_text(f"0.0\t{song.duration_s:.3f}\t{names[song.key]}:maj\n")
    return folder
