"""The card of a dataset: what it holds, how it was made, its columns, its statistics with plots; all of it
written from the data, so that it cannot say anything else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from diffbgm.data import store
from diffbgm.data.manifest import STAND_IN
from diffbgm.data.plots import bar_chart
from diffbgm.data.schema import schema
from diffbgm.data.statistics import Statistics, statistics

CARD: Final = "DATA_CARD.md"
HOME: Final = "stats"
FIGURES: Final = "statistics.json"

# What each plot shows: a quantity with its unit, or counts with what was counted.
_HISTOGRAMS: Final = {
    "song minutes": "minutes", "tempo": "beats a minute", "notes a beat": "notes",
    "grid fit": "share of onsets", "film minutes": "minutes",
    "shots a minute": "shots", "speech share": "share of the film",
    "motion": "mean motion", "offset": "seconds of song at video time 0",
    "share of the song under the film": "share of beats",
}  # fmt: skip
_BARS: Final = {"key": "beats", "chord": "beats", "phrase bars": "phrases", "metre": "items"}
_MOST_BARS: Final = 24
_BINS: Final = 24


def write_card(folder: Path) -> tuple[Path, Statistics]:
    """Write `DATA_CARD.md`, `stats/statistics.json` and a plot a quantity.

    Raises InputError if `folder` holds no dataset.
    """
    found = statistics(folder)
    home = folder / HOME
    home.mkdir(exist_ok=True)
    plots = dict(_plots(found))
    for path in home.glob("*.svg"):
        if path.name not in plots:
            path.unlink()
    for name, text in plots.items():
        _write(home / name, text)
    _write(home / FIGURES, json.dumps(found.to_json(), indent=2, ensure_ascii=False) + "\n")
    _write(folder / CARD, _card(folder, found, list(plots)))
    return folder / CARD, found


def _plots(found: Statistics) -> Iterator[tuple[str, str]]:
    for name, unit in _HISTOGRAMS.items():
        values = found.values.get(name)
        if values:
            counts, edges = np.histogram(values, bins=_BINS)
            middles = [f"{middle:.3g}" for middle in (edges[:-1] + edges[1:]) / 2]
            yield _file(name), bar_chart(name, middles, counts.tolist(), x=unit, y="items")
    for name, counted in _BARS.items():
        ranked = sorted(found.counts.get(name, Counter()).items(), key=lambda each: (-each[1], each[0]))[
            :_MOST_BARS
        ]
        if name == "phrase bars":
            ranked.sort(key=lambda each: (len(each[0]), each[0]))
        if ranked:
            yield _file(name), bar_chart(name, [k for k, _ in ranked], [v for _, v in ranked], y=counted)


def _card(folder: Path, found: Statistics, plots: list[str]) -> str:
    about = store.description(folder)
    parts = [
        "# Data card",
        "Written from the data by `diffbgm dataset stats`.",
        _contents(about, found),
        "## How it was made",
        _made(folder, about),
        "## What to mind",
        _stand_ins(found) + _LIMITS,
        "## Numbers",
        _quantities(found.to_json()),
        _counts(found),
        *(f"![{name}]({HOME}/{name})" for name in plots),
        "## Columns",
        "One row an item. Two clocks: columns of the music hold song time, those of the film video time "
        "(seconds from the first frame), and song time = video time + offset_s.",
        _columns(),
    ]
    return "\n\n".join(parts) + "\n"


def _contents(about: dict[str, Any], found: Statistics) -> str:
    rows = [
        ("items", f"{about['items']}"),
        ("songs", f"{len(found.songs)}, {found.total('song minutes') / 60:.1f} h with repetitions"),
        ("videos", f"{len(found.videos)}, {found.total('film minutes') / 60:.2f} h"),
        ("beats, notes", f"{found.total('beats'):.0f}, {found.total('notes'):.0f}"),
        *((f"split {name}", f"{count} items") for name, count in sorted(about["splits"].items())),
        ("schema version", about["schema_version"]),
    ]
    return _table(("", ""), rows)


def _made(folder: Path, about: dict[str, Any]) -> str:
    failures = folder / store.FAILURES
    failed = len(failures.read_text(encoding="utf-8").splitlines()) if failures.is_file() else 0
    settings = ", ".join(f"{name} {value}" for name, value in sorted(about["settings"].items()))
    return (
        f"`diffbgm dataset build`, diffbgm {about['diffbgm_version']}; settings: {settings}. Split: "
        f"{about['split_rule']}. {failed} items could not be built (`{store.FAILURES}` says why). Media are "
        f"not part of it: rows name them by path, below `{about['media_root']}`, and by SHA-256."
    )


_LIMITS: Final = (
    "- The rights are those of the songs, videos and features that went in; look them up before passing "
    "rows on.\n"
    "- Chords, keys and phrases that were not given with a song are estimates; each has a confidence, and "
    "the column's name or `phrase_source` says which.\n"
    "- Shots, motion and speech are measured by programs, not marked by people.\n"
    "- `dataset verify` tells which items have broken beats, doubtful offsets or near-duplicates in the "
    "other split."
)


def _stand_ins(found: Statistics) -> str:
    """Says, where there are any, that videos do not belong to their songs."""
    made_by = found.counts.get("pairs made by", Counter())
    count = sum(items for name, items in made_by.items() if name.startswith(STAND_IN))
    if not count:
        return ""
    return (
        f"- **{count} items have stand-in videos: they do not belong to their songs.** Nothing that is "
        "learned from such pairs says anything of music and film.\n"
    )


def _quantities(figures: dict[str, Any]) -> str:
    heads = ("", "items", "mean", "p5", "p25", "p50", "p75", "p95")
    rows = []
    for name, found in figures["quantities"].items():
        rows.append((name, str(found["items"]), *(f"{found[each]:.4g}" for each in heads[2:])))
    return _table(heads, rows)


def _counts(found: Statistics) -> str:
    lines = []
    for name, counts in sorted(found.counts.items()):
        if name not in ("key", "chord", "phrase bars"):
            said = ", ".join(f"{key} {value}" for key, value in sorted(counts.items()))
            lines.append(f"- {name}: {said}")
    return "\n".join(lines)


def _columns() -> str:
    rows = []
    for each in schema():
        about = {key.decode(): value.decode() for key, value in each.metadata.items()}
        unit = ", ".join(part for part in (about.get("unit"), about.get("axes")) if part)
        kind = str(each.type)
        kind = f"{kind[:57]}..." if len(kind) > 60 else kind
        rows.append((f"`{each.name}`", f"`{kind}`", about["description"], unit))
    return _table(("column", "type", "what", "unit, axes"), rows)


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines: list[tuple[str, ...]] = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _file(name: str) -> str:
    return f"{name.replace(' ', '-')}.svg"


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
