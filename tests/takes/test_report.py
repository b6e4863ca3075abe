"""What the report and the guide say of takes."""

from __future__ import annotations

import re
from pathlib import Path

from diffbgm.report.takes import LEAST, panel
from diffbgm.takes.asked import Asked
from diffbgm.takes.measures import measure
from diffbgm.takes.rank import UNITS, WEIGHTS, Choice, ranked

from .pieces import PLAN, emptied, sampled

ASKED = Asked.of_plan(PLAN)
GUIDE = Path(__file__).parents[2] / "docs" / "takes.md"


def test_the_panel_shows_every_take_and_what_is_wrong_with_it() -> None:
    rolls = [sampled(0), sampled(1), emptied(sampled(2), 0)]
    choice = Choice.of([ranked(k, measure(roll, ASKED), ASKED) for k, roll in enumerate(rolls)])
    shown = panel({"takes": choice.to_json()})
    assert f"Take {choice.kept.number} of 3 kept, score " in shown
    assert shown.count("<tr>") == 4
    assert shown.count("<b>") == 1
    assert f"<td><b>{choice.kept.number}</b></td>" in shown
    assert "empty: no note at all" in shown
    costly = {name for take in choice.takes for name, cost in take.costs.items() if cost >= LEAST}
    assert 0 < len(costly) < len(UNITS)
    assert {name for name in UNITS if f">{name.capitalize()}<" in shown} == costly
    sound = Choice.of([ranked(k, measure(roll, ASKED), ASKED) for k, roll in enumerate(rolls[:2])])
    assert ">Rejected<" in shown
    assert ">Rejected<" not in panel({"takes": sound.to_json()})


def test_one_take_needs_no_panel() -> None:
    choice = Choice.of([ranked(0, measure(sampled(), ASKED), ASKED)])
    assert panel({"takes": choice.to_json()}) == panel({"takes": None}) == panel({}) == ""


def test_the_guide_gives_units_and_weights_as_they_are() -> None:
    rows = re.findall(
        r"^\| (\w+) \| [^|]+ \| ([\d.]+) \| ([\d.]+) \|$", GUIDE.read_text(encoding="utf-8"), re.M
    )
    told = {name: (float(unit), float(weight)) for name, unit, weight in rows if name in UNITS}
    assert told == {name: (UNITS[name], WEIGHTS[name]) for name in UNITS}
