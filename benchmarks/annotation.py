"""Annotations estimated from notes against those of POP909: tables in Markdown on standard output.

    python benchmarks/annotation.py POP909_FOLDER TABLE [--every N]

POP909_FOLDER holds `POP909/NNN`, with the structure data in it; TABLE is `POP909-songs.csv`. Held out are the
songs whose number ends in 9: nothing was counted or chosen on them. `--every N` takes every Nth song. Scores
are weighted by the songs' durations; the intervals are 95 % bootstrap intervals over songs.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import mir_eval
import numpy as np

from diffbgm.data.annotation.chords import NO_CHORD, chord_evidence, harte_of
from diffbgm.data.annotation.grid import GridNotes
from diffbgm.data.annotation.music import MusicAnnotation, Span
from diffbgm.data.annotation.roles import assign_roles, split_melody
from diffbgm.data.annotation.song import annotate_pop909
from diffbgm.data.annotation.structure import estimate_phrases
from diffbgm.data.pop909 import bar_phase, parse_phrases, read_given, read_table, split_of
from diffbgm.pitch import pitch_class

from annotation_fit import parts_of  # isort: skip

Intervals = np.ndarray
RESAMPLES = 1000


@dataclass
class Scores:
    """Scores of the songs by measure: song number, value, weight."""

    values: dict[str, list[tuple[str, float, float]]] = field(default_factory=dict)

    def add(self, song_id: str, measure: str, value: float, weight: float = 1.0) -> None:
        self.values.setdefault(measure, []).append((song_id, value, weight))

    def row(self, measure: str) -> str:
        """`| measure | all songs | held out |`, each mean, interval and number of songs."""
        cells = []
        for heldout in (False, True):
            rows = [r for r in self.values[measure] if not heldout or split_of(r[0]) == "heldout"]
            cells.append(with_interval(np.array([r[1] for r in rows]), np.array([r[2] for r in rows])))
        return f"| {measure} | {cells[0]} | {cells[1]} |"


def with_interval(values: np.ndarray, weights: np.ndarray) -> str:
    """Weighted mean with its bootstrap interval and the number of songs."""
    if not len(values):
        return "-"
    pick = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    means = (values * weights)[pick].sum(axis=1) / weights[pick].sum(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return f"{np.average(values, weights=weights):.3f} ({low:.3f} .. {high:.3f}), {len(values)} songs"


def timed(spans: Sequence[Span], beats_s: np.ndarray) -> Intervals:
    """Beginning and end of each span in seconds, float64 (spans, 2)."""
    return np.array([(beats_s[s.start_beat], beats_s[s.end_beat]) for s in spans])


def chord_scores(scores: Scores, name: str, song_id: str, reference: tuple, estimate: tuple) -> None:
    """Root, maj/min and sevenths of mir_eval between (intervals, Harte names) of the same song."""
    (ref_t, ref), (est_t, est) = reference, estimate
    est_t, est = mir_eval.util.adjust_intervals(est_t, list(est), ref_t.min(), ref_t.max(), "N", "N")
    intervals, ref, est = mir_eval.util.merge_labeled_intervals(ref_t, list(ref), est_t, est)
    durations = mir_eval.util.intervals_to_durations(intervals)
    for measure in ("root", "majmin", "sevenths"):
        compared = getattr(mir_eval.chord, measure)(ref, est)
        weight = float(durations[compared >= 0].sum())
        if weight > 0:
            value = mir_eval.chord.weighted_accuracy(compared, durations)
            scores.add(song_id, f"{name}: {measure}", value, weight)


def plain(name: str) -> str:
    """A chord name without bass, additions in brackets and slips of spelling."""
    found = re.match(r"([A-G][#b]*):(maj|min|dim|aug|hdim|sus[24]|\d)", name)
    return (
        f"{found[1]}:{found[2].replace('hdim', 'dim')}"
        if found and not found[2].isdigit()
        else (f"{found[1]}:7" if found else NO_CHORD)
    )


def merged(intervals: Intervals, names: Sequence[str]) -> tuple[Intervals, list[str]]:
    """Without intervals of no length."""
    kept = intervals[:, 1] - intervals[:, 0] > 1e-6
    return intervals[kept], [name for name, one in zip(names, kept, strict=True) if one]


def other_chords(folder: Path, annotation: MusicAnnotation) -> tuple[Intervals, list[str]] | None:
    """The chords of the structure data on the song's beats; None where they are not aligned."""
    if annotation.phrase_source != "given":
        return None
    rows = [
        line.split() for line in (folder / "finalized_chord.txt").read_text().splitlines() if line.strip()
    ]
    ends = annotation.phrases[0].start_beat + np.cumsum([0, *(int(row[-1]) for row in rows)])
    ends_s = annotation.beats_s[np.minimum(ends, annotation.n_beats)]
    return merged(np.stack([ends_s[:-1], ends_s[1:]], axis=1), [plain(row[0]) for row in rows])


def key_number(name: str) -> tuple[int, bool]:
    note = name.split(":")[0]
    return pitch_class(note), note.endswith("m") or ":min" in name


def key_points(reference: tuple[int, bool], estimate: tuple[int, bool]) -> float:
    """The weighted score of MIREX: 1, a fifth off 0.5, relative 0.3, parallel 0.2."""
    words = [
        f"{('C', 'Db', 'D', 'Eb', 'E', 'F', 'Gb', 'G', 'Ab', 'A', 'Bb', 'B')[t]} {'minor' if m else 'major'}"
        for t, m in (reference, estimate)
    ]
    return float(mir_eval.key.weighted_score(*words))


def key_scores(scores: Scores, song_id: str, found: MusicAnnotation) -> None:
    """Exact and MIREX scores over time, and whether modulations are found where they are."""
    given = [key_number(found.given_keys[0].label)] * found.n_beats
    estimate = list(given)
    for spans, into in ((found.given_keys, given), (found.keys, estimate)):
        for span in spans:
            into[span.start_beat : span.end_beat] = [key_number(span.label)] * (
                span.end_beat - span.start_beat
            )
    length = np.diff(found.beats_s)
    total = float(length.sum())
    kind = "several keys" if len(found.given_keys) > 1 else "one key"
    exact = sum(s for s, a, b in zip(length, given, estimate, strict=True) if a == b) / total
    points = sum(s * key_points(a, b) for s, a, b in zip(length, given, estimate, strict=True)) / total
    for group in ("", f", {kind}"):
        scores.add(song_id, f"key exact{group}", float(exact), total)
        scores.add(song_id, f"key MIREX{group}", float(points), total)
    changes = [np.array([s.start_beat for s in spans[1:]]) for spans in (found.given_keys, found.keys)]
    if kind == "one key":
        scores.add(song_id, "modulations: none found where none is given", float(len(changes[1]) == 0))
    else:
        for bars in (2, 4):
            reach = bars * found.beats_per_bar
            near = np.abs(changes[0][:, None] - changes[1][None]) <= reach
            scores.add(song_id, f"modulations: given ones found within {bars} bars", *share(near.any(axis=1)))
            if near.shape[1]:
                scores.add(
                    song_id, f"modulations: found ones given within {bars} bars", *share(near.any(axis=0))
                )


def share(hits: np.ndarray) -> tuple[float, float]:
    """Mean of some booleans and their number, which is its weight."""
    return float(hits.mean()), float(len(hits))


def phrase_scores(
    scores: Scores,
    name: str,
    song_id: str,
    reference: Sequence[Span],
    estimate: Sequence[Span],
    of: MusicAnnotation,
) -> None:
    """Boundary F at 3 s, a bar and 0.5 s, and pairwise F, of mir_eval, within the reference's span."""
    ref, est = timed(reference, of.beats_s), timed(estimate, of.beats_s)
    first, last = ref[0, 0], ref[-1, 1]
    est[0, 0], est[-1, 1] = min(est[0, 0], first), max(est[-1, 1], last)
    est, labels = merged(np.clip(est, first, last), [s.label for s in estimate])
    bar_s = float(np.median(np.diff(of.beats_s[:-1][of.downbeat])))
    for measure, window in (("3 s", 3.0), ("a bar", 1.01 * bar_s), ("0.5 s", 0.5)):
        value = mir_eval.segment.detection(ref, est, window=window, trim=True)[2]
        scores.add(song_id, f"{name}: borders within {measure}, F", value)
    pairs = mir_eval.segment.pairwise(
        ref - first, cased([s.label for s in reference]), est - first, cased(labels)
    )
    scores.add(song_id, f"{name}: pairwise F", pairs[2])


def cased(labels: Sequence[str]) -> list[str]:
    """Labels that stay different where mir_eval ignores case: B is sung, b is not."""
    return [label + ("+" if label.isupper() else "-") for label in labels]


def second_opinion(row: dict[str, str], annotation: MusicAnnotation) -> list[Span]:
    """The phrases of the second annotation, which begins with the first and may end elsewhere."""
    at, spans = annotation.phrases[0].start_beat, []
    for label, bars in parse_phrases(row["label2"]):
        start, at = at, min(at + bars * annotation.beats_per_bar, annotation.n_beats)
        if start < at:
            spans.append(Span(start, at, label))
    return spans


def score_song(scores: Scores, folder: Path, row: dict[str, str]) -> None:
    """Everything that can be scored on one song."""
    song_id = row["song_id"]
    began = time.process_time()
    found = annotate_pop909(folder, row)
    spent = time.process_time() - began
    _, notes = read_given(folder, row)
    began = time.process_time()
    phrases = estimate_phrases(notes, chord_evidence(notes), found.downbeat)
    spent += (time.process_time() - began) if found.phrase_source == "given" else 0.0
    scores.add(song_id, "seconds of one core a song", spent)
    scores.add(song_id, "onsets on the grid (grid_fit)", found.grid_fit)
    given = timed(found.given_chords, found.beats_s), [c.label for c in found.given_chords]
    own = timed(found.chords, found.beats_s), [harte_of(c.label) for c in found.chords]
    chord_scores(scores, "ours and chord_midi", song_id, given, own)
    other = other_chords(folder, found)
    if other is not None:
        reduced = given[0], [plain(name) for name in given[1]]
        chord_scores(scores, "chord_midi and finalized_chord", song_id, other, reduced)
        chord_scores(scores, "ours and finalized_chord", song_id, other, (own[0], [plain(n) for n in own[1]]))
    key_scores(scores, song_id, found)
    role_scores(scores, song_id, found, notes)
    if found.phrase_source == "given":
        first = int(np.argmax(found.downbeat))
        for name, chords in (("chord_midi", found.given_chords), ("our chords", found.chords)):
            right = bar_phase(chords, found.beats_per_bar) == first
            scores.add(song_id, f"first downbeat from {name}", float(right))
        flags = set(row["flags"].split("|"))
        if not {"GRID", "MIDI_GAP"} & flags:
            phrase_scores(scores, "ours and human_label1", song_id, found.phrases, phrases, found)
            phrase_scores(
                scores,
                "human_label2 and human_label1",
                song_id,
                found.phrases,
                second_opinion(row, found),
                found,
            )


def role_scores(scores: Scores, song_id: str, found: MusicAnnotation, notes: GridNotes) -> None:
    """Tracks without names, and all notes in one track."""
    parts = parts_of(found, notes)
    if all(len(part.pitch) for part in parts):
        expected = np.array(["melody", "counter", "accompaniment"])
        roles = np.array(assign_roles(parts))
        scores.add(song_id, "roles of unnamed tracks", float((roles == expected).mean()))
        scores.add(song_id, "melody track", float(roles[0] == "melody"))
    start, end = (np.concatenate([getattr(p, name) for p in parts]) for name in ("start_s", "end_s"))
    pitch, voice = (
        np.concatenate([p.pitch for p in parts]),
        np.repeat([0, 1, 2], [len(p.pitch) for p in parts]),
    )
    melody = split_melody(start, end, pitch) == 0
    for name, truth in (("melody", voice == 0), ("melody or counter", voice < 2)):
        f_measure = 2 * (melody & truth).sum() / max(melody.sum() + truth.sum(), 1)
        scores.add(song_id, f"melody notes of a merged track against {name}, F", float(f_measure))


def main() -> None:
    """Score the songs and print a table a subject."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--every", type=int, default=1)
    given = parser.parse_args()
    scores = Scores()
    for row in read_table(given.table)[:: given.every]:
        score_song(scores, given.folder / "POP909" / row["song_id"], row)
    print("| measure | all songs | held out |\n|---|---|---|")
    for measure in sorted(scores.values):
        print(scores.row(measure))


if __name__ == "__main__":
    main()
