"""The model's music against held-out songs: quality, realism, retrieval and novelty, with controls.

    python benchmarks/evaluation.py --data FOLDER --table FILE [--weights NAME] [--windows 400] [--pieces 12]

Prints Markdown tables with these systems side by side:

- real songs: windows of 16 bars of held-out songs, in C major or A minor;
- model: sampled with the conditions of those windows;
- shuffled conditions: the model sampled with the conditions of windows of other songs, then compared with
  each window's own song: what is the same in both columns does not come from the conditions;
- random notes: as many notes a bar as the real windows have, at random positions, scale degrees and lengths;
- training songs: windows of songs that the model was trained on (what copying would look like).

Structure needs longer music: pieces of 64 bars, composed as `diffbgm compose` does, for the form, tempo,
mode, density and energy of held-out songs, against the first 64 bars of those songs. Intervals are 95 %,
bootstrap over songs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffbgm.data.pop909 import Song, read_songs
from diffbgm.data.windows import Window, WindowSource
from diffbgm.diffusion import conditions as c
from diffbgm.diffusion.compose import compose_roll
from diffbgm.diffusion.denoiser import clean_windows
from diffbgm.diffusion.form import alike, tied, ties_of
from diffbgm.diffusion.roll import PianoRoll
from diffbgm.diffusion.sampler import sample
from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.tokens import to_roll
from diffbgm.diffusion.weights import Weights, open_weights
from diffbgm.evaluation.measure import of_notes
from diffbgm.metrics import features, novelty, realism, retrieval
from diffbgm.metrics.embedders import SymbolicEmbedder
from diffbgm.metrics.notes import Notes, build_notes, notes_of_roll
from diffbgm.metrics.retrieval import POOL
from diffbgm.spotting.cuesheet import Plan, Section
from diffbgm.timing import BEATS_PER_BAR, TempoMap

BARS = 16
PIECE_BARS = 64
BATCH = 16
SCALE = np.array([0, 2, 4, 5, 7, 9, 11])
WINDOW_FIGURES = {
    "pche_1bar": "PCHE, 1 bar (MusDr)",
    "pche_4bar": "PCHE, 4 bars (MusDr)",
    "pche_8bar": "PCHE, 8 bars (MusDr)",
    "gps": "GPS, 16 positions",
    "gps_64": "GPS, 64 positions",
    "notes_per_bar": "notes a bar",
    "polyphony": "notes at once",
    "pitch_range": "pitch range, semitones",
    "scale_consistency": "notes in one scale",
    "empty_bars": "bars without a note",
    "groove_consistency": "groove kept from bar to bar",
    "chord_irregularity": "chord-progression irregularity",
}
PIECE_FIGURES = {
    "si_3_8": "SI 3-8 s, from notes",
    "si_8_15": "SI 8-15 s, from notes",
    "si_15": "SI from 15 s, from notes",
    "si_any": "SI of any length, from notes",
    "pche_8bar": "PCHE, 8 bars (MusDr)",
    "pche_notebook": "PCHE (notebook)",
    "gps": "GPS, 16 positions",
    "gps_notebook": "GPS (notebook)",
    "chord_irregularity": "chord-progression irregularity",
}


@dataclass(frozen=True)
class System:
    """Music and the song that each piece belongs to. paired: piece k answers real window k."""

    name: str
    windows: list[Notes]
    songs: list[str]
    paired: bool


# Music -------------------------------------------------------------------------------------------


def real_windows(source: WindowSource, chosen: list[Window]) -> list[Notes]:
    return [notes_of_roll(to_roll(source.tokens(window))) for window in chosen]


def song_names(source: WindowSource, chosen: list[Window]) -> list[str]:
    return [source.songs[window.song].song_id for window in chosen]


def of_other_songs(chosen: list[Window], rng: np.random.Generator) -> list[Window]:
    """The same windows in an order in which none stands where one of its own song stood."""
    order = rng.permutation(len(chosen))
    song = np.array([window.song for window in chosen])
    while len(clash := np.flatnonzero(song[order] == song)):
        for k in clash:
            other = int(rng.integers(len(order)))
            order[[k, other]] = order[[other, k]]
    return [chosen[k] for k in order]


def sampled(source: WindowSource, chosen: list[Window], weights: Weights, seed: int) -> list[Notes]:
    """Music sampled with the conditions of the windows."""
    sampling = Sampling.of(weights.sampling)
    rng = np.random.default_rng(seed)
    out: list[Notes] = []
    for first in range(0, len(chosen), BATCH):
        windows = chosen[first : first + BATCH]
        conditions = [source.conditions(window) for window in windows]
        shape = (len(windows), *source.tokens(windows[0]).shape)
        ties = [ties_of(each) for each in conditions]
        tokens = sample(
            lambda z, s, given=conditions, ties=ties: np.stack([
                tied(lambda x, _: x, tie)(x, s)
                for tie, x in zip(ties, clean_windows(weights, z, s, given, sampling.conditions), strict=True)
            ]),
            shape, sampling.levels, rng, sampler=sampling.sampler, eta=sampling.eta,
            noise=lambda drawn, ties=ties: np.stack(list(map(alike, drawn, ties))),
        )  # fmt: skip
        out += [notes_of_roll(to_roll(each)) for each in tokens]
    return out


def random_like(notes: Notes, rng: np.random.Generator, tempo_map: TempoMap | None = None) -> Notes:
    """As many notes in each bar and part, at random sixteenths, scale degrees and lengths."""
    count = len(notes)
    bar = (notes.start_q // 4).astype(np.int64)
    start = 4.0 * bar + rng.integers(0, 16, count) / 4
    low, high = np.quantile(notes.pitch, [0.02, 0.98])
    octave, degree = rng.integers(low // 12, high // 12 + 1, count), rng.choice(SCALE, count)
    length = rng.choice(np.maximum(notes.end_q - notes.start_q, 0.25), count)
    return build_notes(start, start + length, 12 * octave + degree, notes.velocity, notes.part, tempo_map)


def roll_of_song(song: Song, bars: int | None = None) -> PianoRoll:
    """The song (or its first bars) in its own key."""
    beats = song.n_beats if bars is None else min(song.n_beats, bars * BEATS_PER_BAR)
    bits = np.unpackbits(song.bits[:beats], axis=1, count=2112).reshape(-1, 3, 2, 4, 88).astype(bool)
    return PianoRoll(
        bits.transpose(1, 2, 0, 3, 4).reshape(3, 2, -1, 88),
        song.velocity[:beats].transpose(1, 0, 2).reshape(3, -1),
        song.chroma[:beats],
        song.bass[:beats],
    )


def steady_tempo(song: Song) -> TempoMap:
    """The first 64 bars at the song's median tempo."""
    bar_s = 60 * BEATS_PER_BAR / float(np.median(song.bpm))
    return TempoMap(tuple(bar_s * k for k in range(PIECE_BARS + 1)))


def plan_like(source: WindowSource, number: int, seed: int) -> Plan:
    """What a cue sheet would ask for: the form, tempo, mode, density and energy of a song's first 64 bars."""
    song, measured = source.songs[number], source.features[number]
    beats = PIECE_BARS * BEATS_PER_BAR
    clock = steady_tempo(song)
    starts, bpm = clock.bar_starts_s, float(np.median(song.bpm))
    minor = bool(song.minor[:beats].mean() > 0.5)
    typical = (bpm / c.TYPICAL_BPM) ** c.DENSITY_BY_TEMPO
    shares = np.linspace(0, 1, len(c.DENSITY_QUANTILES))
    density = np.interp(measured.onsets[:beats] / typical, c.DENSITY_QUANTILES, shares)
    energy = (c.edge_code(np.nan_to_num(measured.intensity[:beats]), c.INTENSITY_EDGES) - 0.5) / 8
    sections = []
    for phrase, role in zip(song.phrases, measured.roles, strict=True):
        first, last = phrase.start_beat // 4, min(phrase.end_beat // 4, PIECE_BARS)
        if first >= last:
            continue
        level = float(energy[first * 4 : last * 4].mean())
        sections.append(
            Section(
                start_s=starts[first], end_s=starts[last], start_bar=first, end_bar=last,
                role=c.ROLES[role], label=phrase.label, energy=level, valence=-0.3 if minor else 0.3,
                arousal=2 * level - 1, tempo_bpm=bpm, melody=c.ROLES[role] not in c.UNSUNG_ROLES,
            )
        )  # fmt: skip
    return Plan(
        duration_s=starts[-1], fps=25.0, key="Am" if minor else "C", style="piano", seed=seed,
        bar_starts_s=starts, sections=tuple(sections), hits=(), energy=tuple(energy), density=tuple(density),
    )  # fmt: skip


# Numbers -----------------------------------------------------------------------------------------


def table(head: list[str], rows: list[list[str]]) -> None:
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    print("\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n")


def draws_of(songs: list[str], rounds: int = 500) -> list[np.ndarray]:
    """Rows of bootstrap samples of whole songs."""
    names = np.unique(songs, return_inverse=True)[1]
    members = [np.flatnonzero(names == k) for k in range(names.max() + 1)]
    rng = np.random.default_rng(0)
    return [
        np.concatenate([members[k] for k in rng.integers(0, len(members), len(members))])
        for _ in range(rounds)
    ]


def spread(values: list[float]) -> str:
    low, high = np.nanquantile(values, [0.025, 0.975])
    return f"({low:.3f} .. {high:.3f})"


def mean_of(values: np.ndarray, draws: list[np.ndarray]) -> str:
    if np.isnan(values).all():
        return "-"
    return f"{np.nanmean(values):.3f} {spread([float(np.nanmean(values[d])) for d in draws])}"


def figures(system: System, bars: int = BARS) -> dict[str, np.ndarray]:
    found = [of_notes(notes, with_structure=False) for notes in system.windows]
    out = {key: np.array([row[key] for row in found], np.float64) for key in WINDOW_FIGURES}
    # Windows may end in empty bars, which notes alone do not show.
    started = [len(np.unique(notes.start_q // 4)) for notes in system.windows]
    out["empty_bars"] = 1 - np.array(started) / bars
    out["notes_per_bar"] = np.array([len(notes) / bars for notes in system.windows])
    return out


def by_bar(notes: Notes, part: int | None = None) -> np.ndarray:
    start = notes.start_q if part is None else notes.start_q[notes.part == part]
    return np.bincount((start // 4).astype(int), minlength=BARS)[:BARS].astype(float)


def agreement(system: System, real: System, draws: list[np.ndarray]) -> list[str]:
    """How far a system's window k is like real window k."""
    out = []
    for part in (None, 0):
        asked = np.array([by_bar(notes, part) for notes in real.windows])
        given = np.array([by_bar(notes, part) for notes in system.windows])

        def r(rows: np.ndarray, asked: np.ndarray = asked, given: np.ndarray = given) -> float:
            return float(np.corrcoef(asked[rows].ravel(), given[rows].ravel())[0, 1])

        out.append(f"{r(np.arange(len(asked))):.3f} {spread([r(d) for d in draws])}")
    shares = [
        np.array([np.bincount(n.pitch % 12, minlength=12) / len(n) for n in each.windows])
        for each in (real, system)
    ]
    return [*out, mean_of(np.minimum(*shares).sum(axis=1), draws)]


def flat(rows: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([rows[name] for name in features.NAMES], axis=1)


# Tables ------------------------------------------------------------------------------------------


def print_figures(real: System, systems: list[System]) -> None:
    everyone = [real, *systems]
    draws = [draws_of(each.songs) for each in everyone]
    measured = [figures(each) for each in everyone]
    rows = [
        [word, *(mean_of(found[key], drawn) for found, drawn in zip(measured, draws, strict=True))]
        for key, word in WINDOW_FIGURES.items()
    ]
    like = [agreement(each, real, draws[0]) if each.paired else ["-"] * 3 for each in systems]
    words = ("notes a bar, r with its own window", "melody notes a bar, r", "pitch classes shared with it")
    rows += [[word, "1.000", *column] for word, *column in zip(words, *like, strict=True)]
    table([f"16 bars, {len(real.windows)} windows", *(each.name for each in everyone)], rows)


def print_structure(pieces: dict[str, list[Notes]]) -> None:
    rows = []
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        found = {name: list(pool.map(of_notes, each)) for name, each in pieces.items()}
    number = len(next(iter(pieces.values())))
    draws = draws_of([str(k) for k in range(number)])
    for key, word in PIECE_FIGURES.items():
        columns = [np.array([row[key] for row in each], np.float64) for each in found.values()]
        rows.append([word, *(mean_of(column, draws) for column in columns)])
    table([f"64 bars, {number} pieces each", *pieces], rows)


def print_realism(real: System, systems: list[System], halves: tuple[System, System]) -> None:
    true = features.table(real.windows)
    sides = [features.table(half.windows) for half in halves]
    made = {each.name: features.table(each.windows) for each in systems}
    compared = {"real against real": realism.evaluate(*sides)}
    compared |= {name: realism.evaluate(rows, true) for name, rows in made.items()}
    rows = [
        [
            name.replace("_", " "),
            *(f"{found[name].overlap:.3f} / {found[name].kl:.3f}" for found in compared.values()),
        ]
        for name in features.NAMES
    ]
    table(["overlapping area / KL", *compared], rows)

    tests = {"real against real": realism.two_sample_test(*map(flat, sides), *(h.songs for h in halves))}
    for each in systems:
        tests[each.name] = realism.two_sample_test(flat(made[each.name]), flat(true), each.songs, real.songs)
    rows = [
        [name, f"{t.auc:.3f} ({t.auc_ci95[0]:.3f} .. {t.auc_ci95[1]:.3f})",
         f"{t.accuracy:.3f} ({t.accuracy_ci95[0]:.3f} .. {t.accuracy_ci95[1]:.3f})", str(t.n)]
        for name, t in tests.items()
    ]  # fmt: skip
    table(["told from held-out songs", "AUC", "accuracy", "windows a side"], rows)


def print_retrieval(real: System, systems: list[System]) -> None:
    embedder = SymbolicEmbedder(real.windows, bars=BARS)
    items = [embedder.embed(notes) for notes in real.windows]
    rows = []
    for each in systems:
        queries = [embedder.embed(notes) for notes in each.windows]
        whole = [k for k in range(len(queries)) if len(queries[k]) and len(items[k])]
        if not each.paired or len(whole) < POOL:
            continue
        asked, true = (np.concatenate([side[k] for k in whole]) for side in (queries, items))
        found = retrieval.evaluate(asked, true, [real.songs[k] for k in whole])
        shown = {f"P@{k}": figure for k, figure in found.precision.items()} | {"AR": found.rank}
        rows += [
            [each.name, name, f"{f.value:.3f}", f"{f.ci95[0]:.3f} .. {f.ci95[1]:.3f}", f"{f.chance:.3f}",
             f"{f.shuffled:.3f}"]
            for name, f in shown.items()
        ]  # fmt: skip
    table(["retrieval of the real window", "figure", "value", "95 %", "chance", "pairs shuffled"], rows)


def print_novelty(real: System, systems: list[System], trained: WindowSource) -> None:
    songs = [(song.song_id, novelty.lines_of(notes_of_roll(roll_of_song(song)))) for song in trained.songs]
    index = novelty.TrainingIndex(songs)
    rows = []
    for each in (real, *systems):
        draws = draws_of(each.songs)
        found = novelty.find_matches([novelty.lines_of(notes) for notes in each.windows], index)
        melodies = [novelty.lines_of(notes.select(notes.part == 0)) for notes in each.windows]
        longest = np.array([match.notes for match in found], float)
        sung = np.array([match.notes for match in novelty.find_matches(melodies, index)], float)
        rows.append([
            each.name, mean_of(longest, draws), f"{np.quantile(longest, 0.95):.0f}", f"{longest.max():.0f}",
            mean_of(sung, draws), f"{sung.max():.0f}",
            mean_of(np.array([match.covered for match in found]), draws),
        ])  # fmt: skip
    head = ["mean", "95th %", "longest", "melody, mean", "melody, longest", "in passages of 12 or more"]
    table(["passage shared with a training song, notes", *head], rows)


# Putting it together -----------------------------------------------------------------------------


def long_pieces(
    heldout: WindowSource, trained: WindowSource, weights: Weights, count: int, seed: int
) -> dict[str, list[Notes]]:
    """Pieces of 64 bars by system; model and random notes follow the real songs one by one."""
    rng = np.random.default_rng(seed)

    def chosen(source: WindowSource) -> list[int]:
        long = [k for k, s in enumerate(source.songs) if s.n_beats >= 256 and s.phrases[-1].end_beat >= 256]
        return sorted(int(k) for k in rng.choice(long, count, replace=False))

    def notes_of(source: WindowSource, number: int) -> Notes:
        song = source.songs[number]
        return notes_of_roll(roll_of_song(song, PIECE_BARS), steady_tempo(song))

    numbers = chosen(heldout)
    plans = [plan_like(heldout, number, seed + k) for k, number in enumerate(numbers)]
    real = [notes_of(heldout, number) for number in numbers]
    return {
        "real songs": real,
        "model": [notes_of_roll(compose_roll(plan, weights), plan.tempo_map) for plan in plans],
        "random notes": [random_like(n, rng, p.tempo_map) for n, p in zip(real, plans, strict=True)],
        "training songs": [notes_of(trained, number) for number in chosen(trained)],
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--weights")
    parser.add_argument("--windows", type=int, default=400)
    parser.add_argument("--pieces", type=int, default=12, help="of 64 bars, for structure")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.monotonic()
    rng = np.random.default_rng(given.seed)
    trained = WindowSource(list(read_songs(given.data, given.table, "train")))
    heldout = WindowSource(list(read_songs(given.data, given.table, "heldout")))
    weights = open_weights(given.weights)

    def draw(source: WindowSource, among: list[Window]) -> tuple[list[Window], list[Notes], list[str]]:
        numbers = np.sort(rng.choice(len(among), min(given.windows, len(among)), replace=False))
        chosen = [among[k] for k in numbers]
        return chosen, real_windows(source, chosen), song_names(source, chosen)

    chosen, notes, songs = draw(heldout, heldout.windows)
    real = System("real songs", notes, songs, False)
    first, second = (
        System("half", *draw(heldout, [w for w in heldout.windows if w.song % 2 == side])[1:], False)
        for side in (0, 1)
    )
    shuffled = of_other_songs(chosen, rng)
    systems = [
        System("model", sampled(heldout, chosen, weights, given.seed), songs, True),
        System("shuffled conditions", sampled(heldout, shuffled, weights, given.seed + 1), songs, True),
        System("random notes", [random_like(each, rng) for each in notes], songs, True),
        System("training songs", *draw(trained, trained.windows)[1:], False),
    ]
    print(f"{weights.name}; {len(set(songs))} held-out songs, {len(trained.songs)} training songs.\n")
    print_figures(real, systems)
    print_structure(long_pieces(heldout, trained, weights, given.pieces, given.seed))
    print_realism(real, systems, (first, second))
    print_retrieval(real, systems)
    print_novelty(real, systems, trained)
    print(f"{time.monotonic() - began:.0f} s in all.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
