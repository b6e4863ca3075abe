"""Words with their times, from a MIDI file's lyric events or from a .lrc or .srt file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Final

from diffbgm.data.annotation.music import Lyric
from diffbgm.errors import InputError

_LONGEST_S: Final = 10.0
"""Nothing in these files but subtitles says when a line ends; none is taken to be sung longer."""

_LRC_TIME: Final = re.compile(r"\[(\d+):(\d+(?:[.:]\d+)?)\]")
_LRC_OFFSET: Final = re.compile(r"\[offset:\s*([+-]?\d+)\s*\]", re.IGNORECASE)
_SRT_TIME: Final = re.compile(r"(\d+):(\d+):(\d+)[,.](\d+)\s*-->\s*(\d+):(\d+):(\d+)[,.](\d+)")
_WORD_TIME: Final = re.compile(r"<\d+:\d+(?:[.:]\d+)?>")


def read_lyrics(path: Path) -> tuple[Lyric, ...]:
    """Lines of a .lrc or .srt file in UTF-8, in the order of their beginnings.

    Raises InputError for another kind of file, one that cannot be read, or one without timed lines.
    """
    readers = {".lrc": _lines_of_lrc, ".srt": _lines_of_srt}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path}: lyrics are read from .lrc or .srt files")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot read the lyrics ({error}); expected a text file in UTF-8"
        ) from error
    lyrics = readers[path.suffix.lower()](text)
    if not lyrics:
        raise InputError(f"{path}: no line with a time in it, such as [00:12.34] in .lrc")
    return lyrics


def lyrics_of_events(events: Iterable[tuple[float, str]], end_s: float) -> tuple[Lyric, ...]:
    """Syllables of lyric events, (second, text), each until the next one, at most 10 s; blank ones end the
    one before."""
    ordered = sorted(events, key=lambda event: event[0])
    return (
        tuple(
            Lyric(start, min(end, start + _LONGEST_S), text.strip())
            for (start, text), (end, _) in pairwise([*ordered, (max(end_s, ordered[-1][0] + 0.5), "")])
            if text.strip() and end > start
        )
        if ordered
        else ()
    )


def _lines_of_lrc(text: str) -> tuple[Lyric, ...]:
    offset = _LRC_OFFSET.search(text)
    earlier_s = int(offset[1]) / 1000 if offset else 0.0  # positive: the words come sooner
    events = []
    for line in text.splitlines():
        words = _WORD_TIME.sub("", _LRC_TIME.sub("", line)).strip()
        for minutes, seconds in _LRC_TIME.findall(line):
            at = 60 * int(minutes) + float(seconds.replace(":", ".")) - earlier_s
            events.append((max(at, 0.0), words))
    return lyrics_of_events(events, max((at for at, _ in events), default=0.0) + _LONGEST_S)


def _lines_of_srt(text: str) -> tuple[Lyric, ...]:
    lyrics = []
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").strip()):
        time = _SRT_TIME.search(block)
        if time is None:
            continue
        words = " ".join(block[time.end() :].split())
        start, end = (_seconds(time.groups()[k : k + 4]) for k in (0, 4))
        if words and end > start:
            lyrics.append(Lyric(start, end, words))
    return tuple(sorted(lyrics, key=lambda lyric: lyric.start_s))


def _seconds(parts: tuple[str, ...]) -> float:
    hours, minutes, seconds, fraction = parts
    return 3600 * int(hours) + 60 * int(minutes) + float(f"{seconds}.{fraction}")
