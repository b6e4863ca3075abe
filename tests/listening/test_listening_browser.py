"""The page as a listener meets it: in headless Chromium, by keyboard, reloaded half-way, and on a phone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import pairwise as pairwise_of
from pathlib import Path
from typing import Any

import pytest

from diffbgm.listening.analyze import analyze_files
from diffbgm.listening.build import Built
from diffbgm.listening.records import load_key, load_results

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    with playwright_api.sync_playwright() as playwright:
        if found is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no Chromium: install it, or run `playwright install chromium`")
        running = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield running
        running.close()


class Listener:
    """Someone at the page, with what it complained about and what it asked the network for."""

    def __init__(self, browser: Any, built: Built, name: str = "anna", **context: Any) -> None:
        self.context = browser.new_context(**({"viewport": DESK} | context))
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.key = load_key(built.key)
        self.folder = built.folder
        self.page.goto(f"{(built.folder / 'index.html').as_uri()}#listener={name}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def shown(self) -> str:
        return str(self.page.evaluate("document.querySelector('main > section:not([hidden])').id"))

    def heading(self) -> str:
        return str(self.page.locator("section:not([hidden]) h1").inner_text())

    def status(self) -> str:
        return str(self.page.locator("#status").inner_text())

    def heard_enough(self, count: int = 1) -> None:
        self.page.wait_for_function(f"document.querySelectorAll('#trial .heard.enough').length >= {count}")

    def begin(self) -> None:
        """From the first page to the first clip, without the mouse."""
        self.page.locator("#listener").focus()
        self.press("Enter")
        assert self.shown() == "sound"
        self.press(str(self.key.beeps), "Enter")
        assert self.shown() == "trial"

    def trial(self) -> dict[str, Any]:
        """The trial on the screen, as the page ordered it."""
        return dict(
            self.page.evaluate(
                """() => {
                    const test = window.LISTENING_TEST;
                    const state = JSON.parse(localStorage.getItem(`diffbgm-listening:${test.test}`));
                    return orderFor(test, state.listener)[state.at];
                }"""
            )
        )

    def save(self, folder: Path) -> Path:
        with self.page.expect_download() as download:
            self.page.locator("#save").focus()
            self.press("Enter")
        target = folder / download.value.suggested_filename
        download.value.save_as(target)
        return target

    def close(self) -> None:
        assert self.complaints == []
        assert all(url.startswith(("file:", "data:", "blob:")) for url in self.requests)
        self.context.close()


def judge_ratings(listener: Listener, rating: dict[str, int]) -> None:
    """One screen by keyboard: play, rate by who made the clip, go on. A check is answered as asked."""
    trial = listener.trial()
    if "choose" in trial:
        listener.press(str(trial["choose"]), str(trial["choose"]), "Enter")
        return
    (name,) = listener.key.trials[trial["trial"]]
    clip = listener.key.clips[name]
    volume = listener.page.evaluate("document.querySelector('video').volume")
    assert volume == pytest.approx(10 ** (clip.level_db / 20), abs=1e-3)
    assert not listener.page.evaluate("document.querySelector('video').controls")  # nobody turns a take up
    listener.press("Space")
    listener.heard_enough()
    listener.press(str(rating[clip.system]), str(rating[clip.system] - 1), "Enter")


def test_a_whole_test_by_keyboard_with_a_reload(browser: Any, mos: Built, tmp_path: Path) -> None:
    rating = {"ours": 5, "theirs": 3}
    anna = Listener(browser, mos)
    assert anna.heading() == "Müsic <b>& film</b>"
    anna.begin()
    for _ in range(2):
        judge_ratings(anna, rating)
    before = anna.trial()
    anna.page.reload()
    assert anna.shown() == "trial"
    assert anna.trial() == before
    assert "Welcome back" in anna.status()
    assert anna.page.locator("#count").inner_text() == "2 of 5 done"
    for _ in range(3):
        judge_ratings(anna, rating)
    assert anna.shown() == "done"
    assert "music@example.org" in anna.page.locator("#done").inner_text()
    anna.page.locator("#comment").focus()
    anna.page.keyboard.type("Fine 1 2 3, a b!")  # keys are letters in a text field
    saved = anna.save(tmp_path)
    anna.close()

    results = load_results(saved)
    assert (results.listener, results.comment, results.beeps) == ("anna", "Fine 1 2 3, a b!", anna.key.beeps)
    assert results.finished is not None
    assert sorted(trial.position for trial in results.trials) == list(range(5))
    for trial in results.trials:
        if trial.trial in anna.key.checks:
            assert set(trial.answers.values()) == {anna.key.checks[trial.trial]}
            continue
        system = anna.key.clips[anna.key.trials[trial.trial][0]].system
        assert trial.answers == {"quality": rating[system], "correspondence": rating[system] - 1}
        assert trial.heard[0] >= 0.28
        assert trial.seconds > 0.2
    report = analyze_files([saved], mos.key)
    assert report["left_out"] == []
    assert report["systems"]["ours"]["quality"]["mean"] == 5.0
    assert report["systems"]["theirs"]["correspondence"]["mean"] == 2.0
    assert report["comparisons"]["quality"][0]["difference"] == 2.0


def test_pairs_by_keyboard(browser: Any, pairwise: Built, tmp_path: Path) -> None:
    """Whichever way round a pair is shown, the vote goes to the clip that was meant."""
    ben = Listener(browser, pairwise, "eva")
    ben.begin()
    ways = set()
    while ben.shown() == "trial":
        trial = ben.trial()
        if "choose" in trial:
            answer = {"first": "1", "second": "2"}[trial["choose"]]
            ben.press(answer, answer, "Enter")
            continue
        systems = [ben.key.clips[clip].system for clip in ben.key.trials[trial["trial"]]]
        ways.add(trial["swapped"])
        if trial["swapped"]:
            systems.reverse()
        for letter in "ab":
            ben.press(letter)
            ben.heard_enough(1 if letter == "a" else 2)
        assert ben.page.evaluate("[...document.querySelectorAll('video')].filter(v => !v.paused).length") <= 1
        ben.press(str(1 + systems.index("ours")), "3", "Enter")
    saved = ben.save(tmp_path)
    ben.close()
    assert ways == {True, False}  # else this listener proves nothing: take another name
    report = analyze_files([saved], pairwise.key)
    assert report["listeners"] == 1
    assert report["systems"]["ours"]["quality"]["mean"] == 1.0
    assert report["systems"]["ours"]["correspondence"]["mean"] == 0.5
    (pair,) = report["comparisons"]["quality"]
    assert (pair["wins"], pair["ties"], pair["losses"]) == (2, 0, 0)


def test_nothing_is_skipped(browser: Any, mos: Built) -> None:
    anna = Listener(browser, mos, "strict")
    anna.begin()
    while "choose" in anna.trial():
        judge_ratings(anna, {})
    anna.press("Enter")
    assert "at least 30 % of the clip" in anna.status()
    anna.press("Space")
    anna.heard_enough()
    anna.press("4", "Enter")
    assert "answer every question" in anna.status()
    assert anna.shown() == "trial"
    assert anna.page.evaluate("document.activeElement.name") == "correspondence"
    anna.press("2", "Enter")
    before = anna.trial()["trial"]
    anna.press("Backspace")
    assert anna.trial()["trial"] != before
    chosen = "[...document.querySelectorAll('#answers input:checked')].map(input => input.value)"
    assert anna.page.evaluate(chosen) == ["4", "2"]
    anna.close()


def test_every_listener_has_an_own_order(browser: Any, mos: Built) -> None:
    anna = Listener(browser, mos)
    orders = anna.page.evaluate(
        """() => Array.from({ length: 200 }, (_, i) => orderFor(window.LISTENING_TEST, `listener ${i}`)
            .map(trial => [trial.trial, trial.group ?? null]))"""
    )
    again = anna.page.evaluate("orderFor(window.LISTENING_TEST, 'listener 7').map(trial => trial.trial)")
    assert [trial for trial, _ in orders[7]] == again
    assert len({tuple(trial for trial, _ in order) for order in orders}) > 15
    firsts = [next(trial for trial, group in order if group) for order in orders]
    for trial in anna.key.trials:
        assert 25 <= firsts.count(trial) <= 75  # 50 expected of 200
        assert all(trial in [name for name, _ in order] for order in orders)
    for order in orders:
        groups = [group for _, group in order if group]
        assert all(a != b for a, b in pairwise_of(groups))  # no video twice in a row
        assert order[0][1] is not None  # never begins with the check
    anna.close()


@pytest.mark.parametrize(("kind", "scheme"), [("mos", "light"), ("pairwise", "dark")])
def test_a_phone_has_room_for_everything(
    browser: Any, kind: str, scheme: str, request: pytest.FixtureRequest
) -> None:
    built = request.getfixturevalue(kind)
    pia = Listener(browser, built, "pia", viewport=PHONE, has_touch=True, is_mobile=True, color_scheme=scheme)

    def fits() -> None:
        assert pia.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        small = """[...document.querySelectorAll('section:not([hidden]) :is(button, .option)')]
            .map(each => each.getBoundingClientRect())
            .filter(box => box.width < 44 || box.height < 44).length"""
        assert pia.page.evaluate(small) == 0

    fits()
    pia.page.locator("#start").tap()
    fits()
    pia.page.locator("#sound .option", has_text=str(pia.key.beeps)).tap()
    pia.page.locator("#sound-next").tap()
    while pia.shown() == "trial":
        fits()
        trial = pia.trial()
        for place, play in enumerate(pia.page.locator("#trial .play").all()):
            play.tap()
            pia.heard_enough(place + 1)
        choice = 0 if trial.get("choose") in (1, "first", None) else None
        for question in pia.page.locator("#trial .question").all():
            wanted = (
                choice if choice is not None else (1 if trial["choose"] == "second" else trial["choose"] - 1)
            )
            question.locator(".option").nth(wanted).tap()
        pia.page.locator("#next").tap()
    assert pia.shown() == "done"
    fits()
    pia.close()


def test_screen_readers_get_names(browser: Any, mos: Built) -> None:
    anna = Listener(browser, mos, "reader")
    anna.begin()
    while "choose" in anna.trial():
        judge_ratings(anna, {})
    assert anna.page.get_by_role("button", name="Play the clip").count() == 1
    assert anna.page.get_by_role("slider", name="Position in the clip").count() == 1
    assert anna.page.get_by_role("group", name="How good is the music").get_by_role("radio").count() == 5
    assert anna.page.get_by_role("progressbar", name="Progress").get_attribute("aria-valuemax") == "5"
    nameless = """[...document.querySelectorAll('button, input, textarea')].filter(each =>
        !each.closest('[hidden]') && !each.getAttribute('aria-label') && !each.labels?.length
        && !each.textContent.trim()).length"""
    assert anna.page.evaluate(nameless) == 0
    anna.close()


def test_colours_can_be_told_apart(browser: Any, mos: Built) -> None:
    """WCAG AA: text 4.5 to 1 on what lies behind it, in both schemes."""
    ratio = """([front, back]) => {
        const style = getComputedStyle(document.documentElement);
        const light = name => {
            const hex = style.getPropertyValue(name).trim();
            const [r, g, b] = [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16) / 255)
                .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const [high, low] = [light(front), light(back)].sort((a, b) => b - a);
        return (high + 0.05) / (low + 0.05);
    }"""
    for scheme in ("light", "dark"):
        anna = Listener(browser, mos, color_scheme=scheme)
        for front, back, least in (
            ("--ink", "--page", 7),
            ("--muted", "--page", 4.5),
            ("--muted", "--panel", 4.5),
            ("--on-accent", "--accent", 4.5),
            ("--field", "--panel", 3),
        ):
            assert anna.page.evaluate(ratio, [front, back]) >= least, (scheme, front, back)
        anna.close()


def test_it_says_so_where_nothing_can_be_kept(browser: Any, mos: Built) -> None:
    anna = Listener(browser, mos)
    anna.page.add_init_script("Storage.prototype.setItem = () => { throw new Error('full') }")
    anna.page.reload()
    anna.begin()
    assert "does not let the page save" in anna.page.locator("#warning").inner_text()
    anna.close()


def test_exported_json_is_plain(browser: Any, mos: Built, tmp_path: Path) -> None:
    odd = Listener(browser, mos, "%3Cb%3E..%2F%22odd")
    odd.begin()
    while odd.shown() == "trial":
        judge_ratings(odd, {"ours": 4, "theirs": 2})
    saved = odd.save(tmp_path)
    odd.close()
    assert "/" not in saved.name.removeprefix("results-")
    assert json.loads(saved.read_text())["listener"] == '<b>../"odd'
