"""Run the benchmarks and write what they print into benchmarks/RESULTS.md.

    python benchmarks/results.py --data FOLDER --table FILE [--only PART_OF_NAME] [--hour]

One section a benchmark, with its command, the commit and what it printed. A section that is not run again
keeps what it says, so single figures can be renewed. Run it on an idle machine: speeds are wall times.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
HEAD = """# Results

Written by `python benchmarks/results.py`. DATA stands for a folder with POP909 and its phrase labels, TABLE
for POP909-songs.csv. What the bounds are is printed beside the figures.
"""


def benchmarks(hour: bool) -> dict[str, str]:
    """Title -> command, with DATA and TABLE to be filled in."""
    commands = {
        "Quality of the model": "quality.py --data DATA --table TABLE --windows 400",
        "Against held-out songs": "evaluation.py --data DATA --table TABLE --windows 400",
        "Themes that return": "form.py --data DATA --table TABLE",
        "The best of several takes": "takes.py --data DATA --table TABLE --windows 150 --takes 8",
        "Chords asked for": "harmony.py chords",
        "Melodies given": "harmony.py melody --data DATA --table TABLE",
        "Seams of bars composed anew": "editing.py",
        "Words of mood": "mood.py --seeds 8",
        "Moods of pictures": "picture_mood.py",
        "Room for words": "speech.py --seeds 1",
        "Distance of the styles": "styles.py --seeds 3",
        "The shared clips against a human song and noise": "evaluation_clips.py --data DATA --table TABLE",
        "Shots": "shots.py",
        "Spotting, shots as checked by hand": "spotting.py",
        "Spotting, shots as detected": "spotting.py --detect",
        "Every shared clip, composed": "e2e.py",
        "Music and picture": "correspondence.py",
        "Speed, one minute": "speed.py --minutes 1",
        "Speed, ten minutes": "speed.py --minutes 10",
    }
    if hour:
        commands["Speed, one hour"] = "speed.py --minutes 60"
    return commands


def commit() -> str:
    words = ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def sections(text: str) -> dict[str, str]:
    """Title -> body of the sections that the file has."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return {title: body.strip() for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def run(command: str, data: Path, table: Path) -> str:
    script, *rest = command.split()
    given = [{"DATA": str(data), "TABLE": str(table)}.get(word, word) for word in rest]
    done = subprocess.run(
        [sys.executable, str(HERE / script), *given], stdout=subprocess.PIPE, text=True, check=True
    )
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    printed = done.stdout.strip()
    return f"`python benchmarks/{command}` at {commit()} on {machine}\n\n{printed}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--only", default="", help="benchmarks whose title contains this")
    parser.add_argument("--hour", action="store_true", help="also compose a film of one hour")
    given = parser.parse_args()
    for title, command in benchmarks(given.hour).items():
        if given.only.lower() in title.lower():
            print(title, flush=True)
            printed = run(command, given.data, given.table)
            # Read only now: another run may have written its section meanwhile.
            known = sections(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
            known[title] = printed
            order = [name for name in benchmarks(hour=True) if name in known]
            body = "".join(f"\n## {name}\n\n{known[name]}\n" for name in order)
            RESULTS.write_text(HEAD + body, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
