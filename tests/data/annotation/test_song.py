from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pytest

from diffbgm.data.annotation.grid import unpacked
from diffbgm.data.annotation.lyrics import lyrics_of_events, read_lyrics
from diffbgm.data.annotation.metre import Metre, beat_grid, metre_of
from diffbgm.data.annotation.music import Lyric, Span
from diffbgm.data.annotation.song import annotate_midi
from diffbgm.data.pop909 import song_of
from diffbgm.data.windows import WindowSource
from diffbgm.diffusion.roll import ONSET, SUSTAIN
from diffbgm.errors import InputError

from .test_form import piece

TICKS = 480


@pytest.mark.parametrize(
    ("signature", "metre"),
    [
        ((4, 4), Metre(1.0, 4, 2)),
        ((3, 4), Metre(1.0, 3, 2)),
        ((2, 2), Metre(1.0, 4, 2)),
        ((6, 8), Metre(1.5, 2, 3)),
        ((12, 8), Metre(1.5, 4, 3)),
        ((9, 16), Metre(0.75, 3, 3)),
        ((7, 8), Metre(0.5, 7, 2)),
        ((1, 4), Metre(1.0, 4, 2)),
    ],
)
def test_time_signatures(signature: tuple[int, int], metre: Metre) -> None:
    assert metre_of(*signature) == metre


def test_bars_begin_anew_at_a_time_signature() -> None:
    grid = beat_grid([(0.0, 4, 4), (6.5, 3, 4)], 12.0)
    np.testing.assert_allclose(grid.beats_q, [0, 1, 2, 3, 4, 5, 6.5, 7.5, 8.5, 9.5, 10.5, 11.5, 12.5])
    assert np.flatnonzero(grid.downbeat).tolist() == [0, 4, 6, 9]
    assert grid.metre.beats_per_bar == 4


def test_a_late_first_signature_follows_common_time() -> None:
    grid = beat_grid([(8.0, 6, 8)], 20.0)
    np.testing.assert_allclose(np.diff(grid.beats_q), [1] * 8 + [1.5] * 8)
    assert grid.metre == Metre(1.5, 2, 3)


def test_a_signature_after_the_last_note_ends_the_grid() -> None:
    grid = beat_grid([(0.0, 4, 4), (8.0, 3, 4)], 7.5)
    assert np.flatnonzero(grid.downbeat).tolist() == [0, 4]
    assert len(grid.beats_q) == len(grid.downbeat) + 1
    assert np.all(np.diff(grid.beats_q) > 0)


def write_midi(
    path: Path, form: str = "aABA", tracks: bool = True, signature: tuple[int, int] = (4, 4)
) -> int:
    """60 beats a minute, then 120 from beat 64 on; one track a voice, or all in one. Returns the beats."""
    rows, n_beats = piece(form)
    file = mido.MidiFile(ticks_per_beat=TICKS)
    head = mido.MidiTrack()
    head.append(mido.MetaMessage("time_signature", numerator=signature[0], denominator=signature[1]))
    head.append(mido.MetaMessage("set_tempo", tempo=1_000_000))
    head.append(mido.MetaMessage("lyrics", text="la", time=32 * TICKS))
    head.append(mido.MetaMessage("lyrics", text="lu ", time=2 * TICKS))
    head.append(mido.MetaMessage("set_tempo", tempo=500_000, time=30 * TICKS))
    file.tracks.append(head)
    for voice in (2, 0) if tracks else (None,):
        events = []
        for start, end, pitch, velocity, own in rows:
            if voice in (None, own):
                events.append((round(start * TICKS), 1, pitch, velocity))
                events.append((round(end * TICKS), 0, pitch, 0))
        track, now = mido.MidiTrack(), 0
        for tick, on, pitch, velocity in sorted(events):
            kind = "note_on" if on else "note_off"
            track.append(mido.Message(kind, note=pitch, velocity=velocity, time=tick - now))
            now = tick
        file.tracks.append(track)
    file.save(path)
    return n_beats


def test_a_midi_file_gets_every_annotation(tmp_path: Path) -> None:
    n_beats = write_midi(tmp_path / "song.mid")
    found = annotate_midi(tmp_path / "song.mid")
    assert found.n_beats == n_beats == 128
    np.testing.assert_allclose(found.beats_s[[0, 64, 128]], [0, 64, 96], atol=1e-6)
    assert np.flatnonzero(found.downbeat).tolist() == list(range(0, 128, 4))
    assert (found.beats_per_bar, found.eighths_per_beat, found.grid_fit) == (4, 2, 1.0)
    assert found.roles == ("accompaniment", "accompaniment", "melody")  # the first track holds no notes
    assert [k.label for k in found.keys] == ["C"]
    assert [c.label for c in found.chords[:4]] == ["C", "Am", "F", "G"]
    assert found.phrase_source == "estimated"
    assert {p.label for p in found.phrases} >= {"A", "B"}
    assert [(w.start_s, w.end_s, w.text) for w in found.lyrics] == [(32.0, 34.0, "la"), (34.0, 44.0, "lu")]
    onsets = unpacked(found.bits)[:, :, ONSET].sum(axis=(0, 2, 3))
    rows, _ = piece("aABA")
    assert onsets.tolist() == [
        len({(r[0], r[2]) for r in rows if r[4] == 0}), 0, len({(r[0], r[2]) for r in rows if r[4] == 2})
    ]  # fmt: skip
    assert found.given_keys == found.given_chords == ()
    assert found.dynamics.min() > 60


def test_a_song_made_of_estimates_gives_training_windows(tmp_path: Path) -> None:
    write_midi(tmp_path / "song.mid")
    song = song_of("mine", annotate_midi(tmp_path / "song.mid"))
    assert song is not None
    assert song.n_beats == 128
    source = WindowSource([song])
    assert len(source.windows) == 17
    assert source.tokens(source.windows[0]).shape == (64, 2148)
    assert song.chroma[0].nonzero()[0].tolist() == [0, 4, 7]
    assert (song.bass[0], song.third[0], song.tonic[0], song.minor[0]) == (0, 1, 0, False)


def test_a_song_begins_with_a_bar_and_without_notes_begun_before(tmp_path: Path) -> None:
    write_midi(tmp_path / "song.mid")
    found = annotate_midi(tmp_path / "song.mid")
    bits = unpacked(found.bits)
    bits[33, 1, ONSET, 0, 40] = True
    bits[34:38, 1, SUSTAIN, :, 40] = True
    bits[37, 1, SUSTAIN, 2:, 40] = False
    bits[37, 1, ONSET, 3, 40] = True
    bits[38, 1, SUSTAIN, :, 40] = True
    held = replace(
        found,
        bits=np.packbits(bits.reshape(found.n_beats, -1), axis=1),
        phrases=(Span(34, 66, "A"), Span(66, 128, "B")),
        given_chords=(Span(0, 38, "C:maj"), Span(38, 128, "D:min/b3")),
        given_keys=(Span(0, 128, "A:min"),),
    )
    song = song_of("held", held)
    assert song is not None
    assert song.n_beats == 92
    assert [(p.start_beat, p.end_beat) for p in song.phrases] == [(0, 30), (30, 92)]
    kept = unpacked(song.bits)[:, 1, :, :, 40]
    assert kept.sum() == 5  # the second note alone: struck at the last step of the second beat
    assert kept[1, ONSET, 3]
    assert (song.bass[1], song.bass[2], song.third[2]) == (0, 5, -1)
    assert song.tonic[0] == 9
    assert song.minor.all()


def test_a_single_track_is_split_by_note(tmp_path: Path) -> None:
    write_midi(tmp_path / "merged.mid", tracks=False)
    found = annotate_midi(tmp_path / "merged.mid")
    onsets = unpacked(found.bits)[:, :, ONSET].sum(axis=(0, 2, 3))
    assert onsets[0] > 60
    assert onsets[1] == 0
    assert onsets[2] > 300


def test_only_common_time_becomes_a_training_song(tmp_path: Path) -> None:
    write_midi(tmp_path / "waltz.mid", signature=(3, 4))
    found = annotate_midi(tmp_path / "waltz.mid")
    assert found.beats_per_bar == 3
    with pytest.raises(InputError, match="expected 4/4"):
        song_of("waltz", found)


@pytest.mark.parametrize(
    "content", [b"", b"no MIDI at all", b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x01\xe0MTr"]
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.mid"
    path.write_bytes(content)
    with pytest.raises(InputError, match="broken"):
        annotate_midi(path)


def test_missing_and_empty_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        annotate_midi(tmp_path / "none.mid")
    file = mido.MidiFile()
    file.tracks.append(mido.MidiTrack([mido.Message("note_on", channel=9, note=36, velocity=90, time=0)]))
    file.save(tmp_path / "drums.mid")
    with pytest.raises(InputError, match="no pitched notes"):
        annotate_midi(tmp_path / "drums.mid")


def test_lrc(tmp_path: Path) -> None:
    path = tmp_path / "song.lrc"
    path.write_text(
        "\ufeff[ti:x]\n[offset:+500]\n[00:10.50][01:00.00]One <00:11.00>two\n[00:12.5]\n[00:20]Three\n"
    )
    assert read_lyrics(path) == (
        Lyric(10.0, 12.0, "One two"),
        Lyric(19.5, 29.5, "Three"),
        Lyric(59.5, 69.5, "One two"),
    )


def test_srt_and_events(tmp_path: Path) -> None:
    path = tmp_path / "song.srt"
    path.write_text(
        "1\r\n00:00:01,500 --> 00:00:03,000\r\nOne\r\ntwo\r\n\r\n"
        "2\r\n00:01:00,000 --> 00:01:02,000\r\nThree\r\n"
    )
    assert read_lyrics(path) == (Lyric(1.5, 3.0, "One two"), Lyric(60.0, 62.0, "Three"))
    assert lyrics_of_events([], 4.0) == ()
    assert lyrics_of_events([(2.0, "b"), (1.0, "a")], 2.2) == (Lyric(1.0, 2.0, "a"), Lyric(2.0, 2.5, "b"))


@pytest.mark.parametrize(
    ("name", "message"), [("a.txt", "from .lrc or .srt"), ("a.lrc", "no line with a time")]
)
def test_lyrics_that_cannot_be_read_are_named(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).write_text("words without times")
    with pytest.raises(InputError, match=message):
        read_lyrics(tmp_path / name)
    with pytest.raises(InputError, match="cannot read"):
        read_lyrics(tmp_path / "missing.lrc")
