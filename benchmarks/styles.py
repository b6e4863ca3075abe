"""Do the styles differ to the ear? One film composed with several seeds, in every style, and listened to.

    python benchmarks/styles.py [--weights NAME] [--seeds 3] [--bars 10] [--pairs 8]

A sound is described by what a listener tells styles apart by:

| feature | counted |
|---|---|
| mfcc 1..12 | mean mel-frequency cepstrum, without its level: the colour |
| mfcc sd | mean standard deviation of these over time: how much the colour changes |
| centroid, rolloff | log2 of the median spectral centroid, and of the frequency below which 85 % lie |
| low | share of the power below 150 Hz, in dB |
| onsets | heard onsets a second |
| strength | how strongly the spectrum rises: the 95th percentile over the mean |
| range | 90th minus 10th percentile of the loudness of 50 ms, dB |

Each feature is divided by its standard deviation over all sounds; the distance of two sounds is the root
mean square of their differences. Between two styles: of the same notes (the same seed), mean over seeds.
Within a style: between seeds, whose notes differ. The factor of a pair is the distance between its styles
over the mean distance within them; above 1 the style is heard more clearly than the piece.
"""

from __future__ import annotations

import argparse
import sys
from itertools import combinations

import librosa
import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.compose import compose_roll
from diffbgm.diffusion.roll import PianoRoll
from diffbgm.diffusion.weights import open_weights
from diffbgm.score.arrange import arrange
from diffbgm.score.styles import load_style, style_names
from diffbgm.sound.fluidsynth import SAMPLE_RATE
from diffbgm.sound.synth import render_blocks
from diffbgm.spotting.cuesheet import Plan, Section
from diffbgm.timing import BEATS_PER_BAR

RATE = 24_000
BAR_S = 2.0
FEATURES = 12


def plan_of(bars: int, style: str, seed: int) -> Plan:
    """A theme, a climax and an end at 120 beats a minute: every level of a style is heard."""
    borders = (0, (bars - 1) // 2, bars - 1, bars)
    energies = (0.5, 0.85, 0.4)
    sections = tuple(
        Section(
            start_s=first * BAR_S, end_s=last * BAR_S, start_bar=first, end_bar=last, role=role, label=label,
            energy=energy, valence=0.2, arousal=energy - 0.4, tempo_bpm=240 / BAR_S,
        )
        for first, last, role, label, energy in zip(
            borders, borders[1:], ("theme", "climax", "outro"), "ABC", energies, strict=False
        )
    )  # fmt: skip
    lengths = BEATS_PER_BAR * np.diff(borders)
    curve = tuple(np.repeat(energies, lengths).tolist())
    return Plan(
        duration_s=bars * BAR_S, fps=25, key="C", style=style, seed=seed, sections=sections, hits=(),
        bar_starts_s=tuple(bar * BAR_S for bar in range(bars + 1)), energy=curve, density=curve,
    )  # fmt: skip


def heard(roll: PianoRoll, plan: Plan) -> NDArray[np.float32]:
    """The music of a plan's style, mono at `RATE`."""
    score = arrange(roll, plan, load_style(plan.style))
    mix = np.concatenate([block.sum(axis=0).mean(axis=0) for block in render_blocks(score)])
    return np.asarray(librosa.resample(mix, orig_sr=SAMPLE_RATE, target_sr=RATE, res_type="soxr_mq"))


def described(sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """The features of a sound, float64 (FEATURES + 7,)."""
    power = np.abs(librosa.stft(sound, n_fft=2048, hop_length=512)) ** 2
    loud = power.sum(axis=0) > 1e-5 * power.sum(axis=0).max()
    mel = librosa.feature.melspectrogram(S=power, sr=RATE, n_mels=64)
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(mel, top_db=60), n_mfcc=FEATURES + 1)[1:, loud]
    centroid = librosa.feature.spectral_centroid(S=np.sqrt(power), sr=RATE)[0, loud]
    rolloff = librosa.feature.spectral_rolloff(S=np.sqrt(power), sr=RATE)[0, loud]
    hertz = librosa.fft_frequencies(sr=RATE, n_fft=2048)
    low = 10 * np.log10(power[hertz < 150].sum() / power.sum())
    rise = librosa.onset.onset_strength(S=librosa.power_to_db(mel, top_db=60), sr=RATE)
    onsets = librosa.onset.onset_detect(onset_envelope=rise, sr=RATE)
    level = librosa.feature.rms(y=sound, frame_length=1200, hop_length=1200)[0]
    decibel = 20 * np.log10(np.maximum(level, 1e-3 * level.max()))
    return np.array(
        [
            *mfcc.mean(axis=1),
            mfcc.std(axis=1).mean(),
            np.log2(np.median(centroid)),
            np.log2(np.median(rolloff)),
            low,
            len(onsets) / (len(sound) / RATE),
            np.percentile(rise, 95) / rise.mean(),
            np.subtract(*np.percentile(decibel, (90, 10))),
        ]
    )


def distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean((one - other) ** 2)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="name or path; default: the shipped ones")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--bars", type=int, default=10, help="of 2 s each")
    parser.add_argument("--pairs", type=int, default=8, help="nearest pairs that are listed")
    given = parser.parse_args()
    weights, names, seeds = open_weights(given.weights), style_names(), range(given.seeds)
    rolls = [compose_roll(plan_of(given.bars, "piano", seed), weights) for seed in seeds]
    found = np.array(
        [[described(heard(rolls[seed], plan_of(given.bars, name, seed))) for seed in seeds] for name in names]
    )
    found /= found.std(axis=(0, 1))
    within = {
        name: float(np.mean([distance(found[at, a], found[at, b]) for a, b in combinations(seeds, 2)]))
        for at, name in enumerate(names)
    }
    pairs = []
    for a, b in combinations(range(len(names)), 2):
        between = float(np.mean([distance(found[a, seed], found[b, seed]) for seed in seeds]))
        pairs.append((between / ((within[names[a]] + within[names[b]]) / 2), between, names[a], names[b]))
    pairs.sort()
    print(f"{weights.name}: {len(names)} styles, {given.seeds} seeds, {given.bars * BAR_S:.0f} s each\n")
    print("| nearest pairs | between | factor |\n|---|---|---|")
    for factor, between, one, other in pairs[: given.pairs]:
        print(f"| {one}, {other} | {between:.2f} | {factor:.2f} |")
    middle = pairs[len(pairs) // 2]
    print(f"| median of {len(pairs)} | {middle[1]:.2f} | {middle[0]:.2f} |")
    print("\n| style | within | nearest style | factor |\n|---|---|---|---|")
    for name in names:
        factor, _, one, other = next(pair for pair in pairs if name in pair[2:])
        print(f"| {name} | {within[name]:.2f} | {other if one == name else one} | {factor:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
