"""Does choosing among takes help? Takes of held-out windows: drawn, measured, ranked.

    python benchmarks/takes.py --data FOLDER --table FILE [--windows 150] [--takes 8] [--kept FILE.npz]
    python benchmarks/takes.py --clips FOLDER [--takes 8]

Every window of a held-out song asks for what the song has there, and several takes are drawn of it. Prints
how often the gate rejects takes and the songs' own windows, how far takes of one window lie apart, and
figures of the best of 1, 2, 4, ... takes. Some of those the ranking does not look at: a classifier that tells
takes from songs, and overlapping areas. --kept: the drawn takes are kept there, and used if they are there.
--clips: instead, takes of the films in a folder, each with some moods: the kept one beside the mean of all.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from diffbgm.data.pop909 import read_songs
from diffbgm.data.windows import WindowSource
from diffbgm.diffusion.compose import compose_roll
from diffbgm.diffusion.conditions import DYNAMIC_INDEX, Conditions
from diffbgm.diffusion.denoiser import WindowedDenoiser
from diffbgm.diffusion.roll import PianoRoll
from diffbgm.diffusion.sampler import sample
from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.tokens import to_roll
from diffbgm.diffusion.weights import Weights, open_weights
from diffbgm.metrics.features import table
from diffbgm.metrics.notes import notes_of_roll
from diffbgm.metrics.realism import feature_distances, two_sample_test
from diffbgm.options import ComposeOptions
from diffbgm.spotting.cuesheet import CueSheet, Wishes
from diffbgm.spotting.spot import resolve
from diffbgm.takes.asked import ONSETS_A_CODE, Asked, scale_of
from diffbgm.takes.measures import Measures, measure
from diffbgm.takes.rank import UNITS, WEIGHTS, Choice, Ranked, ranked
from diffbgm.timing import BEATS_PER_BAR
from diffbgm.video.analyze import analyze

BEATS = 64
MOODS = (None, "calm, sad", "tense, fast")


def asked_of(conditions: Conditions) -> Asked:
    """What the conditions of a window ask, all known; songs have no hits."""
    bars = conditions.dynamic[::BEATS_PER_BAR]
    return Asked(
        onsets=ONSETS_A_CODE * (bars[:, DYNAMIC_INDEX["density"]] - 1.0),
        melody=bars[:, DYNAMIC_INDEX["melody"]] > 1,
        scale=np.tile(scale_of("C"), (len(conditions.dynamic), 1)),
        hit_steps=np.zeros(0, np.int64),
        hit_weights=np.zeros(0),
    )


def drawn(weights: Weights, sampling: Sampling, source: WindowSource, chosen: Any, takes: int) -> Any:
    """Takes of the chosen windows as packed arrays, [window][take]."""
    out = []
    for done, index in enumerate(chosen):
        denoiser = WindowedDenoiser(weights, source.conditions(source.windows[index]), sampling.conditions)
        row = []
        for take in range(takes):
            tokens = sample(
                denoiser, denoiser.shape, sampling.levels, np.random.default_rng((int(index), take)),
                sampler=sampling.sampler, eta=sampling.eta,
            )  # fmt: skip
            roll = to_roll(tokens)
            row.append((np.packbits(roll.bits), roll.velocity, roll.chroma, roll.bass))
        out.append(row)
        print(f"\r{done + 1} of {len(chosen)} windows", end="", file=sys.stderr)
    print(file=sys.stderr)
    return out


def unpacked(row: Any) -> PianoRoll:
    bits, velocity, chroma, bass = row
    shape = (3, 2, 4 * len(bass), 88)
    return PianoRoll(np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape).astype(bool),
                     velocity, chroma, bass)  # fmt: skip


def interval(values: Any, rng: np.random.Generator) -> str:
    values = np.asarray(values, np.float64)
    means = values[rng.integers(0, len(values), (1000, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():.3f} ({low:.3f} .. {high:.3f})"


def table_of(rolls: list[PianoRoll]) -> dict[str, Any]:
    return table([notes_of_roll(roll) for roll in rolls])


def print_spread(takes: list[list[Ranked]]) -> None:
    """How far takes of one window lie apart in each cost, in the cost's own measure."""
    print("\n| cost | unit | standard deviation between takes of one window | mean |")
    print("|---|---|---|---|")
    for name, unit in UNITS.items():
        values = np.array([[take.costs[name] * unit / WEIGHTS[name] for take in row] for row in takes])
        print(f"| {name} | {unit} | {np.sqrt(values.var(axis=1, ddof=1).mean()):.4f} | {values.mean():.4f} |")


def print_best_of(
    takes: list[list[Ranked]], rolls: list[list[PianoRoll]], real: list[PianoRoll], songs: list[str]
) -> None:
    rng = np.random.default_rng(0)
    theirs = table_of(real)
    print("\n| best of | density error | distance | off-key | classifier: accuracy | AUC | mean OA |")
    print("|---|---|---|---|---|---|---|")
    count = 1
    while count <= len(takes[0]):
        kept = [Choice.of(row[:count]).kept for row in takes]
        chosen = [rolls[k][take.number] for k, take in enumerate(kept)]
        ours = table_of(chosen)
        test = two_sample_test(
            np.concatenate(list(theirs.values()), axis=1), np.concatenate(list(ours.values()), axis=1),
            songs, songs,
        )  # fmt: skip
        overlap = np.mean([feature_distances(theirs[name], ours[name]).overlap for name in theirs])
        columns = [
            interval([take.measures.density_error for take in kept], rng),
            interval([take.measures.distance for take in kept], rng),
            interval([take.measures.off_key for take in kept], rng),
            f"{test.accuracy:.3f} ({test.accuracy_ci95[0]:.3f} .. {test.accuracy_ci95[1]:.3f})",
            f"{test.auc:.3f}",
            f"{overlap:.3f}",
        ]
        print(f"| {count} | {' | '.join(columns)} |")
        count *= 2


def clips(folder: Path, weights: Weights, sampling: Sampling, takes: int) -> None:
    """Takes of films: what choosing gains, and how many of them are rejected."""
    kept, means, drawn_, rejected, spent_s = [], [], 0, Counter[str](), []
    for film in sorted(path for path in folder.iterdir() if path.suffix in (".mp4", ".mkv", ".webm")):
        analysis = analyze(film)
        for mood in MOODS:
            plan = resolve(CueSheet(wishes=Wishes(mood=mood)), analysis).plan
            assert plan is not None
            asked, found = Asked.of_plan(plan), []
            for number in range(takes):
                roll = compose_roll(plan.model_copy(update={"take": number}), weights, sampling=sampling)
                began = time.process_time()
                found.append(ranked(number, measure(roll, asked), asked))
                spent_s.append((time.process_time() - began) / analysis.duration_s)
            drawn_ += takes
            rejected.update(fault.split(":")[0] for take in found for fault in take.faults)
            kept.append(_figures(Choice.of(found).kept.measures))
            means.append(_mean([_figures(take.measures) for take in found]))
            print(f"{film.name}, {mood}: {Choice.of(found).why}", flush=True)
    print(f"{drawn_} takes, of them with faults: {dict(rejected) or 'none'}")
    print(f"measuring takes {60_000 * np.mean(spent_s):.1f} ms of CPU for a minute of film")
    print("| | hits | density error | bars with the wrong melody | distance | off-key |")
    print("|---|---|---|---|---|---|")
    for name, rows in (("mean take", means), (f"kept of {takes}", kept)):
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in _mean(rows))} |")


def _mean(rows: Any) -> Any:
    """Mean of each column over the rows that have it."""
    rows = np.array(rows)
    known = np.isfinite(rows).sum(axis=0)
    return np.where(known, np.nansum(rows, axis=0) / np.maximum(known, 1), np.nan)


def _figures(m: Measures) -> list[float]:
    return [m.hits, m.density_error, m.melody_wrong, m.distance, m.off_key]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--weights")
    parser.add_argument("--sampler")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--windows", type=int, default=150)
    parser.add_argument("--takes", type=int, default=8)
    parser.add_argument("--kept", type=Path)
    given = parser.parse_args()
    weights = open_weights(given.weights)
    asked = {name: getattr(given, name) for name in ("sampler", "steps")}
    sampling = Sampling.of(weights.sampling, **ComposeOptions.build(asked).sampling)
    print(f"{weights.name}, {sampling}")
    if given.clips is not None:
        clips(given.clips, weights, sampling, given.takes)
        return 0
    if given.data is None or given.table is None:
        parser.error("give --data and --table, or --clips")
    source = WindowSource(list(read_songs(given.data, given.table, "heldout")), beats=BEATS)
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(len(source.windows), given.windows, replace=False))
    if given.kept is not None and given.kept.is_file():
        packed = np.load(given.kept, allow_pickle=True)["takes"]
    else:
        packed = drawn(weights, sampling, source, chosen, given.takes)
        if given.kept is not None:
            np.savez_compressed(given.kept, takes=np.array(packed, object))
    windows = [source.windows[k] for k in chosen]
    asks = [asked_of(source.conditions(window)) for window in windows]
    real = [to_roll(source.tokens(window)) for window in windows]
    rolls = [[unpacked(take) for take in row] for row in packed]
    songs = [ranked(0, measure(roll, ask), ask) for roll, ask in zip(real, asks, strict=True)]
    takes = [
        [ranked(number, measure(roll, ask), ask) for number, roll in enumerate(row)]
        for row, ask in zip(rolls, asks, strict=True)
    ]
    for name, group in (("songs", songs), ("takes", [take for row in takes for take in row])):
        print(f"{name}: {np.mean([bool(take.faults) for take in group]):.2%} of {len(group)} rejected")
        for fault, count in Counter(f.split(":")[0] for t in group for f in t.faults).most_common():
            print(f"  {fault}: {count}")
    print_spread(takes)
    print_best_of(takes, rolls, real, [source.songs[window.song].song_id for window in windows])
    return 0


if __name__ == "__main__":
    sys.exit(main())
