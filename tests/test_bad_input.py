"""Every kind of bad input: one clear line on stderr, the right exit code, nothing left behind."""

from __future__ import annotations

import errno
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from diffbgm.errors import OutputError
from diffbgm.pipeline import compose as compose_film

from .conftest import Run
from .media import make_video, texture

Command = Callable[..., Run]


def refused(run: Run, code: int, *words: str) -> None:
    """One line that says what is wrong, the exit code, and nothing on stdout."""
    assert run.code == code, run.err
    assert run.err.count("\n") == 1, run.err
    assert run.err.startswith("diffbgm: ")
    for word in words:
        assert word in run.err
    assert run.out == ""


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): None if p.is_dir() else p.read_bytes() for p in folder.rglob("*")}


@pytest.fixture
def untouched(tmp_path: Path) -> Callable[[], None]:
    """Call it once the folder is as the test wants it; at the end it must still be so."""
    before: list[dict[str, bytes | None]] = []
    yield lambda: before.append(contents(tmp_path))  # type: ignore[misc]
    assert before, "the test did not say when its folder was ready"
    assert contents(tmp_path) == before[0]


# Not a video: exit code 3 --------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["compose", "analyze", "cues"])
def test_a_missing_file(command: str, diffbgm: Command, stand_in_model: None, tmp_path: Path) -> None:
    refused(diffbgm(command, tmp_path / "none.mp4"), 3, "none.mp4", "no such file")


def write_text(path: Path) -> None:
    path.write_text("just some words\n" * 50, encoding="utf-8")


def write_nothing(path: Path) -> None:
    path.touch()


def make_folder(path: Path) -> None:
    path.mkdir()


def write_noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def cut_the_header(path: Path) -> None:
    """An mp4 whose index has been torn off."""
    whole = make_video(path.with_name("whole.mp4"), [(1.0, texture(1))])
    data = whole.read_bytes()
    path.write_bytes(data[: data.index(b"moov")])
    whole.unlink()


def write_sound_only(path: Path) -> None:
    import av
    import numpy as np

    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_hls_playlist(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n", encoding="utf-8")
    make_video(path.with_name("other.mp4"), [(1.0, texture(1))])


def write_concat_playlist(path: Path) -> None:
    path.write_text("ffconcat version 1.0\nfile other.mp4\n", encoding="utf-8")
    make_video(path.with_name("other.mp4"), [(1.0, texture(1))])


def make_pipe(path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(path)


@pytest.mark.parametrize(
    "write",
    [
        write_text,
        write_nothing,
        make_folder,
        write_noise,
        cut_the_header,
        write_sound_only,
        write_hls_playlist,
        write_concat_playlist,
        make_pipe,
    ],
)
def test_a_file_that_is_no_video(
    write: Callable[[Path], None], diffbgm: Command, stand_in_model: None, tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    write(film)
    before = {path.name for path in tmp_path.iterdir()}
    refused(diffbgm("compose", film), 3, "film.mp4")
    refused(diffbgm("compose", film, "--json"), 3, "film.mp4")
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["film.m3u8", "film.txt", "film.mkv"])
def test_a_playlist_by_any_name(name: str, diffbgm: Command, stand_in_model: None, tmp_path: Path) -> None:
    write_hls_playlist(tmp_path / name)
    refused(diffbgm("compose", tmp_path / name), 3, name)


# Cue sheets: exit code 3, the field named ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ("invalid json",)),
        ('{"version": "1.0", "wishes": {"stile": "piano"}}', ("wishes.stile",)),
        ('{"version": "1.0", "wishes": {"energy": 7}}', ("wishes.energy",)),
        ('{"version": "1.0", "wishes": {"hits": [{"time_s": -1}]}}', ("wishes.hits.0.time_s",)),
        ('{"version": "1.0", "wishes": {"sections": [{"at_s": 1, "role": "hero"}]}}', ("sections.0.role",)),
        ('{"version": "7.0"}', ("version", "7.0")),
        ('{"version": "1.0", "plan": {"key": "C"}}', ("plan.",)),
    ],
)
def test_a_broken_cue_sheet(
    text: str,
    words: tuple[str, ...],
    film: Path,
    diffbgm: Command,
    stand_in_model: None,
    untouched: Callable[[], None],
) -> None:
    sheet = film.with_name("mine.json")
    sheet.write_text(text, encoding="utf-8")
    untouched()
    run = diffbgm("compose", film, "--cues", sheet)
    refused(run, 3, "mine.json")
    assert all(word.lower() in run.err.lower() for word in words), run.err


def test_a_missing_cue_sheet(
    film: Path, diffbgm: Command, stand_in_model: None, untouched: Callable[[], None]
) -> None:
    untouched()
    refused(diffbgm("compose", film, "--cues", film.with_name("no.json")), 3, "no.json")


def test_rendering_what_is_neither_sheet_nor_midi(diffbgm: Command, tmp_path: Path) -> None:
    (tmp_path / "x.mid").write_bytes(b"MThd but nothing else")
    refused(diffbgm("render", tmp_path / "x.mid", "-o", tmp_path / "x.wav"), 3, "x.mid")
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    refused(diffbgm("render", tmp_path / "x.json", "-o", tmp_path / "x.wav"), 3, "x.json")
    (tmp_path / "y.json").write_text('{"version": "1.0"}', encoding="utf-8")
    refused(diffbgm("render", tmp_path / "y.json", "-o", tmp_path / "x.wav"), 3, "y.json", "plan")
    refused(diffbgm("render", tmp_path / "no.mid", "-o", tmp_path / "x.wav"), 3, "no.mid")
    assert not (tmp_path / "x.wav").exists()


# Usage: exit code 2 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--style", "polka"), ("polka", "piano")),
        (("--key", "H"), ("key", "H")),
        (("--tempo", "fast"), ("tempo", "fast")),
        (("--tempo", "900"), ("tempo",)),
        (("--tempo", "120-90"), ("tempo",)),
        (("--energy", "2"), ("energy",)),
        (("--energy", "lots"), ("energy",)),
        (("--takes", "0"), ("takes",)),
        (("--original-audio", "louder"), ("original-audio", "keep")),
        (("--loudness", "0"), ("loudness",)),
        (("--hit", "-3"), ("hit",)),
        (("--seed", "x"), ("seed",)),
        (("--nonsense",), ("--nonsense",)),
        (("-o", "film.avi"), ("film.avi", ".mp4")),
        (("one-more-argument",), ("one-more-argument",)),
    ],
)
def test_options_that_make_no_sense(
    arguments: tuple[str, ...],
    words: tuple[str, ...],
    film: Path,
    diffbgm: Command,
    stand_in_model: None,
    untouched: Callable[[], None],
) -> None:
    untouched()
    refused(diffbgm("compose", film, *arguments), 2, *words)


def test_a_hit_behind_the_end(
    film: Path, diffbgm: Command, stand_in_model: None, untouched: Callable[[], None]
) -> None:
    untouched()
    run = diffbgm("compose", film, "--hit", "99")
    assert (run.code, run.out) == (2, "")
    assert "99" in run.err.splitlines()[-1]


@pytest.mark.parametrize("arguments", [(), ("compose",), ("no-such-command",), ("render", "x.mid")])
def test_half_a_command_line(arguments: tuple[str, ...], diffbgm: Command) -> None:
    run = diffbgm(*arguments)
    assert run.code == 2
    assert run.err.count("\n") == (1 if arguments else 0)


# Models and tools: exit code 4 ---------------------------------------------------------------------------


def test_missing_weights(film: Path, diffbgm: Command, untouched: Callable[[], None]) -> None:
    untouched()
    refused(diffbgm("compose", film, "--weights", "no-such-model"), 4, "no-such-model")


def test_weights_that_are_none(film: Path, diffbgm: Command, untouched: Callable[[], None]) -> None:
    fake = film.with_name("fake.onnx")
    fake.write_bytes(b"not a model")
    untouched()
    refused(diffbgm("compose", film, "--weights", fake), 4, "fake.onnx")


def test_a_missing_soundfont(
    film: Path, diffbgm: Command, stand_in_model: None, untouched: Callable[[], None]
) -> None:
    untouched()
    refused(diffbgm("compose", film, "--soundfont", "none.sf2"), 4, "none.sf2")


def test_a_soundfont_that_is_none(
    film: Path, diffbgm: Command, stand_in_model: None, untouched: Callable[[], None]
) -> None:
    fake = film.with_name("fake.sf2")
    fake.write_bytes(b"not a soundfont")
    untouched()
    refused(diffbgm("compose", film, "--soundfont", fake), 3, "fake.sf2")


def test_a_machine_without_fluidsynth(
    film: Path,
    diffbgm: Command,
    stand_in_model: None,
    untouched: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from diffbgm.sound import fluidsynth

    monkeypatch.setattr(fluidsynth, "_candidates", lambda: iter(()))
    fluidsynth.load_library.cache_clear()
    untouched()
    refused(diffbgm("compose", film), 4, "FluidSynth")
    fluidsynth.load_library.cache_clear()


# Places to write: exit code 6 ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["film.bgm.mp4", "film.bgm.mid", "film.bgm.html", "film.bgm.cues.json"])
def test_an_existing_output(
    name: str, film: Path, diffbgm: Command, stand_in_model: None, untouched: Callable[[], None]
) -> None:
    film.with_name(name).write_text("mine", encoding="utf-8")
    untouched()
    refused(diffbgm("compose", film), 6, name, "--force")


def test_a_missing_output_folder(
    film: Path, diffbgm: Command, stand_in_model: None, untouched: Callable[[], None]
) -> None:
    untouched()
    refused(diffbgm("compose", film, "-o", film.parent / "none" / "a.mp4"), 6, "none", "folder")


def test_a_container_that_cannot_hold_the_picture(
    film: Path, diffbgm: Command, stand_in_model: None, untouched: Callable[[], None]
) -> None:
    untouched()
    refused(diffbgm("compose", film, "-o", film.with_name("a.webm")), 6, "a.webm", "h264", ".mkv")


def test_the_input_as_output(
    film: Path, diffbgm: Command, stand_in_model: None, untouched: Callable[[], None]
) -> None:
    untouched()
    refused(diffbgm("compose", film, "-o", film, "--force"), 6, "is an input")


def test_the_given_sheet_as_output_of_cues(
    film: Path, diffbgm: Command, untouched: Callable[[], None]
) -> None:
    sheet = film.with_suffix(".cues.json")
    sheet.write_text("{}", encoding="utf-8")
    untouched()
    refused(diffbgm("cues", film, "--cues", sheet, "--force"), 6, "film.cues.json", "never overwritten")


def test_an_unwritable_output_folder(
    film: Path,
    diffbgm: Command,
    stand_in_model: None,
    untouched: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The system's answer is stood in for: nothing is unwritable to root, as whom tests may run."""
    locked = film.parent / "locked"
    locked.mkdir()
    untouched()

    def deny(prefix: str, dir: Path) -> str:
        if dir == locked:
            raise PermissionError(errno.EACCES, "Permission denied")
        return make(prefix=prefix, dir=dir)

    make = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", deny)
    refused(diffbgm("compose", film, "-o", locked / "a.mp4"), 6, "locked", "not writable")
    refused(diffbgm("compose", film, "--stems", locked), 6, "locked", "not writable")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system that takes no files")
def test_a_file_system_that_takes_no_files(film: Path, diffbgm: Command, stand_in_model: None) -> None:
    refused(diffbgm("compose", film, "-o", "/proc/a.mp4"), 6, "/proc", "not writable")


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file size there")
def test_a_full_disk(film: Path, stand_in_model: None) -> None:
    """Stood in for by a limit of file size, which fails in the same place: in the middle of writing."""
    import resource
    import signal

    before = contents(film.parent)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, old[1]))
    try:
        with pytest.raises(OutputError) as caught:
            compose_film(film)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert "\n" not in str(caught.value)
    assert ".diffbgm-" not in str(caught.value)
    assert contents(film.parent) == before


# Damaged but decodable: exit code 0, said in the warnings -------------------------------------------------


def test_a_truncated_film_is_composed_as_far_as_it_goes(
    diffbgm: Command, stand_in_model: None, tmp_path: Path
) -> None:
    whole = make_video(tmp_path / "whole.mkv", [(3.0, texture(1)), (3.0, (200, 60, 30))], audio="tone")
    data = whole.read_bytes()
    film = tmp_path / "film.mkv"
    film.write_bytes(data[: len(data) * 2 // 3])
    run = diffbgm("compose", film, "--json", "--no-report")
    assert run.code == 0, run.err
    said = json.loads(run.out)
    assert said["warnings"], "nothing was said about the missing third"
    assert 2.0 < said["duration_s"] < 5.9
    assert Path(said["outputs"]["video"]).is_file()


def test_a_damaged_film_is_composed(diffbgm: Command, stand_in_model: None, tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.mkv", [(3.0, texture(1)), (3.0, (200, 60, 30))], audio="tone")
    data = bytearray(film.read_bytes())
    for at in range(len(data) // 4, len(data) // 2, 997):
        data[at] ^= 0xFF
    film.write_bytes(data)
    run = diffbgm("compose", film, "--no-report")
    assert run.code == 0, run.err
    assert "warning: " in run.err
