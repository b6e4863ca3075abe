"""Does the music fit the picture? Every shared clip composed, then measured in the finished films' sound.

    python benchmarks/correspondence.py [--films FOLDER] [--videos FOLDER] [--listen-to film] [--json FILE]

Films are composed into FOLDER (by default a temporary one); those that lie there already, named NAME.bgm.EXT,
are taken as they are. Cuts are the hand-checked transitions beside the clips. Beside each figure stands what
the same music reaches at random offsets (~) and at a steady tempo (=); docs/correspondence.md explains them.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from diffbgm.metrics.correspondence import ListenTo, across_films, measure
from diffbgm.outputs import film_path
from diffbgm.pipeline import compose
from diffbgm.video.analyze import analyze

MET = ("1_frame", "40_ms", "100_ms")
TBIOU = ("40_ms", "100_ms", "500_ms")
KINDS = ("onset", "accent", "beat", "downbeat")


def shared_videos() -> Path:
    root = os.environ.get("DIFFBGM_SHARED")
    folder = Path(root) if root else Path(__file__).resolve().parents[2] / "shared"
    return folder / "data" / "videos"


def checked_cuts(clip: Path) -> list[float]:
    """The hand-checked moments of the clip's transitions; none where it has no list (one shot)."""
    path = clip.with_suffix(".transitions.csv")
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [float(row["boundary_s"]) for row in csv.DictReader(file)]


def measured(clip: Path, films: Path, seed: int, listen_to: ListenTo) -> dict[str, Any]:
    film = films / film_path(clip, None).name
    if not film.exists():
        compose(clip, output=film, seed=seed, original_audio="drop", report=False)
    return measure(film, analysis=analyze(clip), cuts_s=checked_cuts(clip), listen_to=listen_to)


def name_of(film: dict[str, Any]) -> str:
    return Path(film["film"]).stem.removesuffix(".bgm")


def number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def beside(one: dict[str, Any] | None, digits: int = 2) -> str:
    """A figure, then chance and steady tempo."""
    if one is None or one["value"] is None:
        return "-"
    steady = one["fixed_tempo"]
    tail = "" if steady is None else f" ={number(steady, digits)}"
    return f"{number(one['value'], digits)} ~{number(one['random'], digits)}{tail}"


def pooled(films: list[dict[str, Any]], *path: str) -> dict[str, Any]:
    """A figure over all films: each counts by its number of cuts."""
    found = []
    for film in films:
        one: Any = film
        for key in path:
            one = one[key] if one is not None else None
        if one is not None and one["value"] is not None:
            found.append((film[path[0]]["n"], one))
    out: dict[str, Any] = {"value": None, "random": None, "fixed_tempo": None}
    for key in out:
        pairs = [(n, one[key]) for n, one in found if one[key] is not None]
        if pairs:
            weights, values = zip(*pairs, strict=True)
            out[key] = float(np.average(values, weights=weights))
    return out


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    print(f"\n{title}")
    for row in [head, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_alignment(films: list[dict[str, Any]], target: str) -> None:
    with_cuts = [film for film in films if film[target] is not None and film[target]["n"]]
    for name, kind_of, tolerances in (("met", "share met", MET), ("tbiou", "TBIoU", TBIOU)):
        rows = []
        for film in with_cuts:
            for kind in KINDS:
                found = film[target][name][kind]
                cells = [beside(found[each]) for each in tolerances]
                rows.append([name_of(film) if kind == "onset" else "", str(film[target]["n"]), kind, *cells])
        total = str(sum(film[target]["n"] for film in with_cuts))
        for kind in KINDS:
            cells = [beside(pooled(with_cuts, target, name, kind, each)) for each in tolerances]
            rows.append(["all" if kind == "onset" else "", total, kind, *cells])
        heads = [each.replace("_", " ") for each in tolerances]
        table(f"{target}: {kind_of} (~ random offset, = steady tempo)", ["film", "n", "by", *heads], rows)
    rows = []
    for film in with_cuts:
        there = film[target]["accents_there"]
        cells = [beside(there["percentile"]), beside(there["local_percentile"])]
        rows.append([name_of(film), number(there["heard"]), *cells, number(there["strength_ratio"])])
    whole = [
        beside(pooled(with_cuts, target, "accents_there", key)) for key in ("percentile", "local_percentile")
    ]
    rows.append(["all", "", *whole, ""])
    table(
        f"{target}: strength of the onset there among all onsets",
        ["film", "heard", "percentile", "within 4 s", "strength / rest"],
        rows,
    )


def print_rest(films: list[dict[str, Any]]) -> None:
    rows = []
    for film in films:
        motion, energy, mood = film["motion_density"], film["energy_loudness"], film["mood"]
        ending, length = film["final_chord"], film["length"]
        rows.append(
            [
                name_of(film),
                f"{number(motion['rho'])} (p {number(motion['p'])}, null {number(motion['null_mean'])})",
                f"{number(energy['rho'])} (p {number(energy['p'])}, null {number(energy['null_mean'])})",
                f"{mood['key']} / {mood['key_heard']}",
                f"{number(mood['tempo_bpm'], 0)} / {number(mood['tempo_heard_bpm'], 0)}",
                f"{number(mood['valence'])} / {number(mood['arousal'])}",
                f"{number(length['sound_frames'])} / {number(length['audible_frames'])}",
                "-"
                if ending is None
                else f"{number(ending['in_triad'])}{' yes' if ending['resolves'] else ' no'}",
            ]
        )
    heads = ["film", "motion ~ density", "energy ~ loudness", "key / heard", "BPM / heard"]
    table("The rest", [*heads, "valence / arousal", "frames off", "final chord"], rows)
    agree = [film["mood"]["key_agrees"] for film in films]
    resolved = [film["final_chord"]["resolves"] for film in films if film["final_chord"] is not None]
    print(f"key heard as planned: {sum(agree)} of {len(agree)}")
    print(f"final chord resolves: {sum(resolved)} of {len(resolved)}")
    for name, found in across_films(films).items():
        print(f"{name} across {found['n']} films: rho {number(found['rho'])}, p {number(found['p'], 3)}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=Path, help="folder of the composed films, kept")
    parser.add_argument("--videos", type=Path, default=shared_videos())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--listen-to", choices=["music", "film"], default="music", help="the WAV or the film")
    parser.add_argument("--json", type=Path, help="also write all figures there")
    args = parser.parse_args()
    with (args.videos / "manifest.csv").open(newline="", encoding="utf-8") as file:
        clips = [args.videos / row["file"] for row in csv.DictReader(file)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.films or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        films = []
        for clip in clips:
            print(clip.name, file=sys.stderr, flush=True)
            films.append(measured(clip, folder, args.seed, args.listen_to))
    for target in ("cuts", "hits"):
        print_alignment(films, target)
    print_rest(films)
    if args.json:
        args.json.write_text(json.dumps({"films": films, "across": across_films(films)}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
