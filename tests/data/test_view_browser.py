"""An item's page in headless Chromium: everything is drawn, nothing is asked of the network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from diffbgm.data.view import write_view

from ..report.test_report_browser import DESK, PAINTED, PHONE, Opened, browser
from .test_view import dataset

__all__ = ["browser", "dataset"]
pytestmark = pytest.mark.browser

ALWAYS = {
    "ruler",
    "sections",
    "keys",
    "harmony",
    "beats",
    "tempo",
    "roll",
    "dynamics",
    "features",
    "notes_conditions",
}
OF_A_FILM = {"shots", "motion", "colour", "film_conditions"}


@pytest.fixture(scope="module")
def pages(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for item in ("song1-film", "song2"):
        write_view(dataset, item, folder / f"{item}.html")
    return {page.stem: page for page in folder.iterdir()}


@pytest.fixture
def opened(browser: Any, pages: dict[str, Path]) -> Iterator[Any]:
    shown: list[Opened] = []

    def open_page(item: str, **context: Any) -> Opened:
        shown.append(Opened(browser, pages[item], **{"viewport": DESK, **context}))
        return shown[-1]

    yield open_page
    for one in shown:
        one.check()  # no complaint, and nothing but the page itself was loaded
        one.context.close()


def drawn(one: Opened) -> dict[str, tuple[float, int]]:
    """Lane -> share of its canvas that is painted, and how many colours it has."""
    lanes = one.page.locator(".lane:not([hidden])").all()
    return {
        lane.get_attribute("data-lane"): tuple(lane.locator("canvas").first.evaluate(PAINTED))
        for lane in lanes
    }


@pytest.mark.parametrize(
    ("viewport", "scheme"), [(DESK, "light"), (PHONE, "dark")], ids=["desk-light", "phone-dark"]
)
def test_everything_of_an_item_with_a_video_is_drawn_and_fits(
    opened: Any, viewport: dict[str, int], scheme: str
) -> None:
    one = opened("song1-film", viewport=viewport, color_scheme=scheme)
    found = drawn(one)
    assert set(found) == ALWAYS | OF_A_FILM | {"wave"}
    for lane, (share, colours) in found.items():
        assert share > 0.004, lane
        assert colours >= 1, lane
    assert found["shots"][1] > 20  # pictures, not grey tiles
    assert found["keys"][0] > 0.8  # a key is known at every beat
    assert one.overflow() <= 0


def test_everything_of_a_song_alone_is_drawn(opened: Any) -> None:
    found = drawn(opened("song2"))
    assert set(found) == ALWAYS | {"wave"}
    assert all(share > 0.004 for share, _ in found.values()), found


def test_the_strip_is_strong_where_the_values_are(opened: Any) -> None:
    """The row `cuts` is painted strongly at the beats of the two cuts and nowhere else."""
    one = opened("song1-film")
    columns = one.page.locator("[data-lane=features] canvas").first.evaluate(
        """canvas => {
            const view = JSON.parse(document.getElementById("view").textContent);
            const rows = view.heat.features.map(row => row.name);
            const height = canvas.height / rows.length;
            const y = Math.round((rows.indexOf("cuts") + 0.5) * height);
            const data = canvas.getContext("2d").getImageData(0, y, canvas.width, 1).data;
            return view.beats.slice(0, -1).map((t, k) => {
                const x = Math.round(((t + view.beats[k + 1]) / 2 / view.duration) * canvas.width);
                return data[4 * x + 3];
            });
        }"""
    )
    strong = [k for k, alpha in enumerate(columns) if alpha > 200]
    beats = one.page.evaluate("JSON.parse(document.getElementById('view').textContent).beats")
    expected = [next(k for k in range(len(beats) - 1) if beats[k] <= t < beats[k + 1]) for t in (4.0, 6.25)]
    assert [k for k in strong if k > 2] == expected  # the first beats lie under the row's name
    assert {columns[k] for k in range(len(columns)) if beats[k] > 8.5} == {0}  # the film is over


def test_the_song_can_be_heard_and_searched(opened: Any) -> None:
    one = opened("song2")
    box = one.lane("roll")
    one.page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 20)
    duration = one.page.evaluate("JSON.parse(document.getElementById('view').textContent).duration")
    assert one.now() == pytest.approx(0.5 * duration, abs=0.15)
    one.page.keyboard.press("Space")
    one.page.wait_for_timeout(700)
    assert one.now() > 0.5 * duration + 0.15


def test_pointing_at_a_beat_tells_of_it(opened: Any) -> None:
    one = opened("song1-film")
    box = one.lane("harmony")
    one.page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 10)
    assert "estimated" in one.page.locator("#hint").inner_text()
    box = one.lane("beats")
    one.page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 10)
    assert "BPM" in one.page.locator("#hint").inner_text()
