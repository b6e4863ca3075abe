"""What the paper's parts are worth here: the same small network trained seven ways, twice each.

    python benchmarks/ablations.py train --data FOLDER --table FILE --runs runs/ablations [--part 1/2]
    python benchmarks/ablations.py table --data FOLDER --table FILE --runs runs/ablations

`train` trains each variant for the same number of steps, samples held-out windows with the conditions that
those have, measures them and keeps the figures in RUN/figures.json; stopped at any moment it goes on where
it was. `--part k/n` does every n-th run, for several processes. `table` prints the Markdown table of
docs/experiments/ablations.md. Intervals are of 95 %, bootstrapped over songs and seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from diffbgm.data.pop909 import read_songs
from diffbgm.data.windows import Window, WindowSource
from diffbgm.diffusion.conditions import DYNAMIC_INDEX, SEMANTIC_INDEX
from diffbgm.diffusion.denoiser import predict
from diffbgm.diffusion.roll import ONSET, PianoRoll
from diffbgm.diffusion.sampler import sample
from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.tokens import clean_estimate, to_roll
from diffbgm.diffusion.weights import Weights, open_weights
from diffbgm.metrics import retrieval, structure
from diffbgm.metrics.embedders import SymbolicEmbedder
from diffbgm.metrics.notes import Notes, notes_of_roll
from diffbgm.metrics.pitch import histogram_entropy, pitch_class_counts
from diffbgm.metrics.rhythm import grooving_similarity
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BAR, TempoMap

VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "full": {"selector": "gate", "segments": "borders"},
    "no segment mask": {"selector": "gate", "segments": "global"},
    "equal blocks": {"selector": "gate", "segments": "blocks"},
    "dynamic stream only": {"selector": "dynamic", "segments": "borders"},
    "semantic stream only": {"selector": "semantic", "segments": "borders"},
    "no selector": {"selector": "both", "segments": "borders"},
    "reversed selector": {"selector": "reversed", "segments": "borders"},
}
SEEDS: Final = (0, 1)
NETWORK: Final = {"width": 192, "depth": 6, "heads": 4, "bottleneck": 192, "cross_every": 2}
STEPS: Final = 1500  # ten minutes of one CPU thread
N_WINDOWS: Final = 240
BATCH: Final = 8
GUIDANCE: Final = 2.0
SAMPLING_STEPS: Final = 32
BARS: Final = 16


def runs() -> list[tuple[str, int]]:
    return [(name, seed) for seed in SEEDS for name in VARIANTS]


def folder_of(root: Path, name: str, seed: int) -> Path:
    return root / f"{name.replace(' ', '-')}-{seed}"


def chosen_windows(source: WindowSource) -> list[Window]:
    """The same held-out windows for every run, spread over all songs, one behind the other."""
    rng = np.random.default_rng(0)
    by_song: dict[int, list[Window]] = {}
    for k in rng.permutation(len(source.windows)):
        by_song.setdefault(source.windows[k].song, []).append(source.windows[k])
    rounds = [[own[turn] for own in by_song.values() if turn < len(own)] for turn in range(10)]
    return [window for one in rounds for window in one][:N_WINDOWS]


def train(source: WindowSource, heldout: WindowSource, name: str, seed: int, folder: Path) -> Weights:
    from diffbgm.train.examples import from_songs
    from diffbgm.train.export import export_run
    from diffbgm.train.loop import Trainer
    from diffbgm.train.recipe import Recipe
    from diffbgm.train.report import RunReport

    training = {"steps": STEPS, "seed": seed, "threads": 1}
    recipe = Recipe.build({"network": NETWORK, "conditions": VARIANTS[name], "training": training})
    trainer = Trainer(recipe, from_songs(source, recipe), from_songs(heldout, recipe), folder)
    report = RunReport(folder, sys.stdout, trainer.steps, recipe.training.batch, trainer.step)
    with report.shown():
        trainer.fit(report, checkpoint_s=120)
    sampling = {"guidance": GUIDANCE, "eta": 0.0, "steps": SAMPLING_STEPS}
    path, _ = export_run(folder, folder, sampling)
    return open_weights(str(path))


def sampled(source: WindowSource, windows: list[Window], weights: Weights, seed: int) -> list[PianoRoll]:
    chosen = Sampling.of(weights.sampling)
    rng = np.random.default_rng(seed)
    rolls: list[PianoRoll] = []
    for first in range(0, len(windows), BATCH):
        part = windows[first : first + BATCH]
        given = [source.conditions(window) for window in part]
        tokens = sample(
            lambda z, s, given=given: clean_estimate(predict(weights, z, s, given, chosen.conditions)),
            (len(part), *source.tokens(part[0]).shape),
            chosen.levels,
            rng,
            sampler=chosen.sampler,
            eta=chosen.eta,
        )
        rolls += [to_roll(each) for each in tokens]
    return rolls


def notes_at_tempo(roll: PianoRoll, source: WindowSource, window: Window) -> Notes:
    bar_s = 60 * BEATS_PER_BAR / float(np.median(source.songs[window.song].bpm))
    return notes_of_roll(roll, TempoMap(tuple(bar_s * bar for bar in range(BARS + 1))))


def figures(roll: PianoRoll, notes: Notes, source: WindowSource, window: Window) -> dict[str, float]:
    """What is measured of one window; NaN where the window does not say."""
    onsets = roll.bits[:, ONSET]
    together = onsets.sum(axis=0)
    counts = pitch_class_counts(together)
    given = source.conditions(window)
    asked = given.dynamic[::BEATS_PER_BAR, DYNAMIC_INDEX["density"]]
    got = onsets.sum(axis=(0, 2)).reshape(BARS, STEPS_PER_BAR).sum(axis=1)
    modes = given.semantic[given.mask.argmax(axis=1), SEMANTIC_INDEX["mode"]]
    minor = float(np.median(modes)) == 2
    bass = np.bincount(roll.bass[roll.bass >= 0], minlength=12)
    leaning = (bass[9] - bass[0]) / max(1, bass[9] + bass[0])
    varied = asked.std() > 0 and got.std() > 0
    out = {
        "PCHE": float(np.nanmean(histogram_entropy(counts.reshape(2, -1, 12).sum(axis=1)))),
        "GPS": grooving_similarity(together.any(axis=-1).reshape(BARS, STEPS_PER_BAR)),
        "notes a bar": float(got.mean()),
        "density error": float(np.abs(got / BEATS_PER_BAR - (asked - 1) / 2).mean()),
        "density r": float(np.corrcoef(asked, got)[0, 1]) if varied else float("nan"),
        "mode": float((leaning > 0) == minor) if leaning else 0.5,
    }
    return out | structure.evaluate(notes)


def measure(source: WindowSource, windows: list[Window], rolls: list[PianoRoll]) -> dict[str, Any]:
    """Figures of each window, and the rank of each window's own real music among sixty, by clip."""
    real_notes = [notes_at_tempo(to_roll(source.tokens(window)), source, window) for window in windows]
    notes = [notes_at_tempo(roll, source, window) for roll, window in zip(rolls, windows, strict=True)]
    rows = [
        figures(roll, own, source, window) for roll, own, window in zip(rolls, notes, windows, strict=True)
    ]
    embedder = SymbolicEmbedder(real_notes)
    owners = [str(k) for k in range(len(windows))]
    queries, items, of = retrieval.pair_clips(
        [embedder.embed(each) for each in notes], [embedder.embed(each) for each in real_notes], owners
    )
    ranks = retrieval.ranks(queries, items)
    rng = np.random.default_rng(1)
    shuffled = retrieval.ranks(queries, items[rng.permutation(len(items))])
    return {
        "windows": rows,
        "clip_of": [int(name) for name in of],
        "ranks": ranks.tolist(),
        "shuffled_ranks": shuffled.tolist(),
    }


def do_runs(given: argparse.Namespace) -> None:
    source = WindowSource(list(read_songs(given.data, given.table, "train")))
    heldout = WindowSource(list(read_songs(given.data, given.table, "heldout")))
    windows = chosen_windows(heldout)
    part, parts = (int(number) for number in given.part.split("/"))
    for name, seed in runs()[part - 1 :: parts]:
        folder = folder_of(given.runs, name, seed)
        result = folder / "figures.json"
        if result.exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        weights = train(source, heldout, name, seed, folder)
        began = time.monotonic()
        rolls = sampled(heldout, windows, weights, seed)
        found = measure(heldout, windows, rolls) | {"trained": weights.metadata["trained"]}
        result.write_text(json.dumps(found), encoding="utf-8")
        print(f"{folder.name}: sampled and measured in {time.monotonic() - began:.0f} s", flush=True)


COLUMNS: Final = {
    "PCHE": "PCHE",
    "GPS": "GPS",
    "si_3_8": "SI 3-8 s",
    "si_8_15": "SI 8-15 s",
    "si_15": "SI > 15 s",
    "P@5": "P@5",
    "P@10": "P@10",
    "P@20": "P@20",
    "AR": "AR",
    "density r": "density r",
    "density error": "density error",
    "mode": "mode",
    "notes a bar": "notes a bar",
}
ROUNDS: Final = 2000


def per_song(found: dict[str, Any], song_of: list[int], n_songs: int) -> dict[str, np.ndarray]:
    """Sum and count of each figure by song, float64 (songs, 2), so that a bootstrap only adds."""
    ranks = np.array(found["ranks"])
    clip_song = np.array([song_of[k] for k in found["clip_of"]])
    columns: dict[str, tuple[np.ndarray, np.ndarray]] = {
        name: (np.array([row[name] for row in found["windows"]], float), np.array(song_of))
        for name in found["windows"][0]
    }
    columns |= {f"P@{k}": ((ranks <= k).astype(float), clip_song) for k in (5, 10, 20)}
    columns["AR"] = (ranks.astype(float), clip_song)
    out = {}
    for name, (values, song) in columns.items():
        known = ~np.isnan(values)
        sums = np.bincount(song[known], values[known], n_songs)
        out[name] = np.stack([sums, np.bincount(song[known], minlength=n_songs)], axis=1)
    return out


def means(
    runs_of: list[dict[str, np.ndarray]], name: str, draws: np.ndarray, seeds: np.ndarray
) -> np.ndarray:
    """Mean of a figure in each bootstrap round: (rounds,) from songs (rounds, n) and seeds (rounds, runs)."""
    stacked = np.stack([run[name] for run in runs_of])  # (runs, songs, 2)
    total = np.stack([stacked[seeds[r]][:, draws[r]].sum(axis=(0, 1)) for r in range(len(draws))])
    return np.asarray(total[:, 0] / total[:, 1])


def print_table(given: argparse.Namespace) -> None:
    heldout = WindowSource(list(read_songs(given.data, given.table, "heldout")))
    windows = chosen_windows(heldout)
    song_of = [window.song for window in windows]
    n_songs = len(heldout.songs)
    kept = given.runs / "real.json"
    if not kept.exists():
        real = measure(heldout, windows, [to_roll(heldout.tokens(window)) for window in windows])
        kept.write_text(json.dumps(real), encoding="utf-8")
    files = {
        name: [folder_of(given.runs, name, seed) / "figures.json" for seed in SEEDS] for name in VARIANTS
    }
    raw = {name: [json.loads(p.read_text()) for p in paths if p.exists()] for name, paths in files.items()}
    runs_of = {
        name: [per_song(one, song_of, n_songs) for one in found] for name, found in raw.items() if found
    }
    runs_of = {"real": [per_song(json.loads(kept.read_text()), song_of, n_songs)], **runs_of}
    rng = np.random.default_rng(0)
    draws = rng.choice(np.unique(song_of), (ROUNDS, len(set(song_of))))
    plain = np.unique(song_of)[None]
    titles = list(COLUMNS.values())
    rounds: dict[str, dict[str, np.ndarray]] = {}
    print("| variant | seeds | " + " | ".join(titles) + " |\n|" + "---|" * (len(titles) + 2))
    for name, found in runs_of.items():
        seeds = np.random.default_rng(1).integers(0, len(found), (ROUNDS, len(found)))
        every = np.arange(len(found))[None]
        rounds[name] = {key: means(found, key, draws, seeds) for key in COLUMNS}
        cells = []
        for key in COLUMNS:
            value = float(means(found, key, plain, every)[0])
            low, high = np.quantile(rounds[name][key], [0.025, 0.975])
            cells.append(f"{value:.3f} ({low:.3f} .. {high:.3f})")
        print(f"| {name} | {len(found)} | " + " | ".join(cells) + " |")
    shuffled = [rank for found in raw.values() for one in found for rank in one["shuffled_ranks"]]
    print(f"\nShuffled control of AR: {np.mean(shuffled):.2f}, by chance 30.5; P@5/10/20 by chance "
          "0.083/0.167/0.333.\n")  # fmt: skip
    print("Difference to `full`; * where the interval leaves out 0.\n")
    print("| variant | " + " | ".join(titles) + " |\n|" + "---|" * (len(titles) + 1))
    for name in runs_of:
        if name in ("real", "full") or "full" not in runs_of:
            continue
        cells = []
        for key in COLUMNS:
            apart = rounds[name][key] - rounds["full"][key]
            low, high = np.quantile(apart, [0.025, 0.975])
            cells.append(f"{apart.mean():+.3f}" + (" *" if low > 0 or high < 0 else ""))
        print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("train", "table"))
    parser.add_argument("--data", type=Path, required=True, help="folder that holds POP909/")
    parser.add_argument("--table", type=Path, required=True, help="POP909-songs.csv")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--part", default="1/1")
    given = parser.parse_args()
    if given.what == "train":
        do_runs(given)
    else:
        print_table(given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
