from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from diffbgm.data.annotation.chords import chord_evidence
from diffbgm.data.annotation.music import Span
from diffbgm.data.annotation.roles import Part, assign_roles, highest, split_melody
from diffbgm.data.annotation.structure import Bars, estimate_phrases, phrase_letters

from .pieces import Note, block_chords, grid_notes, line

LOOPS = {
    "A": [(0, ""), (9, "m"), (5, ""), (7, ""), (0, ""), (9, "m"), (7, ""), (0, "")],
    "B": [(5, ""), (7, ""), (4, "m"), (9, "m"), (2, "m"), (7, ""), (5, ""), (7, "7")],
}
TUNES = {
    "A": [72, 76, 79, 76, 81, 79, 76, 0, 77, 76, 74, 72, 74, 0, 0, 0] * 2,
    "B": [84, 83, 81, 79, 83, 81, 79, 77, 79, 0, 83, 84, 81, 0, 0, 0] * 2,
}


def piece(form: str, first_beat: int = 0) -> tuple[list[Note], int]:
    """Eight bars a letter: a capital with a melody, a small one the same chords alone."""
    rows: list[Note] = []
    at = first_beat
    for letter in form:
        rows += block_chords(LOOPS[letter.upper()], first_beat=at)
        if letter.isupper():
            rows += line(TUNES[letter], first_beat=at)
        at += 32
    return rows, at


def phrases_of(form: str, first_beat: int = 0) -> tuple[Span, ...]:
    rows, n_beats = piece(form, first_beat)
    notes = grid_notes(rows, n_beats)
    downbeat = (np.arange(n_beats) - first_beat) % 4 == 0
    return estimate_phrases(notes, chord_evidence(notes), downbeat)


@pytest.mark.parametrize("first_beat", [0, 3])
def test_phrases_begin_where_new_or_repeated_material_begins(first_beat: int) -> None:
    found = phrases_of("aABAB", first_beat)
    starts = {p.start_beat for p in found}
    assert starts >= {first_beat + 32 * k for k in range(1, 5)}
    assert found[0].start_beat == 0
    assert found[-1].end_beat == 160 + first_beat
    assert all(a.end_beat == b.start_beat for a, b in pairwise(found))
    assert all((p.end_beat - first_beat) % 4 == 0 for p in found)
    assert all(0 < p.confidence <= 1 for p in found)


def test_letters_say_what_returns_and_whether_there_is_a_melody() -> None:
    found = phrases_of("aABABb")
    at = {
        beat: next(p.label for p in found if p.start_beat <= beat < p.end_beat) for beat in range(0, 192, 32)
    }
    assert at[0] == "i"
    assert at[160] == "o"
    assert at[32] == at[96] == "A"
    assert at[64] == at[128]
    assert at[64].isupper()
    assert at[64] != at[32]


def test_an_instrumental_phrase_does_not_join_two_sung_ones() -> None:
    texture = np.zeros((4, 5))
    texture[[1, 2], 0] = 1.0  # a melody in the second and third phrase, of one bar each
    none = np.zeros((4, 1))
    bars = Bars(np.arange(5) * 4, none, none, none, texture, np.zeros(4))
    alike = np.ones((3, 4, 4))
    alike[:, 1, 2] = alike[:, 2, 1] = 0.3
    assert phrase_letters(bars, alike, np.arange(5)) == ["i", "A", "B", "o"]
    assert phrase_letters(bars, np.ones((3, 4, 4)), np.arange(5)) == ["i", "A", "A", "o"]


def test_a_piece_of_one_bar_or_without_notes_is_one_phrase() -> None:
    for rows in ([], block_chords([(0, "")])):
        notes = grid_notes(rows, 4)
        found = estimate_phrases(notes, chord_evidence(notes), np.array([True, False, False, False]))
        assert [(p.start_beat, p.end_beat, p.label) for p in found] == [(0, 4, "a")]


def part(name: str, rows: list[Note], is_drum: bool = False) -> Part:
    start, end, pitch = (np.array([row[k] for row in rows]) for k in range(3))
    order = np.argsort(start, kind="stable")
    return Part(name, is_drum, start[order] * 0.5, end[order] * 0.5, pitch[order].astype(np.int64))


def test_roles_from_what_is_played() -> None:
    rows, _ = piece("AABA")
    melody, chords = [r for r in rows if r[4] == 0], [r for r in rows if r[4] == 2]
    fills = line([0] * 13 + [83, 84, 86], first_beat=0) + line([0] * 13 + [83, 84, 86], first_beat=48)
    parts = [part("", chords), part("", melody), part("", fills), part("", chords, is_drum=True)]
    assert assign_roles(parts) == ("accompaniment", "melody", "counter", "accompaniment")
    order = [2, 0, 3, 1]
    assert assign_roles([parts[k] for k in order]) == ("counter", "accompaniment", "accompaniment", "melody")


def test_a_name_decides() -> None:
    rows, _ = piece("A")
    melody, chords = [r for r in rows if r[4] == 0], [r for r in rows if r[4] == 2]
    parts = [part("Lead Vocal", chords), part("Piano", melody), part("Vocal counterline", melody)]
    assert assign_roles(parts) == ("melody", "accompaniment", "counter")


def test_tracks_without_notes_accompany() -> None:
    assert assign_roles([part("Melody", []), part("", [], is_drum=True)]) == (
        "accompaniment",
        "accompaniment",
    )
    assert assign_roles([]) == ()


def test_the_highest_line_of_a_merged_track_is_the_melody() -> None:
    rows, _ = piece("AB")
    merged = part("", rows)
    voices = split_melody(merged.start_s, merged.end_s, merged.pitch)
    assert ((voices == 0) == (merged.pitch >= 72)).mean() > 0.85
    sung = {(s, p) for s, _, p, _, voice in rows if voice == 0}
    found = {(s * 2, p) for s, p in zip(merged.start_s[voices == 0], merged.pitch[voices == 0], strict=True)}
    assert sung <= found


def test_highest_minds_what_still_sounds() -> None:
    start = np.array([0.0, 0.01, 1.0, 2.0, 2.0])
    end = np.array([3.0, 0.5, 1.5, 2.5, 2.5])
    pitch = np.array([70, 60, 65, 72, 71])
    assert highest(start, end, pitch).tolist() == [True, False, False, True, False]
    assert highest(start, start + 0.1, pitch).tolist() == [True, False, True, True, False]
