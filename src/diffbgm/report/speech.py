"""Speech over music, stretch by stretch: a table of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffbgm.report.tables import number, seek, table


def panel(result: Mapping[str, Any]) -> str:
    """How far the music lies under the words; nothing where nobody speaks over it."""
    levels = result.get("speech_over_music") or ()
    if not levels:
        return ""
    rows = "".join(
        f"<tr><td>{seek(level['start_s'])}</td><td>{seek(level['end_s'])}</td>"
        + "".join(
            f'<td class="num">{number(level[name], 1)}</td>'
            for name in ("speech_lufs", "music_lufs", "ducked_db", "ratio_lu")
        )
        + "</tr>"
        for level in levels
    )
    heads = ("From", "To", "Speech, LUFS", "Music, LUFS", "Lowered by, dB", "Speech over music, LU")
    said = '<p class="quiet">Music before it is lowered; the last column is what is heard.</p>'
    return f'<section class="panel speech"><h2>Speech</h2>{said}{table(heads, rows, "Speech")}</section>'
