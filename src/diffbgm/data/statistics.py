"""What is in a dataset, counted from its rows: sizes, music, films, and how they lie together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from diffbgm.data import store

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS: Final = [
    "item_id", "song_id", "video_id", "split", "source", "offset_s", "pair_confidence", "pair_method",
    "n_beats", "n_notes", "duration_s", "tempo_bpm", "downbeat", "beats_per_bar", "eighths_per_beat", "keys",
    "given_keys", "chords", "given_chords", "phrases", "phrase_source", "grid_fit", "lyrics", "film",
    "captions", "features", "on_beats", "music_conditions", "film_conditions",
]  # fmt: skip
_PERCENTILES: Final = (0, 5, 25, 50, 75, 95, 100)


@dataclass
class Statistics:
    """values: a list a quantity, one number an item that has it. counts: by category, in beats or items."""

    n_items: int = 0
    values: dict[str, list[float]] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    songs: set[str] = field(default_factory=set)
    videos: set[str] = field(default_factory=set)

    def add(self, name: str, value: float | None) -> None:
        if value is not None and np.isfinite(value):
            self.values.setdefault(name, []).append(float(value))

    def count(self, name: str, category: str, amount: int = 1) -> None:
        self.counts.setdefault(name, Counter())[category] += amount

    def total(self, name: str) -> float:
        return float(sum(self.values.get(name, ())))

    def to_json(self) -> dict[str, Any]:
        """Percentiles of the quantities and the counts, largest first."""
        quantities = {}
        for name, values in sorted(self.values.items()):
            levels = np.percentile(values, _PERCENTILES)
            quantities[name] = {
                "items": len(values),
                "mean": round(float(np.mean(values)), 4),
                **{f"p{p}": round(float(v), 4) for p, v in zip(_PERCENTILES, levels, strict=True)},
            }
        return {
            "items": self.n_items,
            "songs": len(self.songs),
            "videos": len(self.videos),
            "quantities": quantities,
            "counts": {
                name: dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))
                for name, found in sorted(self.counts.items())
            },
        }


def statistics(folder: Path) -> Statistics:
    """Count a dataset, a row at a time. Raises InputError if there is none."""
    out = Statistics()
    for table in store.read_rows(store.data_files(folder), _COLUMNS):
        _count_row(out, table)
    return out


def _count_row(out: Statistics, table: pa.Table) -> None:
    row = {name: table.column(name)[0].as_py() for name in _COLUMNS if name not in ("features", "film")}
    out.n_items += 1
    out.songs.add(row["song_id"])
    out.count("split", row["split"] or "none")
    out.count("source", row["source"])
    compound = "" if row["eighths_per_beat"] == 2 else " compound"
    out.count("metre", f"{row['beats_per_bar']} beats{compound}")
    out.count("phrases", row["phrase_source"])
    out.add("song minutes", row["duration_s"] / 60)
    out.add("tempo", row["tempo_bpm"])
    out.add("beats", row["n_beats"])
    out.add("notes", row["n_notes"])
    out.add("notes a beat", row["n_notes"] / row["n_beats"])
    out.add("grid fit", row["grid_fit"])
    out.add("keys a song", len(row["keys"]))
    _count_spans(out, "key", row["keys"])
    _count_spans(out, "chord", row["chords"])
    for phrase in row["phrases"]:
        bars = sum(row["downbeat"][phrase["start_beat"] : phrase["end_beat"]])
        out.count("phrase bars", str(bars) if bars <= 16 else "more")
    for name in ("music_conditions", "film_conditions", "given_chords", "given_keys", "lyrics", "captions"):
        if row[name]:
            out.count("items with", name.replace("_", " "))
    if table.column("features")[0].is_valid:
        out.count("items with", "learned features")
    if table.column("film")[0].is_valid:
        _count_film(out, table.column("film")[0].as_py(), row)


def _count_film(out: Statistics, film: dict[str, Any], row: dict[str, Any]) -> None:
    out.count("items with", "film")
    out.add("offset", row["offset_s"])
    out.add("pair confidence", row["pair_confidence"])
    out.count("pairs made by", row["pair_method"] or "not said")
    covered = np.array(row["on_beats"]["covered"], float)
    out.add("share of the song under the film", float(covered.mean()))
    if row["video_id"] in out.videos:
        return
    out.videos.add(row["video_id"])
    minutes = film["duration_s"] / 60
    out.add("film minutes", minutes)
    out.add("shots a minute", len(film["shots"]) / minutes)
    out.add("speech share", sum(s["end_s"] - s["start_s"] for s in film["speech"]) / film["duration_s"])
    for name in ("motion", "brightness", "saturation", "warmth"):
        out.add(name, float(np.mean(film[name])))
    for transition in film["transitions"]:
        out.count("transition", transition["kind"])


def _count_spans(out: Statistics, name: str, spans: Iterable[dict[str, Any]]) -> None:
    """In beats."""
    for span in spans:
        out.count(name, span["label"], span["end_beat"] - span["start_beat"])
