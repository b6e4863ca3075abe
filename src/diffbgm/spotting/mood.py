"""The mood in words, by a small lexicon: valence (sad .. happy) and arousal (calm .. excited)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diffbgm.spotting.cuesheet import MoodReading
from diffbgm.spotting.mood_words import Phrase, read_words


@dataclass(frozen=True)
class Mood:
    """valence and arousal in -1..1, None where nothing was understood. understood: one line a word.

    words: what was understood, without the numbers.
    """

    valence: float | None
    arousal: float | None
    understood: tuple[str, ...]
    words: tuple[str, ...] = ()


def read_mood(text: str, readings: Sequence[MoodReading] = ()) -> Mood:
    """Valence and arousal of a description such as "calm, not sad, slightly mysterious".

    Mean over the words known, as `diffbgm.spotting.mood_words.read_words` reads them. Unknown words are
    passed over, and so is what is said of time.
    """
    phrases = [item for item in read_words(text, readings) if isinstance(item, Phrase)]
    if not phrases:
        return Mood(None, None, ())
    valence, arousal = mean_of(phrases)
    lines = tuple(phrase.line for phrase in phrases)
    return Mood(valence, arousal, lines, tuple(phrase.words for phrase in phrases))


def mean_of(phrases: Sequence[Phrase]) -> tuple[float, float]:
    """Mean valence and arousal of at least one phrase."""
    count = len(phrases)
    return sum(each.valence for each in phrases) / count, sum(each.arousal for each in phrases) / count
