"""The command `diffbgm`. Everything heavy is imported inside the handlers, so that `--help` is quick.

stdout holds the answer (with `--json` exactly one JSON object), stderr the progress, the warnings and the
one line that says what went wrong. Exit codes: see `diffbgm.errors`; 130 after Ctrl-C.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Annotated, NoReturn

import typer
from typer.main import get_command

from diffbgm import __version__
from diffbgm.commands.film import analyze, compose, cue_sheet, render
from diffbgm.commands.lists import list_models, styles
from diffbgm.commands.measure import evaluate
from diffbgm.data.commands import app as dataset
from diffbgm.editing.commands import edit, reconform
from diffbgm.errors import DiffbgmError
from diffbgm.features.commands import features
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
for command in (compose, edit, reconform, analyze, render, evaluate, styles, features, train):
    app.command(command.__name__)(command)
app.command("cues")(cue_sheet)
app.add_typer(listening_test, name="listening-test")
app.add_typer(dataset, name="dataset")
models = typer.Typer(invoke_without_command=True)
app.add_typer(models, name="weights")
models.callback()(list_models)
models.command("import")(import_weights)
models.command("export")(export)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        print(f"diffbgm {__version__}")
        raise typer.Exit


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
