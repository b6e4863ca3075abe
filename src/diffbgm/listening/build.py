"""Makes the folder that listeners get, and the key that they do not.

The folder needs no server: its `index.html` opens from disk. Clips have meaningless names and no metadata,
and nothing in the folder tells which of them come from one system; the order of the clips is drawn anew
for every listener. Only the key says what is what.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np

from diffbgm.errors import OutputError
from diffbgm.listening.media import copy_bare, loudness_of, suffix_for, write_beeps
from diffbgm.listening.records import Choice, Clip, Key
from diffbgm.listening.spec import Spec, find_clips

PAGE: Final = Path(__file__).resolve().parent / "page"
_CHOICES: Final[tuple[Choice, ...]] = ("first", "second")
_QUIETEST_DB: Final = -30.0


@dataclass(frozen=True)
class Built:
    """folder: give this to listeners, whole. key: keep this. n_trials: clips or pairs to judge in all."""

    folder: Path
    key: Path
    n_trials: int


def build(spec: Spec, folder: Path, *, key: Path | None = None, force: bool = False) -> Built:
    """Write the listening test into `folder` and its key to `key` (default: `<folder>.key.json` beside it).

    Raises InputError for clips that are missing or cannot be played, OutputError if something stands where
    the test should go (and `force` is not given) or the key would lie inside the folder.
    """
    clips = find_clips(spec)
    key = key or folder.with_name(f"{folder.name}.key.json")
    _check_places(folder, key, force)
    secret = secrets.token_hex(16) if spec.seed is None else f"seed {spec.seed}"
    rng = np.random.default_rng(int.from_bytes(_digest(secret, "rng"), "big"))
    files = {
        _name(secret, system, video): (file, Clip(system=system, video=video, level_db=level))
        for video, by_system in clips.items()
        for system, file, level in _levelled(by_system, spec.match_loudness)
    }
    suffixes = {name: suffix_for(file) for name, (file, _) in files.items()}
    trials = _trials(secret, spec, {name: clip for name, (_, clip) in files.items()}, rng)
    # The order in which things stand in the page must not give systems away: names are in no order.
    secrets_of = Key(
        test=_name(secret, "test", spec.title),
        title=spec.title,
        kind=spec.kind,
        points=spec.points,
        must_hear=spec.must_hear,
        questions=spec.asked,
        systems=tuple(spec.systems),
        clips={name: clip for name, (_, clip) in sorted(files.items())},
        trials=dict(sorted(trials.items())),
        checks={
            _name(secret, "check", str(number)): (
                int(rng.integers(1, spec.points + 1)) if spec.kind == "mos" else _CHOICES[rng.integers(2)]
            )
            for number in range(spec.checks)
        },
        beeps=int(rng.integers(3, 7)),
    )
    beeps = f"{_name(secret, 'beeps', '')}.wav"
    temporary = Path(tempfile.mkdtemp(prefix=".diffbgm-", dir=folder.parent))
    try:
        (temporary / "media").mkdir()
        for name, (file, _) in files.items():
            copy_bare(file, temporary / "media" / f"{name}{suffixes[name]}")
        write_beeps(temporary / "media" / beeps, secrets_of.beeps)
        for asset in ("index.html", "style.css", "order.js", "test.js"):
            shutil.copyfile(PAGE / asset, temporary / asset)
        data = json.dumps(_page_data(spec, secrets_of, suffixes, beeps), ensure_ascii=True, indent=1)
        (temporary / "data.js").write_text(f"window.LISTENING_TEST = {data};\n", encoding="utf-8")
        temporary.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.replace(folder)
    except OSError as error:
        raise OutputError(f"{folder}: the listening test cannot be written ({error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    key.write_text(secrets_of.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return Built(folder, key, len(trials))


def _check_places(folder: Path, key: Path, force: bool) -> None:
    if folder.resolve() in key.resolve().parents:
        raise OutputError(
            f"{key}: the key must not lie in the folder that listeners get; choose another place"
        )
    for place in (folder, key):
        if not place.parent.is_dir():
            raise OutputError(f"{place}: there is no folder {place.parent}; create it first")
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; choose another name with -o")
    filled = folder.is_dir() and any(folder.iterdir())
    ours = filled and (folder / "data.js").exists() and (folder / "index.html").exists()
    if filled and not (force and ours):
        remedy = "use --force to replace it" if ours else "and is no listening test; choose another name"
        raise OutputError(f"{folder}: is not empty, {remedy}")
    if key.exists() and not force:
        raise OutputError(f"{key}: exists already; use --force to overwrite it")


def _levelled(by_system: dict[str, Path], match: bool) -> list[tuple[str, Path, float]]:
    """System, file and playback level in dB (0 for the softest); levels are 0 where they are not matched."""
    if not match or len(by_system) < 2:
        return [(system, file, 0.0) for system, file in by_system.items()]
    loudness = {system: loudness_of(file) for system, file in by_system.items()}
    softest = min(loudness.values())
    return [
        (system, file, round(max(softest - loudness[system], _QUIETEST_DB), 2))
        for system, file in by_system.items()
    ]


def _trials(
    secret: str, spec: Spec, clips: dict[str, Clip], rng: np.random.Generator
) -> dict[str, tuple[str, ...]]:
    """The clips of every trial. Which of a pair comes first is drawn here and again for each listener."""
    if spec.kind == "mos":
        return {_name(secret, "trial", name): (name,) for name in clips}
    out: dict[str, tuple[str, ...]] = {}
    for video in sorted({clip.video for clip in clips.values()}):
        names = sorted(name for name, clip in clips.items() if clip.video == video)
        for pair in combinations(names, 2):
            first, second = pair if rng.integers(2) else pair[::-1]
            out[_name(secret, "trial", first + second)] = (first, second)
    return out


def _page_data(spec: Spec, key: Key, suffixes: dict[str, str], beeps: str) -> dict[str, Any]:
    """What the page gets to know: no system, no name of a video, only which clips show the same one."""
    group = {name: _digest(key.test, clip.video).hex()[:8] for name, clip in key.clips.items()}
    return {
        "test": key.test,
        "title": spec.title,
        "introduction": spec.introduction,
        "send_to": spec.send_to,
        "kind": spec.kind,
        "points": spec.points,
        "must_hear": spec.must_hear,
        "clips_per_listener": spec.clips_per_listener,
        "questions": [question.model_dump() for question in spec.asked],
        "beeps": f"media/{beeps}",
        "checks": [{"trial": name, "choose": answer} for name, answer in key.checks.items()],
        "trials": [
            {
                "trial": trial,
                "group": group[names[0]],
                "clips": [
                    {
                        "src": f"media/{name}{suffixes[name]}",
                        "volume": round(10 ** (key.clips[name].level_db / 20), 4),
                    }
                    for name in names
                ],
            }
            for trial, names in key.trials.items()
        ],
    }


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()


def _name(secret: str, *parts: str) -> str:
    """A name that tells nothing without the secret."""
    return _digest(secret, *parts).hex()[:16]
