"""`diffbgm features`. What does the work is imported inside the handler."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from diffbgm.arguments import ADVANCED, Debug, Force, Json, Shots, Video, only_given, print_json


def features(
    film: Video,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The file (default: NAME.features.npz beside the film)."
        ),
    ] = None,
    visual: Annotated[
        str | None,
        typer.Option(metavar="NAME|DIR", help="Vision-language model (default: CLIP ViT-B/32)."),
    ] = None,
    captioner: Annotated[
        str | None,
        typer.Option(metavar="NAME|DIR", help="Model that describes each shot (default: BLIP base)."),
    ] = None,
    language: Annotated[
        str | None, typer.Option(metavar="NAME|DIR", help="Language model (default: BERT base).")
    ] = None,
    captions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Captions (.srt, .vtt or .json) in place of the captioner."),
    ] = None,
    shots: Shots = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch models that are missing from the Hugging Face hub.")
    ] = False,
    visual_hz: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=30,
            metavar="HZ",
            help="Visual rows a second (default: 1).",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    visual_frames: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, metavar="N", help="Pictures a visual row (default: 2).", rich_help_panel=ADVANCED
        ),
    ] = None,
    caption_frames: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100,
            metavar="N",
            help="Pictures of a shot to describe (default: 1).",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    pooling: Annotated[
        Literal["mean", "cls", "pooler"] | None,
        typer.Option(help="How words become one row (default: mean).", rich_help_panel=ADVANCED),
    ] = None,
    any_width: Annotated[
        bool,
        typer.Option(
            "--any-width",
            help="Take models whose rows are not 512 and 768 wide.",
            rich_help_panel=ADVANCED,
        ),
    ] = False,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Extract the features of VIDEO that the paper's networks take, by pretrained models.

    Nothing is fetched without --download. A run that was stopped goes on where it was. See docs/features.md.
    """
    from diffbgm.features.captioner import CaptionSettings
    from diffbgm.features.extract import FeatureSettings, extract
    from diffbgm.outputs import check_input, check_places, staging
    from diffbgm.progress import progress_to

    given = only_given(
        visual=visual, captioner=captioner, language=language, captions=captions, shots=shots,
        visual_hz=visual_hz, visual_frames=visual_frames, pooling=pooling,
    )  # fmt: skip
    described = CaptionSettings(**only_given(frames=caption_frames))
    settings = FeatureSettings(**given, download=download, any_width=any_width, caption=described)
    check_input(film)
    path = output or film.with_suffix(".features.npz")
    check_places((path,), force=force, inputs=(film,) if captions is None else (film, captions))
    _quiet()
    with progress_to(sys.stderr) as progress:
        found = extract(film, settings, progress=progress)
    with staging(path.parent) as place:
        found.save(place.file(path))
        place.move_in()
    if as_json:
        print_json({"features": str(path), **found.about(), "visual_rows": len(found.visual)})
        return
    typer.echo(
        f"{path}\n"
        f"  {len(found.visual)} visual rows, {found.visual.shape[1]} wide, by {found.visual_by.name}\n"
        f"  {len(found.captions)} captions by {found.captions_by.name}\n"
        f"  {len(found.language)} language rows, {found.language.shape[1]} wide, by {found.language_by.name}"
    )


def _quiet() -> None:
    """Keep the libraries' own bars and advice off the terminal; what is wrong ends in an error of ours."""
    import os

    # Read by the libraries when they are imported, which is later.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
