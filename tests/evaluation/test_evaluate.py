from __future__ import annotations

import csv
import io
import json
import wave
from pathlib import Path

import numpy as np
import pytest

from diffbgm.diffusion.roll import ONSET, PianoRoll
from diffbgm.errors import InputError, MissingToolError, OptionError, OutputError
from diffbgm.evaluate import evaluate
from diffbgm.evaluation import tables
from diffbgm.evaluation.measure import of_notes, summary
from diffbgm.evaluation.pieces import find_pieces
from diffbgm.metrics.notes import read_notes
from diffbgm.spotting.cuesheet import CueSheet
from tests.metrics.pieces import tune, write_midi
from tests.metrics.test_curves import plan

KEYS = {
    "pche_1bar", "pche_4bar", "pche_8bar", "gps", "gps_64", "si_3_8", "si_8_15", "si_15", "si_any",
    "pche_notebook", "gps_notebook", "chord_irregularity", "empty_bars", "scale_consistency",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three tunes and a file that is no MIDI."""
    made = tmp_path / "made"
    made.mkdir()
    for seed in range(3):
        write_midi(tune(seed, bars=16), made / f"{seed}.mid")
    (made / "broken.mid").write_text("nothing")
    (made / "notes.txt").write_text("not music")
    return made


def test_every_file_has_its_figures_and_the_whole_its_means(folder: Path) -> None:
    found = evaluate([folder], jobs=1)
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert list(data["files"]) == ["0.mid", "1.mid", "2.mid"]
    assert set(data["files"]["0.mid"]) >= KEYS
    assert list(data["errors"]) == ["broken.mid"]
    assert "broken MIDI file" in data["errors"]["broken.mid"]
    assert data["files"]["1.mid"] == of_notes(read_notes(folder / "1.mid"))
    values = [data["files"][f"{k}.mid"]["gps"] for k in range(3)]
    row = data["summary"]["gps"]
    assert row["n"] == 3
    assert row["mean"] == pytest.approx(np.mean(values))
    assert min(values) <= row["ci95"][0] <= row["mean"] <= row["ci95"][1] <= max(values)


def test_a_figure_that_no_piece_has_is_null_and_in_no_table(tmp_path: Path) -> None:
    write_midi(tune(0, bars=4), tmp_path / "short.mid")  # the notebook drops the only chunk
    found = evaluate([tmp_path], with_structure=False, jobs=1)
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert data["files"]["short.mid"]["pche_notebook"] is None
    assert data["summary"]["pche_notebook"] == {"mean": None, "ci95": [None, None], "n": 0}
    assert "PCHE (notebook)" not in tables.markdown(found)


def test_tables_say_the_same(folder: Path) -> None:
    found = evaluate([folder], with_structure=False, jobs=1)
    rows = list(csv.DictReader(io.StringIO(tables.as_csv(found))))
    assert [row["file"] for row in rows] == ["0.mid", "1.mid", "2.mid"]
    assert float(rows[2]["gps"]) == found.files["2.mid"]["gps"]
    text = tables.markdown(found)
    assert f"| GPS, 16 positions | {found.to_json()['summary']['gps']['mean']:.3f} |" in text
    assert "not measured: broken.mid" in text
    page = tables.page(found)
    assert page.count("<tr>") > 10
    assert "http" not in page


def test_two_processes_find_what_one_finds(folder: Path) -> None:
    one = evaluate([folder], with_structure=False, jobs=1)
    two = evaluate([folder], with_structure=False, jobs=2)
    assert one.to_json() == two.to_json()


def test_a_second_run_continues_from_the_saved_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = folder.parent / "figures.json"
    first = evaluate([folder], with_structure=False, save=saved, jobs=1)
    measured: list[str] = []

    def watched(piece: object, with_structure: bool) -> str:
        measured.append(str(getattr(piece, "name")))  # noqa: B009
        return "measured again"

    monkeypatch.setattr("diffbgm.evaluate._attempt", watched)
    again = evaluate([folder], with_structure=False, save=saved, jobs=1)
    assert measured == ["broken.mid"]
    assert again.files == first.files
    write_midi(tune(9, bars=20), folder / "1.mid")  # changed since
    evaluate([folder], with_structure=False, save=saved, jobs=1)
    assert sorted(measured) == ["1.mid", "broken.mid", "broken.mid"]
    saved.write_text("[]")
    with pytest.raises(InputError, match="cannot continue"):
        evaluate([folder], save=saved, jobs=1)


def test_reference_and_training_music(folder: Path, tmp_path: Path) -> None:
    real, trained = tmp_path / "real", tmp_path / "trained"
    real.mkdir(), trained.mkdir()
    for seed in range(3):
        write_midi(tune(seed, bars=160), folder / f"{seed}.mid")
        write_midi(tune(seed + 10, bars=160), real / f"{seed}.mid")
    write_midi(tune(1, bars=160), trained / "the same as 1.mid")
    write_midi(tune(50, bars=160), trained / "another.mid")
    found = evaluate([folder], reference=[real], training=[trained], with_structure=False, jobs=1)
    data = found.to_json()
    assert data["realism"]["windows"] == data["realism"]["reference_windows"] == 30
    assert 0.5 < data["realism"]["features"]["notes_per_bar"]["overlap"] <= 1
    assert set(data["realism"]["features_real"]) == set(data["realism"]["features"])
    assert any("classifier test left out" in line for line in found.warnings)  # three songs, five folds
    shown = data["retrieval"]["symbolic"]
    assert (shown["n"], shown["pool"], shown["p_at_5"]["chance"]) == (60, 60, pytest.approx(1 / 12))
    assert found.files["1.mid"]["nearest_song"] == "the same as 1"
    assert found.files["1.mid"]["copied_share"] == 1.0
    assert data["novelty"]["reference"]["copied_notes"]["mean"] < found.files["1.mid"]["copied_notes"]
    assert "real against real" in tables.markdown(found)


def test_which_files_belong_together(tmp_path: Path) -> None:
    for name in ("film.bgm.mp4", "film.bgm.wav", "film.bgm.mid", "film.bgm.roll.npz", "film.bgm.html"):
        (tmp_path / name).write_text("")
    for name in ("alone.mid", "alone.roll.npz", "only.roll.npz", "clip.bgm.wav"):
        (tmp_path / name).write_text("")
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "clip.mp4").write_text("")
    pieces = {piece.name: piece for piece in find_pieces(sorted(tmp_path.glob("*.*")), videos)}
    assert list(pieces) == ["alone.mid", "clip.bgm.wav", "film.bgm.mp4", "only.roll.npz"]
    film = pieces["film.bgm.mp4"]
    assert film.notes == tmp_path / "film.bgm.mid"
    assert film.sound == tmp_path / "film.bgm.wav"
    assert pieces["clip.bgm.wav"].video == videos / "clip.mp4"
    assert pieces["only.roll.npz"].stem == "only"
    with pytest.raises(InputError, match="no such file or folder"):
        find_pieces([tmp_path / "missing"], None)
    with pytest.raises(InputError, match="to evaluate"):
        evaluate([videos.parent / "film.bgm.html"])


def test_same_names_in_two_folders_stay_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.mid").write_text("")
    assert [piece.name for piece in find_pieces([tmp_path], None)] == ["b/x.mid", "x.mid"]


def test_piano_rolls_are_measured(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bits = np.zeros((3, 2, 128, 88), bool)
    bits[:, ONSET] = rng.random((3, 128, 88)) < 0.01
    velocity = np.where(bits[:, ONSET].any(axis=2), 80, 0).astype(np.uint8)
    PianoRoll(bits, velocity, np.zeros((32, 12), bool), np.full(32, -1, np.int8)).save(
        tmp_path / "a.roll.npz"
    )
    found = evaluate([tmp_path], with_structure=False, jobs=1).files["a.roll.npz"]
    assert found["notes"] == bits[:, ONSET].sum()
    assert found["bars"] == 8


def test_a_film_is_measured_with_its_sound(film: Path) -> None:
    whole = evaluate([film], jobs=1)
    assert "## Fit to the picture" in tables.markdown(whole)
    assert "| cuts met onset 40 ms |" in tables.markdown(whole)
    found = whole.files["film.mp4"]
    assert found["si_audio_15"] is not None
    assert found["cuts_n"] == 2
    assert "pche_1bar" not in found  # no notes beside it


def test_sounds_look_for_those_of_the_same_name(tmp_path: Path) -> None:
    time = np.arange(40 * 8000) / 8000
    for folder in ("made", "real"):
        (tmp_path / folder).mkdir()
        for k in range(16):
            sound = np.sin(2 * np.pi * 220 * 2 ** (k / 12) * time) * np.exp(-5 * (time * (1 + k % 4) % 1))
            with wave.open(str(tmp_path / folder / f"{k}.wav"), "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                file.writeframes((8000 * sound).astype("<i2").tobytes())
    made, real = tmp_path / "made", tmp_path / "real"
    found = evaluate([made], reference=[real], embedder="audio", with_structure=False, jobs=1).to_json()
    assert found["retrieval"]["audio"]["n"] == 64
    assert found["retrieval"]["audio"]["p_at_5"]["value"] > 0.9
    assert found["retrieval"]["audio"]["p_at_5"]["shuffled"] < 0.3
    with pytest.raises(OptionError, match="embedder"):
        evaluate([made], reference=[real], embedder="vgg", with_structure=False, jobs=1)
    with pytest.raises(MissingToolError, match="folder with its weights"):
        evaluate([made], reference=[real], embedder="clap", with_structure=False, jobs=1)


def test_pictures_look_for_their_music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    monkeypatch.setattr("diffbgm.evaluate._attempt", lambda piece, with_structure: {"x": 1.0})
    for k in range(6):
        sheet = plan((float(rng.random()), float(rng.random())))
        CueSheet(plan=sheet).save(tmp_path / f"{k}.cues.json")
        (tmp_path / f"{k}.mp4").write_text("a film")
        write_midi(tune(k, bars=8), tmp_path / f"{k}.mid")
    found = evaluate([tmp_path], jobs=1)
    both = found.to_json()["picture"]
    assert both["video_to_music"]["pool"] == both["music_to_video"]["n"] == 6
    assert both["video_to_music"]["p_at_5"]["chance"] == pytest.approx(5 / 6)
    assert "Retrieval: video to music" in tables.markdown(found)


def test_places_that_are_not_there_are_said(folder: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        evaluate([folder], with_structure=False, save=folder / "missing" / "x.json", jobs=1)
    with pytest.raises(InputError, match="no folder of films"):
        evaluate([folder], videos=folder / "missing", jobs=1)


def test_summary_leaves_words_and_gaps_out() -> None:
    files = {"a": {"x": 1.0, "y": None, "song": "b"}, "b": {"x": 3.0, "y": 2.0, "song": "c"}}
    assert summary(files)["x"]["mean"] == 2.0  # type: ignore[arg-type]
    assert summary(files)["y"]["n"] == 1  # type: ignore[arg-type]
    assert "song" not in summary(files)  # type: ignore[arg-type]
