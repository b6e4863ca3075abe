"""`diffbgm train` and `diffbgm weights export`. What does the work is imported inside the handlers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from diffbgm.arguments import ADVANCED, Debug, Json, only_given, print_json
from diffbgm.errors import InputError, MissingToolError, OutputError


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="What to train, and how.")],
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="POP909/ with its table, the BGM909 layout, or a dataset.")
    ],
    run: Annotated[Path, typer.Option(metavar="DIR", help="Checkpoint, log and curves; goes on if begun.")],
    steps: Annotated[int | None, typer.Option(metavar="N", help="Updates (default: the recipe's).")] = None,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The table of songs (default: DIR/POP909-songs.csv).")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="CPU threads (default: the recipe's).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes that prepare batches (default: the recipe's).")
    ] = None,
    precision: Annotated[
        Literal["bf16", "fp16", "fp32"] | None, typer.Option(help="Default: the recipe's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Default: the recipe's.")] = None,
    checkpoint_s: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time between checkpoints.", rich_help_panel=ADVANCED)
    ] = 240.0,
    checkpoint_steps: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="A checkpoint every so many updates.", rich_help_panel=ADVANCED
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Train a model as RECIPE says, or go on with a stopped run.

    Stop it at any time with Ctrl-C: the same command goes on where it was. On several GPUs:
    `accelerate launch -m diffbgm train RECIPE.toml ...`.
    """
    loop = _loop()
    from diffbgm.train.examples import open_examples
    from diffbgm.train.recipe import Recipe
    from diffbgm.train.report import RunReport

    changes = only_given(steps=steps, threads=threads, workers=workers, precision=precision, seed=seed)
    chosen = Recipe.read(recipe)
    if changes:
        chosen = chosen.with_training(**changes)
    learned, heldout = open_examples(chosen, data, table)
    trainer = loop.Trainer(chosen, learned, heldout, run)
    first = trainer.accelerator.is_main_process
    if trainer.step >= trainer.steps:
        print(f"{run}: has its {trainer.step} steps; give more --steps to go on", file=sys.stderr)
        return
    if first:
        begun = f", going on from step {trainer.step}" if trainer.step else ""
        print(f"{len(learned)} windows, {len(heldout)} held out{begun}", file=sys.stderr)
    try:
        if first:
            try:
                report = RunReport(run, sys.stderr, trainer.steps, chosen.training.batch, trainer.step)
            except OSError as error:
                raise OutputError(f"{run}: cannot be written to ({error.strerror})") from error
            with report.shown():
                trainer.fit(report, checkpoint_s, checkpoint_steps)
        else:
            trainer.fit(None, checkpoint_s, checkpoint_steps)
    except loop.StoppedError as stopped:
        _stopped(stopped.number, trainer.step, run, first)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a training run.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where to put the file of weights.")
    ] = Path(),
    guidance: Annotated[float, typer.Option(help="How strongly the model follows the film.")] = 2.0,
    eta: Annotated[float, typer.Option(help="Share of fresh noise in each step.")] = 0.0,
    sampler: Annotated[
        Literal["ddim", "ddpm", "euler", "heun", "dpm++2m"], typer.Option(help="How noise becomes music.")
    ] = "ddim",
    spacing: Annotated[
        Literal["linear", "cosine", "shifted", "published"], typer.Option(help="Where the noise levels lie.")
    ] = "linear",
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Denoising steps.")] = 32,
    commit: Annotated[
        str, typer.Option(help="Of the code that trained it.", rich_help_panel=ADVANCED)
    ] = "unknown",
    scores: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Scores to keep in the file, as JSON.", rich_help_panel=ADVANCED),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Turn a training run into a file of weights for `compose --weights`, which needs no torch.

    The options are what these weights are sampled with unless told otherwise.
    """
    _loop()
    from diffbgm.diffusion.sampling import Sampling
    from diffbgm.train.export import export_run

    sampling = {"guidance": guidance, "eta": eta, "steps": steps, "sampler": sampler, "spacing": spacing}
    Sampling.of(sampling)  # what does not go together is said before the work
    path, metadata = export_run(
        run, output, sampling, commit=commit, scores=None if scores is None else _json(scores)
    )
    if as_json:
        print_json({"weights": str(path), "metadata": metadata})
    else:
        print(f"{path}\n{path.stat().st_size / 1e6:.1f} MB, step {metadata['trained']['step']}")


def _loop() -> Any:
    try:
        import onnx  # noqa: F401

        from diffbgm.train import loop
    except ModuleNotFoundError as error:
        raise MissingToolError(f"training needs {error.name}: pip install 'diffbgm[train]'") from error
    return loop


def _json(path: Path) -> Any:
    import json

    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read the scores ({error})") from error


def _stopped(number: int, step: int, run: Path, first: bool) -> NoReturn:
    if first:
        print(f"stopped after step {step}; the same command goes on from {run}", file=sys.stderr)
    raise SystemExit(128 + number)
