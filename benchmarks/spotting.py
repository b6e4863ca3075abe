"""How many moments of the shared clips the music meets, and what chance would meet.

    python benchmarks/spotting.py [--detect] [--videos FOLDER]

Candidates come from the hand-checked transitions beside each clip, with --detect from the package's own
shot detector. Beside each clip stands what a grid of the plan's median tempo, begun at a random moment,
reaches on the same candidates. Every plan's tempo rules are checked; a broken one ends with status 1.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from diffbgm.spotting.cuesheet import Plan, Wishes
from diffbgm.spotting.spot import spot
from diffbgm.video.analysis import Analysis, Curve, Shot, Transition, TransitionKind

UNITS = ("downbeat", "beat", "eighth", "sixteenth")
PHASES = 200
KINDS: dict[str, TransitionKind] = {
    "cut": "cut",
    "dissolve": "dissolve",
    "fade_black": "fade",
    "fade_white": "fade",
}


def shared_videos() -> Path:
    root = os.environ.get("DIFFBGM_SHARED")
    folder = Path(root) if root else Path(__file__).resolve().parents[2] / "shared"
    return folder / "data" / "videos"


def checked_analysis(folder: Path, row: dict[str, str]) -> Analysis:
    """An analysis of the clip as if the hand-checked lists had been found; the picture is plain grey."""
    stem = Path(row["file"]).stem
    shots = _read(folder / f"{stem}.shots.csv")
    transitions = _read(folder / f"{stem}.transitions.csv")
    speech = _read(folder / f"{stem}.speech.csv")
    duration_s = float(row["video_duration_s"])
    flat = Curve(4.0, np.full(max(1, round(4 * duration_s)), 0.4, np.float32))
    return Analysis(
        video=row["file"],
        container=row["container"],
        duration_s=duration_s,
        frame_rate=Fraction(row["mean_fps"]).limit_denominator(1001),
        n_frames=int(row["frames"]),
        width=int(row["width"]),
        height=int(row["height"]),
        rotation=0,
        has_audio=bool(row["acodec"]),
        shots=tuple(Shot(float(r["start_s"]), float(r["end_s"])) for r in shots),
        transitions=tuple(
            Transition(float(r["boundary_s"]), KINDS[r["type"]], float(r["from_s"]), float(r["to_s"]), 0.7)
            for r in transitions
        ),
        motion=flat,
        camera=flat,
        brightness=flat,
        saturation=flat,
        warmth=Curve(4.0, np.zeros_like(flat.values)),
        speech_spans=tuple((float(r["start_s"]), float(r["end_s"])) for r in speech),
        source_lufs=None,
        has_music=False,
        thumbnails=(),
        warnings=(),
    )


def by_chance(plan: Plan) -> Counter[str]:
    """Mean number of candidates that a steady grid of the plan's median tempo meets at a random phase."""
    step_s = 60.0 / float(np.median(plan.tempo_map.bpm_of_bars())) / 4
    times = np.array([hit.time_s for hit in plan.hits])
    out: Counter[str] = Counter()
    for phase in np.arange(PHASES) / PHASES * 16:
        position = times / step_s + phase
        step = np.rint(position)
        met = np.abs(position - step) * step_s <= 0.5 / plan.fps
        for each in step[met].astype(int):
            out[unit_of(int(each))] += 1
    return Counter({unit: count / PHASES for unit, count in out.items()})  # type: ignore[misc]


def unit_of(step: int) -> str:
    return next(unit for unit, size in zip(UNITS, (16, 4, 2, 1), strict=True) if step % size == 0)


def broken_rules(plan: Plan) -> list[str]:
    """Tempo rules the plan breaks; none expected."""
    out = []
    bpm = plan.tempo_map.bpm_of_bars()
    if plan.bar_starts_s[-1] != plan.duration_s:
        out.append("does not end with the film")
    if bpm.min() < 60 - 1e-6 or bpm.max() > 140 + 1e-6:
        out.append(f"tempo from {bpm.min():.1f} to {bpm.max():.1f}")
    for section in plan.sections:
        here = bpm[section.start_bar : section.end_bar]
        if len(here) < 2 and plan.tempo_map.n_bars > 1:
            out.append(f"section of {len(here)} bar at {section.start_s:.2f} s")
        if np.abs(here / section.tempo_bpm - 1).max() > 0.05:
            out.append(f"bend of more than 5 % in the section at {section.start_s:.2f} s")
        if any(max(a / b, b / a) > 1.02 for a, b in pairwise(here)):
            out.append(f"more than 2 % from bar to bar in the section at {section.start_s:.2f} s")
    for hit in plan.hits:
        if hit.step is not None:
            error_s = abs(plan.tempo_map.seconds(hit.step / 4) - hit.time_s)
            if error_s > 0.5 / plan.fps or hit.on != unit_of(hit.step):
                out.append(f"hit at {hit.time_s:.3f} s is not where it says")
    return out


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def line(name: str, counts: Counter[str], chance: Counter[str], seconds: float) -> str:
    total, kept = counts["candidates"], sum(counts[unit] for unit in UNITS)
    lucky = sum(chance[unit] for unit in UNITS)
    share = [100 * kept / total, 100 * (counts["downbeat"] + counts["beat"]) / max(kept, 1e-9)]
    share += [100 * counts["downbeat"] / max(kept, 1e-9)]
    luck = [100 * lucky / total, 100 * (chance["downbeat"] + chance["beat"]) / max(lucky, 1e-9)]
    luck += [100 * chance["downbeat"] / max(lucky, 1e-9)]
    found = " ".join(f"{counts[unit]:4d}" for unit in UNITS)
    shares = " ".join(f"{value:6.1f}" for value in share)
    by_luck = " ".join(f"{value:6.1f}" for value in luck)
    return f"{name[:30]:30} {total:5d} {kept:5d} {found}   {shares}   {by_luck}   {seconds:7.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--detect", action="store_true", help="find the shots instead of reading them")
    parser.add_argument("--videos", type=Path, default=shared_videos())
    args = parser.parse_args()
    pooled, pooled_chance = Counter[str](), Counter[str]()
    total_s, broken = 0.0, 0
    print(f"{'':30} candi-            eigh sixt         share of the kept   steady grid, random phase")
    print(
        f"{'clip':30} dates  kept down beat  th  th    kept%  beat%  down%    kept%  beat%  down%      CPU s"
    )
    for row in _read(args.videos / "manifest.csv"):
        if args.detect:
            from diffbgm.video.analyze import analyze

            analysis = analyze(args.videos / row["file"])
        else:
            analysis = checked_analysis(args.videos, row)
        started = time.process_time()
        plan = spot(analysis, Wishes())
        seconds = time.process_time() - started
        total_s += seconds
        for complaint in broken_rules(plan):
            broken += 1
            print(f"{row['file']}: {complaint}")
        if not plan.hits:
            continue
        counts = Counter(hit.on for hit in plan.hits if hit.on is not None)
        counts["candidates"] = len(plan.hits)
        chance = by_chance(plan)
        pooled.update(counts)
        pooled_chance.update(chance)
        print(line(row["file"], counts, chance, seconds))
    print(line("pooled", pooled, pooled_chance, total_s))
    print("wanted: 92 % of the candidates kept; of the kept 60 % on beats, 35 % on downbeats")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
