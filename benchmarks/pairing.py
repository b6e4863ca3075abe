"""How well a soundtrack is placed on its song, and told from other songs.

    python benchmarks/pairing.py --data POP909 --speech FILM [--trials 60] [--seed 1]

Every trial renders a song of POP909 (the whole or a stretch of 50 to 90 s of it, at a speed of 0.995 to
1.005, on the piano of the data set or with other instruments), puts 0 to 40 s of silence, noise, speech or
another song before it, and adds white or pink noise and speech, the sound of a real film (`--speech`).
The soundtrack is then aligned with its song and with three others, one of them brought to the same tempo.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffbgm.data.pairing_audio import Alignment, SongPrint, align, song_print, sound_print
from diffbgm.metrics.chroma import SOUND_HZ
from diffbgm.metrics.notes import Notes, read_notes
from diffbgm.metrics.onsets import read_sound
from diffbgm.score.midi import read_midi
from diffbgm.score.score import Score
from diffbgm.sound.fluidsynth import SAMPLE_RATE
from diffbgm.sound.synth import render_blocks

Samples = NDArray[np.float32]

SNRS_DB = (20.0, 10.0, 5.0, 0.0)
PROGRAMS = {"piano": (0, 0, 0), "band": (73, 48, 25), "synth": (80, 89, 4)}
VARIANTS = 3  # soundtracks made of each rendering
OTHERS = 3  # wrong songs tried with each soundtrack


@dataclass(frozen=True)
class Trial:
    """What was made, and what was found: with the song itself first, then with others."""

    song: str
    instruments: str
    whole: bool
    intro: str
    noise: str
    snr_db: float
    speech_db: float | None
    offset_s: float
    speed: float
    found: tuple[Alignment | None, ...]
    print_cpu_s: float
    align_cpu_s: float

    @property
    def error_s(self) -> float:
        return abs(self.found[0].offset_s - self.offset_s) if self.found[0] else float("inf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder POP909 with 001 .. 909")
    parser.add_argument("--speech", type=Path, required=True, help="a film with speech in it")
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--louder", type=float, default=0.0, help="noise and speech louder by so many dB")
    parser.add_argument("--csv", type=Path, help="also write one row an alignment")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    speech = read_sound(arguments.speech, SOUND_HZ)
    trials = []
    for made in run(arguments.data, speech, arguments.trials, arguments.louder, rng):
        trials.append(made)
        print(f"{len(trials)} {made.song} {made.error_s * 1e3:.1f} ms", file=sys.stderr, flush=True)
    if arguments.csv:
        write_csv(trials, arguments.csv)
    print(report(trials))


def run(
    data: Path, speech: Samples, count: int, louder_db: float, rng: np.random.Generator
) -> Iterator[Trial]:
    """`count` trials, VARIANTS with each rendering."""
    folders = sorted(path for path in data.iterdir() if path.is_dir())
    chosen = rng.permutation(len(folders))
    kinds = list(product(PROGRAMS, ("stretch", "stretch", "whole")))
    other_music = np.zeros(SOUND_HZ * 40, np.float32)
    for number in range(-(-count // VARIANTS)):
        name = folders[chosen[number]].name
        instruments, extent = kinds[number % len(kinds)]
        midi = data / name / f"{name}.mid"
        others = [folders[k].name for k in chosen[-1 - OTHERS * (number + 1) : -1 - OTHERS * number]]
        notes = [read_notes(data / song / f"{song}.mid") for song in (name, *others)]
        notes[-1] = at_tempo(notes[-1], beat_s(data / others[-1]), beat_s(data / name))
        prints = [song_print(each) for each in notes]
        score = read_midi(midi)
        length_s = score.duration_s if extent == "whole" else float(rng.uniform(50, 90))
        from_s = float(rng.uniform(0, max(0.0, score.duration_s - length_s)))
        speed = float(rng.choice([1.0, 1.0, rng.uniform(0.995, 1.005)]))
        music = render(excerpt(score, from_s, length_s, speed, PROGRAMS[instruments]))
        for _ in range(min(VARIANTS, count - VARIANTS * number)):
            yield trial(
                name, instruments, extent == "whole", music, other_music, speech, from_s, speed, louder_db,
                prints, rng,
            )  # fmt: skip
        other_music = music


def trial(
    name: str, instruments: str, whole: bool, music: Samples, other_music: Samples, speech: Samples,
    from_s: float, speed: float, louder_db: float, prints: list[SongPrint], rng: np.random.Generator,
) -> Trial:  # fmt: skip
    """One soundtrack made of a rendering, and what is found in it."""
    intro_s = float(rng.uniform(0, 40))
    intro_kind = str(rng.choice(["silence", "noise", "speech", "other song"]))
    noise_kind, snr_db = str(rng.choice(["white", "pink"])), float(rng.choice(SNRS_DB))
    speech_db = float(rng.choice(SNRS_DB)) if rng.random() < 0.6 else None
    n_intro = round(intro_s * SOUND_HZ)
    level = float(np.sqrt((music**2).mean()))
    intro = np.zeros(n_intro, np.float32)
    if intro_kind == "speech":
        intro = cut(speech, n_intro, rng)
    elif intro_kind == "other song":
        intro = cut(other_music, n_intro, rng)
    sound = np.concatenate([intro, music, np.zeros(SOUND_HZ * int(rng.integers(0, 10)), np.float32)])
    sound += scaled(noise(len(sound), noise_kind, rng), level, snr_db - louder_db)
    if speech_db is not None:
        sound += scaled(cut(speech, len(sound), rng), level, speech_db - louder_db)
    begin = time.process_time()
    heard = sound_print(sound)
    middle = time.process_time()
    found = tuple(align(song, heard) for song in prints)
    end = time.process_time()
    middle_s = found[0].middle_s if found[0] else 0.0
    offset_s = from_s + speed * (middle_s - n_intro / SOUND_HZ) - middle_s
    return Trial(
        name, instruments, whole, intro_kind, noise_kind, snr_db, speech_db, offset_s, speed, found,
        middle - begin, (end - middle) / len(prints),
    )  # fmt: skip


def beat_s(folder: Path) -> float:
    """The median beat of a song."""
    return float(np.median(np.diff(np.loadtxt(folder / "beat_midi.txt", usecols=0))))


def at_tempo(notes: Notes, from_s: float, to_s: float) -> Notes:
    """The notes with beats of another length."""
    times = {name: getattr(notes, name) * to_s / from_s for name in ("start_s", "end_s")}
    return dataclasses.replace(notes, **times)


def excerpt(score: Score, from_s: float, length_s: float, speed: float, programs: tuple[int, ...]) -> Score:
    """The notes that begin in a stretch, moved to 0, played `speed` times as fast on other instruments."""
    parts = []
    for number, part in enumerate(score.parts):
        notes = tuple(
            dataclasses.replace(
                note, start_s=(note.start_s - from_s) / speed, end_s=(note.end_s - from_s) / speed
            )
            for note in part.notes
            if from_s <= note.start_s < from_s + length_s
        )
        program = programs[number % len(programs)]
        parts.append(dataclasses.replace(part, notes=notes, pedals=(), program=program))
    return dataclasses.replace(score, parts=tuple(parts), duration_s=length_s / speed)


def render(score: Score) -> Samples:
    """Mono at 22.05 kHz."""
    sound = np.concatenate([stems.sum(axis=(0, 1)) for stems in render_blocks(score)])
    at = np.arange(int(len(sound) * SOUND_HZ / SAMPLE_RATE)) * (SAMPLE_RATE / SOUND_HZ)
    return np.interp(at, np.arange(len(sound)), sound).astype(np.float32)


def noise(count: int, kind: str, rng: np.random.Generator) -> Samples:
    """White noise, or pink: its power falls by 3 dB an octave."""
    white = rng.standard_normal(count).astype(np.float32)
    if kind == "white":
        return white
    size = 1 << (count - 1).bit_length()
    spectrum = np.fft.rfft(white, size)
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum), dtype=np.float32))
    return np.fft.irfft(spectrum, size)[:count].astype(np.float32)


def scaled(sound: Samples, level: float, below_db: float) -> Samples:
    """The sound at `below_db` under the root mean square `level`."""
    own = float(np.sqrt((sound**2).mean()))
    return sound * np.float32(level / max(own, 1e-9) * 10 ** (-below_db / 20))


def cut(sound: Samples, count: int, rng: np.random.Generator) -> Samples:
    """`count` samples from a random place on, round and round."""
    return np.resize(np.roll(sound, -int(rng.integers(len(sound)))), count).astype(np.float32)


def write_csv(trials: list[Trial], path: Path) -> None:
    fields = ["correlation", "significance", "onsets", "certainty", "overlap_s", "speed", "confidence"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["trial", "true", "error_s", "true_speed", "instruments", "whole", "snr_db", "speech_db", *fields]
        )
        for number, made in enumerate(trials):
            for rank, one in enumerate(made.found):
                if one is not None:
                    signed = one.offset_s - made.offset_s if rank == 0 else ""
                    writer.writerow(
                        [number, int(rank == 0), signed, made.speed, made.instruments, int(made.whole),
                         made.snr_db, made.speech_db, *(getattr(one, field) for field in fields)]
                    )  # fmt: skip


def report(trials: list[Trial]) -> str:
    """The tables of docs/dataset-pairing.md."""
    lines = [
        "| trials | | n | within 50 ms | within 20 ms | median error | largest |",
        "|---|---|---|---|---|---|---|",
    ]
    groups: list[tuple[str, str, list[Trial]]] = [("all", "", trials)]
    groups += [("instruments", kind, [t for t in trials if t.instruments == kind]) for kind in PROGRAMS]
    groups += [("extent", text, [t for t in trials if t.whole == whole])
               for text, whole in (("50 to 90 s", False), ("whole song", True))]  # fmt: skip
    groups += [
        ("noise", f"{db:g} dB under the music", [t for t in trials if t.snr_db == db]) for db in SNRS_DB
    ]
    groups += [("speech", "none" if db is None else f"{db:g} dB under the music",
                [t for t in trials if t.speech_db == db]) for db in (None, *SNRS_DB)]  # fmt: skip
    groups += [("intro", kind, [t for t in trials if t.intro == kind])
               for kind in ("silence", "noise", "speech", "other song")]  # fmt: skip
    groups += [("speed", "1", [t for t in trials if t.speed == 1.0]),
               ("speed", "0.995 to 1.005", [t for t in trials if t.speed != 1.0])]  # fmt: skip
    for title, value, chosen in groups:
        if chosen:
            errors = np.array([made.error_s for made in chosen])
            lines.append(
                f"| {title} | {value} | {len(chosen)} | {(errors <= 0.05).mean():.1%} "
                f"| {(errors <= 0.02).mean():.1%} | {np.median(errors) * 1e3:.1f} ms "
                f"| {errors.max() * 1e3:.0f} ms |"
            )
    return "\n".join([*lines, "", *confidences(trials), "", *costs(trials)])


def confidences(trials: list[Trial]) -> Iterator[str]:
    """How confidence tells the song itself, well placed, from other songs."""
    right = np.array([t.found[0].confidence for t in trials if t.found[0] and t.error_s <= 0.05])
    placed = np.array([t.found[0].confidence if t.found[0] else 0.0 for t in trials if t.error_s > 0.05])
    wrong = np.array([one.confidence if one else 0.0 for t in trials for one in t.found[1:-1]])
    in_time = np.array([t.found[-1].confidence if t.found[-1] else 0.0 for t in trials])
    yield "| confidence | n | least | 5 % | median | 95 % | most |"
    yield "|---|---|---|---|---|---|---|"
    for title, values in (
        ("the song, well placed", right),
        ("the song, misplaced", placed),
        ("another song", wrong),
        ("another song at the same tempo", in_time),
    ):
        if not len(values):
            continue
        figures = " | ".join(f"{value:.3f}" for value in np.quantile(values, [0, 0.05, 0.5, 0.95, 1]))
        yield f"| {title} | {len(values)} | {figures} |"
    yield ""
    yield "| threshold | right pairs kept | other pairs kept |"
    yield "|---|---|---|"
    other = np.concatenate([placed, wrong, in_time])
    for threshold in (0.1, 0.3, 0.5, 0.7, 0.9):
        yield f"| {threshold} | {(right >= threshold).mean():.1%} | {(other >= threshold).mean():.1%} |"
    area = (right[:, None] > other).mean() + 0.5 * (right[:, None] == other).mean()
    yield ""
    yield f"Area under the curve: {area:.4f}."


def costs(trials: list[Trial]) -> Iterator[str]:
    yield (
        f"CPU seconds: {np.mean([t.print_cpu_s for t in trials]):.3f} a soundtrack (decoding not counted), "
        f"{np.mean([t.align_cpu_s for t in trials]):.3f} a pair."
    )


if __name__ == "__main__":
    main()
