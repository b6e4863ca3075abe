"""`diffbgm edit` on a finished film: what changes, what stays, and the way back. With the shipped weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

import diffbgm
from diffbgm.diffusion.roll import PianoRoll
from diffbgm.editing import edit
from diffbgm.errors import InputError, OptionError
from diffbgm.options import ComposeOptions
from diffbgm.outputs import Staging
from diffbgm.spotting.cuesheet import CueSheet, Edit, Plan
from diffbgm.spotting.curves import density_curve
from diffbgm.spotting.edits import with_edit

from .conftest import Run
from .diffusion.plans import make_plan
from .test_pipeline import digest, picture_packets

QUICK = ("--steps", "2", "--sampler", "ddim")
KINDS = ("mp4", "wav", "mid", "cues.json", "roll.npz", "html")


@pytest.fixture(scope="module")
def composed_folder(short_film: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("composed")
    diffbgm.compose(shutil.copy(short_film, folder / "film.mp4"), steps=2, seed=5)
    return folder


@pytest.fixture
def cues(composed_folder: Path, tmp_path: Path) -> Path:
    """A film with its music in a folder of its own; the cue sheet."""
    return Path(shutil.copytree(composed_folder, tmp_path / "work") / "film.bgm.cues.json")


def state(cues: Path) -> dict[str, str]:
    """Digests of what an edit rewrites; the film's container holds the time of day nowhere."""
    return {kind: digest(cues.with_name(f"film.bgm.{kind}")) for kind in KINDS if kind != "html"}


def roll_of(cues: Path) -> PianoRoll:
    return PianoRoll.load(cues.with_name("film.bgm.roll.npz"))


def test_an_edit_changes_its_bars_and_can_be_taken_back(cues: Path, diffbgm: Callable[..., Run]) -> None:
    start, old = state(cues), roll_of(cues)
    film_before = digest(cues.with_name("film.mp4"))
    run = diffbgm("edit", cues, "--bars", "1-2", "--energy", "0.9", *QUICK, "--json")
    assert run.code == 0, run.err
    said = json.loads(run.out)
    new, sheet = roll_of(cues), CueSheet.load(cues)
    assert (new.bits[:, :, :32] != old.bits[:, :, :32]).any()
    np.testing.assert_array_equal(new.bits[:, :, 32:], old.bits[:, :, 32:])
    np.testing.assert_array_equal(new.velocity[:, 32:], old.velocity[:, 32:])
    (made,) = sheet.edits
    assert (made.bars, made.energy, made.seed, made.before) == ((1, 2), 0.9, 6, old.digest)
    assert made.weights == sheet.weights == said["weights"]
    assert said["edits"] == [made.model_dump(mode="json")]
    assert sheet.plan is not None
    assert np.mean(sheet.plan.energy[:8]) == pytest.approx(0.9, abs=0.01)
    first = state(cues)
    assert all(first[kind] != start[kind] for kind in first)
    assert digest(cues.with_name("film.mp4")) == film_before
    assert picture_packets(cues.with_name("film.bgm.mp4")) == picture_packets(cues.with_name("film.mp4"))
    with av.open(str(cues.with_name("film.bgm.mp4"))) as container:
        assert sheet.weights in container.metadata["comment"]

    assert diffbgm("edit", cues, "--undo").code == 0
    assert state(cues) == start
    assert not list(cues.parent.glob(".diffbgm-*"))


@pytest.fixture
def notes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edits write the sheet and the notes, without analysing the film and without sound."""

    def finish(place: Staging, *given: Any) -> None:
        _, _, sheet, roll, outputs, *_ = given
        sheet.save(place.file(outputs.cues))
        roll.save(place.file(outputs.roll))
        place.move_in()

    monkeypatch.setattr(edit, "finish_film", finish)
    monkeypatch.setattr(edit, "analyze", lambda film, *_: SimpleNamespace(duration_s=6.0))


def notes(cues: Path) -> tuple[str, ...]:
    return tuple(digest(cues.with_name(f"film.bgm.{kind}")) for kind in ("cues.json", "roll.npz"))


@pytest.mark.usefixtures("notes_only")
def test_the_way_back_and_forth(cues: Path) -> None:
    options = ComposeOptions(steps=2, sampler="ddim")

    def do(step: Callable[..., Any], *given: Any, **more: Any) -> tuple[str, ...]:
        step(cues, *given, options.model_copy(update=more))
        return notes(cues)

    start, old = notes(cues), roll_of(cues)
    first = do(edit.edit, (1, 2))
    again = partial(edit.edit, tracks=("melody",), like="rhythm")
    second = do(again, (2, 2))
    assert [made.seed for made in CueSheet.load(cues).edits] == [6, 7]
    np.testing.assert_array_equal(roll_of(cues).velocity[:, 32:], old.velocity[:, 32:])
    assert len({start, first, second}) == 3
    assert do(edit.undo) == first
    assert do(edit.redo) == second
    assert do(edit.undo) == first
    assert do(edit.undo) == start
    with pytest.raises(InputError, match=r"film\.bgm\.cues\.json: there is no edit to undo"):
        edit.undo(cues, options)
    assert do(edit.edit, (1, 2)) == first, "the same edit, the same notes"
    assert do(edit.redo) == second
    with pytest.raises(InputError, match="there is no undone edit to make again"):
        edit.redo(cues, options)
    do(edit.undo)
    do(edit.undo)
    do(edit.edit, (1, 2), seed=99)
    with pytest.raises(InputError, match="there is no undone edit to make again"):
        edit.redo(cues, options)
    shutil.rmtree(cues.with_name("film.bgm.versions"))
    with pytest.raises(InputError, match="the notes before the last edit are not there any more"):
        edit.undo(cues, options)


@pytest.mark.usefixtures("notes_only")
def test_another_film_is_noticed(cues: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit, "analyze", lambda film, *_: SimpleNamespace(duration_s=6.5))
    before = notes(cues)
    with pytest.raises(InputError, match=r"lasts 6\.50 s, the film of film\.bgm\.cues\.json 6\.00 s"):
        edit.edit(cues, (1, 1), ComposeOptions(steps=2))
    assert notes(cues) == before


@pytest.mark.usefixtures("stand_in_model")
def test_composing_anew_forgets_the_edits(cues: Path) -> None:
    sheet = CueSheet.load(cues)
    sheet.model_copy(update={"edits": (asking(bars=(1, 1)),)}).save(cues)
    film = cues.with_name("film.mp4")
    result = diffbgm.compose(film, cues=cues, output=film.with_name("again.mp4"), report=False)
    assert result.cues.edits == ()
    assert result.cues.plan == sheet.plan
    assert result.cues.weights == "stand-in-0-00000000"


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ((), 2, "option bars: give the bars"),
        (("--undo", "--bars", "1"), 2, "option bars: give the bars"),
        (("--undo", "--energy", "1"), 2, "option bars: give the bars"),
        (("--bars", "2-1"), 2, "before the last one"),
        (("--bars", "x"), 2, "neither a bar nor a range"),
        (("--bars", "1", "--track", "drums"), 2, "there is no track 'drums'"),
        (("--bars", "1-99"), 2, "are no bars of this music, which has 1-"),
        (("--bars", "1", "--mood", "qwerty"), 2, "no word of 'qwerty' is known"),
        (("--bars", "1", "--chords", "C", "--track", "melody"), 2, "option chords"),
        (("--bars", "1", "--video", "none.mp4"), 3, "none.mp4: no such film"),
        (("--redo",), 3, "no undone edit"),
    ],
)
def test_what_cannot_be_done_changes_nothing(
    cues: Path, diffbgm: Callable[..., Run], given: tuple[str, ...], code: int, said: str
) -> None:
    before = {path.name: digest(path) for path in cues.parent.iterdir()}
    run = diffbgm("edit", cues, *given)
    assert (run.code, run.err.count("\n")) == (code, 1), run.err
    assert said in run.err
    assert {path.name: digest(path) for path in cues.parent.iterdir()} == before


def test_without_the_notes_there_is_nothing_to_edit(cues: Path, diffbgm: Callable[..., Run]) -> None:
    cues.with_name("film.bgm.roll.npz").unlink()
    run = diffbgm("edit", cues, "--bars", "1")
    assert (run.code, "film.bgm.roll.npz: no such file" in run.err) == (3, True)


def asking(**changes: Any) -> Edit:
    given = {"tracks": ("melody", "counter", "accompaniment"), "seed": 1, "weights": "w", "before": ""}
    return Edit.model_validate({"bars": (9, 12), **given, **changes})


def test_energy_is_that_of_the_bars_alone() -> None:
    plan = make_plan(bars=20)
    out = with_edit(plan, asking(energy=0.9))
    assert out.energy[32:48] == (0.9,) * 16
    wanted = density_curve(np.array(out.energy), plan.spoken_beats)
    assert out.density[32:48] == pytest.approx(wanted[32:48], abs=1e-3)
    for name in ("energy", "density"):
        assert getattr(out, name)[:32] == getattr(plan, name)[:32]
        assert getattr(out, name)[48:] == getattr(plan, name)[48:]
    assert [section.energy for section in out.sections] == pytest.approx([0.58, 0.58])
    assert (out.solved_from, out.seed, out.hits) == (plan.solved_from, plan.seed, plan.hits)


def test_a_mood_makes_sections_of_the_bars() -> None:
    plan = make_plan(bars=20)
    own = plan.sections[1].model_copy(update={"chords": "Dm G"})
    plan = Plan.model_validate({**plan.model_dump(), "sections": (plan.sections[0], own)})
    out = with_edit(plan, asking(bars=(8, 11), mood="sad, calm"))
    assert [(each.start_bar, each.end_bar) for each in out.sections] == [(0, 7), (7, 10), (10, 11), (11, 20)]
    assert [each.valence < 0 for each in out.sections] == [False, True, True, False]
    assert [each.label for each in out.sections] == ["A", "A", "B", "B"]
    assert np.mean(out.energy[28:44]) < 0.5
    assert out.asked_chords == plan.asked_chords
    loud = with_edit(plan, asking(mood="sad, calm", energy=0.8))
    assert np.mean(loud.energy[32:48]) == pytest.approx(0.8)


def test_chords_are_those_of_the_bars_alone() -> None:
    plan = make_plan(bars=20).model_copy(update={"chords": "Am F,G C"})
    out = with_edit(plan, asking(chords="Dm E7"))
    texts, before = (["-" if c is None else c.text for c in p.asked_chords] for p in (out, plan))
    assert texts[32:48] == (["Dm"] * 4 + ["E7"] * 4) * 2
    assert texts[:32] + texts[48:] == before[:32] + before[48:]
    free = with_edit(make_plan(bars=20), asking(chords="Dm"))
    assert [chord is None for chord in free.asked_chords] == [True] * 32 + [False] * 16 + [True] * 32


def test_bars_outside_the_film_are_refused() -> None:
    with pytest.raises(OptionError, match="option bars: 20-21 are no bars of this music, which has 1-20"):
        with_edit(make_plan(bars=20), asking(bars=(20, 21)))
