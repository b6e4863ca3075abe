"""Caption files as they are found in the world: what is read, and what is said where one is broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diffbgm.errors import InputError
from diffbgm.features.captions import Caption, read_captions

TWO = [Caption(1.0, 2.5, "A dog runs."), Caption(3.0, 4.0, "It rains.")]


def read(tmp_path: Path, name: str, content: str | bytes) -> list[Caption]:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_captions(path))


SRT = "1\n00:00:01,000 --> 00:00:02,500\nA dog runs.\n\n2\n00:00:03,000 --> 00:00:04,000\nIt rains.\n"
VTT = "WEBVTT\n\n00:01.000 --> 00:02.500\nA dog runs.\n\n00:03.000 --> 00:04.000\nIt rains.\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.srt", SRT),
        ("crlf.srt", SRT.replace("\n", "\r\n")),
        ("cr.srt", SRT.replace("\n", "\r")),
        ("bom.srt", b"\xef\xbb\xbf" + SRT.encode()),
        ("utf16.srt", SRT.encode("utf-16")),
        ("utf16be.srt", b"\xfe\xff" + SRT.encode("utf-16-be")),
        ("dots.srt", SRT.replace(",", ".")),
        ("no numbers.srt", SRT.replace("1\n00:", "00:").replace("2\n00:", "00:")),
        ("no hours.srt", SRT.replace("00:00:", "00:")),
        ("no empty line.srt", SRT.replace("\n\n", "\n")),
        ("many empty lines.srt", "\n\n" + SRT.replace("\n\n", "\n\n\n  \n")),
        ("empty line after the number.srt", SRT.replace("1\n00", "1\n\n00").replace("2\n00", "2\n\n00")),
        ("empty line in the words.srt", SRT.replace("A dog", "A\n\ndog")),
        ("no line end.srt", SRT.rstrip()),
        ("positions.srt", SRT.replace("02,500", "02,500  X1:10 X2:20 Y1:5 Y2:9")),
        ("tags.srt", SRT.replace("A dog runs.", '{\\an8}<i>A</i> <font color="#fff">dog\nruns.</font>')),
        ("close.srt", SRT.replace(" --> ", "-->")),
        ("short fractions.srt", SRT.replace("02,500", "02,5").replace("04,000", "4")),
        ("out of order.srt", "\n\n".join(reversed(SRT.strip().split("\n\n")))),
        ("no words.srt", SRT + "\n3\n00:00:05,000 --> 00:00:06,000\n\n"),
        ("header.srt", VTT),
        ("plain.vtt", VTT),
        ("hours.vtt", VTT.replace("00:0", "00:00:0")),
        ("bom.vtt", b"\xef\xbb\xbf" + VTT.encode()),
        ("title.vtt", VTT.replace("WEBVTT", "WEBVTT - a film\nKind: captions", 1)),
        ("names.vtt", VTT.replace("00:01.000", "first scene\n00:01.000", 1)),
        ("settings.vtt", VTT.replace("02.500", "02.500 line:0 position:20% align:start")),
        ("voices.vtt", VTT.replace("A dog", "<v.loud Ann>A <00:01.500><c>dog</c></v>")),
        ("notes.vtt", VTT.replace("00:03", "NOTE 00:01 --> 00:02\nnothing\n\nSTYLE\n::cue {}\n\n00:03")),
        ("plain.json", json.dumps([vars(each) for each in TWO])),
        ("bom.JSON", b"\xef\xbb\xbf" + json.dumps([vars(each) for each in TWO]).encode()),
    ],
)
def test_the_same_two_captions(tmp_path: Path, name: str, content: str | bytes) -> None:
    assert read(tmp_path, name, content) == TWO


def test_overlapping_captions_stay_and_entities_are_read(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "film.vtt",
        "WEBVTT\n\n00:01.000 --> 00:09.000\nTom &amp; Jerry &lt;3\n\n100:00:02.000 --> 100:00:03.000\n42\n\n"
        "00:02.000 --> 00:03.000\nx < y\n",
    )
    assert found == [
        Caption(1.0, 9.0, "Tom & Jerry <3"),
        Caption(2.0, 3.0, "x < y"),
        Caption(360_002.0, 360_003.0, "42"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.srt", SRT.replace("02,500", "0x,500"), r"line 2: expected times such as .* found '00:00:01,000"),
        ("x.srt", SRT.replace("00:00:04,000", ""), r"line 6: expected times"),
        ("x.srt", SRT.replace("--> 00:00:04", "-> 00:00:04"), r"line 5: expected times"),
        ("x.srt", SRT.replace("00:00:04", "00:00:02"), r"line 6: the caption ends before it begins"),
        ("x.srt", SRT.replace("00:00:04", "00:61:04"), r"line 6: expected times"),
        ("x.srt", "hello\nworld\n", r"line 1: expected times .* found 'hello'"),
        ("x.srt", "", r"holds no captions"),
        ("x.srt", SRT.replace("dog", "Hündin").encode("latin-1"), r"line 3: is not UTF-8"),
        ("x.srt", b"\xff\xfe\x00", r"line 1: is not UTF-8"),
        ("x.vtt", SRT, r"line 1: a \.vtt file begins with WEBVTT"),
        ("x.vtt", "WEBVTT\n", r"holds no captions"),
        ("x.txt", SRT, r"captions are read from \.srt, \.vtt, \.json files"),
        ("x.json", "[", r"line 1: is not JSON"),
        ("x.json", "{}", r"expected a list of"),
        ("x.json", "[]", r"holds no captions"),
        ("x.json", '[{"start_s": 0, "end_s": 1}]', r"entry 0: expected the fields start_s, end_s and text"),
        ("x.json", '[{"start_s": 0, "end_s": 1, "text": "a", "who": 1}]', r"entry 0: expected the fields"),
        ("x.json", '[{"start_s": "0", "end_s": 1, "text": "a"}]', r"entry 0: start_s is '0'"),
        ("x.json", '[{"start_s": true, "end_s": 1, "text": "a"}]', r"entry 0: start_s is True"),
        ("x.json", '[{"start_s": 0, "end_s": NaN, "text": "a"}]', r"entry 0: end_s is nan"),
        ("x.json", '[{"start_s": 0, "end_s": Infinity, "text": "a"}]', r"entry 0: end_s is inf"),
        ("x.json", '[{"start_s": 2, "end_s": 1, "text": "a"}]', r"entry 0: the caption ends before"),
        ("x.json", '[{"start_s": 0, "end_s": 1, "text": " "}]', r"entry 0: text is ' ', expected words"),
    ],
)
def test_a_broken_file_is_told_in_one_line(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(InputError, match=rf"x\.\w+(, |: ){message}") as caught:
        read(tmp_path, name, content)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.srt: cannot be read \(No such file"):
        read_captions(tmp_path / "no.srt")
