"""`diffbgm listening-test build` and `analyze`. What does the work is imported inside the handlers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from diffbgm.arguments import Debug, Force, Json, only_given, print_json

app = typer.Typer(no_args_is_help=True, help="Have people judge the music: build a test, analyze it.")


@app.command("build")
def build_listening_test(
    source: Annotated[
        list[Path],
        typer.Argument(
            metavar="SPEC.toml|FOLDER...", help="A description, or one folder of films for each system."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to give to listeners.")
    ],
    kind: Annotated[
        Literal["mos", "pairwise"] | None, typer.Option(help="Rate clips, or compare two (default: mos).")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What listeners must not see (default: DIR.key.json beside DIR)."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Same names every time (default: secret ones).")
    ] = None,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a folder with a blind listening test; it opens from disk, without a server.

    Films of the same name in the systems' folders belong together. The key that says which clip is whose
    is written beside the folder: keep it.
    """
    from diffbgm.listening.build import build
    from diffbgm.listening.spec import load_spec, spec_of_folders, with_changes

    described = len(source) == 1 and source[0].suffix.lower() == ".toml"
    spec = load_spec(source[0]) if described else spec_of_folders(source, kind or "mos")
    built = build(with_changes(spec, **only_given(kind=kind, seed=seed)), output, key=key, force=force)
    if as_json:
        print_json({"folder": str(built.folder), "key": str(built.key), "trials": built.n_trials})
    else:
        print(
            f"{built.folder}: {built.n_trials} to judge; give it to listeners\n{built.key}: the key; keep it"
        )


@app.command("analyze")
def analyze_listening_test(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS...", help="What listeners sent back.")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="The key written when the test was built.")],
    keep_all: Annotated[
        bool, typer.Option("--keep-all", help="Use everybody, whatever the checks of attention say.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the bootstrap.")] = 0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Means, confidence intervals, significance and agreement from the listeners' results."""
    from diffbgm.listening.analyze import analyze_files, table

    report = analyze_files(results, key, seed=seed, keep_all=keep_all)
    if as_json:
        print_json(report)
    else:
        print(table(report))
