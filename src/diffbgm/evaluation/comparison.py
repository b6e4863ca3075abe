"""Many pieces together: against real music, and against what the system was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from diffbgm.errors import CueSheetError, InputError, MissingToolError, OptionError
from diffbgm.evaluation.measure import Figures, summary
from diffbgm.evaluation.pieces import Piece, notes_in, stem_of
from diffbgm.metrics import curves, features, novelty, pretrained, realism, retrieval
from diffbgm.metrics.embedders import AudioEmbedder, SoundEmbedder, SymbolicEmbedder
from diffbgm.metrics.notes import Notes
from diffbgm.metrics.onsets import read_sound
from diffbgm.spotting.cuesheet import CueSheet
from diffbgm.timing import FloatArray

LEAST_FILMS: Final = 5


def against_reference(
    notes: dict[str, Notes], real: dict[str, Notes], seed: int, warnings: list[str]
) -> dict[str, Any]:
    out: dict[str, Any] = {}
    made, made_song = _windows(notes)
    true, true_song = _windows(real)
    if len(made) >= 2 and len(true) >= 4:
        out["realism"] = _realism(made, made_song, true, true_song, seed, warnings)
    else:
        warnings.append("realism left out: too few stretches of 16 bars")
    both = sorted(set(notes) & set(real))
    if both:
        embedder = SymbolicEmbedder(real.values())
        rows = retrieval.pair_clips(
            [embedder.embed(notes[name]) for name in both],
            [embedder.embed(real[name]) for name in both],
            both,
        )
        out["retrieval"] = _ranked(embedder.name, rows, seed, warnings)
    return out


def sound_retrieval(
    pieces: Sequence[Piece], references: Sequence[Piece], embedder: str, seed: int, warnings: list[str]
) -> dict[str, Any]:
    """Retrieval of the references' sounds by the pieces' of the same name.

    embedder: `audio`, `musicnn`, or `clap:FOLDER` and `mert:FOLDER` with the weights' folder.
    Raises OptionError for another one, MissingToolError where its package or weights are missing.
    """
    made = {piece.stem: piece.sound for piece in pieces if piece.sound is not None}
    real = {piece.stem: piece.sound for piece in references if piece.sound is not None}
    both = sorted(set(made) & set(real))
    name, _, folder = embedder.partition(":")
    if name not in ("audio", *pretrained.NAMES):
        known = ", ".join(("audio", "musicnn", "clap:FOLDER", "mert:FOLDER"))
        raise OptionError(f"option embedder: {embedder!r} is none of {known}")
    opened: SoundEmbedder
    if name != "audio":
        opened = pretrained.open_embedder(name, Path(folder) if folder else None)
    elif both:
        opened = AudioEmbedder(read_sound(real[each], AudioEmbedder.rate) for each in both)
    else:
        return {}
    rows = retrieval.pair_clips(
        [opened.embed(read_sound(made[each], opened.rate)) for each in both],
        [opened.embed(read_sound(real[each], opened.rate)) for each in both],
        both,
    )
    return _ranked(opened.name, rows, seed, warnings)


def picture_retrieval(pieces: Sequence[Piece], notes: dict[str, Notes], seed: int) -> dict[str, Any]:
    """Whether films with a cue sheet beside them find their music, and music its film; from five films on.

    Each looks through all films where there are fewer than 60. Tempo is left out, as music copies it.
    """
    asked, given = [], []
    for piece in pieces:
        sheet = piece.film and piece.film.with_name(f"{piece.stem}.cues.json")
        plan = CueSheet.load(sheet).plan if sheet and sheet.is_file() else None
        if plan is not None and piece.stem in notes:
            asked.append(curves.asked(plan, tempo=False))
            given.append(curves.given(notes[piece.stem], plan, tempo=False))
    if len(asked) < LEAST_FILMS:
        return {}
    pool = min(retrieval.POOL, len(asked))
    found = retrieval.video_and_music(np.array(asked), np.array(given), pool=pool, seed=seed)
    return {"picture": {name: each.to_json() for name, each in found.items()}}


def _ranked(
    name: str, rows: tuple[FloatArray, FloatArray, list[str]], seed: int, warnings: list[str]
) -> dict[str, Any]:
    if len(rows[0]) < retrieval.POOL:
        warnings.append(
            f"retrieval ({name}) left out: {len(rows[0])} pairs of clips, a pool takes {retrieval.POOL}"
        )
        return {}
    return {name: retrieval.evaluate(*rows, seed=seed).to_json()}


def _realism(
    made: list[Notes],
    made_song: list[str],
    true: list[Notes],
    true_song: list[str],
    seed: int,
    warnings: list[str],
) -> dict[str, Any]:
    a, b = features.table(made), features.table(true)
    # Real against real: every other song of the reference against the rest.
    songs = sorted(set(true_song))
    first = np.isin(true_song, songs[::2])
    halves = [{name: rows[side] for name, rows in b.items()} for side in (first, ~first)]
    out: dict[str, Any] = {
        "windows": len(made),
        "reference_windows": len(true),
        "features": {name: asdict(each) for name, each in realism.evaluate(a, b).items()},
    }
    if min(first.sum(), (~first).sum()) >= 2:
        out["features_real"] = {name: asdict(each) for name, each in realism.evaluate(*halves).items()}
    try:
        out["classifier"] = asdict(
            realism.two_sample_test(_flat(a), _flat(b), made_song, true_song, seed=seed)
        )
        names = np.array(true_song)
        out["classifier_real"] = asdict(
            realism.two_sample_test(
                _flat(halves[0]), _flat(halves[1]), names[first].tolist(), names[~first].tolist(), seed=seed
            )
        )
    except (MissingToolError, ValueError) as error:
        warnings.append(f"classifier test left out: {error}")
    return out


def _flat(table: dict[str, Any]) -> Any:
    return np.concatenate([table[name] for name in features.NAMES], axis=1)


def _windows(pieces: dict[str, Notes]) -> tuple[list[Notes], list[str]]:
    pairs = [(window, name) for name, notes in pieces.items() for window in features.windows(notes)]
    return [window for window, _ in pairs], [name for _, name in pairs]


def against_training(
    notes: dict[str, Notes], real: dict[str, Notes], training: Sequence[Piece],
    files: dict[str, Figures], warnings: list[str],
) -> dict[str, Any]:  # fmt: skip
    songs = []
    for piece in training:
        if piece.notes is None:
            continue
        try:
            songs.append((piece.stem, novelty.lines_of(notes_in(piece))))
        except (InputError, CueSheetError) as error:
            warnings.append(f"training song left out: {error}")
    if not songs:
        warnings.append("novelty left out: no notes among the training files")
        return {}
    index = novelty.TrainingIndex(songs)
    of_piece = dict(zip(notes, novelty.evaluate(list(notes.values()), index), strict=True))
    for name, figures in files.items():
        figures |= of_piece.get(stem_of(Path(name)), {})
    out: dict[str, Any] = {"training_songs": len(songs)}
    if real:
        known = {name for name, _ in songs}
        unseen = {name: piece for name, piece in real.items() if name not in known}
        figures_of = novelty.evaluate(list(unseen.values()), index)
        out["reference"] = summary({name: dict(each) for name, each in zip(unseen, figures_of, strict=True)})
    return {"novelty": out}
