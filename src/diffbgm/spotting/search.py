"""Bars for a film, so that the moments to meet fall on the beat grid.

Forward dynamic programming over bar starts. A state is the exact second at which a bar begins, the tempo
of the bar before it, the tempo its section began with and the section border it waits for. The next bar
may be up to 2 % faster or slower, or begin a new section with a tempo of its own. Start times stay exact;
of the states that begin within the same few milliseconds only the best are kept, so that states are only
ever compared with others that have passed the same hits. Work grows with the film's length; of states long
past only those on a way still open are kept, so memory hardly does.

The film's end is the end of the last bar, which obeys the same rules as every other. Only where no such
ending exists (a film of a few seconds with a narrow tempo wish) is its tempo free: a fermata.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from diffbgm.spotting.tempo import (
    BAR_LEVELS,
    BAR_TO_BAR,
    LEAP,
    LEVEL_STEP,
    MIN_SECTION_BARS,
    SECTION_LEVELS,
    Bars,
    FloatArray,
    IntArray,
    Levels,
    Task,
)
from diffbgm.timing import STEPS_PER_BAR

# Value of a kept hit by its step in the bar: downbeat, beat, eighth, sixteenth.
STEP_VALUE: FloatArray = np.array([1.0] + [(0.8, 0.45, 0.6, 0.45)[step % 4] for step in range(1, 16)])

# What things cost, in hits of full weight on a downbeat.
_CHANGES = np.array([-BAR_LEVELS, -1, 0, 1, BAR_LEVELS])  # tempo levels tried from bar to bar
_BEND_COST = 0.004  # per level between one bar and the next
_JUMP_COST = 2.0  # per unit of log tempo between sections that nobody asked for
_LEAP_COST = 40.0  # the same for what goes beyond `LEAP`
# By the bars of a section: two are the least there may be, phrases of 4 and 8 are preferred.
_PHRASE_COST = np.array([0.0, 9.0, 0.3, 0.5, 0.05, 0.35, 0.1, 0.35, 0.0, 0.35, 0.1, 0.35])
_OFF_BORDER_COST = 0.5
_FERMATA_COST = 60.0
_LONE_BAR_COST = 20.0
_SHORT_SECTION_COST = 30.0
_END_RANGE_S = (1.9, 3.1)  # length of the final chord
_END_COST = 0.3  # per second outside of it
_SHORTEST_END_S = 1.2
_STRUCK_AGAIN_COST = 2.0  # per hit within the final chord, which should ring

_JUMP_LEVELS = np.arange(-36, 37)  # tempi tried for a new section: 18 % either way of what is expected
_BUCKET_S = 0.004
_STATES_PER_BUCKET = 20
# A state this far behind another of its bucket, as a share of the most valuable hit, is not followed.
_HOPELESS = 0.6
_FORGET_SLABS = 32


@dataclass
class _States:
    """Places where a bar may begin, one array entry each.

    level: tempo of the bar before. reference: tempo its section began with. border: index of the last
    border passed. own: index of the border the section answers to. count: bars of the section so far.
    parent: number of the state before. opened: whether the bar before began the section.
    """

    start_s: FloatArray
    level: IntArray
    reference: IntArray
    border: IntArray
    own: IntArray
    count: IntArray
    score: FloatArray
    parent: IntArray
    opened: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.start_s)

    def take(self, index: IntArray | NDArray[np.bool_]) -> _States:
        return _States(*(getattr(self, each.name)[index] for each in fields(self)))

    @staticmethod
    def join(parts: list[_States]) -> _States:
        return _States(
            *(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(_States))
        )


@dataclass
class _History:
    """Enough of the states to walk the best way back; one list entry a slab.

    number: of each state, ascending. parent: number of the state before. opened: the border its last bar
    opened a section for, or -1.
    """

    start_s: list[FloatArray] = field(default_factory=list)
    number: list[IntArray] = field(default_factory=list)
    parent: list[IntArray] = field(default_factory=list)
    opened: list[IntArray] = field(default_factory=list)
    count: int = 0

    def add(self, states: _States) -> IntArray:
        """Remember the states; returns their numbers."""
        numbers = np.arange(self.count, self.count + len(states), dtype=np.int64)
        self.start_s.append(states.start_s)
        self.number.append(numbers)
        self.parent.append(states.parent)
        self.opened.append(np.where(states.opened, states.own, -1))
        self.count += len(states)
        return numbers

    def forget_all_but(self, alive: IntArray, slabs: int) -> None:
        """Of the last slabs keep only states that lead to one of the numbers in `alive`."""
        for slab in range(len(self.number) - 1, max(len(self.number) - 1 - slabs, -1), -1):
            kept = np.isin(self.number[slab], alive, kind="sort")
            alive = np.union1d(alive, self.parent[slab][kept])
            self.start_s[slab] = self.start_s[slab][kept]
            for column in (self.number, self.parent, self.opened):
                column[slab] = column[slab][kept]

    def way_to(self, number: int) -> list[tuple[float, int]]:
        """(start, border opened by the bar before) of each state from the film's start to this one."""
        way: list[tuple[float, int]] = []
        for slab in range(len(self.number) - 1, -1, -1):
            at = int(np.searchsorted(self.number[slab], number))
            if at < len(self.number[slab]) and self.number[slab][at] == number:
                way.append((float(self.start_s[slab][at]), int(self.opened[slab][at])))
                number = int(self.parent[slab][at])
        return way[::-1]


@dataclass
class _End:
    """The best ending found so far."""

    score: float = -math.inf
    state: int = 0
    fermata: bool = False


class _Search:
    def __init__(self, task: Task) -> None:
        self.task = task
        self.levels = Levels.of(task)
        self.history = _History()
        self.end = _End()
        # No bar ends in the slab it begins in, so all states of a slab can be extended at once.
        self.slab_s = float(self.levels.bar_s.min()) * 0.999
        self.latest_s = task.duration_s - min(_SHORTEST_END_S, float(self.levels.bar_s.min()))
        self.border_s = np.array([border.time_s for border in task.borders] + [math.inf])
        self.window_s = np.array([border.window_s for border in task.borders] + [0.0]) + task.tolerance_s
        self.hopeless = _HOPELESS * float(task.hit_value.max(initial=2.0))
        # missed[b] - missed[a]: price of passing the borders after a, up to and including b.
        self.missed = np.cumsum([border.missed_cost for border in task.borders])

    def run(self) -> Bars:
        root = _States(
            start_s=np.zeros(1),
            level=np.zeros(1, np.int64),
            reference=np.zeros(1, np.int64),
            border=np.zeros(1, np.int64),
            own=np.zeros(1, np.int64),
            count=np.zeros(1, np.int64),
            score=np.zeros(1),
            parent=np.full(1, -1, np.int64),
            opened=np.zeros(1, np.bool_),
        )
        waiting: dict[int, list[_States]] = {0: [root]}
        while waiting:
            slab = min(waiting)
            if slab % _FORGET_SLABS == 0:
                alive = [new.parent for each in waiting.values() for new in each]
                self.history.forget_all_but(np.concatenate([*alive, [self.end.state]]), 2 * _FORGET_SLABS)
            states = self._best(_States.join(waiting.pop(slab)))
            numbers = self.history.add(states)
            self._pass_borders(states)
            self._try_ending(states, numbers)
            for new in self._extend(states, numbers):
                new = new.take(new.start_s <= self.latest_s)
                slabs = np.floor(new.start_s / self.slab_s).astype(np.int64)
                for each in np.unique(slabs):
                    waiting.setdefault(int(each), []).append(new.take(slabs == each))
        return self._answer()

    def _best(self, states: _States) -> _States:
        """Of the states alike in start, tempo and border the best; of these the best of each bucket."""
        bucket = np.floor(states.start_s / _BUCKET_S).astype(np.int64)
        bucket -= bucket.min()
        leader = np.full(bucket.max() + 1, -np.inf)
        np.maximum.at(leader, bucket, states.score)
        promising = states.score >= leader[bucket] - self.hopeless
        states, bucket = states.take(promising), bucket[promising]
        # Borders, tempi and bars stay far below these sizes, so the parts of the key cannot collide.
        key = ((bucket << 16 | states.border) << 10 | states.level) << 10 | states.reference
        key = key << 2 | np.minimum(states.count, MIN_SECTION_BARS)
        best_first = np.lexsort((-states.score, key))
        distinct = best_first[np.concatenate(([True], np.diff(key[best_first]) != 0))]
        order = distinct[np.lexsort((-states.score[distinct], bucket[distinct]))]
        sorted_bucket = bucket[order]
        rank = np.arange(len(order)) - np.searchsorted(sorted_bucket, sorted_bucket)
        return states.take(order[rank < _STATES_PER_BUCKET])

    def _pass_borders(self, states: _States) -> None:
        """Give up the borders that no later bar can meet."""
        while True:
            passed = states.start_s > self.border_s[states.border + 1] + self.window_s[states.border + 1]
            if not passed.any():
                return
            states.score[passed] -= (
                self.missed[states.border[passed] + 1] - self.missed[states.border[passed]]
            )
            states.border[passed] += 1

    def _extend(self, states: _States, numbers: IntArray) -> list[_States]:
        if not states.count[0]:  # the film's start
            return [self._open(states, numbers, 0)]
        out = [self._go_on(states, numbers)]
        late = self.border_s + self.window_s >= states.start_s.min()
        early = self.border_s - self.window_s <= states.start_s.max()
        for border in (np.flatnonzero(late[1:-1] & early[1:-1]) + 1).tolist():
            off_s = np.abs(states.start_s - self.border_s[border])
            able = (states.border < border) & (states.count >= MIN_SECTION_BARS)
            exact = able & (off_s <= self.task.tolerance_s)
            near = np.flatnonzero(able & ~exact & (off_s <= self.window_s[border]))
            # Off the border's place only the best state of each bucket; states come sorted that way.
            bucket = np.floor(states.start_s[near] / _BUCKET_S)
            near = near[np.flatnonzero(np.diff(bucket, prepend=-1.0))]
            here = np.concatenate((np.flatnonzero(exact), near))
            if len(here):
                out.append(self._open(states.take(here), numbers[here], border))
        return out

    def _go_on(self, states: _States, numbers: IntArray) -> _States:
        """One more bar of the same section."""
        change = _CHANGES
        level = states.level[:, None] + change
        bounds = self.levels.bars[states.own]
        fits = (
            (np.abs(level - states.reference[:, None]) <= SECTION_LEVELS)
            & (level >= bounds[:, :1])
            & (level <= bounds[:, 1:])
        )
        index, option = np.nonzero(fits)
        # By the border passed last, not the section's own: who stays while the mood turns pays for it.
        cost = _BEND_COST * np.abs(change)[option]
        cost = cost + self.levels.cost[states.border[index], states.reference[index]]
        before = states.take(index)
        return self._next(before, level[fits], numbers[index], before.score - cost, opened=False)

    def _open(self, states: _States, numbers: IntArray, border: int) -> _States:
        """The first bar of the section that answers to `border`."""
        lowest, highest = self.levels.bars[border]
        preferred = self.levels.preferred
        expected = states.level + preferred[border] - preferred[states.own]
        if border == 0 or highest - lowest < len(_JUMP_LEVELS):
            level = np.tile(np.arange(lowest, highest + 1), (len(states), 1))
        else:
            level = np.clip(expected, lowest, highest)[:, None] + _JUMP_LEVELS
        fits = (level >= lowest) & (level <= highest)
        index = np.nonzero(fits)[0]
        before = states.take(index)
        level = level[fits]
        score = before.score - self.levels.cost[border, level]
        if border:
            score = score - self._border_cost(before, border)
            jump = LEVEL_STEP * np.abs(level - expected[index])
            score -= _JUMP_COST * jump + _LEAP_COST * np.maximum(jump - math.log(LEAP), 0.0)
        before.border[:] = border
        before.own[:] = border
        before.reference = np.clip(level, *self.levels.references[border])
        before.count[:] = 0
        return self._next(before, level, numbers[index], score, opened=True)

    def _next(
        self, before: _States, level: IntArray, numbers: IntArray, score: FloatArray, *, opened: bool
    ) -> _States:
        bar_s = self.levels.bar_s[level]
        return _States(
            start_s=before.start_s + bar_s,
            level=level,
            reference=before.reference,
            border=before.border,
            own=before.own,
            count=before.count + 1,
            score=score + self._hits(before.start_s, bar_s),
            parent=numbers,
            opened=np.full(len(before), opened),
        )

    def _border_cost(self, states: _States, border: int) -> FloatArray:
        """Price of ending the section here, for the section that answers to `border`."""
        off_s = np.abs(states.start_s - self.border_s[border])
        place = _OFF_BORDER_COST * (1.0 + off_s / float(self.window_s[border]))
        value = self.task.borders[border].value
        cost: FloatArray = np.where(off_s <= self.task.tolerance_s, -value, place)
        cost += self._phrase_cost(states.count)
        cost += self.missed[border - 1] - self.missed[states.border]
        return cost

    def _phrase_cost(self, count: IntArray) -> FloatArray:
        cost: FloatArray = _PHRASE_COST[np.where(count < len(_PHRASE_COST), count, 8 + count % 4)]
        return cost

    def _hits(self, start_s: FloatArray, bar_s: FloatArray, inner_cost: float = 0.0) -> FloatArray:
        """Value of the hits that each bar meets. A hit at the very end belongs to the next bar.

        inner_cost: price of every hit met after the downbeat.
        """
        hit_s, tolerance = self.task.hit_s, self.task.tolerance_s
        value = np.zeros(len(start_s))
        first = np.searchsorted(hit_s, start_s - tolerance)
        count = np.searchsorted(hit_s, start_s + bar_s - tolerance) - first
        for k in range(int(count.max(initial=0))):
            some = np.flatnonzero(count > k)
            hit = first[some] + k
            position = (hit_s[hit] - start_s[some]) / bar_s[some] * STEPS_PER_BAR
            step = np.rint(position)
            met = np.abs(position - step) * bar_s[some] / STEPS_PER_BAR <= tolerance
            step = np.minimum(step.astype(np.int64), STEPS_PER_BAR - 1)
            worth = self.task.hit_value[hit] * STEP_VALUE[step] - np.where(step > 0, inner_cost, 0.0)
            value[some] += np.where(met, worth, 0.0)
        return value

    def _try_ending(self, states: _States, numbers: IntArray) -> None:
        """Let the last bar begin at each state that is near enough to the end."""
        near = self.task.duration_s - states.start_s <= 2 * self.levels.bar_s[0]
        near |= states.count == 0
        if not near.any():
            return
        states, numbers = states.take(near), numbers[near]
        bar_s = self.task.duration_s - states.start_s
        lone = states.count == 0  # a film of one bar
        shortest = self.levels.bar_s[self.levels.bars[states.own, 1]]
        longest = self.levels.bar_s[self.levels.bars[states.own, 0]]
        outside = np.maximum(np.log(bar_s / longest), np.log(shortest / bar_s))
        change = np.abs(np.log(bar_s / self.levels.bar_s[states.level]))
        bend = np.abs(np.log(bar_s / self.levels.bar_s[states.reference]))
        lawful = outside <= 0.0
        lawful &= lone | (change < math.log(BAR_TO_BAR) * 0.995)
        lawful &= lone | (bend <= (SECTION_LEVELS + 0.5) * LEVEL_STEP)
        low, high = _END_RANGE_S
        score = states.score + self._hits(states.start_s, bar_s, _STRUCK_AGAIN_COST)
        score -= _END_COST * (np.maximum(low - bar_s, 0.0) + np.maximum(bar_s - high, 0.0))
        score -= np.where(lawful, 0.0, _FERMATA_COST * (1.0 + np.where(lone, outside, change)))
        score -= np.where(lone, _LONE_BAR_COST, self._phrase_cost(np.maximum(states.count, 2)))
        score -= np.where(~lone & (states.count + 1 < MIN_SECTION_BARS), _SHORT_SECTION_COST, 0.0)
        score -= self.missed[-1] - self.missed[states.border]
        best = int(np.argmax(score))
        if score[best] > self.end.score:
            self.end = _End(float(score[best]), int(numbers[best]), not bool(lawful[best]))

    def _answer(self) -> Bars:
        way = self.history.way_to(self.end.state)
        starts = np.array([start for start, _ in way] + [self.task.duration_s])
        openings = [(bar, opened) for bar, (_, opened) in enumerate(way[1:]) if opened >= 0]
        bars, borders = zip(*openings, strict=True) if openings else ((0,), (0,))
        return Bars(starts, tuple(bars), tuple(borders), self.end.fermata)


def search(task: Task) -> Bars:
    """The best bars found for the film; always an answer, ending exactly with the film."""
    return _Search(task).run()
