"""What pretrained networks say of a film: rows of numbers over its time, captions, and rows of their words.

These are the conditions of the paper (Diff-BGM, arXiv 2405.11913): visual rows steer the dynamics, language
rows of the captions the semantics. One `.npz` file holds them all; `docs/features.md` describes it.
All times are seconds from the first video frame.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.behaviour import Alignment
from diffbgm.errors import InputError
from diffbgm.features.captions import Caption
from diffbgm.timing import FloatArray, TempoMap
from diffbgm.video.analysis import Shot

SCHEMA: Final = 1
VISUAL_WIDTH: Final = 512
LANGUAGE_WIDTH: Final = 768

Rows = NDArray[np.float32]

_SAME_LENGTH_S: Final = 0.001


@dataclass(frozen=True)
class Source:
    """Where features come from: a model's or a file's name and the SHA-256 of its content, in hex."""

    name: str
    sha256: str


@dataclass(frozen=True)
class FilmFeatures:
    """The features of one film.

    film: name and SHA-256 of the film's file. duration_s: the film's length.
    visual: float32 (rows, 512); row k holds for the time from k/visual_hz to (k+1)/visual_hz, the last one
        until the film ends.
    shots, shots_by: the shots that were captioned, and the detector that found them.
    captions: in order of their start. language: float32 (captions, 768), one row for each of them.
    visual_by, captions_by, language_by: the models, or for captions that a person gave, their file.

    Networks other than those of the paper may have other widths than 512 and 768.
    """

    film: Source
    duration_s: float
    visual: Rows
    visual_hz: float
    visual_by: Source
    shots: tuple[Shot, ...]
    shots_by: str
    captions: tuple[Caption, ...]
    captions_by: Source
    language: Rows
    language_by: Source

    def __post_init__(self) -> None:
        if self.duration_s <= 0 or self.visual_hz <= 0:
            raise ValueError("duration_s and visual_hz are positive")
        if self.visual.ndim != 2 or len(self.visual) == 0:
            raise ValueError(f"visual rows of shape {self.visual.shape}, expected (rows, width)")
        if self.language.ndim != 2 or len(self.language) != len(self.captions):
            raise ValueError(
                f"language rows of shape {self.language.shape} for {len(self.captions)} captions, "
                "expected one row a caption"
            )
        if not np.isfinite(self.visual).all() or not np.isfinite(self.language).all():
            raise ValueError("a feature is not a finite number")
        if any(caption.end_s <= caption.start_s for caption in self.captions):
            raise ValueError("a caption ends before it begins")
        if any(b.start_s < a.start_s for a, b in pairwise(self.captions)):
            raise ValueError("captions are not in order of time")

    @property
    def visual_edges_s(self) -> FloatArray:
        """Where each visual row begins, and where the last one ends: float64 (rows + 1,)."""
        edges = np.arange(len(self.visual) + 1) / self.visual_hz
        edges[-1] = max(self.duration_s, float(edges[-2]) + _SAME_LENGTH_S)
        return edges

    def visual_on_beats(self, edges_s: FloatArray, alignment: Alignment = "time") -> Rows:
        """A visual row for each beat: float32 (beats, width).

        edges_s: float64 (beats + 1,), where each beat begins and the last one ends; see `beat_edges`.
        time: the mean over the beat of the rows, each by the time for which it holds; a beat beyond the
            film takes the nearest row.
        stretched: as in the published code: row int(b * rows / beats) for beat b, whatever the times are.
        """
        if alignment == "stretched":
            return stretched(self.visual, len(edges_s) - 1)
        row_edges = self.visual_edges_s
        area = np.zeros((len(row_edges), self.visual.shape[1]))  # integral from 0 to each row's beginning
        np.cumsum(self.visual * np.diff(row_edges)[:, None], axis=0, out=area[1:])

        at = np.clip(edges_s, 0.0, row_edges[-1])
        row = np.clip(np.searchsorted(row_edges, at, side="right") - 1, 0, len(self.visual) - 1)
        reached = area[row] + self.visual[row] * (at - row_edges[row])[:, None]
        length = np.diff(at)[:, None]
        mean = np.diff(reached, axis=0) / np.where(length > 0, length, 1.0)
        return np.where(length > 0, mean, self.visual[row[:-1]]).astype(np.float32)

    def language_on_beats(self, edges_s: FloatArray, alignment: Alignment = "time") -> Rows:
        """The language row of the caption that each beat lies in: float32 (beats, width).

        edges_s: as in `visual_on_beats`.
        time: the caption that covers most of the beat, of equal ones the first; where there is none, the
            one nearest to the beat's middle.
        stretched: as in the published code: row int(b * captions / beats) for beat b.
        Raises InputError if there are no captions.
        """
        if not self.captions:
            raise InputError(f"features of {self.film.name}: hold no captions")
        if alignment == "stretched":
            return stretched(self.language, len(edges_s) - 1)
        starts = np.array([caption.start_s for caption in self.captions])
        ends = np.array([caption.end_s for caption in self.captions])
        chosen = []
        for begin_s, end_s in pairwise(edges_s.tolist()):
            overlap = np.minimum(ends, end_s) - np.maximum(starts, begin_s)
            if overlap.max() <= 0:
                middle_s = (begin_s + end_s) / 2
                overlap = -np.maximum(starts - middle_s, middle_s - ends)
            chosen.append(int(np.argmax(overlap)))
        return self.language[chosen]

    def check_film(self, film: Path) -> None:
        """Raises InputError unless these are the features of this file."""
        if sha256_of(film) != self.film.sha256:
            raise InputError(
                f"{film}: the features are of another film, {self.film.name}; make its own with "
                "`diffbgm features`"
            )

    def about(self) -> dict[str, Any]:
        """All but the rows as JSON values."""
        return {
            "schema": SCHEMA,
            "film": asdict(self.film),
            "duration_s": self.duration_s,
            "visual_hz": self.visual_hz,
            "visual_by": asdict(self.visual_by),
            "shots": [[shot.start_s, shot.end_s] for shot in self.shots],
            "shots_by": self.shots_by,
            "captions": [asdict(caption) for caption in self.captions],
            "captions_by": asdict(self.captions_by),
            "language_by": asdict(self.language_by),
        }

    def save(self, path: Path) -> None:
        """Write one `.npz`: arrays `visual` and `language`, and `about`, all else as JSON in UTF-8."""
        text = json.dumps(self.about(), ensure_ascii=False).encode()
        with path.open("wb") as file:
            np.savez_compressed(
                file, visual=self.visual, language=self.language, about=np.frombuffer(text, np.uint8)
            )

    @classmethod
    def load(cls, path: Path) -> FilmFeatures:
        """Read what `save` wrote; arrays may be float16 too. Raises InputError if it is no such file."""
        try:
            with path.open("rb") as data, np.load(data, allow_pickle=False) as file:
                about: dict[str, Any] = json.loads(file["about"].tobytes())
                if about["schema"] != SCHEMA:
                    raise InputError(
                        f"{path}: features of schema {about['schema']}; this diffbgm reads schema {SCHEMA}"
                    )
                return cls(
                    film=Source(**about["film"]),
                    duration_s=float(about["duration_s"]),
                    visual=file["visual"].astype(np.float32),
                    visual_hz=float(about["visual_hz"]),
                    visual_by=Source(**about["visual_by"]),
                    shots=tuple(Shot(float(a), float(b)) for a, b in about["shots"]),
                    shots_by=str(about["shots_by"]),
                    captions=tuple(Caption(**each) for each in about["captions"]),
                    captions_by=Source(**about["captions_by"]),
                    language=file["language"].astype(np.float32),
                    language_by=Source(**about["language_by"]),
                )
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file") from error
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: not film features written by diffbgm ({error})") from error


def beat_edges(tempo_map: TempoMap) -> FloatArray:
    """Where each beat begins and the last one ends: float64 (beats + 1,), seconds."""
    return tempo_map.seconds(np.arange(tempo_map.n_beats + 1, dtype=np.float64))


def stretched(rows: Rows, n_beats: int) -> Rows:
    """As many rows as beats by repeating or leaving out: row int(b * rows / beats) for beat b.

    This is how the published training code aligns features and music. rows: float32 (rows, width).
    """
    # In floating point as there, which now and then falls below the whole number that it should be.
    return rows[(np.arange(n_beats) * (len(rows) / n_beats)).astype(np.int64)]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content in hex, read in blocks. Raises InputError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
