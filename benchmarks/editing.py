"""Whether edited bars can be told by their borders.

    python benchmarks/editing.py [--weights NAME|FILE] [--pieces 12] [--first-seed 0] [--steps 8] [--passes 4]

Pieces of 16 bars, two sections, keys in turn; bars 3-6 and bars 11-14 of each are composed anew, each from
the piece as it was. At every bar line the rolls are measured, but for the section border and the ending.

| figure | at a bar line |
|---|---|
| density | difference of the numbers of notes struck in the bar before and the bar after |
| harmony | 1 - cosine of how long each pitch class sounds in the half bars before and after |
| chord | share of bar lines at which the chord planes change |
| clash | share of the beats' steps before and after in which pitch classes a semitone apart sound at once |
| leap | semitones between the last melody note before and the first one after, within a bar each |
| register | semitones between the mean keys struck by what accompanies in the half bars before and after |
| ends | share of the notes sounding before the line that are not held over it |

`edited`: at the borders of edited bars; the difference is to the same places in the piece as it was, with a
95 % bootstrap interval over edits. `above`: share of edited borders above the 95th percentile of all bar
lines of the unedited pieces (about 5 % if nothing can be told). `pasted`, for comparison: the bars of another
piece of the same plan, put in without regard to what is around.
"""

from __future__ import annotations

import argparse
import sys
from time import perf_counter

import numpy as np

from diffbgm.diffusion import compose
from diffbgm.diffusion.inpaint import free_entries, merged, recompose
from diffbgm.diffusion.roll import LOWEST_PITCH, ONSET, PianoRoll
from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.weights import open_weights
from diffbgm.spotting.cuesheet import Edit
from diffbgm.timing import STEPS_PER_BAR
from harmony import plan_of

BARS = 16
EDITS = ((3, 6), (11, 14))
KEYS = ("C", "Am", "D", "Em", "Bb", "F#m")
LINES = [bar for bar in range(1, BARS - 1) if bar != BARS // 2]
FIGURES = ("density", "harmony", "chord", "clash", "leap", "register", "ends")
TRACKS = ("melody", "counter", "accompaniment")


def at_line(roll: PianoRoll, bar: int) -> np.ndarray:
    """The figures at the beginning of a bar, counted from 0; NaN where there is nothing to measure."""
    line = bar * STEPS_PER_BAR
    half, beat = STEPS_PER_BAR // 2, STEPS_PER_BAR // 4
    before, after = slice(line - STEPS_PER_BAR, line), slice(line, line + STEPS_PER_BAR)
    struck = roll.bits[:, ONSET].sum(axis=(0, 2))
    sounding = roll.bits.any(axis=1)
    classes = _classes(sounding.any(axis=0))
    left, right = classes[line - half : line].sum(axis=0), classes[line : line + half].sum(axis=0)
    together = classes[line - beat : line + beat] > 0
    norm = np.linalg.norm(left) * np.linalg.norm(right)
    tune = [np.argwhere(roll.bits[0, ONSET, span]) for span in (before, after)]
    low = [
        _mean_key(roll.bits[1:, ONSET, span]) for span in (slice(line - half, line), slice(line, line + half))
    ]
    last, held = sounding[:, line - 1], roll.bits[:, 1, line]
    return np.array(
        [
            abs(struck[before].sum() - struck[after].sum()),
            1 - left @ right / norm if norm else np.nan,
            (roll.chroma[line // 4 - 1] != roll.chroma[line // 4]).any(),
            (together & np.roll(together, 1, axis=1)).any(axis=1).mean(),
            abs(tune[0][-1, 1] - tune[1][0, 1]) if len(tune[0]) and len(tune[1]) else np.nan,
            abs(low[0] - low[1]),
            1 - (last & held).sum() / last.sum() if last.any() else np.nan,
        ],
        float,
    )


def _classes(sounding: np.ndarray) -> np.ndarray:
    """How many keys of each pitch class sound, (steps, 12)."""
    out = np.zeros((len(sounding), 12))
    np.add.at(out.T, (np.arange(sounding.shape[1]) + LOWEST_PITCH) % 12, sounding.T.astype(float))
    return out


def _mean_key(onsets: np.ndarray) -> float:
    keys = np.argwhere(onsets)[:, -1]
    return float(keys.mean()) if len(keys) else float("nan")


def row(name: str, edited: np.ndarray, same: np.ndarray, unedited: np.ndarray) -> str:
    """Means, paired difference with its interval, and the share above the usual; (edits, lines, figures)."""
    cells = []
    rng = np.random.default_rng(0)
    high = np.nanpercentile(unedited, 95, axis=0)
    for k in range(len(FIGURES)):
        pairs = edited[..., k] - same[..., k]
        drawn = rng.integers(0, len(pairs), (2000, len(pairs)))
        low, top = np.percentile([np.nanmean(pairs[each]) for each in drawn], [2.5, 97.5])
        known = edited[..., k][np.isfinite(edited[..., k])]
        above = f", above {100 * (known > high[k] + 1e-9).mean():.0f} %" if FIGURES[k] != "chord" else ""
        cells.append(f"{known.mean():.2f}, {np.nanmean(pairs):+.2f} [{low:+.2f}, {top:+.2f}]{above}")
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights")
    parser.add_argument("--pieces", type=int, default=12)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--sampler", default="dpm++2m")
    parser.add_argument("--passes", type=int, nargs="+", default=[compose.PASSES_AROUND])
    given = parser.parse_args()
    weights = open_weights(given.weights)
    sampling = Sampling.of(weights.sampling, steps=given.steps, sampler=given.sampler)
    found: dict[str, list[list[np.ndarray]]] = {}
    same, unedited = [], []
    seconds = dict.fromkeys(given.passes, 0.0)
    for piece in range(given.first_seed, given.first_seed + given.pieces):
        plan = plan_of(BARS, KEYS[piece % len(KEYS)], piece)
        old = compose.compose_roll(plan, weights, sampling=sampling)
        other = compose.compose_roll(
            plan.model_copy(update={"seed": 1000 + piece}), weights, sampling=sampling
        )
        unedited += [at_line(old, bar) for bar in LINES]
        for first, last in EDITS:
            edit = Edit(
                bars=(first, last), tracks=TRACKS, seed=2000 + piece, weights=weights.name, before=old.digest
            )
            lines = (edit.start_bar, edit.end_bar)
            same.append([at_line(old, bar) for bar in lines])
            rolls = {"pasted": merged(old, other, free_entries(old, edit))}
            for passes in given.passes:
                compose.PASSES_AROUND = passes
                begin = perf_counter()
                rolls[f"edited, {passes} passes"] = recompose(old, plan, edit, weights, sampling=sampling)
                seconds[passes] += perf_counter() - begin
            for name, roll in rolls.items():
                found.setdefault(name, []).append([at_line(roll, bar) for bar in lines])
        print(f"piece {piece + 1 - given.first_seed} of {given.pieces}", file=sys.stderr, flush=True)
    edits = len(same)
    print(f"{weights.name}, {given.steps} steps of {given.sampler}, {edits} edits of 4 bars\n")
    print(f"| | {' | '.join(FIGURES)} |\n|---|{'---|' * len(FIGURES)}")
    usual = np.array(unedited)
    for name, values in (("unedited bar lines", usual), ("same places before", np.array(same))):
        means = np.nanmean(values.reshape(-1, len(FIGURES)), axis=0)
        print(f"| {name} | " + " | ".join(f"{mean:.2f}" for mean in means) + " |")
    for name, values in found.items():
        print(row(name, np.array(values), np.array(same), usual))
    print(f"\nSeconds an edit: {', '.join(f'{p} passes {s / edits:.1f}' for p, s in seconds.items())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
