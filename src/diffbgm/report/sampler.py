"""One HTML page on which a film's music can be heard in many styles. Like the report, it needs no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, Final

from diffbgm.errors import OutputError
from diffbgm.report import tables
from diffbgm.report.harmony import instrument_name
from diffbgm.report.listening import Listening
from diffbgm.report.page import policy
from diffbgm.report.view import base64_of, part_of, to_json
from diffbgm.score.score import Score
from diffbgm.spotting.cuesheet import Plan

_ICON: Final = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path class="icon-play" d="M8 5.2v13.6a.6.6 0 0 0 .92.5'
    'l10.4-6.8a.6.6 0 0 0 0-1L8.92 4.7a.6.6 0 0 0-.92.5z"/><path class="icon-pause" d="M7 5h3.4v14H7z'
    'M13.6 5H17v14h-3.4z"/></svg>'
)


@dataclass(frozen=True)
class Sample:
    """One style's excerpt. measured: figures of its sound, as `sound.figures.SoundFigures.to_json`."""

    name: str
    description: str
    score: Score
    listening: Listening
    measured: Mapping[str, Any]


def write_sampler(
    path: Path,
    film: str,
    command: str,
    plan: Plan,
    excerpt: tuple[float, float],
    samples: Sequence[Sample],
) -> None:
    """Write the page to `path`.

    film: its name. command: what a person types before ` --style NAME` to have all of the music in a style.
    plan: for the style it was given and its key. excerpt: seconds of the film that the samples play.
    Raises OutputError if the page cannot be written.
    """
    template = resources.files("diffbgm.report") / "template"
    script = (template / "sampler.js").read_text(encoding="utf-8")
    style = "".join((template / name).read_text(encoding="utf-8") for name in ("page.css", "sampler.css"))
    start, end = excerpt
    page = Template((template / "sampler.html").read_text(encoding="utf-8")).substitute(
        policy=policy(script, embedded=True),
        title=tables.text(film),
        style=style,
        subtitle=(
            f"{len(samples)} styles, the same notes · "
            f"{tables.clock(start)} to {tables.clock(end)} of the film · "
            f"{tables.text(tables.key_name(plan.key))} · all equally loud"
        ),
        cards="".join(_card(index, sample, command, plan.style) for index, sample in enumerate(samples)),
        view=to_json({"duration": end - start, "styles": [_view(sample) for sample in samples]}),
        script=script,
    )
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot write the page ({error.strerror})") from error


def onsets_per_s(score: Score) -> float:
    """Moments a second at which something is struck; strokes within a hundredth of a second count as one."""
    moments = {round(note.start_s, 2) for part in score.parts for note in part.notes}
    return len(moments) / score.duration_s


def _card(index: int, sample: Sample, command: str, chosen: str) -> str:
    assert sample.listening.m4a is not None  # at most two minutes
    sound = "data:audio/mp4;base64," + base64.b64encode(sample.listening.m4a).decode("ascii")
    name = tables.text(sample.name)
    parts = "".join(
        f'<li><span class="swatch" style="--c:var(--part-{number % tables.N_PART_COLOURS})"></span>'
        f"{tables.text(part.name)}"
        f'<span class="unseen">: {tables.text(instrument_name(part.program, part.is_drums))}</span></li>'
        for number, part in enumerate(sample.score.parts)
    )
    mark = '<span class="chosen">chosen for the film</span>' if sample.name == chosen else ""
    return f"""<article class="panel style" data-style="{index}" aria-labelledby="style-{index}">
<div class="top"><button type="button" class="play" aria-label="Play {name}" disabled>
{_ICON}
</button><div><h2 id="style-{index}">{name} {mark}</h2>
<p class="about">{tables.text(sample.description)}</p></div></div>
<audio controls preload="none" src="{sound}"></audio>
<div class="picture"><canvas aria-hidden="true"></canvas>
<input type="range" min="0" max="1" step="any" value="0" aria-label="Position in {name}"></div>
<ul class="parts">{parts}</ul>
<dl class="pairs">{_figures(sample)}</dl>
<p class="command"><code>{tables.text(command)} --style {name}</code></p>
</article>
"""


def _figures(sample: Sample) -> str:
    measured = sample.measured
    entries = (  # explained at the foot of the page
        ("Strokes", tables.number(onsets_per_s(sample.score), 1, "a second")),
        ("Centre", tables.number(measured["centroid_hz"], 0, "Hz")),
        ("Range", tables.number(measured["range_lu"], 1, "LU")),
        ("Peaks", tables.number(measured["peak_to_loudness_db"], 1, "dB")),
        ("Sides", tables.number(measured["side_db"], 1, "dB")),
    )
    return "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in entries)


def _view(sample: Sample) -> dict[str, Any]:
    return {
        "name": sample.name,
        "parts": [part_of(part) for part in sample.score.parts],
        "wave": base64_of(sample.listening.rms.tobytes()),
    }
