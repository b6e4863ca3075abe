"""How long composing takes, where the time goes and how much memory it needs.

    python benchmarks/speed.py [--minutes N] [--clip FILE] [--markdown FILE]

Composes, in a process of its own, a 1280x720 H.264 film of N minutes (default 1), looped from a shared clip
without re-encoding, or drawn where the shared data is absent. Prints seconds a stage, the decode floor (PyAV
decoding the same file to nothing), CPU seconds and peak memory, and beside them the bounds that hold on two
idle cores. Nothing is asserted: look at the load of the machine, which is printed too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CLIP = "data/videos/montage_everyday_720p.mkv"
SIZE, FPS = (1280, 720), 30

DECODE = """
import sys, av
with av.open(sys.argv[1]) as container:
    container.streams.video[0].thread_type = "AUTO"
    for _ in container.decode(video=0):
        pass
"""


def packets_of(clip: Path) -> Iterator[av.Packet]:
    """The packets of picture and sound in order; Matroska leaves the first decoding times open, set here."""
    with av.open(str(clip)) as source:
        streams = (*source.streams.video[:1], *source.streams.audio[:1])
        waiting: list[av.Packet] = []
        for packet in source.demux(*streams):
            if packet.size == 0:
                continue
            if packet.stream.type == "video" and packet.dts is None:
                waiting.append(packet)
                continue
            if packet.stream.type == "video" and waiting:
                frame = round(1 / (packet.stream.average_rate * packet.time_base))
                for distance, early in zip(range(len(waiting), 0, -1), waiting, strict=True):
                    early.dts = packet.dts - distance * frame
                yield from waiting
                waiting = []
            yield packet


def loop(clip: Path, target: Path, seconds: float) -> None:
    """Repeat a clip's packets until `seconds`; picture and sound each follow on without a gap."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as out:
        copies = {
            stream.index: out.add_stream_from_template(stream)
            for stream in (*source.streams.video[:1], *source.streams.audio[:1])
        }
        length = Fraction(source.duration or 0, av.time_base)
        offset = Fraction(0)
        while offset < seconds:
            for packet in packets_of(clip):
                shift = round(offset / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                if packet.dts * packet.time_base < seconds:
                    packet.stream = copies[packet.stream_index]
                    out.mux(packet)
            offset += length


def draw(target: Path, seconds: float) -> None:
    """A film of drifting coloured noise with a cut every four seconds, and a tone."""
    width, height = SIZE
    rng = np.random.default_rng(0)
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(round(seconds * FPS)):
            if index % (4 * FPS) == 0:
                scene = np.repeat(np.repeat(rng.integers(0, 255, (45, 160, 3), np.uint8), 16, 0), 16, 1)
            picture = np.ascontiguousarray(np.roll(scene, 2 * index, axis=1)[:height, :width])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


def make_film(target: Path, clip: Path | None, seconds: float) -> str:
    """Write the film; returns what it was made of."""
    if clip is None:
        root = os.environ.get("DIFFBGM_SHARED")
        clip = (Path(root) if root else Path(__file__).resolve().parents[2] / "shared") / CLIP
        if not clip.is_file():
            draw(target, seconds)
            return "drawn"
    loop(clip, target, seconds)
    return clip.name


def run(*command: str) -> tuple[float, float, str]:
    """Wall seconds, CPU seconds and stdout of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, *command], check=True, stdout=subprocess.PIPE, text=True)
    wall_s = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall_s, cpu_s, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="length of the film")
    parser.add_argument("--clip", type=Path, help="the clip to loop")
    parser.add_argument("compose_options", nargs="*", help="passed on to compose, after --")
    arguments = parser.parse_args()
    seconds = 60 * arguments.minutes
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        made_of = make_film(film, arguments.clip, seconds)
        floor_s, floor_cpu_s, _ = run("-c", DECODE, str(film))
        wall_s, cpu_s, out = run("-m", "diffbgm", "compose", str(film), "--json", *arguments.compose_options)
        result = json.loads(out)
        size_mb = film.stat().st_size / 1e6

    print(f"machine: {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"film: {result['duration_s']:.1f} s, {size_mb:.0f} MB, of {made_of}; {result['bars']} bars\n")
    print("| stage | seconds |\n|---|---|")
    for stage, stage_s in result["timings_s"].items():
        print(f"| {stage} | {stage_s:.2f} |")
    rest = wall_s - sum(result["timings_s"].values())
    print(f"| starting, loading weights | {rest:.2f} |\n")
    minutes = arguments.minutes
    bound_s = 15 if minutes <= 1 else 15 * 1.1 * minutes
    bound_floor_s = 3 * floor_s + 8 * max(1.0, minutes)
    print("| | measured | bound on two idle cores |\n|---|---|---|")
    bounds = f"{bound_s:.0f} s; 3x floor + 8 s a minute: {bound_floor_s:.1f} s"
    print(f"| whole run, wall | {wall_s:.1f} s | {bounds} |")
    print(f"| whole run, CPU | {cpu_s:.1f} s | |")
    print(f"| decode floor, wall / CPU | {floor_s:.1f} s / {floor_cpu_s:.1f} s | |")
    print(f"| peak memory | {result['peak_rss_mb']:.0f} MB | 1200 MB |")


if __name__ == "__main__":
    main()
