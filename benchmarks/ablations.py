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
from diffbgm.diffusion.denoiser import Guidance, predict
from diffbgm.diffusion.roll import ONSET, PianoRoll
from diffbgm.diffusion.sampler import noise_levels, sample
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
    from diffbgm.train.export import averaged_network, export
    from diffbgm.train.loop import Recipe, Trainer
    from diffbgm.train.transformer import TransformerConfig

    recipe = Recipe(network=TransformerConfig(**NETWORK), steps=STEPS, seed=seed, threads=1, **VARIANTS[name])
    trainer = Trainer(recipe, source, heldout, folder)
    trainer.resume()
    if trainer.step < STEPS:
        trainer.fit(checkpoint_s=120)
    network, trained = averaged_network(folder, recipe)
    sampling = {
        "guidance": GUIDANCE,
        "eta": 0.0,
        "steps": SAMPLING_STEPS,
        "threshold": recipe.threshold,
        **VARIANTS[name],
    }
    metadata = {"recipe": {**NETWORK, **VARIANTS[name]}, "trained": trained, "sampling": sampling}
    return open_weights(str(export(network, metadata, "ablation", folder)))


def sampled(source: WindowSource, windows: list[Window], weights: Weights, seed: int) -> list[PianoRoll]:
    chosen = weights.sampling
    guidance = Guidance(chosen["guidance"], chosen["selector"], chosen["threshold"], chosen["segments"])
    rng = np.random.default_rng(seed)
    rolls: list[PianoRoll] = []
    for first in range(0, len(windows), BATCH):
        part = windows[first : first + BATCH]
        given = [source.conditions(window) for window in part]
        tokens = sample(
            lambda z, s, given=given: clean_estimate(predict(weights, z, s, given, guidance)),
            (len(part), *source.tokens(part[0]).shape),
            noise_levels(chosen["steps"]),
            rng,
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("train", "table"))
    parser.add_argument("--data", type=Path, required=True, help="folder that holds POP909/")
    parser.add_argument("--table", type=Path, required=True, help="POP909-songs.csv")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--part", default="1/1")
    given = parser.parse_args()
    do_runs(given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
