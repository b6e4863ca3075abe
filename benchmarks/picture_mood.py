"""What mood the pictures alone give: the shared clips' figures, and whether they come in a sensible order.

    python benchmarks/picture_mood.py [--videos FOLDER]

Nobody has rated these clips. The orders below follow from the descriptions in the README beside them, not
from their figures. Each is counted as met if the clip named first is higher by at least 0.05.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from diffbgm.spotting.cuesheet import Wishes
from diffbgm.spotting.look import Film
from diffbgm.spotting.spot import spot
from diffbgm.video.analyze import analyze

CLIPS = {
    "trailer": "bbb_trailer_640x360_vp8.webm",
    "opening": "bbb_opening_854x480_h264.mp4",
    "yawn": "bbb_yawn_320x240_15fps.mp4",
    "mirror": "nasa_webb_mirror_2tracks.mp4",
    "montage": "montage_everyday_720p.mkv",
    "vertical": "vertical_story_720x1280.mp4",
    "one by one": "static_onebyone_139s_noaudio.mp4",
    "squirrel": "squirrel_720p_silent_track.mp4",
    "rooftop": "rooftop_handheld_360p.mp4",
}
# The clip expected to be higher, the one expected to be lower, and why.
AROUSAL = (
    ("trailer", "opening", "quick cuts and bursts against a slow pan"),
    ("trailer", "yawn", "quick cuts against a rabbit that stretches"),
    ("trailer", "one by one", "quick cuts against a fixed camera"),
    ("trailer", "squirrel", "quick cuts against a picture almost still"),
    ("montage", "opening", "ten cuts in 21 s against a slow pan"),
    ("montage", "mirror", "ten cuts against three shots of a clean room"),
    ("montage", "one by one", "ten cuts against a fixed camera"),
    ("montage", "squirrel", "ten cuts against a picture almost still"),
    ("vertical", "one by one", "four cuts in 15 s against a fixed camera"),
    ("vertical", "squirrel", "four cuts against a picture almost still"),
    ("rooftop", "squirrel", "a moving phone that zooms against a picture almost still"),
    ("rooftop", "one by one", "a moving phone that zooms against a fixed camera"),
)
VALENCE = (
    ("trailer", "mirror", "comedy with bright cards against a dark clean room"),
    ("opening", "mirror", "a meadow in the sun against a dark clean room"),
    ("yawn", "mirror", "a rabbit under the sky against a dark clean room"),
    ("montage", "mirror", "flower, dog, toys against a dark clean room"),
    ("vertical", "mirror", "flower, dog, toys against a dark clean room"),
    ("squirrel", "mirror", "an animal eating against a dark clean room"),
)
CLEARLY = 0.05


def orders(name: str, found: dict[str, float], expected: tuple[tuple[str, str, str], ...]) -> int:
    met = 0
    for higher, lower, why in expected:
        difference = found[higher] - found[lower]
        met += difference >= CLEARLY
        verdict = "yes" if difference >= CLEARLY else "no"
        print(f"| {name} | {higher} | {lower} | {why} | {difference:+.2f} | {verdict} |")
    return met


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    root = os.environ.get("DIFFBGM_SHARED")
    shared = Path(root) if root else Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("--videos", type=Path, default=shared / "data" / "videos")
    given = parser.parse_args()
    valence, arousal = dict[str, float](), dict[str, float]()
    print("| clip | brightness | saturation | warmth | motion | cuts/s | valence | arousal | BPM | style |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for clip, file in CLIPS.items():
        analysis = analyze(given.videos / file)
        look = Film(analysis).look(0.0, analysis.duration_s)
        plan = spot(analysis, Wishes())
        length = [section.end_s - section.start_s for section in plan.sections]
        valence[clip] = float(np.average([section.valence for section in plan.sections], weights=length))
        arousal[clip] = float(np.average([section.arousal for section in plan.sections], weights=length))
        print(
            f"| {clip} | {look.brightness:.2f} | {look.saturation:.2f} | {look.warmth:+.2f} | "
            f"{look.motion:.2f} | {len(analysis.transitions) / analysis.duration_s:.2f} | "
            f"{valence[clip]:+.2f} | {arousal[clip]:+.2f} | {np.median(plan.tempo_map.bpm_of_bars()):.0f} | "
            f"{plan.style} |"
        )
    for name, found in (("valence", valence), ("arousal", arousal)):
        values = np.array(list(found.values()))
        print(
            f"\n{name}: {values.min():+.2f} to {values.max():+.2f}, quartiles "
            f"{' '.join(f'{each:+.2f}' for each in np.percentile(values, (25, 50, 75)))}"
        )
    print("\n| figure | higher | lower | why | difference | met |\n|---|---|---|---|---|---|")
    met = orders("arousal", arousal, AROUSAL) + orders("valence", valence, VALENCE)
    print(f"\n{met} of {len(AROUSAL) + len(VALENCE)} orders met")
    return 0


if __name__ == "__main__":
    sys.exit(main())
