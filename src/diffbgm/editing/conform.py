"""The plan of an old cut's music turned into one for a new cut, and the notes that are taken over.

Where music survives, all that is planned for its bars stays: section, energy, density, chords, the given
melody. A few bars that lead over belong to the section beside them. More than that are a scene of its own,
planned from the new picture and the old wishes.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from string import ascii_uppercase
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.diffusion.roll import PianoRoll
from diffbgm.editing.alignment import Span
from diffbgm.editing.bars import NewBars
from diffbgm.spotting.cuesheet import Hit, MelodyNote, Plan, Wishes
from diffbgm.spotting.edits import BarChords, chords_by_bar, written
from diffbgm.spotting.hits import SAME_MOMENT_S
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BAR

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# So many bars to be composed belong to the scene beside them.
_LEADING_OVER: Final = 4
_LEAST_BARS: Final = 2
# A hit that comes this little before a bar is met by its downbeat.
_SAME_S: Final = 0.025


def carried(wishes: Wishes, spans: Sequence[Span]) -> Wishes:
    """The wishes for the new cut, but for its melody: those of a moment move with it or are gone with it."""

    def moved(time_s: float) -> float | None:
        return next((time_s + span.shift_s for span in spans if span.old_s <= time_s < span.old_end_s), None)

    hits = [each.model_copy(update={"time_s": moved(each.time_s)}) for each in wishes.hits]
    sections = []
    for wish in wishes.sections:
        start_s = None if wish.start_s is None else moved(wish.start_s)
        sections.append(wish.model_copy(update={"at_s": moved(wish.at_s), "start_s": start_s}))
    captions = []
    for caption in wishes.captions:
        for span in spans:
            start_s, end_s = max(caption.start_s, span.old_s), min(caption.end_s, span.old_end_s)
            if end_s > start_s:
                ends = {"start_s": start_s + span.shift_s, "end_s": end_s + span.shift_s}
                captions.append(caption.model_copy(update=ends))
    removed_s = [moved(each) for each in wishes.removed_hits_s]
    return wishes.model_copy(
        update={
            "hits": tuple(hit for hit in hits if hit.time_s is not None),
            "removed_hits_s": tuple(each for each in removed_s if each is not None),
            "sections": tuple(
                each
                for each in sections
                if each.at_s is not None and (each.start_s is None or each.start_s <= each.at_s)
            ),
            "captions": tuple(captions),
        }
    )


def carried_melody(notes: Sequence[MelodyNote], bars: NewBars) -> tuple[MelodyNote, ...]:
    """The notes of a given melody in the bars that survive, cut off where their bars end to go on."""
    out = []
    for note in notes:
        bar = int(note.beat // BEATS_PER_BAR)
        for new_bar in (k for k, was in enumerate(bars.was) if was == bar):
            end_bar = new_bar + 1
            while end_bar < len(bars.was) and bars.was[end_bar] == bars.was[end_bar - 1] + 1:
                end_bar += 1
            beat = note.beat + (new_bar - bar) * BEATS_PER_BAR
            beats = min(note.beats, end_bar * BEATS_PER_BAR - beat)
            out.append(note.model_copy(update={"beat": beat, "beats": beats}))
    return tuple(sorted(out, key=lambda note: (note.beat, note.pitch)))


def conformed(old: Plan, fresh: Plan, bars: NewBars) -> Plan:
    """The old plan on the new bars. fresh: what the new film alone asks of these bars."""
    owners = _owners(old, fresh, bars)
    chords = _chords(old, fresh, bars)
    energy, density = (
        _curve(np.array(getattr(old, name)), np.array(getattr(fresh, name)), bars)
        for name in ("energy", "density")
    )
    labels = _labels(old, fresh, bars)
    sections = []
    edges = [bar for bar in range(1, len(owners)) if owners[bar] != owners[bar - 1]]
    for start, end in itertools.pairwise([0, *edges, len(owners)]):
        from_old, index = owners[start]
        section = old.sections[index] if from_old else fresh.sections[index]
        changes: dict[str, object] = {
            "start_s": bars.starts_s[start],
            "end_s": bars.starts_s[end],
            "start_bar": start,
            "end_bar": end,
        }
        if not from_old:
            changes["label"] = labels[section.label]
        if chords is not None:
            changes["chords"] = written(chords[start:end])
        if not (from_old and list(bars.was[start:end]) == list(range(section.start_bar, section.end_bar))):
            changes["energy"] = round(float(energy[start * BEATS_PER_BAR : end * BEATS_PER_BAR].mean()), 3)
            bpm = 60.0 * BEATS_PER_BAR * (end - start) / (bars.starts_s[end] - bars.starts_s[start])
            changes["tempo_bpm"] = round(max(40.0, min(240.0, bpm)), 3)
        sections.append(section.model_copy(update=changes))
    changed = {
        "duration_s": fresh.duration_s,
        "fps": fresh.fps,
        "bar_starts_s": bars.starts_s,
        "sections": tuple(sections),
        "hits": _hits(old, fresh, bars),
        "energy": tuple(np.round(energy, 3).tolist()),
        "density": tuple(np.round(density, 3).tolist()),
        "chords": old.chords if chords is None else None,
        "melody": carried_melody(old.melody, bars),
        "speech_spans": fresh.speech_spans,
        "warnings": fresh.warnings,
        "solved_from": fresh.solved_from,
    }
    return Plan.model_validate(old.model_copy(update=changed).model_dump())


def _owners(old: Plan, fresh: Plan, bars: NewBars) -> list[tuple[bool, int]]:
    """Whose section each bar is of: (of the old plan, its index), or of the fresh one."""
    sections_of = [
        [index for index, each in enumerate(plan.sections) for _ in range(each.start_bar, each.end_bar)]
        for plan in (old, fresh)
    ]
    out = [(True, sections_of[0][was]) if was >= 0 else (False, -1) for was in bars.was]
    for start, end in composed_stretches(bars):
        before = out[start - 1] if start else None
        after = out[end] if end < len(out) else None
        own = _whole(sections_of[1][start:end])
        for bar in range(start, end):
            beside = after if before is None or (bars.with_next[bar] and after is not None) else before
            leads_over = end - start <= _LEADING_OVER and beside is not None
            out[bar] = beside if leads_over and beside is not None else (False, own[bar - start])
    return out


def composed_stretches(bars: NewBars) -> list[tuple[int, int]]:
    """(first, end) of each stretch of bars that are to be composed."""
    stretches = []
    for is_new, group in itertools.groupby(range(len(bars.was)), key=lambda bar: bars.was[bar] < 0):
        if is_new:
            members = list(group)
            stretches.append((members[0], members[-1] + 1))
    return stretches


def _whole(indices: list[int]) -> list[int]:
    """Sections that have less than two bars here are given to the one before, the first to the one after."""
    out: list[int] = []
    groups = [list(group) for _, group in itertools.groupby(indices)]
    for group in groups:
        alone = len(group) < _LEAST_BARS and bool(out)
        out += [out[-1]] * len(group) if alone else group
    if len(groups) > 1 and len(groups[0]) < _LEAST_BARS:
        out[0] = out[1]
    return out


def _labels(old: Plan, fresh: Plan, bars: NewBars) -> dict[str, str]:
    """What sections of the fresh plan are called: as old ones where most of what they share a name with was,
    else by a letter of their own.
    """
    names = [
        [each.label for each in plan.sections for _ in range(each.start_bar, each.end_bar)]
        for plan in (old, fresh)
    ]
    taken = {each.label for each in old.sections}
    free = (letter for letter in itertools.chain(ascii_uppercase, _numbered()) if letter not in taken)
    out: dict[str, str] = {}
    for label in dict.fromkeys(names[1]):
        shared = Counter(
            names[0][was] for was, name in zip(bars.was, names[1], strict=True) if was >= 0 and name == label
        )
        out[label] = shared.most_common(1)[0][0] if shared.total() >= _LEAST_BARS else next(free)
    return out


def _numbered() -> Iterator[str]:
    return (f"S{number}" for number in itertools.count(1))


def _chords(old: Plan, fresh: Plan, bars: NewBars) -> list[BarChords] | None:
    """What is asked of each bar's harmony, None where that is not to be written anew.

    Where chords were asked for, bars to be composed go on with those that followed, unless a section of the
    new film has its own.
    """
    in_place = list(bars.was) == list(range(len(old.bar_starts_s) - 1))
    asked = old.chords is not None or any(each.chords for each in (*old.sections, *fresh.sections))
    if in_place or not asked:
        return None
    before = [chords for section in old.sections for chords in chords_by_bar(old, section)]
    out: list[BarChords] = []
    at = -1
    for bar, was in enumerate(bars.was):
        at = was if was >= 0 else (at + 1) % len(before)
        own = next(each for each in fresh.sections if each.start_bar <= bar < each.end_bar)
        if was < 0 and own.chords:
            out.append(chords_by_bar(fresh, own)[bar - own.start_bar])
        else:
            out.append(before[at])
    return out


def _hits(old: Plan, fresh: Plan, bars: NewBars) -> tuple[Hit, ...]:
    """The old hits in bars that lie on their picture as they did, and those of the new film elsewhere."""
    out: list[Hit] = []
    for bar, was in enumerate(bars.was):
        start_s, end_s = bars.starts_s[bar : bar + 2]
        here = [hit for hit in fresh.hits if start_s - _SAME_S <= hit.time_s < end_s - _SAME_S]
        if not bars.tempo_kept[bar]:
            out += here
            continue
        shift_s, steps = start_s - old.bar_starts_s[was], (bar - was) * STEPS_PER_BAR
        before = [
            _moved(hit, shift_s, steps)
            for hit in old.hits
            if old.bar_starts_s[was] - _SAME_S <= hit.time_s < old.bar_starts_s[was + 1] - _SAME_S
        ]
        out += before
        out += [
            hit for hit in here if all(abs(hit.time_s - other.time_s) > SAME_MOMENT_S for other in before)
        ]
    return tuple(sorted(out, key=lambda hit: hit.time_s))


def _moved(hit: Hit, shift_s: float, steps: int) -> Hit:
    if not shift_s:
        return hit
    changes: dict[str, float] = {"time_s": round(hit.time_s + shift_s, 6)}
    if hit.landed_s is not None and hit.step is not None:
        changes |= {"landed_s": round(hit.landed_s + shift_s, 6), "step": hit.step + steps}
    return hit.model_copy(update=changes)


def _curve(old: FloatArray, fresh: FloatArray, bars: NewBars) -> FloatArray:
    """A curve by beats: old values where bars survive, a line over a few bars between, else fresh ones."""
    beats = _units(np.array(bars.was), BEATS_PER_BAR)
    out = np.where(beats >= 0, old[beats], fresh)
    for start, end in composed_stretches(bars):
        if end - start <= _LEADING_OVER and start > 0 and end < len(bars.was):
            first, last = start * BEATS_PER_BAR, end * BEATS_PER_BAR
            out[first:last] = np.interp(
                np.arange(first, last), (first - 1, last), (out[first - 1], out[last])
            )
    return out


def _units(source: IntArray, size: int) -> IntArray:
    """The old beats or steps, `size` to a bar, of new bars; -1 where there are none."""
    units: IntArray = (source[:, None] * size + np.arange(size)).ravel()
    return np.where(np.repeat(source, size) >= 0, units, -1)


def taken_over(roll: PianoRoll, bars: NewBars) -> PianoRoll:
    """The old notes on the new bars, bar for bar, bit for bit.

    In the bars to be composed that lead to a surviving one stands what led to it before, so that its notes
    that are held over the bar line have a beginning; what goes on from there is up to the composing.
    """
    source = np.array(bars.was)
    for bar in range(len(source) - 2, -1, -1):
        if source[bar] < 0 and source[bar + 1] > 0:
            source[bar] = source[bar + 1] - 1
    steps, beats = (_units(source, size) for size in (STEPS_PER_BAR, BEATS_PER_BAR))
    known, chorded = steps >= 0, beats >= 0
    # In the order in which rolls are kept: their file's bytes depend on it.
    return PianoRoll(
        np.ascontiguousarray(roll.bits[:, :, steps] & known[:, None]),
        np.ascontiguousarray(np.where(known, roll.velocity[:, steps], 0).astype(np.uint8)),
        np.ascontiguousarray(roll.chroma[beats] & chorded[:, None]),
        np.where(chorded, roll.bass[beats], -1).astype(np.int8),
    )
