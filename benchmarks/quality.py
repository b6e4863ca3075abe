"""How close the model's music is to real songs, on held-out windows, conditioned on what those have.

    python benchmarks/quality.py --data FOLDER --table FILE [--weights NAME] [--windows 400]

Prints one table: real windows beside sampled ones with 95 % bootstrap intervals over windows, and the
bound each figure is held to.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from diffbgm.data.pop909 import read_songs
from diffbgm.data.windows import WINDOW_BEATS, WindowSource
from diffbgm.diffusion.conditions import DYNAMIC_INDEX, Conditions
from diffbgm.diffusion.denoiser import clean_windows
from diffbgm.diffusion.roll import ONSET, SUSTAIN, PianoRoll
from diffbgm.diffusion.sampler import sample
from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.tokens import BITS, BITS_SHAPE, to_roll
from diffbgm.diffusion.weights import open_weights
from diffbgm.metrics.melody import melody_figures
from diffbgm.metrics.pitch import histogram_entropy, pitch_class_counts, scale_share
from diffbgm.metrics.rhythm import grooving_similarity
from diffbgm.options import ComposeOptions
from diffbgm.timing import STEPS_PER_BAR

BARS = WINDOW_BEATS // 4
BATCH = 16


def whole_phrases(conditions: Conditions) -> list[tuple[int, int]]:
    """First and end beat of the phrases that lie wholly in a window."""
    since, until = (conditions.dynamic[:, DYNAMIC_INDEX[name]] for name in ("since", "until"))
    out = []
    for column in conditions.mask.T:
        beats = np.flatnonzero(column)
        if len(beats) and since[beats[0]] == until[beats[-1]] == 1:
            out.append((int(beats[0]), int(beats[-1]) + 1))
    return out


def measures(roll: PianoRoll, phrases: list[tuple[int, int]]) -> dict[str, float]:
    onsets = roll.bits[:, ONSET]  # (tracks, steps, 88)
    together = onsets.sum(axis=0)
    counts = pitch_class_counts(together)
    by_bar = together.reshape(BARS, STEPS_PER_BAR, -1).sum(axis=(1, 2))
    return {
        "PCHE, 8 bars": float(np.nanmean(histogram_entropy(counts.reshape(2, -1, 12).sum(axis=1)))),
        "GPS, all bar pairs": grooving_similarity(together.any(axis=-1).reshape(BARS, STEPS_PER_BAR)),
        "notes a bar": float(by_bar.mean()),
        "melody notes a bar": float(onsets[0].sum() / BARS),
        "counter notes a bar": float(onsets[1].sum() / BARS),
        "mean note steps": float(roll.bits.sum() / max(1, onsets.sum())),
        "melody mean pitch": _mean_pitch(onsets[0]),
        "share in key": scale_share(counts.sum(axis=0)),
        "empty bars": float((by_bar == 0).mean()),
        **{name.replace("_", " "): value for name, value in melody_figures(roll, phrases).items()},
    }


def _mean_pitch(onsets: np.ndarray) -> float:
    per_pitch = onsets.sum(axis=0)
    return float((per_pitch * np.arange(21, 109)).sum() / per_pitch.sum()) if per_pitch.sum() else np.nan


def orphan_share(bits: np.ndarray) -> float:
    """Share of sustain bits that continue no note. bits: bool (tracks, 2, steps, 88)."""
    sounding = np.zeros(bits[:, 0, 0].shape, bool)
    orphans = 0
    for step in range(bits.shape[2]):
        orphans += int((bits[:, SUSTAIN, step] & ~sounding).sum())
        sounding = bits[:, ONSET, step] | (bits[:, SUSTAIN, step] & sounding)
    return orphans / max(1, int(bits[:, SUSTAIN].sum()))


def interval(values: np.ndarray, rng: np.random.Generator, rounds: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    values = values[~np.isnan(values)]
    means = values[rng.integers(0, len(values), (rounds, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--weights")
    parser.add_argument("--windows", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="without motifs and the density held to")
    parser.add_argument("--json", type=Path, help="also write the sampled figures to this file")
    names = tuple(ComposeOptions().sampling)
    for name in names:
        about = ComposeOptions.model_fields[name].description
        parser.add_argument("--" + name.replace("_", "-"), help=f"as of compose: {about}")
    given = parser.parse_args()
    asked = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    weights = open_weights(given.weights)
    sampling = Sampling.of(weights.sampling, **ComposeOptions.build(asked).sampling)
    source = WindowSource(list(read_songs(given.data, given.table, "heldout")))
    rng = np.random.default_rng(given.seed)
    indices = np.sort(rng.choice(len(source.windows), given.windows, replace=False))
    real, made, asked, got, orphans_before, orphans_after = [], [], [], [], [], []
    began = time.monotonic()
    for first in range(0, len(indices), BATCH):
        windows = [source.windows[k] for k in indices[first : first + BATCH]]
        conditions = [source.conditions(window) for window in windows]
        clean = [source.tokens(window) for window in windows]
        shape = (len(windows), *clean[0].shape)
        tokens = sample(
            lambda z, s, c=conditions: clean_windows(weights, z, s, c, sampling.conditions, not given.plain),
            shape, sampling.levels, rng, sampler=sampling.sampler, eta=sampling.eta,
        )  # fmt: skip
        for k, condition in enumerate(conditions):
            roll, truth = to_roll(tokens[k]), to_roll(clean[k])
            phrases = whole_phrases(condition)
            real.append(measures(truth, phrases))
            made.append(measures(roll, phrases))
            raw = (tokens[k][:, BITS] > 0).reshape(-1, *BITS_SHAPE).transpose(1, 2, 0, 3, 4)
            orphans_before.append(orphan_share(raw.reshape(3, 2, -1, 88)))
            orphans_after.append(orphan_share(roll.bits))
            asked.append(condition.dynamic[::4, DYNAMIC_INDEX["density"]])
            got.append(roll.bits[:, ONSET].sum(axis=(0, 2)).reshape(BARS, STEPS_PER_BAR).sum(axis=1))
    took = time.monotonic() - began
    how = f"{asdict(sampling)}, plain" if given.plain else f"{asdict(sampling)}"
    print(f"{weights.name}: {given.windows} windows of 16 bars, {how}, {took:.0f} s")
    print(f"| {'figure':<22} | real | sampled | 95 % interval | bound |")
    print("|---|---|---|---|---|")
    boot = np.random.default_rng(0)
    bounds = {
        "PCHE, 8 bars": "within 0.04", "GPS, all bar pairs": "within 0.04", "notes a bar": "within 10 %",
        "melody notes a bar": "within 15 %", "share in key": ">= 0.97", "empty bars": "< 1 %",
    }  # fmt: skip
    for name in real[0]:
        truth = np.array([m[name] for m in real])
        values = np.array([m[name] for m in made])
        low, high = interval(values, boot)
        print(f"| {name:<22} | {np.nanmean(truth):.3f} | {np.nanmean(values):.3f} | {low:.3f} .. {high:.3f} "
              f"| {bounds.get(name, '')} |")  # fmt: skip
    by_window = np.stack(asked), np.stack(got)
    r = float(np.corrcoef(by_window[0].ravel(), by_window[1].ravel())[0, 1])
    draws = boot.integers(0, len(asked), (1000, len(asked)))
    rs = [np.corrcoef(by_window[0][d].ravel(), by_window[1][d].ravel())[0, 1] for d in draws]
    low, high = np.quantile(rs, [0.025, 0.975])
    print(f"| density asked and given, r a bar | | {r:.3f} | {low:.3f} .. {high:.3f} | >= 0.9 |")
    if given.json is not None:
        scores = {name: round(float(np.nanmean([m[name] for m in made])), 4) for name in made[0]}
        scores |= {"density r a bar": round(r, 4), "windows": given.windows}
        given.json.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    print(f"| sustains without onset, before decoding | | {100 * np.mean(orphans_before):.2f} % | | |")
    print(f"| sustains without onset, after decoding | | {100 * np.mean(orphans_after):.2f} % | | < 0.5 % |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
