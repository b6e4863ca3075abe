"""Every rule of the gate is seen to strike, and what is music to pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diffbgm.data.pop909 import read_given, read_songs
from diffbgm.data.windows import WindowSource
from diffbgm.diffusion.conditions import DYNAMIC_INDEX
from diffbgm.diffusion.roll import PianoRoll
from diffbgm.diffusion.tokens import to_roll
from diffbgm.metrics.notes import notes_of_roll
from diffbgm.metrics.novelty import Line
from diffbgm.spotting.cuesheet import MelodyNote
from diffbgm.takes.asked import Asked, scale_of
from diffbgm.takes.gate import COPIED_NOTES, faults
from diffbgm.takes.measures import measure
from diffbgm.takes.novelty_index import NoveltyIndex, voices_of

from .conftest import Songs
from .pieces import PLAN, emptied, random_notes, repeated, sampled, transposed, with_melody

ASKED = Asked.of_plan(PLAN)


def words(roll: PianoRoll, asked: Asked = ASKED, index: NoveltyIndex | None = None) -> set[str]:
    """The first words of what is broken."""
    return {fault.split(":")[0] for fault in faults(measure(roll, asked, index), asked)}


@pytest.mark.parametrize("take", range(3))
def test_what_the_model_writes_passes(take: int) -> None:
    assert words(sampled(take)) == set()


def test_an_empty_take_is_rejected() -> None:
    assert words(emptied(sampled(), 0)) == {"empty"}
    assert "empty" in words(emptied(sampled(), 12))
    assert words(emptied(sampled(), 16)) == set(), "the last bar does not count"


def test_a_take_with_far_too_few_notes_is_rejected() -> None:
    thin = sampled().bits.copy()
    thin[1:] = False
    assert "density" in words(replace(sampled(), bits=thin))


def test_random_notes_are_rejected() -> None:
    found = words(random_notes(sampled()))
    assert {"off-key", "chaotic"} <= found


@pytest.mark.parametrize("semitones", [1, -1, 6])
def test_a_take_in_another_key_is_rejected(semitones: int) -> None:
    assert "off-key" in words(transposed(sampled(), semitones))


def test_notes_that_a_person_asked_for_are_not_off_key() -> None:
    chords = PLAN.model_copy(update={"chords": "C#m7b5"})
    assert scale_of("C")[1] == False  # noqa: E712
    assert Asked.of_plan(chords).scale[0, [1, 4, 7, 11, 0]].all()
    tune = (MelodyNote(beat=2, beats=1, pitch=61, velocity=80),)
    scale = Asked.of_plan(PLAN.model_copy(update={"melody": tune})).scale
    assert scale[2, 1]
    assert not scale[3, 1]


def test_one_bar_over_and_over_is_rejected() -> None:
    assert {"one bar over and over", "metronomic"} <= words(repeated(sampled(), 4))


def test_a_copied_passage_is_rejected() -> None:
    pitches = np.random.default_rng(1).choice([60, 62, 64, 65, 67, 69, 71], 40).tolist()
    theirs = voices_of(notes_of_roll(with_melody(sampled(), pitches)))
    index = NoveltyIndex.of_lines([Line(line.symbols, line.at_q) for line in theirs])
    stolen = with_melody(sampled(1), pitches[: COPIED_NOTES + 2], from_step=64)
    assert "copied" in words(stolen, index=index)
    assert "copied" not in words(
        with_melody(sampled(1), pitches[: COPIED_NOTES - 6], from_step=64), index=index
    )
    # A melody that the person gave is no fault of the take's.
    given = replace(ASKED, given=(0, ASKED.n_beats))
    assert "copied" not in words(stolen, given, index)


@pytest.mark.parametrize("bars", [1, 2, 3, 5, 9])
def test_short_pieces_are_measured_too(bars: int) -> None:
    beats = 4 * bars
    roll = sampled()
    short = PianoRoll(
        roll.bits[:, :, : 4 * beats], roll.velocity[:, : 4 * beats], roll.chroma[:beats], roll.bass[:beats]
    )
    asked = Asked(
        ASKED.onsets[:bars], ASKED.melody[:bars], ASKED.scale[:beats], np.zeros(0, np.int64), np.zeros(0)
    )
    measures = measure(short, asked)
    assert np.isnan(measures.distance) == (bars < 4)
    assert "empty" not in words(short, asked)
    assert "empty" in words(emptied(short, 0), asked)


@pytest.mark.data
def test_held_out_songs_pass_and_learned_melodies_do_not(songs: Songs) -> None:
    source = WindowSource(list(read_songs(songs.folder, songs.table, "heldout")))
    passed = 0
    chosen = source.windows[::8]
    for window in chosen:
        bars = source.conditions(window).dynamic[::4]
        asked = Asked(
            2.0 * (bars[:, DYNAMIC_INDEX["density"]] - 1), bars[:, DYNAMIC_INDEX["melody"]] > 1,
            np.tile(scale_of("C"), (64, 1)), np.zeros(0, np.int64), np.zeros(0),
        )  # fmt: skip
        passed += not words(to_roll(source.tokens(window)), asked)
    assert len(chosen) > 30
    assert passed / len(chosen) > 0.9

    song, _ = read_given(songs.folder / "POP909" / "250", songs.rows["250"])
    learned = WindowSource(list(read_songs(songs.folder, songs.table, "train")))
    assert song.bits.shape[0] > 64
    stolen = [words(to_roll(learned.tokens(window))) for window in learned.windows[::40]]
    assert np.mean(["copied" in found for found in stolen]) > 0.8
