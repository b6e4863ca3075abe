from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from diffbgm.data.pop909 import (
    Phrase,
    parse_chord,
    parse_phrases,
    read_songs,
    read_table,
    split_of,
)
from diffbgm.data.windows import WINDOW_BEATS, WindowSource, drop_fields
from diffbgm.diffusion import conditions as c
from diffbgm.diffusion.roll import ONSET
from diffbgm.diffusion.tokens import to_roll
from diffbgm.errors import InputError
from diffbgm.pitch import pitch_class

SONGS = ("001", "009", "019", "100")


@pytest.mark.parametrize(
    ("name", "classes", "bass", "third"),
    [
        ("C:maj", {0, 4, 7}, 0, 1),
        ("Gb:min7", {6, 9, 1, 4}, 6, -1),
        ("A:min/b3", {9, 0, 4}, 0, -1),
        ("G:maj/2", {7, 11, 2, 9}, 9, 1),
        ("D:sus4", {2, 7, 9}, 2, 0),
        ("N", set(), -1, 0),
    ],
)
def test_chord_names(name: str, classes: set[int], bass: int, third: int) -> None:
    assert parse_chord(name) == (frozenset(classes), bass, third)


def test_an_unknown_chord_is_named() -> None:
    with pytest.raises(InputError, match="H:maj"):
        parse_chord("H:maj")


def test_small_parsers() -> None:
    assert parse_phrases("i4A8b12o2") == [("i", 4), ("A", 8), ("b", 12), ("o", 2)]
    assert (pitch_class("Gb"), pitch_class("C"), pitch_class("B#")) == (6, 0, 0)
    assert (split_of("009"), split_of("090")) == ("heldout", "train")


@pytest.fixture(scope="session")
def songs(shared: Path, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("pop909")
    for archive in ("POP909.tar.xz", "POP909-structure.tar.xz"):
        with tarfile.open(shared / "data" / archive, "r:xz") as tar:
            members = [m for m in tar if m.name.split("/")[1:2] and m.name.split("/")[1] in SONGS]
            tar.extractall(folder, members, filter="data")
    rows = [row for row in read_table(shared / "data" / "POP909-songs.csv") if row["song_id"] in SONGS]
    table = folder / "songs.csv"
    with table.open("w") as file:
        file.write(",".join(rows[0]) + "\n")
        file.writelines(",".join(f'"{value}"' for value in row.values()) + "\n" for row in rows)
    return list(read_songs(folder, table))


@pytest.mark.data
def test_bars_begin_where_the_harmony_changes(songs) -> None:
    changes = np.zeros(4)
    for song in songs:
        changed = np.flatnonzero((song.chroma[1:] != song.chroma[:-1]).any(axis=1)) + 1
        changes += np.bincount(changed % 4, minlength=4)
    assert changes[0] > 0.45 * changes.sum()
    assert changes[0] > 1.5 * changes[1:].max()


@pytest.mark.data
def test_phrases_cover_the_song_in_whole_bars(songs) -> None:
    for song in songs:
        assert song.n_beats % 4 == 0
        assert song.phrases[0].start_beat == 0
        for before, after in zip(song.phrases, song.phrases[1:], strict=False):
            assert before.end_beat == after.start_beat
            assert isinstance(before, Phrase)


@pytest.mark.data
def test_windows_are_in_one_key_and_their_conditions_say_what_they_hold(songs) -> None:
    source = WindowSource(songs)
    assert len(source.windows) > 50
    for window in source.windows[:: len(source.windows) // 12]:
        roll = to_roll(source.tokens(window))
        given = source.conditions(window)
        onsets = roll.bits[:, ONSET]
        classes = np.bincount((np.nonzero(onsets)[2] + 21) % 12, minlength=12)
        assert classes[[0, 2, 4, 5, 7, 9, 11]].sum() >= 0.89 * classes.sum()
        by_bar = onsets.sum(axis=(0, 2)).reshape(16, 16).sum(axis=1)
        np.testing.assert_array_equal(
            given.dynamic[::4, c.DYNAMIC_INDEX["density"]], c.density_code(by_bar / 4)
        )
        assert given.mask.shape[0] == WINDOW_BEATS
        np.testing.assert_array_equal(given.mask.sum(axis=1), 1)
        for k, size in enumerate(c.DYNAMIC_FIELDS.values()):
            assert 0 <= given.dynamic[:, k].min() <= given.dynamic[:, k].max() < size
        for k, size in enumerate(c.SEMANTIC_FIELDS.values()):
            assert 0 <= given.semantic[:, k].min() <= given.semantic[:, k].max() < size


@pytest.mark.data
def test_condition_dropout_reaches_every_state(songs) -> None:
    source = WindowSource(songs)
    given = source.conditions(source.windows[0])
    rng = np.random.default_rng(0)
    seen = [drop_fields(given, rng) for _ in range(400)]
    nothing = np.mean([not (one.dynamic.any() or one.semantic.any()) for one in seen])
    assert 0.06 < nothing < 0.14
    assert given.dynamic.any()  # the original is left alone
    kept = np.mean([one.dynamic[0, c.DYNAMIC_INDEX["density"]] > 0 for one in seen])
    assert 0.6 < kept < 0.76  # 0.8 * 0.85
