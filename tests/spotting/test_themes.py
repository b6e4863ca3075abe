"""The form of a film's music: which themes its sections play, and how its energy goes."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest

from diffbgm.spotting.cuesheet import Role, SectionWish, Wishes
from diffbgm.spotting.look import Look
from diffbgm.spotting.sections import Stretch, arc
from diffbgm.spotting.spot import spot
from diffbgm.spotting.themes import most_themes, themes

from .films import film

BARS = 8


def stretches(*looks: float, energies: tuple[float, ...] = (), length_s: float = 20.0) -> list[Stretch]:
    """Sections of eight bars, each as bright as told."""
    energies = energies or (0.5,) * len(looks)
    return [
        Stretch(k * length_s, (k + 1) * length_s, k * BARS, (k + 1) * BARS, Look(look, 0, 0, 0), energy, 0.0)
        for k, (look, energy) in enumerate(zip(looks, energies, strict=True))
    ]


def form(names: str, *looks: float, roles: tuple[Role, ...] = (), length_s: float = 20.0) -> str:
    plain: list[Role] = ["theme"] * len(names)
    return "".join(themes(names, roles or plain, stretches(*looks, length_s=length_s)))


def test_scenes_that_return_bring_their_theme_back() -> None:
    assert form("ABA", 0.1, 0.9, 0.1) == "ABA"
    assert form("XYX", 0.1, 0.9, 0.1) == "ABA"


def test_a_film_of_scenes_that_all_differ_comes_back_to_its_themes() -> None:
    assert form("ABCDE", 0.1, 0.6, 0.15, 0.7, 0.2) == "ABABA"
    assert form("ABCDEFGH", 0.1, 0.5, 0.9, 0.15, 0.55, 0.95, 0.2, 0.6) == "ABCABCAB"
    assert form("ABC", 0.1, 0.9, 0.3) == "ABA"


def test_neighbours_contrast_and_roles_weigh() -> None:
    assert form("ABC", 0.4, 0.45, 0.6) == "ABA"
    assert form("ABCD", 0.2, 0.5, 0.5, 0.6) == "ABAB"
    restated: tuple[Role, ...] = ("theme", "calm", "calm", "climax")
    assert form("ABCD", 0.2, 0.5, 0.5, 0.6, roles=restated) == "ABBA"


def test_a_long_take_is_not_one_theme_throughout() -> None:
    assert form("AAAAAAA", *[0.5] * 7) == "AABAABA"
    assert form("AAAA", *[0.5] * 4) == "AABA"
    assert form("AA", 0.5, 0.5) == "AA"


def test_short_films_have_one_theme_or_two() -> None:
    assert form("AB", 0.1, 0.9, length_s=15.0) == "AA"
    assert form("ABCD", 0.1, 0.2, 0.9, 0.15, length_s=10.0) == "AABA"


@pytest.mark.parametrize("seed", range(20))
def test_form_holds_for_any_film(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 40))
    looks = rng.random(count)
    names = "".join(chr(65 + int(10 * look)) for look in looks)
    found = themes(names, ["theme"] * count, stretches(*looks))
    assert len(set(found)) <= most_themes(count, 20.0 * count) + 1
    assert list(dict.fromkeys(found)) == sorted(set(found))
    assert max(len(list(group)) for _, group in groupby(found)) <= 3
    if count >= 3:
        assert len(set(found)) < count


def test_a_wished_label_stands() -> None:
    looks = tuple((0.1 + 0.2 * k, 0.3, 0.0, 0.2) for k in range(4))
    plain = spot(film(80.0, (20.0, 40.0, 60.0), looks=looks), Wishes())
    wished = spot(
        film(80.0, (20.0, 40.0, 60.0), looks=looks), Wishes(sections=(SectionWish(at_s=25.0, label="love"),))
    )
    assert [section.label for section in plain.sections] == ["A", "B", "A", "B"]
    assert [section.label for section in wished.sections] == ["A", "love", "A", "B"]


# Energy --------------------------------------------------------------------------------------------


def bent(roles: tuple[Role, ...], energies: tuple[float, ...]) -> np.ndarray:
    """Mean energy of each bar."""
    parts = stretches(*[0.5] * len(roles), energies=energies)
    return np.asarray(arc(np.repeat(energies, 4 * BARS), roles, parts).reshape(-1, 4).mean(axis=1))


def test_energy_rises_into_a_climax() -> None:
    bars = bent(("theme", "theme", "climax"), (0.5, 0.5, 0.7))
    np.testing.assert_allclose(bars[:12], 0.5)
    assert (np.diff(bars[12:16]) > 0.02).all()
    assert bars[15] - bars[11] > 0.1
    assert bars[16] > 0.7
    after_build = bent(("theme", "build", "climax"), (0.5, 0.5, 0.7))
    assert (np.diff(after_build[8:16]) > 0.02).all()
    assert after_build[15] - after_build[8] > 0.25


def test_calm_is_thinned_and_an_outro_falls() -> None:
    bars = bent(("theme", "calm", "outro"), (0.5, 0.5, 0.5))
    assert bars[8:16].max() < 0.45
    assert (np.diff(bars[16:]) < 0).all()


def test_a_film_begins_gently_or_at_once_as_its_picture_does() -> None:
    gentle = bent(("intro", "theme", "theme"), (0.3, 0.6, 0.6))
    at_once = bent(("intro", "theme", "theme"), (0.7, 0.5, 0.5))
    assert 0.3 - gentle[0] > 0.1
    assert abs(0.7 - at_once[0]) < 0.07
    assert gentle[4] > 0.29


def test_the_whole_way_a_quiet_beginning_rises_to_its_climax() -> None:
    looks = ((0.4, 0.3, 0.0, 0.05), (0.4, 0.3, 0.1, 0.3), (0.5, 0.5, 0.2, 0.9), (0.3, 0.2, 0.0, 0.1))
    plan = spot(film(90.0, (20.0, 45.0, 70.0), looks=looks), Wishes())
    climax = next(section for section in plan.sections if section.role == "climax")
    bars = np.array(plan.energy).reshape(-1, 4).mean(axis=1)
    density = np.array(plan.density).reshape(-1, 4).mean(axis=1)
    lead = slice(climax.start_bar - 4, climax.start_bar)
    assert (np.diff(bars[lead]) > 0).all()
    assert (np.diff(density[lead]) > 0).all()
    assert bars[0] == bars[: climax.start_bar].min()
