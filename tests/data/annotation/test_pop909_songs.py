"""Real songs: the estimates against what the data set says, on songs that nothing was fitted to."""

from __future__ import annotations

import tarfile
from pathlib import Path

import mir_eval
import numpy as np
import pytest

from diffbgm.data.annotation.chords import chord_evidence, harte_of
from diffbgm.data.annotation.music import MusicAnnotation, Span
from diffbgm.data.annotation.song import annotate_midi, annotate_pop909
from diffbgm.data.annotation.structure import estimate_phrases
from diffbgm.data.pop909 import read_given, read_song, read_table, song_of
from diffbgm.errors import InputError
from diffbgm.pitch import pitch_class

HELDOUT = ("009", "019", "099", "199")
WALTZ, UNALIGNED, COMPOUND, OFF_TICKS = "034", "005", "092", "001"

pytestmark = pytest.mark.data


@pytest.fixture(scope="session")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("annotated")
    wanted = {*HELDOUT, WALTZ, UNALIGNED, COMPOUND, OFF_TICKS}
    for archive in ("POP909.tar.xz", "POP909-structure.tar.xz"):
        with tarfile.open(shared / "data" / archive, "r:xz") as tar:
            members = [m for m in tar if m.name.split("/")[1:2] and m.name.split("/")[1] in wanted]
            tar.extractall(target, members, filter="data")
    return target / "POP909"


@pytest.fixture(scope="session")
def rows(shared: Path) -> dict[str, dict[str, str]]:
    return {row["song_id"]: row for row in read_table(shared / "data" / "POP909-songs.csv")}


@pytest.fixture(scope="session")
def songs(folder: Path, rows: dict[str, dict[str, str]]) -> dict[str, MusicAnnotation]:
    return {name: annotate_pop909(folder / name, rows[name]) for name in HELDOUT}


def timed(spans: tuple[Span, ...], of: MusicAnnotation) -> np.ndarray:
    return np.array([(of.beats_s[s.start_beat], of.beats_s[s.end_beat]) for s in spans])


def test_chords_agree_with_the_annotation(songs: dict[str, MusicAnnotation]) -> None:
    root, majmin = [], []
    for found in songs.values():
        scores = mir_eval.chord.evaluate(
            timed(found.given_chords, found),
            [c.label for c in found.given_chords],
            timed(found.chords, found),
            [harte_of(c.label) for c in found.chords],
        )
        root.append(scores["root"])
        majmin.append(scores["majmin"])
    assert np.mean(root) > 0.85
    assert np.mean(majmin) > 0.82


def test_keys_agree_over_most_of_the_songs(songs: dict[str, MusicAnnotation]) -> None:
    shares = []
    for found in songs.values():
        agreed = 0
        for given in found.given_keys:
            for own in found.keys:
                same = pitch_class(given.label.split(":")[0]) == pitch_class(own.label)
                if same and (":min" in given.label) == own.label.endswith("m"):
                    overlap = min(given.end_beat, own.end_beat) - max(given.start_beat, own.start_beat)
                    agreed += max(overlap, 0)
        shares.append(agreed / found.n_beats)
    assert np.mean(shares) > 0.8


def test_phrases_are_found_near_the_labels(
    folder: Path, rows: dict[str, dict[str, str]], songs: dict[str, MusicAnnotation]
) -> None:
    scores = []
    for name, found in songs.items():
        _, notes = read_given(folder / name, rows[name])
        own = timed(estimate_phrases(notes, chord_evidence(notes), found.downbeat), found)
        given = timed(found.phrases, found)
        own[0, 0], own[-1, 1] = given[0, 0], given[-1, 1]
        own = own[own[:, 1] - own[:, 0] > 0]
        scores.append(mir_eval.segment.detection(given, own, window=3.0, trim=True)[2])
    assert np.mean(scores) > 0.6


def test_reading_a_song_is_a_view_of_its_annotation(
    folder: Path, rows: dict[str, dict[str, str]], songs: dict[str, MusicAnnotation]
) -> None:
    for name, found in songs.items():
        read, made = read_song(folder / name, rows[name]), song_of(name, found)
        assert read is not None
        assert made is not None
        for field in ("bits", "velocity", "chroma", "bass", "third", "tonic", "minor", "bpm"):
            np.testing.assert_array_equal(getattr(read, field), getattr(made, field))
        assert read.phrases == made.phrases


def test_a_waltz_has_bars_of_three_beats(folder: Path, rows: dict[str, dict[str, str]]) -> None:
    found = annotate_pop909(folder / WALTZ, rows[WALTZ])
    assert (found.beats_per_bar, found.eighths_per_beat) == (3, 2)
    assert set(np.diff(np.flatnonzero(found.downbeat))) == {3}
    on_downbeats = np.mean([found.downbeat[c.start_beat] for c in found.chords])
    assert on_downbeats > 0.6
    with pytest.raises(InputError, match="expected 4/4"):
        song_of(WALTZ, found)


def test_compound_time_is_judged_on_its_own_grid(folder: Path, rows: dict[str, dict[str, str]]) -> None:
    found = annotate_pop909(folder / COMPOUND, rows[COMPOUND])
    assert (found.beats_per_bar, found.eighths_per_beat) == (4, 3)
    assert found.grid_fit > 0.8


def test_a_song_without_labels_gets_phrases_and_bars_from_its_chords(
    folder: Path, rows: dict[str, dict[str, str]]
) -> None:
    assert rows[UNALIGNED]["struct_offset_q"] == ""
    found = annotate_pop909(folder / UNALIGNED, rows[UNALIGNED])
    assert found.phrase_source == "estimated"
    assert (found.phrases[0].start_beat, found.phrases[-1].end_beat) == (0, found.n_beats)
    begun = np.bincount([c.start_beat % 4 for c in found.given_chords], minlength=4)
    assert found.downbeat[int(begun.argmax())]


def test_the_files_own_ticks_are_off_the_beat_and_said_to_be(folder: Path) -> None:
    found = annotate_midi(folder / OFF_TICKS / f"{OFF_TICKS}.mid")
    assert found.roles == ("melody", "counter", "accompaniment")
    assert found.grid_fit < 0.2


def test_a_missing_file_is_named(folder: Path, rows: dict[str, dict[str, str]], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the annotation"):
        read_given(tmp_path, rows["009"])
