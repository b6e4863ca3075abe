"""How fast datasets are built, what an item costs, and how builds scale from one process to two.

    python benchmarks/dataset.py [--items 24] [--engines local ray] [--workers 1 2]

Songs of POP909 with short real clips as stand-in videos, each song with a video of its own. Prints Markdown:
CPU seconds by step (one process, one thread), bytes a row, then wall time, CPU time and items a minute for
each engine and number of processes, and the load of the machine before each run. Data: $DIFFBGM_SHARED, else
the folder `shared` beside the checkout.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
from itertools import cycle
from pathlib import Path
from time import perf_counter, process_time

from diffbgm.data import store
from diffbgm.data.alignment import align, clock_edges
from diffbgm.data.annotation.song import annotate_pop909
from diffbgm.data.manifest import ManifestRow, write_manifest
from diffbgm.data.pop909 import read_table
from diffbgm.data.shared_conditions import conditions_from_film, conditions_from_notes
from diffbgm.video.analyze import analyze

CHECKOUT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("DIFFBGM_SHARED", CHECKOUT.parent / "shared"))
CLIPS = (
    "rooftop_handheld_360p.mp4", "vertical_story_720x1280.mp4", "bbb_yawn_320x240_15fps.mp4",
    "squirrel_720p_silent_track.mp4", "nasa_webb_mirror_2tracks.mp4", "montage_everyday_720p.mkv",
)  # fmt: skip


def prepare(root: Path, n_items: int) -> list[ManifestRow]:
    """Songs spread over POP909 and links to clips, so that no two songs share a video."""
    with tarfile.open(SHARED / "data/POP909.tar.xz") as archive:
        archive.extractall(root, filter="data")
    (root / "POP909-songs.csv").symlink_to(SHARED / "data/POP909-songs.csv")
    (root / "films").mkdir()
    songs = [f"{1 + k * 908 // max(n_items - 1, 1):03d}" for k in range(n_items)]
    rows = []
    for song, clip in zip(songs, cycle(CLIPS), strict=False):
        link = root / "films" / f"{song}-{clip}"
        link.symlink_to(SHARED / "data/videos" / clip)
        rows.append(ManifestRow(song=f"POP909/{song}", video=f"films/{link.name}", offset_s=20.0))
    write_manifest(rows, root / "manifest.csv")
    return rows


def steps(root: Path, rows: list[ManifestRow]) -> None:
    """CPU seconds of each step of an item, in this process."""
    import cv2

    cv2.setNumThreads(1)
    table = {each["song_id"]: each for each in read_table(root / "POP909-songs.csv")}
    spent = dict.fromkeys(("song", "film", "alignment and conditions"), 0.0)
    song_s = film_s = 0.0
    by_clip: dict[str, tuple[float, float]] = {}
    for row in rows:
        begin = process_time()
        music = annotate_pop909(root / row.song, table[row.song_name])
        spent["song"] += process_time() - begin
        begin = process_time()
        film = analyze(root / str(row.video))
        seconds = process_time() - begin
        spent["film"] += seconds
        by_clip[str(row.video).split("-", 1)[1]] = (seconds, film.duration_s)
        begin = process_time()
        align(music, film, row.offset_s)
        clock_s = clock_edges(music, film, row.offset_s)
        conditions_from_notes(music, row.offset_s, clock_s)
        conditions_from_film(music, film, row.offset_s, clock_s)
        spent["alignment and conditions"] += process_time() - begin
        song_s += float(music.beats_s[-1] - music.beats_s[0])
        film_s += film.duration_s
    n = len(rows)
    print(f"\n{n} items, {song_s / n:.0f} s of music and {film_s / n:.1f} s of film each on average.\n")
    print("| step | CPU s an item | CPU s a minute of music or film |\n|---|---|---|")
    for name, total in spent.items():
        minutes = (film_s if name == "film" else song_s) / 60
        print(f"| {name} | {total / n:.2f} | {total / minutes:.2f} |")
    print("\n| clip | CPU s a minute of film |\n|---|---|")
    for clip, (seconds, duration_s) in sorted(by_clip.items()):
        print(f"| {clip} | {60 * seconds / duration_s:.1f} |")


def timed(root: Path, folder: Path, engine: str, workers: int) -> tuple[float, float]:
    """Wall and CPU seconds of a build by the command line."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = perf_counter()
    command = [
        sys.executable, "-m", "diffbgm", "dataset", "build", str(root / "manifest.csv"), "-o", str(folder),
        "--engine", engine, "--workers", str(workers),
    ]  # fmt: skip
    # Ray's workers are nicer than others by 15, which is much on a machine that also does something else.
    env = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}
    subprocess.run(command, check=True, capture_output=True, env=env)
    wall_s = perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--engines", nargs="*", default=["local", "ray"])
    parser.add_argument("--workers", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--steps", action=argparse.BooleanOptionalAction, default=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        rows = prepare(root, given.items)
        if given.steps:
            steps(root, rows)
        print("\n| engine | processes | wall s | CPU s | items a minute | load before |")
        print("|---|---|---|---|---|---|")
        contents = set()
        for engine in given.engines:
            for workers in given.workers:
                folder = root / f"{engine}-{workers}"
                load = os.getloadavg()[0]
                wall_s, cpu_s = timed(root, folder, engine, workers)
                cpu = f"{cpu_s:.0f}" if engine == "local" else "-"  # Ray's processes are not children
                rate = 60 * len(rows) / wall_s
                print(
                    f"| {engine} | {workers} | {wall_s:.1f} | {cpu} | {rate:.1f} | {load:.1f} |", flush=True
                )
                contents.add(tuple(path.read_bytes() for path in store.data_files(folder)))
        wall_s, _ = timed(root, folder, "local", 1)
        size = sum(path.stat().st_size for path in store.data_files(folder))
        print(f"\nNothing to do: {wall_s:.1f} s. {size / len(rows) / 1000:.0f} kB a row. "
              f"{'The same' if len(contents) == 1 else 'DIFFERENT'} bytes from all builds.")  # fmt: skip


if __name__ == "__main__":
    main()
