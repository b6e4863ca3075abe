"""The panel of the report that says which takes were drawn and why one was kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffbgm.report.tables import table, text


def panel(result: Mapping[str, Any]) -> str:
    """A section with the ranking, a row a take; nothing where there was one take alone."""
    takes = result.get("takes") or {}
    ranking = takes.get("ranking") or []
    if len(ranking) < 2:
        return ""
    costs = list(ranking[0]["costs"])
    rows = "".join(_row(take, costs, takes["kept"]) for take in ranking)
    heads = ("Take", "Score", *(text(name.capitalize()) for name in costs), "Rejected")
    return (
        f'<section class="panel takes"><h2>Takes</h2><p class="quiet">{text(takes["why"].capitalize())}. '
        "The score is minus the sum of the costs.</p>"
        f"{table(heads, rows, 'Takes')}</section>"
    )


def _row(take: Mapping[str, Any], costs: list[str], kept: int) -> str:
    number = f"<b>{take['take']}</b>" if take["take"] == kept else str(take["take"])
    cells = "".join(f'<td class="num">{take["costs"][name]:.2f}</td>' for name in costs)
    score = f"{take['score']:.2f}".replace("-", "−")
    rejected = text("; ".join(take["rejected"]))
    return f'<tr><td>{number}</td><td class="num">{score}</td>{cells}<td>{rejected}</td></tr>'
