"""Words of mood: the lexicon (mood.toml), and a text cut into what its words mean."""

from __future__ import annotations

import difflib
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

from diffbgm.spotting.cuesheet import MoodReading

_NEGATED: Final = -0.5
_SUGGESTED: Final = 0.7  # of difflib's likeness

_UNIT = r"(?:s|secs?|seconds?|sekunden?|secondes?|segundos?|mins?|minutes?|minuten?|minutos?|%|percent)(?!\w)"
_LENGTH = rf"\d+(?:\.\d+)?\s*{_UNIT}"
_CLOCK = rf"(?:\d+:\d\d(?:\.\d+)?(?![\d:])|{_LENGTH})"
_PLACE = r"(?:the beginning|the start|the middle|half ?way|the end)(?!\w)"
_MOMENT = rf"(?:{_CLOCK}|{_PLACE})"
# Only what follows one of these forms is a time; the first that fits counts.
_TIMES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?:from|between|von|entre|desde)\s+(?P<a>{_MOMENT}|\d+(?:\.\d+)?)\s+(?:to|until|till|and|bis|a|et|y|hasta)"
        rf"\s+(?P<b>{_MOMENT})",
        rf"(?:from\s+)?(?P<a>{_CLOCK}|\d+(?:\.\d+)?)\s*[-–]\s*(?P<b>{_CLOCK})",
        rf"(?:from|after|since|ab|nach|desde|depuis|a partir de)\s+(?:the first\s+)?(?P<a>{_MOMENT})"
        r"(?:\s+onwards?(?!\w)|\s+on(?!\w))?",
        rf"(?:at|around|about)\s+(?P<a>{_CLOCK})",
        rf"(?:until|till|up to|before|bis|hasta|jusqu'a)\s+(?P<b>{_MOMENT})",
        rf"(?:(?:for|in|during)\s+)?(?:the\s+)?(?:first|opening)\s+(?P<b>{_LENGTH})",
        rf"(?:(?:for|in|during)\s+)?(?:the\s+)?(?:last|final|closing)\s+(?P<before_end>{_LENGTH})",
    )
)
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|[,.;:!?\n]")
_BETWEEN_LETTERS = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")


@dataclass(frozen=True)
class Moment:
    """A moment of a film of any length: a share of it and some seconds."""

    share: float = 0.0
    seconds: float = 0.0

    def at(self, duration_s: float) -> float:
        return max(0.0, min(duration_s, self.share * duration_s + self.seconds))


@dataclass(frozen=True)
class Phrase:
    """A mood word with the degrees and negations before it; valence and arousal in -1..1."""

    words: str
    valence: float
    arousal: float
    note: str = ""  # where the values come from, if not from the lexicon

    @property
    def line(self) -> str:
        said = f"{self.words}: valence {self.valence:+.1f}, arousal {self.arousal:+.1f}"
        return f"{said} ({self.note})" if self.note else said


@dataclass(frozen=True)
class Span:
    """When: None where the neighbouring parts decide."""

    start: Moment | None
    end: Moment | None


@dataclass(frozen=True)
class Turn:
    """One part ends and another begins: at once, slowly, or by "from .. to"."""

    how: Literal["then", "slowly", "from", "to"]


@dataclass(frozen=True)
class Break:
    """A punctuation mark or a word like "but". full: it ends a sentence."""

    full: bool


@dataclass(frozen=True)
class Unknown:
    word: str


Item = Phrase | Span | Turn | Break | Unknown


@dataclass(frozen=True)
class _Lexicon:
    """What each word or group of words is. endings: taken off or exchanged where the word is unknown.

    spelled: entries as they stand in the file, by what they are looked up by.
    """

    entries: dict[str, tuple[str, Any]]
    spelled: dict[str, str]
    endings: tuple[tuple[str, str], ...]
    longest: int  # words in the longest entry

    def with_readings(self, readings: Sequence[MoodReading]) -> _Lexicon:
        read = {each.words: ("mood", (each.valence, each.arousal)) for each in readings}
        longest = max(self.longest, *(len(words.split()) for words in read))
        return replace(self, entries=self.entries | read, longest=longest)

    def entry(self, words: list[str]) -> tuple[str, str, Any]:
        """(text, kind, value) of the longest entry that these words begin with."""
        for length in range(min(self.longest, len(words)), 0, -1):
            text = " ".join(words[:length])
            if text in self.entries:
                return text, *self.entries[text]
        word = words[0]
        if word.endswith("n't"):
            return word, "negation", None
        base = self._base(word)
        return (word, "unknown", None) if base is None else (word, *self.entries[base])

    def _base(self, word: str) -> str | None:
        for ending, instead in self.endings:
            stem = word.removesuffix(ending)
            if stem == word or len(stem) < 3:
                continue
            undoubled = stem[:-1] if stem[-1] == stem[-2] else stem  # sadder
            for base in (stem + instead, undoubled + instead):
                if self.entries.get(base, ("",))[0] == "mood":
                    return base
        return None


@cache
def _lexicon() -> _Lexicon:
    text = resources.files("diffbgm.spotting").joinpath("mood.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    entries: dict[str, tuple[str, Any]] = {}
    for kind in ("ignored", "alternatives", "breaks", "negations"):
        entries |= {fold(word): (kind.removesuffix("s"), None) for word in data[kind]}
    for how, words in data["turns"].items():
        entries |= {fold(word): ("turn", Turn(how)) for word in words}
    for words, (start, end) in data["times"].items():
        entries[fold(words)] = ("time", Span(Moment(start), Moment(end)))
    entries |= {fold(word): ("degree", value) for word, value in data["degrees"].items()}
    entries |= {fold(word): ("mood", (pair[0], pair[1])) for word, pair in data["words"].items()}
    longest = max(len(entry.split()) for entry in entries)
    spelled = {fold(word): word for table in ("words", "degrees") for word in data[table]}
    return _Lexicon(entries, spelled, tuple((a, b) for a, b in data["endings"]), longest)


def fold(text: str) -> str:
    """Lower case without accents, one kind of apostrophe; hyphens between letters part words."""
    plain = unicodedata.normalize("NFKD", text.lower().replace("’", "'").replace("ß", "ss"))
    return _BETWEEN_LETTERS.sub(" ", "".join(each for each in plain if not unicodedata.combining(each)))


def nearest(word: str) -> str | None:
    """The mood word that is spelled most like this one; None where none is much alike."""
    lexicon = _lexicon()
    known = [entry for entry, (kind, _) in lexicon.entries.items() if kind == "mood"]
    like = difflib.get_close_matches(word, known, 1, _SUGGESTED)
    return lexicon.spelled[like[0]] if like else None


def known_moods() -> dict[str, tuple[float, float]]:
    """Valence and arousal of the mood words of the lexicon, as they are spelled."""
    lexicon = _lexicon()
    return {lexicon.spelled[word]: value for word, (kind, value) in lexicon.entries.items() if kind == "mood"}


def unread(text: str) -> tuple[str, ...]:
    """The parts between times, turns and marks that no mood word is in, but words not known.

    Without the negations and degrees before them, which act on whatever is made of the part.
    """
    out = list[str]()
    part, asks, knows = list[str](), False, False
    for word, kind, _ in (*_entries(text), ("", "break", None)):
        if kind in ("break", "time", "turn"):
            if asks and not knows:
                out.append(" ".join(part))
            part, asks, knows = [], False, False
        elif part or kind not in ("negation", "degree", "alternative"):
            part.append(word)
            asks, knows = asks or kind == "unknown", knows or kind == "mood"
    return tuple(dict.fromkeys(out))


def read_words(text: str, readings: Sequence[MoodReading] = ()) -> Iterator[Item]:
    """The text as moods, times, turns and breaks, and the words that are none of these.

    readings: what a model made of words that are not in the lexicon; they count as mood words do.

    A degree word scales the next mood word. A negation turns its valence and arousal round at half strength
    ("not sad" is mildly happy, not elated). Both act up to the next mood word, time or break; "or" hands a
    negation on.
    """
    scale, negated, lead = 1.0, False, list[str]()
    turned: tuple[float, bool, list[str]] | None = None
    notes = {reading.words: reading.note for reading in readings}
    for looked_up, kind, value in _entries(text, readings):
        word = _lexicon().spelled.get(looked_up, looked_up)
        if kind == "mood":
            factor = scale * (_NEGATED if negated else 1.0)
            valence, arousal = (max(-1.0, min(1.0, number * factor)) for number in value)
            yield Phrase(" ".join([*lead, word]), valence, arousal, notes.get(looked_up, ""))
            turned = (scale, negated, lead) if factor < 0 else None
            scale, negated, lead = 1.0, False, []
        elif kind == "negation":
            negated, lead = not negated, [*lead, word]
        elif kind == "degree":
            scale, lead = scale * value, [*lead, word]
        elif kind == "alternative" and turned is not None:
            scale, negated, lead = turned
        elif kind == "unknown":
            yield Unknown(word)
        elif kind in ("break", "time", "turn"):
            yield value or Break(full=False)
            scale, negated, lead, turned = 1.0, False, [], None


def _entries(text: str, readings: Sequence[MoodReading] = ()) -> Iterator[tuple[str, str, Any]]:
    """(text, kind, value) of each entry, mark and time."""
    lexicon, text, at = _lexicon(), fold(text), 0
    if readings:
        lexicon = lexicon.with_readings(readings)
    while at < len(text):
        said = next((match for each in _TIMES if (match := each.match(text, at))), None)
        if said is not None:
            yield said[0], "time", _span(said.groupdict())
            at = said.end()
            continue
        token = _TOKEN.match(text, at)
        if token is None:
            at += 1
            continue
        if not token[0][0].isalpha():
            yield token[0], "break", Break(full=token[0] in ".;!?\n")
            at = token.end()
            continue
        words, ends = _words_from(text, at, lexicon.longest)
        entry = lexicon.entry(words)
        yield entry
        at = ends[len(entry[0].split()) - 1]


def _words_from(text: str, at: int, most: int) -> tuple[list[str], list[int]]:
    """The words that follow each other from here with nothing but blanks between them, and their ends."""
    words, ends = list[str](), list[int]()
    while len(words) < most and (token := _TOKEN.match(text, at)) and token[0][0].isalpha():
        words.append(token[0])
        ends.append(token.end())
        at = token.end()
        while at < len(text) and text[at] in " \t":
            at += 1
    return words, ends


def _span(said: dict[str, str | None]) -> Span:
    start, end, before_end = (said.get(name) for name in ("a", "b", "before_end"))
    if before_end is not None:
        length = _moment(before_end)
        return Span(Moment(1.0 - length.share, -length.seconds), Moment(1.0))
    if start is not None and start.replace(".", "").isdigit():  # "30-45 s": the second number has the unit
        start += re.sub(r"[\d.\s]", "", end or "") if ":" not in (end or "") else " s"
    if start is None:
        return Span(None, None if end is None else _moment(end))
    return Span(_moment(start), None if end is None else _moment(end))


def _moment(text: str) -> Moment:
    if not text[0].isdigit():
        place = 0.5 if "middle" in text or "half" in text else float("end" in text)
        return Moment(place)
    if ":" in text:
        minutes, seconds = text.split(":")
        return Moment(seconds=60.0 * int(minutes) + float(seconds))
    unit = text.lstrip("0123456789. ")
    number = float(text.removesuffix(unit))
    if unit.startswith(("%", "p")):
        return Moment(share=min(1.0, number / 100.0))
    return Moment(seconds=number * (60.0 if unit.startswith("m") else 1.0))
