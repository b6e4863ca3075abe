"""The panel of the report that says which takes were drawn and why one was kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from diffbgm.report.tables import table, text

LEAST: Final = 0.005  # costs below it read 0.00


def panel(result: Mapping[str, Any]) -> str:
    """A section with the ranking, a row a take; nothing where there was one take alone."""
    takes = result.get("takes") or {}
    ranking = takes.get("ranking") or []
    if len(ranking) < 2:
        return ""
    costs = [name for name in ranking[0]["costs"] if any(take["costs"][name] >= LEAST for take in ranking)]
    broken = any(take["rejected"] for take in ranking)
    rows = "".join(_row(take, costs, takes["kept"], broken) for take in ranking)
    heads = ["Take", "Score", *(text(name.capitalize()) for name in costs), *["Rejected"] * broken]
    why = text(takes["why"].capitalize().replace("-", "−"))
    return (
        f'<section class="panel takes"><h2>Takes</h2><p class="quiet">{why}. '
        "The score is minus the sum of the costs; what cost no take anything is left out.</p>"
        f"{table(heads, rows, 'Takes')}</section>"
    )


def _row(take: Mapping[str, Any], costs: list[str], kept: int, broken: bool) -> str:
    number = f"<b>{take['take']}</b>" if take["take"] == kept else str(take["take"])
    cells = "".join(f'<td class="num">{take["costs"][name]:.2f}</td>' for name in costs)
    score = f"{take['score']:.2f}".replace("-", "−")
    rejected = f"<td>{text('; '.join(take['rejected']))}</td>" if broken else ""
    return f'<tr><td>{number}</td><td class="num">{score}</td>{cells}{rejected}</tr>'
