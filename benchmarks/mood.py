"""Whether words of mood reach the music: what is measured on composed rolls, with intervals over seeds.

    python benchmarks/mood.py [--videos FOLDER] [--clips NAME ...] [--seeds 8] [--steps 8]

Every mood is composed for every clip with every seed: plan and roll, no sound.

| figure | counted |
|---|---|
| mode | the pitch classes' best correlation with the profile of a major key, less that with a minor key |
| tempo | median beats a minute |
| register | mean pitch of the melody's notes |
| density | notes struck a second, all tracks |
| dissonance | share of the pairs of pitch classes sounding together that are 1, 2 or 6 semitones apart |
| consonance | mean of Huron's (1994) consonance of two notes over the same pairs |
| roughness | mean over the steps of what beats between the partials (`metrics/roughness.py`), of all tracks |
| hits | share of the candidates that fall on the grid |

The last bar, the composed ending, is left out. Intervals: 95 %, Student's t. The moods' are over seeds and
clips, clip means taken out; the differences between two moods are paired by clip and seed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from scipy.stats import t as student  # type: ignore[import-untyped]

from diffbgm.diffusion.compose import compose_roll
from diffbgm.diffusion.roll import LOWEST_PITCH, ONSET, PianoRoll
from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.weights import open_weights
from diffbgm.metrics.roughness import mean_roughness
from diffbgm.pitch import key_fits
from diffbgm.spotting.cuesheet import Plan, Wishes
from diffbgm.spotting.spot import spot
from diffbgm.timing import STEPS_PER_BAR
from diffbgm.video.analyze import analyze

MOODS = ("calm", "sad", "happy", "tense", "triumphant", "ominous")
FIGURES = ("mode", "tempo", "register", "density", "dissonance", "consonance", "roughness", "hits")
# (figure, the mood in which it is higher, the mood in which it is lower)
EXPECTED = (
    ("mode", "happy", "sad"),
    ("mode", "triumphant", "ominous"),
    ("mode", "calm", "tense"),
    ("tempo", "tense", "calm"),
    ("tempo", "happy", "sad"),
    ("tempo", "triumphant", "calm"),
    ("register", "happy", "sad"),
    ("register", "triumphant", "ominous"),
    ("density", "tense", "calm"),
    ("density", "happy", "sad"),
    ("density", "triumphant", "sad"),
    ("dissonance", "tense", "calm"),
    ("dissonance", "tense", "happy"),
    ("dissonance", "ominous", "calm"),
    ("dissonance", "ominous", "happy"),
    ("consonance", "calm", "tense"),
    ("consonance", "happy", "ominous"),
    ("roughness", "tense", "calm"),
    ("roughness", "ominous", "happy"),
)
DISSONANT = (1, 2, 6, 10, 11)
# By distance in semitones, 1 to 11: D. Huron, "Interval-class content in equally tempered sets", 1994; so
# they stand in the R package dycon, too.
CONSONANCE = np.array([-1.428, -0.582, 0.594, 0.386, 1.24, -0.453, 1.24, 0.386, 0.594, -0.582, -1.428])
# The chords of tense moods were chosen on three of the other clips.
CLIPS = ("bbb_trailer_640x360_vp8.webm", "vertical_story_720x1280.mp4")


def figures(roll: PianoRoll, plan: Plan) -> list[float]:
    """In the order of FIGURES."""
    bits = roll.bits[:, :, :-STEPS_PER_BAR]
    onsets = bits[:, ONSET]
    sounding = np.asarray(bits.any(axis=(0, 1)))
    classes = np.zeros((sounding.shape[0], 12))
    for pitch in range(sounding.shape[1]):
        classes[:, (pitch + LOWEST_PITCH) % 12] += sounding[:, pitch]
    fits = key_fits(classes.sum(axis=0))
    present = classes > 0
    pairs = [(present & np.roll(present, -apart, axis=1)).sum() for apart in range(1, 12)]
    melody = np.nonzero(onsets[0])[1]
    return [
        np.nan if fits is None else float(fits[0].max() - fits[1].max()),
        float(np.median(plan.tempo_map.bpm_of_bars())),
        float(melody.mean() + LOWEST_PITCH) if len(melody) else np.nan,
        float(onsets.sum() / plan.bar_starts_s[-2]),
        float(sum(pairs[apart - 1] for apart in DISSONANT) / max(1, sum(pairs))),
        float(CONSONANCE @ pairs / max(1, sum(pairs))),
        mean_roughness(sounding, LOWEST_PITCH),
        float(np.mean([hit.on is not None for hit in plan.hits])) if plan.hits else np.nan,
    ]


def interval(values: np.ndarray, groups: int = 1) -> tuple[float, float]:
    """Mean and half of its 95 % interval. groups: how many means were taken out."""
    values = values[~np.isnan(values)]
    freedom = len(values) - groups
    if freedom < 1:
        return float(values.mean()) if len(values) else float("nan"), float("nan")
    spread = np.sqrt(((values - values.mean()) ** 2).sum() / freedom)
    return float(values.mean()), float(student.ppf(0.975, freedom) * spread / np.sqrt(len(values)))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    root = os.environ.get("DIFFBGM_SHARED")
    shared = Path(root) if root else Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("--videos", type=Path, default=shared / "data" / "videos")
    parser.add_argument("--clips", nargs="+", default=CLIPS)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=8)
    given = parser.parse_args()
    weights = open_weights(None)
    sampling = Sampling.of(weights.sampling, steps=given.steps, sampler="dpm++2m")
    found = np.full((len(MOODS), len(given.clips), given.seeds, len(FIGURES)), np.nan)
    for column, clip in enumerate(given.clips):
        analysis = analyze(given.videos / clip)
        for row, mood in enumerate(MOODS):
            for seed in range(given.seeds):
                plan = spot(analysis, Wishes(mood=mood, seed=seed))
                roll = compose_roll(plan, weights, sampling=sampling)
                found[row, column, seed] = figures(roll, plan)
        print(f"{clip}: composed", file=sys.stderr, flush=True)
    print(f"{weights.name}, {', '.join(given.clips)}, {given.seeds} seeds, {given.steps} steps dpm++2m\n")
    print(f"| mood | {' | '.join(FIGURES)} |\n|---{'|---' * len(FIGURES)}|")
    for row, mood in enumerate(MOODS):
        middle = found[row].mean(axis=1, keepdims=True)
        overall = np.ma.masked_invalid(middle).mean(axis=0).filled(np.nan)  # a clip without cuts has no hits
        centred = found[row] - middle + overall
        cells = [interval(centred[..., k].ravel(), len(given.clips)) for k in range(len(FIGURES))]
        print(f"| {mood} | {' | '.join(f'{mean:.2f} ± {half:.2f}' for mean, half in cells)} |")
    print("\n| figure | higher | lower | difference | as expected |\n|---|---|---|---|---|")
    for figure, higher, lower in EXPECTED:
        k = FIGURES.index(figure)
        difference = found[MOODS.index(higher), ..., k] - found[MOODS.index(lower), ..., k]
        mean, half = interval(difference.ravel())
        verdict = "yes" if mean - half > 0 else "no" if mean + half < 0 else "not settled"
        print(f"| {figure} | {higher} | {lower} | {mean:+.2f} ± {half:.2f} | {verdict} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
