from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise

import mir_eval
import numpy as np
import pytest

from diffbgm.data.annotation.chords import NO_CHORD, QUALITIES, chord_evidence, estimate_chords, harte_of
from diffbgm.data.annotation.keys import KEY_NAMES, estimate_keys
from diffbgm.data.annotation.model import best_path, table
from diffbgm.data.annotation.music import Span
from diffbgm.data.pop909 import parse_chord
from diffbgm.errors import InputError
from diffbgm.metrics.tonality import NOTE_NAMES
from diffbgm.pitch import ChordSymbol, pitch_class

from .pieces import Note, block_chords, grid_notes, line

PROGRESSION = [
    (0, ""),
    (9, "m"),
    (5, ""),
    (7, "7"),
    (0, ""),
    (2, "m"),
    (7, "sus4"),
    (7, ""),
    (11, "dim"),
    (0, ""),
]


def chords_of(rows: Sequence[Note], n_beats: int) -> tuple[Span, ...]:
    return estimate_chords(chord_evidence(grid_notes(rows, n_beats)))


@pytest.mark.parametrize("semitones", range(12))
def test_block_chords_are_named_in_every_key(semitones: int) -> None:
    moved = [((root + semitones) % 12, quality) for root, quality in PROGRESSION]
    found = chords_of(block_chords(moved), 4 * len(moved))
    assert [c.label for c in found] == [NOTE_NAMES[root] + quality for root, quality in moved]
    assert [c.start_beat for c in found] == list(range(0, 4 * len(moved), 4))
    assert all(0 < c.confidence <= 1 for c in found)


def test_a_third_in_the_bass_is_an_inversion() -> None:
    found = chords_of(block_chords([(5, "")], bass=9), 4)
    assert [c.label for c in found] == ["F/A"]


@pytest.mark.parametrize(("bass", "label"), [(0, "C6"), (9, "Am7")])
def test_the_bass_decides_between_chords_of_the_same_notes(bass: int, label: str) -> None:
    rows: list[Note] = [(b, b + 1, pitch, 75, 2) for b in range(8) for pitch in (60, 64, 67, 69)]
    rows += [(b, b + 1, 36 + bass, 75, 2) for b in range(8)]
    assert [c.label for c in chords_of(rows, 8)] == [label]


def test_silence_has_no_chord() -> None:
    found = chords_of(block_chords([(0, "")], first_beat=4), 12)
    assert [(c.start_beat, c.end_beat, c.label) for c in found] == [(0, 4, "N"), (4, 8, "C"), (8, 12, "N")]


def test_melody_notes_outside_the_chord_do_not_change_it() -> None:
    rows = block_chords([(0, ""), (5, "")], beats_each=4) + line([76, 77, 79, 81, 81, 79, 77, 74])
    assert [c.label for c in chords_of(rows, 8)] == ["C", "F"]


@pytest.mark.parametrize("suffix", QUALITIES)
@pytest.mark.parametrize("bass", ["", "/G"])
def test_symbols_mean_the_same_in_every_notation(suffix: str, bass: str) -> None:
    symbol = f"Eb{suffix}{bass}"
    classes, lowest, _ = parse_chord(harte_of(symbol))
    written = ChordSymbol.parse(symbol)
    assert classes == {*written.tones, written.bass}
    assert lowest == written.bass
    root, bitmap, _ = mir_eval.chord.encode(harte_of(f"Eb{suffix}"))
    assert {(root + k) % 12 for k in np.flatnonzero(bitmap)} == set(written.tones)


def test_no_chord_and_unknown_chords_in_hartes_notation() -> None:
    assert harte_of(NO_CHORD) == "N"
    with pytest.raises(InputError, match="'C13'"):
        harte_of("C13")


def keys_of(rows: Sequence[Note], n_beats: int) -> tuple[Span, ...]:
    notes = grid_notes(rows, n_beats)
    evidence = chord_evidence(notes)
    return estimate_keys(notes, evidence, estimate_chords(evidence))


@pytest.mark.parametrize("tonic", range(12))
@pytest.mark.parametrize("minor", [False, True])
def test_key_of_a_cadence_in_every_key(tonic: int, minor: bool) -> None:
    major_loop = [(0, ""), (9, "m"), (5, ""), (7, "")]
    minor_loop = [(0, "m"), (5, "m"), (7, "7"), (0, "m")]
    loop = [((tonic + root) % 12, q) for root, q in (minor_loop if minor else major_loop)] * 4
    found = keys_of(block_chords(loop), 64)
    assert [(k.start_beat, k.end_beat) for k in found] == [(0, 64)]
    assert found[0].label == KEY_NAMES[tonic + 12 * minor]
    assert pitch_class(found[0].label) == tonic


def test_a_lasting_change_is_a_modulation_and_a_borrowed_chord_is_none() -> None:
    loop = [(0, ""), (9, "m"), (5, ""), (7, "")]
    lifted = [((root + 2) % 12, quality) for root, quality in loop]
    found = keys_of(block_chords([*loop * 6, *lifted * 6]), 192)
    assert [k.label for k in found] == ["C", "D"]
    assert abs(found[1].start_beat - 96) <= 4
    borrowed = [*loop * 3, (0, ""), (8, ""), (10, ""), (0, ""), *loop * 3]
    assert [k.label for k in keys_of(block_chords(borrowed), 4 * len(borrowed))] == ["C"]


def test_no_notes_have_no_key() -> None:
    assert keys_of([], 8) == ()


def test_best_path_is_the_best_of_all() -> None:
    rng = np.random.default_rng(3)
    scores, change = rng.normal(size=(6, 3)), rng.normal(-1, 0.3, size=3)

    def worth(path: tuple[int, ...]) -> float:
        entered = [path[0], *(b for a, b in pairwise(path) if a != b)]
        return float(scores[np.arange(6), list(path)].sum() + change[entered].sum())

    every = np.array(np.meshgrid(*[range(3)] * 6)).reshape(6, -1).T
    best = max(every.tolist(), key=lambda path: worth(tuple(path)))
    assert best_path(scores, change).tolist() == best


def test_the_model_is_made_of_probabilities_and_cannot_be_changed() -> None:
    chords, keys = [("chords", name) for name in ("tones", "bass")], [("keys", "sounds"), ("keys", "melody")]
    for section, name in (*chords, *keys, ("chords", "quality"), ("phrases", "length")):
        np.testing.assert_allclose(table(section, name).sum(axis=-1), 1, atol=2e-3)
        assert table(section, name).min() > 0
    np.testing.assert_allclose(table("keys", "chords").sum(axis=(1, 2)), 1, atol=2e-3)
    with pytest.raises(ValueError, match="read-only"):
        table("chords", "tones")[0, 0] = 1


def test_estimating_needs_no_heavy_library() -> None:
    code = (
        "import json, sys; import diffbgm.data.annotation.song; "
        "heavy = 'torch', 'sklearn', 'pyarrow', 'symusic'; "
        "print(json.dumps([name for name in heavy if name in sys.modules]))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(out.stdout) == []
