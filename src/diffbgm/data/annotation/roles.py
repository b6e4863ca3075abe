"""Which track of a MIDI file is the melody, which a counter-melody, which accompanies.

A track's name decides where it says so. Otherwise six measures of its notes, taken against the whole piece,
go into a multinomial logistic model fitted on annotated songs: the likeliest track is the melody (exactly
one), each other one counter-melody or accompaniment, whichever is likelier. A file with all its notes in one
track is split by note: the highest line is the melody, the rest accompanies.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from diffbgm.data.annotation.model import table
from diffbgm.data.annotation.music import Role
from diffbgm.diffusion.roll import TRACKS
from diffbgm.timing import FloatArray

IntArray = NDArray[np.int64]

_NAMES: Final[dict[Role, str]] = {
    "melody": r"melod|vocal|voice|vox|sing|lead\b|solo|theme|主旋律|人声",
    "counter": r"counter|bridge|obbligato|backing voc|harmony voc|fill|副旋律",
    "accompaniment": r"accomp|piano|bass|drum|perc|chord|pad\b|string|guitar|rhythm|arp|left hand|伴奏",
}
"""Words in track names, looked for in the order counter, melody, accompaniment."""
_TOGETHER_S: Final = 0.03
_NEIGHBOURS: Final = 24  # notes before and after among which those sounding together are sought


@dataclass(frozen=True)
class Part:
    """One track in the order of its notes' starts. start_s, end_s: float64; pitch: int64, MIDI."""

    name: str
    is_drum: bool
    start_s: FloatArray
    end_s: FloatArray
    pitch: IntArray


def assign_roles(parts: Sequence[Part]) -> tuple[Role, ...]:
    """The role of each track; percussion and tracks without notes accompany.

    At least one track with pitched notes is the melody if there are two or more and no name claims it.
    """
    roles: list[Role | None] = [_named(part) for part in parts]
    open_tracks = [k for k, role in enumerate(roles) if role is None]
    if not open_tracks:
        return cast("tuple[Role, ...]", tuple(roles))
    scores = role_features(parts)[open_tracks] @ table("roles", "weights").T + table("roles", "bias")
    if "melody" not in roles:
        lead = int((scores[:, 0] - np.logaddexp(scores[:, 1], scores[:, 2])).argmax())
        roles[open_tracks[lead]] = "melody"
    for row, track in enumerate(open_tracks):
        if roles[track] is None:
            roles[track] = "counter" if scores[row, 1] > scores[row, 2] else "accompaniment"
    return cast("tuple[Role, ...]", tuple(roles))


def role_features(parts: Sequence[Part]) -> FloatArray:
    """Six measures of each track, float64 (tracks, 6); zeros for percussion and tracks without notes.

    Mean pitch in octaves from middle C; share of its notes above everything else that sounds; share struck
    while another of its notes sounds; share of the piece's seconds in which it strikes a note; logarithm of
    its share of all notes; mean step between its successive notes in octaves.
    """
    out = np.zeros((len(parts), 6))
    pitched = [k for k, part in enumerate(parts) if len(part.pitch) and not part.is_drum]
    if not pitched:
        return out
    start = np.concatenate([parts[k].start_s for k in pitched])
    end = np.concatenate([parts[k].end_s for k in pitched])
    pitch = np.concatenate([parts[k].pitch for k in pitched])
    owner = np.repeat(pitched, [len(parts[k].pitch) for k in pitched])
    above = highest(start, end, pitch)
    seconds = np.floor(start).astype(int)
    n_seconds = len(np.unique(seconds))
    for k in pitched:
        own, part = owner == k, parts[k]
        running_end = np.maximum.accumulate(part.end_s)
        overlapping = part.start_s[1:] + _TOGETHER_S < running_end[:-1]
        out[k] = (
            (part.pitch.mean() - 60) / 12,
            above[own].mean(),
            overlapping.mean() if len(overlapping) else 0.0,
            len(np.unique(seconds[own])) / n_seconds,
            np.log(own.mean()),
            np.abs(np.diff(part.pitch)).mean() / 12 if len(part.pitch) > 1 else 0.0,
        )
    return out


def highest(start_s: FloatArray, end_s: FloatArray, pitch: IntArray) -> NDArray[np.bool_]:
    """Which notes have nothing above them that starts within 30 ms of them or still sounds 30 ms after."""
    order = np.argsort(start_s, kind="stable")
    start, end, key = start_s[order], end_s[order], pitch[order]
    covered = np.zeros(len(key), bool)
    for lag in range(1, min(_NEIGHBOURS, len(key))):
        earlier, later = slice(None, -lag), slice(lag, None)
        together = start[later] - start[earlier] <= _TOGETHER_S
        sounding = end[earlier] > start[later] + _TOGETHER_S
        covered[later] |= (key[earlier] > key[later]) & (sounding | together)
        covered[earlier] |= (key[later] > key[earlier]) & together
    out = np.empty(len(key), bool)
    out[order] = ~covered
    return out


def split_melody(start_s: FloatArray, end_s: FloatArray, pitch: IntArray) -> IntArray:
    """Voices of the notes of a merged track: 0 for the highest line, 2 for the rest; int64, one a note.

    The skyline of Uitdenbogerd and Zobel, "Manipulation of music for melody matching", ACM Multimedia 1998.
    """
    above = highest(start_s, end_s, pitch)
    return np.where(above, TRACKS.index("melody"), TRACKS.index("accompaniment"))


def _named(part: Part) -> Role | None:
    if part.is_drum or not len(part.pitch):
        return "accompaniment"
    name = part.name.lower()
    return next(
        (role for role in ("counter", "melody", "accompaniment") if re.search(_NAMES[role], name)), None
    )
