from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest

from diffbgm.errors import InputError
from diffbgm.score.arrange import arrange
from diffbgm.score.listing import parts_as_lists
from diffbgm.score.midi import read_midi, write_midi
from diffbgm.score.score import Note, Part, Score, Tone
from diffbgm.score.styles import load_style
from diffbgm.timing import TempoMap
from tests.score.example_music import make_plan, make_roll


def example(style: str = "cinematic", n_bars: int = 12, key: str = "Ebm") -> Score:
    plan = make_plan(n_bars, style, hit_steps=(21, 64), key=key, roles=((n_bars, "climax", 0.9),))
    return arrange(make_roll(n_bars, transpose=3), plan, load_style(style))


def note_score(bars: tuple[float, ...], starts: list[float], key: str = "C") -> Score:
    notes = tuple(Note(s, s + 0.1, 60 + i % 12, 80) for i, s in enumerate(starts))
    return Score(TempoMap(bars), key, (Part("Piano", 0, False, notes),), (), bars[-1])


def test_an_independent_reader_finds_the_same_notes(tmp_path: Path) -> None:
    score = example()
    write_midi(score, tmp_path / "a.mid")
    midi = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid"))
    assert [i.name for i in midi.instruments] == [p.name for p in score.parts]
    for instrument, part in zip(midi.instruments, score.parts, strict=True):
        assert (instrument.program, instrument.is_drum) == (part.program, part.is_drums)
        found = sorted((n.pitch, n.start, n.end, n.velocity) for n in instrument.notes)
        wanted = sorted((n.pitch, n.start_s, n.end_s, n.velocity) for n in part.notes)
        assert len(found) == len(wanted)
        difference = np.abs(np.array(found) - np.array(wanted))
        assert difference[:, [0, 3]].max() == 0
        assert difference[:, 1:3].max() < 0.001
        controls = {c.number: c.value for c in instrument.control_changes if c.time == 0 and c.number != 64}
        assert controls == {7: part.volume, 10: part.pan, 91: part.reverb, 93: part.chorus}
        pedals = [(c.time, c.value) for c in instrument.control_changes if c.number == 64]
        assert len(pedals) == 2 * len(part.pedals)
    assert [(s.numerator, s.denominator, s.time) for s in midi.time_signature_changes] == [(4, 4, 0.0)]
    assert pretty_midi.key_number_to_key_name(midi.key_signature_changes[0].key_number) == "Eb minor"


def test_conductor_track(tmp_path: Path) -> None:
    score = example()
    write_midi(score, tmp_path / "a.mid")
    file = mido.MidiFile(tmp_path / "a.mid")
    assert (file.type, file.ticks_per_beat) == (1, 960)
    assert len(file.tracks) == 1 + len(score.parts)
    texts = {m.type: m.text for m in file.tracks[0] if m.type in ("marker", "cue_marker")}
    assert texts == {"marker": "climax A", "cue_marker": "hit cut"}
    assert sum(m.type == "set_tempo" for m in file.tracks[0]) >= 10
    assert file.length == pytest.approx(score.duration_s, abs=1e-3)
    for part, track in zip(score.parts, file.tracks[1:], strict=True):
        channels = {m.channel for m in track if not m.is_meta}
        assert len(channels) == 1
        assert (channels == {9}) == part.is_drums


def test_tempo_errors_do_not_add_up_over_an_hour(tmp_path: Path) -> None:
    # 500000.475 microseconds a quarter: rounded alike in each bar, the error would grow to 3.4 ms.
    bars = tuple(2.0000019 * bar for bar in range(1801))
    starts = list(bars[:-1])
    write_midi(note_score(bars, starts), tmp_path / "a.mid")
    midi = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid"))
    found = sorted(n.start for n in midi.instruments[0].notes)
    assert np.abs(np.array(found) - starts).max() < 1e-4


def test_an_even_tempo_is_written_once(tmp_path: Path) -> None:
    bars = tuple(240 / 96.7 * bar for bar in range(9))
    write_midi(note_score(bars, [0.5]), tmp_path / "a.mid")
    assert sum(m.type == "set_tempo" for m in mido.MidiFile(tmp_path / "a.mid").tracks[0]) == 1


@pytest.mark.parametrize(
    "tonic", ["C", "C#", "Db", "D", "D#", "Eb", "E", "F", "F#", "Gb", "G", "G#", "A", "A#", "B"]
)
@pytest.mark.parametrize("mode", ["", "m"])
def test_every_key_has_a_signature(tmp_path: Path, tonic: str, mode: str) -> None:
    write_midi(note_score((0.0, 2.0), [0.0], key=tonic + mode), tmp_path / "a.mid")
    assert read_midi(tmp_path / "a.mid").key.endswith("m") == bool(mode)


def test_bytes_depend_on_the_score_alone(tmp_path: Path) -> None:
    write_midi(example(), tmp_path / "one.mid")
    (tmp_path / "folder").mkdir()
    write_midi(example(), tmp_path / "folder" / "another name.mid")
    data = (tmp_path / "one.mid").read_bytes()
    assert data == (tmp_path / "folder" / "another name.mid").read_bytes()
    assert str(tmp_path).encode() not in data


def test_written_scores_read_back(tmp_path: Path) -> None:
    score = example("piano-strings")
    write_midi(score, tmp_path / "a.mid")
    back = read_midi(tmp_path / "a.mid")
    assert (back.key, back.duration_s) == (score.key, pytest.approx(score.duration_s, abs=1e-3))
    assert [m.kind for m in back.markers] == [m.kind for m in score.markers]
    assert np.allclose(back.tempo_map.bar_starts_s, score.tempo_map.bar_starts_s, atol=1e-3)
    for part, again in zip(score.parts, back.parts, strict=True):
        plain = replace(part, tone=Tone(), touch=1.0, width=1.0)  # MIDI has no place for these
        assert replace(plain, notes=(), pedals=()) == replace(again, notes=(), pedals=())
        played = sorted((n.pitch, n.start_s, n.velocity) for n in part.notes)
        read = sorted((n.pitch, n.start_s, n.velocity) for n in again.notes)
        assert np.allclose(played, read, rtol=0, atol=1e-3)
        assert len(part.pedals) == len(again.pedals)


def test_too_many_parts(tmp_path: Path) -> None:
    part = Part("P", 0, False, (Note(0.0, 1.0, 60, 80),))
    many = Score(TempoMap((0.0, 2.0)), "C", (part,) * 16, (), 2.0)
    with pytest.raises(ValueError, match="15 melodic"):
        write_midi(many, tmp_path / "a.mid")
    drums = replace(part, is_drums=True)
    write_midi(replace(many, parts=(*(part,) * 15, drums)), tmp_path / "a.mid")
    with pytest.raises(ValueError, match="percussion"):
        write_midi(replace(many, parts=(drums, drums)), tmp_path / "a.mid")


def ordinary_file(path: Path, **header: int) -> None:
    """A type 0 file with a tempo change, a program change in between, drums, expression and a pedal."""
    file = mido.MidiFile(**{"type": 0, "ticks_per_beat": 100, **header})
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("track_name", name="Song"))
    track.append(mido.Message("program_change", channel=2, program=40))
    track.append(mido.Message("control_change", channel=2, control=64, value=100))
    track.append(mido.Message("note_on", channel=2, note=60, velocity=100))
    track.append(mido.Message("note_on", channel=9, note=36, velocity=90))
    track.append(mido.Message("note_on", channel=9, note=36, velocity=0, time=100))
    track.append(mido.Message("note_on", channel=2, note=60, velocity=0, time=100))  # after a second
    track.append(mido.MetaMessage("set_tempo", tempo=1_000_000))
    track.append(mido.Message("control_change", channel=2, control=64, value=0))
    track.append(mido.Message("control_change", channel=2, control=11, value=64))
    track.append(mido.Message("note_on", channel=2, note=62, velocity=100, time=100))  # at two seconds
    track.append(mido.Message("program_change", channel=2, program=73))
    track.append(mido.Message("note_on", channel=2, note=64, velocity=100, time=100))  # at three
    track.append(mido.MetaMessage("end_of_track", time=100))
    file.save(path)


def test_an_ordinary_file(tmp_path: Path) -> None:
    ordinary_file(tmp_path / "a.mid")
    score = read_midi(tmp_path / "a.mid")
    violin, flute, drums = score.parts
    assert (violin.program, flute.program, drums.is_drums) == (40, 73, True)
    assert [p.name for p in score.parts] == ["Song (Violin)", "Song (Flute)", "Song (Drums)"]
    assert violin.notes == (Note(0.0, 1.0, 60, 100), Note(2.0, 4.0, 62, 50))
    assert flute.notes == (Note(3.0, 4.0, 64, 50),)  # the expression still stands
    assert drums.notes == (Note(0.0, 0.5, 36, 90),)
    assert [(p.start_s, p.end_s) for p in violin.pedals] == [(0.0, 1.0)]
    assert score.duration_s == 6.0
    assert score.tempo_map.bar_starts_s[:3] == (0.0, 3.0, 7.0)


def test_programs_may_stand_in_another_track(tmp_path: Path) -> None:
    file = mido.MidiFile(type=1)
    file.tracks.append(mido.MidiTrack([mido.Message("program_change", channel=3, program=24)]))
    on = mido.Message("note_on", channel=3, note=60, velocity=70)
    off = mido.Message("note_off", channel=3, note=60, time=480)
    file.tracks.append(mido.MidiTrack([on, off]))
    file.save(tmp_path / "a.mid")
    (part,) = read_midi(tmp_path / "a.mid").parts
    assert (part.program, part.name) == (24, "Track 2")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "MIDI"),
        (b"this is a text file, not music", "MIDI"),
        (b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x01\xe0MTrk\x00\x00\x10\x00\x00", "broken"),
        (b"MThd\x00\x00\x00\x06\x00\x01\x00\x00\x01\xe0", "no notes"),
        (b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\xe7\x28MTrk\x00\x00\x00\x04\x00\xff\x2f\x00", "SMPTE"),
        (b"MThd\x00\x00\x00\x06\x00\x02\x00\x01\x01\xe0MTrk\x00\x00\x00\x04\x00\xff\x2f\x00", "type 2"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.mid"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_midi(path)
    assert str(caught.value).startswith(str(path))


def test_damage_anywhere_is_refused_or_survived(tmp_path: Path) -> None:
    ordinary_file(tmp_path / "a.mid")
    data = (tmp_path / "a.mid").read_bytes()
    rng = np.random.default_rng(1)
    path = tmp_path / "b.mid"
    for _ in range(150):
        damaged = bytearray(data[: rng.integers(1, len(data) + 1)])
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(bytes(damaged))
        try:
            score = read_midi(path)
        except InputError:
            continue
        assert all(0 <= n.start_s < n.end_s for p in score.parts for n in p.notes)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.mid", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_midi(path)


def test_absurd_length_is_refused(tmp_path: Path) -> None:
    file = mido.MidiFile(type=0, ticks_per_beat=1)
    on = mido.Message("note_on", note=60, velocity=70)
    file.tracks.append(mido.MidiTrack([on, mido.Message("note_off", note=60, time=0x0FFFFFF)]))
    file.save(tmp_path / "a.mid")
    with pytest.raises(InputError, match="hours"):
        read_midi(tmp_path / "a.mid")


def test_notes_as_lists() -> None:
    (part,) = parts_as_lists(note_score((0.0, 2.0), [0.5]))
    assert part == {"name": "Piano", "program": 0, "is_drums": False, "notes": [[0.5, 0.6, 60, 80]]}
