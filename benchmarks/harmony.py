"""How well asked chords and a given melody are followed, measured on the finished score.

    python benchmarks/harmony.py chords [--weights NAME] [--seeds 3] [--bars 16]
    python benchmarks/harmony.py melody --data FOLDER --table FILE [--songs 12] [--bars 16]

`chords`: each progression is composed with each seed, and every roll arranged in every style.

| figure | counted |
|---|---|
| bass | chord changes at which the lowest note sounding half a sixteenth later is the root or given bass |
| chord tones | share of the time of all notes that accompany in which they belong to the chord |
| onsets, counter, melody | notes a bar in the roll, beside the same plan and seed without chords |

What accompanies is everything but melody and percussion. Where nothing of it sounds at a change, the first
note struck before the next one counts. The last bar, the composed ending, is left out.

`melody`: melodies of held-out songs are given; counted is the share of their time on tones of the roll's
chords, and against a semitone, beside the songs' own music.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diffbgm.data.pop909 import read_songs
from diffbgm.data.windows import WindowSource
from diffbgm.diffusion.compose import compose_roll
from diffbgm.diffusion.roll import LOWEST_PITCH, ONSET, PianoRoll
from diffbgm.diffusion.tokens import to_roll
from diffbgm.diffusion.weights import Weights, open_weights
from diffbgm.metrics.rhythm import grooving_similarity
from diffbgm.score.arrange import arrange
from diffbgm.score.decode import GridNote, notes_of, roll_of
from diffbgm.score.score import Score
from diffbgm.score.styles import load_style, style_names
from diffbgm.spotting.cuesheet import MelodyNote, Plan, Section
from diffbgm.spotting.harmonise import harmonise
from diffbgm.spotting.keys import best_key
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BAR, STEPS_PER_BEAT

PROGRESSIONS = (
    "Am F C G",
    "C Am F G",
    "D A Bm G",
    "Cm Ab Eb Bb",
    "C G/B Am C/G F C/E Dm7 G7",
    "Am E7/G# Am7/G F#m7b5 F Dm6 E7 Am",
    "Cmaj7 A7 Dm7 G7",
    "G E7 C Cm",
    "C,Am F,G Em,Am Dm,G",
    "Em C,D G,D/F# Em",
    "Bb Gm7 Ebmaj7 F7sus4,F7",
    "F#m D A E/G#",
)
BAR_S = 2.4


class Figures(NamedTuple):
    changes: int
    met: int
    sounding_s: float
    in_chord_s: float


def plan_of(bars: int, key: str, seed: int, chords: str | None = None, style: str = "piano") -> Plan:
    """Two sections, a theme and a climax of rising energy, at 100 beats a minute."""
    middle = bars // 2
    energy = np.repeat([0.4, 0.7], [middle * BEATS_PER_BAR, (bars - middle) * BEATS_PER_BAR]).tolist()
    sections = tuple(
        Section(
            start_s=first * BAR_S, end_s=last * BAR_S, start_bar=first, end_bar=last, role=role,
            label=label, energy=level, valence=-0.3 if key.endswith("m") else 0.4, arousal=level - 0.4,
            tempo_bpm=240 / BAR_S,
        )
        for first, last, role, label, level in (
            (0, middle, "theme", "A", 0.4), (middle, bars, "climax", "B", 0.7)
        )
    )  # fmt: skip
    return Plan(
        duration_s=bars * BAR_S, fps=25, key=key, style=style, seed=seed, sections=sections, hits=(),
        bar_starts_s=tuple(bar * BAR_S for bar in range(bars + 1)), energy=energy, density=energy,
        chords=chords,
    )  # fmt: skip


def followed(score: Score, plan: Plan, melodic: Sequence[str]) -> Figures:
    """The score held against the plan's chords. melodic: names of the parts that play a melody."""
    parts = [part for part in score.parts if not part.is_drums and part.name not in melodic]
    notes = [note for part in parts for note in part.notes]
    start = np.array([note.start_s for note in notes])
    end = np.array([note.end_s for note in notes])
    pitch = np.array([note.pitch for note in notes])
    seconds, asked = plan.tempo_map.seconds, plan.asked_chords
    begins = [
        beat for beat in range(len(asked)) if asked[beat] and (beat == 0 or asked[beat] != asked[beat - 1])
    ]
    changes = met = 0
    sounding_s = in_chord_s = 0.0
    for beat, until in zip(begins, [*begins[1:], len(asked) - BEATS_PER_BAR], strict=True):
        chord = asked[beat]
        if chord is None or not chord.tones:
            continue
        at, later = seconds(beat + 0.5 / STEPS_PER_BEAT), seconds(until)
        now = (start <= at) & (end > at)
        if not now.any():
            after = np.flatnonzero((start > at) & (start < later - 0.05))
            now = np.isclose(start, start[after].min()) if after.size else now
        changes += 1
        met += bool(now.any()) and int(pitch[now].min()) % 12 == chord.bass
        # Hands stray by some ms; what is held by so little over a change is no note of the next chord.
        share = np.minimum(end, later) - np.maximum(start, seconds(beat))
        share[share < 0.03] = 0.0
        inside = np.isin(pitch % 12, (*chord.tones, chord.bass))
        sounding_s += float(share.sum())
        in_chord_s += float(share[inside].sum())
    return Figures(changes, met, sounding_s, in_chord_s)


def texture(roll: PianoRoll) -> np.ndarray:
    """Notes a bar of melody, counter-melody and accompaniment; steps a note lasts; grooving similarity."""
    onsets = roll.bits[:, ONSET, :-STEPS_PER_BAR]
    bars = onsets.shape[1] / STEPS_PER_BAR
    accompaniment = roll.bits[2, :, :-STEPS_PER_BAR]
    gps = grooving_similarity(onsets.any(axis=(0, 2)).reshape(-1, STEPS_PER_BAR))
    return np.array(
        [*(onsets.sum(axis=(1, 2)) / bars), accompaniment.sum() / accompaniment[ONSET].sum(), gps]
    )


def measure_chords(weights: Weights, bars: int, seeds: int) -> None:
    styles = style_names()
    found: dict[tuple[str, str], list[Figures]] = {}
    asked_texture, free_texture = [], []
    for text in PROGRESSIONS:
        key = best_key([text], [])
        assert key is not None
        for seed in range(seeds):
            plan = plan_of(bars, key, seed, text)
            roll = compose_roll(plan, weights)
            asked_texture.append(texture(roll))
            free_texture.append(texture(compose_roll(plan.model_copy(update={"chords": None}), weights)))
            for name in styles:
                style = load_style(name)
                melodic = [part.name for part in style.parts if "melody" in part.plays]
                found.setdefault((text, name), []).append(followed(arrange(roll, plan, style), plan, melodic))
        print(
            f"| `{text}` ({key}) | {row([f for (t, _), each in found.items() if t == text for f in each])} |"
        )
        sys.stdout.flush()
    print(f"\n{weights.name}: {len(PROGRESSIONS)} progressions, {seeds} seeds, {bars} bars\n")
    print("| style | bass | chord tones |\n|---|---|---|")
    for name in styles:
        print(f"| {name} | {row([f for (_, s), each in found.items() if s == name for f in each])} |")
    everything = [f for each in found.values() for f in each]
    print(f"| all | {row(everything)} |")
    worst = [100 * row_of([f])[0] for f in everything], [100 * row_of([f])[1] for f in everything]
    print(f"| worst of {len(everything)} scores | {min(worst[0]):.1f} % | {min(worst[1]):.1f} % |")
    print("\n| roll | melody | counter | accompaniment | steps a note | GPS |\n|---|---|---|---|---|---|")
    for name, values in (("chords asked", asked_texture), ("left to the model", free_texture)):
        print(f"| {name} | {' | '.join(f'{v:.2f}' for v in np.mean(values, axis=0))} |")


def row_of(figures: Sequence[Figures]) -> tuple[float, float]:
    changes, met, sounding, inside = (sum(column) for column in zip(*figures, strict=True))
    return met / max(1, changes), inside / max(1e-9, sounding)


def row(figures: Sequence[Figures]) -> str:
    return " | ".join(f"{100 * share:.1f} %" for share in row_of(figures))


def measure_melody(weights: Weights, songs: Path, table: Path, count: int, bars: int) -> None:
    """Melodies of held-out songs, 16 bars each, composed to; the key is found from the melody alone."""
    source = WindowSource(list(read_songs(songs, table, "heldout")))
    found: dict[str, list[float]] = {}
    keys = kept = 0
    rolls = []
    clashes: dict[str, list[float]] = {}
    chosen = np.random.default_rng(0).choice(len(source.windows), 4 * count, replace=False)
    for window in (source.windows[k] for k in np.sort(chosen)):
        roll = to_roll(source.tokens(window))
        if roll.bits[0, ONSET].sum() >= 2 * bars:
            rolls.append((roll, bool(source.songs[window.song].minor[window.start_beat])))
    for index, (song, minor) in enumerate(rolls[:count]):
        melody = melody_of(song, (bars - 1) * STEPS_PER_BAR)
        key = best_key([], [(note.pitch, note.beats) for note in melody])
        assert key is not None
        keys += key == ("Am" if minor else "C")
        plan = plan_of(bars, key, index, harmonise(melody, key, 0, bars - 1, bars))
        plan = plan.model_copy(update={"melody": melody})
        roll = compose_roll(plan, weights)
        steps = slice(*(beat * STEPS_PER_BEAT for beat in plan.melody_span))
        kept += bool((roll.bits[0, :, steps] == _only(melody, roll)[:, steps]).all())
        alone = compose_roll(plan.model_copy(update={"chords": None}), weights)
        for name, chords in (
            ("composed", roll), ("composed, chords left to the model", alone), ("the song's own", song),
            ("of another song", rolls[(index + 1) % count][0]),
        ):  # fmt: skip
            found.setdefault(name, []).append(on_chord(melody, chords))
            clashes.setdefault(name, []).append(clashing(melody, chords))
    print(f"{weights.name}: melodies of {count} held-out songs, {bars} bars; the annotated key found: "
          f"{keys}; melody bits of the roll as given: {kept}\n")  # fmt: skip
    print("| accompaniment | melody on chord tones | melody against a semitone |\n|---|---|---|")
    for name, shares in found.items():
        print(f"| {name} | {100 * np.mean(shares):.1f} % | {100 * np.mean(clashes[name]):.1f} % |")


def melody_of(roll: PianoRoll, until_step: int) -> tuple[MelodyNote, ...]:
    return tuple(
        MelodyNote(beat=note.start_step / 4, beats=(min(note.end_step, until_step) - note.start_step) / 4,
                   pitch=note.pitch, velocity=note.velocity)
        for note in notes_of(roll)[0] if note.start_step < until_step
    )  # fmt: skip


def _only(melody: Sequence[MelodyNote], roll: PianoRoll) -> np.ndarray:
    notes = [GridNote(round(4 * n.beat), round(4 * (n.beat + n.beats)), n.pitch, n.velocity) for n in melody]
    return roll_of((notes, (), ()), roll.n_steps).bits[0]


def on_chord(melody: Sequence[MelodyNote], chords: PianoRoll) -> float:
    """Share of the melody's time on tones of the chord that the roll names for the beat; N.C. left out."""
    inside = total = 0.0
    for note in melody:
        for step in range(round(4 * note.beat), round(4 * (note.beat + note.beats))):
            chroma = chords.chroma[step // STEPS_PER_BEAT]
            if chroma.any():
                total += 1
                inside += bool(chroma[note.pitch % 12])
    return inside / max(1.0, total)


def clashing(melody: Sequence[MelodyNote], roll: PianoRoll) -> float:
    """Share of the melody's time while something that accompanies sounds a semitone away, in any octave."""
    bad = total = 0
    for note in melody:
        for step in range(round(4 * note.beat), round(4 * (note.beat + note.beats))):
            sounding = (np.flatnonzero(roll.bits[1:, :, step].any(axis=(0, 1))) + LOWEST_PITCH) % 12
            total += 1
            bad += bool({(note.pitch + 1) % 12, (note.pitch - 1) % 12} & set(sounding.tolist()))
    return bad / max(1, total)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("chords", "melody"))
    parser.add_argument("--weights")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--bars", type=int, default=16)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--songs", type=int, default=12)
    given = parser.parse_args()
    weights = open_weights(given.weights)
    if given.what == "chords":
        measure_chords(weights, given.bars, given.seeds)
    else:
        measure_melody(weights, given.data, given.table, given.songs, given.bars)
    return 0


if __name__ == "__main__":
    sys.exit(main())
