"""`diffbgm weights import`. What does the work is imported inside the handler."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from diffbgm.arguments import Debug, Force, Json, print_json
from diffbgm.errors import MissingToolError, OutputError


def import_weights(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="FILE", help="A checkpoint of Diff-BGM: a torch file, or .safetensors.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="A name that ends in .onnx, or a folder (default: the folder of FILE).",
        ),
    ] = None,
    force: Force = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Turn a published checkpoint of the paper's U-Net into a file for `compose --weights`.

    Every tensor's name and shape is checked first. The file is opened so that it cannot run code.
    """
    try:
        from diffbgm.train.published import import_published
    except ModuleNotFoundError as error:
        raise MissingToolError(f"importing needs {error.name}: pip install 'diffbgm[train]'") from error
    from diffbgm.outputs import check_places, staging
    from diffbgm.progress import Stages, progress_to

    named = output is not None and output.suffix == ".onnx"
    folder = checkpoint.parent if output is None else output.parent if named else output
    if output is not None and named:
        check_places((output,), force=force, inputs=(checkpoint,))
    elif not folder.is_dir():
        raise OutputError(f"{folder}: there is no such folder; create it, or give a name that ends in .onnx")
    with staging(folder) as place, progress_to(sys.stderr) as progress:
        with Stages(progress).stage("importing"):
            written, metadata = import_published(checkpoint, place.work)
        path = output if output is not None and named else folder / written.name
        check_places((path,), force=force, inputs=(checkpoint,))
        written.replace(place.file(path))
        place.move_in()
    if as_json:
        print_json({"weights": str(path), "metadata": metadata})
        return
    sampling = metadata["sampling"]
    typer.echo(
        f"{path}\n"
        f"  {path.stat().st_size / 1e6:.1f} MB; unless told otherwise {sampling['steps']} steps of "
        f"{sampling['sampler']} with guidance {sampling['guidance']:g}\n"
        "  diffbgm features FILM, then diffbgm compose FILM "
        f"--weights {path} --features FILM.features.npz"
    )
