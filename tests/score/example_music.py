"""Plausible rolls and plans with known answers, made without a model."""

from __future__ import annotations

import numpy as np

from diffbgm.diffusion.roll import PianoRoll
from diffbgm.score.decode import GridNote, roll_of
from diffbgm.spotting.cuesheet import Hit, Plan, Role, Section
from diffbgm.timing import STEPS_PER_BAR, STEPS_PER_BEAT, TempoMap

I_V_VI_IV = ((0, 4, 7), (7, 11, 2), (9, 0, 4), (5, 9, 0))
"""C, G, Am, F."""


def make_roll(n_bars: int, seed: int = 0, transpose: int = 0) -> PianoRoll:
    """I-V-vi-IV, a bar each, ending on I: chord tones as melody, eighths as accompaniment."""
    rng = np.random.default_rng(seed)
    melody: list[GridNote] = []
    counter: list[GridNote] = []
    accompaniment: list[GridNote] = []
    chroma = np.zeros((n_bars * 4, 12), dtype=np.bool_)
    bass = np.zeros(n_bars * 4, dtype=np.int8)
    pitch = 72 + transpose
    for bar in range(n_bars):
        last = bar == n_bars - 1
        chord = [(tone + transpose) % 12 for tone in I_V_VI_IV[0 if last else bar % 4]]
        at = bar * STEPS_PER_BAR
        chroma[bar * 4 : bar * 4 + 4, chord] = True
        bass[bar * 4 : bar * 4 + 4] = chord[0]
        root = 48 + chord[0]
        if last:
            accompaniment += [GridNote(at, at + 16, root + step, 80) for step in (0, 7, 12)]
            melody.append(GridNote(at, at + 16, 72 + chord[0], 84))
            continue
        stack = [root, root + (chord[1] - chord[0]) % 12, root + 7, root + 12]
        for eighth, index in enumerate((0, 2, 3, 2, 1, 2, 3, 2)):
            start = at + 2 * eighth
            accompaniment.append(GridNote(start, start + 2, stack[index], 62 + 10 * (eighth % 4 == 0)))
        for start, steps in ((0, 4), (4, 2), (6, 2), (8, 6), (14, 2)):
            near = [p for p in range(64, 87) if p % 12 in chord and abs(p - pitch) <= 7]
            pitch = int(rng.choice(near))
            melody.append(GridNote(at + start, at + start + steps, pitch, int(rng.integers(76, 100))))
        if bar % 2:
            counter.append(GridNote(at + 8, at + 16, 60 + chord[1], 70))
    return roll_of((melody, counter, accompaniment), n_bars * STEPS_PER_BAR, chroma, bass)


def make_plan(
    n_bars: int,
    style: str = "piano",
    bpm: float = 96.0,
    hit_steps: tuple[int, ...] = (),
    roles: tuple[tuple[int, Role, float], ...] = (),
    speech: tuple[tuple[float, float], ...] = (),
    bends: bool = True,
    key: str = "C",
    seed: int = 7,
) -> Plan:
    """A plan of `n_bars`; `roles` = (bars, role, energy) of each section, by default one theme of 0.5."""
    lengths = np.full(n_bars, 240.0 / bpm)
    if bends:
        lengths *= 1 + 0.02 * np.sin(np.arange(n_bars))
    starts = (0.0, *np.cumsum(lengths).tolist())
    tempo_map = TempoMap(starts)
    roles = roles or ((n_bars, "theme", 0.5),)
    assert sum(bars for bars, _, _ in roles) == n_bars
    sections, energy, bar = [], [], 0
    for index, (bars, role, value) in enumerate(roles):
        sections.append(
            Section(
                start_s=starts[bar],
                end_s=starts[bar + bars],
                start_bar=bar,
                end_bar=bar + bars,
                role=role,
                label="ABCDEFG"[index],
                energy=value,
                valence=0.2,
                arousal=0.1,
                tempo_bpm=bpm,
            )
        )
        energy += [value] * (4 * bars)
        bar += bars
    hits = [
        Hit(
            time_s=tempo_map.seconds(step / STEPS_PER_BEAT) + 0.01,
            weight=0.8,
            source="cut",
            landed_s=tempo_map.seconds(step / STEPS_PER_BEAT),
            error_ms=-10.0,
            on="downbeat" if step % 16 == 0 else "beat" if step % 4 == 0 else "sixteenth",
            step=step,
        )
        for step in hit_steps
    ]
    return Plan(
        duration_s=starts[-1],
        fps=25.0,
        key=key,
        style=style,
        seed=seed,
        bar_starts_s=starts,
        sections=tuple(sections),
        hits=tuple(hits),
        energy=tuple(energy),
        density=tuple(energy),
        speech_spans=speech,
    )
