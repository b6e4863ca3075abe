"""The page of styles: what is on it, and how it plays in headless Chromium."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diffbgm.audition import excerpt_of, liveliest
from diffbgm.report.listening import listen
from diffbgm.report.sampler import Sample, onsets_per_s, write_sampler
from diffbgm.score.score import Note, Part, Pedal, Score
from diffbgm.timing import TempoMap

from .sample_film import Film, make_film
from .test_report_browser import DESK, PAINTED, PHONE, browser  # noqa: F401

MEASURED = {"centroid_hz": 612.0, "range_lu": 4.2, "peak_to_loudness_db": 15.0, "side_db": -9.5}
SECONDS = 6.0


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Film:
    return make_film(tmp_path_factory.mktemp("film"))


@pytest.fixture(scope="module")
def page(film: Film) -> Path:
    path = film.music.with_name("holiday.styles.html")
    score = excerpt_of(film.score, (4.0, 4.0 + SECONDS))
    listening = listen(film.music, SECONDS)
    samples = [
        Sample(name, f"{name} <b>&", score, listening, MEASURED)
        for name in ("first", "second", film.plan.style)
    ]
    write_sampler(path, "a <film>.mp4", "diffbgm compose 'a <film>.mp4'", film.plan, (4.0, 10.0), samples)
    return path


def test_everything_is_on_the_page_and_escaped(page: Path, film: Film) -> None:
    html = page.read_text(encoding="utf-8")
    view = json.loads(re.search(r'id="view">(.*?)</script>', html, re.S)[1])  # type: ignore[index]
    assert [style["name"] for style in view["styles"]] == ["first", "second", film.plan.style]
    assert view["duration"] == SECONDS
    assert html.count("<audio ") == 3
    assert html.count('class="chosen"') == 1
    assert "a &lt;film&gt;.mp4" in html
    assert "<film>" not in html
    assert "<b>" not in html
    assert "--style second" in html
    assert "612" in html
    assert not re.search(r'(?:src|href)="(?!data:)', html)
    assert f"{onsets_per_s(excerpt_of(film.score, (4.0, 10.0))):.1f}<span" in html


def test_the_liveliest_seconds(film: Film) -> None:
    starts = film.plan.bar_starts_s
    energy = [0.1] * len(film.plan.energy)
    energy[20:28] = [0.9] * 8  # bars 5 and 6
    plan = film.plan.model_copy(update={"energy": tuple(energy)})
    assert liveliest(plan, starts[7] - starts[5]) == pytest.approx((starts[5], starts[7]))
    assert liveliest(plan, 1000.0) == (0.0, plan.duration_s)
    level = film.plan.model_copy(update={"energy": (0.5,) * len(energy)})
    assert liveliest(level, 4.0)[0] in starts


def test_an_excerpt_holds_what_sounds_in_it() -> None:
    notes = ((0.0, 1.0), (1.0, 5.0), (4.5, 5.5), (5.0, 6.0), (9.0, 30.0), (13.9, 14.2), (14.0, 15.0))
    part = Part(
        "x", 0, False, tuple(Note(a, b, 60 + k, 80) for k, (a, b) in enumerate(notes)), (Pedal(3.0, 6.0),)
    )
    silent = replace(part, name="y", notes=part.notes[:1], pedals=())
    score = Score(TempoMap((0.0, 2.0)), "C", (part, silent), (), 30.0)
    found = excerpt_of(score, (4.0, 14.0))
    assert found.duration_s == 10.0
    assert [part.name for part in found.parts] == ["x"]
    heard = found.parts[0]
    assert [note.pitch for note in heard.notes] == [61, 62, 63, 64]
    assert [note.start_s for note in heard.notes] == [0.0, 0.5, 1.0, 5.0]
    assert heard.notes[0].end_s == 1.0
    assert heard.notes[-1].end_s == pytest.approx(9.2)  # rings out before the end
    assert heard.pedals == (Pedal(0.0, 2.0),)


@pytest.mark.browser
@pytest.mark.parametrize("look", [{"viewport": DESK}, {"viewport": PHONE, "color_scheme": "dark"}])
def test_it_plays_and_goes_on_in_another_style(browser: Any, page: Path, look: dict[str, Any]) -> None:  # noqa: F811
    context = browser.new_context(**look)
    opened = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(page.as_uri())
    opened.wait_for_selector(".play:not([disabled])")

    def sounds() -> list[tuple[bool, float]]:
        state = opened.evaluate(
            "[...document.querySelectorAll('audio')].map(a => [!a.paused, a.currentTime])"
        )
        return [(bool(playing), float(at)) for playing, at in state]

    def wait_for(style: int, at_s: float) -> None:
        """The page's policy forbids wait_for_function, which evaluates strings."""
        deadline = time.monotonic() + 15
        while sounds()[style][1] <= at_s:
            assert time.monotonic() < deadline
            opened.wait_for_timeout(20)

    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("Space")
    wait_for(0, 2.2)
    opened.keyboard.press("ArrowDown")
    wait_for(1, 2.3)
    first, second, third = sounds()
    assert (first[0], second[0], third[0]) == (False, True, False)
    assert second[1] >= first[1] - 0.1  # it went on there
    assert opened.locator(".style.current h2").inner_text().startswith("second")
    opened.locator(".style").nth(2).get_by_role("button").click()
    wait_for(2, 2.4)
    assert [playing for playing, _ in sounds()] == [False, False, True]
    assert opened.locator(".playing").count() == 1
    assert (
        opened.locator(".style").nth(2).get_by_role("button").get_attribute("aria-label").startswith("Pause")
    )
    opened.locator(".style").nth(2).get_by_role("button").click()
    assert not any(playing for playing, _ in sounds())
    painted, colours = opened.locator(".picture canvas").first.evaluate(PAINTED)
    assert painted > 0.02
    assert colours > 3
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert complaints == []
    assert all(url.startswith(("file:", "blob:", "data:")) for url in requests)
    context.close()
