"""The command `diffbgm`. Everything heavy is imported inside the handlers, so that `--help` is quick.

stdout holds the answer (with `--json` exactly one JSON object), stderr the progress, the warnings and the
one line that says what went wrong. Exit codes: see `diffbgm.errors`; 130 after Ctrl-C.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Annotated, Literal, NoReturn

import typer
from typer.main import get_command

from diffbgm import __version__
from diffbgm.arguments import (
    ADVANCED,
    Captions,
    Chords,
    Config,
    Cues,
    Debug,
    Energy,
    Eta,
    Features,
    Force,
    Guidance,
    GuidanceRescale,
    Hits,
    Json,
    Key,
    Melody,
    MelodyBar,
    Modulate,
    Mood,
    Sampler,
    Seed,
    Segments,
    Selector,
    Shots,
    Soundfont,
    Spacing,
    Steps,
    Style,
    Tempo,
    Threshold,
    Video,
    Weights,
    only_given,
    print_json,
)
from diffbgm.data.commands import app as dataset
from diffbgm.editing.commands import edit
from diffbgm.errors import BatchError, DiffbgmError, OptionError
from diffbgm.features.commands import features as extract_features
from diffbgm.listening.commands import app as listening_test
from diffbgm.train.commands import export, train
from diffbgm.train.import_command import import_weights

app = typer.Typer(
    name="diffbgm",
    help="Background music for a finished video: composed to its cuts, on an ordinary computer, offline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("edit")(edit)
app.command("features")(extract_features)
app.add_typer(listening_test, name="listening-test")
app.add_typer(dataset, name="dataset")
app.command("train")(train)
models = typer.Typer(invoke_without_command=True)
app.add_typer(models, name="weights")
models.command("import")(import_weights)
models.command("export")(export)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        print(f"diffbgm {__version__}")
        raise typer.Exit


@app.command()
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
    mood: Mood = None,
    style: Style = None,
    tempo: Tempo = None,
    key: Key = None,
    energy: Energy = None,
    seed: Seed = None,
    takes: Annotated[
        int | None,
        typer.Option(metavar="N", help="Write this many films, from seeds seed, seed + 1, ..."),
    ] = None,
    cues: Cues = None,
    force: Force = False,
    chords: Chords = None,
    melody: Melody = None,
    melody_bar: MelodyBar = None,
    modulate: Modulate = False,
    captions: Captions = None,
    hit: Hits = None,
    original_audio: Annotated[
        Literal["keep", "duck", "drop"] | None,
        typer.Option(
            help="The film's own sound: keep it (music ducks under speech), duck it under the music, "
            "or drop it.",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    loudness: Annotated[
        float | None,
        typer.Option(
            metavar="LUFS",
            help="Integrated loudness of the finished sound in LUFS (-23 for broadcast).",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    duck_db: Annotated[
        float | None,
        typer.Option(
            metavar="DB", help="How far the music goes down under speech, in dB.", rich_help_panel=ADVANCED
        ),
    ] = None,
    duck_ramp_s: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="How long the music takes to go down and come back, in seconds.",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    stems: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also write one WAV a part into this folder.", rich_help_panel=ADVANCED
        ),
    ] = None,
    report: Annotated[
        bool | None,
        typer.Option("--report/--no-report", help="Write the HTML report.", rich_help_panel=ADVANCED),
    ] = None,
    shots: Shots = None,
    soundfont: Soundfont = None,
    weights: Weights = None,
    features: Features = None,
    guidance: Guidance = None,
    guidance_rescale: GuidanceRescale = None,
    sampler: Sampler = None,
    steps: Steps = None,
    spacing: Spacing = None,
    eta: Eta = None,
    selector: Selector = None,
    threshold: Threshold = None,
    segments: Segments = None,
    config: Config = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compose music for VIDEO and write the film with it.

    Beside the film, named after it: the music alone (.wav, .mid), the cue sheet to edit (.cues.json), the
    notes (.roll.npz) and a report (.html).
    """
    given = only_given(
        output=output, mood=mood, style=style, tempo=tempo, key=key, energy=energy, seed=seed, takes=takes,
        cues=cues, force=force or None, chords=chords, melody=melody, melody_bar=melody_bar,
        modulate=modulate or None, captions=captions, hit=hit or None,
        original_audio=original_audio, loudness=loudness, duck_db=duck_db, duck_ramp_s=duck_ramp_s,
        stems=stems, report=report, shots=shots, soundfont=soundfont, weights=weights, features=features,
        guidance=guidance, guidance_rescale=guidance_rescale, sampler=sampler, steps=steps, spacing=spacing,
        eta=eta, selector=selector, threshold=threshold, segments=segments,
    )  # fmt: skip
    from diffbgm import pipeline
    from diffbgm.options import ComposeOptions
    from diffbgm.progress import progress_to

    with progress_to(sys.stderr) as progress:
        result = pipeline.compose(video, ComposeOptions.build(given, config), progress=progress)
    _warn(result.warnings)
    if as_json:
        print_json(result.to_json())
        return
    from diffbgm.console import compose_summary

    print(compose_summary(result))


@app.command()
def analyze(video: Video, shots: Shots = None, as_json: Json = False, debug: Debug = False) -> None:
    """Show what diffbgm sees and hears in VIDEO: shots, motion, brightness, speech. Writes nothing."""
    from diffbgm import pipeline
    from diffbgm.console import analysis_summary
    from diffbgm.progress import progress_to
    from diffbgm.video.analyze import to_json

    with progress_to(sys.stderr) as progress:
        analysis = pipeline.analyze_film(video, shots=shots or "builtin", progress=progress)
    _warn(analysis.warnings)
    if as_json:
        print_json(to_json(analysis))
    else:
        print(analysis_summary(analysis))


@app.command("cues")
def cue_sheet(
    video: Video,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The sheet (default: NAME.cues.json beside the video)."
        ),
    ] = None,
    mood: Mood = None,
    style: Style = None,
    tempo: Tempo = None,
    key: Key = None,
    energy: Energy = None,
    seed: Seed = None,
    cues: Cues = None,
    force: Force = False,
    chords: Chords = None,
    melody: Melody = None,
    melody_bar: MelodyBar = None,
    modulate: Modulate = False,
    captions: Captions = None,
    hit: Hits = None,
    shots: Shots = None,
    config: Config = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Spot VIDEO: write the cue sheet that `compose --cues` takes, without composing."""
    given = only_given(
        mood=mood, style=style, tempo=tempo, key=key, energy=energy, seed=seed, cues=cues,
        force=force or None, chords=chords, melody=melody, melody_bar=melody_bar,
        modulate=modulate or None, captions=captions, hit=hit or None, shots=shots,
    )  # fmt: skip
    from diffbgm import pipeline
    from diffbgm.console import plan_summary
    from diffbgm.options import ComposeOptions
    from diffbgm.progress import progress_to

    with progress_to(sys.stderr) as progress:
        path, sheet = pipeline.write_cues(
            video, output, ComposeOptions.build(given, config), progress=progress
        )
    assert sheet.plan is not None
    _warn(sheet.plan.warnings)
    if as_json:
        print_json(sheet.model_dump(mode="json"))
    else:
        print(f"{path}\n{plan_summary(sheet.plan)}")


@app.command()
def render(
    music: Annotated[
        Path, typer.Argument(metavar="CUES|MIDI", help="A cue sheet (.cues.json) or a MIDI file.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.wav", help="The sound file.")],
    style: Style = None,
    force: Force = False,
    soundfont: Soundfont = None,
    weights: Weights = None,
    features: Features = None,
    guidance: Guidance = None,
    guidance_rescale: GuidanceRescale = None,
    sampler: Sampler = None,
    steps: Steps = None,
    spacing: Spacing = None,
    eta: Eta = None,
    selector: Selector = None,
    threshold: Threshold = None,
    segments: Segments = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Render the music of a cue sheet or a MIDI file to a WAV file, without the film.

    A cue sheet plays the notes that `compose` kept beside it (.roll.npz) as long as they fit the bars of its
    plan, so that another style is heard on the same notes; otherwise its plan is composed.
    """
    given = only_given(
        style=style, force=force or None, soundfont=soundfont, weights=weights, features=features,
        guidance=guidance, guidance_rescale=guidance_rescale, sampler=sampler, steps=steps, spacing=spacing,
        eta=eta, selector=selector, threshold=threshold, segments=segments,
    )  # fmt: skip
    from diffbgm import pipeline
    from diffbgm.options import ComposeOptions
    from diffbgm.progress import progress_to

    with progress_to(sys.stderr) as progress:
        rendered = pipeline.render(music, output, ComposeOptions.build(given), progress=progress)
    if as_json:
        print_json(rendered.to_json())
    else:
        print(f"{rendered.wav}\n{rendered.duration_s:.1f} s, notes {rendered.notes}")


@app.command()
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
    _warn(found.warnings)
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


@app.command()
def styles(as_json: Json = False, debug: Debug = False) -> None:
    """List the styles."""
    from diffbgm.score.styles import load_style, style_names

    known = {name: load_style(name).description for name in style_names()}
    if as_json:
        print_json({"styles": [{"name": name, "description": text} for name, text in known.items()]})
        return
    for name, text in known.items():
        print(f"{name:<15} {text}")


@models.callback()
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


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _fail(message: str, code: int) -> NoReturn:
    print(f"diffbgm: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


def _report_bug(kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    text = " ".join(str(error).split())
    print(f"diffbgm: unexpected {kind.__name__}: {text} (a bug; --debug shows where)", file=sys.stderr)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    debug = "--debug" in arguments
    if not debug:
        sys.excepthook = _report_bug  # whatever is not caught below ends in one line and exit code 1
    signal.signal(signal.SIGTERM, _stop)  # unwinds, so that temporary files are removed
    try:
        code = get_command(app).main(args=arguments, prog_name="diffbgm", standalone_mode=False)
    except typer.TyperException as error:
        if not error.format_message():  # no arguments at all: the help has been shown
            raise SystemExit(2) from None
        _fail(f"{error.format_message()} (see diffbgm --help)", 2)
    except typer.Abort:
        _fail("stopped", 130)
    except DiffbgmError as error:
        if debug:
            traceback.print_exception(error)
        _fail(str(error), error.exit_code)
    raise SystemExit(code or 0)
