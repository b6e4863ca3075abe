"""The published layout: what is read is what was written, and what is broken is told in a line."""

from __future__ import annotations

import pickle
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="features of the published layout are torch files")

import torch

from diffbgm.data import bgm909
from diffbgm.data.bgm909 import read_song, read_split, song_ids
from diffbgm.data.paired import PairedSource, segments_of, semitones_home
from diffbgm.data.pop909 import read_songs
from diffbgm.diffusion.tokens import shift_pitches
from diffbgm.errors import InputError
from diffbgm.features.published import load_pth
from diffbgm.train.examples import open_examples
from diffbgm.train.miniature import write_miniature

from .songs import recipe, scale_song

pytestmark = pytest.mark.train
SONGS = [scale_song(k, song_id=f"{k:03d}") for k in (1, 2, 9)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layout")
    assert write_miniature(SONGS, folder) == ["001", "002", "009"]
    return folder


@pytest.fixture
def layout(whole: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(whole, tmp_path / "layout"))


def test_notes_chords_and_beats_come_back(whole: Path) -> None:
    song = read_song(whole, "002", load_pth, with_times=True)
    np.testing.assert_array_equal(song.bits, SONGS[1].bits)
    np.testing.assert_array_equal(song.velocity, SONGS[1].velocity)
    np.testing.assert_array_equal(song.chroma, SONGS[1].chroma)
    np.testing.assert_array_equal(song.bass, SONGS[1].bass)
    np.testing.assert_array_equal(song.starts, np.arange(0, 65, 4))
    assert song.beats_s is not None
    np.testing.assert_allclose(np.diff(song.beats_s), 0.6)
    assert song.features.visual.shape == (57, 512)
    assert song.features.language.shape == (12, 768)
    assert [shot.start_s for shot in song.features.shots] == pytest.approx([0, 19.0, 38.0], abs=0.1)


@pytest.mark.data
def test_songs_of_pop909_come_back(shared: Path, tmp_path: Path) -> None:
    """Played music: phrases of both annotators, keys, chords; what the miniature holds is what was played."""
    with tarfile.open(shared / "data" / "POP909.tar.xz", "r:xz") as tar:
        wanted = [member for member in tar if member.name.split("/")[1:2] in (["001"], ["009"])]
        tar.extractall(tmp_path, wanted, filter="data")
    lines = (shared / "data" / "POP909-songs.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    table = tmp_path / "songs.csv"
    table.write_text("".join([lines[0], *(line for line in lines if line[:3] in ("001", "009"))]))
    songs = list(read_songs(tmp_path, table))
    assert write_miniature(songs, tmp_path / "layout") == ["001", "009"]
    for given in songs:
        song = read_song(tmp_path / "layout", given.song_id, load_pth, with_times=True)
        np.testing.assert_array_equal(song.bits, given.bits)
        np.testing.assert_array_equal(song.velocity, given.velocity)
        np.testing.assert_array_equal(song.chroma, given.chroma)
        home = np.where(given.minor, 9 - given.tonic.astype(int), -given.tonic.astype(int))
        assert semitones_home(song) == (np.median(home) + 6) % 12 - 6
        assert len(song.starts) == given.n_beats // 4 - 7
        # The film's length is known to a row, a second: a beat or so.
        borders = np.flatnonzero(np.diff(segments_of(song, "time"))) + 1
        begun = np.array([phrase.start_beat for phrase in given.phrases])
        assert len(borders) > 5
        assert np.abs(borders[:, None] - begun).min(axis=1).max() <= 1
    one = recipe()
    learned, heldout = open_examples(one, tmp_path, table)
    assert min(len(learned), len(heldout)) > 20
    both = one.model_copy(update={"data": one.data.model_copy(update={"phrases": "both"})})
    doubled, same = open_examples(both, tmp_path, table)
    assert len(doubled) > 1.9 * len(learned)
    assert len(same) == len(heldout)
    with pytest.raises(InputError, match=r"POP909-songs\.csv: cannot read the song table"):
        open_examples(one, tmp_path, None)
    other = list(read_songs(tmp_path, table, labels="label2"))
    np.testing.assert_array_equal(other[0].bits[:64], songs[0].bits[:64])
    assert [song.phrases for song in other] != [song.phrases for song in songs]


def test_splits(whole: Path) -> None:
    assert read_split(whole / bgm909.SPLIT) == (["001", "002"], ["009"])
    for split in ("published", "numbers"):
        assert song_ids(whole, split, "train") == ["001", "002"]
        assert song_ids(whole, split, "heldout") == ["009"]


def test_the_songs_that_the_published_loader_skips_are_skipped(layout: Path) -> None:
    (layout / bgm909.SPLIT).write_bytes(pickle.dumps((["034.npz", "001.npz"], ["215.npz"])))
    assert song_ids(layout, "published", "train") == ["001"]
    assert song_ids(layout, "published", "heldout") == []


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("ran",)


def test_pickles_that_would_run_something_are_refused(
    layout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (layout / bgm909.SPLIT).write_bytes(pickle.dumps(([Evil()], [])))
    with pytest.raises(InputError, match=r"it wants builtins\.print, which is refused"):
        read_split(layout / bgm909.SPLIT)
    path = layout / bgm909.SONGS / "001.npz"
    with np.load(path, allow_pickle=True) as file:
        arrays = dict(file)
    arrays["notes"] = np.array([Evil(), Evil(), Evil()], object)
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=r"it wants builtins\.print, which is refused"):
        read_song(layout, "001", load_pth)
    torch.save(Evil(), layout / bgm909.VISUAL / "002.pth")
    with pytest.raises(InputError, match=r"002\.pth: cannot read the features"):
        read_song(layout, "002", load_pth)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"\x80", b"junk", pickle.dumps(3), pickle.dumps(([1], [2]))])
def test_a_split_that_is_none(layout: Path, content: bytes) -> None:
    (layout / bgm909.SPLIT).write_bytes(content)
    with pytest.raises(InputError, match=r"pop909_new\.pickle: "):
        song_ids(layout, "published", "train")


@pytest.mark.parametrize(
    "part",
    [
        f"{bgm909.SONGS}/001.npz",
        f"{bgm909.VISUAL}/001.pth",
        f"{bgm909.CAPTIONS}/001.npy",
        f"{bgm909.SHOTS}/001_scenes.txt",
        f"{bgm909.BEATS}/001/beat_midi.txt",
    ],
)
def test_a_missing_or_broken_file_is_named(layout: Path, part: str) -> None:
    (layout / part).write_bytes(b"junk")
    with pytest.raises(InputError, match=Path(part).name):
        read_song(layout, "001", load_pth, with_times=True)
    (layout / part).unlink()
    with pytest.raises(InputError, match=Path(part).name):
        read_song(layout, "001", load_pth, with_times=True)


def test_features_of_other_widths_are_told(layout: Path) -> None:
    np.save(layout / bgm909.CAPTIONS / "001.npy", np.zeros((3, 512), np.float32))
    with pytest.raises(InputError, match=r"features of shape \(3, 512\), expected \(rows, 768\)"):
        read_song(layout, "001", load_pth)
    torch.save({"a": torch.zeros(2)}, layout / bgm909.VISUAL / "002.pth")
    with pytest.raises(InputError, match="holds dict, expected one tensor"):
        read_song(layout, "002", load_pth)


def test_a_layout_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no songs there"):
        song_ids(tmp_path, "numbers", "train")
    with pytest.raises(InputError, match="expected the published split"):
        song_ids(tmp_path, "published", "train")


def test_rows_are_stretched_as_published_or_lie_by_the_clock(whole: Path) -> None:
    song = read_song(
        whole, "001", load_pth, visual_row_s=0.5, with_times=True
    )  # 28.5 s of film, 57.6 of music
    assert song.beats_s is not None
    window = PairedSource([song], 32, "stretched").windows[2]
    assert window.start_beat == 8
    visual, caption = PairedSource([song], 32, "stretched").features(window)
    for beat in (0, 5, 31):
        np.testing.assert_array_equal(visual[beat], song.features.visual[(8 + beat) * 57 // 96])
        np.testing.assert_array_equal(caption[beat], song.features.language[(8 + beat) * 12 // 96])
    visual, _ = PairedSource([song], 32, "time").features(window)
    # Beat 8 lasts from 4.8 to 5.4 s: rows 9 (to 5.0 s) and 10.
    expected = (song.features.visual[9] * 0.2 + song.features.visual[10] * 0.4) / 0.6
    np.testing.assert_allclose(visual[0], expected, rtol=1e-4, atol=1e-5)


def test_alignment_by_time_needs_beat_times(whole: Path) -> None:
    song = read_song(whole, "001", load_pth)
    with pytest.raises(InputError, match="alignment by time needs beat times"):
        PairedSource([song], 32, "time")


def test_segments_follow_the_shots(whole: Path) -> None:
    song = read_song(whole, "001", load_pth, with_times=True)
    for alignment in ("stretched", "time"):
        owner = segments_of(song, alignment)
        assert np.abs(np.flatnonzero(np.diff(owner)) + 1 - [32, 64]).max() <= 1
    source = PairedSource([song], 64, "time")
    mask = source.mask(source.windows[0])
    assert mask.shape[1] == 2
    assert (mask.sum(axis=1) == 1).all()


def test_a_song_goes_home_to_c(whole: Path) -> None:
    song = read_song(whole, "001", load_pth)
    assert semitones_home(song) == 0
    up = np.unpackbits(song.bits, axis=1, count=2112).reshape(-1, 3, 2, 4, 88).astype(bool)
    higher = replace(song, bits=np.packbits(shift_pitches(up, 3).reshape(len(up), -1), axis=1))
    assert semitones_home(higher) == -3
    window = replace(PairedSource([higher], 32, "stretched").windows[0], semitones=-3)
    source = PairedSource([higher], 32, "stretched")
    np.testing.assert_array_equal(source.bits(window, -3), up[:32])


def test_a_window_at_the_end_is_filled_with_silence(whole: Path) -> None:
    song = replace(read_song(whole, "001", load_pth), starts=np.array([80]))
    source = PairedSource([song], 32, "stretched")
    (window,) = source.windows
    visual, caption = source.features(window)
    assert not source.bits(window, 0)[16:].any()
    assert source.bits(window, 0)[:16].any()
    assert not visual[16:].any()
    assert not caption[16:].any()
    assert not source.tokens(window, 0)[16:, 2112:2124].any()
    assert source.mask(window)[15:17].argmax(axis=1).tolist() == [1, 0]
