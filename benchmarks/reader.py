"""Reading a built dataset: how long it takes to start, how fast windows come, what memory it holds.

    python benchmarks/reader.py DIR [--windows N] [--workers N]

DIR is what `diffbgm dataset build` made of POP909. Every figure is of a process of its own: the first start,
which writes the arrays to map, a later one, windows of both forms in shuffled order with everything drawn at
random, and batches of 32 with worker processes. Times are wall and CPU seconds; memory is what the process
holds for itself (private pages) and what it maps of the files (shared by all processes, given back when
memory is short).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

FIRST_S = 60.0  # the bound on the first start
HEADS = ("", "wall", "CPU", "windows/s", "private", "mapped")


def start(folder: Path) -> dict[str, Any]:
    """Open the training split; the imports before it do not count."""
    from diffbgm.data.reader import Windows

    before = memory()["private"]
    wall, cpu = time.perf_counter(), time.process_time()
    windows = Windows(folder, "train")
    used = {"wall": time.perf_counter() - wall, "CPU": time.process_time() - cpu, "windows": len(windows)}
    return used | {"mapped": memory()["mapped"], "private": memory()["private"] - before}


def draw(folder: Path, form: str, count: int) -> dict[str, Any]:
    """Windows a second, shuffled, with key, tempo and dropout drawn."""
    from diffbgm.data.reader import Augmentation, Shuffled, Windows

    before = memory()["private"]
    how = Augmentation(transpose="random", tempo=0.1, drop_conditions=True)
    stream = Shuffled(Windows(folder, "train", form=form, augmentation=how))
    next(iter(stream))
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in islice(stream, count):
        pass
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    used = memory()
    return {"wall": wall, "CPU": cpu, "windows/s": count / cpu, "mapped": used["mapped"]} | {
        "private": used["private"] - before
    }


def load(folder: Path, workers: int, count: int) -> dict[str, Any]:
    """Batches of 32 as tensors; windows a wall second."""
    from diffbgm.data.reader import Augmentation, Shuffled, Windows
    from diffbgm.train.dataset import WindowLoader

    stream = Shuffled(Windows(folder, "train", augmentation=Augmentation(drop_conditions=True)))
    batches = iter(WindowLoader(stream, 32, workers))
    next(batches)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count // 32):
        next(batches)
    wall = time.perf_counter() - wall
    return {"wall": wall, "CPU": time.process_time() - cpu, "windows/s": count // 32 * 32 / wall}


def memory() -> dict[str, float]:
    """MB that are this process's own, and of files mapped into it."""
    found = {"private": 0.0, "mapped": 0.0}
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "RssAnon":
            found["private"] = int(value.split()[0]) / 1000
        if name == "RssFile":
            found["mapped"] = int(value.split()[0]) / 1000
    return found


def apart(*arguments: object) -> dict[str, Any]:
    """One measurement in a fresh process."""
    command = [sys.executable, __file__, *map(str, arguments)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def row(name: str, found: dict[str, Any]) -> str:
    cells = [name, f"{found['wall']:.2f} s", f"{found['CPU']:.2f} s"]
    cells.append(f"{found['windows/s']:.0f}" if "windows/s" in found else "")
    cells += [f"{found[key]:.0f} MB" if key in found else "" for key in ("private", "mapped")]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--windows", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure is not None:
        what, _, form = given.measure.partition(":")
        found = {
            "start": lambda: start(given.folder),
            "draw": lambda: draw(given.folder, form, given.windows),
            "load": lambda: load(given.folder, given.workers, given.windows),
        }[what]()
        print(json.dumps(found))
        return
    shutil.rmtree(given.folder / ".windows", ignore_errors=True)
    options = (given.folder, "--windows", given.windows, "--workers", given.workers, "--measure")
    first, later = apart(*options, "start"), apart(*options, "start")
    size = sum(path.stat().st_size for path in (given.folder / ".windows").rglob("*") if path.is_file())
    print(f"{first['windows']} windows to train on; {size / 1e6:.0f} MB of arrays to map.\n")
    print("| " + " | ".join(HEADS) + " |\n|" + "---|" * len(HEADS))
    print(row("first start", first))
    print(row("later start", later))
    for form in ("tokens", "planes"):
        print(row(f"{form}, all drawn at random (windows a CPU second)", apart(*options, f"draw:{form}")))
    workers = f"{given.workers} worker" + ("" if given.workers == 1 else "s")
    print(row(f"batches of 32 in torch, {workers} (windows a wall second)", apart(*options, "load")))
    verdict = "within" if first["CPU"] <= FIRST_S else "OVER"
    print(f"\nThe first start takes {first['CPU']:.1f} CPU seconds: {verdict} the bound of {FIRST_S:.0f}.")


if __name__ == "__main__":
    main()
