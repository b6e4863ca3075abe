"""The card: numbers that can be told by hand, plots that are pictures, nothing that is not from the data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("pyarrow")

from diffbgm.data.plots import bar_chart
from diffbgm.data.schema import schema

from ..conftest import Run
from .test_store import dataset


def test_statistics_and_card(tmp_path: Path, diffbgm: Callable[..., Run]) -> None:
    """Rows a and c have the same song of 32 beats at 120, 40 notes, and a film of 12 s; b the song alone."""
    dataset(tmp_path / "d", ["a", "b", "c"])
    run = diffbgm("dataset", "stats", tmp_path / "d", "--json")
    assert run.code == 0
    found = json.loads(run.out)
    assert (found["items"], found["songs"], found["videos"]) == (3, 1, 1)
    assert found["quantities"]["tempo"]["p50"] == 120
    assert found["quantities"]["notes a beat"]["mean"] == 1.25
    assert found["quantities"]["film minutes"] == {"items": 1, "mean": 0.2, **dict.fromkeys(PERCENTILES, 0.2)}
    assert found["quantities"]["shots a minute"]["mean"] == 10
    assert found["quantities"]["speech share"]["mean"] == pytest.approx(1 / 12, abs=1e-4)
    assert found["counts"]["key"] == {"C": 96}
    assert found["counts"]["phrase bars"] == {"4": 6}
    assert found["counts"]["items with"]["film"] == 2
    assert json.loads((tmp_path / "d/stats/statistics.json").read_text()) == found

    card = (tmp_path / "d/DATA_CARD.md").read_text()
    assert all(f"| `{field.name}` |" in card for field in schema())
    for line in card.splitlines():
        if line.startswith("!["):
            plot = ElementTree.fromstring((tmp_path / "d" / line.split("(")[1].rstrip(")")).read_text())
            assert plot.tag.endswith("svg")
    before = {path: path.read_bytes() for path in (tmp_path / "d").rglob("*") if path.is_file()}
    diffbgm("dataset", "stats", tmp_path / "d")
    assert {path: path.read_bytes() for path in before} == before


PERCENTILES = ("p0", "p5", "p25", "p50", "p75", "p95", "p100")


def test_no_dataset_is_told_in_one_line(tmp_path: Path, diffbgm: Callable[..., Run]) -> None:
    run = diffbgm("dataset", "stats", tmp_path)
    assert run.code == 3
    assert "no dataset there" in run.err
    assert len(run.err.splitlines()) == 1


def test_bars_are_as_high_as_their_values() -> None:
    plot = ElementTree.fromstring(bar_chart("a < b", ["x", "y"], [1.0, 4.0]))
    heights = [float(each.attrib["height"]) for each in plot if each.tag.endswith("rect")]
    assert heights[1] == pytest.approx(4 * heights[0])
    assert ElementTree.fromstring(bar_chart("empty", [], [])) is not None
