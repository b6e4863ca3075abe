"""Several takes of one plan, drawn one after the other, measured, ranked.

A take's noise comes from the plan's seed and the take's own number alone, and it is drawn by itself: batched
with others its notes could differ in a bit, and they would depend on how many were asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from diffbgm.diffusion.roll import PianoRoll
from diffbgm.spotting.cuesheet import Plan
from diffbgm.takes.asked import Asked
from diffbgm.takes.measures import measure
from diffbgm.takes.rank import Choice, Ranked, ranked

USUAL: Final = 4
WORTH: Final = 10_000
"""Beats times calls of the network that takes are worth where nobody says how many."""

Compose = Callable[[Plan, Callable[[float], None]], PianoRoll]


def usual_takes(n_beats: int, steps: int) -> int:
    """How many takes of a film are drawn where nobody says: fewer of long ones, 1 .. 4."""
    return min(USUAL, max(1, WORTH // (n_beats * steps)))


def most_drawn(takes: int) -> int:
    """How many takes are drawn at most until so many have passed: as many again; one alone has no second."""
    return 2 * takes if takes > 1 else 1


def choose(
    plan: Plan, compose: Compose, takes: int, tell: Callable[[float], None], first: int = 0
) -> tuple[Choice, dict[int, PianoRoll]]:
    """Draw takes `first`, `first` + 1, ... of a plan until `takes` have passed the gate; rank all.

    tell: called with the share done of the takes asked for. Returns the ranking and the rolls by take.
    """
    asked = Asked.of_plan(plan)
    rolls: dict[int, PianoRoll] = {}
    found: list[Ranked] = []
    told = 0.0
    for number in range(first, first + most_drawn(takes)):
        passed = sum(not take.faults for take in found)
        if passed == takes:
            break

        def tell_all(share: float, passed: int = passed) -> None:
            nonlocal told
            told = max(told, (passed + share) / takes)
            tell(told)

        rolls[number] = compose(plan.model_copy(update={"take": number}), tell_all)
        found.append(ranked(number, measure(rolls[number], asked), asked))
    return Choice.of(found), rolls
