from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffbgm.data.leakage import MIN_PASSAGES, near_duplicates, passages_of

from .songs import Made, make_song

Tune = tuple[NDArray[np.float64], NDArray[np.int64]]


def melody(song: Made) -> Tune:
    rows = np.array([(start, pitch) for start, _, pitch, _, track in song.notes if track == 0])
    return rows[:, 0], rows[:, 1].astype(np.int64)


def test_a_song_is_found_in_another_key_at_another_tempo_with_chords_under_it() -> None:
    start, pitch = melody(make_song(1))
    doubled_start = np.concatenate([start, start])  # a third below each note: the highest is the tune
    doubled_pitch = np.concatenate([pitch, pitch - 4])
    passages = passages_of(start, pitch)
    assert len(passages) > MIN_PASSAGES
    assert np.array_equal(passages, passages_of(1.37 * doubled_start + 9, doubled_pitch + 5))


def test_passages_do_not_depend_on_the_order_of_notes() -> None:
    start, pitch = melody(make_song(2))
    order = np.random.default_rng(0).permutation(len(start))
    assert np.array_equal(passages_of(start, pitch), passages_of(start[order], pitch[order]))


def test_covers_are_found_and_other_songs_are_not() -> None:
    tunes = {f"{seed:03d}": passages_of(*melody(make_song(seed, n_bars=32))) for seed in range(12)}
    start, pitch = melody(make_song(3))
    changed = pitch.copy()
    changed[::17] += 2  # another arranger: every seventeenth note differs
    tunes["cover"] = passages_of(start, changed + 3)
    found = near_duplicates(tunes)
    assert [(like.first, like.second) for like in found] == [("003", "cover")]
    assert 0.15 <= found[0].share < 0.8
    assert found[0].passages == round(found[0].share * min(len(tunes["003"]), len(tunes["cover"])))


def test_a_quotation_is_no_cover() -> None:
    (start, pitch), (other_start, other_pitch) = melody(make_song(5)), melody(make_song(6))
    quoting = np.concatenate([other_pitch, pitch[:18]])
    at = np.concatenate([other_start, other_start[-1] + 1 + start[:18]])
    tunes = {"a": passages_of(start, pitch), "b": passages_of(at, quoting)}
    assert near_duplicates(tunes) == []
    assert near_duplicates(tunes, least_share=0.01)[0].passages >= 5


def test_scales_and_repeated_notes_are_nobodys() -> None:
    up = np.tile(np.arange(60, 73), 20)
    assert len(passages_of(np.arange(len(up), dtype=float), up)) == 0
    same = np.full(400, 60)
    assert len(passages_of(np.arange(400.0), same)) == 0


def test_short_tunes_are_not_compared() -> None:
    start, pitch = melody(make_song(4))
    few = passages_of(start[:25], pitch[:25])
    assert 0 < len(few) < MIN_PASSAGES
    assert near_duplicates({"a": few, "b": few}) == []
    assert near_duplicates({}) == []
    assert len(passages_of(start[:5], pitch[:5])) == 0
