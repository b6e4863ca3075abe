"""The mood of captions over the film, by the same lexicon as the mood in words."""

from __future__ import annotations

from collections.abc import Sequence

from diffbgm.spotting.cuesheet import CaptionWish, MoodReading
from diffbgm.spotting.mood import Mood, read_mood


class CaptionMoods:
    """What captions say of the mood, moment by moment.

    film: of all of them together, each by the time that it lasts. warnings: what could not be used.
    """

    def __init__(
        self, captions: Sequence[CaptionWish], duration_s: float, readings: Sequence[MoodReading] = ()
    ) -> None:
        self._said = [
            (each.start_s, min(each.end_s, duration_s), mood)
            for each in captions
            if each.start_s < duration_s and (mood := read_mood(each.text, readings)).words
        ]
        self.film = self.between(0.0, duration_s)
        self.warnings: list[str] = []
        late = sum(each.start_s >= duration_s for each in captions)
        if late:
            self.warnings.append(f"{late} of {len(captions)} captions begin after the film's end")
        if captions and not self._said:
            self.warnings.append("captions: no word of a mood is known in them, so the picture decides")

    def between(self, start_s: float, end_s: float) -> Mood:
        """Mean valence and arousal of the captions between two times, each by the time that it shares."""
        shared = [
            (min(b, end_s) - max(a, start_s), mood) for a, b, mood in self._said if a < end_s and b > start_s
        ]
        total = sum(seconds for seconds, _ in shared)
        if not total:
            return Mood(None, None, ())
        valence = sum(seconds * (mood.valence or 0.0) for seconds, mood in shared) / total
        arousal = sum(seconds * (mood.arousal or 0.0) for seconds, mood in shared) / total
        words = tuple(dict.fromkeys(word for _, mood in shared for word in mood.words))
        numbers = f"valence {valence:+.1f}, arousal {arousal:+.1f}"
        line = f"{start_s:.1f}-{end_s:.1f} s, {', '.join(words)}: {numbers}"
        return Mood(valence, arousal, (line,), words)

    def leaning(self, start_s: float, end_s: float) -> tuple[float, float]:
        """How far valence and arousal between two times lie from the film's; 0 where nothing is said."""
        here, film = self.between(start_s, end_s), self.film
        if here.valence is None or here.arousal is None or film.valence is None or film.arousal is None:
            return 0.0, 0.0
        return here.valence - film.valence, here.arousal - film.arousal
