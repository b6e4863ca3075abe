"""The mood in words over the time of a film: "bittersweet, then tense until 1:30, hopeful at the end"."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from diffbgm.spotting.cuesheet import MoodReading
from diffbgm.spotting.mood import mean_of
from diffbgm.spotting.mood_words import Break, Item, Phrase, Span, Turn, Unknown, nearest, read_words

FloatArray = NDArray[np.float64]

_STEP_S: Final = 0.25
# A change of mood takes this long, and no more than this share of the film.
_CHANGE_S, _CHANGE_SHARE = 6.0, 0.1
# Words for the whole film count so much where a part has words of its own, which count for the rest.
_WHOLE: Final = 1.0 / 3.0
# A slow change has arrived after this share of its part.
_ARRIVED: Final = 0.8


@dataclass
class Part:
    """Words and when they hold. link: how this part follows the one before it, None where it just stands.

    led: the time was said before the words, so that words after a comma belong to it too.
    """

    phrases: list[Phrase] = field(default_factory=list)
    span: Span | None = None
    link: Literal["then", "slowly"] | None = None
    led: bool = False

    @property
    def bare(self) -> bool:
        return self.span is None and self.link is None


@dataclass(frozen=True)
class Course:
    """Valence and arousal over the film. values: float64 (moments, 2), `_STEP_S` apart at most."""

    times_s: FloatArray
    values: FloatArray

    def mean(self, start_s: float, end_s: float) -> tuple[float, float]:
        inside = (self.times_s >= start_s) & (self.times_s <= end_s)
        if not inside.any():
            inside = np.arange(len(self.times_s)) == np.argmin(np.abs(self.times_s - start_s))
        valence, arousal = self.values[inside].mean(axis=0)
        return float(valence), float(arousal)

    def arousal(self, times_s: FloatArray) -> FloatArray:
        """At any moments, float64 like `times_s`."""
        out: FloatArray = np.interp(times_s, self.times_s, self.values[:, 1])
        return out


@dataclass(frozen=True)
class Arc:
    """A description of mood. whole: what is said of the whole film. parts: what is said of parts of it.

    unknown: the words that were not understood.
    """

    whole: tuple[Phrase, ...] = ()
    parts: tuple[Part, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def understood(self) -> bool:
        return bool(self.whole or self.parts)

    def spans(self, duration_s: float) -> list[tuple[float, float]]:
        """First and last second of each part; equal where a part lies after the film's end."""
        out: list[tuple[float, float]] = []
        first = 0
        while first < len(self.parts):
            last = first + 1
            while last < len(self.parts) and self.parts[last].link is not None:
                last += 1
            following = self.parts[last] if last < len(self.parts) else None
            out += _chain(self.parts[first:last], following, out[-1][1] if out else 0.0, duration_s)
            first = last
        return out

    def course(self, duration_s: float, otherwise: tuple[float, float]) -> Course:
        """The mood from second to second.

        otherwise: (valence, arousal) where nothing is said, before and after the parts. Between two parts
        the mood goes evenly from one to the other, unless words hold for the whole film.
        """
        times = np.linspace(0.0, duration_s, max(2, round(duration_s / _STEP_S) + 1))
        base = np.array(mean_of(self.whole) if self.whole else otherwise)
        values = np.full((len(times), 2), np.nan)
        spans = self.spans(duration_s)
        for index in sorted(range(len(spans)), key=lambda each: spans[each][0]):
            (start_s, end_s), part = spans[index], self.parts[index]
            inside = (times >= start_s) & (times <= end_s) & (end_s > start_s)
            target = np.array(mean_of(part.phrases))
            if self.whole:
                target = (1 - _WHOLE) * target + _WHOLE * base
            if part.link == "slowly" and inside.any():
                before = values[max(int(np.argmax(inside)) - 1, 0)]
                before = np.where(np.isnan(before), base, before)
                share = np.clip((times[inside] - start_s) / (_ARRIVED * (end_s - start_s)), 0.0, 1.0)
                values[inside] = before + share[:, None] * (target - before)
            else:
                values[inside] = target
        said = np.flatnonzero(~np.isnan(values[:, 0]))
        if len(said) and not self.whole:
            between = slice(said[0], said[-1] + 1)
            for column in (0, 1):
                values[between, column] = np.interp(times[between], times[said], values[said, column])
        values = np.where(np.isnan(values), base, values)
        return Course(times, _eased(values, duration_s) if self.parts else values)

    def turns_s(self, duration_s: float) -> list[float]:
        """Where parts begin and end inside the film, ascending, in seconds."""
        edges = {
            each for start_s, end_s in self.spans(duration_s) if end_s > start_s for each in (start_s, end_s)
        }
        return sorted(edges - {0.0, duration_s})

    def lines(self, duration_s: float, starts_s: Sequence[float]) -> list[str]:
        """What was understood, a line a word; of words for a part also when, and in which sections.

        starts_s: where the sections begin.
        """
        out = [phrase.line for phrase in self.whole]
        edges = [*starts_s, duration_s]
        for part, (start_s, end_s) in zip(self.parts, self.spans(duration_s), strict=True):
            here = [
                number
                for number, (a, b) in enumerate(itertools.pairwise(edges), start=1)
                if min(b, end_s) - max(a, start_s) > 0.5 * min(b - a, end_s - start_s)
            ]
            where = (
                f"section{'s' * (len(here) > 1)} {'-'.join(str(n) for n in sorted({*here[:1], *here[-1:]}))}"
            )
            when = f"{start_s:.1f}-{end_s:.1f} s" + (f", {where}" if here else "")
            slow = "slowly, " if part.link == "slowly" else ""
            out += [f"{phrase.line} ({slow}{when})" for phrase in part.phrases if end_s > start_s]
        return out

    def warnings(self, duration_s: float) -> list[str]:
        """Words not understood, with the word nearest in spelling; parts after the film's end."""
        out = []
        for word in dict.fromkeys(self.unknown):
            like = nearest(word)
            advice = "" if like is None else f"; the nearest known word is {like!r}"
            out.append(f"mood: {word!r} is not known and counts for nothing{advice}")
        for part, (start_s, end_s) in zip(self.parts, self.spans(duration_s), strict=True):
            if end_s <= start_s:
                words = ", ".join(phrase.words for phrase in part.phrases)
                out.append(
                    f"mood: {words}: counts for nothing, since the time said is empty or outside the film"
                )
        return out


def read_arc(text: str, readings: Sequence[MoodReading] = ()) -> Arc:
    """The mood a text describes, with what it says of time.

    Times stand before or after their words ("at first sad", "sad at first"); said before, they hold for the
    words after a comma too. "then", "until", "turning" and the like begin the next part, "building to",
    "gradually" and the like one that is slowly reached. Words without a time are for the whole film, unless
    one of these follows them.
    """
    reader = _Reader()
    items = list(read_words(text, readings))
    for item in items:
        reader.take(item)
    parts = reader.finish()
    whole: list[Phrase] = []
    timed: list[Part] = []
    for part, after in itertools.zip_longest(parts, parts[1:]):
        leads = after is not None and after.link is not None
        everywhere = part.span is not None and part.span == _EVERYWHERE
        if part.link is None and not leads and (part.span is None or everywhere):
            whole += part.phrases
        else:
            timed.append(part)
    unknown = tuple(item.word for item in items if isinstance(item, Unknown))
    return Arc(tuple(whole), tuple(timed), unknown)


_EVERYWHERE: Final = next(item for item in read_words("throughout") if isinstance(item, Span))


class _Reader:
    """Items in, parts out."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.current = Part()
        self.goes_on = False  # words without a time belong to the part before
        self.is_way = False  # after "from"

    def take(self, item: Item) -> None:
        if isinstance(item, Phrase):
            self.current.phrases.append(item)
        elif isinstance(item, Span):
            self._time(item)
        elif isinstance(item, Turn):
            self._turn(item)
        elif isinstance(item, Break):
            self._close()
            self.goes_on = self.goes_on and not item.full

    def finish(self) -> list[Part]:
        self._close()
        if self.current.span is not None and self.parts and self.parts[-1].span is None:
            self.parts[-1].span = self.current.span  # "hopeful, at the end"
        out: list[Part] = []
        for part in self.parts:
            if out and part.bare and out[-1].bare:
                out[-1].phrases += part.phrases
            else:
                out.append(part)
        return out

    def _time(self, span: Span) -> None:
        part = self.current
        if part.phrases and part.span is None:
            part.span = span
            self._close()
            self.goes_on = False
        elif part.phrases and part.span is not None and part.span.end is None and span.start is None:
            part.span = replace(part.span, end=span.end)  # "from 0:30 tense until 1:00"
        else:
            self._close()
            self.current.span, self.current.led = span, True

    def _turn(self, turn: Turn) -> None:
        if turn.how == "from":
            self.is_way = True
        elif turn.how != "to" or (self.is_way and self.current.phrases):
            self._close()
            self.current = Part(link="then" if turn.how == "then" else "slowly")
            self.goes_on = self.is_way = False

    def _close(self) -> None:
        part = self.current
        if not part.phrases:
            return
        if self.parts and part.bare and self.goes_on:
            self.parts[-1].phrases += part.phrases
        else:
            self.parts.append(part)
            self.goes_on = part.led or part.link is not None
        self.current = Part()


def _chain(
    parts: Sequence[Part], following: Part | None, since_s: float, duration_s: float
) -> list[tuple[float, float]]:
    """First and last second of parts that follow each other.

    following: the part after them. since_s: where the part before them ends. What is not said is shared
    out evenly. A beginning ("at first") lasts until the next part of the chain begins.
    """
    count = len(parts)
    starts = [_said(part, "start", duration_s) for part in parts]
    ends = [_said(part, "end", duration_s) for part in parts]
    if count > 1 and starts[0] == 0.0 and parts[0].span is not None and _is_share(parts[0].span):
        ends[0] = None
    edges: list[float | None] = [
        starts[0],
        *(a if b is None else b for a, b in zip(ends, starts[1:], strict=False)),
    ]
    if edges[0] is None:
        first_end = next((each for each in [*ends, *starts[1:]] if each is not None), duration_s)
        edges[0] = since_s if since_s < first_end else 0.0
    last = ends[-1]
    if last is None:
        after = None if following is None else _said(following, "start", duration_s)
        begun = max(each for each in edges if each is not None)
        last = after if after is not None and after > begun else duration_s
    edges.append(last)
    known = {index: each for index, each in enumerate(edges) if each is not None}
    filled = np.interp(range(count + 1), list(known), list(known.values())).tolist()
    return [
        (filled[k] if start is None else start, filled[k + 1] if end is None else end)
        for k, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def _said(part: Part, name: Literal["start", "end"], duration_s: float) -> float | None:
    moment = None if part.span is None else getattr(part.span, name)
    return None if moment is None else moment.at(duration_s)


def _is_share(span: Span) -> bool:
    """Whether this is a rough place of the film and not a time on the clock."""
    return span.start is not None and span.end is not None and not span.start.seconds and not span.end.seconds


def _eased(values: FloatArray, duration_s: float) -> FloatArray:
    """The curve with steps made into slopes."""
    reach = max(1, round(min(_CHANGE_S, _CHANGE_SHARE * duration_s) / _STEP_S / 2))
    kernel = np.full(2 * reach + 1, 1.0 / (2 * reach + 1))
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel, mode="valid") for column in padded.T], axis=1)
