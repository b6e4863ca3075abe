from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffbgm.data.annotation.grid import unpacked
from diffbgm.data.pop909 import read_given
from diffbgm.diffusion.roll import PianoRoll
from diffbgm.metrics.features import windows
from diffbgm.metrics.notes import Notes, build_notes, notes_of_roll
from diffbgm.metrics.novelty import Line, TrainingIndex, find_matches, lines_of
from diffbgm.takes.gate import COPIED_NOTES
from diffbgm.takes.novelty_index import FIGURE, HASH_BITS, NoveltyIndex, shipped_index, voices_of
from tests.metrics.pieces import notes_at, tune

from .conftest import HELD_OUT, LEARNED, Songs
from .pieces import sampled


def melody(pitches: list[int], step: float = 0.5) -> Notes:
    return notes_at([(step * k, step, pitch) for k, pitch in enumerate(pitches)])


def random_melody(seed: int, count: int = 60) -> list[int]:
    return np.random.default_rng(seed).integers(48, 84, count).tolist()


SONGS = [lines_of(melody(random_melody(k))) for k in range(8)]
INDEX = NoveltyIndex.of_lines([line for lines in SONGS for line in lines])
EXACT = TrainingIndex([(str(k), lines) for k, lines in enumerate(SONGS)])


@pytest.mark.parametrize("count", [7, 12, 20])
def test_a_planted_passage_is_found_in_any_key(count: int) -> None:
    stolen = [pitch + 3 for pitch in random_melody(5)[20 : 20 + count]]
    mine = melody(random_melody(99, 24) + stolen + random_melody(98, 25))
    assert INDEX.longest(lines_of(mine)) >= count
    assert INDEX.longest(lines_of(mine)) <= count + 2


def test_what_is_in_no_song_is_not_found() -> None:
    assert INDEX.longest(lines_of(melody(random_melody(77)))) == 0
    assert INDEX.longest(lines_of(melody(random_melody(3), step=0.25))) == 0, "another rhythm"
    assert INDEX.longest([]) == INDEX.longest(lines_of(melody([60, 62, 64]))) == 0


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 7), st.integers(0, 40), st.integers(7, 20), st.integers(0, 1000))
def test_nothing_that_the_exact_search_finds_is_missed(song: int, at: int, count: int, seed: int) -> None:
    pitches = random_melody(seed, 12) + random_melody(song)[at : at + count] + random_melody(seed + 1, 9)
    piece = lines_of(melody(pitches))
    exact = find_matches([piece], EXACT, window_bars=99)[0].notes
    assert INDEX.longest(piece) >= (exact if exact > FIGURE else 0)


def test_passages_do_not_cross_from_line_to_line() -> None:
    halves = [Line(line.symbols[:4], line.at_q[:4]) for line in SONGS[0] * 2]
    assert INDEX.longest(halves) == 0


def test_the_shipped_index_is_small_and_sparse() -> None:
    index = shipped_index()
    assert index.present.shape == (1 << HASH_BITS,)
    assert 0.04 < index.chance < 0.07
    folder = Path(__file__).parents[2] / "src" / "diffbgm" / "takes"
    assert (folder / "figures.npz").stat().st_size < 5e6 / 10
    strangers = [index.longest(voices_of(tune(seed, bars=16))) for seed in range(40)]
    assert max(strangers) < COPIED_NOTES
    assert index.longest(voices_of(notes_of_roll(sampled()))) < COPIED_NOTES


def test_accompaniment_is_not_compared() -> None:
    notes = melody(random_melody(5))
    as_accompaniment = build_notes(notes.start_q, notes.end_q, notes.pitch, notes.velocity, notes.part + 2)
    assert INDEX.longest(voices_of(notes)) == 60
    assert voices_of(as_accompaniment) == []


@pytest.mark.data
def test_songs_that_were_learned_from_are_known_whole(songs: Songs) -> None:
    for name in LEARNED:
        lines = voices_of(notes_of(songs, name))
        assert shipped_index().longest(lines) == max(len(line.symbols) for line in lines) + 1 > 100


@pytest.mark.data
def test_songs_that_were_not_share_no_more_than_by_the_exact_search(songs: Songs) -> None:
    pieces = [voices_of(window) for name in HELD_OUT for window in windows(notes_of(songs, name))]
    found = np.array([shipped_index().longest(piece) for piece in pieces])
    assert len(found) > 30
    assert (found < COPIED_NOTES).all()
    assert np.median(found) <= 9


@pytest.mark.data
def test_a_passage_of_a_learned_song_is_found_in_a_take(songs: Songs) -> None:
    notes = notes_of(songs, "250")
    (line,) = voices_of(notes.select(notes.part == 0))
    for count in (12, 16, 24):
        at = len(line.symbols) // 2
        planted = Line(np.append(line.symbols[at : at + count - 1], 9), np.arange(count))
        assert count <= shipped_index().longest([planted]) <= count + 1


def notes_of(songs: Songs, name: str) -> Notes:
    """The notes of a whole song on its grid."""
    song, _ = read_given(songs.folder / "POP909" / name, songs.rows[name])
    n = len(song.bits)
    bits = unpacked(song.bits).transpose(1, 2, 0, 3, 4).reshape(3, 2, 4 * n, 88)
    velocity = song.velocity.transpose(1, 0, 2).reshape(3, -1)
    return notes_of_roll(PianoRoll(bits, velocity, np.zeros((n, 12), bool), np.full(n, -1, np.int8)))
