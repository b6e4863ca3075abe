"""How deep velocity may reach into the timbre of each part: measured on the instrument itself.

Soundfonts' instruments differ: some are bright and open, some have closed their filter already or close it
with velocity themselves. So one soft note of each part is played and listened to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Final

import numpy as np

from diffbgm.score.score import Part
from diffbgm.sound.fluidsynth import BLOCK, Synth

# At this velocity the filter should let pass three harmonics, if that costs no more than so many decibels.
SOFT: Final = 30
_ABOVE_PITCH: Final = 1_900.0
_MOST_LOSS_DB: Final = 1.5
_SHARES: Final = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15)
# An open filter, in cents above 8.176 Hz, the unit in which a semitone is 100.
_OPEN: Final = 13_500.0
_LISTENED: Final = 150 * BLOCK  # 0.2 s


def touch_cents(parts: Sequence[Part], soundfont: Path) -> list[float]:
    """For `Synth.set_touch`, one a part: the deepest of some depths that keeps its soft notes audible.

    Times each part's `touch`. Drums have none: their filters resonate when they close.
    """
    with Synth(soundfont, 1) as synth:
        return [_depth(synth, part) * part.touch for part in parts]


def _depth(synth: Synth, part: Part) -> float:
    if part.is_drums or not part.notes or not part.touch:
        return 0.0
    pitch = round(fmean(note.pitch for note in part.notes))
    deepest = max(0.0, _OPEN - 100.0 * pitch - _ABOVE_PITCH) / (1.0 - SOFT / 128.0)
    synth.set_instrument(0, part.program, is_drums=False)
    open_db = _soft_note_db(synth, pitch, 0.0)
    depths = (share * deepest for share in _SHARES)
    return next((d for d in depths if open_db - _soft_note_db(synth, pitch, d) <= _MOST_LOSS_DB), 0.0)


def _soft_note_db(synth: Synth, pitch: int, cents: float) -> float:
    synth.set_touch(0, cents)
    sound = np.zeros((1, 2, _LISTENED), np.float32)
    synth.note_on(0, pitch, SOFT)
    synth.process(sound, 0, _LISTENED)
    synth.silence(0)
    return 10.0 * math.log10(float((sound.astype(np.float64) ** 2).mean()) + 1e-20)
