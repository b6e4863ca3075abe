"""Small bar charts as SVG: readable in any browser and in a Markdown page, on light and dark ground."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

_WIDTH: Final = 640
_HEIGHT: Final = 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 34, 44
_MOST_LABELS: Final = 16


def bar_chart(title: str, labels: Sequence[str], values: Sequence[float], *, x: str = "", y: str = "") -> str:
    """One bar a label, from 0 up; of many labels only some are written. x, y: what the axes say."""
    top = max(values, default=0.0) or 1.0
    inner, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    step = inner / max(len(values), 1)
    every = -(-len(labels) // _MOST_LABELS)
    base = _TOP + height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="11" fill="#777">',
        f'<text x="{_LEFT}" y="18" font-size="13">{escape(title)}</text>',
    ]
    for share in (0.0, 0.5, 1.0):
        at = base - share * height
        parts.append(
            f'<path d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}" stroke="#777" stroke-opacity=".35"/>'
            f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{top * share:.3g}</text>'
        )
    for index, (label, value) in enumerate(zip(labels, values, strict=True)):
        left, tall = _LEFT + index * step, value / top * height
        parts.append(
            f'<rect x="{left + 0.1 * step:.2f}" y="{base - tall:.2f}" width="{0.8 * step:.2f}" '
            f'height="{tall:.2f}" fill="#3b7dd8"><title>{escape(label)}: {value:.4g}</title></rect>'
        )
        if index % every == 0:
            middle = left + step / 2
            parts.append(
                f'<text x="{middle:.1f}" y="{base + 14}" text-anchor="middle">{escape(label)}</text>'
            )
    parts.append(
        f'<text x="{_LEFT + inner / 2:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>'
        f'<text x="12" y="{_TOP + height / 2:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 12 {_TOP + height / 2:.0f})">{escape(y)}</text></svg>\n'
    )
    return "\n".join(parts)
