"""The cue sheet: the document a person edits between the film and its music.

Two parts. `wishes` holds only what a person set; spotting reads it and never changes it. `plan` holds
every solved value; composing reads it and nothing else. The JSON schema is `CueSheet.model_json_schema()`
and carries `SCHEMA_VERSION`; a sheet of another major version is refused.

All times are seconds from the first video frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from diffbgm.errors import CueSheetError, OptionError
from diffbgm.pitch import ChordSymbol, parse_progression
from diffbgm.spotting.document import Document
from diffbgm.spotting.keys import parse_key
from diffbgm.spotting.provenance import Finish, Picture, Reconformed
from diffbgm.spotting.speech import spoken_beats
from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BEAT, TempoMap

SCHEMA_VERSION = "1.0"
# Two times that mean the same moment; sheets may be rounded to milliseconds.
_SAME_S = 0.001
_SAME_BEAT = 0.001

Track = Literal["melody", "counter", "accompaniment"]
Like = Literal["rhythm", "notes"]
Role = Literal["intro", "theme", "build", "climax", "calm", "outro"]
GridUnit = Literal["downbeat", "beat", "eighth", "sixteenth"]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]
Signed = Annotated[float, Field(ge=-1.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0)]
Bpm = Annotated[float, Field(ge=40.0, le=240.0)]

# Beats of each chord of a bar, by how many chords the bar has.
_CHORD_BEATS: Final = {1: (4,), 2: (2, 2), 3: (2, 1, 1), 4: (1, 1, 1, 1)}


def _progression(text: str) -> str:
    try:
        parse_progression(text)
    except ValueError as error:
        raise PydanticCustomError("chords", "{said}", {"said": str(error)}) from error
    return text


Chords = Annotated[str, AfterValidator(_progression)]
"""A chord progression as `diffbgm.pitch.parse_progression` reads it."""


def _key_name(text: str) -> str:
    try:
        return parse_key(text)
    except OptionError as error:
        raise PydanticCustomError("key", "{said}", {"said": str(error).removeprefix("key: ")}) from error


KeyName = Annotated[str, AfterValidator(_key_name)]
"""A key in its short form, whatever spelling it was given in."""


class MelodyNote(Document):
    """A note of a given melody. beat, beats: onset and length in quarters from the film's first beat."""

    beat: Annotated[float, Field(ge=0.0)]
    beats: Annotated[float, Field(gt=0.0)]
    pitch: Annotated[int, Field(ge=0, le=127)]
    velocity: Annotated[int, Field(ge=1, le=127)]


class HitWish(Document):
    """A moment the person wants the music to meet."""

    time_s: Seconds
    weight: Unit = 1.0


class CaptionWish(Document):
    """What is to be seen from `start_s` to `end_s`, in words; the words' mood is that of the music there."""

    start_s: Seconds
    end_s: Seconds
    text: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _lasting(self) -> CaptionWish:
        if self.end_s <= self.start_s:
            raise ValueError("end_s: a caption ends after it begins")
        return self


class MoodReading(Document):
    """What a language model made of words of mood that the lexicon does not know.

    words: in small letters without accents, as they stand in the text. near: the known words most like them.
    confidence: the correlation with a person's answer to be expected, if known words are a guide.
    """

    words: Annotated[str, Field(min_length=1)]
    valence: Signed
    arousal: Signed
    near: tuple[str, ...] = ()
    confidence: Unit
    model: str

    @property
    def note(self) -> str:
        return f"as {', '.join(self.near)}, by {self.model}, confidence {self.confidence:.1f}"


class SectionWish(Document):
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
    melody_register: Signed | None = None
    key: KeyName | None = None
    chords: Chords | None = None


class Wishes(Document):
    """Only what a person set. `None` and empty lists mean: left to spotting."""

    mood: str | None = None
    mood_read: tuple[MoodReading, ...] = ()
    style: str | None = None
    tempo_bpm: tuple[Bpm, Bpm] | None = None
    key: str | None = None
    chords: Chords | None = None
    melody: tuple[MelodyNote, ...] = ()
    modulate: bool = False
    energy: Unit | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    hits: tuple[HitWish, ...] = ()
    removed_hits_s: tuple[Seconds, ...] = ()
    sections: tuple[SectionWish, ...] = ()
    captions: tuple[CaptionWish, ...] = ()
    room_for_speech: bool = True

    @model_validator(mode="after")
    def _ordered(self) -> Wishes:
        if self.tempo_bpm is not None and self.tempo_bpm[0] > self.tempo_bpm[1]:
            raise ValueError("tempo_bpm: the lower bound comes first")
        return self


class Hit(Document):
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
    step: Annotated[int, Field(ge=0)] | None = None


class Section(Document):
    """A stretch of whole bars with one character. Bars are counted from 0; `end_bar` is exclusive.

    melody_register: from -1, low, to 1, high; None where it is left to the model. key: None for the film's.
    chords: repeated over the section from its first bar, in place of the plan's.
    """

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
    melody_register: Signed | None = None
    key: KeyName | None = None
    chords: Chords | None = None


class TempoPoint(Document):
    """The tempo of the bar that begins at `time_s`."""

    time_s: Seconds
    bpm: float


class Plan(Document):
    """Every solved value: all that composing needs to know of the film.

    energy, density: one value in 0..1 a beat (density = how many notes, energy = how strong).
    `bar_starts_s` has bars + 1 entries and ends with the film; the last bar holds the final chord alone.
    chords: a progression repeated over the bars of the film, None where harmony is left to the model.
    melody: notes that sound as they stand. speech_spans: where the arrangement leaves room.
    solved_from: digest of wishes and film. take: which of the plan's takes the notes are, None before one was
    chosen; the seed and the take decide what is random in them.
    """

    duration_s: Annotated[float, Field(gt=0.0)]
    fps: Annotated[float, Field(gt=0.0)]
    key: str
    style: str
    seed: int
    bar_starts_s: tuple[float, ...]
    sections: Annotated[tuple[Section, ...], Field(min_length=1)]
    hits: tuple[Hit, ...]
    energy: tuple[Unit, ...]
    density: tuple[Unit, ...]
    chords: Chords | None = None
    melody: tuple[MelodyNote, ...] = ()
    speech_spans: tuple[tuple[float, float], ...] = ()
    mood_understood: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    solved_from: str = ""
    take: Annotated[int, Field(ge=0)] | None = None

    @property
    def noise_seed(self) -> int | tuple[int, int]:
        """What seeds the noise that the notes come from; the first take's is the seed alone."""
        return (self.seed, self.take) if self.take else self.seed

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

    @property
    def asked_chords(self) -> tuple[ChordSymbol | None, ...]:
        """The chord asked for at each beat; None where it is left to the model, and in the last bar, which
        always holds the key's tonic chord.
        """
        out: list[ChordSymbol | None] = []
        for section in self.sections:
            text = section.chords or self.chords
            bars = [] if text is None else [_by_beat(bar) for bar in parse_progression(text)]
            since = section.start_bar if section.chords else 0
            for bar in range(section.start_bar, section.end_bar):
                out += bars[(bar - since) % len(bars)] if bars else [None] * BEATS_PER_BAR
        out[-BEATS_PER_BAR:] = [None] * BEATS_PER_BAR
        return tuple(out)

    @property
    def spoken_beats(self) -> NDArray[np.bool_]:
        """Beats on which the music makes room for words, bool (beats,); see `spotting.speech`."""
        return spoken_beats(self.speech_spans, self.tempo_map)

    @property
    def melody_span(self) -> tuple[int, int]:
        """First beat and the one after the last through which the tune is the given one; (0, 0) for none.

        Whole bars. A given melody that leaves less than a bar before the last one holds to the end.
        """
        if not self.melody:
            return 0, 0
        n_bars = len(self.bar_starts_s) - 1
        first = int(min(note.beat for note in self.melody) // BEATS_PER_BAR)
        # A note that ends a moment into a bar does not take that bar.
        last = max(note.beat + note.beats for note in self.melody) - 1 / STEPS_PER_BEAT
        end = int(last // BEATS_PER_BAR) + 1
        return first * BEATS_PER_BAR, (n_bars if end >= n_bars - 1 else end) * BEATS_PER_BAR

    @model_validator(mode="after")
    def _consistent(self) -> Plan:
        try:
            key = parse_key(self.key)
        except OptionError as error:
            raise ValueError(str(error)) from error
        if key != self.key:
            raise ValueError(f"key: is written {key!r} in a plan, not {self.key!r}")
        try:
            tempo_map = self.tempo_map
        except ValueError as error:
            raise ValueError(f"bar_starts_s: {error}") from error
        if abs(tempo_map.end_s - self.duration_s) > _SAME_S:
            raise ValueError(f"bar_starts_s: the last must be the film's end, {self.duration_s} s")
        for name in ("energy", "density"):
            if len(getattr(self, name)) != tempo_map.n_beats:
                raise ValueError(f"{name}: expected one value a beat, {tempo_map.n_beats} in all")
        self._check_sections()
        self._check_hits()
        for index, note in enumerate(self.melody):
            if note.beat + note.beats > tempo_map.n_beats + _SAME_BEAT:
                raise ValueError(f"melody.{index}: ends after the film, at beat {note.beat + note.beats:g}")
        return self

    def _check_sections(self) -> None:
        bar = 0
        for index, section in enumerate(self.sections):
            name = f"sections.{index}"
            if section.start_bar != bar:
                raise ValueError(f"{name}.start_bar: expected {bar}, where the section before ends")
            if not bar < section.end_bar < len(self.bar_starts_s):
                raise ValueError(f"{name}.end_bar: expected {bar + 1} to {len(self.bar_starts_s) - 1}")
            bar = section.end_bar
            for field, at in (("start_s", section.start_bar), ("end_s", section.end_bar)):
                if abs(getattr(section, field) - self.bar_starts_s[at]) > _SAME_S:
                    raise ValueError(f"{name}.{field}: bar {at} begins at {self.bar_starts_s[at]} s")
        if bar != len(self.bar_starts_s) - 1:
            raise ValueError(f"sections: they end at bar {bar} of {len(self.bar_starts_s) - 1}")

    def _check_hits(self) -> None:
        n_steps = self.tempo_map.n_beats * STEPS_PER_BEAT
        for index, hit in enumerate(self.hits):
            solved = (hit.landed_s, hit.error_ms, hit.on, hit.step)
            if None in solved and any(each is not None for each in solved):
                raise ValueError(
                    f"hits.{index}: landed_s, error_ms, on and step are set together or not at all"
                )
            if hit.step is not None and hit.step >= n_steps:
                raise ValueError(f"hits.{index}.step: expected 0 to {n_steps - 1}")


def _by_beat(bar: tuple[ChordSymbol | None, ...]) -> list[ChordSymbol | None]:
    return [chord for chord, beats in zip(bar, _CHORD_BEATS[len(bar)], strict=True) for _ in range(beats)]


class Edit(Document):
    """Some bars composed anew. bars: the first and the last, counted from 1.

    energy, mood, chords: what was asked for these bars, None where the plan stayed. weights: name of the
    model. before: `PianoRoll.digest` of the notes that were edited.
    """

    bars: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    tracks: Annotated[tuple[Track, ...], Field(min_length=1)]
    like: Like | None = None
    energy: Unit | None = None
    mood: str | None = None
    chords: Chords | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    weights: str
    before: str

    @property
    def start_bar(self) -> int:
        """The first bar, counted from 0."""
        return self.bars[0] - 1

    @property
    def end_bar(self) -> int:
        """The bar after the last one, counted from 0."""
        return self.bars[1]


class CueSheet(Document):
    """The whole document. `video` is the film's file name without its folder.

    weights: name of the model that composed the notes kept beside the sheet; edits: what was changed of them
    since, in this order; reconformed: whence they come if the music was made for another cut. finish: how the
    sound was finished. picture: by what the film's shots are found again.
    """

    version: str = SCHEMA_VERSION
    video: str = ""
    weights: str = ""
    wishes: Wishes = Wishes()
    plan: Plan | None = None
    edits: tuple[Edit, ...] = ()
    reconformed: Reconformed | None = None
    finish: Finish | None = None
    picture: Picture | None = None

    @model_validator(mode="before")
    @classmethod
    def _readable(cls, data: Any) -> Any:
        """Say that a sheet is of another version before complaining about what that version added."""
        version = data.get("version", SCHEMA_VERSION) if isinstance(data, dict) else SCHEMA_VERSION
        if str(version).split(".")[0] != SCHEMA_VERSION.split(".")[0]:
            raise ValueError(
                f"version: {version} cannot be read by this diffbgm, which writes {SCHEMA_VERSION}"
            )
        return data

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
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            unknown = first["type"] == "extra_forbidden"
            message = "there is no such field" if unknown else first["msg"].removeprefix("Value error, ")
            # A rule over several fields names the field itself, after the part of the sheet it is in.
            joint = "." if first["type"] == "value_error" else ": "
            where = ".".join(str(part) for part in first["loc"])
            raise CueSheetError(f"{path}: {where}{joint if where else ''}{message}") from error
