"""The tempo solver: its rules hold for any film, and it meets what can be met."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diffbgm.spotting.cuesheet import HitWish, Plan, SectionWish, Wishes
from diffbgm.spotting.polish import lawful, polish
from diffbgm.spotting.search import _Search, search
from diffbgm.spotting.spot import spot
from diffbgm.spotting.tempo import Border, Task

from .films import check_rules, film, steady_cuts

RATES = [Fraction(10), Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60)]


@st.composite
def films(draw: st.DrawFn) -> tuple[float, list[float], Fraction]:
    """Duration, cut times and frame rate: from a third of a second to some minutes, whole frames."""
    rate = draw(st.sampled_from(RATES))
    longest = draw(st.sampled_from([4.0, 12.0, 40.0, 120.0]))
    frames = draw(st.integers(max(1, int(0.3 * rate)), int(longest * rate)))
    at = draw(st.lists(st.integers(1, frames), max_size=60, unique=True))
    return float(frames / rate), sorted(float(k / rate) for k in at if k < frames), rate


RANGES = st.sampled_from([None, (100.0, 100.0), (90.0, 94.0), (60.0, 70.0), (70.0, 180.0), (240.0, 240.0)])


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(films(), RANGES, st.lists(st.floats(0, 1), max_size=4))
def test_rules_hold_for_any_film(
    some: tuple[float, list[float], Fraction], tempo: tuple[float, float] | None, at: list[float]
) -> None:
    duration_s, cuts, rate = some
    hits = tuple(HitWish(time_s=share * duration_s * 0.999) for share in at)
    plan = spot(film(duration_s, cuts, rate), Wishes(tempo_bpm=tempo, hits=hits))
    check_rules(plan, *(tempo or (60.0, 140.0)))


@pytest.mark.parametrize("duration_s", [0.04, 0.3, 1.0, 2.0, 3.0, 3.5, 4.0, 5.0, 7.0, 8.5])
def test_short_films(duration_s: float) -> None:
    plan = spot(film(duration_s), Wishes())
    check_rules(plan)
    assert not plan.warnings
    assert plan.tempo_map.n_bars >= (2 if duration_s >= 3.5 else 1)
    assert len(plan.sections) == 1


@pytest.mark.parametrize("duration_s", [10.0, 20.833, 47.3, 90.4])
def test_final_chord_has_a_sensible_length(duration_s: float) -> None:
    plan = spot(film(duration_s, steady_cuts(duration_s, 3.7)), Wishes())
    check_rules(plan)
    assert 1.2 <= plan.bar_starts_s[-1] - plan.bar_starts_s[-2] <= 4.5


def test_without_cuts_the_tempo_stays_where_it_is_liked() -> None:
    plan = spot(film(30.0), Wishes(mood="calm"))
    bpm = plan.tempo_map.bpm_of_bars()
    assert np.ptp(bpm) < 12
    assert plan.hits == ()
    assert 70 < float(np.median(bpm)) < 95
    assert float(np.median(spot(film(30.0), Wishes(mood="energetic")).tempo_map.bpm_of_bars())) > 100


def test_a_cut_every_half_second() -> None:
    plan = spot(film(30.0, steady_cuts(30.0, 0.5)), Wishes())
    check_rules(plan)
    assert len(plan.hits) == 30
    assert all(hit.on in ("downbeat", "beat") for hit in plan.hits)


def test_cuts_on_a_steady_grid_are_met_exactly_and_on_downbeats() -> None:
    bar_s = 60 / 90 * 4
    cuts = [round(bar_s * k, 6) for k in (2, 4, 8, 12)]
    plan = spot(film(bar_s * 17, cuts), Wishes(tempo_bpm=(80, 100)))
    check_rules(plan, 80, 100)
    assert [hit.on for hit in plan.hits] == ["downbeat"] * 4
    assert all(abs(hit.error_ms or 0.0) < 0.1 for hit in plan.hits)


@pytest.mark.parametrize("seed", range(4))
def test_cuts_some_seconds_apart_are_all_met(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cuts = np.cumsum(rng.integers(50, 175, 12)) / 25
    duration_s = float(cuts[-1] + 3)
    plan = spot(film(duration_s, cuts.tolist()), Wishes())
    check_rules(plan)
    assert all(hit.on is not None for hit in plan.hits)
    assert np.mean([hit.on in ("downbeat", "beat") for hit in plan.hits]) > 0.5


@pytest.mark.parametrize("seed", range(4))
def test_a_persons_hits_come_before_cuts(seed: int) -> None:
    """Among cuts too dense to be met at one tempo, every hit wished is kept and lands at once."""
    rng = np.random.default_rng(seed)
    cuts = np.unique(np.cumsum(rng.integers(26, 40, 18))) / 25
    wished = sorted(rng.uniform(1, 20, 3).round(2).tolist())
    plan = spot(
        film(24.0, [c for c in cuts.tolist() if c < 23.5]),
        Wishes(hits=tuple(HitWish(time_s=t) for t in wished), tempo_bpm=(100, 100)),
    )
    check_rules(plan, 100, 100)
    assert [hit.time_s for hit in plan.hits if hit.source == "user" and hit.on] == wished


def test_one_fixed_tempo_is_kept_within_its_bend() -> None:
    plan = spot(film(40.0, steady_cuts(40.0, 3.3)), Wishes(tempo_bpm=(100, 100)))
    check_rules(plan, 100, 100)
    assert all(section.tempo_bpm == 100 for section in plan.sections)
    assert np.all(np.abs(plan.tempo_map.bpm_of_bars() / 100 - 1) < 0.05)


def test_too_short_for_its_tempo_holds_the_last_chord_and_says_so() -> None:
    plan = spot(film(3.6), Wishes(tempo_bpm=(100, 100)))
    check_rules(plan, 100, 100)
    assert any("last chord" in warning for warning in plan.warnings)


def test_polishing_lands_hits_exactly() -> None:
    hits = np.array([3.91, 7.77, 12.03, 15.5, 19.21])
    task = Task(24.0, 25.0, hits, np.full(5, 4.0), (Border(0.0),))
    rough = search(task)
    fine = polish(rough, task)
    assert lawful(rough, task)
    assert lawful(fine, task)

    def errors(starts: np.ndarray) -> list[float]:
        steps = np.interp(hits, starts, np.arange(len(starts)) * 16.0)
        bar_s = np.interp(hits, starts[:-1], np.diff(starts))
        return [abs(e) for e in (steps - np.rint(steps)) * bar_s / 16]

    met = [k for k, error in enumerate(errors(rough.starts_s)) if error <= task.tolerance_s]
    assert len(met) >= 4
    assert max(errors(rough.starts_s)[k] for k in met) > 0.001
    assert max(errors(fine.starts_s)[k] for k in met) < 1e-6


def test_a_section_never_leaves_its_tempo_by_more_than_it_may() -> None:
    """Cuts that quicken steadily lure every bar as far as the rules let it go."""
    cuts = np.cumsum(0.65 / 1.0075 ** (np.arange(80) / 2))
    task = Task(float(cuts[-1] + 2.0), 25.0, cuts, np.full(80, 4.0), tempo_range=(90.0, 130.0))
    bpm = 240.0 / np.diff(search(task).starts_s)
    assert 1.07 < bpm.max() / bpm.min() < 1.05**2


def test_solving_is_deterministic() -> None:
    one = film(30.0, steady_cuts(30.0, 2.3))
    assert spot(one, Wishes()) == spot(one, Wishes())


def test_states_that_lead_nowhere_are_forgotten() -> None:
    cuts = np.array(steady_cuts(120.0, 4.1))
    run = _Search(Task(120.0, 25.0, cuts, np.full(len(cuts), 4.0)))
    run.run()
    per_slab = np.array([len(each) for each in run.history.number])
    assert per_slab[:24].max() < 0.2 * per_slab[-8:].max()


@pytest.mark.parametrize("cut_s", [17.4, 17.6, 17.8])
def test_the_final_chord_rings_where_it_can(cut_s: float) -> None:
    """A cut near the end does not strike the final chord again where other bars can meet it."""
    plan = spot(film(20.0, [5.0, 10.0, cut_s]), Wishes())
    check_rules(plan)
    landed_s = plan.hits[-1].landed_s
    assert landed_s is not None
    assert landed_s <= plan.bar_starts_s[-2]


def leaps(plan: Plan) -> list[float]:
    """Share by which the tempo changes from the last bar of each section to the first of the next."""
    bpm = plan.tempo_map.bpm_of_bars()
    return [float(bpm[each.start_bar] / bpm[each.start_bar - 1] - 1) for each in plan.sections[1:]]


def test_the_tempo_leaps_between_sections_only_where_it_is_asked_to() -> None:
    long_take = film(140.0)
    plain = leaps(spot(long_take, Wishes()))
    assert len(plain) > 2
    assert max(map(abs, plain)) <= 0.08 + 1e-6
    # This one's tempi are drawn apart by what is done after the search.
    still = leaps(spot(film(83.0, looks=[(0.55, 0.17, 0.08, 0.02)]), Wishes()))
    assert max(map(abs, still)) <= 0.08 + 1e-6
    cut_rich = film(60.0, steady_cuts(60.0, 1.9))
    assert max(map(abs, leaps(spot(cut_rich, Wishes())))) <= 0.12, "some, for many hits"
    wished = spot(long_take, Wishes(sections=(SectionWish(at_s=100.0, tempo_bpm=130.0),)))
    assert max(leaps(wished)) > 0.2
    turned = spot(long_take, Wishes(mood="calm until 1:10, then tense"))
    check_rules(turned)
    border = int(np.argmax(leaps(turned)))
    assert leaps(turned)[border] > 0.3
    assert abs(turned.sections[border + 1].start_s - 70.0) < 6.0


def test_the_mood_decides_the_tempo_among_many_cuts() -> None:
    cut_rich = film(40.0, steady_cuts(40.0, 1.9))
    plans = {mood: spot(cut_rich, Wishes(mood=mood)) for mood in ("calm", "tense")}
    tempo = {mood: float(np.median(plan.tempo_map.bpm_of_bars())) for mood, plan in plans.items()}
    assert tempo["calm"] < 85.0 < 110.0 < tempo["tense"]
    for plan in plans.values():
        assert np.mean([hit.on is not None for hit in plan.hits]) > 0.6
