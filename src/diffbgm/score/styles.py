"""Styles: which instruments play the music and how, as data in TOML.

A style says for each part what it plays: tracks of the piano roll (`melody`, `counter`,
`accompaniment`), or a `bass` or `chords` written from the harmony by patterns of sixteenths. Patterns
come one a level of intensity. `docs/styles.md` explains every field; the shipped files lie in `styles/`.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from diffbgm.errors import OptionError
from diffbgm.score.instruments import DRUMS, INSTRUMENTS
from diffbgm.score.score import Room, Tone
from diffbgm.timing import STEPS_PER_BAR

_FOLDER: Final = Path(__file__).parent / "styles"

MAX_MELODIC_PARTS: Final = 15
"""MIDI has sixteen channels and one of them is percussion."""

BASS_TOKENS: Final = "1358pw-."
CHORD_TOKENS: Final = "Xx01234567-."
DRUM_TOKENS: Final = "123456789."
KEEP: Final = "_"
"""In a fill, a variation or a build: as the pattern has it."""

PULSE: Final = (8, -7, -3, -7, 1, -7, -3, -7, 4, -7, -3, -7, 1, -7, -3, -7)
"""What the place in the bar adds to a velocity: one, three, the other beats, between them."""

Controller = Annotated[int, Field(ge=0, le=127)]
Pattern = Annotated[str, Field(max_length=8 * STEPS_PER_BAR)]
Lag = Annotated[float, Field(ge=-30, le=30)]
Plays = Literal["melody", "counter", "accompaniment", "bass", "chords"]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class StyleTone(_Data):
    """An equalizer, of a part or of the whole; see `score.Tone`."""

    low_cut_hz: Annotated[float, Field(ge=0, le=2000)] = 0.0
    high_cut_hz: Annotated[float, Field(ge=0, le=20_000)] = 0.0
    low_db: Annotated[float, Field(ge=-12, le=12)] = 0.0
    high_db: Annotated[float, Field(ge=-12, le=12)] = 0.0

    def tone(self) -> Tone:
        return Tone(**self.model_dump())


class StyleRoom(_Data):
    """The reverb of a style; see `score.Room`."""

    size: Annotated[float, Field(ge=0, le=1)] = 0.7
    damping: Annotated[float, Field(ge=0, le=1)] = 0.35
    width: Annotated[float, Field(ge=0, le=2)] = 0.9
    level: Annotated[float, Field(ge=0, le=1)] = 0.9

    def room(self) -> Room:
        return Room(**self.model_dump())


class StylePart(_Data):
    """One instrument of a style. docs/styles.md has the meaning of each field."""

    name: Annotated[str, Field(min_length=1, max_length=40)]
    instrument: str
    plays: Annotated[tuple[Plays, ...], Field(min_length=1)]
    octave: Annotated[int, Field(ge=-3, le=3)] = 0
    range: tuple[Controller, Controller] = (21, 108)
    from_level: Annotated[int, Field(ge=0)] = 0
    finest: Literal[1, 2, 4, 8, 16] = 1
    hold: bool = False
    length: Annotated[float, Field(gt=0.05, le=1.0)] = 0.97
    polyphony: Annotated[int, Field(ge=1, le=12)] = 12
    voices: Annotated[int, Field(ge=1, le=6)] = 4
    patterns: tuple[Pattern, ...] = ()
    approach: Literal["scale", "chromatic"] = "scale"
    accent: bool = False
    lag_ms: Lag = 0.0
    strum_ms: Annotated[float, Field(ge=0, le=40)] = 0.0
    gain: Annotated[float, Field(gt=0.1, le=2.0)] = 1.0
    volume: Controller = 100
    pan: Controller = 64
    reverb: Controller = 40
    chorus: Controller = 0
    tone: StyleTone = StyleTone()
    width: Annotated[float, Field(ge=0, le=2)] = 1.0
    touch: Annotated[float, Field(ge=0, le=1)] = 1.0
    pedal: bool = False

    @property
    def program(self) -> int:
        return INSTRUMENTS.index(self.instrument)

    @property
    def written(self) -> Literal["bass", "chords"] | None:
        """What is written from the harmony; None for a part that plays tracks of the roll."""
        first = self.plays[0]
        return first if first in ("bass", "chords") else None

    @field_validator("instrument")
    @classmethod
    def _known(cls, value: str) -> str:
        return _one_of(value, INSTRUMENTS, "General MIDI instrument")

    @field_validator("range")
    @classmethod
    def _wide_enough(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[1] - value[0] < 12:
            raise ValueError("expected lowest and highest MIDI pitch, at least an octave (12) apart")
        return value

    @model_validator(mode="after")
    def _whole(self) -> StylePart:
        if self.written is None:
            if self.patterns or not {"bass", "chords"}.isdisjoint(self.plays):
                raise ValueError("a part plays tracks of the roll, or bass or chords alone by patterns")
        elif len(self.plays) > 1 or not self.patterns:
            raise ValueError("bass or chords stand alone in `plays` and need `patterns`")
        _check_patterns(self.patterns, BASS_TOKENS if self.written == "bass" else CHORD_TOKENS)
        return self


class StyleDrums(_Data):
    """The percussion of a style: patterns and fills by the name of the drum."""

    name: str = "Drums"
    kit: Controller = 0
    patterns: dict[str, tuple[Pattern, ...]]
    fills: dict[str, Pattern] = {}
    variations: dict[str, tuple[Pattern, ...]] = {}
    vary_every: Annotated[int, Field(ge=2, le=8)] = 4
    builds: dict[str, Pattern] = {}
    lag_ms: dict[str, Lag] = {}
    accent: tuple[str, ...] = ()
    crash: str | None = None
    gain: Annotated[float, Field(gt=0.1, le=2.0)] = 1.0
    volume: Controller = 90
    pan: Controller = 64
    reverb: Controller = 30
    chorus: Controller = 0
    tone: StyleTone = StyleTone()
    width: Annotated[float, Field(ge=0, le=2)] = 1.0

    @model_validator(mode="after")
    def _whole(self) -> StyleDrums:
        named = (*self.patterns, *self.fills, *self.variations, *self.builds, *self.lag_ms, *self.accent)
        for drum in (*named, *([self.crash] if self.crash else [])):
            _one_of(drum, tuple(DRUMS), "General MIDI drum")
        for patterns in self.patterns.values():
            _check_patterns(patterns, DRUM_TOKENS)
        for fill in self.fills.values():
            if len(fill) != STEPS_PER_BAR:
                raise ValueError(f"a fill is one bar of {STEPS_PER_BAR} sixteenths: {fill!r}")
        for variation in (each for patterns in self.variations.values() for each in patterns):
            if len(variation) not in (0, STEPS_PER_BAR):
                raise ValueError(f"a variation is one bar of {STEPS_PER_BAR} sixteenths: {variation!r}")
            _check_patterns((variation,), DRUM_TOKENS + KEEP)
        if len({len(build) for build in self.builds.values()}) > 1:
            raise ValueError("builds: all of them have the same number of bars")
        _check_patterns((*self.fills.values(), *self.builds.values()), DRUM_TOKENS + KEEP)
        return self


class Style(_Data):
    """A manner of playing. `levels` are the energies at which the next pattern of each part begins."""

    name: str
    description: Annotated[str, Field(min_length=1, max_length=120)]
    levels: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(max_length=5)] = (0.4, 0.7)
    swing: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    swing_of: Literal["eighths", "sixteenths"] = "sixteenths"
    humanise_ms: Annotated[float, Field(ge=0, le=20)] = 5.0
    dynamics: Annotated[float, Field(ge=0, le=1.5)] = 1.0
    pulse: Annotated[
        tuple[Annotated[int, Field(ge=-20, le=20)], ...], Field(min_length=16, max_length=16)
    ] = PULSE
    release_s: Annotated[float, Field(ge=0, le=2)] = 0.45
    parts: Annotated[tuple[StylePart, ...], Field(min_length=1, max_length=MAX_MELODIC_PARTS)]
    drums: StyleDrums | None = None
    room: StyleRoom = StyleRoom()
    tone: StyleTone = StyleTone()

    @property
    def n_levels(self) -> int:
        return len(self.levels) + 1

    @model_validator(mode="after")
    def _whole(self) -> Style:
        if list(self.levels) != sorted(set(self.levels)):
            raise ValueError("levels: expected increasing energies")
        if not any(part.accent and part.from_level == 0 for part in self.parts):
            raise ValueError(
                "parts: one that plays from level 0 needs `accent = true`, to strike the hits of the film"
            )
        names = [part.name for part in self.parts] + ([self.drums.name] if self.drums else [])
        if len(set(names)) != len(names):
            raise ValueError("parts: two parts have the same name")
        groups = {f"part {part.name!r}": part.patterns for part in self.parts if part.written}
        if self.drums:
            groups |= {f"drum {name!r}": patterns for name, patterns in self.drums.patterns.items()}
            groups |= {f"variation {name!r}": each for name, each in self.drums.variations.items()}
        for where, patterns in groups.items():
            if len(patterns) != self.n_levels:
                raise ValueError(f"{where}: expected {self.n_levels} patterns, one a level")
        return self


def load_style(name_or_path: str) -> Style:
    """A shipped style by its name, or one from a TOML file (a name that ends in `.toml`).

    Raises OptionError: unknown name (with the names there are and the closest), a file that is missing
    or not TOML, or a field that is wrong (named).
    """
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
    else:
        path = _FOLDER / f"{_one_of(name_or_path, style_names(), 'style', OptionError)}.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(f"style {path}: cannot be read ({error})") from error
    try:
        return Style.model_validate({"name": path.stem, **data})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise OptionError(f"style {path}: {where}: {first['msg'].removeprefix('Value error, ')}") from error


def style_names() -> tuple[str, ...]:
    """The names of the shipped styles, in alphabetical order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def _one_of(
    value: str, names: tuple[str, ...], what: str, error: type[OptionError] | type[ValueError] = ValueError
) -> str:
    if value in names:
        return value
    close = difflib.get_close_matches(value, names, n=1, cutoff=0.4)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    listing = f"; there are: {', '.join(names)}" if len(names) < 30 else ""
    raise error(f"unknown {what} {value!r}{hint}{listing}")


def _check_patterns(patterns: tuple[str, ...], tokens: str) -> None:
    for pattern in patterns:
        if len(pattern) % STEPS_PER_BAR:
            raise ValueError(
                f"pattern {pattern!r} has {len(pattern)} steps, expected whole bars of {STEPS_PER_BAR}"
            )
        if wrong := sorted(set(pattern) - set(tokens)):
            raise ValueError(f"pattern {pattern!r} holds {wrong[0]!r}, expected only {tokens}")
