"""The mood in words, by a small lexicon: valence (sad .. happy) and arousal (calm .. excited)."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|[,.;:!?\n]")


@dataclass(frozen=True)
class Mood:
    """valence and arousal in -1..1, None where nothing was understood. understood: one line a word.

    words: what was understood, without the numbers.
    """

    valence: float | None
    arousal: float | None
    understood: tuple[str, ...]
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Lexicon:
    words: dict[str, tuple[float, float]]
    degrees: dict[str, float]
    negations: frozenset[str]
    longest: int  # words in the longest entry


@cache
def _lexicon() -> _Lexicon:
    text = resources.files("diffbgm.spotting").joinpath("mood.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    words = {word: (pair[0], pair[1]) for word, pair in data["words"].items()}
    entries = [*words, *data["degrees"]]
    longest = max(len(entry.split()) for entry in entries)
    return _Lexicon(words, dict(data["degrees"]), frozenset(data["negations"]), longest)


def read_mood(text: str) -> Mood:
    """Valence and arousal of a description such as "calm, not sad, slightly mysterious".

    Mean over the words known. A degree word scales the next mood word. A negation turns its valence
    and arousal round at half strength ("not sad" is mildly happy, not elated). Both act up to the next
    mood word or punctuation mark. Unknown words are passed over.
    """
    lexicon = _lexicon()
    tokens = _WORD.findall(text.lower().replace("’", "'").replace("-", " "))
    values: list[tuple[float, float]] = []
    understood: list[str] = []
    words: list[str] = []
    scale, negated, lead = 1.0, False, list[str]()
    at = 0
    while at < len(tokens):
        entry = _entry(tokens, at, lexicon)
        at += len(entry.split())
        if entry in lexicon.words:
            factor = scale * (-0.5 if negated else 1.0)
            valence, arousal = (max(-1.0, min(1.0, v * factor)) for v in lexicon.words[entry])
            values.append((valence, arousal))
            words.append(" ".join([*lead, entry]))
            understood.append(f"{words[-1]}: valence {valence:+.1f}, arousal {arousal:+.1f}")
            scale, negated, lead = 1.0, False, []
        elif entry in lexicon.negations:
            negated, lead = not negated, [*lead, entry]
        elif entry in lexicon.degrees:
            scale, lead = scale * lexicon.degrees[entry], [*lead, entry]
        elif not entry[0].isalpha():
            scale, negated, lead = 1.0, False, []
    if not values:
        return Mood(None, None, ())
    count = len(values)
    valence, arousal = sum(v for v, _ in values) / count, sum(a for _, a in values) / count
    return Mood(valence, arousal, tuple(understood), tuple(words))


def _entry(tokens: list[str], at: int, lexicon: _Lexicon) -> str:
    """The longest lexicon entry that begins at this token, else the token itself."""
    for length in range(lexicon.longest, 1, -1):
        phrase = " ".join(tokens[at : at + length])
        if phrase in lexicon.words or phrase in lexicon.degrees:
            return phrase
    return tokens[at]
