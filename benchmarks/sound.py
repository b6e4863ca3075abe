"""How each style sounds, in figures: dynamics, spectrum, width, limiter, ending, and the instruments' touch.

    python benchmarks/sound.py FILM.bgm.cues.json

Plays the notes that `compose` kept beside the cue sheet in every style and prints Markdown (docs/sound.md).
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.roll import PianoRoll
from diffbgm.outputs import roll_beside
from diffbgm.score.arrange import arrange
from diffbgm.score.instruments import INSTRUMENTS
from diffbgm.score.score import Note, Part, Score
from diffbgm.score.styles import load_style, style_names
from diffbgm.sound.figures import BANDS, figures
from diffbgm.sound.files import fitted
from diffbgm.sound.fluidsynth import SAMPLE_RATE, Synth
from diffbgm.sound.loudness import amplitude, limited
from diffbgm.sound.synth import SOUNDFONT, fade_s, render_blocks
from diffbgm.sound.touch import SOFT, touch_cents
from diffbgm.spotting.cuesheet import CueSheet

Sound = NDArray[np.float32]
TARGET_LUFS, CEILING_DBTP = -14.0, -1.5
VELOCITIES = (SOFT, 70, 110)
HELD_DB = 0.5
TENTH, HUNDREDTH = SAMPLE_RATE // 10, SAMPLE_RATE // 100


def level_db(sound: Sound) -> float:
    return float(10 * np.log10((sound.astype(np.float64) ** 2).mean() + 1e-20))


def held_down(music: Sound, lufs: float) -> tuple[float, float]:
    """What the limiter does at the usual loudness: share of hundredths of a second, and most decibels."""
    loud = music * np.float32(amplitude(TARGET_LUFS - lufs))
    held = np.concatenate(list(fitted(limited([loud], "stereo", CEILING_DBTP), 2, loud.shape[1])), axis=1)
    n = loud.shape[1] // HUNDREDTH * HUNDREDTH
    before, after = (np.abs(s[:, :n]).reshape(2, -1, HUNDREDTH).max(axis=(0, 2)) for s in (loud, held))
    heard = before > 1e-3
    reduction = 20 * np.log10(before[heard] / np.maximum(after[heard], 1e-9))
    return float((reduction > HELD_DB).mean()), float(reduction.max())


def ending(music: Sound, score: Score) -> str:
    """Tenths of a second after the last chord is let go: how far down the last one is, and steps up."""
    tail = music[:, -round((fade_s(score)) * SAMPLE_RATE) :]
    levels = [level_db(piece) for piece in np.array_split(tail, max(2, tail.shape[1] // TENTH), axis=1)]
    ups = sum(after > before for before, after in pairwise(levels))
    return f"{levels[-1] - levels[0]:.0f} dB, {ups} up"


def styles_table(sheet: Path) -> None:
    plan, roll = CueSheet.load(sheet).plan, PianoRoll.load(roll_beside(sheet))
    assert plan is not None
    print("| style | range LU | peaks dB | centre Hz |", *(f" {name} |" for name, _, _ in BANDS), end="")
    print(" sides dB | mono loss dB | limiter at work | most | after the last chord |")
    print("|---|" + "---|" * (8 + len(BANDS)))
    for name in style_names():
        score = arrange(roll, plan, load_style(name))
        music = np.concatenate([stems.sum(axis=0) for stems in render_blocks(score)], axis=1)
        found = figures([music], "stereo")
        assert found.lufs is not None
        assert found.bands_db is not None
        share, most = held_down(music, found.lufs)
        bands = " | ".join(f"{share_db:.1f}" for share_db in found.bands_db.values())
        print(
            f"| {name} | {found.range_lu:.1f} | {found.peak_to_loudness_db:.1f} | {found.centroid_hz:.0f} "
            f"| {bands} | {found.side_db:.1f} | {found.mono_loss_db:.1f} | {100 * share:.1f} % "
            f"| {most:.1f} dB | {ending(music, score)} |"
        )


def centre_hz(program: int, pitch: int, velocity: int, cents: float) -> float:
    n = 450 * 64
    with Synth(SOUNDFONT, 1) as synth:
        synth.set_instrument(0, program, is_drums=False)
        synth.control(0, 91, 0)
        synth.set_touch(0, cents)
        sound = np.zeros((1, 2, n), np.float32)
        synth.note_on(0, pitch, velocity)
        synth.process(sound, 0, n)
    power = np.abs(np.fft.rfft(sound[0].sum(axis=0) * np.hanning(n))) ** 2
    return float((np.fft.rfftfreq(n, 1 / SAMPLE_RATE) * power).sum() / power.sum())


def touch_table() -> None:
    """Every instrument of the shipped styles, in the middle of its range there."""
    played: dict[str, int] = {}
    for name in style_names():
        for part in load_style(name).parts:
            played.setdefault(part.instrument, sum(part.range) // 2)
    print("| instrument | pitch | " + " | ".join(f"{v} before" for v in VELOCITIES), end=" | ")
    print(" | ".join(f"{v} now" for v in VELOCITIES) + " |\n|---|" + "---|" * 7)
    for instrument, pitch in sorted(played.items()):
        program = INSTRUMENTS.index(instrument)
        part = Part(instrument, program, False, (Note(0.0, 1.0, pitch, SOFT),))
        (cents,) = touch_cents([part], SOUNDFONT)
        before, now = ([centre_hz(program, pitch, v, depth) for v in VELOCITIES] for depth in (0.0, cents))
        print(f"| {instrument} | {pitch} | " + " | ".join(f"{hz:.0f}" for hz in (*before, *now)) + " |")


def main() -> None:
    styles_table(Path(sys.argv[1]))
    print()
    touch_table()


if __name__ == "__main__":
    main()
