"""The cue sheet: the document a person edits between the film and its music.

Two parts. `wishes` holds only what a person set; spotting reads it and never changes it. `plan` holds
every solved value; composing reads it and nothing else. The JSON schema is `CueSheet.model_json_schema()`
and carries `SCHEMA_VERSION`; a sheet of another major version is refused.

All times are seconds from the first video frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from diffbgm.errors import CueSheetError
from diffbgm.timing import TempoMap

SCHEMA_VERSION = "1.0"

Role = Literal["intro", "theme", "build", "climax", "calm", "outro"]
GridUnit = Literal["downbeat", "beat", "eighth", "sixteenth"]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]
Signed = Annotated[float, Field(ge=-1.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0)]
Bpm = Annotated[float, Field(ge=40.0, le=240.0)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class HitWish(_Document):
    """A moment the person wants the music to meet."""

    time_s: Seconds
    weight: Unit = 1.0


class SectionWish(_Document):
    """What a person set of the section that lies around `at_s`; a field left out stays solved.

    `start_s` moves (or makes) the section's border: it then begins there.
    """

    at_s: Seconds
    start_s: Seconds | None = None
    role: Role | None = None
    label: Annotated[str, Field(min_length=1, max_length=40)] | None = None
    energy: Unit | None = None
    valence: Signed | None = None
    arousal: Signed | None = None
    tempo_bpm: Bpm | None = None
    melody: bool | None = None


class Wishes(_Document):
    """Only what a person set. `None` and empty lists mean: left to spotting."""

    mood: str | None = None
    style: str | None = None
    tempo_bpm: tuple[Bpm, Bpm] | None = None
    key: str | None = None
    energy: Unit | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    hits: tuple[HitWish, ...] = ()
    removed_hits_s: tuple[Seconds, ...] = ()
    sections: tuple[SectionWish, ...] = ()

    @model_validator(mode="after")
    def _ordered(self) -> Wishes:
        if self.tempo_bpm is not None and self.tempo_bpm[0] > self.tempo_bpm[1]:
            raise ValueError("tempo_bpm: the lower bound comes first")
        return self


class Hit(_Document):
    """A candidate moment and where the grid met it.

    landed_s, error_ms, on and step are None where it could not be kept; `step` counts sixteenths from
    beat 0. `source` tells a cut of the film from a person's wish.
    """

    time_s: Seconds
    weight: Unit
    source: Literal["cut", "dissolve", "fade", "user"]
    landed_s: float | None = None
    error_ms: float | None = None
    on: GridUnit | None = None
    step: int | None = None


class Section(_Document):
    """A stretch of whole bars with one character. Bars are counted from 0; `end_bar` is exclusive."""

    start_s: Seconds
    end_s: Seconds
    start_bar: Annotated[int, Field(ge=0)]
    end_bar: Annotated[int, Field(ge=1)]
    role: Role
    label: str
    energy: Unit
    valence: Signed
    arousal: Signed
    tempo_bpm: Bpm
    melody: bool = True


class TempoPoint(_Document):
    """The tempo of the bar that begins at `time_s`."""

    time_s: Seconds
    bpm: float


class Plan(_Document):
    """Every solved value: all that composing needs to know of the film.

    energy, density: one value in 0..1 a beat (density = how many notes, energy = how strong).
    `bar_starts_s` has bars + 1 entries and ends with the film; the last bar holds the final chord alone.
    speech_spans: where the arrangement leaves room. solved_from: digest of wishes and film.
    """

    duration_s: Annotated[float, Field(gt=0.0)]
    fps: Annotated[float, Field(gt=0.0)]
    key: str
    style: str
    seed: int
    bar_starts_s: tuple[float, ...]
    sections: tuple[Section, ...]
    hits: tuple[Hit, ...]
    energy: tuple[Unit, ...]
    density: tuple[Unit, ...]
    speech_spans: tuple[tuple[float, float], ...] = ()
    mood_understood: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    solved_from: str = ""

    @property
    def tempo_map(self) -> TempoMap:
        return TempoMap(self.bar_starts_s)

    @property
    def tempo_points(self) -> tuple[TempoPoint, ...]:
        bpms = self.tempo_map.bpm_of_bars()
        return tuple(
            TempoPoint(time_s=start, bpm=float(bpm))
            for start, bpm in zip(self.bar_starts_s, bpms, strict=False)
        )

    @model_validator(mode="after")
    def _consistent(self) -> Plan:
        tempo_map = self.tempo_map  # raises if the bars do not increase from 0
        for name in ("energy", "density"):
            if len(getattr(self, name)) != tempo_map.n_beats:
                raise ValueError(f"{name}: expected one value a beat, {tempo_map.n_beats} in all")
        if self.sections[0].start_bar != 0 or self.sections[-1].end_bar != tempo_map.n_bars:
            raise ValueError("sections: they must cover every bar")
        for before, after in zip(self.sections, self.sections[1:], strict=False):
            if before.end_bar != after.start_bar:
                raise ValueError(f"sections: gap or overlap at bar {before.end_bar}")
        return self


class CueSheet(_Document):
    """The whole document. `video` is the film's file name without its folder."""

    version: str = SCHEMA_VERSION
    video: str = ""
    wishes: Wishes = Wishes()
    plan: Plan | None = None

    def save(self, path: Path) -> None:
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> CueSheet:
        """Read a sheet. Raises CueSheetError, naming the first wrong field."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CueSheetError(f"{path}: cannot read the cue sheet ({error})") from error
        try:
            sheet = cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the document"
            raise CueSheetError(f"{path}: {where}: {first['msg']}") from error
        if sheet.version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
            raise CueSheetError(
                f"{path}: version: {sheet.version} cannot be read by this diffbgm, "
                f"which writes {SCHEMA_VERSION}"
            )
        return sheet
