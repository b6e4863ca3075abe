"""Plain text subtitles from one container's form to another's, where a film changes its container."""

from __future__ import annotations

import re
import struct
from typing import Final

# What PyAV calls them. In Matroska and WebM a packet is the text itself, in mp4 and mov (3GPP TS 26.245)
# its length in two bytes comes before it.
TEXT_CODECS: Final = frozenset({"mov_text", "srt", "subrip", "text", "webvtt"})
FORM_OF: Final = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
_TAGS: Final = re.compile(r"</?[A-Za-z][^>]*>|\{\\[^}]*\}")


def convert(data: bytes, codec: str, wanted: str) -> bytes:
    """One packet in the wanted form; empty where it holds no text (mp4 fills pauses with such)."""
    if codec == "mov_text":
        length = int.from_bytes(data[:2], "big")
        text = data[2 : 2 + length]
    else:
        text = data
    if wanted != "mov_text" or not text:
        return text
    plain = _TAGS.sub("", text.decode("utf-8", "replace")).encode()[:0xFFFF]
    return struct.pack(">H", len(plain)) + plain
