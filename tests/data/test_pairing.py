from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from diffbgm.data.manifest import read_manifest, write_manifest
from diffbgm.data.pairing import Pair, Proposal, SongFile, name_likeness, propose
from diffbgm.data.pairing_audio import SongPrint, SoundPrint, align, best_songs, song_print, sound_print
from diffbgm.errors import InputError, OptionError
from diffbgm.metrics.chroma import SOUND_HZ
from diffbgm.metrics.notes import read_notes
from diffbgm.sound.fluidsynth import SAMPLE_RATE
from diffbgm.sound.synth import render_blocks

from ..media import make_video
from .songs import LEAD_S, Made, make_song, score_of, write_song

Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def songs() -> dict[str, Made]:
    """45 to 58 s each, all with the form A A B A."""
    return {f"song{seed}": make_song(seed, n_bars=24, bpm=100 + 11 * seed) for seed in range(3)}


@pytest.fixture(scope="module")
def prints(songs: dict[str, Made], tmp_path_factory: pytest.TempPathFactory) -> dict[str, SongPrint]:
    folder = tmp_path_factory.mktemp("midi")
    return {
        name: song_print(read_notes(write_song(song, folder / f"{name}.mid", LEAD_S)))
        for name, song in songs.items()
    }


def rendered(song: Made, speed: float = 1.0) -> Samples:
    """Mono at 48 kHz."""
    return np.concatenate([stems.sum(axis=(0, 1)) for stems in render_blocks(score_of(song, speed=speed))])


@pytest.fixture(scope="module")
def sounds(songs: dict[str, Made]) -> dict[str, Samples]:
    return {name: rendered(song) for name, song in songs.items()}


def at_chroma_rate(sound: Samples) -> Samples:
    at = np.arange(int(len(sound) * SOUND_HZ / SAMPLE_RATE)) * (SAMPLE_RATE / SOUND_HZ)
    return np.interp(at, np.arange(len(sound)), sound).astype(np.float32)


def noisy(sound: Samples, snr_db: float, seed: int) -> Samples:
    noise = np.random.default_rng(seed).standard_normal(len(sound)).astype(np.float32)
    return sound + noise * np.float32(np.sqrt((sound**2).mean()) * 10 ** (-snr_db / 20))


@pytest.mark.parametrize(("intro_s", "snr_db"), [(0.0, 20.0), (7.313, 5.0), (23.977, 0.0)])
def test_the_offset_is_found_under_noise_behind_an_intro(
    prints: dict[str, SongPrint], sounds: dict[str, Samples], intro_s: float, snr_db: float
) -> None:
    music = at_chroma_rate(sounds["song1"])
    sound = noisy(np.concatenate([np.zeros(round(intro_s * SOUND_HZ), np.float32), music]), snr_db, 1)
    found = align(prints["song1"], sound_print(sound))
    assert found is not None
    assert found.offset_s == pytest.approx(-intro_s, abs=0.02)
    assert found.speed == pytest.approx(1.0, abs=0.0005)
    assert found.confidence > 0.9


def test_an_excerpt_of_a_part_that_returns_is_placed_by_what_surrounds_it(
    prints: dict[str, SongPrint], sounds: dict[str, Samples], songs: dict[str, Made]
) -> None:
    eight_bars_s = 32 * 60 / songs["song1"].bpm  # phrases A A B: this begins in the middle of the second A
    begin_s = 0.5 + 1.5 * eight_bars_s
    music = at_chroma_rate(sounds["song1"])
    found = align(prints["song1"], sound_print(music[round(begin_s * SOUND_HZ) :]))
    assert found is not None
    assert found.offset_s == pytest.approx(begin_s, abs=0.02)


def test_a_soundtrack_that_runs_faster_is_placed_in_the_middle(
    prints: dict[str, SongPrint], songs: dict[str, Made]
) -> None:
    speed, intro_s = 1.004, 5.0
    music = at_chroma_rate(rendered(songs["song2"], speed))
    found = align(
        prints["song2"], sound_print(np.concatenate([np.zeros(round(intro_s * SOUND_HZ), np.float32), music]))
    )
    assert found is not None
    assert found.speed == pytest.approx(speed, abs=0.0005)
    song_time = speed * (found.middle_s - intro_s)
    assert found.middle_s + found.offset_s == pytest.approx(song_time, abs=0.02)
    assert found.drift_s == pytest.approx(0.004 * found.overlap_s / 2, rel=0.15)


def test_a_long_soundtrack_at_another_speed_is_placed_by_its_harmony_alone(tmp_path: Path) -> None:
    """Four minutes, in which half a per cent adds up to over a second; nothing is heard that has onsets."""
    long = song_print(read_notes(write_song(make_song(5, n_bars=96), tmp_path / "long.mid")))
    speed = 1.005
    chroma = long.chroma[np.rint(np.arange(int(len(long.chroma) / speed)) * speed).astype(int)]
    silence = np.zeros(len(chroma) * SOUND_HZ // 10, np.float32)
    found = align(long, SoundPrint(silence, chroma))
    assert found is not None
    assert found.speed == pytest.approx(speed)
    assert found.middle_s + found.offset_s == pytest.approx(speed * found.middle_s, abs=0.2)
    assert found.correlation > 0.95
    assert found.onsets == pytest.approx(0.0, abs=1e-3)


def test_another_song_gets_a_low_confidence(prints: dict[str, SongPrint], sounds: dict[str, Samples]) -> None:
    sound = sound_print(noisy(at_chroma_rate(sounds["song0"]), 10, 2))
    found = dict(best_songs(prints, sound))
    assert next(iter(found)) == "song0"
    assert found["song0"].confidence > 0.9
    assert all(found[name].confidence < 0.1 for name in ("song1", "song2"))


def test_nothing_is_placed_where_nothing_sounds(prints: dict[str, SongPrint]) -> None:
    assert align(prints["song0"], sound_print(np.zeros(30 * SOUND_HZ, np.float32))) is None
    assert align(prints["song0"], sound_print(np.zeros(100, np.float32))) is None


@pytest.mark.parametrize(
    ("song", "video", "likeness"),
    [
        ("001", "001", 1.0),
        ("Dear Friend", "dear_friend", 1.0),
        ("001", "POP909 001 (official)", 0.9),
        ("一剪梅", "费玉清 - 一剪梅 [MV]", 0.9),
        ("001", "1001", 0.0),
        ("abc", "xyz", 0.0),
    ],
)
def test_name_likeness(song: str, video: str, likeness: float) -> None:
    assert name_likeness(song, video) == pytest.approx(likeness)


@pytest.fixture(scope="module")
def folders(
    songs: dict[str, Made], sounds: dict[str, Samples], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Three songs, and videos of two of them: one 4 s late under another name, one from 10 s on."""
    home = tmp_path_factory.mktemp("pairing")
    (home / "songs").mkdir()
    (home / "videos").mkdir()
    for name, song in songs.items():
        write_song(song, home / "songs" / f"{name}.mid", LEAD_S)
    late = np.concatenate([np.zeros(4 * SAMPLE_RATE, np.float32), sounds["song0"]])
    cut = sounds["song1"][10 * SAMPLE_RATE :]
    for name, sound in (("clip", late), ("song1", cut)):
        seconds = len(sound) / SAMPLE_RATE
        make_video(
            home / "videos" / f"{name}.mp4",
            [(seconds, (90, 30, 30))],
            fps=4,
            size=(64, 48),
            audio=0.5 * sound,
        )
    make_video(home / "videos" / "silent.mp4", [(12.0, (0, 90, 0))], fps=4, size=(64, 48))
    return home / "songs", home / "videos"


def test_pairs_by_ear_from_the_command_line(
    folders: tuple[Path, Path], tmp_path: Path, diffbgm: Callable[..., object]
) -> None:
    manifest = tmp_path / "pairs.csv"
    arguments = ("dataset", "pair", "--songs", folders[0], "--videos", folders[1], "-o", manifest)
    run = diffbgm(*arguments, "--json")
    assert run.code == 0, run.err
    told = json.loads(run.out)
    assert [Path(pair["video"]).stem for pair in told["pairs"]] == ["clip", "song1"]
    assert told["unused"] == {"song2": "no video is like it"}
    assert "silent.mp4" in next(iter(told["unpaired"]))
    rows = read_manifest(manifest)
    assert [(Path(row.song).stem, Path(row.video or "").stem) for row in rows] == [
        ("song0", "clip"),
        ("song1", "song1"),
    ]
    assert rows[0].offset_s == pytest.approx(-4.0, abs=0.05)
    assert rows[1].offset_s == pytest.approx(10.0, abs=0.05)
    assert all(row.method == "audio" and row.confidence is not None and row.confidence > 0.9 for row in rows)
    assert all((tmp_path / row.song).resolve().is_file() for row in rows)
    refused = diffbgm(*arguments)
    assert refused.code == 6
    assert "exists already" in refused.err


def test_pairs_by_name_and_then_by_ear(folders: tuple[Path, Path]) -> None:
    by_name = propose(*folders, by=("name",))
    assert [(pair.song.name, pair.video.stem, pair.offset_s) for pair in by_name.pairs] == [
        ("song1", "song1", 0.0)
    ]
    both = propose(*folders, by=("name", "audio"))
    assert [(pair.song.name, pair.method) for pair in both.pairs] == [("song1", "name, audio")]
    assert both.pairs[0].offset_s == pytest.approx(10.0, abs=0.05)


def test_pairs_by_duration(folders: tuple[Path, Path], songs: dict[str, Made]) -> None:
    found = propose(*folders, by=("duration",), min_confidence=0.0)
    near = {pair.video.stem: pair for pair in found.pairs}
    # 4 s longer than its song, of which no other is as near
    assert near["clip"].song.name == "song0"
    assert near["clip"].confidence == pytest.approx(0.6, abs=0.06)
    assert near["clip"].offset_s == 0.0
    assert "silent" not in near


def test_what_cannot_be_read_is_told_and_the_others_go_on(folders: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(folders[1], tmp_path / "videos")
    shutil.copytree(folders[0], tmp_path / "songs")
    (tmp_path / "videos" / "broken.mp4").write_bytes(b"no film")
    (tmp_path / "songs" / "bad.mid").write_bytes(b"no song")
    found = propose(tmp_path / "songs", tmp_path / "videos", by=("name", "audio"))
    assert [pair.video.stem for pair in found.pairs] == ["song1"]
    assert "broken MIDI file" in found.unused["bad"]
    heard = propose(folders[0], tmp_path / "videos", by=("duration",), min_confidence=0.0)
    assert "cannot be read as a video" in heard.unpaired[tmp_path / "videos" / "broken.mp4"]


def test_refusals(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="option by"):
        propose(*folders, by=("audio", "name"))
    with pytest.raises(InputError, match="no such folder"):
        propose(tmp_path / "nowhere", folders[1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no videos"):
        propose(folders[0], tmp_path / "empty")


def test_a_manifest_names_files_from_its_own_folder(folders: tuple[Path, Path]) -> None:
    found = propose(*folders, by=("name",))
    row = found.rows(folders[0] / "pairs.csv")[0]
    assert (row.song, row.video) == ("song1.mid", "../videos/song1.mp4")


def test_videos_called_alike_get_ids_of_their_own(tmp_path: Path) -> None:
    song = SongFile(tmp_path / "song.mid", tmp_path / "song.mid", "song")
    other = SongFile(tmp_path / "other.mid", tmp_path / "other.mid", "other")
    videos = [tmp_path / "a/my clip.mp4", tmp_path / "b/my clip.mp4", tmp_path / "c/third.mp4"]
    pairs = tuple(
        Pair(one, video, offset_s=0.0, confidence=1.0, method="name")
        for one, video in zip((song, other, song), videos, strict=True)
    )
    rows = Proposal(pairs, {}, {}).rows(tmp_path / "pairs.csv")
    assert [row.video_id for row in rows] == ["a-my_clip", "b-my_clip", None]
    write_manifest(rows, tmp_path / "pairs.csv")
    for path in (song.path, other.path, *videos):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert [row.video_name for row in read_manifest(tmp_path / "pairs.csv")] == [
        "a-my_clip", "b-my_clip", "third"
    ]  # fmt: skip
