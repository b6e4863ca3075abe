"""A film composed with the shipped weights, as a user does it: in a fresh process, without torch."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from diffbgm.diffusion.roll import ONSET, PianoRoll
from diffbgm.score.harmony import Key
from diffbgm.score.midi import read_midi

COMPOSE = """
import json, sys, diffbgm
result = diffbgm.compose(sys.argv[1], seed=3, report=False, output=sys.argv[2])
heavy = sorted({name.split('.')[0] for name in sys.modules} & {"torch", "tensorboard", "scipy", "pygame"})
print(json.dumps([result.to_json(), heavy]))
"""


def test_the_shipped_weights_compose_without_torch_and_repeat_themselves(film: Path) -> None:
    first, heavy = compose(film, "a.mp4")
    again, _ = compose(film, "b.mp4")
    assert heavy == []
    assert first["weights"] == again["weights"] != "stand-in-0-00000000"
    for kind in ("midi", "roll"):
        assert digest(first["outputs"][kind]) == digest(again["outputs"][kind])

    roll = PianoRoll.load(Path(first["outputs"]["roll"]))
    assert roll.n_beats == 4 * first["bars"]
    assert roll.bits[:, ONSET].any(), "the model wrote no note"
    notes = [n for p in read_midi(Path(first["outputs"]["midi"])).parts if not p.is_drums for n in p.notes]
    scale = Key.parse(first["key"]).scale
    lengths = np.array([note.end_s - note.start_s for note in notes])
    inside = np.array([note.pitch % 12 in scale for note in notes])
    assert (lengths * inside).sum() / lengths.sum() > 0.85
    assert max(note.end_s for note in notes) <= first["duration_s"] + 1e-3


def compose(film: Path, name: str) -> tuple[dict, list[str]]:
    run = subprocess.run(
        [sys.executable, "-c", COMPOSE, str(film), str(film.with_name(name))],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    result, heavy = json.loads(run.stdout)
    return result, heavy


def digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
