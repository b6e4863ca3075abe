"""Every shared clip through `compose`, and what the finished files measure.

    python benchmarks/e2e.py [--keep FOLDER] [--only PART_OF_NAME] [--style NAME] [--original-audio drop]

One row a clip. Sync is heard, not read from the plan: onsets are found in the rendered music.

- shots: found / in the hand-checked list. kept: candidate hits met by the grid / candidates.
- heard: share of the kept hits with an onset in the music within one frame; and, in brackets, what the same
  music reaches when the hits are moved round by random offsets.
- strength: how strong the onset at a hit is among all of the piece, 0..1 (percentile), and chance.
- LUFS, dBTP: integrated loudness and true peak of the finished film's sound.
- silent: seconds of the music's own file quieter than -60 dB for 1 s or longer.
- sound: length of the film's sound minus that of the picture, in ms (a codec's padding is up to 21 ms).
- ending: the last note's onset and the last audible moment, both in seconds before the film's end, and the
  chord that sounds last against the key (ok: it is the tonic's).
- in key: share of melodic notes, weighted by length, in the scale of the plan's key.
- centroid: spectral centroid of the music in Hz.
- picture: whether the film's picture packets are the source's, byte for byte.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

import diffbgm
from diffbgm.metrics.correspondence import measure
from diffbgm.result import Result
from diffbgm.score.harmony import Key
from diffbgm.score.midi import read_midi
from diffbgm.sound.check import check_sound

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")


def videos() -> Path:
    root = os.environ.get("DIFFBGM_SHARED")
    return (Path(root) if root else Path(__file__).resolve().parents[2] / "shared") / "data" / "videos"


def picture_hash(path: Path) -> str:
    """Of the packets of the largest picture track."""
    digest = hashlib.sha256()
    with av.open(str(path)) as container:
        best = max(container.streams.video, key=lambda stream: stream.width * stream.height)
        for packet in container.demux(best):
            digest.update(bytes(packet))
    return digest.hexdigest()


def mono(wav: Path) -> tuple[NDArray[np.float64], int]:
    with av.open(str(wav)) as container:
        rate = container.streams.audio[0].rate
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray().ravel() for frame in frames]).astype(np.float64), rate


def centroid_hz(wav: Path) -> float:
    """The spectrum's centre of gravity over the whole piece."""
    samples, rate = mono(wav)
    windows = np.lib.stride_tricks.sliding_window_view(samples, 4096)[::4096] * np.hanning(4096)
    power = (np.abs(np.fft.rfft(windows)) ** 2).sum(axis=0)
    return float((power * np.fft.rfftfreq(4096, 1 / rate)).sum() / power.sum())


def in_key(result: Result) -> float:
    scale = Key.parse(result.plan.key).scale
    notes = [n for part in read_midi(result.outputs.midi).parts if not part.is_drums for n in part.notes]
    lengths = np.array([note.end_s - note.start_s for note in notes])
    inside = np.array([note.pitch % 12 in scale for note in notes])
    return float((lengths * inside).sum() / lengths.sum())


def hand_checked(clip: Path) -> int | None:
    shots = clip.with_suffix(".shots.csv")
    if not shots.is_file():
        return None
    with shots.open(newline="", encoding="utf-8") as file:
        return sum(1 for _ in csv.DictReader(file))


def row_of(clip: Path, result: Result) -> dict[str, Any]:
    """The figures of one film, ready to print."""
    measured = measure(result.outputs.video, analysis=result.analysis, listen_to="music")
    hits = result.plan.hits
    kept = [hit for hit in hits if hit.on is not None]
    music = check_sound(result.outputs.wav)
    film = check_sound(result.outputs.video)
    notes = [note for part in read_midi(result.outputs.midi).parts for note in part.notes]
    duration_s = result.analysis.duration_s
    silent_s = sum(b - a for a, b in music.silences)
    same = picture_hash(clip) == picture_hash(result.outputs.video)
    met, there = measured["hits"]["met"], measured["hits"]["accents_there"]
    length, chord = measured["length"], measured["final_chord"]
    return {
        "clip": clip.stem,
        "s": f"{duration_s:.1f}",
        "shots": f"{len(result.analysis.shots)}/{hand_checked(clip) or '-'}",
        "style": result.plan.style,
        "key": result.plan.key,
        "bars": result.plan.tempo_map.n_bars,
        "kept": f"{len(kept)}/{len(hits)}",
        "heard": _by_chance(met["onset"]["1_frame"] if kept else None),
        "strength": _by_chance(there["percentile"] if kept else None),
        "LUFS": f"{result.loudness_lufs:.1f}" if result.loudness_lufs is not None else "-",
        "dBTP": f"{result.true_peak_dbtp:.1f}" if result.true_peak_dbtp is not None else "-",
        "silent": f"{silent_s:.1f}",
        "sound": f"{1000 * (film.duration_s - duration_s):+.0f} ms",
        "ending": f"{duration_s - max(n.start_s for n in notes):.1f} / "
        f"{-length['audible_frames'] / result.analysis.fps:.1f} {_chord(chord)}",
        "in key": f"{in_key(result):.3f}",
        "centroid": f"{centroid_hz(result.outputs.wav):.0f}",
        "picture": "same" if same else "DIFFERS",
        "warnings": len(result.warnings),
        "run": f"{sum(result.timings_s.values()):.1f} s",
    }


def _by_chance(compared: dict[str, Any] | None) -> str:
    """A figure, and in brackets what chance reaches."""
    if compared is None or compared["value"] is None:
        return "-"
    return f"{compared['value']:.2f} ({compared['random']:.2f})"


def _chord(chord: dict[str, Any] | None) -> str:
    return "-" if chord is None else ("ok" if chord["resolves"] else "NOT TONIC")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", type=Path, help="leave the films in this folder")
    parser.add_argument("--only", default="", help="clips whose name contains this")
    parser.add_argument("--style", help="all clips in this style")
    parser.add_argument("--original-audio", default="keep", choices=("keep", "duck", "drop"))
    arguments = parser.parse_args()
    clips = [c for c in sorted(videos().glob("*")) if c.suffix in SUFFIXES and arguments.only in c.name]
    if not clips:
        sys.exit(f"no clips in {videos()}; set DIFFBGM_SHARED")
    folder = arguments.keep or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for number, clip in enumerate(clips):
            result = diffbgm.compose(
                clip,
                output=folder / f"{clip.stem}.bgm{clip.suffix}",
                style=arguments.style,
                original_audio=arguments.original_audio,
                force=True,
            )
            row = row_of(clip, result)
            if number == 0:
                print("| " + " | ".join(row) + " |\n|" + "---|" * len(row))
            print("| " + " | ".join(str(value) for value in row.values()) + " |", flush=True)
    finally:
        if arguments.keep is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
