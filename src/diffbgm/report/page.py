"""One HTML page that shows and plays what was composed. It needs nothing beside itself, and no network.

The page holds the drawings' numbers (`id="view"`), the result as the command line prints it
(`id="result"`) and the music. A content security policy lets it load nothing and run no script but its
own, whatever strings the film's name or metadata hold. The same input gives the same page.
"""

from __future__ import annotations

import base64
import hashlib
import os
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, Final
from urllib.parse import quote

from diffbgm.diffusion.roll import PianoRoll
from diffbgm.errors import OutputError
from diffbgm.report import speech, tables, takes
from diffbgm.report.listening import Listening, listen
from diffbgm.report.view import to_json, view_model, without_folders
from diffbgm.score.score import Score
from diffbgm.spotting.cuesheet import Plan
from diffbgm.video.analysis import Analysis

SCRIPTS: Final = ("model.js", "range.js", "paint.js", "lanes.js", "roll.js", "player.js", "main.js")
"""In this order they make one module: each may use the names of those before it."""


def write_report(
    path: Path,
    *,
    analysis: Analysis,
    plan: Plan,
    roll: PianoRoll,
    score: Score,
    result: dict[str, Any],
    music: Path,
) -> None:
    """Write the page to `path`.

    score: what is drawn is what sounds, part by part; the chord names come from `roll`.
    result: JSON values as `compose --json` prints them; stored in the page as they are, except that
        infinite numbers become null.
    music: the sound file of the music alone. Up to about an hour of it goes into the page (see
        `listening.choose_bitrate`); beyond that the page plays `music` itself, by a relative link, and
        must stay beside it.

    Raises InputError if `music` cannot be read, OutputError if the page cannot be written.
    """
    listening = listen(music, score.duration_s)
    page = _page(path, analysis, plan, roll, score, result, music, listening)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot write the report ({error.strerror})") from error


def _page(
    path: Path,
    analysis: Analysis,
    plan: Plan,
    roll: PianoRoll,
    score: Score,
    result: dict[str, Any],
    music: Path,
    listening: Listening,
) -> str:
    template = resources.files("diffbgm.report") / "template"
    script = "\n".join((template / name).read_text(encoding="utf-8") for name in SCRIPTS)
    style = (template / "page.css").read_text(encoding="utf-8")
    has_drums = any(part.is_drums for part in score.parts)
    return Template((template / "page.html").read_text(encoding="utf-8")).substitute(
        policy=policy(script, embedded=listening.m4a is not None),
        title=tables.text(Path(analysis.video).name),
        subtitle=tables.subtitle(analysis),
        style=style,
        warnings=tables.warnings_box(result.get("warnings") or ()),
        figures=tables.figures(plan, result),
        duration=tables.clock(score.duration_s),
        duration_s=f"{score.duration_s:.3f}",
        audio=audio_source(listening, music, path),
        music_name=tables.text(music.name),
        legend=tables.legend(score.parts),
        speech_hidden="" if analysis.speech_spans else "hidden",
        drums_hidden="" if has_drums else "hidden",
        landing=tables.landing_bar(plan.hits),
        hits=tables.hits_table(plan.hits, plan.fps),
        sections=tables.sections_table(plan.sections),
        parts=tables.parts_table(score),
        tempo=tables.tempo_list(plan),
        settings=tables.settings(plan, without_folders(result)),
        files=tables.files(result),
        timings=tables.timings(result),
        takes=takes.panel(result),
        own_music=tables.own_music(result),
        speech=speech.panel(result),
        view=to_json(view_model(analysis, plan, roll, score, listening)),
        result=to_json(without_folders(result)),
        script=script,
    )


def policy(script: str, *, embedded: bool) -> str:
    """Content security policy: only this very script runs, only data inside the page loads."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    media = "data: blob:" if embedded else "'self' file:"
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        f"img-src data:; media-src {media}; base-uri 'none'; form-action 'none'"
    )


def audio_source(listening: Listening, music: Path, page: Path) -> str:
    if listening.m4a is not None:
        return "data:audio/mp4;base64," + base64.b64encode(listening.m4a).decode("ascii")
    relative = os.path.relpath(music.absolute(), page.absolute().parent)
    return "./" + quote(Path(relative).as_posix(), errors="replace")
