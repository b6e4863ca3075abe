"""Which stretches of an old cut of a film are found again in a new one, and where.

The old cut is known by a fingerprint of the frame to be seen at every 1/hz seconds. The new cut is looked at
the same moments; a cheapest path (dynamic programming) says for each of them which moment of the old cut it
shows, or that it is new: going on in the old cut costs what the pictures differ, leaving it costs extra.
Stretches may have been cut, trimmed, moved or repeated. Each is then laid on the new cut to the frame, by the
fingerprints of every frame of it and by the cuts that both have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from diffbgm.spotting.provenance import Picture, moments
from diffbgm.video.analysis import Analysis

FloatArray = NDArray[np.float64]
Bits = NDArray[np.uint8]

# Differing bits of 128, of frames a fifth of a second apart: of one shot 0-20, of others 45-75.
_NEW: Final = 30.0
_JUMP: Final = 60.0
_SHORTEST_S: Final = 1.0
# A stretch that is other for so long, as under a title, with all around it where it was, is no other stretch.
_COVERED_S: Final = 2.0
_REACH_S: Final = 0.3
# Where around each moment frames of the new cut are looked at, in moments.
_PHASES: Final = (-1 / 3, 0.0, 1 / 3)
_UNSURE: Final = 2  # moments at either end of a run
# Mean bits by which a place may be worse than the best one, if more cuts meet there.
_AS_GOOD: Final = 1.0
# Two frames that come up at the same time, in frames.
_SAME_FRAME: Final = 0.75
_SAME_RATE: Final = 1e-3


@dataclass(frozen=True)
class Span:
    """What begins at `old_s` in the old cut and lasts `length_s` begins at `new_s` in the new one."""

    old_s: float
    new_s: float
    length_s: float

    @property
    def shift_s(self) -> float:
        return self.new_s - self.old_s

    @property
    def old_end_s(self) -> float:
        return self.old_s + self.length_s

    @property
    def new_end_s(self) -> float:
        return self.new_s + self.length_s


def surviving(old: Picture, new: Analysis) -> tuple[Span, ...]:
    """The stretches of the old cut that are in the new one, in the order of the new one, not overlapping.

    Neighbours differ in their shift by more than half a frame, or lie apart in both cuts. A stretch of the
    old cut may be there twice. What is shown for less than a second is not found on its own.
    """
    near_s = np.array(_PHASES) / old.hz
    looked = np.stack(
        [_signs(new.fingerprints.on_screen(moments(new.duration_s, old.hz) + off_s)) for off_s in near_s],
        axis=1,
    )
    runs = _runs(_path(_signs(old.bits), looked))
    kept: list[tuple[_Run, _Place]] = []
    for run in runs:
        place = _place(old, new, run)
        if kept and (both := _one_run(old, new, *kept[-1], run, place)) is not None:
            kept[-1] = both
        else:
            kept.append((run, place))
    return _joined(
        [_laid(old, new, *each) for each in kept if each[0].length / old.hz >= _SHORTEST_S - 1e-6],
        1 / new.fps,
    )


class _Run(NamedTuple):
    """`length` moments, from moment `from_old` of the old cut on, seen from moment `at` of the new one on."""

    from_old: int
    at: int
    length: int


class _Place(NamedTuple):
    """By how much a run lies later in the new cut, and the mean bits by which the pictures then differ."""

    shift_s: float
    differing: float


def _runs(shown: NDArray[np.int64]) -> list[_Run]:
    """The stretches of the new cut that go on in the old one moment by moment."""
    breaks = np.flatnonzero(np.diff(shown) != np.where(shown[:-1] >= 0, 1, 0)) + 1
    parts = np.split(np.arange(len(shown)), breaks)
    return [_Run(int(shown[part[0]]), int(part[0]), len(part)) for part in parts if shown[part[0]] >= 0]


def _one_run(
    old: Picture, new: Analysis, before: _Run, place: _Place, after: _Run, its_place: _Place
) -> tuple[_Run, _Place] | None:
    """Two runs as one, where the path only slipped by a moment: where both agree with one shift as well."""
    length = after.at - before.at + after.length
    slip = (after.from_old - after.at) - (before.from_old - before.at)
    if before.at + before.length != after.at or abs(slip) > 1:
        return None
    whole = _Run(before.from_old, before.at, min(length, len(old.bits) - before.from_old))
    common = _place(old, new, whole)
    apart = (before.length * place.differing + after.length * its_place.differing) / length
    return (whole, common) if common.differing <= apart + _AS_GOOD else None


def _signs(bits: Bits) -> NDArray[np.float32]:
    """The bits as -1 and 1, whose products count how many agree: float32 (moments, 128)."""
    signs: NDArray[np.float32] = 2.0 * np.unpackbits(bits, axis=1).astype(np.float32) - 1.0
    return signs


def _path(old: NDArray[np.float32], new: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each moment of the new cut the one of the old cut that it shows, or -1. Cheapest in all.

    old: (moments, 128). new: (moments, phases, 128), the frames around each moment, of which the best counts:
    moments of both hardly ever fall on the same frames. Work grows with the product of both lengths; an hour
    against an hour takes 40 MB.
    """
    cost = np.full(len(old), np.inf)
    new_cost = 0.0
    # Of each moment: which places of the old cut went on from the place before, and where the others, and
    # what is new, came from.
    went_on: list[Bits] = []
    source: list[int] = []
    for each in new:
        best = int(np.argmin(cost))
        left = float(cost[best]) + _JUMP / 2
        source.append(best if left < new_cost else -1)
        begun = min(left, new_cost)
        on = np.concatenate(([np.inf], cost[:-1]))
        goes = on <= begun + _JUMP / 2
        went_on.append(np.packbits(goes))
        cost = np.where(goes, on, begun + _JUMP / 2) + (old.shape[1] - (old @ each.T).max(axis=1)) / 2
        new_cost = begun + _NEW
    place = int(np.argmin(cost)) if cost.min() < new_cost else -1
    out = np.empty(len(new), np.int64)
    for k in range(len(new) - 1, -1, -1):
        out[k] = place
        on_before = place >= 0 and went_on[k][place >> 3] >> (7 - (place & 7)) & 1
        place = place - 1 if on_before else source[k]
    return out


def _laid(old: Picture, new: Analysis, run: _Run, place: _Place) -> Span:
    """The span of a run: up to a cut or an end of the film where there is one within a moment."""
    shift_s = place.shift_s
    frame_s, step_s = 1 / new.fps, 1 / old.hz
    edges = np.array(
        [
            *(each.time_s for each in new.transitions),
            *(cut_s + shift_s for cut_s in (0.0, *old.cuts_s, old.duration_s)),
            0.0,
            new.duration_s,
        ]
    )
    low, high = max(0.0, shift_s), min(new.duration_s, old.duration_s + shift_s)
    ends = []
    for inside_s, outside_s in ((run.at * step_s, -step_s), ((run.at + run.length - 1) * step_s, step_s)):
        near = edges[(edges - inside_s) * np.sign(outside_s) >= -frame_s]
        near = near[np.abs(near - inside_s) <= step_s + frame_s]
        end_s = near[np.argmin(np.abs(near - inside_s - outside_s / 2))] if len(near) else inside_s
        ends.append(float(np.clip(end_s, low, high)))
    return Span(ends[0] - shift_s, ends[0], ends[1] - ends[0])


def _place(old: Picture, new: Analysis, run: _Run) -> _Place:
    """Where a run lies, by whole frames of the new cut; if it has another frame rate, by its cuts.

    Of the places at which the pictures agree as well as anywhere, the one at which most cuts meet. The
    outermost moments may belong to the neighbours and do not count.
    """
    frame_s, about_s = 1 / new.fps, (run.at - run.from_old) / old.hz
    frames = np.arange(np.ceil((about_s - _REACH_S) / frame_s), np.floor((about_s + _REACH_S) / frame_s) + 1)
    less = _UNSURE if run.length > 4 * _UNSURE else 0
    inner = slice(run.from_old + less, run.from_old + run.length - less)
    signs, times_s = _signs(old.bits[inner]), old.times_s[inner]
    cuts_s = np.array([each.time_s for each in new.transitions])
    first_s, last_s = run.from_old / old.hz - _REACH_S, (run.from_old + run.length - 1) / old.hz + _REACH_S
    own_s = np.array([cut_s for cut_s in old.cuts_s if first_s < cut_s < last_s])
    differing, meeting = [], []
    for shift_s in frames * frame_s:
        shown = _signs(new.fingerprints.on_screen(times_s + shift_s))
        bits = (signs.shape[1] - (signs * shown).sum(axis=1)) / 2
        differing.append(float(np.minimum(bits, _NEW).mean()))
        meeting.append(len(_met(own_s + shift_s, cuts_s, frame_s)))
    as_good = np.array(differing) <= min(differing) + _AS_GOOD
    best = np.lexsort(
        (np.abs(frames * frame_s - about_s), np.array(differing), -np.array(meeting), ~as_good)
    )[0]
    shift_s = float(frames[best] * frame_s)
    if abs(old.fps * frame_s - 1) > _SAME_RATE and meeting[best]:
        shift_s += float(np.median(_met(own_s + shift_s, cuts_s, frame_s)))
    return _Place(shift_s, differing[best])


def _met(times_s: FloatArray, cuts_s: FloatArray, frame_s: float) -> FloatArray:
    """How much later the cuts come than those of the times that they meet within a frame."""
    if not len(times_s) or not len(cuts_s):
        return np.zeros(0)
    off_s = cuts_s - times_s[:, None]
    nearest = np.take_along_axis(off_s, np.abs(off_s).argmin(axis=1)[:, None], axis=1)[:, 0]
    met: FloatArray = nearest[np.abs(nearest) <= _SAME_FRAME * frame_s]
    return met


def _joined(spans: Sequence[Span], frame_s: float) -> tuple[Span, ...]:
    """Spans that only something short parts made one, and overlaps cut off."""
    out: list[Span] = []
    for span in spans:
        if out:
            last = out[-1]
            alike = abs(span.shift_s - last.shift_s) <= frame_s / 2
            if alike and span.new_s - last.new_end_s <= _COVERED_S:
                out[-1] = Span(last.old_s, last.new_s, span.new_end_s - last.new_s)
                continue
            late_s = max(0.0, last.new_end_s - span.new_s)
            span = Span(span.old_s + late_s, span.new_s + late_s, span.length_s - late_s)
        if span.length_s >= _SHORTEST_S / 2:
            out.append(span)
    return tuple(out)
