"""The film as a whole: mood, style, key, seed, and the tempo it leans to. Wishes first, picture second."""

from __future__ import annotations

import re
from dataclasses import dataclass

from diffbgm.spotting.captions import CaptionMoods
from diffbgm.spotting.cuesheet import Wishes
from diffbgm.spotting.keys import best_key, choose_key, parse_key
from diffbgm.spotting.look import Look
from diffbgm.spotting.mood_arc import Arc, Course, read_arc
from diffbgm.spotting.mood_words import nearest
from diffbgm.spotting.tempo import DEFAULT_RANGE_BPM

# What words name a style: the first that occurs, so longer names come before those they contain.
_STYLE_WORDS = {
    "piano-strings": "piano-strings", "piano and strings": "piano-strings", "piano": "piano",
    "acoustic": "acoustic", "folk": "folk", "folky": "folk", "country": "folk",
    "cinematic": "cinematic",
    "orchestral": "orchestral", "orchestra": "orchestral", "symphonic": "orchestral",
    "lofi": "lofi", "lo-fi": "lofi", "lo fi": "lofi",
    "synthwave": "synthwave", "80s": "synthwave", "eighties": "synthwave", "retro": "synthwave",
    "electronic": "electronic", "electro": "electronic", "techno": "electronic",
    "ambient": "ambient", "rock": "rock", "jazz": "jazz", "jazzy": "jazz",
    "bossa": "bossa", "latin": "bossa", "funk": "funk", "funky": "funk", "groovy": "funk",
    "documentary": "documentary", "suspense": "suspense", "thriller": "suspense",
}  # fmt: skip
# Arousal by how lively the picture is, the middle of the shared clips at 0 (docs/mood.md), and by energy.
_AROUSAL_BY_PICTURE, _USUAL_LIVELINESS = 2.4, 0.4
_AROUSAL_BY_ENERGY = 1.6
# Beats a minute by arousal: as the picture has it, and as words ask for it.
_BPM_BY_PICTURE, _BPM_BY_WORDS = 22.0, 35.0
# How much the tempo preferred counts against hits where words ask for a mood, as a multiple.
_MOOD_WEIGHT = 30.0
_USUAL_SECTION_S = 15.0
# How much livelier words make the music.
ENERGY_BY_AROUSAL = 0.3


@dataclass(frozen=True)
class Character:
    """valence, arousal: -1..1. energy: mean wished over the film, None where the picture decides.

    mood: what the words say, and course: what follows from it from second to second. captions: what the
    captions say, moment by moment. mood_weight: how much more the tempo preferred counts than without words.
    """

    mood: Arc
    course: Course
    captions: CaptionMoods
    valence: float
    arousal: float
    energy: float | None
    style: str
    key: str
    seed: int
    tempo_range: tuple[float, float]
    preferred_bpm: float
    mood_weight: float
    warnings: tuple[str, ...]

    def leaning(self, start_s: float, end_s: float) -> tuple[float, float]:
        """How far the words set valence and arousal between two times off the film's."""
        if not self.mood.parts:
            return 0.0, 0.0
        valence, arousal = self.course.mean(start_s, end_s)
        return valence - self.valence, arousal - self.arousal

    def bpm_at(self, start_s: float) -> float:
        """The tempo preferred for a section that begins here."""
        low, high = self.tempo_range
        more = self.leaning(start_s, start_s + _USUAL_SECTION_S)[1]
        return max(low, min(high, self.preferred_bpm + _BPM_BY_WORDS * more))


def characterise(wishes: Wishes, look: Look, liveliness: float, duration_s: float) -> Character:
    """Decide what holds for the whole film. liveliness: mean energy of the picture, 0..1.

    The mood is that of the person's words, else that of the captions, else that of the picture.
    """
    mood = read_arc(wishes.mood or "", wishes.mood_read)
    captions = CaptionMoods(wishes.captions, duration_s, wishes.mood_read)
    warnings = [*captions.warnings]
    if wishes.mood and not mood.understood:
        alike = [like for word in mood.unknown if (like := nearest(word)) is not None]
        warnings.append(
            f"mood {wishes.mood!r}: no word of it is known, so the picture decides; "
            f"try words such as {', '.join(alike) or 'calm, hopeful, tense or sad'}"
        )
    else:
        warnings += mood.warnings(duration_s)
    if wishes.energy is None:
        shown = _AROUSAL_BY_PICTURE * (liveliness - _USUAL_LIVELINESS)
    else:
        shown = _AROUSAL_BY_ENERGY * (wishes.energy - 0.5)
    said = captions.film
    otherwise = (
        look.valence() if said.valence is None else said.valence,
        max(-1.0, min(1.0, shown if said.arousal is None else said.arousal)),
    )
    course = mood.course(duration_s, otherwise)
    valence, arousal = course.mean(0.0, duration_s) if mood.understood else otherwise
    if wishes.energy is not None:
        energy: float | None = wishes.energy
    else:
        energy = 0.5 + ENERGY_BY_AROUSAL * arousal if mood.understood else None
    seed = wishes.seed if wishes.seed is not None else 0
    tempo_range = wishes.tempo_bpm or DEFAULT_RANGE_BPM
    level = liveliness if energy is None else energy
    by_arousal = _BPM_BY_WORDS if mood.understood else _BPM_BY_PICTURE
    low, high = tempo_range
    return Character(
        mood=mood,
        course=course,
        captions=captions,
        valence=valence,
        arousal=arousal,
        energy=energy,
        style=wishes.style or _style(wishes.mood or "", valence, arousal),
        key=_key(wishes) or choose_key(valence, look.brightness, seed),
        seed=seed,
        tempo_range=tempo_range,
        preferred_bpm=max(low, min(high, 95.0 + by_arousal * arousal + 20.0 * (level - 0.5))),
        mood_weight=_MOOD_WEIGHT if mood.understood else 1.0,
        warnings=tuple(warnings),
    )


def _key(wishes: Wishes) -> str | None:
    """The key wished, else the one that the wished chords and the given melody are in."""
    if wishes.key:
        return parse_key(wishes.key)
    progressions = [wishes.chords, *(section.chords for section in wishes.sections)]
    melody = [(note.pitch, note.beats) for note in wishes.melody]
    return best_key([text for text in progressions if text], melody)


def _style(words: str, valence: float, arousal: float) -> str:
    """A style the words name, else one for the mood."""
    text = words.lower()
    for said, style in _STYLE_WORDS.items():
        if re.search(rf"(?<!not )\b{said}\b", text):
            return style
    if arousal < -0.2:
        if valence < -0.1:
            return "ambient"
        return "acoustic" if valence > 0.4 else "piano"
    if arousal > 0.3:
        return "electronic" if valence >= 0.25 else "cinematic"
    if valence > 0.4:
        return "acoustic"
    return "cinematic" if valence < -0.35 else "piano-strings"
