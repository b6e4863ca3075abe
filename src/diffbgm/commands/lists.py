"""What there is to choose from: `diffbgm styles`, `diffbgm weights`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from diffbgm.arguments import (
    MODEL,
    WISHES,
    Config,
    Debug,
    Json,
    Soundfont,
    only_given,
    print_json,
    with_options,
)
from diffbgm.errors import OptionError


@with_options({name: kind for name, kind in WISHES.items() if name != "style"}, MODEL)
def styles(
    film: Annotated[
        Path | None,
        typer.Argument(metavar="[FILM]", help="A film to hear them with, or a composed film's cue sheet."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PAGE.html",
            help="The page to write (default: NAME.styles.html).",
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(metavar="2..120", help="How much of the music each style plays: its liveliest passage."),
    ] = 20.0,
    own: Annotated[
        list[str] | None,
        typer.Option(
            "--style", metavar="NAME|FILE.toml", help="Only this style; may be given several times."
        ),
    ] = None,
    soundfont: Soundfont = None,
    config: Config = None,
    as_json: Json = False,
    debug: Debug = False,
    **given: Any,
) -> None:
    """List the styles; with FILM, write a page on which its music can be heard in all of them."""
    if film is not None:
        given |= only_given(soundfont=soundfont)
        _audition(film, output, seconds, own, given, config, as_json)
        return
    asked = {"output": output, "style": own, "soundfont": soundfont, "config": config} | given
    for name in (name for name, value in asked.items() if value):
        raise OptionError(f"option {name.replace('_', '-')}: give a film to hear the styles with")
    from diffbgm.score.styles import load_style, style_names

    known = {name: load_style(name).description for name in style_names()}
    if as_json:
        print_json({"styles": [{"name": name, "description": text} for name, text in known.items()]})
        return
    for name, text in known.items():
        print(f"{name:<15} {text}")


def _audition(
    film: Path,
    output: Path | None,
    seconds: float,
    own: list[str] | None,
    given: dict[str, Any],
    config: Path | None,
    as_json: bool,
) -> None:
    from diffbgm.audition import audition
    from diffbgm.options import ComposeOptions
    from diffbgm.progress import progress_to

    options = ComposeOptions.build(given, config)
    with progress_to(sys.stderr) as progress:
        heard = audition(film, output, options, seconds=seconds, styles=own, progress=progress)
    if as_json:
        print_json(heard.to_json())
        return
    start, end = heard.excerpt
    print(heard.page)
    print(f"  {len(heard.styles)} styles play {start:.1f} to {end:.1f} s; alone the film gets {heard.chosen}")


def list_models(context: typer.Context, as_json: Json = False, debug: Debug = False) -> None:
    """List the models that come with diffbgm; `import` and `export` make others."""
    if context.invoked_subcommand is not None:
        return
    from diffbgm.diffusion.weights import list_weights, open_weights

    models = [open_weights(str(path)) for path in list_weights()]
    if as_json:
        print_json(
            {"weights": [{"name": m.name, "path": str(m.path), "metadata": m.metadata} for m in models]}
        )
        return
    for model in models:
        print(f"{model.name}  trained on {model.metadata['data']}")
