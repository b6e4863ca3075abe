"""Count what takes are measured by, on the training songs, into files of `diffbgm.takes`.

    python benchmarks/takes_fit.py --data FOLDER --table FILE

`songs.json`: stretches of songs as a Gaussian, their percentiles. `figures.npz`: the hashed figures of all
songs that are not held out, also of those that no model was trained on. Prints what the index does on songs
that are held out, beside the exact search.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import diffbgm.takes
from diffbgm.data.annotation.grid import unpacked
from diffbgm.data.pop909 import Split, read_given, read_songs, read_table, split_of
from diffbgm.data.windows import WindowSource
from diffbgm.diffusion.roll import PianoRoll
from diffbgm.diffusion.tokens import to_roll
from diffbgm.metrics.features import windows
from diffbgm.metrics.notes import Notes, notes_of_roll
from diffbgm.metrics.novelty import TrainingIndex, find_matches
from diffbgm.takes import novelty_index, reference
from diffbgm.takes.asked import scale_of
from diffbgm.takes.features import features_of
from diffbgm.takes.novelty_index import NoveltyIndex, voices_of
from diffbgm.takes.reference import LENGTHS, Reference
from diffbgm.timing import BEATS_PER_BAR

SHRINK = 0.05  # of the covariance towards its diagonal
HOP_BARS = 4


def real_rolls(source: WindowSource, bars: int) -> Iterator[PianoRoll]:
    """Every `HOP_BARS`th window, in C major or A minor."""
    for window in source.windows:
        if window.start_beat // BEATS_PER_BAR % HOP_BARS == 0:
            yield to_roll(source.tokens(window))


def reference_of(source: WindowSource, bars: int) -> Reference:
    """What the windows of `source` come to."""
    rows, off_key = [], []
    for roll in real_rolls(source, bars):
        notes = notes_of_roll(roll)
        if len(notes):
            rows.append(features_of(notes, roll.chroma))
            off_key.append(float((~scale_of("C")[notes.pitch % 12]).mean()))
    table = np.array(rows)
    mean = np.nanmean(table, axis=0)
    filled = np.where(np.isnan(table), mean, table)
    covariance = np.cov(filled, rowvar=False)
    # A feature that is missing in some windows keeps the variance that it has in the others.
    spread = np.sqrt(np.nanvar(table, axis=0) / np.diag(covariance))
    covariance *= np.outer(spread, spread)
    covariance = (1 - SHRINK) * covariance + SHRINK * np.diag(np.diag(covariance))
    low, high = np.nanquantile(table, [0.005, 0.995], axis=0)
    made = Reference(bars, mean, covariance, low, high, 0.0, 0.0, float(np.quantile(off_key, 0.995)))
    distances = [made.distance(row) for row in table]
    usual, far = np.quantile(distances, [0.5, 0.995])
    print(f"{bars} bars: {len(table)} windows, distance median {usual:.2f}, 99.5 percentile {far:.2f}")
    return Reference(bars, mean, covariance, low, high, float(usual), float(far), made.off_key)


def notes_of_songs(data: Path, table: Path, split: Split) -> list[tuple[str, Notes]]:
    """Name and notes of every song of a split, whole."""
    out = []
    for row in read_table(table):
        if split_of(row["song_id"]) == split:
            song, _ = read_given(data / "POP909" / row["song_id"], row)
            n = len(song.bits)
            bits = unpacked(song.bits).transpose(1, 2, 0, 3, 4).reshape(3, 2, 4 * n, 88)
            velocity = song.velocity.transpose(1, 0, 2).reshape(3, -1)
            none = np.zeros((n, 12), bool), np.full(n, -1, np.int8)
            out.append((row["song_id"], notes_of_roll(PianoRoll(bits, velocity, *none))))
    return out


def compare(index: NoveltyIndex, training: list[tuple[str, Notes]], heldout: list[tuple[str, Notes]]) -> None:
    """Longest passages of held-out songs by the index and by the exact search."""
    exact = TrainingIndex([(name, voices_of(notes)) for name, notes in training])
    pieces = [voices_of(window) for _, notes in heldout for window in windows(notes)]
    theirs = np.array([match.notes for match in find_matches(pieces, exact, window_bars=16)])
    ours = np.array([index.longest(piece) for piece in pieces])
    print(f"{len(pieces)} windows of 16 bars of {len(heldout)} held-out songs")
    print("| longest passage, notes | median | 90 % | 99 % | most | 12 or more | 16 or more | 20 or more |")
    print("|---|---|---|---|---|---|---|---|")
    for name, found in (("exact", theirs), ("index", ours)):
        quantiles = np.quantile(found, [0.5, 0.9, 0.99, 1.0])
        shares = [f"{(found >= least).mean():.2%}" for least in (12, 16, 20)]
        print(f"| {name} | {' | '.join(f'{each:.0f}' for each in quantiles)} | {' | '.join(shares)} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    given = parser.parse_args()
    folder = Path(next(iter(diffbgm.takes.__path__)))
    training = notes_of_songs(given.data, given.table, "train")
    index = NoveltyIndex.of_lines([line for _, notes in training for line in voices_of(notes)])
    file = folder / novelty_index.FILE
    np.savez_compressed(file, present=np.packbits(index.present))
    print(f"{len(training)} songs: {index.present.sum()} hashes, {index.chance:.4f} of all, "
          f"{file.stat().st_size} bytes")  # fmt: skip
    compare(index, training, notes_of_songs(given.data, given.table, "heldout"))
    songs = list(read_songs(given.data, given.table, "train"))
    made = []
    for bars in LENGTHS:
        made.append(reference_of(WindowSource(songs, beats=bars * BEATS_PER_BAR), bars))
    text = json.dumps({"songs": [each.to_json() for each in made]}, separators=(",", ":"))
    (folder / reference.FILE).write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
