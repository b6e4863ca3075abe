"""A given melody: read from MIDI, and in the finished MIDI exactly as it was given."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import mido
import pytest

from diffbgm.errors import InputError, OptionError
from diffbgm.score.arrange import arrange
from diffbgm.score.lead import Lead, read_melody
from diffbgm.score.midi import write_midi
from diffbgm.score.styles import load_style, style_names
from diffbgm.spotting.cuesheet import MelodyNote, Plan

from .example_music import make_plan, make_roll

Row = tuple[Fraction, Fraction, int, int]
"""Onset and length in quarters, pitch, velocity."""

SUNG: tuple[Row, ...] = (
    (Fraction(1, 2), Fraction(1, 2), 64, 71),
    (Fraction(1), Fraction(3, 2), 67, 127),
    (Fraction(37, 12), Fraction(1, 3), 69, 1),  # triplets lie between the sixteenths
    (Fraction(41, 12), Fraction(1, 3), 67, 60),
    (Fraction(4), Fraction(4), 100, 90),  # higher than any part's range
    (Fraction(601, 120), Fraction(1, 48), 35, 33),  # lower; and two at once
    (Fraction(31), Fraction(1), 72, 99),
)


def midi_file(
    path: Path, rows: tuple[Row, ...], *, ticks: int = 480, tempo: int = 400_000, name: str = ""
) -> Path:
    """A melody with a tempo change in it, and a controller that a player would apply to the velocities."""
    file = mido.MidiFile(ticks_per_beat=ticks)
    track = mido.MidiTrack()
    file.tracks.append(track)
    events = [
        (0, mido.MetaMessage("set_tempo", tempo=tempo)),
        (3 * ticks, mido.MetaMessage("set_tempo", tempo=800_000)),
    ]
    events.append((0, mido.Message("control_change", control=7, value=40)))
    if name:
        events.append((0, mido.MetaMessage("track_name", name=name)))
    for onset, length, pitch, velocity in rows:
        events.append((int(onset * ticks), mido.Message("note_on", note=pitch, velocity=velocity)))
        events.append((int((onset + length) * ticks), mido.Message("note_on", note=pitch, velocity=0)))
    now = 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        track.append(message.copy(time=tick - now))
        now = tick
    file.save(path)
    return path


def rows_of(path: Path, track_name: str) -> list[Row]:
    file = mido.MidiFile(path)
    track = next(track for track in file.tracks if track.name == track_name)
    now, sounding, rows = 0, {}, []
    for message in track:
        now += message.time
        if message.type == "note_on":
            sounding[message.note] = (now, message.velocity)
        elif message.type == "note_off":
            onset, velocity = sounding.pop(message.note)
            scale = file.ticks_per_beat
            rows.append((Fraction(onset, scale), Fraction(now - onset, scale), message.note, velocity))
    return sorted(rows)


def given(plan: Plan, rows: tuple[Row, ...]) -> Plan:
    notes = tuple(
        MelodyNote(beat=float(onset), beats=float(length), pitch=pitch, velocity=velocity)
        for onset, length, pitch, velocity in rows
    )
    return plan.model_copy(update={"melody": notes})


@pytest.mark.parametrize("style", style_names())
@pytest.mark.parametrize("chords", [None, "C,F G Am"])
def test_the_melody_comes_out_as_it_went_in(tmp_path: Path, style: str, chords: str | None) -> None:
    melody = read_melody(midi_file(tmp_path / "lead.mid", SUNG))
    plan = make_plan(9, style, hit_steps=(16, 38), speech=((3.0, 9.0),))
    silent = tuple(section.model_copy(update={"melody": False}) for section in plan.sections)
    plan = plan.model_copy(update={"melody": melody, "chords": chords, "sections": silent})
    score = arrange(make_roll(9), plan, load_style(style))
    lead = Lead.of(plan, load_style(style))
    assert lead is not None
    write_midi(score, tmp_path / "out.mid")
    assert rows_of(tmp_path / "out.mid", lead.parts[lead.index].name) == list(SUNG)


def test_a_part_that_plays_more_gives_the_melody_up() -> None:
    plan = given(make_plan(9), SUNG)
    style = load_style("piano")
    lead = Lead.of(plan, style)
    assert lead is not None
    plays = [part.plays for part in lead.parts]
    assert plays == [("melody",), *(part.plays for part in style.parts[1:]), ("counter",)]
    assert len({part.name for part in lead.parts}) == len(plays)


def test_a_lead_that_strikes_hits_strikes_none_while_the_melody_is_given() -> None:
    style = load_style("piano")
    alone = style.parts[0].model_copy(update={"plays": ("melody",), "accent": True})
    style = style.model_copy(update={"parts": (alone, *style.parts[1:])})
    plan = given(make_plan(9, hit_steps=(16, 30)), SUNG[:6])
    played = arrange(make_roll(9), plan, style).parts[0]
    until_s = plan.bar_starts_s[2] - 0.05
    heard = [(n.pitch, n.velocity) for n in played.notes if n.start_s < until_s]
    assert heard == [(row[2], row[3]) for row in SUNG[:6]]


def test_after_the_given_melody_the_model_goes_on() -> None:
    plan, roll = make_plan(9, "acoustic"), make_roll(9)
    own = arrange(roll, plan, load_style("acoustic")).parts[0]
    mixed = arrange(roll, given(plan, SUNG[:2]), load_style("acoustic")).parts[0]
    border_s = plan.bar_starts_s[1] - 0.05
    assert [n.pitch for n in mixed.notes if n.start_s < border_s] == [64, 67]
    assert [(n.start_s > border_s, n.pitch) for n in own.notes if n.start_s > border_s] == [
        (True, n.pitch) for n in mixed.notes if n.start_s > border_s
    ]


def test_other_parts_play_along_only_on_the_grid() -> None:
    straight = given(make_plan(9, "playful", roles=((9, "climax", 0.9),)), (SUNG[1], SUNG[-1]))
    stray = straight.model_copy(
        update={"melody": (straight.melody[0].model_copy(update={"beat": 1.1}), *straight.melody[1:])}
    )
    style = load_style("playful")
    second = [part.name for part in style.parts if part.plays == ("melody",)][1]
    roll = make_roll(9)
    assert second in {part.name for part in arrange(roll, straight, style).parts}
    assert second not in {
        part.name for part in arrange(roll, stray, style).parts if part.notes[0].start_s < 15
    }


def test_the_bar_of_the_film_can_be_chosen(tmp_path: Path) -> None:
    path = midi_file(tmp_path / "lead.mid", SUNG, ticks=96)
    assert [note.beat for note in read_melody(path, 5)] == [note.beat + 16 for note in read_melody(path)]


def test_the_track_that_is_named_so_is_the_melody(tmp_path: Path) -> None:
    path = midi_file(tmp_path / "lead.mid", SUNG[:2], name="MELODY")
    file = mido.MidiFile(path)
    other = mido.MidiTrack([mido.MetaMessage("track_name", name="PIANO")])
    other += [
        mido.Message("note_on", channel=1, note=50, velocity=9),
        mido.Message("note_off", channel=1, note=50, time=9),
    ]
    file.tracks.append(other)
    file.save(path)
    assert [note.pitch for note in read_melody(path)] == [64, 67]
    file.tracks[0] = mido.MidiTrack(message for message in file.tracks[0] if message.type != "track_name")
    file.save(path)
    with pytest.raises(InputError, match=r"2 instruments .*'PIANO'.* name its track 'Melody'"):
        read_melody(path)


def test_hanging_and_empty_notes_are_closed(tmp_path: Path) -> None:
    track = mido.MidiTrack(
        [mido.Message("note_on", note=60, velocity=5), mido.Message("note_off", note=60, time=0)]
    )
    track += [
        mido.Message("note_on", note=62, velocity=6, time=480),
        mido.MetaMessage("end_of_track", time=960),
    ]
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(track)
    file.save(tmp_path / "x.mid")
    assert [(n.pitch, n.beat, n.beats) for n in read_melody(tmp_path / "x.mid")] == [
        (60, 0, 1 / 480),
        (62, 1, 2),
    ]


@pytest.mark.parametrize("meter", [(3, 4), (6, 8)])
def test_another_metre_is_refused(tmp_path: Path, meter: tuple[int, int]) -> None:
    path = midi_file(tmp_path / "lead.mid", SUNG)
    file = mido.MidiFile(path)
    file.tracks[0].insert(0, mido.MetaMessage("time_signature", numerator=meter[0], denominator=meter[1]))
    file.save(path)
    with pytest.raises(InputError, match=f"{meter[0]}/{meter[1]}.*4/4"):
        read_melody(path)


def test_files_that_hold_no_melody(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no notes"):
        read_melody(midi_file(tmp_path / "empty.mid", ()))
    (tmp_path / "text.mid").write_text("la la la")
    with pytest.raises(InputError, match=r"text\.mid"):
        read_melody(tmp_path / "text.mid")


def test_a_style_without_melody_cannot_have_one() -> None:
    style = load_style("piano")
    style = style.model_copy(update={"parts": style.parts[1:]})
    with pytest.raises(OptionError, match="no part of it plays a melody"):
        Lead.of(given(make_plan(9), SUNG), style)
