"""Form over a whole piece: bars of the same theme are drawn together, so that themes return.

The network sees one window and forgets what came before it. What holds a longer piece together is that bars
at the same place of phrases with the same label are tied while they are drawn, not copied afterwards:

- They begin from noise that is alike: n = sqrt(r) n_first + sqrt(1 - r) n_own, of unit variance each.
- While the noise level is high, each one's clean estimate moves towards the mean of them all. The tie loosens
  as the noise falls and is gone before the details are settled; these the network fits to each scene's
  density, to what goes before and after, and to the end of the piece.

Tied are notes and chords, not velocities. The last bar of a phrase is tied to the last bars of the others
however long they are, and more loosely. How tight a tie is was chosen by how much songs repeat themselves
(docs/form.md). What is given (chords, a melody) leads: the others move towards it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.conditions import (
    DYNAMIC_INDEX,
    SEMANTIC_INDEX,
    UNKNOWN,
    Conditions,
    distance_code,
    melody_code,
)
from diffbgm.diffusion.modulation import moved
from diffbgm.diffusion.roll import TRACKS
from diffbgm.diffusion.sampler import Clamp, Denoiser
from diffbgm.diffusion.tokens import CHORD, F32, N_BITS
from diffbgm.timing import BEATS_PER_BAR


@dataclass(frozen=True)
class Tie:
    """How one part is tied: `noise` is r above; the pull on estimates grows from 0 at the level `loose` to 1
    at `tight`."""

    noise: float
    loose: float
    tight: float

    def pull(self, s: float) -> float:
        return min(1.0, max(0.0, (s - self.loose) / (self.tight - self.loose)))


# Melody, counter-melody and chord stand out of the noise earlier than the accompaniment (`tokens`); and songs
# repeat their melodies more exactly than what goes on below.
PARTS: Final = (Tie(0.98, 0.1, 0.3), Tie(0.98, 0.1, 0.3), Tie(0.95, 0.2, 0.5), Tie(0.98, 0.1, 0.3))
"""The three tracks and the chord."""

_TRACK = N_BITS // len(TRACKS)
ENTRIES: Final = (*(slice(k * _TRACK, (k + 1) * _TRACK) for k in range(len(TRACKS))), CHORD)
"""Where they lie in a token."""

LAST_BAR: Final = 0.5
"""How much of the tie is left in the last bar of a phrase, which leads on to what comes next."""

MELODY: Final = 0

_SINCE, _UNTIL = DYNAMIC_INDEX["since"], DYNAMIC_INDEX["until"]
_AT_EDGE: Final = int(distance_code(np.array(0)))


@dataclass(frozen=True)
class Ties:
    """Which beats of a piece are the same material, and how firmly.

    group: int64 (beats,), the number of the first beat of the same material, a beat's own if it is that.
    strength: float32 (beats, 4), 0..1 by part, 0 where nothing is tied.
    """

    group: NDArray[np.int64]
    strength: F32

    def __bool__(self) -> bool:
        return bool(self.strength.any())


def ties_of(conditions: Conditions, end: int | None = None, chords: Sequence[object] | None = None) -> Ties:
    """The ties of a piece, by the labels and the mode of its segments.

    Beats are tied at equal distance from the beginnings of their segments, those of last bars from the ends.
    Beats from `end` on are not tied, nor those for which different `chords`, one a beat, are asked, nor a
    melody where the conditions have none, nor segments that began before the conditions do. Conditions
    without labels (codes 0, features) tie nothing.
    """
    n_beats = len(conditions.dynamic)
    group = np.arange(n_beats)
    strength = np.zeros((n_beats, len(PARTS)), np.float32)
    if conditions.semantic.dtype != np.int64:
        return Ties(group, strength)
    first: dict[tuple[object, ...], int] = {}
    for row, column in zip(conditions.semantic, conditions.mask.T, strict=True):
        if row[SEMANTIC_INDEX["label"]] == UNKNOWN:
            continue
        material = (int(row[SEMANTIC_INDEX["label"]]), int(row[SEMANTIC_INDEX["mode"]]))
        beats = np.flatnonzero(column)
        begins = conditions.dynamic[beats[0], _SINCE] <= _AT_EDGE
        ends = conditions.dynamic[beats[-1], _UNTIL] <= _AT_EDGE
        for since, beat in enumerate(beats.tolist()):
            if not begins or (end is not None and beat >= end):
                break
            until = len(beats) - since
            last = bool(ends) and until <= BEATS_PER_BAR
            place = (*material, last, until if last else since, chords[beat] if chords else None)
            group[beat] = first.setdefault(place, beat)
            strength[beat] = LAST_BAR if last else 1.0
    strength[conditions.dynamic[:, DYNAMIC_INDEX["melody"]] == melody_code(0.0), MELODY] = 0.0
    strength[np.bincount(group, minlength=n_beats)[group] == 1] = 0.0
    return Ties(group, strength)


def alike(noise: F32, ties: Ties, offsets: NDArray[np.int64] | None = None) -> F32:
    """Noise of which tied beats share what `Tie.noise` says; unit variance stays. float32 (n_beats, 2148).

    What nothing is tied to, the first statement of each theme included, keeps its own noise. offsets: as for
    `tied`.
    """
    beats = np.flatnonzero(ties.strength.any(axis=1) & (ties.group != np.arange(len(ties.group))))
    own = _in_one_frame(noise, beats, offsets)
    theirs = _in_one_frame(noise, ties.group[beats], offsets)
    for part, (tie, entries) in enumerate(zip(PARTS, ENTRIES, strict=True)):
        shared = tie.noise * ties.strength[beats, part, None]
        own[:, entries] = np.sqrt(shared) * theirs[:, entries] + np.sqrt(1 - shared) * own[:, entries]
    out = noise.copy()
    _put_back(out, own, beats, offsets)
    return out


def tied(
    denoise: Denoiser, ties: Ties, offsets: NDArray[np.int64] | None = None, given: Clamp | None = None
) -> Denoiser:
    """The denoiser with the estimates of tied beats drawn together. Tokens: float32 (n_beats, 2148).

    offsets: as of `key_offsets`, if sections are in keys of their own: a theme returns in its section's key.
    given: where it holds some beats of a group, the others follow these alone.
    """
    beats = np.flatnonzero(ties.strength.any(axis=1))
    member = np.unique(ties.group[beats], return_inverse=True)[1]
    sums = np.zeros((member.max(initial=-1) + 1, len(beats)), np.float32)
    sums[member, np.arange(len(beats))] = 1
    leads = None if given is None else _in_one_frame(given.mask, beats, offsets)

    def see(z: F32, s: float) -> F32:
        estimate = denoise(z, s)
        if not any(tie.pull(s) for tie in PARTS):
            return estimate
        out = estimate.copy() if given is None else given.apply(estimate)
        each = _in_one_frame(out, beats, offsets)
        for part, (tie, entries) in enumerate(zip(PARTS, ENTRIES, strict=True)):
            strength = weight = ties.strength[beats, part, None]
            if leads is not None:
                led = (sums @ leads[:, entries].astype(np.float32) > 0)[member]
                weight = np.where(led, leads[:, entries], strength)
            mean = (sums @ (weight * each[:, entries]) / np.maximum(sums @ weight, 1e-6))[member]
            each[:, entries] += tie.pull(s) * strength * (mean - each[:, entries])
        _put_back(out, each, beats, offsets)
        return out

    return see if len(beats) else denoise


def _in_one_frame(
    tokens: NDArray[Any], beats: NDArray[np.int64], offsets: NDArray[np.int64] | None
) -> NDArray[Any]:
    """The tokens (or a mask of them) of some beats, each section's own tonic at the same place; a copy."""
    out = tokens[beats]
    if offsets is not None:
        for offset in np.unique(offsets[beats]).tolist():
            here = offsets[beats] == offset
            out[here] = moved(out[here], -offset)
    return out


def _put_back(out: F32, values: F32, beats: NDArray[np.int64], offsets: NDArray[np.int64] | None) -> None:
    """The reverse of `_in_one_frame`, in place."""
    out[beats] = values if offsets is None else _in_one_frame(values, np.arange(len(beats)), -offsets[beats])
