"""Realism, novelty and retrieval of the model's music on held-out windows, beside floors and ceilings.

    python benchmarks/evaluation.py --data FOLDER --table FILE [--weights NAME] [--windows 400] [--no-model]

Prints Markdown tables for these systems, each compared with the same real windows of held-out songs:

- model: sampled with the conditions of those windows;
- training songs: real windows of songs that the model was trained on (what copying would look like);
- random notes: as many notes a bar as the real windows have, at random positions, pitches and lengths.

Windows are 16 bars in C major or A minor. Realism is also given for one half of the held-out songs against
the other.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffbgm.data.pop909 import read_songs
from diffbgm.data.windows import Window, WindowSource
from diffbgm.diffusion.denoiser import Guidance, predict
from diffbgm.diffusion.sampler import noise_levels, sample
from diffbgm.diffusion.tokens import clean_estimate, to_roll
from diffbgm.diffusion.weights import open_weights
from diffbgm.metrics import features, harmony, novelty, pitch, realism, retrieval, rhythm
from diffbgm.metrics.embedders import SymbolicEmbedder
from diffbgm.metrics.notes import Notes, build_notes, notes_of_roll
from diffbgm.metrics.retrieval import POOL

BARS = 16
BATCH = 16
SCALE = np.array([0, 2, 4, 5, 7, 9, 11])


@dataclass(frozen=True)
class System:
    """Windows of music, the song that each belongs to, and whether window k answers real window k."""

    name: str
    windows: list[Notes]
    songs: list[str]
    paired: bool


def real_windows(source: WindowSource, chosen: list[Window]) -> list[Notes]:
    return [notes_of_roll(to_roll(source.tokens(window))) for window in chosen]


def song_names(source: WindowSource, chosen: list[Window]) -> list[str]:
    return [source.songs[window.song].song_id for window in chosen]


def sampled(source: WindowSource, chosen: list[Window], name: str | None, seed: int) -> list[Notes]:
    weights = open_weights(name)
    defaults = weights.sampling
    guidance = Guidance(defaults["guidance"], defaults["selector"], defaults["threshold"])
    rng = np.random.default_rng(seed)
    out: list[Notes] = []
    began = time.monotonic()
    for first in range(0, len(chosen), BATCH):
        windows = chosen[first : first + BATCH]
        conditions = [source.conditions(window) for window in windows]
        shape = (len(windows), *source.tokens(windows[0]).shape)
        tokens = sample(
            lambda z, s, c=conditions: clean_estimate(predict(weights, z, s, c, guidance)),
            shape, noise_levels(defaults["steps"]), rng, eta=defaults["eta"],
        )  # fmt: skip
        out += [notes_of_roll(to_roll(each)) for each in tokens]
    print(f"sampled {len(chosen)} windows with {weights.name} in {time.monotonic() - began:.0f} s\n")
    return out


def random_like(notes: Notes, rng: np.random.Generator) -> Notes:
    """As many notes in each bar and part, at random sixteenths, scale degrees and lengths."""
    count = len(notes)
    bar = (notes.start_q // 4).astype(np.int64)
    start = 4.0 * bar + rng.integers(0, 16, count) / 4
    low, high = np.quantile(notes.pitch, [0.02, 0.98])
    octave, degree = rng.integers(low // 12, high // 12 + 1, count), rng.choice(SCALE, count)
    length = rng.choice(np.maximum(notes.end_q - notes.start_q, 0.25), count)
    return build_notes(start, start + length, 12 * octave + degree, notes.velocity, notes.part)


def figures(system: System) -> list[str]:
    """Mean of the plain figures over windows."""
    rows = []
    for notes in system.windows:
        bars = notes.pitches_by_bar()
        onsets = notes.onsets_by_bar()
        empty = 1 - onsets.any(axis=1).sum() / BARS
        cpi = harmony.chord_progression_irregularity(harmony.chords_of(notes))
        rows.append([
            pitch.pitch_class_entropy(bars, 8), rhythm.grooving_similarity(onsets), len(notes) / BARS,
            features.polyphony(notes), pitch.scale_consistency(notes.pitch), empty,
            rhythm.groove_consistency(onsets), cpi,
        ])  # fmt: skip
    return [f"{value:.3f}" for value in np.nanmean(rows, axis=0)]


def table(head: list[str], rows: list[list[str]]) -> None:
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    print("\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n")


def flat(rows: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([rows[name] for name in features.NAMES], axis=1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--weights")
    parser.add_argument("--windows", type=int, default=400)
    parser.add_argument("--no-model", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    trained = WindowSource(list(read_songs(given.data, given.table, "train")))
    heldout = WindowSource(list(read_songs(given.data, given.table, "heldout")))

    def draw(source: WindowSource) -> list[Window]:
        chosen = np.sort(rng.choice(len(source.windows), given.windows, replace=False))
        return [source.windows[k] for k in chosen]

    chosen, other = draw(heldout), draw(trained)
    songs = song_names(heldout, chosen)
    real = System("real, held out", real_windows(heldout, chosen), songs, False)
    systems = [
        System(
            "training songs",
            real_windows(trained, other),
            [trained.songs[w.song].song_id for w in other],
            False,
        ),
        System("random notes", [random_like(notes, rng) for notes in real.windows], songs, True),
    ]
    if not given.no_model:
        systems.insert(0, System("model", sampled(heldout, chosen, given.weights, given.seed), songs, True))

    head = [
        "PCHE 8 bars",
        "GPS",
        "notes a bar",
        "polyphony",
        "in one scale",
        "empty bars",
        "groove kept",
        "CPI",
    ]
    table(["system", *head], [[each.name, *figures(each)] for each in (real, *systems)])

    true = features.table(real.windows)
    half = np.isin(songs, sorted(set(songs))[::2])
    first, second = ({name: rows[side] for name, rows in true.items()} for side in (half, ~half))
    compared = {"real against real": realism.evaluate(first, second)}
    compared |= {each.name: realism.evaluate(features.table(each.windows), true) for each in systems}
    rows = [
        [
            name.replace("_", " "),
            *(f"{found[name].overlap:.3f} / {found[name].kl:.3f}" for found in compared.values()),
        ]
        for name in features.NAMES
    ]
    table(["overlapping area / KL", *compared], rows)

    names = np.array(songs)
    tests = {
        "real against real": realism.two_sample_test(flat(first), flat(second), names[half], names[~half])
    }
    for each in systems:
        tests[each.name] = realism.two_sample_test(
            flat(features.table(each.windows)), flat(true), each.songs, songs
        )
    rows = [
        [name, f"{t.auc:.3f}", f"{t.auc_ci95[0]:.3f} .. {t.auc_ci95[1]:.3f}", f"{t.accuracy:.3f}", str(t.n)]
        for name, t in tests.items()
    ]
    table(["told from held-out songs", "AUC", "95 %", "accuracy", "windows a side"], rows)

    embedder = SymbolicEmbedder(real.windows, bars=BARS)
    items = np.concatenate([embedder.embed(notes) for notes in real.windows])
    rows = []
    for each in systems:
        if each.paired and len(items) == len(real.windows) >= POOL:
            queries = [embedder.embed(notes) for notes in each.windows]
            whole = np.array([k for k, query in enumerate(queries) if len(query)])
            asked = np.concatenate([queries[k] for k in whole])
            found = retrieval.evaluate(asked, items[whole], [songs[k] for k in whole])
            shown = {f"P@{k}": figure for k, figure in found.precision.items()} | {"AR": found.rank}
            rows += [
                [each.name, name, f"{f.value:.3f}", f"{f.ci95[0]:.3f} .. {f.ci95[1]:.3f}", f"{f.chance:.3f}",
                 f"{f.shuffled:.3f}"]
                for name, f in shown.items()
            ]  # fmt: skip
    table(["retrieval of the real window", "figure", "value", "95 %", "chance", "shuffled conditions"], rows)

    known = zip(trained.songs, whole_songs(trained), strict=True)
    index = novelty.TrainingIndex([(song.song_id, novelty.lines_of(notes)) for song, notes in known])
    rows = []
    for each in (real, *systems):
        found = novelty.find_matches([novelty.lines_of(notes) for notes in each.windows], index)
        melodies = [novelty.lines_of(notes.select(notes.part == 0)) for notes in each.windows]
        longest = np.array([match.notes for match in found])
        sung = np.array([match.notes for match in novelty.find_matches(melodies, index)])
        rows.append([
            each.name, f"{longest.mean():.2f}", f"{np.quantile(longest, 0.95):.0f}", str(longest.max()),
            f"{sung.mean():.2f}", str(sung.max()), f"{np.nanmean([match.covered for match in found]):.4f}",
        ])  # fmt: skip
    head = ["mean", "95 %", "longest", "melody, mean", "melody, longest", "share in passages of 12 or more"]
    table(["passage shared with a training song, notes", *head], rows)
    return 0


def whole_songs(source: WindowSource) -> list[Notes]:
    """The songs as notes, in their own keys."""
    out = []
    for song in source.songs:
        bits = np.unpackbits(song.bits, axis=1, count=2112).reshape(-1, 3, 2, 4, 88).astype(bool)
        part, beat, step, key = np.nonzero(bits[:, :, 0].transpose(1, 0, 2, 3))
        start = beat + step / 4
        out.append(build_notes(start, start + 0.25, key + 21, np.full(len(start), 80), part))
    return out


if __name__ == "__main__":
    sys.exit(main())
