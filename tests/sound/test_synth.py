"""The score as sound: length, timing, level, pitch, stems, and what is said when something is missing."""

from __future__ import annotations

import subprocess
import sys
import wave
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from diffbgm.errors import InputError, MissingToolError, OutputError
from diffbgm.score.score import Pedal, Room, Score, Tone
from diffbgm.sound import fluidsynth
from diffbgm.sound.files import BLOCK_SAMPLES, read_raw
from diffbgm.sound.synth import SOUNDFONT, fade_s, render_blocks, render_music, stem_names, write_stems

from .conftest import RATE, Sound, band, level_db, part, score

# Its sample begins without delay; that of a flute, say, swells for 20 ms.
XYLOPHONE = 13


def play(it: Score) -> Sound:
    """The whole music, float32 (2, samples)."""
    return np.concatenate(list(render_blocks(it)), axis=2).sum(axis=0)


def read_wav(path: Path) -> Sound:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (RATE, 3, 2)
        three = np.frombuffer(file.readframes(file.getnframes()), np.uint8).reshape(-1, 3)
    padded = np.concatenate([np.zeros((len(three), 1), np.uint8), three], axis=1)
    return (padded.copy().view("<i4")[:, 0] / 2.0**31).reshape(-1, 2).T.astype(np.float32)


def test_soundfont_is_shipped_with_its_licence() -> None:
    assert SOUNDFONT.read_bytes()[:4] == b"RIFF"
    assert "MIT" in SOUNDFONT.with_name("FluidR3Mono_GM.LICENSE.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("duration_s", [0.5, 1.0, 2.345678, 3.0 + 1 / RATE])
def test_music_is_exactly_as_long_as_the_film(duration_s: float, tmp_path: Path) -> None:
    music = render_music(band(duration_s), tmp_path)
    assert music.n_samples == round(duration_s * RATE)
    assert music.path.stat().st_size == music.n_samples * 2 * 4


def test_it_is_made_in_blocks() -> None:
    assert [stems.shape[2] for stems in render_blocks(band(2.5))] == [BLOCK_SAMPLES, BLOCK_SAMPLES, 24_000]


def test_stems_add_up_to_the_music(tmp_path: Path) -> None:
    it, gain = replace(band(3.3), room=Room(0.9, 0.2, 1.2, 0.8), tone=Tone(60, 9000, 2, -2)), 1.7
    it = replace(it, parts=(replace(it.parts[0], tone=Tone(low_cut_hz=200), width=1.5), *it.parts[1:]))
    music = render_music(it, tmp_path)
    paths = write_stems(it, tmp_path / "stems", gain)
    assert [path.name for path in paths] == ["01_piano.wav", "02_strings.wav", "03_bass.wav", "04_drums.wav"]
    assert tuple(path.name for path in paths) == stem_names(it)
    stems = [read_wav(path) for path in paths]
    whole = np.concatenate(list(read_raw(music.path)), axis=1)
    assert {stem.shape for stem in stems} == {whole.shape}
    assert all(level_db(stem) > -60 for stem in stems)
    np.testing.assert_allclose(np.sum(stems, axis=0), gain * whole, atol=2e-6)
    assert music.peak == pytest.approx(np.abs(whole).max())
    assert gain * np.asarray(music.stem_peaks) == pytest.approx([np.abs(s).max() for s in stems], abs=1e-6)


def test_same_score_same_bytes(tmp_path: Path) -> None:
    first, second = (render_music(band(2.0), tmp_path).path.read_bytes() for _ in range(2))
    assert first == second


def test_onsets_within_two_milliseconds() -> None:
    times = np.asarray([0.1, 0.4321, 0.71237, 1.00001, 1.25, 1.51999])
    for time in map(float, times):
        sound = np.abs(play(score(part([(time, time + 0.1, 84, 110)], program=XYLOPHONE)))).max(axis=0)
        around = sound[round((time - 0.05) * RATE) : round((time + 0.05) * RATE)]
        onset = np.argmax(around > 0.1 * around.max()) / RATE - 0.05
        assert abs(onset) < 0.002


def test_velocity_sets_the_level() -> None:
    soft, loud = (play(score(part([(0.1, 1.5, 60, velocity)]))) for velocity in (40, 110))
    assert 8 < level_db(loud) - level_db(soft) < 30


def test_pitch_is_concert_pitch() -> None:
    sound = play(score(part([(0.0, 2.0, 69, 100)], program=73)))[0, RATE // 2 : RATE // 2 + RATE]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(RATE)))
    assert abs(int(np.argmax(spectrum[:600])) - 440) <= 2


def test_part_settings_reach_the_synthesizer() -> None:
    note = [(0.1, 0.4, 60, 100)]
    left, right = play(score(part(note, pan=0)))
    assert level_db(left[None]) > level_db(right[None]) + 12
    assert level_db(play(score(part(note, volume=100)))) > level_db(play(score(part(note, volume=50)))) + 6
    knock = [(0.1, 0.15, 84, 110)]
    dry, wet = (play(score(part(knock, 115, reverb=amount)))[:, RATE // 2 :] for amount in (0, 127))
    assert level_db(wet) > level_db(dry) + 6
    drum, piano = play(score(part(note, is_drums=True))), play(score(part(note)))
    assert np.abs(drum - piano).max() > 0.3 * np.abs(piano).max()


def test_a_note_struck_again_sounds_to_its_own_end() -> None:
    """Note 1 ends while note 2 of the same pitch sounds; organ, so that level tells whether it sounds."""
    sound = play(score(part([(0.1, 0.6, 60, 100), (0.4, 1.4, 60, 100)], program=16), duration_s=4.0))
    sounding = level_db(sound[:, round(0.9 * RATE) : round(1.3 * RATE)])
    assert sounding > -40
    assert level_db(sound[:, round(3.0 * RATE) :]) < sounding - 20


def test_pedal_holds_notes() -> None:
    note = [(0.1, 0.3, 60, 100)]
    late = slice(round(0.8 * RATE), round(1.1 * RATE))
    held = play(score(part(note, pedals=(Pedal(0.1, 1.2),))))
    assert level_db(held[:, late]) > level_db(play(score(part(note)))[:, late]) + 20
    assert level_db(held[:, round(1.8 * RATE) :]) < level_db(held[:, late]) - 15


def test_pedal_changed_on_a_chord_lets_the_old_chord_go() -> None:
    chords = [(0.1, 0.9, 48, 110), (1.0, 1.9, 72, 40)]
    sound = play(score(part(chords, pedals=(Pedal(0.1, 1.0), Pedal(1.0, 1.9)))))
    late = sound[0, round(1.5 * RATE) : round(1.9 * RATE)] * np.hanning(round(0.4 * RATE))
    spectrum = np.abs(np.fft.rfft(late))
    low, high = (spectrum[round(hz * 0.4) - 2 : round(hz * 0.4) + 3].max() for hz in (130.8, 523.3))
    assert high > 3 * low


def test_a_room_decays_as_long_as_its_size_says() -> None:
    knock = score(part([(0.0, 0.05, 84, 110)], 115, reverb=127), duration_s=6.0)
    late = slice(round(1.5 * RATE), round(2.0 * RATE))
    levels = [level_db(play(replace(knock, room=Room(size)))[:, late]) for size in (0.2, 0.5, 0.7, 0.9)]
    assert levels == sorted(levels)
    assert levels[-1] > levels[0] + 20
    dry, wide, narrow = (
        play(replace(knock, room=Room(width=width, level=level)))[:, RATE // 4 :]
        for width, level in ((0.9, 0.0), (1.5, 0.9), (0.2, 0.9))
    )
    assert level_db(dry) < level_db(narrow) - 20
    sides = [level_db(sound[:1] - sound[1:]) - level_db(sound[:1] + sound[1:]) for sound in (wide, narrow)]
    assert sides[0] > sides[1] + 10


def test_tones_of_part_and_whole_are_heard() -> None:
    low = part([(0.0, 1.5, 36, 110)], program=32)
    plain = level_db(play(score(low)))
    assert level_db(play(score(replace(low, tone=Tone(low_cut_hz=400))))) < plain - 12
    assert level_db(play(replace(score(low), tone=Tone(low_cut_hz=400)))) < plain - 12


@pytest.mark.parametrize("program", [0, 16, 89])
def test_the_last_chord_dies_away_without_a_step_up(program: int) -> None:
    """From the moment it is let go every tenth of a second is quieter than the one before."""
    chord = [(0.1, 2.2, pitch, 100) for pitch in (48, 60, 64, 67)]
    hall = replace(score(part(chord, program, reverb=110), duration_s=3.0), room=Room(0.92, 0.25))
    assert fade_s(hall) == pytest.approx(0.8)
    tail = play(hall)[:, round(2.3 * RATE) :]
    levels = [level_db(piece) for piece in np.array_split(tail, 7, axis=1)]
    assert all(after < before for before, after in pairwise(levels))
    assert levels[-1] < levels[0] - 25


def test_music_that_ends_with_the_film_or_long_before_fades_shortly() -> None:
    assert fade_s(score(part([(0.0, 2.0, 60, 90)]), duration_s=2.0)) == pytest.approx(0.05)
    assert fade_s(score(part([(0.0, 1.0, 60, 90)]), duration_s=20.0)) == pytest.approx(2.0)


def test_the_end_is_silent_but_not_cut() -> None:
    sound = play(score(part([(0.1, 3.0, 60, 110)], program=16)))
    assert np.abs(sound[:, -2:]).max() < 1e-3
    assert level_db(sound[:, -round(0.2 * RATE) : -round(0.06 * RATE)]) > -50
    assert np.abs(np.diff(sound[0, -2400:])).max() < 0.02


def test_no_sound_before_the_first_note_and_none_without_notes() -> None:
    assert not np.abs(play(score(part([(0.5, 1.0, 60, 100)])))[:, : round(0.49 * RATE)]).max() > 1e-6
    assert play(score(part([]))).shape == (2, 2 * RATE)
    empty = render_blocks(score())
    assert [stems.shape for stems in empty] == [(0, 2, RATE)] * 2


def test_more_parts_than_midi_channels() -> None:
    parts = [part([(0.05 * k, 0.05 * k + 0.5, 50 + k, 90)], program=k) for k in range(20)]
    stems = np.concatenate(list(render_blocks(score(*parts))), axis=2)
    assert stems.shape[0] == 20
    assert all(level_db(stem) > -70 for stem in stems)


def test_progress_runs_to_one(tmp_path: Path) -> None:
    shares: list[float] = []
    render_music(band(2.5), tmp_path, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_missing_soundfont(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError, match="soundfont not found"):
        render_music(band(1.0), tmp_path, tmp_path / "none.sf2")


def test_soundfont_that_is_none(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.sf2"
    wrong.write_text("no soundfont")
    with pytest.raises(InputError, match=r"wrong\.sf2: cannot be read as a soundfont"):
        render_music(band(1.0), tmp_path, wrong)


def test_missing_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fluidsynth, "_candidates", lambda: iter(["/nowhere/libfluidsynth.so"]))
    fluidsynth.load_library.cache_clear()
    try:
        with pytest.raises(MissingToolError, match="FluidSynth: no library found") as caught:
            render_music(band(1.0), tmp_path)
        assert caught.value.exit_code == 4
    finally:
        fluidsynth.load_library.cache_clear()


def test_the_library_is_found_without_importing_pygame() -> None:
    code = (
        "import sys; from diffbgm.sound.fluidsynth import load_library; load_library(); "
        "assert 'pygame' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="its folder does not exist"):
        render_music(band(1.0), tmp_path / "none")
    with pytest.raises(OutputError, match="its folder does not exist"):
        write_stems(band(1.0), tmp_path / "none" / "stems", 1.0)
