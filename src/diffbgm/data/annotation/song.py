"""A whole song annotated: one of POP909, or any MIDI file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from diffbgm.data.annotation.chords import chord_evidence, estimate_chords
from diffbgm.data.annotation.grid import GridNotes, Tones, dynamics_of, grid_fit, on_grid, roll_of
from diffbgm.data.annotation.keys import estimate_keys
from diffbgm.data.annotation.lyrics import lyrics_of_events, read_lyrics
from diffbgm.data.annotation.metre import BeatGrid, beat_grid
from diffbgm.data.annotation.music import Lyric, MusicAnnotation, Role
from diffbgm.data.annotation.roles import Part, assign_roles, split_melody
from diffbgm.data.annotation.structure import estimate_phrases
from diffbgm.data.pop909 import read_given
from diffbgm.diffusion.roll import TRACKS
from diffbgm.errors import InputError
from diffbgm.metrics.notes import read_score, seconds_clock


def annotate_pop909(folder: Path, row: dict[str, str]) -> MusicAnnotation:
    """A song of POP909: what the data set says of it, and chords, keys and missing phrases from its notes.

    folder: `POP909/NNN`; row: its row of `POP909-songs.csv` (`data.pop909.read_table`). Any metre, any flags:
    whether a song is fit for training is for the reader to decide.
    Raises InputError for missing or unreadable files.
    """
    annotation, notes = read_given(folder, row)
    return _estimated(annotation, notes)


def annotate_midi(path: Path, lyrics: Path | None = None) -> MusicAnnotation:
    """Any MIDI file: everything from its notes, tempo, time-signature and lyric events.

    lyrics: a .lrc or .srt file with the words, instead of the file's own events.
    Percussion counts for no estimate and is not in the roll. `grid_fit` says how well the notes lie on the
    file's own beats: about 0.25 for a recorded performance that ignores them, near 1 for written music.
    Raises InputError if a file is missing or broken, in SMPTE time, or has no pitched notes.
    """
    score = read_score(path)
    per_quarter = int(score.ticks_per_quarter)
    clock = seconds_clock([(tempo.time, tempo.mspq) for tempo in score.tempos], per_quarter)
    tones, roles, last_tick = _voices(path, score, clock)
    signatures = [(s.time / per_quarter, s.numerator, s.denominator) for s in score.time_signatures]
    grid = beat_grid(signatures, last_tick / per_quarter)
    beats_s = clock(grid.beats_q * per_quarter)
    notes = on_grid(tones, beats_s)
    if lyrics is None:
        events = [(float(clock(np.array([e.time]))[0]), e.text) for t in score.tracks for e in t.lyrics]
        words = lyrics_of_events(events, float(beats_s[-1]))
    else:
        words = read_lyrics(lyrics)
    return _estimated(_bare(beats_s, grid, notes, roles, words), notes)


def _estimated(annotation: MusicAnnotation, notes: GridNotes) -> MusicAnnotation:
    """With chords, keys and, where none were given, phrases told from the notes."""
    evidence = chord_evidence(notes)
    chords = estimate_chords(evidence)
    estimated = replace(annotation, chords=chords, keys=estimate_keys(notes, evidence, chords))
    if annotation.phrases:
        return estimated
    phrases = estimate_phrases(notes, evidence, annotation.downbeat)
    return replace(estimated, phrases=phrases, phrase_source="estimated")


def _bare(
    beats_s: np.ndarray[Any, np.dtype[np.float64]],
    grid: BeatGrid,
    notes: GridNotes,
    roles: tuple[Role, ...],
    lyrics: tuple[Lyric, ...],
) -> MusicAnnotation:
    bits, velocity = roll_of(notes)
    return MusicAnnotation(
        beats_s=beats_s,
        downbeat=grid.downbeat,
        beats_per_bar=grid.metre.beats_per_bar,
        eighths_per_beat=grid.metre.eighths_per_beat,
        keys=(),
        given_keys=(),
        chords=(),
        given_chords=(),
        phrases=(),
        phrase_source="estimated",
        roles=roles,
        bits=bits,
        velocity=velocity,
        dynamics=dynamics_of(notes),
        grid_fit=grid_fit(notes, 2 * grid.metre.eighths_per_beat),
        lyrics=lyrics,
    )


def _voices(path: Path, score: Any, clock: Any) -> tuple[Tones, tuple[Role, ...], int]:
    """Pitched notes with their voices, the role of each track of the file, and the tick of the last end."""
    parts, velocities, last_tick = [], [], 0
    for track in score.tracks:
        columns = track.notes.numpy()
        order = np.lexsort((columns["pitch"], columns["time"]))
        start, end = columns["time"][order], (columns["time"] + columns["duration"])[order]
        pitch = columns["pitch"][order].astype(np.int64)
        parts.append(Part(track.name, track.is_drum, clock(start), clock(end), pitch))
        velocities.append(columns["velocity"][order].astype(np.int64))
        if not track.is_drum and len(end):
            last_tick = max(last_tick, int(end.max()))
    pitched = [k for k, part in enumerate(parts) if len(part.pitch) and not part.is_drum]
    if not pitched:
        raise InputError(f"{path}: no pitched notes, so there is nothing to annotate")
    roles = assign_roles(parts)
    voices = _voice_of_notes(parts, pitched, roles)
    tones = Tones(
        np.concatenate([parts[k].start_s for k in pitched]),
        np.concatenate([parts[k].end_s for k in pitched]),
        np.concatenate([parts[k].pitch for k in pitched]),
        np.concatenate([velocities[k] for k in pitched]),
        voices,
    )
    return tones, roles, last_tick


def _voice_of_notes(
    parts: Sequence[Part], pitched: list[int], roles: tuple[Role, ...]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A single pitched track in several voices is split by note; otherwise a note has its track's role."""
    if len(pitched) == 1:
        only = parts[pitched[0]]
        return split_melody(only.start_s, only.end_s, only.pitch)
    return np.repeat([TRACKS.index(roles[k]) for k in pitched], [len(parts[k].pitch) for k in pitched])
