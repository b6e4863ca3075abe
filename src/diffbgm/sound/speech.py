"""How loud speech and music are, and how far the music has to go down under the words.

Loudness is that of BS.1770, of blocks of 0.4 s that begin each tenth of a second (`Meter.momentary`): over a
span, the mean of its blocks after the standard's two gates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.timing import Span

Momentary = NDArray[np.float64]
"""LUFS, float64 (tenths of a second,); entry k is of the 0.4 s before second (k + 1) / 10."""

UNDER_SPEECH_LU: Final = 4.0
"""How far the music in pauses lies below the speech; under the words `duck_db` further."""

# Speech is never taken for quieter than this below the target, or its hiss would be lifted with it.
_FAINTEST_SPEECH_LU: Final = 24.0
# With less music than this outside speech, its level is set by the music under the words.
_LEAST_FREE_S: Final = 3.0
_BLOCK_S, _HOP_S = 0.4, 0.1
_SILENCE_LUFS, _GATE_LU = -70.0, 10.0


@dataclass(frozen=True)
class SpeechLevel:
    """One stretch of speech, pauses of less than two seconds included, in seconds from the first frame.

    speech_lufs: of the film's own sound there. music_lufs: of the music before it goes down by `ducked_db`.
    Either is None where it is silent.
    """

    start_s: float
    end_s: float
    speech_lufs: float | None
    music_lufs: float | None
    ducked_db: float = 0.0

    @property
    def ducked_lufs(self) -> float | None:
        """The music as it is heard."""
        return None if self.music_lufs is None else self.music_lufs - self.ducked_db

    @property
    def ratio_lu(self) -> float | None:
        """Speech over the music as it is heard."""
        if self.speech_lufs is None or self.ducked_lufs is None:
            return None
        return self.speech_lufs - self.ducked_lufs

    def louder(self, gain_db: float) -> SpeechLevel:
        """The same after a gain of the whole."""
        return replace(
            self,
            speech_lufs=None if self.speech_lufs is None else self.speech_lufs + gain_db,
            music_lufs=None if self.music_lufs is None else self.music_lufs + gain_db,
        )

    def to_json(self) -> dict[str, float | None]:
        """Plain values, rounded to hundredths."""
        values = {
            "start_s": self.start_s,
            "end_s": self.end_s,
            "speech_lufs": self.speech_lufs,
            "music_lufs": self.music_lufs,
            "ducked_db": self.ducked_db,
            "ducked_lufs": self.ducked_lufs,
            "ratio_lu": self.ratio_lu,
        }
        return {name: None if value is None else round(value, 2) for name, value in values.items()}


def worst(levels: Iterable[SpeechLevel]) -> SpeechLevel | None:
    """Where the words stand out least; None where no music sounds under speech."""
    known = [(level.ratio_lu, level) for level in levels if level.ratio_lu is not None]
    return min(known, key=lambda each: each[0])[1] if known else None


def integrated(momentary: Momentary) -> float | None:
    """Integrated loudness of these blocks in LUFS (BS.1770-4): None where nothing is above -70.

    Of the blocks above -70 LUFS those count that are at most 10 LU below the mean of them all.
    """
    powers = 10.0 ** (momentary[momentary > _SILENCE_LUFS] / 10.0)
    if not powers.size:
        return None
    kept = powers[powers > powers.mean() * 10.0 ** (-_GATE_LU / 10.0)]
    return float(10.0 * np.log10(kept.mean()))


def middles_s(momentary: Momentary) -> NDArray[np.float64]:
    """The second at the middle of each block."""
    return np.asarray((np.arange(len(momentary)) + 1) * _HOP_S - _BLOCK_S / 2)


def speech_levels(spans: tuple[Span, ...], speech: Momentary, music: Momentary) -> tuple[SpeechLevel, ...]:
    """Both levels in each span. speech: of the film's own sound."""
    return tuple(
        SpeechLevel(*span, integrated(_inside(span, speech)), integrated(_inside(span, music)))
        for span in spans
    )


def levels_under_speech(
    spans: tuple[Span, ...], speech: Momentary, music: Momentary, target_lufs: float, duck_db: float
) -> tuple[float, tuple[SpeechLevel, ...]]:
    """The music's gain in dB, and how far it goes down in each span.

    Outside the spans the music comes to lie UNDER_SPEECH_LU below the speech, in them `duck_db` further. What
    a thinner arrangement gives of that needs no ducking: music goes down in each span by what is missing
    there, at most by `duck_db`. Where hardly any music is free, all of it is as low as under the words.
    spans: apart and in order. target_lufs: of the finished sound; speech counts as at least 24 LU below it.
    """
    faintest = target_lufs - _FAINTEST_SPEECH_LU
    spoken = integrated(np.concatenate([_inside(span, speech) for span in spans]))
    level = max(faintest, faintest if spoken is None else spoken) - UNDER_SPEECH_LU
    free = _outside(spans, music)
    lufs = integrated(free) if len(free) * _HOP_S >= _LEAST_FREE_S else None
    if lufs is None:
        lufs = integrated(np.concatenate([_inside(span, music) for span in spans]))
        level -= duck_db
    gain_db = 0.0 if lufs is None else level - lufs
    levels = []
    for each in speech_levels(spans, speech, music + gain_db):
        missing = 0.0
        if each.music_lufs is not None:
            over = max(faintest, faintest if each.speech_lufs is None else each.speech_lufs) - each.music_lufs
            missing = min(max(UNDER_SPEECH_LU + duck_db - over, 0.0), duck_db)
        levels.append(replace(each, ducked_db=missing))
    return gain_db, tuple(levels)


def _inside(span: Span, momentary: Momentary) -> Momentary:
    """The blocks that lie within the span; of a short span, the one nearest to its middle."""
    if not len(momentary):
        return momentary
    first = int(np.ceil((span[0] + _BLOCK_S) / _HOP_S - 1e-6)) - 1
    last = int(np.floor(span[1] / _HOP_S + 1e-6)) - 1
    if last < first:
        first = last = round((sum(span) + _BLOCK_S) / 2 / _HOP_S) - 1
    first = min(max(first, 0), len(momentary) - 1)
    return momentary[first : max(first, last) + 1]


def _outside(spans: tuple[Span, ...], momentary: Momentary) -> Momentary:
    """The blocks of which no part lies in a span."""
    ends = (np.arange(len(momentary)) + 1) * _HOP_S
    free = np.ones(len(momentary), dtype=np.bool_)
    for start, end in spans:
        free &= (ends <= start) | (ends - _BLOCK_S >= end)
    return momentary[free]
