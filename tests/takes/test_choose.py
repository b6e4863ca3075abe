from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from diffbgm.diffusion.roll import ONSET, PianoRoll
from diffbgm.spotting.cuesheet import Plan
from diffbgm.takes.asked import Asked
from diffbgm.takes.choose import USUAL, choose, most_drawn, usual_takes
from diffbgm.takes.measures import measure
from diffbgm.takes.rank import UNITS, WEIGHTS, Choice, ranked

from .pieces import PLAN, draw, emptied, sampled, with_bits

ASKED = Asked.of_plan(PLAN)
Compose = Callable[[Plan, Callable[[float], None]], PianoRoll]


def composer(broken: set[int], drawn: list[int]) -> Compose:
    """Gives the model's takes, emptied where broken."""

    def compose(plan: Plan, tell: Callable[[float], None]) -> PianoRoll:
        assert plan.take is not None
        drawn.append(plan.take)
        tell(0.5)
        tell(1.0)
        roll = sampled(plan.take % 4)
        return emptied(roll, 0) if plan.take in broken else roll

    return compose


def test_a_take_is_drawn_from_the_seed_and_its_number_alone() -> None:
    first = draw(PLAN)
    assert sampled(0).digest == first.digest == draw(PLAN.model_copy(update={"take": 0})).digest
    assert len({sampled(take).digest for take in range(3)}) == 3
    other = PLAN.model_copy(update={"seed": PLAN.seed + 1, "take": 0})
    assert draw(other).digest not in {sampled(take).digest for take in range(3)}


def test_the_best_take_is_kept_and_none_depends_on_how_many_there_are() -> None:
    few, few_rolls = choose(PLAN, composer(set(), []), 2, lambda _: None)
    many, many_rolls = choose(PLAN, composer(set(), []), 4, lambda _: None)
    scores = {take.number: take.score for take in many.takes}
    assert [take.number for take in many.takes] == sorted(scores, key=lambda number: -scores[number])
    assert {take.number: take.score for take in few.takes} == {number: scores[number] for number in (0, 1)}
    assert all(few_rolls[number].digest == many_rolls[number].digest for number in few_rolls)
    assert many.kept.score == max(scores.values())
    assert many.warnings == many.rejected == ()


def test_broken_takes_are_drawn_again_with_the_next_number() -> None:
    drawn: list[int] = []
    choice, rolls = choose(PLAN, composer({0, 2}, drawn), 2, lambda _: None)
    assert drawn == [0, 1, 2, 3]
    assert {take.number for take in choice.rejected} == {0, 2}
    assert choice.kept.number in (1, 3)
    assert [bool(take.faults) for take in choice.takes] == [False, False, True, True]
    assert rolls.keys() == {0, 1, 2, 3}
    assert "rejected" in choice.to_json()["ranking"][-1]
    assert choice.to_json()["ranking"][-1]["rejected"] == ["empty: no note at all"]


def test_drawing_ends_and_says_so_where_all_takes_are_broken() -> None:
    drawn: list[int] = []
    choice, _ = choose(PLAN, composer(set(range(99)), drawn), 3, lambda _: None)
    assert drawn == list(range(6)) == list(range(most_drawn(3)))
    assert choice.kept.number == 0
    assert choice.warnings == ("none of 6 takes passed; the best of them was kept (empty: no note at all)",)
    assert choice.why == "take 0 of 6 kept, though none passed"


def test_one_take_is_the_first_whatever_it_is() -> None:
    drawn: list[int] = []
    choice, _ = choose(PLAN, composer({0}, drawn), 1, lambda _: None)
    assert drawn == [0]
    assert choice.kept.number == 0
    assert choice.warnings


def test_a_chosen_take_is_drawn_alone() -> None:
    drawn: list[int] = []
    choice, _ = choose(PLAN, composer(set(), drawn), 1, lambda _: None, 3)
    assert (drawn, choice.kept.number) == ([3], 3)


def test_progress_goes_up_to_the_end() -> None:
    told: list[float] = []
    choose(PLAN, composer({1}, []), 3, told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.parametrize(
    ("beats", "steps", "takes"), [(8, 8, USUAL), (100, 16, USUAL), (150, 32, 2), (900, 8, 1), (9000, 32, 1)]
)
def test_long_films_have_fewer_takes(beats: int, steps: int, takes: int) -> None:
    assert usual_takes(beats, steps) == takes


def test_what_costs_a_take() -> None:
    roll = sampled()
    plain = ranked(0, measure(roll, ASKED), ASKED)
    silent_hit = roll.bits.copy()
    step = int(ASKED.hit_steps[0])
    silent_hit[:, ONSET, step] = False
    missed = ranked(0, measure(with_bits(roll, silent_hit), ASKED), ASKED)
    assert missed.costs["hits"] == WEIGHTS["hits"] / UNITS["hits"]
    assert plain.costs["hits"] in (0.0, missed.costs["hits"])

    asked_more = replace(ASKED, onsets=ASKED.onsets * 2)
    assert ranked(0, measure(roll, asked_more), asked_more).costs["density"] > 2 * plain.costs["density"]
    no_melody = replace(ASKED, melody=~ASKED.melody)
    assert ranked(0, measure(roll, no_melody), no_melody).costs["melody"] > plain.costs["melody"]
    assert plain.score == -sum(plain.costs.values())
    assert all(cost >= 0 for cost in plain.costs.values())


def test_hits_count_by_their_weight_and_nothing_is_asked_of_the_last_bar() -> None:
    plan = PLAN.model_copy(
        update={"hits": tuple(PLAN.hits[0].model_copy(update={"step": step, "weight": weight})
                              for step, weight in ((0, 0.2), (3, 0.8), (16 * 16, 1.0)))}
    )  # fmt: skip
    asked = Asked.of_plan(plan)
    assert asked.hit_steps.tolist() == [0, 3]
    bits = sampled().bits.copy()
    bits[:, :, :4] = False
    bits[2, ONSET, 0, 40] = True
    assert measure(with_bits(sampled(), bits), asked).hits == pytest.approx(0.2)
    assert np.isnan(measure(sampled(), replace(asked, hit_steps=asked.hit_steps[:0],
                                               hit_weights=asked.hit_weights[:0])).hits)  # fmt: skip


def test_a_sound_take_comes_before_a_broken_one_with_a_better_score() -> None:
    good, bad = (ranked(k, measure(sampled(k), ASKED), ASKED) for k in range(2))
    good, bad = sorted((good, bad), key=lambda take: -take.score)
    assert Choice.of([replace(good, faults=("copied",)), bad]).kept.number == bad.number


def test_the_earlier_of_equal_takes_is_kept() -> None:
    take = ranked(0, measure(sampled(), ASKED), ASKED)
    assert Choice.of([replace(take, number=2), replace(take, number=1)]).kept.number == 1
