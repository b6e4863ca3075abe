"""Chords that were asked for, in every style: the bass, the written parts, and bars without a chord."""

from __future__ import annotations

import numpy as np
import pytest

from diffbgm.diffusion.roll import PianoRoll
from diffbgm.score.arrange import arrange
from diffbgm.score.score import Score
from diffbgm.score.styles import load_style, style_names
from diffbgm.spotting.cuesheet import Plan

from .example_music import make_plan, make_roll

ASKED = "F#m7b5,B7 Em,E/G# Ab Cm6/Eb,D7sus4,G9"


def asking(n_bars: int, style: str, chords: str) -> tuple[Plan, PianoRoll]:
    """A plan, and a roll that names its chords and plays nothing of its own."""
    plan = make_plan(n_bars, style, roles=((4, "calm", 0.2), (n_bars - 4, "climax", 0.9)))
    plan = plan.model_copy(update={"chords": chords})
    chroma, bass = np.zeros((4 * n_bars, 12), np.bool_), np.full(4 * n_bars, -1, np.int8)
    for beat, chord in enumerate(plan.asked_chords):
        if chord is not None and chord.tones:
            chroma[beat, [*chord.tones, chord.bass]] = True
            bass[beat] = chord.bass
    empty = make_roll(n_bars)
    return plan, PianoRoll(np.zeros_like(empty.bits), np.zeros_like(empty.velocity), chroma, bass)


def written(score: Score, style: str, kind: str) -> list[tuple[float, float, int]]:
    names = {part.name for part in load_style(style).parts if part.written == kind}
    return [(n.start_s, n.end_s, n.pitch) for p in score.parts if p.name in names for n in p.notes]


@pytest.mark.parametrize("style", [name for name in style_names() if name != "piano"])
def test_written_parts_follow(style: str) -> None:
    plan, roll = asking(9, style, ASKED)
    score = arrange(roll, plan, load_style(style))
    asked = plan.asked_chords
    basses = written(score, style, "bass")
    changes = met = 0
    for beat, chord in enumerate(asked):
        if chord is None or (beat and asked[beat - 1] == chord):
            continue
        at = plan.tempo_map.seconds(beat + 0.12)
        sounding = [pitch for start, end, pitch in basses if start <= at < end]
        if sounding:
            changes += 1
            met += min(sounding) % 12 == chord.bass
    assert met == changes > 7
    inside = total = 0.0
    for start, end, pitch in written(score, style, "chords"):
        for beat, chord in enumerate(asked):
            share = min(end, plan.tempo_map.seconds(beat + 1.0)) - max(
                start, plan.tempo_map.seconds(float(beat))
            )
            if chord is not None and share > 0.03:
                total += share
                inside += share * (pitch % 12 in chord.tones)
    assert inside >= 0.99 * total > 0


@pytest.mark.parametrize("style", style_names())
def test_no_chord_means_silence_but_for_melody_and_percussion(style: str) -> None:
    plan, named = asking(9, style, "C N.C. C,N.C. G")
    own = make_roll(9)
    score = arrange(PianoRoll(own.bits, own.velocity, named.chroma, named.bass), plan, load_style(style))
    tune = {part.name for part in load_style(style).parts if "melody" in part.plays}
    harmony = [n for p in score.parts if not p.is_drums and p.name not in tune for n in p.notes]
    for first, last in ((4, 8), (10, 12), (20, 24), (26, 28)):
        begin, end = (plan.tempo_map.seconds(float(beat)) for beat in (first, last))
        assert not [n for n in harmony if n.start_s < end - 0.05 and n.end_s > begin + 0.05]
    for first, last in ((8, 10), (12, 16)):
        begin, end = (plan.tempo_map.seconds(float(beat)) for beat in (first, last))
        assert [n for n in harmony if begin - 0.05 <= n.start_s < end]


def test_a_roll_that_holds_other_chords_keeps_them() -> None:
    plan, roll = make_plan(9, "rock"), make_roll(9)
    style = load_style("rock")
    asked = plan.model_copy(update={"chords": "F#m B"})
    assert {n.pitch % 12 for n in arrange(roll, asked, style).parts[-2].notes} == {
        n.pitch % 12 for n in arrange(roll, plan, style).parts[-2].notes
    }
