"""`--chords` and `--melody` from the command line to the finished files, with a stand-in for the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mido
import pytest

from diffbgm.spotting.cuesheet import CueSheet

from .conftest import Run

pytestmark = pytest.mark.usefixtures("stand_in_model")

NOTES = ((0, 240, 64, 70), (300, 100, 67, 101), (480, 960, 72, 9), (1500, 420, 69, 88))
"""Onset and length in ticks of 480 a quarter, pitch, velocity."""


@pytest.fixture
def lead(tmp_path: Path) -> Path:
    track = mido.MidiTrack()
    now = 0
    for onset, length, pitch, velocity in NOTES:
        track.append(mido.Message("note_on", note=pitch, velocity=velocity, time=onset - now))
        track.append(mido.Message("note_off", note=pitch, time=length))
        now = onset + length
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(track)
    file.save(tmp_path / "lead.mid")
    return tmp_path / "lead.mid"


def rows(path: Path, track_name: str) -> list[tuple[int, int, int, int]]:
    file = mido.MidiFile(path)
    track = next(track for track in file.tracks if track.name == track_name)
    now, begun, out = 0, {}, []
    for message in track:
        now += message.time
        if message.type == "note_on":
            begun[message.note] = now // 2, message.velocity
        elif message.type == "note_off":
            onset, velocity = begun.pop(message.note)
            out.append((onset, now // 2 - onset, message.note, velocity))
    return sorted(out)


def test_a_film_gets_the_melody_and_chords_it_was_given(
    film: Path, lead: Path, diffbgm: Callable[..., Run]
) -> None:
    given = ("--chords", "Am F,C G", "--melody", lead, "--style", "rock")
    run = diffbgm("compose", film, *given, "--no-report", "--json")
    assert run.code == 0, run.err
    said = json.loads(run.out)
    assert (said["chords"], said["key"], said["melody_notes"]) == ("Am F,C G", "Am", 4)
    assert rows(Path(said["outputs"]["midi"]), "Lead guitar")[:4] == list(NOTES)
    sheet = CueSheet.load(Path(said["outputs"]["cues"]))
    again = diffbgm(
        "compose", film, "--cues", said["outputs"]["cues"], "--style", "playful",
        "-o", film.parent / "again.mp4",
        "--no-report", "--json",
    )  # fmt: skip
    assert again.code == 0, again.err
    other = json.loads(again.out)
    assert CueSheet.load(Path(other["outputs"]["cues"])).wishes.melody == sheet.wishes.melody
    name = next(track.name for track in mido.MidiFile(other["outputs"]["midi"]).tracks[1:])
    assert rows(Path(other["outputs"]["midi"]), name)[:4] == list(NOTES)


def test_the_cue_sheet_shows_the_chords_found_for_a_melody(
    film: Path, lead: Path, diffbgm: Callable[..., Run]
) -> None:
    run = diffbgm("cues", film, "--melody", lead, "--json")
    assert run.code == 0, run.err
    plan = json.loads(run.out)["plan"]
    assert len(plan["melody"]) == 4
    assert plan["chords"]


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (("--chords", "Am Q7"), 2, "option chords: 'Q7' is not a chord"),
        (("--melody", "none.mid"), 3, "none.mid"),
        (("--melody-bar", "0"), 2, "option melody-bar"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(
    film: Path, diffbgm: Callable[..., Run], given: tuple[str, ...], code: int, said: str
) -> None:
    run = diffbgm("compose", film, *given)
    assert run.code == code
    assert said in run.err
    assert run.err.count("\n") == 1
    assert not list(film.parent.glob("*.bgm.*"))


def test_the_melody_is_never_overwritten(film: Path, lead: Path, diffbgm: Callable[..., Run]) -> None:
    clash = film.parent / "lead.mp4"
    run = diffbgm("compose", film, "--melody", lead, "-o", clash, "--force")
    assert run.code == 6
    assert "is an input" in run.err
