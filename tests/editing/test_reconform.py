"""`diffbgm reconform` on real files: a film is composed, cut anew, and gets its music back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import diffbgm
from diffbgm.diffusion.roll import PianoRoll
from diffbgm.editing import reconform as reconforming
from diffbgm.errors import InputError, OptionError
from diffbgm.outputs import Staging
from diffbgm.spotting.cuesheet import CueSheet
from diffbgm.spotting.provenance import Finish
from diffbgm.video.analyze import analyze

from ..conftest import Run
from ..media import Pattern, Picture, ball, make_video, pan
from ..test_pipeline import digest

FPS = 24
QUICK: dict[str, Any] = {"steps": 2, "sampler": "ddim"}
SCENES: list[tuple[float, Pattern]] = [
    (9.0, pan(1, 20.0)), (8.5, ball(2, 60.0)), (10.0, pan(3, -25.0)), (8.0, ball(4, 45.0)),
]  # fmt: skip


def cut(path: Path, *parts: tuple[int, float, float], size: tuple[int, int] = (160, 90)) -> Path:
    """A film of scenes from second to second each; scene 9 was never seen before."""
    scenes = {**dict(enumerate(pattern for _, pattern in SCENES)), 9: pan(77, 30.0)}
    shots = [(end - start, _later(scenes[scene], start)) for scene, start, end in parts]
    return make_video(path, shots, fps=FPS, size=size, audio="tone")


def _later(pattern: Pattern, start_s: float) -> Pattern:
    assert callable(pattern)
    shown = pattern

    def draw(at_s: float, width: int, height: int) -> Picture:
        """The same picture at every size: patterns move by pixels."""
        picture = shown(at_s + start_s, 160, 90)
        return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    return draw


WHOLE = [(scene, 0.0, seconds) for scene, (seconds, _) in enumerate(SCENES)]


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cue sheet of a film of four scenes, with all that lies beside it."""
    folder = tmp_path_factory.mktemp("composed")
    film = cut(folder / "old.mp4", *WHOLE)
    diffbgm.compose(film, takes=1, seed=4, report=False, loudness=-20.0, original_audio="drop", **QUICK)
    return folder / "old.bgm.cues.json"


@pytest.fixture
def cues(composed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(composed.parent, tmp_path / "work") / composed.name)


@pytest.fixture
def notes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only sheet and notes are written."""

    def finish(place: Staging, *given: Any) -> None:
        _, _, sheet, roll, outputs, *_ = given
        sheet.save(place.file(outputs.cues))
        roll.save(place.file(outputs.roll))
        place.move_in()

    monkeypatch.setattr(reconforming, "finish_film", finish)


def music(cues: Path, name: str) -> tuple[CueSheet, PianoRoll]:
    beside = cues.with_name(name)
    sheet = CueSheet.load(beside.with_suffix(".bgm.cues.json"))
    return sheet, PianoRoll.load(beside.with_suffix(".bgm.roll.npz"))


def check_kept(cues: Path, name: str) -> int:
    """Every bar that is said to be kept is, bit for bit, on its picture; returns how many are."""
    (old, old_roll), (new, roll) = music(cues, "old.mp4"), music(cues, name)
    assert old.plan is not None
    assert new.plan is not None
    assert new.reconformed is not None
    assert [each.bars[0] for each in new.reconformed.stretches[1:]] == [
        each.bars[1] + 1 for each in new.reconformed.stretches[:-1]
    ]
    kept = 0
    for each in new.reconformed.stretches:
        if each.was is None:
            continue
        (first, end), (before, _) = (each.bars[0] - 1, each.bars[1]), (each.was[0] - 1, each.was[1])
        for bar in range(first, end):
            was = before + bar - first
            for size, got, wanted in (
                (16, roll.bits.swapaxes(0, 2), old_roll.bits.swapaxes(0, 2)),
                (16, roll.velocity.T, old_roll.velocity.T),
                (4, roll.chroma, old_roll.chroma),
                (4, roll.bass, old_roll.bass),
            ):
                np.testing.assert_array_equal(
                    got[size * bar : size * (bar + 1)], wanted[size * was : size * (was + 1)]
                )
        if each.tempo_kept:
            starts = np.array(new.plan.bar_starts_s[first : end + 1])
            shifts = (starts - np.array(old.plan.bar_starts_s[before : before + end - first + 1])) * FPS
            np.testing.assert_allclose(shifts, np.rint(shifts[0]), atol=0.5)
            kept += end - first
    frame_ms = 1000 / FPS
    assert all(abs(hit.error_ms) <= frame_ms for hit in new.plan.hits if hit.error_ms is not None)
    return kept


def test_scenes_that_change_places(cues: Path, diffbgm: Callable[..., Run]) -> None:
    film = cut(cues.with_name("new.mp4"), WHOLE[0], WHOLE[2], WHOLE[1], WHOLE[3], size=(192, 108))
    run = diffbgm("reconform", cues, film, "--steps", "2", "--sampler", "ddim", "--json")
    assert run.code == 0, run.err
    said = json.loads(run.out)
    sheet, roll = music(cues, "new.mp4")
    made = sheet.reconformed
    assert made is not None
    assert check_kept(cues, "new.mp4") >= 5
    assert said["reconformed"] == {**made.model_dump(mode="json"), "summary": made.summary}
    assert "composed" in made.summary
    assert "moved" in made.summary
    assert (made.cues, made.video) == ("old.bgm.cues.json", "old.mp4")
    assert made.before == music(cues, "old.mp4")[1].digest
    new_bars = [
        bar for each in made.stretches if each.was is None for bar in range(each.bars[0] - 1, each.bars[1])
    ]
    assert all(roll.bits[:, 0, 16 * bar : 16 * bar + 16].any() for bar in new_bars)
    assert sheet.finish == Finish(original_audio="drop", loudness=-20.0, duck_db=10.0, duck_ramp_s=0.4)
    assert said["loudness_lufs"] == pytest.approx(-20.0, abs=0.5)
    assert made.summary in film.with_suffix(".bgm.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("notes_only")
def test_back_and_forth(cues: Path) -> None:
    """Two scenes change places and go back: what was kept both times is where it was."""
    film = cut(cues.with_name("new.mp4"), WHOLE[0], WHOLE[2], WHOLE[1], WHOLE[3])
    diffbgm.reconform(cues, film, **QUICK)
    diffbgm.reconform(film.with_suffix(".bgm.cues.json"), cut(cues.with_name("again.mp4"), *WHOLE), **QUICK)
    (old, old_roll), (new, roll) = music(cues, "old.mp4"), music(cues, "again.mp4")
    assert new.plan is not None
    assert old.plan is not None
    assert new.reconformed is not None
    assert new.reconformed.seed == old.plan.seed + 2
    assert new.plan.bar_starts_s[:4] == old.plan.bar_starts_s[:4]
    np.testing.assert_array_equal(roll.bits[:, :, :48], old_roll.bits[:, :, :48])


def test_the_same_film_has_the_same_music(cues: Path, diffbgm: Callable[..., Run]) -> None:
    film = cut(cues.with_name("new.mp4"), *WHOLE)
    run = diffbgm("reconform", cues, film, "--no-report")
    assert run.code == 0, run.err
    for kind in ("mid", "roll.npz"):
        assert digest(film.with_suffix(f".bgm.{kind}")) == digest(cues.with_name(f"old.bgm.{kind}"))
    (old, _), (new, _) = music(cues, "old.mp4"), music(cues, "new.mp4")
    assert new.plan == old.plan
    assert new.weights == old.weights
    assert new.reconformed is not None
    assert [each.was == each.bars for each in new.reconformed.stretches] == [True]


@pytest.mark.usefixtures("notes_only")
@pytest.mark.parametrize(
    ("parts", "least"),
    [
        (WHOLE[:2], 5),
        ([WHOLE[0], *WHOLE[2:]], 6),
        ([*WHOLE[:2], (2, 0.0, 5.0), (9, 0.0, 3.0), (2, 5.0, 10.0), WHOLE[3]], 7),
        ([WHOLE[0], (1, 1.5, 8.5), *WHOLE[2:]], 9),
    ],
    ids=["end", "middle", "insert", "trim"],
)
def test_other_cuts(cues: Path, parts: list[tuple[int, float, float]], least: int) -> None:
    film = cut(cues.with_name("new.mp4"), *parts)
    diffbgm.reconform(cues, film, **QUICK)
    assert check_kept(cues, "new.mp4") >= least
    sheet, _ = music(cues, "new.mp4")
    assert sheet.plan is not None
    assert sheet.plan.duration_s == pytest.approx(sum(end - start for _, start, end in parts), abs=0.01)


@pytest.mark.usefixtures("notes_only")
def test_sheets_that_say_nothing_of_the_picture_need_the_old_film(cues: Path) -> None:
    sheet = CueSheet.load(cues)
    sheet.model_copy(update={"picture": None}).save(cues)
    film = cut(cues.with_name("new.mp4"), *WHOLE)
    diffbgm.reconform(cues, film, **QUICK)
    assert check_kept(cues, "new.mp4") == len(music(cues, "old.mp4")[1].bass) // 4
    cues.with_name("old.mp4").unlink()
    with pytest.raises(
        InputError, match=r"does not say what the old cut looked like, and that film \(old\.mp4\)"
    ):
        diffbgm.reconform(cues, film, force=True, **QUICK)


def test_what_cannot_be_done_changes_nothing(cues: Path, diffbgm: Callable[..., Run]) -> None:
    other = cut(cues.with_name("other.mp4"), (9, 0.0, 6.0))
    before = {path.name: digest(path) for path in cues.parent.iterdir()}
    old = cues.with_name("old.mp4")
    for given, code, said in (
        ((cues, other), 3, "other.mp4: shows nothing of the film of old.bgm.cues.json"),
        ((cues, cues.with_name("none.mp4")), 3, "none.mp4: no such file"),
        ((cues, old), 6, "is an input and is never overwritten"),
        ((cues.with_name("none.json"), other), 3, "none.json"),
    ):
        run = diffbgm("reconform", *given, "--force")
        assert run.code == code, run.err
        assert said in run.err.splitlines()[-1]
    assert {path.name: digest(path) for path in cues.parent.iterdir()} == before


def test_wishes_stay_those_of_the_sheet(cues: Path) -> None:
    with pytest.raises(OptionError, match="option mood: the old music keeps its plan"):
        diffbgm.reconform(cues, cues.with_name("old.mp4"), mood="sad")


def test_the_picture_is_known_by_a_few_kilobytes_a_minute(cues: Path) -> None:
    sheet = CueSheet.load(cues)
    assert sheet.picture is not None
    analysis = analyze(cues.with_name("old.mp4"))
    assert len(sheet.picture.fingerprints) <= 6500 * analysis.duration_s / 60
    np.testing.assert_array_equal(sheet.picture.bits, analysis.fingerprints.on_screen(sheet.picture.times_s))
