from __future__ import annotations

from pathlib import Path

import mido
import numpy as np
import pytest

from diffbgm.diffusion.roll import ONSET, SUSTAIN, PianoRoll
from diffbgm.errors import InputError
from diffbgm.metrics.notes import Notes, no_notes, notes_of_roll, read_notes
from diffbgm.timing import TempoMap
from tests.metrics.pieces import notes_at, tune, write_midi


def same(a: Notes, b: Notes) -> bool:
    names = ("start_q", "end_q", "start_s", "end_s", "pitch", "velocity", "part")
    return all(np.allclose(getattr(a, name), getattr(b, name)) for name in names)


def test_midi_files_are_read_as_written(tmp_path: Path) -> None:
    notes = tune(3, bars=6)
    write_midi(notes, tmp_path / "tune.mid")
    assert same(read_notes(tmp_path / "tune.mid"), notes)


def test_tempo_changes_move_seconds_but_not_quarters(tmp_path: Path) -> None:
    file = mido.MidiFile(ticks_per_beat=96)
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=1_000_000))
    track.append(mido.MetaMessage("set_tempo", tempo=250_000, time=192))
    track.append(mido.Message("note_on", note=60, velocity=50, time=96))
    track.append(mido.Message("note_off", note=60, time=96))
    track.append(mido.Message("note_on", note=36, velocity=50, channel=9))
    track.append(mido.Message("note_off", note=36, time=9, channel=9))
    file.tracks.append(track)
    file.save(tmp_path / "tempo.mid")
    notes = read_notes(tmp_path / "tempo.mid")
    assert len(notes) == 1  # percussion is left out
    assert (notes.start_q[0], notes.end_q[0]) == (3.0, 4.0)
    assert (notes.start_s[0], notes.end_s[0]) == (2.25, 2.5)


@pytest.mark.parametrize("content", [b"", b"not a midi file at all", b"MThd\x00\x00\x00\x06\x00\x01"])
def test_broken_files_are_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.mid").write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.mid"):
        read_notes(tmp_path / "broken.mid")
    with pytest.raises(InputError, match="no such file"):
        read_notes(tmp_path / "missing.mid")


def test_rolls_give_their_notes() -> None:
    bits = np.zeros((3, 2, 16, 88), bool)
    velocity = np.zeros((3, 16), np.uint8)
    bits[0, ONSET, 0, 39], bits[0, SUSTAIN, 1:4, 39] = True, True  # C4, a quarter
    bits[0, ONSET, 4, 39], bits[0, SUSTAIN, 5, 39] = True, True  # struck again, an eighth
    bits[2, ONSET, 15, 0] = True  # the last sixteenth
    velocity[0, [0, 4]], velocity[2, 15] = (90, 70), 40
    roll = PianoRoll(bits, velocity, np.zeros((4, 12), bool), np.full(4, -1, np.int8))
    notes = notes_of_roll(roll, TempoMap((0.0, 4.0)))
    assert notes.start_q.tolist() == [0.0, 1.0, 3.75]
    assert notes.end_q.tolist() == [1.0, 1.5, 4.0]
    assert notes.start_s.tolist() == [0.0, 1.0, 3.75]
    assert notes.pitch.tolist() == [60, 60, 21]
    assert notes.velocity.tolist() == [90, 70, 40]
    assert notes.part.tolist() == [0, 0, 2]


def test_bars_positions_and_events() -> None:
    notes = notes_at([(0.0, 1.0, 60), (0.0, 1.0, 64), (3.99, 1.0, 67), (9.5, 1.0, 72)])
    assert notes.n_bars == 3
    assert [bar.tolist() for bar in notes.pitches_by_bar()] == [[60, 64, 67], [], [72]]
    onsets = notes.onsets_by_bar()
    assert np.argwhere(onsets).tolist() == [[0, 0], [1, 0], [2, 6]]  # 3.99 is nearest to the next bar
    assert notes.events() == [(0.0, [0, 4]), (3.99, [7]), (9.5, [0])]
    second = notes.bars(2, 1)
    assert (second.start_q.tolist(), second.start_s.tolist()) == ([1.5], [0.75])
    assert not len(notes.bars(1, 1))


def test_a_late_note_at_the_end_makes_a_bar_more() -> None:
    assert notes_at([(0.0, 1.0, 60), (3.99, 1.0, 60)]).onsets_by_bar().shape == (2, 16)
    assert no_notes().onsets_by_bar().shape == (0, 16)


def test_notes_refuse_disorder() -> None:
    notes = tune(0, bars=2)
    with pytest.raises(ValueError, match="sorted"):
        Notes(*(getattr(notes, name)[::-1] for name in notes.__dataclass_fields__))
    with pytest.raises(ValueError, match="length"):
        Notes(notes.start_q[1:], *(getattr(notes, name) for name in list(notes.__dataclass_fields__)[1:]))
