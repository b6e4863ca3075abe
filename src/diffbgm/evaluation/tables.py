"""An evaluation as a table to read: Markdown, CSV or a page."""

from __future__ import annotations

import csv
import html
import io
from typing import Any, Final

from diffbgm.evaluation.results import Evaluation

WORDS: Final = {
    "pche_1bar": "PCHE, 1 bar (MusDr), bits",
    "pche_4bar": "PCHE, 4 bars (MusDr), bits",
    "pche_8bar": "PCHE, 8 bars (MusDr), bits",
    "pche_notebook": "PCHE (notebook), bits",
    "gps": "GPS, 16 positions",
    "gps_64": "GPS, 64 positions",
    "gps_notebook": "GPS (notebook)",
    "si_3_8": "SI 3-8 s, from notes",
    "si_8_15": "SI 8-15 s, from notes",
    "si_15": "SI from 15 s, from notes",
    "si_any": "SI any length, from notes",
    "si_audio_3_8": "SI 3-8 s, from sound",
    "si_audio_8_15": "SI 8-15 s, from sound",
    "si_audio_15": "SI from 15 s, from sound",
    "si_audio_any": "SI any length, from sound",
    "chord_irregularity": "chord-progression irregularity",
    "scale_consistency": "share of notes in one scale",
    "groove_consistency": "groove kept from bar to bar",
    "empty_bars": "bars without a note",
    "notes_per_bar": "notes a bar",
    "polyphony": "notes at once",
    "pitch_range": "pitch range, semitones",
    "copied_notes": "longest passage shared with training, notes",
    "copied_notes_8bar": "the same in 8 bars, mean",
    "copied_share": "share of notes in shared passages of 12 or more",
}
"""Keys that have words, in the order of the table; the JSON has more."""


def markdown(evaluation: Evaluation) -> str:
    """The whole as Markdown: one table of means, then comparisons, errors and warnings."""
    data = evaluation.to_json()
    parts = [f"# Evaluation of {len(evaluation.files)} pieces", _summary(data)]
    if fit := _fit(data["summary"]):
        parts += ["## Fit to the picture", fit]
    if "realism" in data:
        parts += ["## Realism: against the reference", _realism(data["realism"])]
    for name, figures in data.get("retrieval", {}).items():
        parts += [f"## Retrieval of the reference ({name} embedder)", _retrieval(figures)]
    for name, figures in data.get("picture", {}).items():
        parts += [f"## Retrieval: {name.replace('_', ' ')}", _retrieval(figures)]
    if "novelty" in data:
        parts.append(f"Novelty is against {data['novelty']['training_songs']} training songs.")
    parts += [f"- not measured: {name}: {line}" for name, line in evaluation.errors.items()]
    parts += [f"- {line}" for line in evaluation.warnings]
    return "\n\n".join(parts) + "\n"


def as_csv(evaluation: Evaluation) -> str:
    """One row a piece, one column a key; empty where there is no figure."""
    keys = list(dict.fromkeys(key for figures in evaluation.files.values() for key in figures))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["file", *keys])
    for name, figures in evaluation.files.items():
        writer.writerow([name, *("" if (value := figures.get(key)) is None else value for key in keys)])
    return out.getvalue()


def page(evaluation: Evaluation) -> str:
    """A page on its own: the means, then every piece."""
    rows = []
    for block in markdown(evaluation).split("\n\n"):
        if block.startswith("#"):
            level = len(block) - len(block.lstrip("#"))
            rows.append(f"<h{level}>{html.escape(block.lstrip('# '))}</h{level}>")
        elif block.startswith("|"):
            cells = [line.strip("|").split("|") for line in block.splitlines() if not line.startswith("|-")]
            rows.append(_html_table(cells[0], cells[1:]))
        else:
            rows.append(f"<p>{html.escape(block)}</p>")
    keys = [key for key in WORDS if any(key in figures for figures in evaluation.files.values())]
    pieces = [
        [name, *(_number(figures.get(key)) for key in keys)] for name, figures in evaluation.files.items()
    ]
    rows += ["<h2>Every piece</h2>", _html_table(["file", *keys], pieces)]
    return _PAGE.format(body="\n".join(rows))


def _summary(data: dict[str, Any]) -> str:
    summary = data["summary"]
    # The figures of other reference songs in training passages stand with novelty.
    reference = data.get("reference_summary", {}) | data.get("novelty", {}).get("reference", {})
    head = ["figure", "mean", "95 % interval", "n"] + (["reference", "its interval"] if reference else [])
    rows = []
    for key in (key for key in WORDS if key in summary and summary[key]["n"]):
        row = [WORDS[key], *_mean(summary[key]), str(summary[key]["n"])]
        if reference:
            row += _mean(reference[key]) if reference.get(key, {}).get("n") else ["", ""]
        rows.append(row)
    return _table(head, rows)


def _fit(summary: dict[str, Any]) -> str:
    """Correspondence: each figure beside what the same music reaches by chance; empty where there is none."""
    rows = []
    for key, row in summary.items():
        name = key.removesuffix("_value").removesuffix("_rho")
        if key == name and not key.endswith(("_frames", "_resolves")):
            continue
        beside = [summary.get(f"{name}_{chance}") for chance in ("random", "fixed_tempo")]
        chances = [_number(each["mean"]) if each else "" for each in beside]
        rows.append([name.replace("_", " "), *_mean(row), *chances, str(row["n"])])
    head = ["figure", "mean", "95 % interval", "random offset", "fixed tempo", "n"]
    return _table(head, rows) if rows else ""


def _realism(data: dict[str, Any]) -> str:
    real = data.get("features_real", {})
    rows = []
    for name, each in data["features"].items():
        row = [name.replace("_", " "), _number(each["overlap"]), _number(each["kl"])]
        row += [_number(real[name][field]) if name in real else "" for field in ("overlap", "kl")]
        rows.append(row)
    text = _table(["feature", "OA", "KL", "OA, real against real", "KL, real against real"], rows)
    if "classifier" not in data:
        return text
    rows = [
        [label, _number(data[key]["auc"]), _interval(data[key]["auc_ci95"]), _number(data[key]["accuracy"]),
         _interval(data[key]["accuracy_ci95"]), str(data[key]["n"])]
        for label, key in (("these pieces", "classifier"), ("real against real", "classifier_real"))
        if key in data
    ]  # fmt: skip
    head = ["told from the reference", "AUC", "95 %", "accuracy", "95 %", "windows a side"]
    return f"{text}\n\n{_table(head, rows)}"


def _retrieval(figures: dict[str, Any]) -> str:
    rows = [
        [name.replace("p_at_", "P@").replace("ar", "AR (mean rank)"), _number(each["value"]),
         _interval(each["ci95"]), _number(each["chance"]), _number(each["shuffled"])]
        for name, each in figures.items() if isinstance(each, dict)
    ]  # fmt: skip
    return _table(["figure", "value", "95 % interval", "chance", "shuffled pairs"], rows)


def _mean(each: dict[str, Any]) -> list[str]:
    return [_number(each["mean"]), _interval(each["ci95"])]


def _interval(bounds: list[float]) -> str:
    return f"{_number(bounds[0])} .. {_number(bounds[1])}"


def _number(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(line) + " |" for line in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def _html_table(head: list[str], rows: list[list[str]]) -> str:
    cells = "".join(f"<th>{html.escape(cell.strip())}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell.strip())}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<div class=wide><table><tr>{cells}</tr>{body}</table></div>"


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Evaluation</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
 color: #1c1f24; background: #fff; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: .6rem 0 1.6rem; }}
th, td {{ padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #d9dde3; white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; }}
th {{ font-weight: 600; background: #f4f6f8; }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e6e8eb; background: #16181c; }}
 th {{ background: #22262c; }} th, td {{ border-color: #363c44; }} }}
</style></head><body>
{body}
</body></html>
"""
