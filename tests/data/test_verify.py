from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from diffbgm.data.annotation.grid import Tones
from diffbgm.data.pop909 import read_tones
from diffbgm.data.verify import verify
from diffbgm.data.verify_beats import Bars, check_beats, check_intervals, interval_ratios
from diffbgm.data.verify_pop909 import check_pop909, check_song, is_pop909, read_index
from diffbgm.data.verify_report import CHECKS, Report, finding, summary
from diffbgm.errors import InputError

from .songs import LEAD_S, Made, make_song, write_pop909

Rows = Callable[[list[list[str]]], list[list[str]]]


@pytest.fixture(scope="module")
def in_four() -> Made:
    return make_song(1, n_bars=48)


@pytest.fixture(scope="module")
def in_three() -> Made:
    return make_song(2, n_bars=48, beats_per_bar=3, key=5)


@pytest.fixture
def song(in_four: Made, tmp_path: Path) -> Path:
    return write_pop909(in_four, tmp_path / "POP909" / "001")


def edit(path: Path, change: Rows) -> None:
    rows = [line.split() for line in path.read_text().splitlines()]
    path.write_text("".join("\t".join(row) + "\n" for row in change(rows)))


def checks(folder: Path, beats_per_bar: int | None = 2) -> dict[str, str]:
    """Kind and message of each finding; every kind is a documented one."""
    found, _ = check_song(folder, beats_per_bar)
    assert {each.check for each in found} <= CHECKS.keys()
    assert {each.item for each in found} <= {folder.name}
    return {each.check: each.message for each in found}


def test_nothing_is_found_in_sound_songs(song: Path, in_three: Made, tmp_path: Path) -> None:
    assert checks(song) == {}
    assert checks(song, None) == {}
    assert checks(write_pop909(in_three, tmp_path / "002"), 3) == {}


def test_missing_beats_are_a_gap_and_a_ritardando_is_none(song: Path) -> None:
    edit(song / "beat_midi.txt", lambda rows: rows[:70] + rows[71:])
    assert checks(song)["beat_gap"].startswith("1 gaps, the first 2.00 beats long at 41.90 s")
    slower = np.cumsum(np.concatenate([np.full(100, 0.6), 0.6 * 1.08 ** np.arange(12)]))
    assert check_intervals("x", slower) == []
    assert interval_ratios(slower).max() < 1.5
    at_the_end = np.append(np.arange(100) * 0.6, 61.0)
    assert [each.check for each in check_intervals("x", at_the_end)] == ["beat_gap"]


def test_beats_that_are_too_early_or_unsteady() -> None:
    extra = np.sort(np.append(np.arange(100) * 0.6, 30.25))
    assert [each.check for each in check_intervals("x", extra)] == ["beat_irregular"]
    tremble = np.arange(100) * 0.6 + np.random.default_rng(0).normal(0, 0.06, 100)
    assert "beat_irregular" in {each.check for each in check_intervals("x", tremble)}


@pytest.mark.parametrize(
    ("beats", "kind"),
    [
        (lambda at: at + 0.06, "they lie -0.1"),
        (lambda at: LEAD_S + (at - LEAD_S) * 1.012, "the beats drift, as their tempo is 1.20% too slow"),
        (lambda at: at + np.where(at > 55, 0.03, -0.03), "parts of the song are shifted"),
    ],
)
def test_beats_off_the_notes(song: Path, in_four: Made, beats: Callable[..., np.ndarray], kind: str) -> None:
    at = beats(in_four.beats_s)
    found = check_beats("x", read_tones(song / "001.mid"), _bars(at))
    assert [each.check for each in found if each.check != "beats_short"] == ["off_grid"]
    assert kind in found[-1].message


def test_notes_played_freely_are_on_no_grid(song: Path, in_four: Made) -> None:
    tones = read_tones(song / "001.mid")
    free = tones.start_s + np.random.default_rng(0).uniform(0, 0.6, len(tones))
    found = check_beats("x", replace_start(tones, free), _bars(in_four.beats_s))
    assert "no regular grid" in next(each.message for each in found if each.check == "off_grid")


def replace_start(tones: Tones, start_s: np.ndarray) -> Tones:
    return replace(tones, start_s=start_s, end_s=start_s + (tones.end_s - tones.start_s))


def _bars(beats_s: np.ndarray, first: int = 0, per_bar: int = 4) -> Bars:
    return Bars(
        np.append(beats_s, 2 * beats_s[-1] - beats_s[-2]),
        (np.arange(len(beats_s)) - first) % per_bar == 0,
        per_bar,
    )


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_bars_that_begin_on_another_beat(song: Path, shift: int) -> None:
    def moved(rows: list[list[str]]) -> list[list[str]]:
        return [[row[0], row[1], str(float(k % 4 == shift))] for k, row in enumerate(rows)]

    edit(song / "beat_midi.txt", moved)
    message = checks(song)["bar_phase"]
    assert "48 of 48 bars" in message or "47 of 47 bars" in message
    assert f"{4 - shift} beats later" in message


def test_bars_that_go_wrong_in_the_middle(song: Path) -> None:
    edit(
        song / "beat_midi.txt",
        lambda rows: [
            [row[0], row[1], str(float((k % 4 == 0 and k < 96) or (k >= 98 and k % 4 == 2)))]
            for k, row in enumerate(rows)
        ],
    )
    found = checks(song)
    assert "24 of 48 bars begin on the wrong beat" in found["bar_phase"]
    assert found["bar_length"].startswith("1 of 47 bars")


def test_metre(song: Path, in_three: Made, tmp_path: Path) -> None:
    assert "declared in three, the notes are in two or four" in checks(song, 3)["metre"]
    waltz = write_pop909(in_three, tmp_path / "002")
    assert "declared in two or four, the notes are in three" in checks(waltz, 2)["metre"]


@pytest.mark.parametrize(
    "name", ["beat_midi.txt", "beat_audio.txt", "chord_midi.txt", "key_audio.txt", "001.mid"]
)
def test_files_that_are_missing_or_broken(song: Path, name: str) -> None:
    whole = (song / name).read_bytes()
    (song / name).write_bytes(b"")
    assert name in checks(song)["file_broken"]
    (song / name).write_bytes(b"one two\n" + whole[:20])
    assert "file_broken" in checks(song)
    (song / name).unlink()
    assert name in checks(song)["file_missing"]


def test_rows_that_contradict_one_another(song: Path) -> None:
    edit(song / "chord_midi.txt", lambda rows: rows[:5] + rows[6:])
    assert "a gap or an overlap at" in checks(song)["file_broken"]
    edit(song / "chord_midi.txt", lambda rows: [[*row[:2], "H:maj"] for row in rows[:5]])
    assert "chord 'H:maj'" in checks(song)["file_broken"]


def test_beats_out_of_order(song: Path) -> None:
    edit(song / "beat_midi.txt", lambda rows: [rows[1], rows[0], *rows[2:]])
    assert "times do not rise" in checks(song)["file_broken"]


def test_chords_and_keys_of_another_song(song: Path) -> None:
    edit(song / "chord_midi.txt", lambda rows: [[*row[:2], "F#:maj"] for row in rows])
    assert "chords_off" in checks(song)
    edit(song / "key_audio.txt", lambda rows: [["0", "200", "F#:maj"]])
    assert "key_off" in checks(song)
    edit(song / "key_audio.txt", lambda rows: [["0", "200", "F#:dorian"]])
    assert "unknown key" in checks(song)["file_broken"]


def test_the_recordings_beats(song: Path) -> None:
    path = song / "beat_audio.txt"
    whole = path.read_text()
    edit(path, lambda rows: [r for a, b in pairwise(rows) for r in (a, [_middle(a, b), "2.0"])])
    assert "2.00 times the tempo" in checks(song)["audio_tempo"]
    path.write_text(whole)
    edit(path, lambda rows: [[f"{float(row[0]) + 0.2:.2f}", row[1]] for row in rows])
    assert "audio_off" in checks(song)
    path.write_text(whole)
    edit(path, lambda rows: [*rows, *([f"{116 + k}", "1.0"] for k in range(20))])
    assert "after the notes" in checks(song)["audio_extent"]


def test_a_recording_in_another_key(song: Path) -> None:
    up = {"C:maj": "Db:maj", "A:min": "Bb:min", "F:maj": "Gb:maj", "G:maj": "Ab:maj", "D:min": "Eb:min"}
    edit(song / "chord_audio.txt", lambda rows: [[*row[:2], up[row[2]]] for row in rows])
    assert "lie +1 semitones from those of the notes, 100% of the time" in checks(song)["transposed"]


def _middle(row: list[str], following: list[str]) -> str:
    return f"{(float(row[0]) + float(following[0])) / 2:.2f}"


def test_the_recordings_metre(in_three: Made, tmp_path: Path) -> None:
    folder = write_pop909(in_three, tmp_path / "002")
    edit(folder / "beat_audio.txt", lambda rows: [[row[0], str(1.0 + k % 4)] for k, row in enumerate(rows)])
    assert "counts to 4" in checks(folder, 3)["audio_metre"]


def test_tracks(in_four: Made, tmp_path: Path) -> None:
    quiet = replace(in_four, notes=tuple(note for note in in_four.notes if note[4] != 1 or note[0] > 185))
    assert "BRIDGE has" in checks(write_pop909(quiet, tmp_path / "001"))["track_empty"]
    even = replace(in_four, notes=tuple((*note[:3], 80, note[4]) for note in in_four.notes))
    assert "velocity 80" in checks(write_pop909(even, tmp_path / "002"))["velocity_constant"]
    mute = replace(in_four, notes=tuple(note for note in in_four.notes if note[4] != 0))
    found, _ = check_song(write_pop909(mute, tmp_path / "003"), 2)
    assert [each.severity for each in found if each.check == "track_empty"] == ["error"]
    short = replace(in_four, notes=in_four.notes + tuple((k + 0.5, 0.002, 90, 60, 1) for k in range(9)))
    assert "notes_short" in checks(write_pop909(short, tmp_path / "004"))


def test_beats_that_end_before_the_notes(song: Path) -> None:
    edit(song / "beat_midi.txt", lambda rows: rows[:150])
    assert "lie outside the beats" in checks(song)["beats_short"]


def write_index(folder: Path, metres: dict[str, int]) -> None:
    def row(cells: tuple[str, ...]) -> str:
        return "<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in cells) + "</row>"

    rows = [row(("song_id", "name", "num_beats_per_measure"))]
    rows += [row((name, "x", str(beats))) for name, beats in metres.items()]
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    sheet = f'<worksheet xmlns="{space}"><sheetData>{"".join(rows)}</sheetData></worksheet>'
    with zipfile.ZipFile(folder / "index.xlsx", "w") as book:
        book.writestr("xl/worksheets/sheet1.xml", sheet)


@pytest.fixture
def pop909(in_four: Made, in_three: Made, tmp_path: Path) -> Path:
    """Songs 001 in four, 002 in three, 003 and 019: other tunes."""
    folder = tmp_path / "POP909"
    made = {"001": in_four, "002": in_three, "003": make_song(3, n_bars=48), "019": make_song(9, n_bars=48)}
    for name, song in made.items():
        write_pop909(song, folder / name)
    write_index(folder, {"001": 2, "002": 3, "003": 2, "019": 2})
    return folder


def test_a_clean_folder(pop909: Path, diffbgm: Callable[..., object]) -> None:
    assert is_pop909(pop909)
    run = diffbgm("dataset", "verify", pop909.parent, "--json")
    assert run.code == 0, run.out
    told = json.loads(run.out)
    assert told["kind"] == "pop909"
    assert told["items"] == 4
    assert told["findings"] == []


def test_covers_within_and_across_the_splits(
    pop909: Path, in_four: Made, tmp_path: Path, diffbgm: Callable[..., object]
) -> None:
    cover = make_song(1, n_bars=48, key=3, bpm=88)
    write_pop909(cover, pop909 / "004")
    write_pop909(cover, pop909 / "029")
    run = diffbgm("dataset", "verify", pop909, "--json")
    assert run.code == 5
    assert "3 of 6 items have errors" in run.err
    told = json.loads(run.out)
    found = {(each["check"], each["item"]): each for each in told["findings"]}
    assert set(found) == {("duplicate", "001, 004"), ("leak", "001, 029"), ("leak", "004, 029")}
    assert found["leak", "001, 029"]["severity"] == "error"
    assert found["leak", "001, 029"]["figures"]["share"] == 1.0
    assert told["by_check"] == {"duplicate": 1, "leak": 2}
    assert told["errors"] == 2
    assert told["warnings"] == 1


def test_an_index_that_cannot_be_read(pop909: Path) -> None:
    assert read_index(pop909 / "index.xlsx") == {"001": 2, "002": 3, "003": 2, "019": 2}
    (pop909 / "index.xlsx").write_bytes(b"PK no workbook")
    with pytest.raises(InputError, match="is not the index of POP909"):
        read_index(pop909 / "index.xlsx")
    _, found = check_pop909(pop909)
    # Without it the metre of the waltz is not known, and it is taken for 4/4 as most songs are.
    assert [each.check for each in found] == ["file_broken", "metre"]
    (pop909 / "index.xlsx").unlink()
    assert [each.check for each in check_pop909(pop909)[1]] == ["file_missing", "metre"]


def test_neither_dataset_nor_pop909(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        verify(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no dataset there"):
        verify(tmp_path)


def test_the_summary_names_kinds_and_items() -> None:
    found = tuple(finding("beat_gap", f"{k:03d}", "x") for k in range(7))
    text = summary(Report("D", "dataset", 9, False, (*found, finding("key_off", "001", "y"))))
    assert text.splitlines() == [
        "D: 9 items, 7 with errors",
        "error   beat_gap              7  000, 001, 002, 003, 004 and 2 more",
        "warning key_off               1  001",
    ]


@pytest.mark.data
def test_songs_of_pop909_that_are_known_to_be_broken(shared: Path, tmp_path: Path) -> None:
    import tarfile

    wanted = {"001": set(), "119": {"beat_gap"}, "326": {"off_grid"}, "203": {"audio_metre"}}
    with tarfile.open(shared / "data" / "POP909.tar.xz") as archive:
        members = [
            each for each in archive if each.name.split("/")[1:2] and each.name.split("/")[1] in wanted
        ]
        archive.extractall(tmp_path, members, filter="data")
    metres = {"203": 3}
    for name, expected in wanted.items():
        found, _ = check_song(tmp_path / "POP909" / name, metres.get(name, 2))
        assert expected <= {each.check for each in found}
        if not expected:
            assert not [each for each in found if each.severity == "error"]


def test_every_kind_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "dataset-verify.md").read_text(encoding="utf-8")
    for name, (severity, meaning) in CHECKS.items():
        assert f"| `{name}` | {severity} | {meaning} |" in text
