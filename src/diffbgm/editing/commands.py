"""`diffbgm edit` and `diffbgm reconform`. What does the work is imported inside the handlers."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from diffbgm.arguments import (
    FINISHING,
    MODEL,
    Chords,
    Config,
    Debug,
    Energy,
    Force,
    Json,
    Mood,
    Shots,
    Soundfont,
    only_given,
    print_json,
    warn,
    with_options,
)
from diffbgm.errors import OptionError


@with_options({"soundfont": Soundfont}, MODEL)
def edit(
    cues: Annotated[
        Path, typer.Argument(metavar="CUES", help="The cue sheet that `compose` wrote beside its film.")
    ],
    bars: Annotated[
        str | None, typer.Option(metavar="FIRST-LAST", help="Bars to compose anew, counted from 1.")
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(
            metavar="melody|counter|accompaniment",
            help="Only this track; may be given several times (default: all).",
        ),
    ] = None,
    like: Annotated[
        Literal["rhythm", "notes"] | None,
        typer.Option(help="Keep when notes are struck and change which, or the reverse."),
    ] = None,
    energy: Energy = None,
    mood: Mood = None,
    chords: Chords = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Another seed, another music (default: one more than the last one)."),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take the last edit back.")] = False,
    redo: Annotated[bool, typer.Option("--redo", help="Make the edit again that was undone last.")] = False,
    video: Annotated[
        Path | None,
        typer.Option(metavar="FILM", help="Where the film is, if it does not lie beside the cue sheet."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
    debug: Debug = False,
    **given: Any,
) -> None:
    """Compose some bars of a film's music anew; every other note stays as it is.

    The film and what lies beside it are written anew; --undo brings back what was there. The sound is
    finished as it was, unless --config says how.
    """
    wishes = only_given(energy=energy, mood=mood, chords=chords, seed=seed)
    asked = wishes | only_given(bars=bars, track=track or None, like=like)
    if undo + redo + (bars is not None) != 1 or (asked and (undo or redo)):
        raise OptionError("option bars: give the bars to compose anew, or --undo or --redo alone")
    from diffbgm.console import compose_summary
    from diffbgm.editing import edit as editing
    from diffbgm.options import ComposeOptions
    from diffbgm.progress import progress_to

    options = ComposeOptions.build(given | wishes, config)
    with progress_to(sys.stderr) as progress:
        if bars is None:
            again = editing.undo if undo else editing.redo
            result = again(cues, options, video=video, progress=progress)
        else:
            result = editing.edit(
                cues, read_bars(bars), options, tracks=track or (), like=like, video=video, progress=progress
            )
    warn(result.warnings)
    if as_json:
        edits = [made.model_dump(mode="json") for made in result.cues.edits]
        print_json({**result.to_json(), "edits": edits})
    else:
        print(f"{compose_summary(result)}\n  {len(result.cues.edits)} edits since it was composed")


@with_options({"shots": Shots, "force": Force}, FINISHING, MODEL)
def reconform(
    cues: Annotated[
        Path,
        typer.Argument(metavar="OLD.cues.json", help="The cue sheet that `compose` wrote for the old cut."),
    ],
    video: Annotated[Path, typer.Argument(metavar="NEW_VIDEO", help="The new cut.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="The film to write (default: NAME.bgm.EXT beside the video).",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Another seed, other new bars (default: one more than the last one)."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
    debug: Debug = False,
    **given: Any,
) -> None:
    """Fit a film's music to a new cut of it; only what is new is composed.

    Scenes that survived keep their music, bar for bar, and take it with them where they moved.
    The sound is finished as it was, unless options say otherwise.
    """
    from diffbgm.console import compose_summary
    from diffbgm.editing import reconform as reconforming
    from diffbgm.options import ComposeOptions
    from diffbgm.progress import progress_to

    options = ComposeOptions.build(given | only_given(output=output, seed=seed), config)
    with progress_to(sys.stderr) as progress:
        result = reconforming.reconform(cues, video, options, progress=progress)
    made = result.cues.reconformed
    assert made is not None
    warn(result.warnings)
    if as_json:
        print_json(result.to_json())
    else:
        print(f"{compose_summary(result)}\n  bars: {made.summary}")


def read_bars(text: str) -> tuple[int, int]:
    """`9-16` or `9` as first and last bar. Raises OptionError if it is neither."""
    match = re.fullmatch(r"\s*(\d{1,6})(?:\s*-\s*(\d{1,6}))?\s*", text)
    if match is None:
        raise OptionError(f"option bars: {text!r} is neither a bar nor a range such as 9-16")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last:
        raise OptionError(f"option bars: {text}: expected the first bar, from 1 on, before the last one")
    return first, last
