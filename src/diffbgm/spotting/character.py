"""The film as a whole: mood, style, key, seed, and the tempo it leans to. Wishes first, picture second."""

from __future__ import annotations

import re
from dataclasses import dataclass

from diffbgm.spotting.captions import CaptionMoods
from diffbgm.spotting.cuesheet import Wishes
from diffbgm.spotting.keys import best_key, choose_key, parse_key
from diffbgm.spotting.look import Look
from diffbgm.spotting.mood import Mood, read_mood
from diffbgm.spotting.tempo import DEFAULT_RANGE_BPM

_STYLES = ("piano-strings", "piano", "acoustic", "cinematic", "lofi", "electronic", "ambient")
_STYLE_WORDS = {"lo-fi": "lofi", "lo fi": "lofi", "orchestral": "cinematic", "electro": "electronic"}


@dataclass(frozen=True)
class Character:
    """valence, arousal: -1..1. energy: mean wished over the film, None where the picture decides.

    captions: what the captions say, moment by moment.
    """

    mood: Mood
    captions: CaptionMoods
    valence: float
    arousal: float
    energy: float | None
    style: str
    key: str
    seed: int
    tempo_range: tuple[float, float]
    preferred_bpm: float
    warnings: tuple[str, ...]


def characterise(wishes: Wishes, look: Look, liveliness: float, duration_s: float) -> Character:
    """Decide what holds for the whole film. liveliness: mean energy of the picture, 0..1.

    The mood is that of the person's words, else that of the captions, else that of the picture.
    """
    mood = read_mood(wishes.mood or "")
    captions = CaptionMoods(wishes.captions, duration_s)
    warnings = [*captions.warnings]
    if wishes.mood and not mood.understood:
        warnings.append(
            f"mood {wishes.mood!r}: no word of it is known, so the picture decides; "
            "try words such as calm, hopeful, tense or sad"
        )
    said = captions.film if mood.valence is None else mood
    valence = look.valence() if said.valence is None else said.valence
    if wishes.energy is not None:
        energy: float | None = wishes.energy
    else:
        energy = None if mood.arousal is None else 0.5 + 0.3 * mood.arousal
    shown = liveliness if wishes.energy is None else wishes.energy
    arousal = 1.6 * (shown - 0.5) if said.arousal is None else said.arousal
    arousal = max(-1.0, min(1.0, arousal))
    seed = wishes.seed if wishes.seed is not None else 0
    tempo_range = wishes.tempo_bpm or DEFAULT_RANGE_BPM
    level = liveliness if energy is None else energy
    low, high = tempo_range
    return Character(
        mood=mood,
        captions=captions,
        valence=valence,
        arousal=arousal,
        energy=energy,
        style=wishes.style or _style(wishes.mood or "", valence, arousal),
        key=_key(wishes) or choose_key(valence, look.brightness, seed),
        seed=seed,
        tempo_range=tempo_range,
        preferred_bpm=max(low, min(high, 95.0 + 22.0 * arousal + 20.0 * (level - 0.5))),
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
    for said, style in {**_STYLE_WORDS, **{each: each for each in _STYLES}}.items():
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
