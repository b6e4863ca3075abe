"""The parts of the page that are plain HTML: figures, tables, settings. They need no script.

Every string that comes from outside goes through `text`.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from diffbgm.report.harmony import instrument_name, pitch_classes
from diffbgm.score.score import Part, Score
from diffbgm.spotting.cuesheet import Hit, Plan, Section
from diffbgm.video.analysis import Analysis

LANDINGS: Final = ("downbeat", "beat", "eighth", "sixteenth", "missed")
N_PART_COLOURS: Final = 10
UNKNOWN: Final = "–"
BANDS: Final = {
    "bass": "Share below 120 Hz",
    "low": "120 to 400 Hz",
    "middle": "400 Hz to 2 kHz",
    "presence": "2 to 6 kHz",
    "air": "above 6 kHz",
}
SHOWN_ELSEWHERE: Final = frozenset({"style", "key", "seed", "weights", "output", "stems", "force", "report"})


def text(value: object) -> str:
    """A string made safe for HTML text and attributes; what UTF-8 cannot hold becomes a question mark."""
    clean = str(value).replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    return html.escape(clean, quote=True)


def clock(seconds: float) -> str:
    """`0:07.25`, `12:03.50` or `1:02:03.50`."""
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // 100:02d}.{rest % 100:02d}"


def number(value: float | None, digits: int, unit: str = "") -> str:
    """A rounded number with its unit, or a dash where it is not known."""
    if value is None:
        return UNKNOWN
    rounded = f"{value:.{digits}f}".replace("-", "−")
    return f'{rounded}<span class="unit"> {text(unit)}</span>' if unit else rounded


def subtitle(analysis: Analysis) -> str:
    """One line about the film."""
    sideways = analysis.rotation % 180 == 90
    width, height = (analysis.height, analysis.width) if sideways else (analysis.width, analysis.height)
    shots = len(analysis.shots)
    facts = [
        clock(analysis.duration_s),
        f"{width} × {height}",
        f"{round(analysis.fps, 3):g} frames a second",
        f"{shots} shot{'s' if shots != 1 else ''}",
    ]
    return " · ".join(text(fact) for fact in facts)


def warnings_box(warnings: Sequence[str]) -> str:
    """What went less well than it could have; nothing where there is nothing to say."""
    if not warnings:
        return ""
    items = "".join(f"<li>{text(warning[:1].upper() + warning[1:])}</li>" for warning in warnings)
    noun = "One thing" if len(warnings) == 1 else f"{len(warnings)} things"
    return (
        f'<section class="notice" aria-labelledby="warnings-title">'
        f'<h2 id="warnings-title">{noun} to know</h2><ul>{items}</ul></section>'
    )


def figures(plan: Plan, result: Mapping[str, Any]) -> str:
    """The handful of figures one looks at first."""
    bpms = plan.tempo_map.bpm_of_bars()
    slowest, fastest = float(bpms.min()), float(bpms.max())
    tempo = f"{slowest:.0f}" if round(slowest) == round(fastest) else f"{slowest:.0f}–{fastest:.0f}"
    kept = [hit for hit in plan.hits if hit.on is not None]
    on_beat = sum(hit.on in ("downbeat", "beat") for hit in kept)
    entries = [
        ("Key", text(key_name(plan.key))),
        ("Tempo", f'{tempo}<span class="unit"> BPM</span>'),
        ("Bars", str(plan.tempo_map.n_bars)),
        ("Style", text(plan.style)),
        ("Hits met", _share(len(kept), len(plan.hits))),
        ("On a beat", _share(on_beat, len(kept))),
        ("Loudness", number(result.get("loudness_lufs"), 1, "LUFS")),
        ("True peak", number(result.get("true_peak_dbtp"), 1, "dBTP")),
    ]
    return "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in entries)


def key_name(key: str) -> str:
    """`Ebm` as `E♭ minor`."""
    tonic = key.removesuffix("m")
    accidental = {"#": "♯", "b": "♭"}.get(tonic[1:], tonic[1:])
    return f"{tonic[:1]}{accidental} {'minor' if key.endswith('m') else 'major'}"


def _share(part: int, whole: int) -> str:
    return f'{part}<span class="unit"> of {whole}</span>' if whole else UNKNOWN


def legend(parts: Iterable[Part]) -> str:
    """One switch a part: shows and hides its notes."""
    return "".join(
        f'<li><button type="button" class="chip" data-part="{index}" aria-pressed="true">'
        f'<span class="swatch" style="--c:var(--part-{index % N_PART_COLOURS})"></span>'
        f"{text(part.name)}</button></li>"
        for index, part in enumerate(parts)
    )


def landing_bar(hits: Sequence[Hit]) -> str:
    """How many hits landed where, as one divided bar with its key; nothing where there are none."""
    if not hits:
        return ""
    counts = Counter(hit.on or "missed" for hit in hits)
    bar = "".join(
        f'<span class="{name}" style="flex-grow:{counts[name]}"></span>' for name in LANDINGS if counts[name]
    )
    key = "".join(
        f'<li><span class="mark {name}"></span>{name} <b>{counts[name]}</b></li>' for name in LANDINGS
    )
    return f'<div class="landing" aria-hidden="true">{bar}</div><ul class="landing-key">{key}</ul>'


def hits_table(hits: Sequence[Hit], fps: float) -> str:
    """Every candidate moment and where the music met it. The bar's full length is half a frame."""
    if not hits:
        return '<p class="empty">This film has no cut the music could meet.</p>'
    half_frame_ms = 500.0 / fps
    rows = "".join(_hit_row(hit, half_frame_ms) for hit in hits)
    return table(("At", "From", "Weight", "Lands on", "Error"), rows, "Hits")


def _hit_row(hit: Hit, half_frame_ms: float) -> str:
    landing = hit.on or "missed"
    if hit.error_ms is None:
        error = f'<td class="num quiet">{UNKNOWN}</td>'
    else:
        share = max(-1.0, min(1.0, hit.error_ms / half_frame_ms))
        left = 50 * (1 + min(0.0, share))
        meter = f'<span class="offset"><i style="left:{left:.1f}%;width:{abs(share) * 50:.1f}%"></i></span>'
        error = f'<td class="num">{meter}{_signed(hit.error_ms, 1)}<span class="unit"> ms</span></td>'
    return (
        f"<tr><td>{seek(hit.time_s)}</td><td>{text(hit.source)}</td>"
        f'<td>{_meter(hit.weight)}</td><td><span class="mark {landing}"></span>{landing}</td>{error}</tr>'
    )


def sections_table(sections: Sequence[Section]) -> str:
    """The form of the music."""
    rows = "".join(
        f"<tr><td>{seek(section.start_s)}</td>"
        f'<td><span class="role {section.role}">{text(section.label)}</span> {section.role}</td>'
        f'<td class="num">{section.end_bar - section.start_bar}</td>'
        f'<td class="num">{section.tempo_bpm:.1f}</td>'
        f"<td>{_meter(section.energy)}</td>"
        f'<td class="num">{_signed(section.valence, 2)}</td>'
        f'<td class="num">{_signed(section.arousal, 2)}</td></tr>'
        for section in sections
    )
    return table(("At", "Section", "Bars", "BPM", "Energy", "Valence", "Arousal"), rows, "Sections")


def parts_table(score: Score) -> str:
    """Who plays."""
    names = pitch_classes(score.key)
    rows = "".join(
        f'<tr><td><span class="swatch" style="--c:var(--part-{index % N_PART_COLOURS})"></span>'
        f"{text(part.name)}</td>"
        f"<td>{text(instrument_name(part.program, part.is_drums))}</td>"
        f'<td class="num">{len(part.notes)}</td><td>{_compass(part, names)}</td></tr>'
        for index, part in enumerate(score.parts)
    )
    return table(("Part", "Instrument", "Notes", "Compass"), rows, "Parts")


def _compass(part: Part, names: Sequence[str]) -> str:
    if part.is_drums or not part.notes:
        return UNKNOWN
    low = min(note.pitch for note in part.notes)
    high = max(note.pitch for note in part.notes)
    return "–".join(f"{names[pitch % 12]}{pitch // 12 - 1}" for pitch in (low, high))


def tempo_list(plan: Plan) -> str:
    """The tempo of every bar."""
    return "".join(
        f"<li><b>{bar}</b> {point.bpm:.1f}</li>" for bar, point in enumerate(plan.tempo_points, start=1)
    )


def settings(plan: Plan, result: Mapping[str, Any]) -> str:
    """What was asked for and what it was made with."""
    entries: list[tuple[str, str]] = [
        ("Made by", f"diffbgm {text(_plain(result.get('version')))}"),
        ("Weights", text(_plain(result.get("weights")))),
        ("Seed", text(plan.seed)),
        ("Style", text(plan.style)),
        ("Key", text(key_name(plan.key))),
    ]
    if made := result.get("reconformed"):
        entries.append(("Music from", text(f"{made['cues']} ({made['video']}): bars {made['summary']}")))
    if plan.mood_understood:
        entries.append(("Mood understood", text("; ".join(plan.mood_understood))))
    options = result.get("options") or {}
    entries += [
        (text(str(name).replace("_", " ").capitalize()), text(_plain(value)))
        for name, value in options.items()
        if value not in (None, [], ()) and name not in SHOWN_ELSEWHERE
    ]
    if (memory := result.get("peak_rss_mb")) is not None:
        entries.append(("Peak memory", number(memory, 0, "MB")))
    return "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in entries)


def timings(result: Mapping[str, Any]) -> str:
    """Seconds a stage, drawn to scale, and their sum."""
    stages = {name: seconds for name, seconds in (result.get("timings_s") or {}).items() if name != "total"}
    if not stages:
        return f'<p class="empty">{UNKNOWN}</p>'
    longest = max(stages.values()) or 1.0
    rows = "".join(
        f'<li><span>{text(name)}</span><span class="meter wide">'
        f'<i style="width:{100 * seconds / longest:.1f}%"></i></span>'
        f'<span class="num">{number(seconds, 2, "s")}</span></li>'
        for name, seconds in stages.items()
    )
    total = number(sum(stages.values()), 2, "s")
    rows += f'<li class="sum"><span>in all</span><span></span><span class="num">{total}</span></li>'
    return f'<ul class="timings">{rows}</ul>'


def files(result: Mapping[str, Any]) -> str:
    """What was written, linked where it lies beside the page."""
    outputs = {name: Path(place) for name, place in (result.get("outputs") or {}).items() if place}
    page = outputs.get("report")
    rows = []
    for kind, place in outputs.items():
        name = f"<bdi>{text(place.name)}</bdi>"
        if page is not None and place.parent == page.parent:
            name = f'<a href="./{quote(place.name, errors="replace")}">{name}</a>'
        rows.append(f"<div><dt>{text(kind)}</dt><dd>{name}</dd></div>")
    return "".join(rows)


def own_music(result: Mapping[str, Any]) -> str:
    """Level, dynamics and spectrum of the film's own music beside what was composed; or that it has none."""
    compared = result.get("own_music") or {}
    film, music = compared.get("film"), compared.get("music")
    if not film or not music:
        return '<p class="empty">The film has no music of its own to compare with.</p>'
    measures = [
        ("Loudness", "LUFS", film["lufs"], music["lufs"]),
        ("Loudness range", "LU", film["range_lu"], music["range_lu"]),
        ("Peaks above loudness", "dB", film["peak_to_loudness_db"], music["peak_to_loudness_db"]),
        ("Side against middle", "dB", film["side_db"], music["side_db"]),
        *((BANDS[band], "dB", film["bands_db"][band], share) for band, share in music["bands_db"].items()),
    ]
    rows = "".join(
        f"<tr><td>{text(name)}</td>"
        f'<td class="num">{number(own, 1, unit)}</td><td class="num">{number(ours, 1, unit)}</td></tr>'
        for name, unit, own, ours in measures
    )
    said = '<p class="quiet">Each alone; the film outside speech.</p>'
    return said + table(("", "The film", "Composed"), rows, "The film's own music beside the composed")


def table(heads: Sequence[str], rows: str, caption: str) -> str:
    cells = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table>'
        f'<caption class="unseen">{caption}</caption>'
        f"<thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def seek(seconds: float) -> str:
    return f'<button type="button" class="seek" data-seek="{seconds:.4f}">{clock(seconds)}</button>'


def _meter(share: float) -> str:
    return (
        f'<span class="meter"><i style="width:{100 * share:.0f}%"></i></span>'
        f'<span class="num">{share:.2f}</span>'
    )


def _signed(value: float, digits: int) -> str:
    rounded = round(value, digits) + 0.0
    return ("+" if rounded > 0 else "−" if rounded < 0 else "") + f"{abs(rounded):.{digits}f}"


def _plain(value: Any) -> str:
    """A setting in words: lists with commas, tables as `name value`."""
    if value is None:
        return UNKNOWN
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(inner) for inner in value)
    return str(value)
