"""`diffbgm dataset ...`. What does the work is imported inside the handlers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from diffbgm.arguments import ADVANCED, Debug, Force, Json, Shots, print_json
from diffbgm.errors import BatchError

if TYPE_CHECKING:
    from diffbgm.data.build import Progress

app = typer.Typer(no_args_is_help=True, help="Make a dataset of songs and videos, check it, look at it.")

_EVERY_S = 10.0


@app.command("pair")
def pair_files(
    songs: Annotated[Path, typer.Option(metavar="FOLDER", help="POP909, or a folder of MIDI files.")],
    videos: Annotated[Path, typer.Option(metavar="FOLDER", help="The videos.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The manifest to write (.csv, .parquet).")
    ],
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="name|duration|audio",
            help="What pairs are made by (default: audio). `--by name --by audio` pairs by name and measures "
            "the offsets by ear.",
        ),
    ] = None,
    min_confidence: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="0..1", help="Leave out pairs that are less sure.")
    ] = 0.6,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Propose which video goes with which song, and where the song begins in it.

    Read the manifest before building from it: offset_s is the song time at video time 0, confidence says how
    sure each pair is.
    """
    from diffbgm.data.manifest import check_name, write_manifest
    from diffbgm.data.pairing import DRIFT_WARNED_S, propose
    from diffbgm.errors import InputError
    from diffbgm.outputs import check_places
    from diffbgm.progress import progress_to

    check_name(output)
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


@app.command("build")
def build_dataset(
    manifest: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST",
            help="CSV or Parquet with songs and videos; or POP909 (folder, archive), or a folder of MIDI.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The dataset's folder.")],
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Processes of this machine, or a Ray cluster.")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes (default: one a core).")
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Published split (.pickle), or CSV with song_id and split "
            "(default: songs whose number ends in 9 are held out).",
        ),
    ] = None,
    extract: Annotated[
        bool, typer.Option("--extract", help="Compute learned features of videos that have none.")
    ] = False,
    align: Annotated[
        Literal["time", "stretched"],
        typer.Option(
            help="Learned features on the beats: by time overlap, or stretched over the song.",
            rich_help_panel=ADVANCED,
        ),
    ] = "time",
    song_table: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="POP909-songs.csv (default: the one beside the songs).",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    shots: Shots = None,
    force: Annotated[bool, typer.Option("--force", help="Make every row anew.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Annotate and align songs and videos into Parquet files.

    May be stopped at any moment: the same command goes on where it was, and does only what has changed.
    """
    from diffbgm.data.build import build
    from diffbgm.data.worker import BuildSettings

    settings = BuildSettings(
        shots=shots or "builtin",
        extract=extract,
        alignment=align,
        song_table=None if song_table is None else str(song_table.absolute()),
    )
    result = build(
        manifest, output, settings, engine=engine, workers=workers, split=split, force=force,
        progress=_progress(sys.stderr.isatty()),
    )  # fmt: skip
    if as_json:
        print_json(result.to_json())
    else:
        print(
            f"{output}: {result.items} items, {result.built} built now, {result.unchanged} unchanged, "
            f"{result.seconds:.1f} s"
        )
    for failure in result.failures:
        print(f"failed: {failure.item_id} (row {failure.row}): {failure.reason}", file=sys.stderr)
    if result.failures:
        raise BatchError(f"{len(result.failures)} items failed; see {output / 'failures.jsonl'}")


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
    from diffbgm.data.verify import verify
    from diffbgm.data.verify_report import summary
    from diffbgm.errors import BatchError
    from diffbgm.progress import progress_to

    with progress_to(sys.stderr) as progress:
        report = verify(folder, media=media, progress=progress)
    if as_json:
        print_json(report.to_json())
    else:
        print(summary(report))
    if report.of("error"):
        raise BatchError(f"{report.items_with_errors} of {report.n_items} items have errors")


@app.command("stats")
def dataset_stats(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A dataset.")],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Count what is in a dataset and write its DATA_CARD.md with plots."""
    from diffbgm.data.card import write_card

    card, found = write_card(folder)
    if as_json:
        print_json(found.to_json())
    else:
        print(f"{card}: {found.n_items} items, {len(found.songs)} songs, {len(found.videos)} videos")


@app.command("view")
def view_item(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A dataset.")],
    item: Annotated[str, typer.Argument(metavar="ITEM", help="The id of an item.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The page to write (default: ITEM.html)."),
    ] = None,
    no_sound: Annotated[bool, typer.Option("--no-sound", help="Only draw the notes: faster.")] = False,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Draw an item as a page to look at and to hear: pictures, beats, chords, notes, features, conditions."""
    from diffbgm.data.view import write_view
    from diffbgm.outputs import check_places

    page = output or Path(f"{item}.html")
    check_places((page,), force=force, inputs=())
    warnings = write_view(folder, item, page, sound=not no_sound)
    if as_json:
        print_json({"page": str(page), "warnings": warnings})
        return
    print(page)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _progress(on_terminal: bool) -> Callable[[Progress], None]:
    """Tells how far a build is: in one line that is drawn over on a terminal, else a line now and then."""
    last_s = 0.0

    def tell(progress: Progress) -> None:
        nonlocal last_s
        ends = progress.done == progress.total
        if not ends and monotonic() - last_s < (0.1 if on_terminal else _EVERY_S):
            return
        last_s = monotonic()
        failed = f", {progress.failed} failed" if progress.failed else ""
        left = timedelta(seconds=round(progress.remaining_s))
        text = f"{progress.done}/{progress.total} items, {progress.rate:.1f} a minute, {left} left{failed}"
        print(
            f"\r\033[K{text}" if on_terminal else text,
            end="" if on_terminal and not ends else "\n",
            file=sys.stderr,
        )
        sys.stderr.flush()

    return tell
