"""A made-up film with music, complete enough for a whole report; every number follows from the arguments."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from diffbgm.diffusion.roll import LOWEST_PITCH, PianoRoll
from diffbgm.report.page import write_report
from diffbgm.score.score import Marker, Note, Part, Score
from diffbgm.spotting.cuesheet import Hit, Plan, Section
from diffbgm.timing import TempoMap
from diffbgm.video.analysis import Analysis, Curve, Shot, Thumbnail, Transition

CHORDS = ((0, 4, 7), (9, 0, 4), (5, 9, 0), (7, 11, 2))  # C Am F G
ROLES = ("intro", "theme", "build", "climax", "calm", "outro")
RATE = 48_000


@dataclass(frozen=True)
class Film:
    """What `write_report` asks for, without the place to write to."""

    analysis: Analysis
    plan: Plan
    roll: PianoRoll
    score: Score
    result: dict[str, Any]
    music: Path

    def write(self, path: Path) -> str:
        write_report(
            path,
            analysis=self.analysis,
            plan=self.plan,
            roll=self.roll,
            score=self.score,
            result=self.result,
            music=self.music,
        )
        return path.read_text(encoding="utf-8")


def make_film(
    folder: Path,
    *,
    n_bars: int = 12,
    cuts_s: tuple[float, ...] = (3.9, 8.05, 11.2, 15.7, 19.3, 22.1),
    name: str = "holiday.mp4",
    warnings: tuple[str, ...] = (),
    thumbnails: tuple[Thumbnail, ...] | None = None,
    write_music: bool = True,
    seed: int = 3,
) -> Film:
    """A film of `n_bars` bars of about 2.1 s each, with its music as a WAV in `folder`."""
    rng = np.random.default_rng(seed)
    bar_lengths = 2.1 + 0.06 * np.sin(np.arange(n_bars))
    bars = tuple(float(start) for start in np.concatenate([[0.0], np.cumsum(bar_lengths)]))
    duration = bars[-1]
    cuts = tuple(cut for cut in cuts_s if cut < duration)
    analysis = _analysis(rng, name, duration, cuts, thumbnails)
    plan = _plan(rng, bars, cuts)
    roll = _roll(n_bars)
    score = _score(rng, plan)
    music = folder / "holiday.bgm.wav"
    if write_music:
        _write_wav(music, score)
    result = {
        "video": name,
        "duration_s": duration,
        "fps": plan.fps,
        "shots": [{"start_s": shot.start_s, "end_s": shot.end_s} for shot in analysis.shots],
        "hits": [
            hit.model_dump(include={"time_s", "weight", "landed_s", "error_ms", "on"}) for hit in plan.hits
        ],
        "tempo_map": [point.model_dump() for point in plan.tempo_points],
        "bars": n_bars,
        "key": plan.key,
        "style": plan.style,
        "seed": plan.seed,
        "weights": "beat-transformer-1a2b3c4d",
        "sections": [
            s.model_dump(include={"start_s", "end_s", "role", "label", "energy"}) for s in plan.sections
        ],
        "loudness_lufs": -14.02,
        "true_peak_dbtp": -1.13,
        "speech_spans": [list(span) for span in plan.speech_spans],
        "warnings": list(warnings),
        "outputs": {
            "video": str(folder / "holiday.bgm.mp4"),
            "wav": str(music),
            "midi": str(folder / "holiday.bgm.mid"),
            "cues": str(folder / "holiday.bgm.cues.json"),
            "roll": str(folder / "holiday.bgm.roll.npz"),
            "report": str(folder / "holiday.bgm.html"),
            "stems": None,
        },
        "timings_s": {
            "analyze": 2.31,
            "spot": 0.12,
            "compose": 3.9,
            "render": 1.2,
            "mux": 2.2,
            "report": 0.6,
        },
        "peak_rss_mb": 512.5,
        "options": {"mood": "calm, hopeful", "loudness": -14.0, "takes": 1},
        "version": "0.1.0",
    }
    return Film(analysis, plan, roll, score, result, music)


def _analysis(
    rng: np.random.Generator,
    name: str,
    duration: float,
    cuts: tuple[float, ...],
    thumbnails: tuple[Thumbnail, ...] | None,
) -> Analysis:
    edges = (0.0, *cuts, duration)
    shots = tuple(Shot(a, b) for a, b in pairwise(edges))
    if thumbnails is None:
        thumbnails = tuple(_thumbnail(i, (s.start_s + s.end_s) / 2) for i, s in enumerate(shots))
    hz = 12.0
    n = int(duration * hz)
    base = np.abs(np.sin(np.arange(n) / 37.0)) * 0.6

    def curve(values: np.ndarray) -> Curve:
        return Curve(hz, np.clip(values, 0, 1).astype(np.float32))

    return Analysis(
        video=name,
        container="mov,mp4",
        duration_s=duration,
        frame_rate=Fraction(25),
        n_frames=int(duration * 25),
        width=1280,
        height=720,
        rotation=0,
        has_audio=True,
        shots=shots,
        transitions=tuple(Transition(cut, "cut", cut, cut, 0.8) for cut in cuts),
        motion=curve(base + 0.2 * rng.random(n)),
        camera=curve(0.25 * base + 0.1 * rng.random(n)),
        brightness=curve(base),
        saturation=curve(base),
        warmth=curve(base),
        speech_spans=((5.2, 7.9), (16.0, 18.4)),
        source_lufs=-21.0,
        has_music=False,
        thumbnails=thumbnails,
        warnings=(),
    )


def _thumbnail(index: int, time_s: float) -> Thumbnail:
    hue = np.full((90, 160, 3), (index * 37 % 180, 120, 200), np.uint8)
    hue[:, :, 2] = np.linspace(90, 230, 160, dtype=np.uint8)
    ok, jpeg = cv2.imencode(".jpg", cv2.cvtColor(hue, cv2.COLOR_HSV2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert ok
    return Thumbnail(time_s, jpeg.tobytes())


def _plan(rng: np.random.Generator, bars: tuple[float, ...], cuts: tuple[float, ...]) -> Plan:
    n_bars = len(bars) - 1
    borders = sorted({0, *range(4, n_bars - 1, 4), n_bars})
    sections = tuple(
        Section(
            start_s=bars[a],
            end_s=bars[b],
            start_bar=a,
            end_bar=b,
            role="outro" if b == n_bars and len(borders) > 2 else ROLES[min(i, 4)],  # type: ignore[arg-type]
            label="ABAC"[i % 4],
            energy=0.2 + 0.7 * ((i * 0.37) % 1),
            valence=0.3 - 0.2 * i % 1,
            arousal=-0.1 + 0.1 * i % 1,
            tempo_bpm=240 * (b - a) / (bars[b] - bars[a]),
        )
        for i, (a, b) in enumerate(pairwise(borders))
    )
    units = ("downbeat", "beat", "downbeat", "eighth", "sixteenth", None)
    hits = []
    for i, cut in enumerate(cuts):
        on = units[i % 6]
        error = None if on is None else float(rng.uniform(-18, 18))
        hits.append(
            Hit(
                time_s=cut,
                weight=0.4 + 0.1 * (i % 6),
                source="cut",
                landed_s=None if error is None else cut + error / 1000,
                error_ms=error,
                on=on,  # type: ignore[arg-type]
                step=None if on is None else TempoMap(bars).nearest_step(cut),
            )
        )
    energy = tuple(float(v) for v in np.repeat(0.3 + 0.5 * np.abs(np.sin(np.arange(n_bars) / 3)), 4))
    return Plan(
        duration_s=bars[-1],
        fps=25.0,
        key="Eb",
        style="piano-strings",
        seed=7,
        bar_starts_s=bars,
        sections=sections,
        hits=tuple(hits),
        energy=energy,
        density=energy,
        speech_spans=((5.2, 7.9), (16.0, 18.4)),
        mood_understood=("calm", "hopeful"),
    )


def _roll(n_bars: int) -> PianoRoll:
    beats = 4 * n_bars
    chroma = np.zeros((beats, 12), bool)
    bass = np.full(beats, -1, np.int8)
    for beat in range(beats):
        chord = [(pitch + 3) % 12 for pitch in CHORDS[beat // 4 % 4]]
        chroma[beat, chord] = True
        bass[beat] = chord[0]
    bits = np.zeros((3, 2, 4 * beats, 88), bool)
    bits[0, 0, ::4, 60 - LOWEST_PITCH] = True
    return PianoRoll(bits, np.where(bits[:, 0].any(axis=2), 80, 0).astype(np.uint8), chroma, bass)


def _score(rng: np.random.Generator, plan: Plan) -> Score:
    tempo = plan.tempo_map
    piano, melody, strings, bass, drums = [], [], [], [], []

    def note(beat: float, length: float, pitch: int, velocity: float) -> Note:
        bar = int(beat // 4)
        start, end = tempo.bar_starts_s[bar : bar + 2]
        second = start + (beat / 4 - bar) * (end - start)
        return Note(second, second + length / 4 * (end - start), pitch, max(1, min(127, int(velocity))))

    for bar in range(tempo.n_bars):
        chord = [pitch + 3 for pitch in CHORDS[bar % 4]]
        at = 4.0 * bar
        energy = plan.energy[4 * bar]
        for k in range(8):
            piano.append(note(at + k / 2, 0.48, 48 + chord[k % 3] % 12 + 12 * (k % 4 == 3), 50 + 40 * energy))
        for pitch in chord:
            strings.append(note(at, 4, 55 + (pitch - 7) % 12, 40 + 50 * energy))
        bass.append(note(at, 2, 36 + chord[0] % 12, 70))
        bass.append(note(at + 2, 2, 36 + chord[0] % 12, 60))
        for k in range(4):
            if rng.random() < 0.8:
                step = chord[int(rng.integers(3))] + (2 if rng.random() < 0.3 else 0)
                melody.append(note(at + k, 0.5 + 0.5 * rng.random(), 67 + step % 12, 70 + 40 * rng.random()))
        for k in range(8):
            drums.append(note(at + k / 2, 0.1, 42, 40 + 30 * (k % 2 == 0)))
        drums += [
            note(at, 0.1, 36, 100),
            note(at + 2, 0.1, 36, 85),
            note(at + 1, 0.1, 38, 90),
            note(at + 3, 0.1, 38, 95),
        ]
        if bar % 4 == 0:
            drums.append(note(at, 1, 49, 110))
    parts = (
        Part("Melody", 73, False, tuple(melody)),
        Part("Piano", 0, False, tuple(piano)),
        Part("Strings", 48, False, tuple(strings)),
        Part("Bass", 32, False, tuple(bass)),
        Part("Drums", 0, True, tuple(drums)),
    )
    markers = tuple(Marker(section.start_s, "section", section.role) for section in plan.sections)
    return Score(tempo, plan.key, parts, markers, plan.duration_s)


def _write_wav(path: Path, score: Score) -> None:
    sound = np.zeros(round(score.duration_s * RATE) + RATE, np.float32)
    for part in score.parts:
        for note in part.notes:
            t = np.arange(int(min(note.end_s - note.start_s, 0.2) * RATE), dtype=np.float32) / RATE
            pitch = 440 * 2 ** ((note.pitch - 69) / 12)
            tone = (
                np.sin(2 * np.pi * pitch * t)
                * np.exp(-t * (30 if part.is_drums else 3))
                * note.velocity
                / 127
                * 0.16
            )
            start = int(note.start_s * RATE)
            sound[start : start + len(tone)] += tone[: len(sound) - start]
    sound = np.clip(sound[: round(score.duration_s * RATE)], -1, 1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.repeat((sound * 32767).astype("<i2"), 2).tobytes())
