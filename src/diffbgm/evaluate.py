"""Figures for finished music, of any system: MIDI files, sounds, films, piano rolls.

`evaluate` finds the pieces in files and folders, measures each (in several processes), and compares the
whole with reference music and with the training songs where these are given. A piece that cannot be read
is reported and left out. docs/metrics.md says what every key means and what may be compared with what.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from diffbgm import __version__
from diffbgm.errors import DiffbgmError, InputError, OutputError
from diffbgm.evaluation.comparison import (
    against_reference,
    against_training,
    picture_retrieval,
    sound_retrieval,
)
from diffbgm.evaluation.measure import Figures, measure
from diffbgm.evaluation.pieces import Piece, find_pieces, notes_in
from diffbgm.evaluation.results import Evaluation
from diffbgm.metrics.notes import Notes
from diffbgm.progress import Listener


def evaluate(
    paths: Sequence[Path],
    *,
    reference: Sequence[Path] = (),
    videos: Path | None = None,
    training: Sequence[Path] = (),
    embedder: str | None = None,
    with_structure: bool = True,
    save: Path | None = None,
    jobs: int | None = None,
    seed: int = 0,
    progress: Listener | None = None,
) -> Evaluation:
    """Measure the pieces in `paths` (files and folders), alone and against reference and training music.

    reference: real music that the pieces should be like: adds realism, and retrieval where pieces and
    references bear the same names. videos: a folder with the films that MIDI and sound files of the same
    name were made for. training: what the system was trained on: adds novelty. embedder: also rank the
    sounds of pieces and references of the same name with `audio`, `musicnn`, `clap:FOLDER` or
    `mert:FOLDER`. with_structure: measure SI, which takes most of the time. save: keep each piece's
    figures in this JSON file as soon as they are there, and take from it those of files that have not
    changed since. jobs: processes (default: one a core). seed: of intervals, pools and folds.
    Raises InputError if there is nothing to measure, OutputError if `save` cannot be written.
    """
    pieces = find_pieces(paths, videos)
    if not pieces:
        raise InputError(f"{', '.join(map(str, paths))}: no MIDI, sound, film or piano roll to evaluate")
    references = find_pieces(reference, None) if reference else []
    store = _Store(save, with_structure)
    jobs = min(jobs or _cores(), len(pieces) + len(references))
    done = _measure_all([*pieces, *references], with_structure, store, jobs, progress)
    files, errors = _split(pieces, done)
    reference_files, reference_errors = _split(references, done)
    notes = _notes_of(pieces, files)
    real = _notes_of(references, reference_files)
    whole: dict[str, Any] = {}
    warnings = [f"reference left out: {line}" for line in reference_errors.values()]
    if real:
        whole |= against_reference(notes, real, seed, warnings)
    if embedder is not None:
        heard = [piece for piece in pieces if piece.name in files]
        like = [piece for piece in references if piece.name in reference_files]
        ranked = sound_retrieval(heard, like, embedder, seed, warnings)
        whole["retrieval"] = whole.get("retrieval", {}) | ranked
    whole |= picture_retrieval([piece for piece in pieces if piece.name in files], notes, seed)
    if training:
        whole |= against_training(notes, real, find_pieces(training, None), files, warnings)
    return Evaluation(files, errors, reference_files, whole, tuple(warnings))


def _measure_all(
    pieces: Sequence[Piece], with_structure: bool, store: _Store, jobs: int, progress: Listener | None
) -> dict[Piece, Figures | str]:
    """Figures of each piece, or the line that says why there are none."""
    done: dict[Piece, Figures | str] = {}
    for piece in pieces:
        if (kept := store.get(piece)) is not None:
            done[piece] = kept
    left = [piece for piece in dict.fromkeys(pieces) if piece not in done]
    for piece, result in _results(left, with_structure, jobs):
        done[piece] = result
        if not isinstance(result, str):
            store.put(piece, result)
        if progress is not None:
            progress("evaluating", len(done) / len(pieces))
    return done


def _results(
    pieces: Sequence[Piece], with_structure: bool, jobs: int
) -> Iterator[tuple[Piece, Figures | str]]:
    if jobs <= 1 or len(pieces) <= 1:
        for piece in pieces:
            yield piece, _attempt(piece, with_structure)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(_attempt, piece, with_structure): piece for piece in pieces}
        for future in as_completed(running):
            yield running[future], future.result()


def _attempt(piece: Piece, with_structure: bool) -> Figures | str:
    try:
        return measure(piece, with_structure)
    except DiffbgmError as error:
        return " ".join(str(error).split())


def _split(
    pieces: Sequence[Piece], done: dict[Piece, Figures | str]
) -> tuple[dict[str, Figures], dict[str, str]]:
    files: dict[str, Figures] = {}
    errors: dict[str, str] = {}
    for piece in pieces:
        result = done[piece]
        if isinstance(result, str):
            errors[piece.name] = result
        else:
            files[piece.name] = result
    return files, errors


def _notes_of(pieces: Sequence[Piece], files: dict[str, Figures]) -> dict[str, Notes]:
    """Notes by stem of the pieces that have any and could be measured."""
    chosen = [piece for piece in pieces if piece.name in files and piece.notes is not None]
    return {piece.stem: notes for piece in chosen if len(notes := notes_in(piece))}


class _Store:
    """Figures kept in a file between runs, each with what its files looked like when it was measured."""

    def __init__(self, path: Path | None, with_structure: bool) -> None:
        self._path = path
        self._settings = f"{__version__} {'with' if with_structure else 'without'} structure"
        self._kept: dict[str, dict[str, Any]] = {}
        if path is not None and path.is_file():
            try:
                held = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise InputError(f"{path}: cannot continue from this file ({error})") from error
            if not isinstance(held, dict):
                raise InputError(f"{path}: cannot continue from this file (no JSON object)")
            self._kept = held.get("measured", {})

    def get(self, piece: Piece) -> Figures | None:
        held = self._kept.get(str(piece.files[0]))
        return held["figures"] if held and held["stamp"] == self._stamp(piece) else None

    def put(self, piece: Piece, figures: Figures) -> None:
        if self._path is None:
            return
        self._kept[str(piece.files[0])] = {"stamp": self._stamp(piece), "figures": figures}
        text = json.dumps({"measured": self._kept}, indent=1, allow_nan=False)
        temporary = self._path.with_name(f".{self._path.name}.part")
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self._path)
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written ({error.strerror})") from error

    def _stamp(self, piece: Piece) -> list[Any]:
        facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in piece.files]
        return [self._settings, *[list(fact) for fact in facts]]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
