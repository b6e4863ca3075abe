"""Shot boundaries on the shared videos: precision, recall and F1, per clip and pooled.

    python benchmarks/shots.py [FOLDER]

FOLDER holds the videos and their `*.transitions.csv`; default: `data/videos` of $DIFFBGM_SHARED, else of the
folder `shared` beside the checkout. A detection counts within 2 frames of a cut or anywhere inside
`from_s..to_s` of a gradual transition, at most one a boundary.
"""

from __future__ import annotations

import csv
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from diffbgm.video.analysis import Transition
from diffbgm.video.decode import PictureReader
from diffbgm.video.shots import ShotDetector


@dataclass(frozen=True)
class Boundary:
    """A true boundary; `from_s == to_s` for a cut."""

    time_s: float
    kind: str
    from_s: float
    to_s: float


@dataclass(frozen=True)
class Score:
    """Counts of a comparison; `missed` and `false` list what went wrong."""

    hits: int
    missed: tuple[Boundary, ...]
    false: tuple[Transition, ...]

    @property
    def n_true(self) -> int:
        return self.hits + len(self.missed)

    @property
    def n_found(self) -> int:
        return self.hits + len(self.false)

    @property
    def precision(self) -> float:
        return self.hits / self.n_found if self.n_found else 1.0

    @property
    def recall(self) -> float:
        return self.hits / self.n_true if self.n_true else 1.0

    @property
    def f1(self) -> float:
        total = self.n_found + self.n_true
        return 2 * self.hits / total if total else 1.0

    def __add__(self, other: Score) -> Score:
        return Score(self.hits + other.hits, self.missed + other.missed, self.false + other.false)


def default_folder() -> Path:
    beside = Path(__file__).resolve().parents[1].parent / "shared"
    return Path(os.environ.get("DIFFBGM_SHARED", beside)) / "data" / "videos"


def true_boundaries(video: Path) -> list[Boundary]:
    """The boundaries in `NAME.transitions.csv`; none where that file is absent (one single shot)."""
    table = video.with_suffix("").with_suffix(".transitions.csv")
    if not table.exists():
        return []
    with table.open(newline="") as lines:
        return [
            Boundary(float(row["boundary_s"]), row["type"], float(row["from_s"]), float(row["to_s"]))
            for row in csv.DictReader(lines)
        ]


def compare(found: list[Transition], truth: list[Boundary], frame_s: float) -> Score:
    """Pair detections with boundaries, nearest first, each used once."""
    pairs = []
    for i, detection in enumerate(found):
        for j, boundary in enumerate(truth):
            margin = 2 * frame_s if boundary.kind == "cut" else 0.0
            if boundary.from_s - margin - 1e-3 <= detection.time_s <= boundary.to_s + margin + 1e-3:
                pairs.append((abs(detection.time_s - boundary.time_s), i, j))
    used_found: set[int] = set()
    used_true: set[int] = set()
    for _, i, j in sorted(pairs):
        if i not in used_found and j not in used_true:
            used_found.add(i)
            used_true.add(j)
    missed = tuple(b for j, b in enumerate(truth) if j not in used_true)
    false = tuple(t for i, t in enumerate(found) if i not in used_found)
    return Score(len(used_true), missed, false)


def detect(video: Path) -> tuple[list[Transition], float]:
    """Transitions of the built-in detector, and the length of a frame in seconds."""
    reader, detector = PictureReader(video), ShotDetector()
    found = [t for frame in reader for t in detector.push(frame.time_s, frame.yuv)]
    found += detector.finish()
    return found, float(1 / reader.facts.frame_rate)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default_folder()
    videos = sorted(p for p in folder.iterdir() if p.suffix in {".mp4", ".mkv", ".webm"})
    pooled = Score(0, (), ())
    print(f"{'clip':<34} {'true':>5} {'found':>6} {'precision':>10} {'recall':>7} {'F1':>6}")
    for video in videos:
        found, frame_s = detect(video)
        score = compare(found, true_boundaries(video), frame_s)
        pooled += score
        _line(video.stem, score)
        for boundary in score.missed:
            print(f"    missed {boundary.kind} at {boundary.time_s:.2f} s")
        for transition in score.false:
            print(f"    false {transition.kind} at {transition.time_s:.2f} s")
    _line("pooled", pooled)


def _line(name: str, score: Score) -> None:
    print(
        f"{name:<34} {score.n_true:>5} {score.n_found:>6} {score.precision:>10.3f} {score.recall:>7.3f} "
        f"{score.f1:>6.3f}"
    )


if __name__ == "__main__":
    main()
