"""How much room the music leaves for words, measured on what is heard.

    python benchmarks/speech.py [FILM ...] [--styles NAME,NAME] [--seeds 2] [--no-room]
    python benchmarks/speech.py --instruments

Without FILM: the shared clip with a narrator, and one made of a shared clip and of speech by espeak-ng with
pauses of 0.7 to 9 s. Each is spotted, composed, arranged in every style, rendered and mixed as `compose`
does it; music and film sound are then measured apart. --no-room: as if nobody spoke, so that all is left to
ducking.

| figure | what |
|---|---|
| notes a second | of all parts together, under speech and in its pauses of 2 s and more |
| band | the music's level from 1 to 4 kHz under speech, against the pauses, before ducking |
| level | the music's loudness under speech, against the pauses, before ducking, in LU |
| ducked | by how many dB the music went down: mean over the spoken time, and most |
| over | loudness of the speech over the music as heard: mean over the stretches, and least, in LU |
| SII | speech intelligibility index of the speech with the music as noise: octave bands from 250 Hz to 8 kHz,
  importance and audibility as in ANSI S3.5-1997 (table 3 and (SNR + 15) / 30), over tenths of a second that
  hold speech; hearing and level left out |

--instruments prints for each General MIDI instrument what share of its power lies between 1 and 4 kHz.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.compose import compose_roll
from diffbgm.diffusion.roll import PianoRoll
from diffbgm.diffusion.weights import Weights, open_weights
from diffbgm.options import ComposeOptions
from diffbgm.score.arrange import arrange
from diffbgm.score.instruments import INSTRUMENTS
from diffbgm.score.score import Note, Part, Score
from diffbgm.score.styles import load_style, style_names
from diffbgm.sound.loudness import Meter
from diffbgm.sound.mix import Mix, balance, music_blocks
from diffbgm.sound.source import SourceSound, first_frame_s
from diffbgm.sound.synth import n_samples_of, render_blocks, render_music
from diffbgm.spotting.cuesheet import Plan, Wishes
from diffbgm.spotting.spot import spot
from diffbgm.timing import TempoMap
from diffbgm.video.analysis import Analysis
from diffbgm.video.analyze import analyze

RATE = 48_000
PAUSE_S = 2.0
HOP_S = 0.1
BAND_HZ = (1000.0, 4000.0)
OCTAVES = ((250, 0.0617), (500, 0.1671), (1000, 0.2373), (2000, 0.2648), (4000, 0.2142), (8000, 0.0549))
CLIP, CLIP_S = "static_onebyone_139s_noaudio.mp4", 75.0
# Second and words: pauses of about 0.7, 6, 1.5, 9 and 3 s between them.
WORDS = (
    (5.0, "People come into this room one by one, and every one of them turns his back to us."),
    (10.7, "Nobody speaks. They wait for something that we are not allowed to see."),
    (22.0, "The table in the middle was bought in nineteen fifty four, and it has never been moved."),
    (29.0, "Perhaps that is what holds them here."),
    (41.0, "Six people, one room, one table. We came back a year later, with the same camera, to find out."),
    (
        51.5,
        "And this is what we saw. The room was empty, the table was gone, and somebody had opened a window.",
    ),
)
Array = NDArray[np.float64]
Span = tuple[float, float]


class Figures(NamedTuple):
    """See the module's text."""

    notes: float
    notes_free: float
    band_db: float
    level_lu: float
    ducked_db: float
    most_ducked_db: float
    over_lu: float
    least_over_lu: float
    sii: float

    def row(self, name: str) -> str:
        cells = (
            name,
            f"{self.notes:.1f} / {self.notes_free:.1f}",
            f"{self.band_db:+.1f}",
            f"{self.level_lu:+.1f}",
            f"{self.ducked_db:.1f}, {self.most_ducked_db:.1f}",
            f"{self.over_lu:.1f}, {self.least_over_lu:.1f}",
            f"{self.sii:.3f}",
        )
        return f"| {' | '.join(cells)} |".replace("+nan", "no pause")


HEAD = (
    "| film | notes/s, speech / pauses | band, dB | level, LU | ducked, dB: mean, most "
    "| over, LU: mean, least | SII |\n|---|---|---|---|---|---|---|"
)


def clips() -> Path:
    root = os.environ.get("DIFFBGM_SHARED")
    return (Path(root) if root else Path(__file__).resolve().parents[2] / "shared") / "data" / "videos"


def spoken_film(folder: Path) -> Path:
    """The shared clip with a narrator."""
    sound = np.zeros(round(CLIP_S * RATE), np.float32)
    for at_s, text in WORDS:
        words = folder / "words.wav"
        subprocess.run(["espeak-ng", "-v", "en-gb", "-s", "150", "-w", words, text], check=True)
        with wave.open(str(words)) as file:
            raw = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
            rate = file.getframerate()
        seconds = np.arange(round(len(raw) * RATE / rate)) / RATE
        spoken = np.interp(seconds, np.arange(len(raw)) / rate, raw)
        at = round(at_s * RATE)
        sound[at : at + len(spoken)] += 0.5 * spoken[: len(sound) - at]
    sound += np.random.default_rng(0).normal(0.0, 10 ** (-60 / 20), len(sound)).astype(np.float32)
    path = folder / "narrated.mp4"
    with av.open(str(clips() / CLIP)) as old, av.open(str(path), "w") as new:
        picture = new.add_stream_from_template(old.streams.video[0])
        track = new.add_stream("aac", rate=RATE, layout="mono")
        for packet in old.demux(video=0):
            if packet.pts is not None and packet.pts * packet.time_base < CLIP_S:
                packet.stream = picture
                new.mux(packet)
        frame = av.AudioFrame.from_ndarray(sound[None], "fltp", "mono")
        frame.sample_rate, frame.pts = RATE, 0
        new.mux(track.encode(frame))
        new.mux(track.encode(None))
    return path


def merged(spans: Iterable[Span]) -> list[Span]:
    out: list[Span] = []
    for start, end in spans:
        if out and start - out[-1][1] < PAUSE_S:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


def pauses(spans: list[Span], until_s: float) -> list[Span]:
    """What lies between, half a second away from speech, up to the final bar."""
    edges = [0.0, *(edge for span in spans for edge in span), until_s]
    found = [(a + 0.5 * (a > 0), b - 0.5) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return [(a, b) for a, b in found if b - a >= PAUSE_S - 1.0]


def hops(spans: list[Span], n: int) -> NDArray[np.bool_]:
    """Which tenths of a second lie in the spans."""
    starts = np.arange(n) * HOP_S
    inside = np.zeros(n, bool)
    for a, b in spans:
        inside |= (starts >= a) & (starts + HOP_S <= b)
    return inside


def bands(sound: NDArray[np.float32]) -> tuple[Array, Array]:
    """Power of each tenth of a second in each octave (hops, 6), and from 1 to 4 kHz (hops,)."""
    size = round(HOP_S * RATE)
    frames = sound[: len(sound) // size * size].reshape(-1, size).astype(np.float64)
    power = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)) ** 2
    hz = np.fft.rfftfreq(size, 1 / RATE)
    octaves = [power[:, (hz >= c / 2**0.5) & (hz < c * 2**0.5)].sum(axis=1) for c, _ in OCTAVES]
    return np.stack(octaves, axis=1), power[:, (hz >= BAND_HZ[0]) & (hz < BAND_HZ[1])].sum(axis=1)


def loudness(sound: NDArray[np.float32], wanted: NDArray[np.bool_]) -> float:
    """LUFS of the tenths of a second put together."""
    size = round(HOP_S * RATE)
    frames = sound[: len(wanted) * size].reshape(-1, size)[wanted]
    meter = Meter("mono", true_peak=False)
    meter.add(frames.reshape(1, -1))
    lufs = meter.result().lufs
    return -np.inf if lufs is None else lufs


def sii(speech: Array, noise: Array) -> float:
    """Mean over frames that hold speech: no more than 30 dB below the loudest."""
    total = speech.sum(axis=1)
    active = total > total.max() * 1e-3
    snr = 10 * np.log10((speech[active] + 1e-12) / (noise[active] + 1e-12))
    weights = np.array([weight for _, weight in OCTAVES])
    return float((np.clip((snr + 15) / 30, 0, 1) * weights / weights.sum()).sum(axis=1).mean())


def measured(mix: Mix, source: SourceSound, score: Score, plan: Plan, spans: list[Span]) -> Figures:
    music = np.concatenate([b.mean(axis=0) for b in music_blocks(mix.music, "stereo")]) * mix.music_gain
    gains = mix.music_ducking.gains(0, len(music))[0]
    speech = np.concatenate([block.mean(axis=0) for block in source.blocks()])[: len(music)]
    n = len(music) // round(HOP_S * RATE)
    inside, free = hops(spans, n), hops(pauses(spans, plan.bar_starts_s[-2]), n)
    presence = bands(music)[1]
    quiet = not free.any()
    heard, own = bands(music * gains)[0], bands(speech)[0]

    def notes(where: list[Span]) -> float:
        starts = np.array([note.start_s for part in score.parts for note in part.notes])
        length = sum(b - a for a, b in where)
        return sum(int(((starts >= a) & (starts < b)).sum()) for a, b in where) / max(length, 1e-9)

    over = [loudness(speech, hops([span], n)) - loudness(music * gains, hops([span], n)) for span in spans]
    down = -20 * np.log10(gains[:: round(HOP_S * RATE)][:n][inside])
    return Figures(
        notes=notes(spans),
        notes_free=notes(pauses(spans, plan.bar_starts_s[-2])),
        band_db=10 * float(np.log10(presence[inside].mean() / presence[free].mean()))
        if free.any()
        else np.nan,
        level_lu=np.nan if quiet else loudness(music, inside) - loudness(music, free),
        ducked_db=float(down.mean()),
        most_ducked_db=float(down.max()),
        over_lu=float(np.mean(over)),
        least_over_lu=float(np.min(over)),
        sii=sii(own[inside], heard[inside]),
    )


def run(
    film: Path, analysis: Analysis, style: str, seed: int, weights: Weights, wishes: Wishes,
    rolls: dict[int, tuple[Plan, PianoRoll]],
) -> Figures:  # fmt: skip
    if seed not in rolls:
        plan = spot(analysis, wishes.model_copy(update={"seed": seed, "key": "C"}))
        rolls[seed] = plan, compose_roll(plan, weights)
    plan, roll = rolls[seed]
    score = arrange(roll, plan, load_style(style))
    with tempfile.TemporaryDirectory() as folder:
        music = render_music(score, Path(folder))
        source = SourceSound(film, "stereo", first_frame_s(film), n_samples_of(plan.duration_s))
        mix = balance(music, source, "stereo", analysis.speech_spans, ComposeOptions())
        return measured(mix, source, score, plan, merged(analysis.speech_spans))


def instruments() -> None:
    """What share of each instrument's power lies in the band of consonants, from G3 to B4, half loud."""
    rows = []
    for program, name in enumerate(INSTRUMENTS[:120]):
        notes = tuple(Note(2.0 * k, 2.0 * k + 1.0, pitch, 64) for k, pitch in enumerate((55, 60, 64, 67, 71)))
        score = Score(TempoMap((0.0, 10.0)), "C", (Part(name, program, False, notes, reverb=0),), (), 10.0)
        sound = np.concatenate([block[0].sum(axis=0) for block in render_blocks(score)])
        power = np.abs(np.fft.rfft(sound)) ** 2
        hz = np.fft.rfftfreq(len(sound), 1 / RATE)
        share = power[(hz >= BAND_HZ[0]) & (hz < BAND_HZ[1])].sum() / power[hz > 50].sum()
        rows.append((float(share), name))
    for share, name in sorted(rows, reverse=True):
        print(f"{share:6.1%}  {name}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("films", nargs="*", type=Path)
    parser.add_argument("--styles", default="", help="names, with commas between (default: all)")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--no-room", action="store_true", help="as if nobody spoke")
    parser.add_argument("--instruments", action="store_true")
    arguments = parser.parse_args()
    if arguments.instruments:
        instruments()
        return 0
    styles = arguments.styles.split(",") if arguments.styles else list(style_names())
    weights = open_weights()
    wishes = Wishes(room_for_speech=False) if arguments.no_room else Wishes()
    print(HEAD)
    with tempfile.TemporaryDirectory() as folder:
        films = arguments.films or [spoken_film(Path(folder)), *sorted(clips().glob("nasa*.mp4"))]
        for film in films:
            analysis = analyze(film)
            rolls: dict[int, tuple[Plan, PianoRoll]] = {}
            all_rows = []
            for style in styles:
                rows = [
                    run(film, analysis, style, seed, weights, wishes, rolls)
                    for seed in range(1, arguments.seeds + 1)
                ]
                all_rows += rows
                print(Figures(*np.mean(rows, axis=0)).row(f"{film.stem}, {style}"), flush=True)
            print(Figures(*np.mean(all_rows, axis=0)).row(f"**{film.stem}**"), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
