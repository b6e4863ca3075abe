"""The commands that make music for a film: `compose`, `analyze`, `cues`, `render`.

What does the work is imported inside the handlers.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from diffbgm.arguments import (
    ADVANCED,
    FINISHING,
    MODEL,
    WISHES,
    Config,
    Debug,
    Force,
    Json,
    Shots,
    Soundfont,
    Style,
    Video,
    only_given,
    print_json,
    warn,
    with_options,
)


@with_options(WISHES, FINISHING, MODEL)
def compose(
    video: Video,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="The film to write (default: NAME.bgm.EXT beside the video).",
        ),
    ] = None,
    takes: Annotated[
        int | None,
        typer.Option(metavar="N", help="Compose this many and keep the best (default: by length, up to 4)."),
    ] = None,
    all_takes: Annotated[
        bool | None,
        typer.Option(
            "--all-takes",
            help="With --takes: write a film of each take that is sound.",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    config: Config = None,
    as_json: Json = False,
    debug: Debug = False,
    **given: Any,
) -> None:
    """Compose music for VIDEO and write the film with it.

    Beside the film, named after it: the music alone (.wav, .mid), the cue sheet to edit (.cues.json), the
    notes (.roll.npz) and a report (.html).
    """
    from diffbgm import pipeline
    from diffbgm.options import ComposeOptions
    from diffbgm.progress import progress_to

    own = only_given(output=output, takes=takes, all_takes=all_takes)
    options = ComposeOptions.build(given | own, config)
    with progress_to(sys.stderr) as progress:
        result = pipeline.compose(video, options, progress=progress)
    warn(result.warnings)
    if as_json:
        print_json(result.to_json())
        return
    from diffbgm.console import compose_summary

    print(compose_summary(result))


def analyze(video: Video, shots: Shots = None, as_json: Json = False, debug: Debug = False) -> None:
    """Show what diffbgm sees and hears in VIDEO: shots, motion, brightness, speech. Writes nothing."""
    from diffbgm import pipeline
    from diffbgm.console import analysis_summary
    from diffbgm.progress import progress_to
    from diffbgm.video.analyze import to_json

    with progress_to(sys.stderr) as progress:
        analysis = pipeline.analyze_film(video, shots=shots or "builtin", progress=progress)
    warn(analysis.warnings)
    if as_json:
        print_json(to_json(analysis))
    else:
        print(analysis_summary(analysis))


@with_options(WISHES)
def cue_sheet(
    video: Video,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The sheet (default: NAME.cues.json beside the video)."
        ),
    ] = None,
    config: Config = None,
    as_json: Json = False,
    debug: Debug = False,
    **given: Any,
) -> None:
    """Spot VIDEO: write the cue sheet that `compose --cues` takes, without composing."""
    from diffbgm import pipeline
    from diffbgm.console import plan_summary
    from diffbgm.options import ComposeOptions
    from diffbgm.progress import progress_to

    with progress_to(sys.stderr) as progress:
        path, sheet = pipeline.write_cues(
            video, output, ComposeOptions.build(given, config), progress=progress
        )
    assert sheet.plan is not None
    warn(sheet.plan.warnings)
    if as_json:
        print_json(sheet.model_dump(mode="json"))
    else:
        print(f"{path}\n{plan_summary(sheet.plan)}")


@with_options({"style": Style, "force": Force, "soundfont": Soundfont}, MODEL)
def render(
    music: Annotated[
        Path, typer.Argument(metavar="CUES|MIDI", help="A cue sheet (.cues.json) or a MIDI file.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.wav", help="The sound file.")],
    as_json: Json = False,
    debug: Debug = False,
    **given: Any,
) -> None:
    """Render the music of a cue sheet or a MIDI file to a WAV file, without the film.

    A cue sheet plays the notes that `compose` kept beside it (.roll.npz) as long as they fit the bars of its
    plan, so that another style is heard on the same notes; otherwise its plan is composed.
    """
    from diffbgm import pipeline
    from diffbgm.options import ComposeOptions
    from diffbgm.progress import progress_to

    with progress_to(sys.stderr) as progress:
        rendered = pipeline.render(music, output, ComposeOptions.build(given), progress=progress)
    if as_json:
        print_json(rendered.to_json())
    else:
        print(f"{rendered.wav}\n{rendered.duration_s:.1f} s, notes {rendered.notes}")
