"""The figures of one piece, and what they come to over many."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from diffbgm.evaluation.pieces import MIDI, Piece, notes_in
from diffbgm.metrics import correspondence, features, harmony, pitch, rhythm, structure
from diffbgm.metrics.chroma import SOUND_HZ
from diffbgm.metrics.notes import Notes
from diffbgm.metrics.onsets import read_sound
from diffbgm.options import ComposeOptions
from diffbgm.pipeline import render
from diffbgm.video.analyze import analyze

Figures = dict[str, float | str | None]


def measure(piece: Piece, with_structure: bool = True) -> Figures:
    """All figures of one piece; None where one does not apply. Raises a DiffbgmError if it cannot be read."""
    figures: Figures = {}
    if piece.notes is not None:
        figures |= of_notes(notes_in(piece), with_structure)
    if piece.sound is not None and with_structure:
        figures |= structure.evaluate_sound(read_sound(piece.sound, SOUND_HZ))
    if piece.film is not None:
        measured = correspondence.measure(piece.film, analysis=analyze(piece.film))
        figures |= correspondence.flatten(measured)
    elif piece.video is not None:
        figures |= _fit(piece, piece.video)
    return {key: finite(value) for key, value in figures.items()}


def of_notes(notes: Notes, with_structure: bool = True) -> Figures:
    """Quality and diversity of notes by key."""
    figures: Figures = {"notes": len(notes), "bars": notes.n_bars, "duration_s": notes.duration_s}
    figures |= pitch.evaluate(notes) | rhythm.evaluate(notes) | harmony.evaluate(notes)
    figures["polyphony"] = features.polyphony(notes)
    if with_structure:
        figures |= structure.evaluate(notes)
    return figures


def summary(files: dict[str, Figures], seed: int = 0, rounds: int = 1000) -> dict[str, dict[str, Any]]:
    """Mean over the pieces of each key of numbers, with its 95 % bootstrap interval.

    Where no piece has the figure (`n` 0), `mean` and both ends of `ci95` are None.
    """
    keys = list(dict.fromkeys(key for figures in files.values() for key in figures))
    rng = np.random.default_rng(seed)
    out: dict[str, dict[str, Any]] = {}
    for key in keys:
        held = [figures.get(key) for figures in files.values()]
        values = np.array([value for value in held if isinstance(value, int | float)], np.float64)
        if all(value is None for value in held):
            out[key] = {"mean": None, "ci95": [None, None], "n": 0}
        elif len(values):
            means = values[rng.integers(0, len(values), (rounds, len(values)))].mean(axis=1)
            low, high = np.quantile(means, [0.025, 0.975])
            out[key] = {"mean": float(values.mean()), "ci95": [float(low), float(high)], "n": len(values)}
    return out


def _fit(piece: Piece, video: Path) -> Figures:
    """Correspondence of music in a file of its own with the video it was made for."""
    analysis = analyze(video)
    if piece.sound is not None:
        return dict(
            correspondence.flatten(correspondence.measure(piece.sound, analysis=analysis, listen_to="film"))
        )
    assert piece.notes is not None
    if piece.notes.suffix.lower() not in MIDI:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / f"{piece.stem}.wav"
        render(piece.notes, sound, ComposeOptions.build({}))
        measured = correspondence.measure(sound, analysis=analysis, listen_to="film")
    return dict(correspondence.flatten(measured))


def finite(value: Any) -> Any:
    """`value`, but None for a number that JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
