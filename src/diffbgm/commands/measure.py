"""`diffbgm evaluate`. What does the work is imported inside the handler."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from diffbgm.arguments import ADVANCED, Debug, Json, print_json, warn
from diffbgm.errors import BatchError, OptionError


def evaluate(
    music: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE|DIR]...", help="MIDI files, sounds, films, piano rolls; or folders."),
    ] = None,
    generated: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="The same, as an option.")
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Real music: adds realism, and retrieval of equal names."),
    ] = None,
    videos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The films that music of the same name was made for.")
    ] = None,
    training: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="What the system was trained on: adds novelty."),
    ] = None,
    embedder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:DIR]",
            help="Rank sounds too: audio, musicnn, clap:DIR or mert:DIR with the weights.",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    structure: Annotated[
        bool,
        typer.Option(
            "--structure/--no-structure",
            help="Measure self-similarity, which takes most of the time.",
            rich_help_panel=ADVANCED,
        ),
    ] = True,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep figures here after each file; a rerun continues from it."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes (default: one a core).", rich_help_panel=ADVANCED),
    ] = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one row a file.")] = False,
    as_html: Annotated[bool, typer.Option("--html", help="Print a page.")] = False,
    debug: Debug = False,
) -> None:
    """Measure music of any system: quality, structure, realism, novelty, fit to the picture."""
    if as_json + as_csv + as_html > 1:
        raise OptionError("option json: give one of --json, --csv and --html")
    paths = [*(music or []), *(generated or [])]
    if not paths:
        raise OptionError("option generated: give files or folders to evaluate")
    from diffbgm.evaluate import evaluate as measure
    from diffbgm.evaluation import tables
    from diffbgm.progress import progress_to

    with progress_to(sys.stderr) as progress:
        found = measure(
            paths, reference=reference or (), videos=videos, training=training or (), embedder=embedder,
            with_structure=structure, save=save, jobs=jobs, progress=progress,
        )  # fmt: skip
    warn(found.warnings)
    if as_json:
        print_json(found.to_json())
    elif as_csv:
        print(tables.as_csv(found), end="")
    else:
        print(tables.page(found) if as_html else tables.markdown(found), end="")
    if found.errors:
        for line in found.errors.values():
            print(f"not measured: {line}", file=sys.stderr)
        count = len(found.files) + len(found.errors)
        raise BatchError(f"{len(found.errors)} of {count} files could not be measured")
