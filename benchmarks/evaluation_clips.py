"""The shared clips with our music, beside a human song cut to length and beside random notes.

    python benchmarks/evaluation_clips.py --data FOLDER --table FILE [--films FOLDER] [--songs 5] [--noise 3]

For each clip:

- diffbgm: what `compose` writes with seed 0, its music alone (the WAV) listened to;
- human song cut to length: the baseline that retrieves and composes nothing. A held-out POP909 song drawn at
  random, from its first downbeat, at its own tempo, played on the piano and faded out at the film's end;
- random notes: as many notes in each bar and part of our music, on the same instruments, at random moments
  and, but for drums, random degrees of the scale.

Cuts are those checked by hand. Sounds are listened to: from the notes come the figures of notes and the final
chord alone. Several songs and noises a film are averaged first. In brackets the 95 % bootstrap interval over
films (figures of cuts weighted by cuts); after ~ what the same music reaches at random offsets.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from correspondence import checked_cuts, shared_videos
from diffbgm.data.pop909 import Song, read_songs
from diffbgm.evaluation.measure import of_notes
from diffbgm.metrics.alignment import compare, share_met, tbiou
from diffbgm.metrics.correspondence import Heard, energy_loudness, length_errors, listen, motion_density
from diffbgm.metrics.notes import Notes, build_notes, notes_of_roll, read_notes
from diffbgm.metrics.onsets import read_sound
from diffbgm.metrics.tonality import final_chord
from diffbgm.outputs import film_path, name_outputs
from diffbgm.pipeline import compose
from diffbgm.pitch import transposition
from diffbgm.score.midi import read_midi
from diffbgm.score.score import Note, Part, Score
from diffbgm.sound.files import read_raw, write_wav
from diffbgm.sound.master import music_gain
from diffbgm.sound.synth import render_music
from diffbgm.spotting.cuesheet import CueSheet, Plan
from diffbgm.timing import BEATS_PER_BAR, TempoMap
from diffbgm.video.analysis import Analysis
from diffbgm.video.analyze import analyze
from evaluation import SCALE, roll_of_song, table

SYSTEMS = ("diffbgm", "human song cut to length", "random notes")
LOUDNESS_LUFS = -14.0
# A band means something only where a segment of its least length can come twice.
LEAST_S = {"si_3_8": 6.0, "si_8_15": 16.0, "si_15": 30.0}
LEAST_BARS = {"pche_1bar": 1, "pche_4bar": 4, "pche_8bar": 8, "gps": 2, "notes_per_bar": 1}
WORDS = {
    "pche_1bar": "PCHE, 1 bar (MusDr)",
    "pche_4bar": "PCHE, 4 bars (MusDr)",
    "pche_8bar": "PCHE, 8 bars (MusDr)",
    "gps": "GPS, 16 positions",
    "notes_per_bar": "notes a bar",
    "si_3_8": "SI 3-8 s, from notes",
    "si_8_15": "SI 8-15 s, from notes",
    "si_15": "SI from 15 s, from notes",
    "onsets_per_s": "onsets heard a second",
    "met_onset_1_frame": "cuts met by an onset within 1 frame",
    "met_onset_40_ms": "... by an onset within 40 ms",
    "met_onset_100_ms": "... by an onset within 100 ms",
    "met_accent_1_frame": "cuts met by an accent within 1 frame",
    "met_accent_40_ms": "... by an accent within 40 ms",
    "met_accent_100_ms": "... by an accent within 100 ms",
    "tbiou_onset_40_ms": "TBIoU of cuts and onsets, 40 ms",
    "tbiou_onset_100_ms": "... and onsets, 100 ms",
    "tbiou_onset_500_ms": "... and onsets, 500 ms",
    "tbiou_accent_40_ms": "TBIoU of cuts and accents, 40 ms",
    "tbiou_accent_100_ms": "... and accents, 100 ms",
    "tbiou_accent_500_ms": "... and accents, 500 ms",
    "motion_density": "motion and onset density, rho",
    "energy_loudness": "planned energy and loudness, rho",
    "resolves": "final chord resolves",
    "sound_frames": "length error of the sound, frames",
    "audible_frames": "last audible moment, frames after the end",
}

Row = dict[str, float]


def song_score(song: Song, duration_s: float) -> tuple[Notes, Score]:
    """The song's beginning as notes and as a piano score of that length, at its own tempo."""
    beats_s = np.concatenate([[0.0], np.cumsum(60 / song.bpm.astype(float))])
    tempo_map = TempoMap(tuple(beats_s[::BEATS_PER_BAR].tolist()))
    notes = notes_of_roll(roll_of_song(song), tempo_map)
    notes = notes.select(notes.start_s < duration_s - 0.02)
    parts = []
    for number in np.unique(notes.part):
        own = notes.select(notes.part == number)
        rows = zip(own.start_s, np.minimum(own.end_s, duration_s), own.pitch, own.velocity, strict=True)
        played = tuple(Note(float(a), float(b), int(pitch), int(max(v, 1))) for a, b, pitch, v in rows)
        parts.append(Part(f"part {number}", 0, False, played))
    return notes, Score(tempo_map, "C", tuple(parts), (), duration_s)


def noise_score(score: Score, plan: Plan, rng: np.random.Generator) -> tuple[Notes, Score]:
    """The score with every note at a random moment of its bar, and a random degree of the plan's scale."""
    clock, duration_s = plan.tempo_map, plan.duration_s
    starts = np.array(clock.bar_starts_s)
    scale = (SCALE + transposition(plan.key)) % 12
    parts, rows = [], []
    for number, part in enumerate(score.parts):
        pitches = [note.pitch for note in part.notes]
        inside = [p for p in range(min(pitches), max(pitches) + 1) if p % 12 in scale] or pitches
        moved = []
        for note in part.notes:
            bar = int(np.clip(np.searchsorted(starts, note.start_s, side="right") - 1, 0, clock.n_bars - 1))
            start = float(rng.uniform(starts[bar], min(starts[bar + 1], duration_s) - 0.02))
            end = min(start + note.end_s - note.start_s, duration_s)
            pitch = note.pitch if part.is_drums else int(rng.choice(inside))
            moved.append(Note(start, end, pitch, note.velocity))
        moved.sort(key=lambda note: note.start_s)
        parts.append(replace(part, notes=tuple(moved), pedals=()))
        if not part.is_drums:
            rows += [(note.start_s, note.end_s, note.pitch, note.velocity, number) for note in moved]
    start, end, pitch, velocity, part_of = np.array(rows).T
    notes = build_notes(clock.beats(start), clock.beats(end), pitch, velocity, part_of, clock)
    return notes, Score(clock, plan.key, tuple(parts), (), duration_s)


def played(score: Score, folder: Path) -> Heard:
    """The score as it sounds."""
    music = render_music(score, folder)
    gain = np.float32(music_gain(music, LOUDNESS_LUFS))
    path = folder / "music.wav"
    write_wav(path, (block * gain for block in read_raw(music.path)), music.n_samples)
    return listen(read_sound(path))


def figures(
    heard: Heard, notes: Notes, resolves: bool, plan: Plan, analysis: Analysis, cuts_s: np.ndarray
) -> Row:
    duration_s, fps = analysis.duration_s, analysis.fps
    found = of_notes(notes)
    out = {key: float(found[key]) for key, bars in LEAST_BARS.items() if notes.n_bars >= bars}
    out |= {key: float(found[key]) for key, least_s in LEAST_S.items() if duration_s >= least_s}
    times = heard.onsets.times_s
    rng = np.random.default_rng(0)
    for kind, events in (("onset", times), ("accent", times[heard.accents])):
        for name, tolerance in (("1_frame", 1 / fps), ("40_ms", 0.04), ("100_ms", 0.1), ("500_ms", 0.5)):
            for figure, score in (("met", share_met), ("tbiou", tbiou)):
                key = f"{figure}_{kind}_{name}"
                if key not in WORDS or not len(cuts_s):
                    continue
                measured = compare(
                    lambda e, s=score, t=tolerance: s(cuts_s, e, t),
                    events,
                    duration_s,
                    rng=rng,
                    n_offsets=200,
                )
                out |= {key: measured.value, f"{key}_random": measured.random}
    for key, rho in (
        ("motion_density", motion_density(analysis, heard)["rho"]),
        ("energy_loudness", energy_loudness(plan, heard)["rho"]),
    ):
        if rho is not None:
            out[key] = rho
    lengths = length_errors(heard.sound, duration_s, fps)
    out |= {key: value for key, value in lengths.items() if value is not None}
    return out | {"resolves": float(resolves), "onsets_per_s": len(times) / duration_s}


def resolves(notes: Notes, tonic: int, minor: bool, from_s: float | None = None) -> bool:
    rows = np.stack([notes.start_s, notes.end_s, notes.pitch.astype(float)], axis=1)
    chord = final_chord(rows, tonic, minor=minor, from_s=from_s)
    return chord is not None and chord.resolves


def of_clip(clip: Path, films: Path, songs: list[Song], noises: int) -> dict[str, Row]:
    """Figures of each system for a clip, those that every system has; of several songs or noises the mean."""
    film = films / film_path(clip, None).name
    if not film.exists():
        compose(clip, output=film, seed=0, original_audio="drop", report=False)
    files = name_outputs(film, report=False, stems=None, cues=None)
    plan = CueSheet.load(files.cues).plan
    assert plan is not None
    analysis, cuts_s = analyze(clip), np.array(checked_cuts(clip))
    measured = partial(figures, plan=plan, analysis=analysis, cuts_s=cuts_s)
    minor = plan.key.endswith("m")
    tonic = (transposition(plan.key) + 9 * minor) % 12

    notes = read_notes(files.midi)
    ends = resolves(notes, tonic, minor, plan.bar_starts_s[-2])
    out = {"diffbgm": measured(listen(read_sound(files.wav)), notes, ends)}
    seed = sum(clip.stem.encode())
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for song in songs:
            notes, score = song_score(song, analysis.duration_s)
            at = min(int(notes.start_q[-1]), song.n_beats - 1)
            ends = resolves(notes, int(song.tonic[at]), bool(song.minor[at]))
            rows.append(measured(played(score, Path(folder)), notes, ends))
        out["human song cut to length"] = mean_row(rows)
        rows = []
        for number in range(noises):
            rng = np.random.default_rng([seed, number])
            notes, score = noise_score(read_midi(files.midi), plan, rng)
            rows.append(measured(played(score, Path(folder)), notes, resolves(notes, tonic, minor)))
        out["random notes"] = mean_row(rows)
    shared = set.intersection(*(set(row) for row in out.values()))
    return {
        system: {key: row[key] for key in row if key in shared} | {"cuts": float(len(cuts_s))}
        for system, row in out.items()
    }


def mean_row(rows: list[Row]) -> Row:
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: float(np.nanmean([row[key] for row in rows if key in row])) for key in keys}


def cell(clips: list[Row], key: str) -> str:
    """Mean over the clips that have the figure, its interval, chance."""
    rows = [row for row in clips if key in row and np.isfinite(row[key])]
    if not rows:
        return "-"
    weights = np.array([row["cuts"] if f"{key}_random" in row else 1.0 for row in rows])
    values = np.array([row[key] for row in rows])
    mean = f"{np.average(values, weights=weights):.2f}"
    if len(rows) > 1:
        draws = np.random.default_rng(0).integers(0, len(rows), (2000, len(rows)))
        means = (values[draws] * weights[draws]).sum(axis=1) / weights[draws].sum(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        mean += f" ({low:.2f} .. {high:.2f})"
    if f"{key}_random" in rows[0]:
        mean += f" ~{np.average([row[f'{key}_random'] for row in rows], weights=weights):.2f}"
    return mean


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--films", type=Path, help="folder of the composed films, kept and taken from")
    parser.add_argument("--videos", type=Path, default=shared_videos())
    parser.add_argument("--songs", type=int, default=5, help="human songs a clip")
    parser.add_argument("--noise", type=int, default=3, help="random pieces a clip")
    parser.add_argument("--seed", type=int, default=0, help="of the draw of songs")
    given = parser.parse_args()
    began = time.monotonic()
    with (given.videos / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    clips = [given.videos / row["file"] for row in rows]
    longest_s = max(float(row["video_duration_s"]) for row in rows)
    pool = [s for s in read_songs(given.data, given.table, "heldout") if (60 / s.bpm).sum() > longest_s]
    rng = np.random.default_rng(given.seed)
    drawn = [[pool[k] for k in rng.choice(len(pool), given.songs, replace=False)] for _ in clips]
    with tempfile.TemporaryDirectory() as temporary:
        films = given.films or Path(temporary)
        films.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as workers:
            running = [
                workers.submit(of_clip, clip, films, songs, given.noise)
                for clip, songs in zip(clips, drawn, strict=True)
            ]
            found = [each.result() for each in running]
    by_system = {system: [each[system] for each in found] for system in SYSTEMS}
    first = by_system["diffbgm"]
    cuts = int(sum(row["cuts"] for row in first))
    lines = [
        [word, str(sum(key in row for row in first)), *(cell(by_system[system], key) for system in SYSTEMS)]
        for key, word in WORDS.items()
    ]
    print(f"{len(clips)} clips, {cuts} cuts; {given.songs} songs and {given.noise} random pieces a clip.\n")
    table(["figure", "clips", *SYSTEMS], lines)
    print(f"{time.monotonic() - began:.0f} s in all.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
