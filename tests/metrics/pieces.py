"""Pieces of music with known properties, for the tests of the metrics."""

from __future__ import annotations

from pathlib import Path

import mido
import numpy as np

from diffbgm.metrics.notes import Notes, build_notes


def notes_at(rows: list[tuple[float, float, int]], part: int = 0, velocity: int = 80) -> Notes:
    """From (start in quarters, length in quarters, pitch), at 120 beats a minute."""
    start, length, pitch = (np.array(column) for column in zip(*rows, strict=True))
    same = np.full(len(rows), 1)
    return build_notes(
        start.astype(float), (start + length).astype(float), pitch, velocity * same, part * same
    )


def tune(seed: int, bars: int = 32, low: int = 60) -> Notes:
    """A random melody in C major over block chords, eighths and quarters, two parts."""
    rng = np.random.default_rng(seed)
    scale = np.array([0, 2, 4, 5, 7, 9, 11])
    start, length, pitch, part = [], [], [], []
    for bar in range(bars):
        at = 4.0 * bar
        root = int(rng.choice([0, 5, 7, 9]))
        for third in (0, 4, 7):
            start.append(at), length.append(4.0), pitch.append(low - 12 + root + third), part.append(1)
        while at < 4 * bar + 4:
            step = float(rng.choice([0.5, 1.0]))
            start.append(at), length.append(step), part.append(0)
            pitch.append(low + int(scale[rng.integers(7)]) + 12 * int(rng.integers(2)))
            at += step
    velocity = rng.integers(60, 100, len(start))
    return build_notes(
        np.array(start), np.array(start) + np.array(length), np.array(pitch), velocity, np.array(part)
    )


def write_midi(notes: Notes, path: Path, ticks: int = 480) -> None:
    """A type 1 file with one track a part."""
    file = mido.MidiFile(ticks_per_beat=ticks)
    for part in np.unique(notes.part):
        mine = notes.select(notes.part == part)
        events = []
        for start, end, pitch, velocity in zip(
            mine.start_q, mine.end_q, mine.pitch, mine.velocity, strict=True
        ):
            events.append(
                (round(start * ticks), 1, mido.Message("note_on", note=int(pitch), velocity=int(velocity)))
            )
            events.append((round(end * ticks), 0, mido.Message("note_off", note=int(pitch))))
        track = mido.MidiTrack()
        now = 0
        for tick, _, message in sorted(events, key=lambda event: event[:2]):
            track.append(message.copy(time=tick - now))
            now = tick
        file.tracks.append(track)
    file.save(path)
