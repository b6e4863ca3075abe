"""The document: its schema is published, and what is wrong in it is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diffbgm.errors import CueSheetError
from diffbgm.spotting.cuesheet import CueSheet
from diffbgm.spotting.spot import resolve

from .films import film

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "cuesheet.schema.json"
SHEET = resolve(CueSheet(video="film.mp4"), film(20.0, [8.0]))


def test_published_schema_is_current() -> None:
    """If this fails, run the command given in docs/cuesheet.md."""
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == CueSheet.model_json_schema()


def test_every_field_of_the_wishes_is_in_the_guide() -> None:
    guide = (SCHEMA.parent / "cuesheet.md").read_text(encoding="utf-8")
    for name, definition in CueSheet.model_json_schema()["$defs"].items():
        for field in definition.get("properties", {}):
            assert f"`{field}`" in guide, f"{name}.{field} is not explained"


def change(path: list[str | int], value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(document: Any) -> None:
        for part in path[:-1]:
            document = document[part]
        document[path[-1]] = value

    return apply


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (change(["wishes", "energy"], 2), "wishes.energy: "),
        (change(["wishes", "hits"], [{"time_s": -1}]), "wishes.hits.0.time_s: "),
        (change(["wishes", "sections"], [{"at_s": 1, "role": "solo"}]), "wishes.sections.0.role: "),
        (change(["wishes", "tempo_bpm"], [120, 90]), "wishes.tempo_bpm: "),
        (change(["wishes", "colour"], "red"), "wishes.colour: "),
        (change(["plan", "sections"], []), "plan.sections: "),
        (change(["plan", "sections", 0, "end_bar"], 99), "plan.sections.0.end_bar: "),
        (change(["plan", "sections", 0, "start_s"], 1.0), "plan.sections.0.start_s: "),
        (change(["plan", "energy"], [0.5]), "plan.energy: "),
        (change(["plan", "bar_starts_s"], [0.0, 5.0, 4.0]), "plan.bar_starts_s: "),
        (change(["plan", "duration_s"], 21.0), "plan.bar_starts_s: "),
        (change(["plan", "hits", 0, "step"], None), "plan.hits.0: "),
        (change(["plan", "hits", 0, "step"], 9999), "plan.hits.0.step: "),
        (change(["plan", "key"], "Q"), "plan.key: 'Q' is not a key"),
        (change(["plan", "key"], "A minor"), "plan.key: "),
        (change(["version"], "2.0"), "version: 2.0 cannot be read"),
    ],
)
def test_errors_name_the_field(tmp_path: Path, broken: Callable[[dict[str, Any]], None], said: str) -> None:
    document = json.loads(SHEET.model_dump_json())
    broken(document)
    path = tmp_path / "film.cues.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(CueSheetError) as caught:
        CueSheet.load(path)
    assert str(caught.value).startswith(f"{path}: {said}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"plan": NaN}'])
def test_what_is_no_sheet_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "film.cues.json"
    path.write_bytes(content)
    with pytest.raises(CueSheetError, match=r"film\.cues\.json"):
        CueSheet.load(path)
    with pytest.raises(CueSheetError, match="cannot read"):
        CueSheet.load(tmp_path)


def test_what_was_saved_loads_again(tmp_path: Path) -> None:
    SHEET.save(tmp_path / "film.cues.json")
    assert CueSheet.load(tmp_path / "film.cues.json") == SHEET
