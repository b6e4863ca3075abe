"""Made-up songs and small recipes for the tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diffbgm.data.pop909 import Phrase, Song

if TYPE_CHECKING:  # recipes need torch, songs do not
    from diffbgm.train.recipe import Recipe

TRANSFORMER = {"width": 32, "depth": 2, "heads": 2, "bottleneck": 24}
UNET = {"channels": 32, "mult": [1, 1, 1], "levels": [2], "nres": 1, "d_cond": 512, "heads": 2}
TRAINING = {
    "steps": 1000, "batch": 4, "warmup_steps": 5, "threads": 1, "learning_rate": 3e-3, "precision": "fp32",
    "validation_windows": 4,
}  # fmt: skip


def scale_song(seed: int, beats: int = 96, song_id: str = "000") -> Song:
    """A made-up song in C major: a run of scale notes over held triads."""
    rng = np.random.default_rng(seed)
    bits = np.zeros((beats, 3, 2, 4, 88), bool)
    for beat in range(beats):
        bits[beat, 0, 0, 0, [39, 41, 43, 44, 46][rng.integers(5)]] = True
        bits[beat, 2, 0, 0, [27, 31, 34]] = True
        bits[beat, 2, 1, 1:, [27, 31, 34]] = True
    chroma = np.zeros((beats, 12), bool)
    chroma[:, [0, 4, 7]] = True
    return Song(
        song_id=song_id, bits=np.packbits(bits.reshape(beats, -1), axis=1),
        velocity=np.where(bits[:, :, 0].any(axis=-1), 80, 0).astype(np.uint8), chroma=chroma,
        bass=np.zeros(beats, np.int8), third=np.ones(beats, np.int8), tonic=np.zeros(beats, np.int8),
        minor=np.zeros(beats, bool), bpm=np.full(beats, 100, np.float32),
        phrases=(Phrase(0, 32, "A"), Phrase(32, 64, "B"), Phrase(64, 96, "A")),
    )  # fmt: skip


def recipe(network: dict[str, Any] | None = None, **training: Any) -> Recipe:
    """A small beat transformer on songs alone."""
    from diffbgm.train.recipe import Recipe

    return Recipe.build({"network": TRANSFORMER | (network or {}), "training": TRAINING | training})


def paired_recipe(architecture: str, behaviour: str = "repaired", **training: Any) -> Recipe:
    """A small network of either kind on paired data."""
    from diffbgm.train.recipe import Recipe

    values: dict[str, Any] = {"architecture": architecture, "training": TRAINING | training}
    if architecture == "unet":
        published = behaviour == "published"
        values["network"] = UNET | {"behaviour": behaviour}
        values["data"] = {"set": "bgm909", "transpose": "random", "roll_features": published}
        values["data"] |= {"drop_conditions": not published}
    else:
        values["network"] = TRANSFORMER | {"features": True}
        values["data"] = {"set": "bgm909"}
    return Recipe.build(values)


def as_toml(one: Recipe, path: Path) -> Path:
    """Write a recipe as a file."""
    lines = [f'architecture = "{one.architecture}"']
    for name, section in one.to_json().items():
        if isinstance(section, dict):
            lines.append(f"[{name}]")
            lines += [f"{key} = {_value(value)}" for key, value in section.items() if value is not None]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + "}"
    return repr(value).replace("'", '"')
