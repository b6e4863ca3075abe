"""`diffbgm dataset pair` and `verify`. What does the work is imported inside the handlers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from diffbgm.arguments import Debug, Force, Json, print_json

app = typer.Typer(no_args_is_help=True, help="Make a dataset of songs and videos, check it, look at it.")


@app.command("pair")
def pair_files(
    songs: Annotated[Path, typer.Option(metavar="FOLDER", help="POP909, or a folder of MIDI files.")],
    videos: Annotated[Path, typer.Option(metavar="FOLDER", help="The videos.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The manifest to write (.csv, .parquet).")
    ],
    by: Annotated[
        list[Literal["name", "duration", "audio"]] | None,
        typer.Option(
            help="What pairs are made by (default: audio). `--by name --by audio` pairs by name and measures "
            "the offsets by ear."
        ),
    ] = None,
    min_confidence: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="0..1", help="Leave out pairs that are less sure.")
    ] = 0.5,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Propose which video goes with which song, and where the song begins in it.

    Read the manifest before building from it: offset_s is the song time at video time 0, confidence says how
    sure each pair is.
    """
    from diffbgm.console import progress_to
    from diffbgm.data.manifest import write_manifest
    from diffbgm.data.pairing import DRIFT_WARNED_S, propose
    from diffbgm.errors import InputError
    from diffbgm.outputs import check_places

    check_places((output,), force=force, inputs=())
    with progress_to(sys.stderr) as progress:
        proposal = propose(songs, videos, by or ("audio",), min_confidence=min_confidence, progress=progress)
    if proposal.pairs:
        write_manifest(proposal.rows(output), output)
    for pair in proposal.pairs:
        if pair.drift_s > DRIFT_WARNED_S:
            print(
                f"warning: {pair.video}: plays at {pair.speed:.4f} times the song's tempo, so that its "
                f"offset is off by {pair.drift_s:.2f} s at either end",
                file=sys.stderr,
            )
    if as_json:
        print_json(proposal.to_json())
    else:
        for pair in proposal.pairs:
            print(f"{pair.confidence:5.2f}  {pair.song.name}  {pair.video}  offset {pair.offset_s:+.3f} s")
        for video, reason in proposal.unpaired.items():
            print(f"    -  {video}: {reason}")
    if not proposal.pairs:
        raise InputError(f"{videos}: no video could be paired with a song; {output} was not written")


@app.command("verify")
def verify_dataset(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A dataset, or POP909 as it is distributed.")],
    media: Annotated[
        bool, typer.Option("--media", help="Also read all media: their hashes, and the songs in soundtracks.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Look for missing media, misaligned pairs, broken beats, leakage and features that say nothing.

    Ends with exit code 0 if no item has an error, 5 otherwise.
    """
    from diffbgm.console import progress_to
    from diffbgm.data.verify import verify
    from diffbgm.data.verify_report import summary
    from diffbgm.errors import BatchError

    with progress_to(sys.stderr) as progress:
        report = verify(folder, media=media, progress=progress)
    if as_json:
        print_json(report.to_json())
    else:
        print(summary(report))
    if report.of("error"):
        raise BatchError(f"{report.items_with_errors} of {report.n_items} items have errors")
