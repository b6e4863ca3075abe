"""Bits to notes on the grid, and back.

The model writes bits that no instrument could play as they stand: sustains that no onset began,
clusters with more keys than hands have fingers, onsets without a velocity. Decoding drops, ends and
completes; on a roll that came from `roll_of` it changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.roll import LOWEST_PITCH, N_PITCHES, ONSET, SUSTAIN, TRACKS, PianoRoll
from diffbgm.timing import STEPS_PER_BEAT, divide_exactly

POLYPHONY = (2, 3, 6)
"""Most notes sounding at once in melody, counter-melody and accompaniment."""

DEFAULT_VELOCITY = 80
"""Where a whole track carries no velocity at all."""


@dataclass(frozen=True, order=True)
class GridNote:
    """A note in sixteenth steps from beat 0: sounds from `start_step` up to, not including, `end_step`.

    pitch and velocity as in MIDI (velocity 1..127).
    """

    start_step: int
    end_step: int
    pitch: int
    velocity: int

    @property
    def steps(self) -> int:
        return self.end_step - self.start_step


TrackNotes = tuple[tuple[GridNote, ...], ...]
"""The notes of each track, in the order of `TRACKS`; each sorted by start, end and pitch."""


def notes_of(roll: PianoRoll, polyphony: Sequence[int] = POLYPHONY) -> TrackNotes:
    """The playable notes of a roll.

    A note begins at an onset bit and lasts through the sustain bits that follow without a gap; an onset
    while it sounds ends it; sustain bits that no onset began are dropped. Where a track has more notes
    at once than its entry in `polyphony`, the oldest sounding note gives way to a new one, and of new
    ones the outer voices stay (in the melody the highest). An onset without a velocity takes the one of
    the nearest onset of its track that has one.
    """
    return tuple(
        _decode_track(roll.bits[index], _filled(roll.velocity[index]), polyphony[index], index == 0)
        for index in range(len(TRACKS))
    )


def roll_of(
    notes: Sequence[Iterable[GridNote]],
    n_steps: int,
    chroma: NDArray[np.bool_] | None = None,
    bass: NDArray[np.int8] | None = None,
) -> PianoRoll:
    """The roll that holds these notes: the inverse of `notes_of` for playable notes.

    Notes that begin together in a track share one velocity in a roll, the loudest. chroma, bass: as in
    `PianoRoll`; without them no chord sounds anywhere.
    Raises ValueError if a note lies outside the grid or the keyboard.
    """
    n_beats = divide_exactly(n_steps, STEPS_PER_BEAT)
    bits = np.zeros((len(TRACKS), 2, n_steps, N_PITCHES), dtype=np.bool_)
    velocity = np.zeros((len(TRACKS), n_steps), dtype=np.uint8)
    for track, track_notes in enumerate(notes):
        for note in sorted(track_notes):
            key = note.pitch - LOWEST_PITCH
            if not (0 <= note.start_step < note.end_step <= n_steps and 0 <= key < N_PITCHES):
                raise ValueError(f"{note} lies outside a grid of {n_steps} steps and {N_PITCHES} keys")
            bits[track, ONSET, note.start_step, key] = True
            bits[track, SUSTAIN, note.start_step + 1 : note.end_step, key] = True
            velocity[track, note.start_step] = max(velocity[track, note.start_step], note.velocity)
    return PianoRoll(
        bits,
        velocity,
        np.zeros((n_beats, 12), dtype=np.bool_) if chroma is None else chroma,
        np.full(n_beats, -1, dtype=np.int8) if bass is None else bass,
    )


def smoothed(notes: Sequence[GridNote], strength: float = 0.5, reach_steps: int = 8) -> tuple[GridNote, ...]:
    """The same notes with velocities drawn towards the mean of their surroundings.

    v' = (1 - strength) v + strength * (mean of the velocities of notes that begin within `reach_steps`).
    Takes out single notes that stick out of a line while phrases keep their shape.
    """
    if not notes:
        return ()
    starts = np.array([note.start_step for note in notes])
    velocities = np.array([note.velocity for note in notes], dtype=np.float64)
    sums = np.concatenate([[0.0], np.cumsum(velocities)])
    low = np.searchsorted(starts, starts - reach_steps, side="left")
    high = np.searchsorted(starts, starts + reach_steps, side="right")
    local = (sums[high] - sums[low]) / (high - low)
    blended = np.clip(np.rint((1 - strength) * velocities + strength * local), 1, 127)
    return tuple(replace(note, velocity=int(v)) for note, v in zip(notes, blended, strict=True))


def _filled(velocity: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Velocities of one track with each 0 replaced by the nearest entry that is not 0."""
    known = np.flatnonzero(velocity)
    if known.size == 0:
        return np.full(velocity.shape, DEFAULT_VELOCITY, dtype=np.int64)
    steps = np.arange(velocity.size)
    after = np.clip(np.searchsorted(known, steps), 0, known.size - 1)
    before = np.clip(after - 1, 0, known.size - 1)
    nearer = np.where(np.abs(known[before] - steps) <= np.abs(known[after] - steps), before, after)
    return np.clip(velocity[known[nearer]].astype(np.int64), 1, 127)


def _decode_track(
    bits: NDArray[np.bool_], velocity: NDArray[np.int64], limit: int, highest: bool
) -> tuple[GridNote, ...]:
    onsets, sustains = bits[ONSET], bits[SUSTAIN]
    sounding: dict[int, int] = {}  # key -> step of its onset, oldest first
    out: list[GridNote] = []

    def end(key: int, step: int) -> None:
        start = sounding.pop(key)
        out.append(GridNote(start, step, key + LOWEST_PITCH, int(velocity[start])))

    for step in range(bits.shape[1]):
        new = [int(key) for key in np.flatnonzero(onsets[step])]
        for key in [key for key in sounding if onsets[step, key] or not sustains[step, key]]:
            end(key, step)
        for key in _thinned(new, limit, highest):
            if len(sounding) >= limit:
                end(next(iter(sounding)), step)
            sounding[key] = step
    for key in list(sounding):
        end(key, bits.shape[1])
    return tuple(sorted(out))


def _thinned(keys: list[int], limit: int, highest: bool) -> list[int]:
    """At most `limit` of the keys (sorted): the highest, or from the outside in, lowest first."""
    if len(keys) <= limit:
        return keys
    if highest:
        return keys[-limit:]
    return sorted(keys[: (limit + 1) // 2] + keys[len(keys) - limit // 2 :])
