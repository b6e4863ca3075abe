"""Reading: windows equal those of the source, starts are mapped, orders go on after a stop."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from diffbgm.data import mapped, store
from diffbgm.data.alignment import align
from diffbgm.data.item import Item, LearnedFeatures
from diffbgm.data.mapped import CACHE, Mapped, MappedWindows
from diffbgm.data.order import windows_at
from diffbgm.data.pop909 import read_songs
from diffbgm.data.reader import Augmentation, Shuffled, Windows, transposition
from diffbgm.data.rows import items_of, to_table
from diffbgm.data.store import Built
from diffbgm.data.windows import WindowSource
from diffbgm.diffusion import conditions as c
from diffbgm.diffusion.tokens import BITS
from diffbgm.errors import InputError, OptionError, OutputError
from diffbgm.features.captions import Caption
from diffbgm.features.film_features import FilmFeatures, Source
from diffbgm.video.analysis import Shot

from .built import build_here, unpack_songs
from .songs import make_song, write_song
from .test_alignment import film, music
from .test_store import item

SONGS = ("001", "003", "006", "009", "034")  # 034 is in 3/4


@pytest.fixture(scope="module")
def pop909(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Songs of POP909 as distributed, and built."""
    folder = unpack_songs(shared, tmp_path_factory.mktemp("pop909"), SONGS)
    table = folder / "POP909-songs.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.startswith(("song_id", *SONGS))]
    table.write_text("\n".join(kept) + "\n", encoding="utf-8")
    built = tmp_path_factory.mktemp("built") / "d"
    assert build_here(folder, built).failures == ()
    return folder, built


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three made songs, the last held out, in C, D and G."""
    root = tmp_path_factory.mktemp("songs")
    for number, key in ((1, 0), (2, 2), (9, 7)):
        write_song(make_song(number, n_bars=32, key=key), root / f"song{number}.mid")
    assert build_here(root, root / "d").failures == ()
    return root / "d"


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].dtype == expected[name].dtype and np.array_equal(found[name], expected[name])
        for name in found
    )


@pytest.mark.parametrize("split", ["train", "heldout", None])
def test_windows_of_pop909_are_those_of_its_files_bit_for_bit(pop909: tuple[Path, Path], split) -> None:
    folder, built = pop909
    expected = WindowSource(list(read_songs(folder, folder / "POP909-songs.csv", split)))
    found = MappedWindows(built, split)
    assert found.windows == expected.windows
    assert [song.song_id for song in found.songs] == [song.song_id for song in expected.songs]
    assert len(found.songs) == {"train": 3, "heldout": 1, None: 4}[split]
    for window in expected.windows:
        np.testing.assert_array_equal(found.tokens(window), expected.tokens(window))
        given, right = found.conditions(window), expected.conditions(window)
        for name in ("dynamic", "semantic", "mask"):
            one, other = getattr(given, name), getattr(right, name)
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def test_what_is_left_out_says_why(pop909: tuple[Path, Path]) -> None:
    assert Mapped(pop909[1]).left_out == {"034": "not in 4/4 with even bars throughout"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda music: replace(music, grid_fit=0.69), "69% of its notes lie on the grid, expected 70%"),
        (lambda music: replace(music, beats_s=music.beats_s + gap(music)), "gaps"),
        (lambda music: replace(music, downbeat=np.roll(music.downbeat, 1)), None),
        (lambda music: replace(music, phrases=music.phrases[:1]), "fewer than 16 bars"),
    ],
    ids=["off the grid", "gap", "moved bars", "short"],
)
def test_songs_that_do_not_lie_on_a_grid_are_left_out(built: Path, tmp_path: Path, change, reason) -> None:
    (table, *_) = store.read_rows(store.data_files(built))
    (song,) = items_of(table)
    changed = replace(song, music=change(song.music))
    write([changed], tmp_path / "d")
    left_out = Mapped(tmp_path / "d").left_out
    assert (reason is None and left_out == {}) or reason in left_out[song.item_id]


def gap(music) -> np.ndarray:
    """Half a beat and a bit more is missing after the 40th beat."""
    return np.where(np.arange(music.n_beats + 1) > 40, 0.6 * float(np.median(np.diff(music.beats_s))), 0.0)


def write(items, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for one in items:
        store.write_item(folder, to_table(one), Built(one.item_id, "s", "x"))
    kept = {one.item_id: Built(one.item_id, "s", "x") for one in items}
    splits = {one.item_id: one.split for one in items}
    store.compact(folder, kept, splits, {"schema_version": "1.0"})


def test_later_starts_map_what_the_first_wrote(built: Path) -> None:
    Mapped(built)
    (home,) = (built / CACHE).iterdir()
    before = {path.name: path.stat().st_mtime_ns for path in home.iterdir()}
    again = Mapped(built)
    assert not again.first_start
    song = again.song(again.songs[0])
    assert isinstance(song.bits.base.base if song.bits.base.base is not None else song.bits.base, np.memmap)
    assert not song.bits.flags.writeable
    assert {path.name: path.stat().st_mtime_ns for path in home.iterdir()} == before


def test_arrays_follow_the_data(built: Path, tmp_path: Path) -> None:
    (first, second, _) = (next(iter(items_of(table))) for table in store.read_rows(store.data_files(built)))
    write([first], tmp_path / "d")
    assert [each["item_id"] for each in Mapped(tmp_path / "d").songs] == [first.item_id]
    write([second], tmp_path / "d")
    now = Mapped(tmp_path / "d")
    assert now.first_start
    assert [each["item_id"] for each in now.songs] == [second.item_id]
    assert len(list((tmp_path / "d" / CACHE).iterdir())) == 1  # those of older data are gone


def test_a_stopped_first_start_leaves_nothing_that_is_read(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write([next(iter(items_of(next(store.read_rows(store.data_files(built))))))], tmp_path / "d")

    def stop(_share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Mapped(tmp_path / "d", stop)
    assert list((tmp_path / "d" / CACHE).iterdir()) == []
    assert len(MappedWindows(tmp_path / "d", None).windows) > 0


def test_a_song_with_two_videos_counts_once(built: Path, tmp_path: Path) -> None:
    (song,) = items_of(next(store.read_rows(store.data_files(built))))
    write([song, replace(song, item_id="z", video_id="v")], tmp_path / "d")
    assert [each["item_id"] for each in Mapped(tmp_path / "d").songs] == [song.item_id]


def test_a_folder_that_cannot_be_written_is_told(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(mapped, "_digest", lambda _: "other")
    monkeypatch.setattr(mapped.tempfile, "mkdtemp", refuse)
    with pytest.raises(OutputError, match=r"\.windows: cannot be written \(Permission denied\)"):
        Mapped(built)


def test_no_dataset_and_no_windows_are_told(built: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no dataset there"):
        Windows(tmp_path)
    with pytest.raises(InputError, match="no item of split train has features of its film"):
        Windows(built, conditions="features")
    with pytest.raises(OptionError, match=r"tempo 1\.5"):
        Windows(built, augmentation=Augmentation(tempo=1.5))
    with pytest.raises(OptionError, match="keep theirs"):
        Windows(built, conditions="features", augmentation=Augmentation(tempo=0.1))


@pytest.mark.parametrize("form", ["tokens", "planes"])
def test_arrays_of_songs(built: Path, form) -> None:
    windows = Windows(built, "train", form=form)
    arrays = windows.draw(3)
    shapes = {name: array.shape for name, array in arrays.items()}
    segments = arrays["mask"].shape[1]
    if form == "tokens":
        assert shapes == {
            "clean": (64, 2148), "dynamic": (64, 10), "semantic": (segments, 7), "mask": (64, segments),
        }  # fmt: skip
    else:
        assert shapes == {
            "clean": (2, 128, 128), "visual": (32, 512), "caption": (32, 768), "mask": (32, segments),
        }  # fmt: skip
        tokens = Windows(built, "train").draw(3)["clean"]
        onsets = (tokens[:32, BITS].reshape(32, 3, 2, 4, 88)[:, :, 0] > 0).any(axis=1).reshape(128, 88)
        np.testing.assert_array_equal(arrays["clean"][0][:, 21:109], onsets)
    assert arrays["mask"].any(axis=1).all()


def test_transposition_moves_the_notes_and_nothing_else(built: Path) -> None:
    """A song in D goes to C by key; at random it goes to all keys, and without to its own."""
    by_key = Windows(built, "train")
    number = next(k for k, w in enumerate(by_key.source.windows) if w.song == 1)
    own = Windows(built, "train", augmentation=Augmentation(transpose="none"))
    assert by_key.source.windows[number].semitones == -2
    home, there = (one.draw(number)["clean"][:, BITS].reshape(64, 3, 2, 4, 88) > 0 for one in (by_key, own))
    np.testing.assert_array_equal(home[..., :-2], there[..., 2:])
    drawn = Windows(built, "train", augmentation=Augmentation(transpose="random"))
    moves = {
        transposition(drawn.source.windows[number], "random", np.random.default_rng(k)) for k in range(99)
    }
    assert moves == set(range(-6, 6))
    assert same(drawn.draw(number), own.draw(number))  # held-out windows are not moved at random


def test_tempo_changes_what_is_said_of_it_and_no_note(built: Path) -> None:
    plain, faster = (Windows(built, "train", augmentation=Augmentation(tempo=t)) for t in (0.0, 0.9))
    codes = {
        int(faster.draw(0, np.random.default_rng(k))["semantic"][0, c.SEMANTIC_INDEX["tempo"]])
        for k in range(40)
    }
    assert len(codes) >= 4
    assert same(plain.draw(0, np.random.default_rng(1)), plain.draw(0))
    np.testing.assert_array_equal(faster.draw(0, np.random.default_rng(3))["clean"], plain.draw(0)["clean"])


def test_conditions_are_left_out_at_random(built: Path) -> None:
    windows = Windows(built, "train", augmentation=Augmentation(drop_conditions=True))
    unknown = [not windows.draw(0, np.random.default_rng(k))["dynamic"].any() for k in range(200)]
    assert 0.1 < np.mean(unknown) < 0.3  # a fifth, as in training
    assert windows.draw(0)["dynamic"].any()


def test_an_epoch_has_every_window_once_and_the_next_another_order() -> None:
    first, second = (windows_at(np.arange(k * 50, (k + 1) * 50), 50, 7) for k in range(2))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(50))
    assert first.tolist() != second.tolist()
    across = windows_at(np.array([49, 50, 3]), 50, 7)
    assert across.tolist() == [first[49], second[0], first[3]]


@pytest.mark.parametrize("stop", [0, 1, 13])
def test_a_stopped_reader_goes_on_with_the_same_windows(built: Path, stop: int) -> None:
    how = Augmentation(transpose="random", tempo=0.2, drop_conditions=True)
    whole = list(islice(Shuffled(Windows(built, "train", augmentation=how), seed=5), 30))
    before = Shuffled(Windows(built, "train", augmentation=how), seed=5)
    had = list(islice(before, stop))
    after = Shuffled(Windows(built, "train", augmentation=how), seed=0)
    after.load_state_dict(before.state_dict())
    found = had + list(islice(after, 30 - stop))
    assert all(same(one, other) for one, other in zip(found, whole, strict=True))
    other = list(islice(Shuffled(Windows(built, "train", augmentation=how), seed=6), 30))
    assert not all(same(one, another) for one, another in zip(other, whole, strict=True))


def test_a_window_at_a_position_is_the_same_whoever_asks(built: Path) -> None:
    """Workers ask for positions far ahead of what was handed out."""
    how = Augmentation(transpose="random", drop_conditions=True)
    one, other = (Shuffled(Windows(built, augmentation=how), 4, position) for position in (0, 9))
    assert all(same(one.at(k), other.at(k)) for k in (0, 3, 30))


def test_a_state_of_other_data_is_refused(built: Path) -> None:
    stream = Shuffled(Windows(built, "train"))
    with pytest.raises(InputError, match="windows, and had 7 when the run was stopped"):
        stream.load_state_dict({"seed": 0, "position": 3, "windows": 7})


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two items with learned features of a film."""
    folder = tmp_path_factory.mktemp("paired") / "d"
    write([replace(long_item("a"), split="train"), replace(long_item("b"), split="heldout")], folder)
    return folder


def long_item(item_id: str) -> Item:
    """A song of 32 bars, 24 of which a film covers, with features that count the beats."""
    song = music(128)
    picture = replace(film(48.0), shots=(Shot(0.0, 20.0), Shot(20.0, 48.0)))
    who = Source("model", "00")
    rows = np.repeat(np.arange(48, dtype=np.float32)[:, None], 512, axis=1)
    words = np.repeat(np.array([[1.0], [2.0]], np.float32), 768, axis=1)
    found = FilmFeatures(
        film=who, duration_s=48.0, visual=rows, visual_hz=1.0, visual_by=who, shots=picture.shots,
        shots_by="builtin", captions=(Caption(0.0, 20.0, "a"), Caption(20.0, 48.0, "b")), captions_by=who,
        language=words, language_by=who,
    )  # fmt: skip
    rows_s = song.beats_s
    learned = LearnedFeatures(found, "time", found.visual_on_beats(rows_s), found.language_on_beats(rows_s))
    return replace(
        item(item_id), song_id=item_id, music=song, film=picture, features=learned, offset_s=0.0,
        aligned=align(song, picture, 0.0), music_conditions=None, film_conditions=None,
    )  # fmt: skip


def test_arrays_with_features_of_films(paired: Path) -> None:
    windows = Windows(paired, "train", form="planes", conditions="features")
    starts = [window.start_beat for window in windows.source.windows]
    assert starts == list(range(0, 96 - 32 + 1, 4))  # where the film covers eight bars
    arrays = windows.draw(2)
    np.testing.assert_array_equal(arrays["visual"][:, 0], np.arange(8, 40) // 2)  # two beats a second
    np.testing.assert_array_equal(arrays["caption"][:, 5], 1.0)
    assert arrays["mask"].shape == (32, 1)
    tokens = Windows(paired, None, conditions="features")
    assert [w.song for w in tokens.source.windows].count(0) == 17
    given = tokens.draw(5)
    np.testing.assert_array_equal(given["dynamic"][:, 7], np.arange(20, 84) // 2)
    assert given["mask"].shape == (64, 2)
    np.testing.assert_array_equal(given["semantic"][:, 0], [1.0, 2.0])
    assert given["mask"][:20, 0].all()
    assert given["mask"][20:, 1].all()


def test_features_are_left_out_at_random(paired: Path) -> None:
    how = Augmentation(drop_conditions=True)
    windows = Windows(paired, "train", form="planes", conditions="features", augmentation=how)
    drawn = [windows.draw(4, np.random.default_rng(k)) for k in range(300)]
    shares = [np.mean([not each[name].any() for each in drawn]) for name in ("visual", "caption")]
    assert shares == pytest.approx([0.2, 0.2], abs=0.07)
    assert np.mean([not (each["visual"].any() or each["caption"].any()) for each in drawn]) < 0.17


def test_features_laid_on_the_beats_otherwise_are_refused(paired: Path) -> None:
    with pytest.raises(InputError, match="lie on the beats by time, asked for is stretched"):
        Windows(paired, "train", conditions="features", alignment="stretched")


@pytest.mark.parametrize("conditions", ["notes", "features"])
def test_workers_open_the_dataset_again_in_place_of_a_copy(paired: Path, built: Path, conditions) -> None:
    windows = Windows(paired if conditions == "features" else built, "train", conditions=conditions)
    sent = pickle.dumps(windows)
    assert len(sent) < 2000
    assert same(pickle.loads(sent).draw(1), windows.draw(1))
