"""A miniature of the published BGM909 layout, made of songs alone: for tests, and to try the paired recipes.

    python -m diffbgm.train.miniature DATA OUT [--songs 12]

Notes, beats, chords and cuts (at phrase borders) are the songs' own. The features have the published shapes
and are made up, but not without meaning: visual rows, one a second, are a fixed random projection of how much
happens in the bar, and caption rows, one every five seconds, one of the key's mode and the phrase. So a
network that learns to use them loses less, which can be seen.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Iterable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from diffbgm.data import bgm909
from diffbgm.data.pop909 import Song, read_songs, split_of
from diffbgm.data.windows import song_features
from diffbgm.diffusion.roll import LOWEST_PITCH, N_PITCHES, ONSET, SUSTAIN, TRACKS
from diffbgm.diffusion.tokens import BITS_SHAPE, N_BITS
from diffbgm.features.film_features import LANGUAGE_WIDTH, VISUAL_WIDTH
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BAR, STEPS_PER_BEAT

FPS: Final = 25
CAPTION_S: Final = 5
WHOLE_BEATS: Final = 8 * BEATS_PER_BAR
PHRASE_LETTERS: Final = 8


def write_miniature(songs: Iterable[Song], folder: Path, seed: int = 0) -> list[str]:
    """Write the layout of `diffbgm.data.bgm909` for these songs into `folder`; returns their numbers."""
    rng = np.random.default_rng(seed)
    of_density = rng.standard_normal((2, VISUAL_WIDTH))
    of_meaning = rng.standard_normal((2 + PHRASE_LETTERS, LANGUAGE_WIDTH))
    for part in (bgm909.SONGS, bgm909.VISUAL, bgm909.CAPTIONS, bgm909.SHOTS):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / bgm909.SPLIT).parent.mkdir(parents=True, exist_ok=True)
    names = []
    for song in songs:
        names.append(song.song_id)
        beats_s = np.concatenate([[0.0], np.cumsum(60 / song.bpm.astype(np.float64))])
        np.savez_compressed(folder / bgm909.SONGS / f"{song.song_id}.npz", **song_arrays(song))
        _write_features(folder, song, beats_s, of_density, of_meaning, rng)
        times = folder / bgm909.BEATS / song.song_id / "beat_midi.txt"
        times.parent.mkdir(parents=True, exist_ok=True)
        bar = np.arange(len(beats_s)) % BEATS_PER_BAR == 0
        np.savetxt(times, np.stack([beats_s, bar, bar], axis=1), fmt="%.6f")
    lists = [[f"{name}.npz" for name in names if split_of(name) == part] for part in ("train", "heldout")]
    with (folder / bgm909.SPLIT).open("wb") as file:
        pickle.dump(lists, file)
    return names


def song_arrays(song: Song) -> dict[str, Any]:
    """The arrays of one npz, as the published ones are: notes of three tracks, downbeats, chords."""
    n_beats = song.n_beats
    bits = np.unpackbits(song.bits, axis=1, count=N_BITS).reshape(-1, *BITS_SHAPE).astype(bool)
    by_step = bits.transpose(1, 2, 0, 3, 4).reshape(len(TRACKS), 2, -1, N_PITCHES)
    velocity = song.velocity.transpose(1, 0, 2).reshape(len(TRACKS), -1)
    notes, table = np.empty(len(TRACKS), object), np.empty(len(TRACKS), object)
    for track in range(len(TRACKS)):
        notes[track] = track_notes(by_step[track], velocity[track])
        onsets = notes[track][:, 0]
        table[track] = {
            int(step): int(np.searchsorted(onsets, step)) for step in range(n_beats * STEPS_PER_BEAT)
        }
    downbeats = np.arange(0, n_beats * STEPS_PER_BEAT, STEPS_PER_BAR)
    chord = np.zeros((n_beats, bgm909.CHORD_WIDTH), np.int64)
    chord[:, 0] = chord[:, 13] = np.maximum(song.bass, 0)
    chord[:, 1:13] = song.chroma
    return {
        "notes": notes,
        "start_table": table,
        "db_pos": downbeats,
        "db_pos_filter": downbeats + WHOLE_BEATS * STEPS_PER_BEAT <= n_beats * STEPS_PER_BEAT,
        "chord": chord,
    }


def track_notes(bits: NDArray[np.bool_], velocity: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Rows (onset step, pitch, duration, velocity, program) of bits (2, steps, 88), in order of onset."""
    rows = []
    for step, pitch in np.argwhere(bits[ONSET]):
        held = bits[SUSTAIN, step + 1 :, pitch]
        duration = 1 + (int(held.argmin()) if not held.all() else len(held))
        rows.append((step, pitch + LOWEST_PITCH, duration, velocity[step], 0))
    return np.array(rows, np.int64).reshape(-1, bgm909.NOTE_WIDTH)


def _write_features(
    folder: Path,
    song: Song,
    beats_s: NDArray[np.float64],
    of_density: NDArray[np.float64],
    of_meaning: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    length_s = beats_s[-1]

    def beat_at(times_s: NDArray[np.floating]) -> NDArray[np.int64]:
        return np.clip(np.searchsorted(beats_s, times_s, side="right") - 1, 0, song.n_beats - 1)

    features = song_features(song)
    beats = beat_at(np.arange(int(length_s)) + 0.5)
    density = np.stack([features.onsets[beats] / 5 - 1, features.melody[beats] - 1], axis=1)
    visual = density @ of_density + 0.3 * rng.standard_normal((len(beats), VISUAL_WIDTH))
    torch.save(torch.from_numpy(visual.astype(np.float32)), folder / bgm909.VISUAL / f"{song.song_id}.pth")

    beats = beat_at(np.arange(CAPTION_S / 2, length_s, CAPTION_S))
    letters = np.zeros(song.n_beats, np.int64)
    for phrase in song.phrases:
        letters[phrase.start_beat : phrase.end_beat] = ord(phrase.label) % PHRASE_LETTERS
    meaning = np.eye(len(of_meaning))[song.minor[beats].astype(np.int64)]
    meaning += np.eye(len(of_meaning))[2 + letters[beats]]
    caption = meaning @ of_meaning + 0.3 * rng.standard_normal((len(beats), LANGUAGE_WIDTH))
    np.save(folder / bgm909.CAPTIONS / f"{song.song_id}.npy", caption.astype(np.float32))

    cuts = [0, *sorted({round(beats_s[p.start_beat] * FPS) for p in song.phrases} - {0})]
    cuts.append(round(length_s * FPS))
    lines = [f"{first} {last - 1}\n" for first, last in pairwise(cuts)]
    (folder / bgm909.SHOTS / f"{song.song_id}_scenes.txt").write_text("".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds POP909/ and POP909-songs.csv")
    parser.add_argument("out", type=Path)
    parser.add_argument("--songs", type=int, default=12)
    given = parser.parse_args()
    songs = read_songs(given.data, given.data / "POP909-songs.csv")
    print(" ".join(write_miniature(islice(songs, given.songs), given.out)))


if __name__ == "__main__":
    main()
