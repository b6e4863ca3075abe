"""The page as a document: what it holds, that it holds it unchanged, and that nothing in it can break out."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest

from diffbgm.errors import InputError, OutputError
from diffbgm.report.listening import MAX_EMBEDDED_BYTES, Listening
from diffbgm.report.tables import hits_table, sections_table, tempo_list
from diffbgm.report.view import MAX_CURVE_POINTS, to_json, view_model, without_folders
from diffbgm.video.analysis import Curve, Thumbnail

from .sample_film import Film, make_film

HOSTILE = (
    '</script ></script><script>alert(1)</script> "><img src=x onerror=alert(1)> <!-- $title ${script} '
    "' &amp; \u2028 \u202e \x00 \udc80 é"
)


class Page(HTMLParser):
    """Tags with their attributes, and the text of each element that has an id or is a title, in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self._open = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = (attrs, text + data)
        elif self._open == "style":
            self.styles.append(data)
        else:
            self.texts.append(data)

    def json(self, name: str) -> dict:
        (text,) = [text for attrs, text in self.scripts if attrs.get("id") == name]
        return json.loads(text)

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        names = {name.rstrip("_").replace("_", "-"): value for name, value in wanted.items()}
        return [a for t, a in self.tags if t == tag and all(a.get(k) == v for k, v in names.items())]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Film:
    return make_film(tmp_path_factory.mktemp("film"))


@pytest.fixture(scope="module")
def html(film: Film) -> str:
    return film.write(film.music.with_name("holiday.bgm.html"))


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def unpack(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.uint8)


def test_result_is_stored_without_folders(film: Film, page: Page, html: str) -> None:
    stored = page.json("result")
    names = {kind: Path(place).name if place else None for kind, place in film.result["outputs"].items()}
    assert stored == {**film.result, "video": Path(film.result["video"]).name, "outputs": names}
    assert str(film.music.parent) not in html


def test_every_note_that_sounds_is_in_the_page(film: Film, page: Page) -> None:
    parts = page.json("view")["parts"]
    assert [part["name"] for part in parts] == [part.name for part in film.score.parts]
    for shown, part in zip(parts, film.score.parts, strict=True):
        rows = np.asarray(shown["notes"]).reshape(-1, 4)
        expected = sorted((note.start_s, note.pitch, note.end_s, note.velocity) for note in part.notes)
        assert len(rows) == len(expected)
        starts, pitches, ends, velocities = (np.asarray(column) for column in zip(*expected, strict=True))
        np.testing.assert_allclose(rows[:, 0] / 1000, starts, atol=5.1e-4)
        np.testing.assert_allclose((rows[:, 0] + rows[:, 1]) / 1000, ends, atol=1.1e-3)
        np.testing.assert_array_equal(rows[:, 2], pitches)
        np.testing.assert_array_equal(rows[:, 3], velocities)


def test_plan_and_picture_are_in_the_page(film: Film, page: Page) -> None:
    view = page.json("view")
    assert len(view["shots"]) == len(film.analysis.shots) == len(view["thumbnails"])
    assert base64.b64decode(view["thumbnails"][2][1]) == film.analysis.thumbnails[2].jpeg
    np.testing.assert_allclose(view["bars"], film.plan.bar_starts_s, atol=1e-5)
    assert [(hit["t"], hit["on"]) for hit in view["hits"]] == [(h.time_s, h.on) for h in film.plan.hits]
    assert [section["role"] for section in view["sections"]] == [s.role for s in film.plan.sections]
    np.testing.assert_allclose(unpack(view["energy"]) / 255, film.plan.energy, atol=0.002)
    np.testing.assert_allclose(
        unpack(view["motion"]["values"]) / 255, film.analysis.motion.values, atol=0.002
    )
    assert view["speech"] == [[5.2, 7.9], [16.0, 18.4]]
    assert view["chords"][:4] == [[0, 4, "E♭"], [4, 4, "Cm"], [8, 4, "A♭"], [12, 4, "B♭"]]


def test_tables_hold_the_facts_without_a_script(film: Film, page: Page) -> None:
    marks = [a["class"] for t, a in page.tags if t == "span" and (a.get("class") or "").startswith("mark ")]
    landings = [f"mark {hit.on or 'missed'}" for hit in film.plan.hits]
    assert marks[5:] == landings, "the key's five marks, then one a hit"
    buttons = {a["data-seek"] for a in page.all("button", class_="seek")}
    assert {f"{hit.time_s:.4f}" for hit in film.plan.hits} <= buttons
    assert {f"{section.start_s:.4f}" for section in film.plan.sections} <= buttons
    text = " ".join(page.texts)
    for fact in ("E♭ major", "piano-strings", "calm, hopeful", "beat-transformer-1a2b3c4d", "diffbgm 0.1.0"):
        assert fact in text
    assert len(page.all("button", aria_pressed="true")) == len(film.score.parts)


def test_links_lead_to_the_files_beside_the_page(page: Page) -> None:
    assert page.all("a", href="./holiday.bgm.mid")
    assert page.all("a", href="./holiday.bgm.mp4")


def test_music_in_the_page_is_the_music(film: Film, page: Page) -> None:
    (audio,) = page.all("audio")
    kind, data = str(audio["src"]).split(",")
    assert kind == "data:audio/mp4;base64"
    with av.open(io.BytesIO(base64.b64decode(data))) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    with av.open(str(film.music)) as container:
        original = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    original = original.reshape(-1, 2)[:, 0] / 32768
    assert sound.shape[1] == pytest.approx(len(original), abs=2048)
    n = min(sound.shape[1], len(original))
    # AAC starts with 1024 samples of its own, which players (and this decoder) take away
    assert np.corrcoef(sound[0, :n], original[:n])[0, 1] > 0.99


def test_nothing_is_loaded_from_elsewhere(html: str, page: Page) -> None:
    assert not re.search(r"https?:|//[a-z0-9.-]+\.[a-z]{2,}", re.sub(r"base64,[^\"]*", "", html))
    for tag, attrs in page.tags:
        for name in ("src", "srcset", "poster", "data", "action", "background"):
            assert (attrs.get(name) or "data:").startswith("data:"), (tag, name)
        if tag == "link":
            assert attrs["href"] == "data:,"
    assert not any(re.search(r"@import|url\(", style) for style in page.styles)
    module = page.scripts[-1][1]
    assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|import\b|eval\(|innerHTML", module)


def test_policy_allows_only_the_pages_own_script(page: Page) -> None:
    (policy,) = page.all("meta", http_equiv="Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.scripts[-1][1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in str(policy["content"])
    assert str(policy["content"]).startswith("default-src 'none';")


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    film = make_film(tmp_path, n_bars=4, name=HOSTILE, warnings=(HOSTILE,))
    part = replace(film.score.parts[0], name=HOSTILE)
    section = film.plan.sections[0].model_copy(update={"label": HOSTILE})
    result = film.result | {
        "weights": HOSTILE,
        "outputs": {"video": HOSTILE, "report": "x.html"},
        "options": {HOSTILE: HOSTILE},
        "timings_s": {HOSTILE: 1.0},
    }
    film = replace(
        film,
        score=replace(film.score, parts=(part, *film.score.parts[1:])),
        plan=film.plan.model_copy(
            update={
                "sections": (section, *film.plan.sections[1:]),
                "style": HOSTILE,
                "mood_understood": (HOSTILE,),
            }
        ),
        result=result,
    )
    page = Page(film.write(tmp_path / "x.html"))

    assert [attrs.get("type") for attrs, _ in page.scripts] == ["application/json"] * 2 + ["module"]
    assert page.json("result") == without_folders(result)
    assert page.json("result")["weights"] == HOSTILE
    assert page.json("view")["parts"][0]["name"] == HOSTILE
    assert [attrs["id"] for attrs in page.all("img")] == ["monitor"]
    assert not [a for _, attrs in page.tags for a in attrs if a.startswith("on")]
    shown = HOSTILE.replace("\0", "\ufffd").replace("\udc80", "?")
    assert page.texts.count(shown) >= 8, "warning, weights, style, mood, option, timing, labels"
    assert shown.rsplit("/")[-1] in page.texts, "the heading: the file's name without its folder"
    plain = Page(make_film(tmp_path, n_bars=4).write(tmp_path / "plain.html"))
    kinds = {tag for tag, _ in page.tags}
    assert kinds <= {tag for tag, _ in plain.tags} | {"section", "ul", "li"}


def test_same_input_gives_the_same_page(film: Film, html: str) -> None:
    again = make_film(film.music.parent)
    assert again.write(film.music.with_name("again.html")) == html


def test_numbers_that_json_does_not_know_become_null() -> None:
    assert json.loads(to_json({"a": [float("-inf"), float("nan"), 1.5]})) == {"a": [None, None, 1.5]}


def test_json_cannot_end_its_element() -> None:
    """A browser ends a script at `</script ` already, before any `>`; Python's parser does not."""
    written = to_json({HOSTILE: [HOSTILE]})
    assert not set(written) & set("<>&\u2028")
    assert written.isascii()
    assert json.loads(written) == {HOSTILE: [HOSTILE]}


def test_film_without_cuts_speech_notes_or_measurements(tmp_path: Path) -> None:
    film = make_film(tmp_path, n_bars=1, cuts_s=(), thumbnails=())
    film = replace(
        film,
        analysis=replace(film.analysis, speech_spans=(), thumbnails=()),
        score=replace(film.score, parts=()),
        result={"video": "x", "loudness_lufs": None, "true_peak_dbtp": float("-inf")},
    )
    page = Page(film.write(tmp_path / "bare.html"))
    assert "hidden" in page.all("div", data_lane="speech")[0]
    assert "hidden" in page.all("div", data_lane="drums")[0]
    assert "This film has no cut the music could meet." in page.texts
    assert page.json("view")["hits"] == []


def test_a_minute_stays_below_2_5_mb(tmp_path: Path) -> None:
    film = make_film(tmp_path, n_bars=28, cuts_s=tuple(np.arange(2.0, 60.0, 2.0)))
    picture = np.random.default_rng(0).bytes(6000)
    shots = film.analysis.shots
    thumbnails = tuple(Thumbnail(shot.start_s, picture) for shot in shots for _ in range(2))
    film = replace(film, analysis=replace(film.analysis, thumbnails=thumbnails))
    film.write(tmp_path / "minute.html")
    assert (tmp_path / "minute.html").stat().st_size < 2.5e6


def test_an_hour_stays_below_25_mb(tmp_path: Path) -> None:
    cuts = tuple(np.arange(4.0, 3600.0, 4.0))
    film = make_film(tmp_path, n_bars=1710, cuts_s=cuts, write_music=False)
    picture = np.random.default_rng(0).bytes(6000)
    curve = Curve(12.0, np.linspace(0, 1, 43_200, dtype=np.float32))
    analysis = replace(
        film.analysis,
        thumbnails=tuple(Thumbnail(cut, picture) for cut in cuts),
        motion=curve,
        camera=curve,
    )
    blocks = np.zeros(36_000, np.float32)
    listening = Listening(
        10.0, np.zeros(36_000, np.uint8), np.zeros(36_000, np.uint8), blocks, blocks, m4a=b""
    )
    view = view_model(analysis, film.plan, film.roll, film.score, listening)
    assert len(base64.b64decode(view["motion"]["values"])) <= MAX_CURVE_POINTS
    assert view["motion"]["hz"] * 3600 == pytest.approx(len(base64.b64decode(view["motion"]["values"])), 0.01)
    lists = hits_table(film.plan.hits, 25) + sections_table(film.plan.sections) + tempo_list(film.plan)
    text = len(to_json(view)) + len(to_json(film.result)) + len(lists)
    assert text + MAX_EMBEDDED_BYTES * 4 / 3 < 25e6


def test_very_long_music_is_linked_beside_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffbgm.report.listening.MAX_EMBEDDED_BYTES", 1000)
    film = make_film(tmp_path, n_bars=2)
    page = Page(film.write(tmp_path / "long.html"))
    assert page.all("audio", src="./holiday.bgm.wav")
    (policy,) = page.all("meta", http_equiv="Content-Security-Policy")
    assert "media-src 'self' file:;" in str(policy["content"])


def test_unwritable_place_and_missing_music_are_said(tmp_path: Path) -> None:
    film = make_film(tmp_path, n_bars=2)
    with pytest.raises(OutputError, match="cannot write the report"):
        film.write(tmp_path / "nowhere" / "x.html")
    with pytest.raises(InputError, match=r"gone\.wav"):
        replace(film, music=tmp_path / "gone.wav").write(tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()
