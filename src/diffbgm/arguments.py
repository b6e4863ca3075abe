"""Arguments that several commands share, and how they print JSON. Cheap to import, as `--help` needs it.

A command declares what is its own and takes groups of these by `with_options`; what a person gave of them
arrives as keywords.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

ADVANCED = "Advanced"

# Texts and ranges of these options stand in `diffbgm.options.ComposeOptions`; importing it takes pydantic and
# with it much of the time that `--help` may take, so they are repeated here and a test compares the two.
Mood = Annotated[str | None, typer.Option(metavar="TEXT", help='The mood in words, such as "calm, hopeful".')]
Style = Annotated[
    str | None, typer.Option(metavar="NAME", help="Instruments and manner; `diffbgm styles` lists them.")
]
Tempo = Annotated[
    str | None,
    typer.Option(metavar="BPM|LO-HI", help="Beats a minute, one number or a range such as 90-110."),
]
Key = Annotated[str | None, typer.Option(metavar="KEY", help="Key such as C, F#, Am or Ebm.")]
Energy = Annotated[float | None, typer.Option(metavar="0..1", help="How lively on the whole, 0 to 1.")]
Seed = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Same cue sheet, seed and weights: same music (default: 0, or the cue sheet's)."
    ),
]
Cues = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Compose from this cue sheet (never overwritten).")
]
Hits = Annotated[
    list[float] | None,
    typer.Option(
        metavar="SECONDS",
        help="A second the music must meet; may be given several times.",
        rich_help_panel=ADVANCED,
    ),
]
Chords = Annotated[
    str | None,
    typer.Option(
        metavar="CHORDS",
        help='Chords to follow, a bar each, over and over: "Am F,G C"; a comma parts a bar\'s chords.',
        rich_help_panel=ADVANCED,
    ),
]
Melody = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.mid",
        help="A MIDI file whose melody is kept, note for note.",
        rich_help_panel=ADVANCED,
    ),
]
MelodyBar = Annotated[
    int | None,
    typer.Option(
        metavar="BAR",
        help="The bar of the film in which the given melody begins.",
        rich_help_panel=ADVANCED,
    ),
]
Captions = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="What is to be seen, in words (.srt, .vtt or .json): their mood is the music's.",
        rich_help_panel=ADVANCED,
    ),
]
MoodModel = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|DIR",
        help="A language model on this machine, for words of mood that are not in the word list.",
        rich_help_panel=ADVANCED,
    ),
]
Modulate = Annotated[
    bool,
    typer.Option(
        "--modulate",
        help="Let sections whose mood turns go to the parallel minor or major, prepared.",
        rich_help_panel=ADVANCED,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="Name or file of the model (default: the shipped one).",
        rich_help_panel=ADVANCED,
    ),
]
Features = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="What `diffbgm features` wrote of the film, for weights that follow it.",
        rich_help_panel=ADVANCED,
    ),
]
Shots = Annotated[
    Literal["builtin", "transnet"] | None,
    typer.Option(
        help="How cuts are found: built in, or by TransNetV2 (slower; install diffbgm[transnet]).",
        rich_help_panel=ADVANCED,
    ),
]
Soundfont = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="An SF2 or SF3 file (default: the shipped one).", rich_help_panel=ADVANCED
    ),
]
Guidance = Annotated[
    float | None,
    typer.Option(
        metavar="0..10",
        help="How strongly the model follows the film (default: the weights' own).",
        rich_help_panel=ADVANCED,
    ),
]
GuidanceRescale = Annotated[
    float | None,
    typer.Option(
        metavar="0..1",
        help="How far guidance's wider spread is taken back (default: the weights' own).",
        rich_help_panel=ADVANCED,
    ),
]
Sampler = Annotated[
    Literal["ddim", "ddpm", "euler", "heun", "dpm++2m"] | None,
    typer.Option(
        help="How noise becomes music, step by step (default: the weights' own).", rich_help_panel=ADVANCED
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Calls of the network: one a denoising step, heun two (default: the weights' own; ddpm: 1000).",
        rich_help_panel=ADVANCED,
    ),
]
Spacing = Annotated[
    Literal["linear", "cosine", "shifted", "published"] | None,
    typer.Option(
        help="At which noise levels the steps lie (default: the weights' own).", rich_help_panel=ADVANCED
    ),
]
Eta = Annotated[
    float | None,
    typer.Option(
        metavar="0..1",
        help="Fresh noise in each step of ddim, from 0, none, to 1, as much as ddpm (default: the "
        "weights' own).",
        rich_help_panel=ADVANCED,
    ),
]
Selector = Annotated[
    Literal["gate", "reversed", "both", "semantic", "dynamic", "random"] | None,
    typer.Option(
        help="Which conditions steer when: semantic ones while there is much noise, dynamic ones then "
        "(gate), reversed, both at all times, or one kind (default: the weights' own).",
        rich_help_panel=ADVANCED,
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        metavar="0..1",
        help="The noise level at which the selector turns (default: the weights' own).",
        rich_help_panel=ADVANCED,
    ),
]
Segments = Annotated[
    Literal["borders", "blocks", "global"] | None,
    typer.Option(
        help="Whose conditions a beat sees: of its own segment (borders), of equal blocks, or all "
        "(default: the weights' own).",
        rich_help_panel=ADVANCED,
    ),
]
OriginalAudio = Annotated[
    Literal["keep", "duck", "drop"] | None,
    typer.Option(
        help="The film's own sound: keep it (music ducks under speech), duck it under the music, or drop it.",
        rich_help_panel=ADVANCED,
    ),
]
Loudness = Annotated[
    float | None,
    typer.Option(
        metavar="LUFS",
        help="Integrated loudness of the finished sound in LUFS (-23 for broadcast).",
        rich_help_panel=ADVANCED,
    ),
]
DuckDb = Annotated[
    float | None,
    typer.Option(
        metavar="DB",
        help="How far music under speech lies below its level in pauses, in dB.",
        rich_help_panel=ADVANCED,
    ),
]
DuckRamp = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="How long the music takes to go down and come back, in seconds.",
        rich_help_panel=ADVANCED,
    ),
]
Stems = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Also write one WAV a part into this folder.", rich_help_panel=ADVANCED),
]
Report = Annotated[
    bool | None,
    typer.Option("--report/--no-report", help="Write the HTML report.", rich_help_panel=ADVANCED),
]
Config = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Options as TOML; those given here win.", rich_help_panel=ADVANCED),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing outputs.")]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON object on stdout and nothing else.", rich_help_panel=ADVANCED
    ),
]
Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=ADVANCED)
]
Video = Annotated[Path, typer.Argument(metavar="VIDEO", help="The film.")]

# Groups of options: name of the parameter -> its type, help and place. All of them default to None.
WISHES: Final[Mapping[str, Any]] = {
    "mood": Mood, "style": Style, "tempo": Tempo, "key": Key, "energy": Energy, "seed": Seed, "cues": Cues,
    "force": Force, "chords": Chords, "melody": Melody, "melody_bar": MelodyBar, "modulate": Modulate,
    "captions": Captions, "mood_model": MoodModel, "hit": Hits, "shots": Shots,
}  # fmt: skip
FINISHING: Final[Mapping[str, Any]] = {
    "original_audio": OriginalAudio, "loudness": Loudness, "duck_db": DuckDb, "duck_ramp_s": DuckRamp,
    "stems": Stems, "report": Report, "soundfont": Soundfont,
}  # fmt: skip
MODEL: Final[Mapping[str, Any]] = {
    "weights": Weights, "features": Features, "guidance": Guidance, "guidance_rescale": GuidanceRescale,
    "sampler": Sampler, "steps": Steps, "spacing": Spacing, "eta": Eta, "selector": Selector,
    "threshold": Threshold, "segments": Segments,
}  # fmt: skip
_LAST: Final = ("config", "as_json", "debug")


def with_options(*groups: Mapping[str, Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of these groups besides its own.

    The command has `**given`, which holds those that a person gave; the others are left to `--config` and
    the defaults. In the help they stand before --config, --json and --debug.
    """
    names = {name: kind for group in groups for name, kind in group.items()}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[:-1]
        at = next(k for k, parameter in enumerate(own) if parameter.name in _LAST)
        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in names.items()
        ]
        last = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own[at:]]

        @wraps(command)
        def run(*arguments: Any, **keywords: Any) -> None:
            given = {name: keywords.pop(name, None) for name in names}
            kept = {name: value for name, value in given.items() if value not in (None, [], ())}
            command(*arguments, **keywords, **kept)

        run.__signature__ = inspect.Signature([*own[:at], *shared, *last])  # type: ignore[attr-defined]
        return run

    return decorate


def only_given(**options: Any) -> dict[str, Any]:
    """The options that were given; the others are left to `--config` and the defaults."""
    return {name: value for name, value in options.items() if value is not None}


def warn(warnings: Sequence[str]) -> None:
    """A line each on stderr."""
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def print_json(value: dict[str, Any]) -> None:
    """One object on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
