"""Count the statistics that chords, keys, roles and phrases are estimated from: `annotation/model.json`.

    python benchmarks/annotation_fit.py POP909_FOLDER TABLE

POP909_FOLDER holds `POP909/NNN`, with the structure data in it; TABLE is `POP909-songs.csv`. Only training
songs are read: none whose number ends in 9. Overwrites the file in the checkout; takes a few minutes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from diffbgm.data.annotation import model
from diffbgm.data.annotation.chords import QUALITIES, ChordEvidence, chord_evidence, estimate_chords
from diffbgm.data.annotation.grid import GridNotes
from diffbgm.data.annotation.keys import chord_states, melody_sounds
from diffbgm.data.annotation.music import MusicAnnotation, Span
from diffbgm.data.annotation.roles import Part, role_features
from diffbgm.data.annotation.structure import LONGEST_PHRASE, bar_line_features, bars_of, similarity
from diffbgm.data.pop909 import read_given, read_table, split_of
from diffbgm.pitch import pitch_class

QUALITY_NAMES = list(QUALITIES.values())
TARGET = Path(model.__file__).with_name(model.FILE)


def training_songs(folder: Path, table: Path) -> Iterator[tuple[MusicAnnotation, GridNotes]]:
    """Annotation and notes of every training song of any metre whose notes fit the beats."""
    for row in read_table(table):
        if split_of(row["song_id"]) == "train" and not {"GRID", "MIDI_GAP"} & set(row["flags"].split("|")):
            yield read_given(folder / "POP909" / row["song_id"], row)


def spread(spans: tuple[Span, ...], labels: list[int], n_beats: int) -> np.ndarray:
    """One label a beat, int64 (beats,), -1 outside the spans."""
    out = np.full(n_beats, -1)
    for span, label in zip(spans, labels, strict=True):
        out[span.start_beat : span.end_beat] = label
    return out


def chord_label(name: str) -> int:
    """root * qualities + quality of a Harte name; -1 for no chord; rare qualities count as plain triads."""
    root, _, rest = name.partition(":")
    if not rest:
        return -1
    quality = rest.split("/")[0]
    plain = "min" if quality.startswith("min") else "maj"
    index = QUALITY_NAMES.index(quality if quality in QUALITY_NAMES else plain)
    return pitch_class(root) * len(QUALITY_NAMES) + index


def relative(values: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """Rows over pitch classes turned so that column 0 is the root."""
    return np.take_along_axis(values, (np.arange(12)[None] + roots[:, None]) % 12, axis=1)


class ChordCounts:
    """How notes spread over the tones of each quality, and what lies lowest."""

    def __init__(self) -> None:
        n = len(QUALITIES)
        self.tones, self.bass, self.quality = np.ones((n, 12)), np.ones((n, 13)), np.ones(n)

    def add(self, annotation: MusicAnnotation, evidence: ChordEvidence) -> None:
        labels = [chord_label(c.label) for c in annotation.given_chords]
        root, quality = np.divmod(spread(annotation.given_chords, labels, annotation.n_beats), len(QUALITIES))
        total = evidence.sounds.sum(axis=1)
        used = (root >= 0) & (total > 0)
        shares = relative(evidence.sounds / np.maximum(total, 1e-9)[:, None], root)
        bass = np.where(evidence.lowest >= 0, (evidence.lowest - root) % 12, 12)
        np.add.at(self.tones, quality[used], shares[used])
        np.add.at(self.bass, (quality[used], bass[used]), 1)
        np.add.at(self.quality, quality[used], 1)

    def table(self) -> dict[str, object]:
        return {
            "qualities": QUALITY_NAMES,
            "tones": rounded(self.tones / self.tones.sum(axis=1, keepdims=True)),
            "bass": rounded(self.bass / self.bass.sum(axis=1, keepdims=True)),
            "quality": rounded(self.quality / self.quality.sum()),
        }


class KeyCounts:
    """Pitch classes, melody and chords above the tonic of major and minor keys."""

    def __init__(self) -> None:
        self.sounds, self.melody = np.ones((2, 12)), np.ones((2, 12))
        self.chords = np.full((2, 12, len(QUALITIES)), 5.0)

    def add(self, annotation: MusicAnnotation, notes: GridNotes, evidence: ChordEvidence) -> None:
        labels = [
            pitch_class(k.label.split(":")[0]) + 12 * (":min" in k.label) for k in annotation.given_keys
        ]
        minor, tonic = np.divmod(spread(annotation.given_keys, labels, annotation.n_beats), 12)
        shares = evidence.sounds / np.maximum(evidence.sounds.sum(axis=1, keepdims=True), 1e-9)
        root, quality = chord_states(estimate_chords(evidence), annotation.n_beats)
        np.add.at(self.sounds, minor, relative(shares, tonic))
        np.add.at(self.melody, minor, relative(melody_sounds(notes), tonic))
        heard = root >= 0
        np.add.at(self.chords, (minor[heard], (root - tonic)[heard] % 12, quality[heard]), 1)

    def table(self) -> dict[str, object]:
        return {
            "sounds": rounded(self.sounds / self.sounds.sum(axis=1, keepdims=True)),
            "melody": rounded(self.melody / self.melody.sum(axis=1, keepdims=True)),
            "chords": rounded(self.chords / self.chords.sum(axis=(1, 2), keepdims=True)),
        }


def fitted_roles(songs: Sequence[tuple[MusicAnnotation, GridNotes, ChordEvidence]]) -> dict[str, object]:
    """A multinomial logistic model of the role of a track from its measures."""
    measures = [role_features(parts_of(annotation, notes)) for annotation, notes, _ in songs]
    complete = [rows for rows in measures if rows.any(axis=1).all()]
    model = LogisticRegression(C=1.0, max_iter=2000)
    model.fit(np.concatenate(complete), np.tile(np.arange(3), len(complete)))
    return {"weights": rounded(model.coef_), "bias": rounded(model.intercept_)}


def parts_of(annotation: MusicAnnotation, notes: GridNotes) -> list[Part]:
    """The three tracks of a song without their names."""
    beats, parts = np.arange(annotation.n_beats + 1), []
    start_s, end_s = (np.interp(at, beats, annotation.beats_s) for at in (notes.start, notes.end))
    for voice in range(3):
        own = np.flatnonzero(notes.voice == voice)
        own = own[np.lexsort((notes.pitch[own], notes.start[own]))]
        parts.append(Part("", False, start_s[own], end_s[own], notes.pitch[own]))
    return parts


def fitted_phrases(songs: Sequence[tuple[MusicAnnotation, GridNotes, ChordEvidence]]) -> dict[str, object]:
    """A logistic model of a phrase beginning at a bar line, and how often phrases have 1, 2, ... 16 bars.

    Bar lines between the labels' beginning and end; the first one, where a phrase must begin, is left out.
    """
    rows, begins = [], []
    length = np.full(LONGEST_PHRASE, 0.5)
    for annotation, notes, evidence in songs:
        if not annotation.phrases:
            continue
        bars = bars_of(notes, evidence, annotation.downbeat)
        first, last = annotation.phrases[0].start_beat, annotation.phrases[-1].end_beat
        inside = (bars.start_beat[:-1] > first) & (bars.start_beat[:-1] < last)
        rows.append(bar_line_features(bars, similarity(bars))[inside])
        begins.append(np.isin(bars.start_beat[:-1][inside], [p.start_beat for p in annotation.phrases]))
        for phrase in annotation.phrases:
            count = (phrase.end_beat - phrase.start_beat) // annotation.beats_per_bar
            if 1 <= count <= LONGEST_PHRASE:
                length[count - 1] += 1
    measures = np.concatenate(rows)
    mean, scale = measures.mean(axis=0), measures.std(axis=0)
    model = LogisticRegression(C=0.02, max_iter=3000)
    model.fit((measures - mean) / scale, np.concatenate(begins))
    weights = model.coef_[0] / scale
    bias = model.intercept_[0] - float((weights * mean).sum())
    return {
        "weights": rounded(weights),
        "bias": rounded(np.array(bias)),
        "length": rounded(length / length.sum()),
    }


def rounded(values: np.ndarray) -> object:
    """Nested lists of numbers of four significant digits."""
    if values.ndim:
        return [rounded(row) for row in values]
    return float(f"{values:.4g}")


def write(content: dict[str, dict[str, object]]) -> None:
    """The file, a table row a line; what was read from it before is forgotten."""
    sections = []
    for name, tables in content.items():
        rows = ",\n".join(f'  "{key}": {json.dumps(value)}' for key, value in tables.items())
        sections.append(f'"{name}": {{\n{rows}\n}}')
    TARGET.write_text("{\n" + ",\n".join(sections) + "\n}\n", encoding="utf-8")
    model.table.cache_clear()
    model._content.cache_clear()


def main() -> None:
    """Count chords first, since keys are told from the chords so estimated."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("table", type=Path)
    given = parser.parse_args()
    songs = [(a, n, chord_evidence(n)) for a, n in training_songs(given.folder, given.table)]
    chords, keys = ChordCounts(), KeyCounts()
    for annotation, _, evidence in songs:
        chords.add(annotation, evidence)
    content = {"chords": chords.table()}
    write(content)
    for annotation, notes, evidence in songs:
        keys.add(annotation, notes, evidence)
    content["keys"] = keys.table()
    content["roles"] = fitted_roles(songs)
    content["phrases"] = fitted_phrases(songs)
    write(content)


if __name__ == "__main__":
    main()
