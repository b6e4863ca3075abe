"""Captions that a person gives: SubRip (.srt), WebVTT (.vtt) or JSON. Needs nothing but the base install.

Read leniently where files differ (byte order mark, line ends, missing numbers and hours, comma or dot, tags
and positions), and strictly where something would be lost: whatever looks like a caption and cannot be read
ends in an error that names the line.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from diffbgm.errors import InputError

_ARROW: Final = "-->"
_TIME: Final = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,6}))?")
_TAGS: Final = re.compile(r"</?[A-Za-z0-9][^>]*>|\{\\[^}]*\}")  # <i>, <v Name>, <00:01.000>, {\an8}
_NUMBER: Final = re.compile(r"\d+")
_LIKE_TIMES: Final = re.compile(r"\d+:\d[\d:.,]*\s*\W+\s*\d+:\d")
_COMMENTS: Final = ("NOTE", "STYLE", "REGION")
_EXPECTED: Final = "expected times such as 00:00:01,000 --> 00:00:02,500"
_SUFFIXES: Final = (".srt", ".vtt", ".json")
_FIELDS: Final = {"start_s", "end_s", "text"}


@dataclass(frozen=True)
class Caption:
    """What is to be seen from `start_s` to `end_s`, seconds from the first video frame, in words."""

    start_s: float
    end_s: float
    text: str


def read_captions(path: Path) -> tuple[Caption, ...]:
    """The captions of a file, in order of their start; those that overlap stay as they are.

    .srt and .vtt: tags and positions are taken out, captions without words left out. .json: a list of objects
    `{"start_s": 0.0, "end_s": 2.5, "text": "..."}`. Text is UTF-8, or UTF-16 with a byte order mark.
    Raises InputError, one line, that names the file and the line or entry that cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise InputError(f"{path}: captions are read from {', '.join(_SUFFIXES)} files")
    text = _text(path)
    found = _of_json(path, text) if suffix == ".json" else _of_cues(path, text)
    if not found:
        raise InputError(f"{path}: holds no captions")
    return tuple(sorted(found, key=lambda caption: (caption.start_s, caption.end_s)))


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: is not UTF-8; save the file in that encoding") from error


def _of_cues(path: Path, text: str) -> list[Caption]:
    """Blocks of lines with an empty line between them, each with a name, the times, and the words."""
    is_vtt = text.startswith("WEBVTT")
    if path.suffix.lower() == ".vtt" and not is_vtt:
        raise InputError(f"{path}, line 1: a .vtt file begins with WEBVTT")
    cues: list[tuple[float, float, list[str]]] = []
    for first, block in _blocks(text):
        if is_vtt and (first == 1 or block[0].split(maxsplit=1)[0] in _COMMENTS):
            continue
        arrows = [at for at, line in enumerate(block) if _ARROW in line]
        if arrows[:1] in ([0], [1]):
            for at, after in zip(arrows, [*arrows[1:], None], strict=True):
                words = block[at + 1 : after]
                if after is not None and words and _NUMBER.fullmatch(words[-1]):
                    words.pop()  # of the next one, which follows without an empty line
                cues.append((*_times(path, block[at], first + at), words))
        elif _NUMBER.fullmatch(block[0]) and len(block) == 1:
            continue  # a name, with an empty line between it and its times
        elif not cues or any(_LIKE_TIMES.match(line) or _ARROW in line for line in block):
            raise InputError(f"{path}, line {first}: {_EXPECTED}, found {block[0]!r}")
        else:
            cues[-1][2].extend(block)  # words after an empty line
    captions = [Caption(start_s, end_s, _plain(words)) for start_s, end_s, words in cues]
    return [caption for caption in captions if caption.text]


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Runs of lines that are not empty, stripped, each with the number of its first line, from 1."""
    block: list[str] = []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate([*lines, ""], start=1):
        if line.strip():
            block.append(line.strip())
        elif block:
            yield number - len(block), block
            block = []


def _plain(words: list[str]) -> str:
    return " ".join(html.unescape(_TAGS.sub("", " ".join(words))).split())


def _times(path: Path, line: str, number: int) -> tuple[float, float]:
    before, after = line.split(_ARROW, 1)
    ends = after.split()  # positions may follow
    start_s, end_s = _seconds(before.strip()), _seconds(ends[0] if ends else "")
    if start_s is None or end_s is None:
        raise InputError(f"{path}, line {number}: {_EXPECTED}, found {line!r}")
    if end_s <= start_s:
        raise InputError(f"{path}, line {number}: the caption ends before it begins, {line!r}")
    return start_s, end_s


def _seconds(text: str) -> float | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds, fraction = match.groups()
    if int(minutes) >= 60 or int(seconds) >= 60:
        return None
    return 3600.0 * int(hours or 0) + 60 * int(minutes) + int(seconds) + float(f"0.{fraction or 0}")


def _of_json(path: Path, text: str) -> list[Caption]:
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}: is not JSON ({error.msg})") from error
    if not isinstance(entries, list):
        raise InputError(f'{path}: expected a list of {{"start_s": 0.0, "end_s": 2.5, "text": "..."}}')
    return [_entry(path, entry, index) for index, entry in enumerate(entries)]


def _entry(path: Path, entry: Any, index: int) -> Caption:
    where = f"{path}, entry {index}"
    if not isinstance(entry, dict) or set(entry) != _FIELDS:
        raise InputError(f"{where}: expected the fields start_s, end_s and text and no others")
    for name in ("start_s", "end_s"):
        value = entry[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value < math.inf:
            raise InputError(f"{where}: {name} is {value!r}, expected seconds from the first frame")
    if entry["end_s"] <= entry["start_s"]:
        raise InputError(f"{where}: the caption ends before it begins")
    if not isinstance(entry["text"], str) or not entry["text"].strip():
        raise InputError(f"{where}: text is {entry['text']!r}, expected words")
    return Caption(float(entry["start_s"]), float(entry["end_s"]), " ".join(entry["text"].split()))
