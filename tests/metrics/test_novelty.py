from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffbgm.metrics import novelty
from diffbgm.metrics.notes import Notes, no_notes
from diffbgm.metrics.novelty import Line, Match, TrainingIndex, find_matches, line_of, lines_of
from tests.metrics.pieces import notes_at, tune


def melody(pitches: list[int], step: float = 0.5, at: float = 0.0) -> Notes:
    return notes_at([(at + step * k, step, pitch) for k, pitch in enumerate(pitches)])


def random_melody(seed: int, count: int = 60) -> list[int]:
    return np.random.default_rng(seed).integers(48, 84, count).tolist()


def find_match(lines: list[Line], index: TrainingIndex, window_bars: int = 8) -> Match:
    return find_matches([lines], index, window_bars=window_bars)[0]


INDEX = TrainingIndex([(f"{k:03d}", lines_of(melody(random_melody(k)))) for k in range(8)])


def test_a_copied_passage_is_found_in_any_key_and_place() -> None:
    stolen = [pitch + 3 for pitch in random_melody(5)[20:35]]
    match = find_match(lines_of(melody(random_melody(99, 24) + stolen + random_melody(98, 25))), INDEX)
    assert match.song == "005"
    assert match.notes >= 15
    assert match.at_q == pytest.approx(12.0, abs=1.0)
    assert match.by_window.tolist()[0] >= 15
    assert match.by_window.shape == (1,)


def test_training_songs_copy_themselves_and_strangers_hardly_anything() -> None:
    own = find_match(lines_of(melody(random_melody(3))), INDEX)
    assert (own.notes, own.song, own.covered) == (60, "003", 1.0)
    other = find_match(lines_of(melody(random_melody(77))), INDEX)
    assert other.notes <= 4
    assert other.covered == 0.0


def test_another_rhythm_is_another_passage() -> None:
    assert find_match(lines_of(melody(random_melody(3), step=0.25)), INDEX).notes <= 2


def test_passages_do_not_cross_from_one_training_song_to_the_next() -> None:
    joined = (
        line_of(melody(random_melody(0))).symbols.tolist()
        + line_of(melody(random_melody(1))).symbols.tolist()
    )
    match = find_match([Line(np.array(joined), np.arange(len(joined)) * 0.5)], INDEX)
    assert match.notes == 60


def test_pieces_looked_up_together_do_not_touch() -> None:
    pieces = [lines_of(melody(random_melody(seed, count))) for seed, count in ((3, 30), (90, 40), (5, 60))]
    together = find_matches(pieces, INDEX)
    for match, lines in zip(together, pieces, strict=True):
        alone = find_match(lines, INDEX)
        assert (match.notes, match.song, match.by_window.tolist()) == (
            alone.notes,
            alone.song,
            alone.by_window.tolist(),
        )


def test_windows_cut_passages() -> None:
    match = find_match(lines_of(melody(random_melody(3))), INDEX, window_bars=2)
    assert match.by_window.tolist() == [
        17,
        17,
        17,
        12,
    ]  # 16 eighths and the note they lead to; the last has 11


def test_a_line_is_the_highest_notes() -> None:
    line = line_of(notes_at([(0.0, 1.0, 60), (0.0, 1.0, 72), (1.0, 0.5, 74), (9.0, 1.0, 70)]))
    intervals, steps = np.divmod(line.symbols, 17)
    assert (intervals - 128).tolist() == [2, -4]
    assert steps.tolist() == [4, 16]  # a rest longer than a bar counts as a bar
    assert line.at_q.tolist() == [0.0, 1.0]
    assert not len(line_of(no_notes()).symbols)


def test_nothing_to_compare() -> None:
    empty = find_match([], INDEX)
    assert (empty.notes, empty.song) == (0, "")
    assert np.isnan(empty.covered)
    assert find_match(lines_of(melody(random_melody(3))), TrainingIndex([])).notes == 0
    assert find_matches([], INDEX) == []
    assert novelty.evaluate([tune(1)], INDEX)[0]["copied_notes"] < 8
    with pytest.raises(ValueError, match="window"):
        find_match([], INDEX, window_bars=0)


SEQUENCE = st.lists(st.integers(0, 3), max_size=25)


@settings(max_examples=60, deadline=None)
@given(st.lists(SEQUENCE, min_size=1, max_size=4), SEQUENCE)
def test_lengths_equal_a_plain_search(training: list[list[int]], query: list[int]) -> None:
    def line(symbols: list[int]) -> Line:
        return Line(np.array(symbols, np.int64), np.arange(len(symbols), dtype=float))

    index = TrainingIndex([(str(k), [line(symbols)]) for k, symbols in enumerate(training)])
    lengths, owners = index.longest_at(np.array(query, np.int64))
    texts = ["".join(map(str, symbols)) for symbols in training]
    whole = "".join(map(str, query))
    for at, (length, owner) in enumerate(zip(lengths, owners, strict=True)):
        known = [
            n for n in range(1, len(query) - at + 1) if any(whole[at : at + n] in text for text in texts)
        ]
        assert length == max(known, default=0)
        assert owner == -1 if not length else whole[at : at + length] in texts[owner]
