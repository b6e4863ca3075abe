"""Form of long pieces: how much returns, how exactly, and how smooth the borders of sections are.

    python benchmarks/form.py --data FOLDER --table FILE [--weights NAME] [--songs 12] [--films 8]

Prints one table: held-out songs (64 bars), pieces composed for their form, and music for made-up films of 2
to 3 minutes that return to few of their scenes; each composed with ties between phrases of one label and
without, from the same seeds.

- density: correlation over all bars of the density code asked and the onsets drawn.
- bars repeated: share of bars all of whose notes are those of an earlier bar.
- returns: of bars at the same place of sections of one label, the share of beats with the same chord, the
  Jaccard index of a track's onsets, and the share of bars whose melody is the same, note for note.
- breaks at bar lines: of the bass, semitones from the lowest note of the beat before to that of the beat
  after; of the register, semitones between the mean melody pitches of the two bars; of the harmony, 1 - the
  Jaccard index of the two beats' pitch classes of the chord.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations, pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np

from diffbgm.data.pop909 import read_songs
from diffbgm.data.windows import WindowSource
from diffbgm.diffusion import compose
from diffbgm.diffusion.conditions import DYNAMIC_INDEX, conditions_of
from diffbgm.diffusion.form import PARTS, Ties
from diffbgm.diffusion.roll import ONSET, PianoRoll
from diffbgm.diffusion.weights import Weights, open_weights
from diffbgm.evaluation.measure import of_notes
from diffbgm.metrics.notes import notes_of_roll
from diffbgm.spotting.cuesheet import Plan, Wishes
from diffbgm.spotting.spot import spot
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BAR
from diffbgm.video.analysis import Analysis, Curve, Shot, Transition

from evaluation import PIECE_BARS, draws_of, mean_of, plan_like, roll_of_song, table  # isort: skip

FIGURES = {
    "si_3_8": "SI 3-8 s, from notes",
    "si_8_15": "SI 8-15 s, from notes",
    "si_15": "SI from 15 s, from notes",
    "chord_irregularity": "chord-progression irregularity",
    "gps": "GPS, 16 positions",
    "pche_8bar": "PCHE, 8 bars (MusDr)",
    "notes": "notes a bar",
    "density": "density asked and drawn, r",
    "repeated": "bars repeated",
    "chords": "returns: same chord",
    "melody": "returns: melody shared",
    "same melody": "returns: melody the same",
    "accompaniment": "returns: accompaniment shared",
    "bass at borders": "bass break at borders of sections",
    "bass inside": "bass break inside",
    "register at borders": "register break at borders",
    "register inside": "register break inside",
    "harmony at borders": "harmony break at borders",
    "harmony inside": "harmony break inside",
}
SCENES = (4, 10)
CURVE_HZ = 4.0


def made_film(duration_s: float, rng: np.random.Generator) -> Analysis:
    """Scenes of one to four shots; every fourth scene or so looks like an earlier one."""
    scenes = int(rng.integers(*SCENES))
    lengths_s = rng.dirichlet(np.full(scenes, 6.0)) * duration_s
    scene_looks: list[np.ndarray] = []
    edges, looks = [0.0], []
    for end_s, length_s in zip(np.cumsum(lengths_s), lengths_s, strict=True):
        again = scene_looks and rng.random() < 0.25
        look = scene_looks[int(rng.integers(len(scene_looks)))] if again else rng.uniform(
            (0.1, 0.1, -0.3, 0.05), (0.8, 0.7, 0.4, 0.8)
        )  # fmt: skip
        scene_looks.append(look)
        shots = int(rng.integers(1, 5))
        edges += (end_s - length_s * np.arange(shots - 1, -1, -1) / shots).tolist()
        looks += [look + rng.normal(0, 0.02, 4) for _ in range(shots)]
    times = (np.arange(round(duration_s * CURVE_HZ)) + 0.5) / CURVE_HZ
    shot = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, len(looks) - 1)
    brightness, saturation, warmth, motion = (
        Curve(CURVE_HZ, column.astype(np.float32)) for column in np.clip(looks, -1, 1)[shot].T
    )
    cuts = edges[1:-1]
    return Analysis(
        video="film.mp4", container="mp4", duration_s=duration_s, frame_rate=Fraction(25),
        n_frames=round(25 * duration_s), width=640, height=360, rotation=0, has_audio=False,
        shots=tuple(Shot(a, b) for a, b in pairwise(edges)),
        transitions=tuple(Transition(cut, "cut", cut, cut, 0.7) for cut in cuts),
        motion=motion, camera=Curve(CURVE_HZ, np.zeros(len(times), np.float32)), brightness=brightness,
        saturation=saturation, warmth=warmth, speech_spans=(), source_lufs=None, has_music=False,
        thumbnails=(), warnings=(),
    )  # fmt: skip


def composed(plans: Sequence[Plan], weights: Weights, with_ties: bool) -> list[PianoRoll]:
    if with_ties:
        return [compose.compose_roll(plan, weights) for plan in plans]
    with patch.object(compose, "ties_of", untied):
        return [compose.compose_roll(plan, weights) for plan in plans]


def untied(conditions: object, end: int, _: object) -> Ties:
    return Ties(np.arange(end), np.zeros((end, len(PARTS)), np.float32))


def figures(rolls: Sequence[PianoRoll], plans: Sequence[Plan]) -> dict[str, np.ndarray]:
    rows = []
    for roll, plan in zip(rolls, plans, strict=True):
        notes = notes_of_roll(roll, plan.tempo_map)
        row = dict(of_notes(notes))
        row["notes"] = len(notes) / (roll.n_beats / BEATS_PER_BAR)
        row["repeated"] = repeated(roll)
        for found in (returns(roll, plan), breaks(roll, plan)):
            row |= {name: float(np.mean(values)) for name, values in found.items()}
        rows.append(row)
    out = {name: np.array([row.get(name, np.nan) for row in rows], np.float64) for name in FIGURES}
    out["density"] = np.full(len(rows), density(rolls, plans))
    return out


def by_bar(roll: PianoRoll) -> np.ndarray:
    """Bits, bool (bars, 3 tracks, 2 planes, 16, 88)."""
    tracks, planes, _, keys = roll.bits.shape
    return roll.bits.reshape(tracks, planes, -1, STEPS_PER_BAR, keys).transpose(2, 0, 1, 3, 4)


def density(rolls: Sequence[PianoRoll], plans: Sequence[Plan]) -> float:
    codes = [
        conditions_of(plan).dynamic[:-BEATS_PER_BAR:BEATS_PER_BAR, DYNAMIC_INDEX["density"]] for plan in plans
    ]
    drawn = [by_bar(roll)[:-1, :, ONSET].sum(axis=(1, 2, 3)) for roll in rolls]
    return float(np.corrcoef(np.concatenate(codes), np.concatenate(drawn))[0, 1])


def repeated(roll: PianoRoll) -> float:
    bars = [bar.tobytes() for bar in by_bar(roll) if bar.any()]
    return 1 - len(set(bars)) / len(bars)


def returns(roll: PianoRoll, plan: Plan) -> dict[str, list[float]]:
    out: dict[str, list[float]] = defaultdict(list)
    bars = by_bar(roll)
    chords = np.concatenate([roll.chroma, roll.bass[:, None]], axis=1).reshape(-1, BEATS_PER_BAR, 13)
    for one, other in combinations(plan.sections, 2):
        if one.label != other.label:
            continue
        length = min(one.end_bar - one.start_bar, other.end_bar - other.start_bar)
        for a in range(one.start_bar, one.start_bar + length):
            b = a + other.start_bar - one.start_bar
            out["chords"].append(float((chords[a] == chords[b]).all(axis=-1).mean()))
            for track, name in ((0, "melody"), (2, "accompaniment")):
                struck = bars[[a, b], track, ONSET]
                if struck.any():
                    out[name].append(float(struck.all(axis=0).sum() / struck.any(axis=0).sum()))
            if bars[[a, b], 0].any():
                out["same melody"].append(float((bars[a, 0] == bars[b, 0]).all()))
    return out


def breaks(roll: PianoRoll, plan: Plan) -> dict[str, list[float]]:
    """At bar lines, the final chord's excepted."""
    out: dict[str, list[float]] = defaultdict(list)
    borders = {section.start_bar for section in plan.sections}
    sounding = roll.bits.any(axis=(0, 1)).reshape(roll.n_beats, -1, 88).any(axis=1)
    struck = by_bar(roll)[:, 0, ONSET].any(axis=1)
    for bar in range(1, roll.n_beats // BEATS_PER_BAR - 1):
        where = "at borders" if bar in borders else "inside"
        beats = np.array([BEATS_PER_BAR * bar - 1, BEATS_PER_BAR * bar])
        if sounding[beats].any(axis=1).all():
            low, high = sounding[beats].argmax(axis=1).tolist()
            out[f"bass {where}"].append(abs(high - low))
        if struck[[bar - 1, bar]].any(axis=1).all():
            before, after = (np.flatnonzero(struck[k]).mean() for k in (bar - 1, bar))
            out[f"register {where}"].append(abs(after - before))
        chords = roll.chroma[beats]
        if chords.any(axis=1).all():
            out[f"harmony {where}"].append(1 - chords.all(axis=0).sum() / chords.any(axis=0).sum())
    return out


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--weights")
    parser.add_argument("--songs", type=int, default=12)
    parser.add_argument("--films", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.monotonic()
    rng = np.random.default_rng(given.seed)
    weights = open_weights(given.weights)
    source = WindowSource(list(read_songs(given.data, given.table, "heldout")))
    beats = PIECE_BARS * BEATS_PER_BAR
    long = [k for k, song in enumerate(source.songs) if min(song.n_beats, song.phrases[-1].end_beat) >= beats]
    numbers = sorted(int(k) for k in rng.choice(long, given.songs, replace=False))
    plans = [plan_like(source, number, given.seed + k) for k, number in enumerate(numbers)]
    films = [
        spot(made_film(float(rng.uniform(120, 180)), rng), Wishes(seed=given.seed + k))
        for k in range(given.films)
    ]

    def columns() -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        songs = [roll_of_song(source.songs[number], PIECE_BARS) for number in numbers]
        yield "songs", figures(songs, plans)
        for name, asked in (("songs' form", plans), ("films", films)):
            for with_ties in (True, False):
                word = name if with_ties else f"{name}, untied"
                yield word, figures(composed(asked, weights, with_ties), asked)

    made = dict(columns())
    rows = [
        [
            word,
            *(
                mean_of(each[key], draws_of([str(k) for k in range(len(each[key]))]))
                for each in made.values()
            ),
        ]
        for key, word in FIGURES.items()
    ]
    print(f"{weights.name}; {len(plans)} songs, {len(films)} films.\n")
    table(["", *made], rows)
    for plan in films:
        print(f"{plan.duration_s:.0f} s:", " ".join(
            f"{each.role} {each.label} {each.end_bar - each.start_bar}" for each in plan.sections
        ))  # fmt: skip
    print(f"\n{time.monotonic() - began:.0f} s in all.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
