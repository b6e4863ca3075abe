"""The score as plain lists, for pages and programs that read JSON."""

from __future__ import annotations

from typing import Any

from diffbgm.score.score import Score


def parts_as_lists(score: Score) -> list[dict[str, Any]]:
    """One entry a part: `name`, `program`, `is_drums` and `notes`.

    Each note is `[start_s, end_s, pitch, velocity]`, times rounded to a tenth of a millisecond.
    """
    return [
        {
            "name": part.name,
            "program": part.program,
            "is_drums": part.is_drums,
            "notes": [[round(n.start_s, 4), round(n.end_s, 4), n.pitch, n.velocity] for n in part.notes],
        }
        for part in score.parts
    ]
