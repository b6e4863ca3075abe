"""The page as a person meets it: in headless Chromium, at desk and phone width, light and dark."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .sample_film import Film, make_film

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.browser

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--mute-audio",
]
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

PAINTED = """canvas => {
    const { width, height } = canvas;
    const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    const colours = new Set();
    let painted = 0;
    for (let i = 0; i < data.length; i += 4 * 5) {
        if (data[i + 3] > 0) painted++;
        if (data[i + 3] > 200) colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
    }
    return [painted / (width * height / 5), colours.size];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    with playwright_api.sync_playwright() as playwright:
        if found is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no Chromium: install it, or run `playwright install chromium`")
        running = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Film:
    film = make_film(tmp_path_factory.mktemp("film"), warnings=("w" * 300,), name="n" * 200 + ".mp4")
    film.write(film.music.with_name("holiday.bgm.html"))
    return film


class Opened:
    """A page that has been opened, with what it complained about and what it asked the network for."""

    def __init__(self, browser: Any, path: Path, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("#play:not([disabled])")
        self.page.wait_for_timeout(150)

    def now(self) -> float:
        return float(self.page.evaluate("document.getElementById('audio').currentTime"))

    def lane(self, name: str) -> dict[str, float]:
        canvas = self.page.locator(f"[data-lane={name}] canvas").first
        canvas.scroll_into_view_if_needed()
        box: dict[str, float] = canvas.bounding_box()
        return box

    def check(self) -> None:
        assert self.complaints == []
        assert [url for url in self.requests if url.split(":")[0] not in ("file", "data", "blob")] == []
        assert len([url for url in self.requests if url.startswith("file:")]) == 1

    def overflow(self) -> float:
        return float(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


@pytest.fixture
def opened(browser: Any, film: Film) -> Iterator[Any]:
    pages: list[Opened] = []

    def open_page(path: Path | None = None, **context: Any) -> Opened:
        page = path or film.music.with_name("holiday.bgm.html")
        pages.append(Opened(browser, page, **{"viewport": DESK, **context}))
        return pages[-1]

    yield open_page
    for one in pages:
        one.check()
        one.context.close()


@pytest.mark.parametrize(
    ("viewport", "scheme"), [(DESK, "light"), (PHONE, "dark")], ids=["desk-light", "phone-dark"]
)
def test_everything_is_drawn_and_fits(opened: Any, viewport: dict[str, int], scheme: str) -> None:
    one = opened(viewport=viewport, color_scheme=scheme)
    assert one.overflow() <= 0
    for lane in one.page.locator(".lane").all():
        name = lane.get_attribute("data-lane")
        share, colours = lane.locator("canvas").first.evaluate(PAINTED)
        assert share > 0.005, name
        assert colours >= 2, name
    share, colours = one.page.locator(".overview canvas").evaluate(PAINTED)
    assert share > 0.5
    paper = one.page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = np.mean([int(value) for value in paper.removeprefix("rgb(").rstrip(")").split(",")])
    assert (brightness > 128) == (scheme == "light")


def test_colours_change_with_the_system(opened: Any) -> None:
    one = opened(color_scheme="light")
    hits = one.page.locator("[data-lane=roll] canvas").first
    read = "canvas => canvas.toDataURL()"
    before = hits.evaluate(read)
    one.page.emulate_media(color_scheme="dark")
    one.page.wait_for_timeout(200)
    assert hits.evaluate(read) != before


def test_a_click_on_the_timeline_moves_the_sound(opened: Any, film: Film) -> None:
    one = opened()
    slider = one.page.get_by_role("slider")
    for lane, share in (("shots", 0.75), ("roll", 0.2), ("loudness", 0.5)):
        box = one.lane(lane)
        one.page.mouse.click(box["x"] + share * box["width"], box["y"] + 5)
        assert one.now() == pytest.approx(share * film.score.duration_s, abs=0.1), lane
        head = one.page.locator("#playhead div").bounding_box()
        assert head["x"] + 1 == pytest.approx(box["x"] + share * box["width"], abs=2), lane
        assert float(slider.get_attribute("aria-valuenow")) == pytest.approx(one.now(), abs=0.02), lane


def test_space_plays_and_pauses_and_the_playhead_runs(opened: Any) -> None:
    one = opened()
    one.page.keyboard.press("Space")
    one.page.wait_for_timeout(900)
    moved = one.now()
    assert 0.2 < moved < 3
    assert one.page.get_by_role("button", name="Pause").count() == 1
    assert one.page.locator("#time").inner_text() != "0:00.00"
    one.page.keyboard.press("Space")
    one.page.wait_for_timeout(150)
    stopped = one.now()
    one.page.wait_for_timeout(300)
    assert one.now() == stopped
    assert one.page.get_by_role("button", name="Play").count() == 1


def test_keys_go_by_beats_bars_and_hits(opened: Any, film: Film) -> None:
    one = opened()
    tempo = film.plan.tempo_map
    steps = [
        ("ArrowRight", tempo.seconds(1.0)),
        ("Shift+ArrowRight", tempo.seconds(4.0)),
        ("ArrowLeft", tempo.seconds(3.0)),
        ("Shift+ArrowLeft", 0.0),
        (".", film.plan.hits[0].landed_s),
        (".", film.plan.hits[1].landed_s),
        (",", film.plan.hits[0].landed_s),
        ("End", film.score.duration_s),
        ("Home", 0.0),
    ]
    for key, expected in steps:
        one.page.keyboard.press(key)
        assert one.now() == pytest.approx(expected, abs=0.03), key


def test_zooming_keeps_the_place_and_dragging_moves(opened: Any, film: Film) -> None:
    one = opened()
    box = one.lane("roll")
    one.page.get_by_role("button", name="Zoom in").click()
    one.page.get_by_role("button", name="Zoom in").click()
    one.page.wait_for_timeout(100)
    span = 0.36 * film.score.duration_s
    y = box["y"] + 40
    one.page.mouse.click(box["x"] + 0.5 * box["width"], y)
    assert one.now() == pytest.approx(0.5 * span, abs=0.1)
    one.page.mouse.move(box["x"] + 0.9 * box["width"], y)
    one.page.mouse.down()
    one.page.mouse.move(box["x"] + 0.4 * box["width"], y, steps=5)
    one.page.mouse.up()
    assert one.now() == pytest.approx(0.5 * span, abs=0.1), "a drag does not seek"
    one.page.mouse.click(box["x"] + 0.5 * box["width"], y)
    assert one.now() == pytest.approx(span, abs=0.1)
    one.page.keyboard.press("0")
    one.page.mouse.click(box["x"] + 0.5 * box["width"], y)
    assert one.now() == pytest.approx(0.5 * film.score.duration_s, abs=0.1)


def test_tables_seek_and_parts_can_be_hidden(opened: Any, film: Film) -> None:
    one = opened()
    one.page.locator(".hits .seek").nth(2).click()
    assert one.now() == pytest.approx(film.plan.hits[2].time_s, abs=0.02)
    roll = one.page.locator("[data-lane=roll] canvas").first
    picture = "canvas => canvas.toDataURL()"
    before = roll.evaluate(picture)
    one.page.get_by_role("button", name="Strings").click()
    one.page.wait_for_timeout(150)
    assert roll.evaluate(picture) != before
    assert one.page.get_by_role("button", name="Strings").get_attribute("aria-pressed") == "false"


def test_the_mouse_is_told_what_it_points_at(opened: Any, film: Film) -> None:
    one = opened()
    box = one.lane("hits")
    x = box["x"] + box["width"] * film.plan.hits[1].time_s / film.score.duration_s
    one.page.mouse.move(x, box["y"] + box["height"] / 2)
    assert "on a beat" in one.page.locator("#hint").inner_text()


def test_a_finger_seeks(opened: Any, film: Film) -> None:
    one = opened(viewport=PHONE, has_touch=True)
    box = one.lane("sections")
    one.page.touchscreen.tap(box["x"] + 0.25 * box["width"], box["y"] + 10)
    one.page.wait_for_timeout(100)
    assert one.now() == pytest.approx(0.25 * film.score.duration_s, abs=0.15)


def test_music_beside_the_page_plays(
    opened: Any, browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffbgm.report.listening.MAX_EMBEDDED_BYTES", 1000)
    film = make_film(tmp_path, n_bars=4)
    film.write(tmp_path / "long.html")
    one = Opened(browser, tmp_path / "long.html", viewport=DESK)
    one.page.keyboard.press("End")
    assert one.now() == pytest.approx(film.score.duration_s, abs=0.05)
    assert one.complaints == []
    one.context.close()


def test_a_bare_film_and_a_hostile_name_raise_no_error(opened: Any, tmp_path: Path) -> None:
    film = make_film(
        tmp_path, n_bars=1, cuts_s=(), thumbnails=(), name="</script ><img src=x onerror=boom()>"
    )
    analysis = replace(film.analysis, speech_spans=(), thumbnails=())
    film = replace(film, analysis=analysis, score=replace(film.score, parts=()))
    film.write(tmp_path / "bare.html")
    one = opened(tmp_path / "bare.html")
    for key in (".", ",", "+", "-", "ArrowRight", "End", "Space"):
        one.page.keyboard.press(key)
    assert one.page.locator("h1").inner_text() == "script ><img src=x onerror=boom()>"
