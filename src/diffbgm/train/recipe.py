"""Recipes: one TOML file a trained model, what it is and how it is trained.

Everything that changes the weights stands in the recipe; what only changes how fast they come (threads,
workers, number of processes) gives the same run. Fields left out have the values of the shipped model.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from diffbgm.data.bgm909 import Split
from diffbgm.data.reader import Augmentation, Steering, Transposition
from diffbgm.data.windows import WINDOW_BEATS
from diffbgm.diffusion.behaviour import Alignment, Behaviour
from diffbgm.diffusion.selector import PUBLISHED_THRESHOLD
from diffbgm.errors import InputError, OptionError
from diffbgm.options import Segments, Selector
from diffbgm.timing import BEATS_PER_BAR
from diffbgm.train.transformer import TransformerConfig
from diffbgm.train.unet import UNetConfig

Architecture = Literal["beat-transformer", "unet"]
DataSet = Literal["pop909", "bgm909", "dataset"]

Count = Annotated[int, Field(ge=1)]
WindowBeats = Annotated[int, Field(ge=32, le=512, multiple_of=BEATS_PER_BAR)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]

# What a run may go on with in place of what it began with.
_MAY_CHANGE: Final = ("steps", "epochs", "threads", "workers", "validation_windows")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataOptions(_Section):
    """What the network hears and sees in training.

    set: `pop909`, songs alone with conditions computed from their notes; `bgm909`, songs with features of
    their films; or `dataset`, what `diffbgm dataset build` made. conditions: of a dataset, those computed
    from the `notes` of all its songs, or the learned `features` of the films of those that have them. tempo:
    of a dataset steered by notes, the largest change of tempo as a share. split: of bgm909, the published
    lists, or the numbers that end in 9 held out, as pop909 has it; a dataset has its own. transpose: to C
    major or A minor by key, at random by -6..5 semitones as published, or not; pop909 goes by key.
    roll_features: turn the feature vectors by as many places as the music is transposed, which is what the
    published code does, and which scrambles them. visual_row_s: of bgm909, seconds of film that one visual
    row covers, for alignment by time. phrases: of pop909, the first annotator's, or those of both, so that
    training windows are seen with two ways of hearing their form. window_beats: of pop909, how much music
    the beat transformer sees at once, in training and in use. drop_conditions: whether streams and fields are
    left out at random, which guidance needs; the published code leaves out none.
    """

    set: DataSet = "pop909"
    conditions: Steering = "notes"
    tempo: Annotated[float, Field(ge=0, lt=1)] = 0.0
    split: Split = "numbers"
    transpose: Transposition = "key"
    roll_features: bool = False
    visual_row_s: Positive = 1.0
    phrases: Literal["first", "both"] = "first"
    window_beats: WindowBeats = WINDOW_BEATS
    drop_conditions: bool = True

    @property
    def paired(self) -> bool:
        """Whether features of films steer."""
        return self.set == "bgm909" or self.conditions == "features"

    @property
    def augmentation(self) -> Augmentation:
        return Augmentation(self.transpose, self.tempo, self.drop_conditions)


class ConditionOptions(_Section):
    """How conditions reach the beat transformer; the U-Net has `network.behaviour` for that.

    selector, threshold: `diffbgm.diffusion.selector`; the threshold is a noise level of the straight line.
    segments: `diffbgm.diffusion.segments`. alignment: feature rows by time, or stretched as published.
    """

    selector: Selector = "both"
    threshold: Share = PUBLISHED_THRESHOLD
    segments: Segments = "borders"
    alignment: Alignment = "time"


class TrainingOptions(_Section):
    """How the weights are found.

    initial: the folder of a finished run whose averaged weights this one begins with, for the same sizes of
    network; without it they are drawn. Either `steps` (updates) or `epochs` (times through all windows) says
    how long. batch: windows an update,
    over all processes and `accumulate` parts. order: windows drawn with replacement, or each once an epoch.
    stratified: each batch spans all noise levels evenly, which takes variance out of the gradient; otherwise
    every window's level is drawn by itself. schedule: the learning rate after the warm-up, a cosine down to
    `final_rate` of it, or constant. clip: largest norm of the gradient. ema: decay of the running average of
    the weights that is exported, 0 for the weights themselves. Adam is AdamW with weight_decay 0.
    melody_weight, chord_weight, velocity_weight: in the loss of the beat transformer. workers: processes that
    prepare batches, 0 for the training process itself.
    """

    initial: Path | None = None
    steps: Count | None = None
    epochs: Positive | None = None
    batch: Count = 32
    accumulate: Count = 1
    order: Literal["replacement", "epochs"] = "replacement"
    stratified: bool = True
    learning_rate: Positive = 6e-4
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 300
    final_rate: Share = 0.02
    betas: tuple[Share, Share] = (0.9, 0.98)
    weight_decay: NotNegative = 0.01
    clip: Positive = 1.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    melody_weight: NotNegative = 2.0
    chord_weight: NotNegative = 2.0
    velocity_weight: NotNegative = 0.5
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    threads: Count = 2
    workers: Annotated[int, Field(ge=0)] = 0
    validation_windows: Count = 256

    @model_validator(mode="after")
    def _consistent(self) -> TrainingOptions:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        if self.batch % self.accumulate:
            raise ValueError(f"batch {self.batch} cannot be cut into {self.accumulate} equal parts")
        return self

    def total_steps(self, n_windows: int) -> int:
        """Updates of the whole run with `n_windows` to learn from."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return math.ceil(self.epochs * n_windows / self.batch)


class Recipe(_Section):
    """What a model is and how it is trained. `network` has the fields of the architecture's own class."""

    architecture: Architecture = "beat-transformer"
    network: TransformerConfig | UNetConfig
    data: DataOptions = DataOptions()
    conditions: ConditionOptions = ConditionOptions()
    training: TrainingOptions

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        if self.data.set == "pop909" and (self.data.transpose != "key" or self.data.roll_features):
            raise ValueError("data: pop909 is transposed by key and has no feature vectors to roll")
        if self.data.set != "pop909" and self.data.phrases == "both":
            raise ValueError("data.phrases: only pop909 has those of two annotators")
        if self.data.window_beats != WINDOW_BEATS and (
            self.data.set != "pop909" or isinstance(self.network, UNetConfig)
        ):
            raise ValueError("data.window_beats: is for the beat transformer and pop909; others have theirs")
        if self.data.set != "dataset" and (self.data.conditions != "notes" or self.data.tempo):
            raise ValueError("data: conditions and tempo are of a dataset")
        if self.data.paired and self.data.tempo:
            raise ValueError("data.tempo: songs with features of their films keep theirs")
        if self.data.roll_features and not self.data.paired:
            raise ValueError("data.roll_features: there are no feature vectors to roll")
        if isinstance(self.network, UNetConfig):
            if "conditions" in self.model_fields_set:
                raise ValueError("conditions: the U-Net takes network.behaviour instead")
        elif self.network.features != self.data.paired:
            raise ValueError("network.features: true where features of films steer, else false")
        return self

    @property
    def alignment(self) -> Alignment:
        """How feature rows lie on the beats."""
        network = self.network
        return network.behaviour.alignment if isinstance(network, UNetConfig) else self.conditions.alignment

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Raises InputError if the file cannot be read, OptionError naming the first field that is wrong."""
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"{path}: cannot read the recipe ({error})") from error
        return cls.build(values, f"{path}: ")

    @classmethod
    def build(cls, values: dict[str, Any], where: str = "") -> Recipe:
        """From the content of a TOML file or of `to_json`. Raises OptionError, its line beginning `where`."""
        try:
            fields = values.get("network", {})
            network = _network(values.get("architecture", "beat-transformer"), fields)
            return cls.model_validate(values | {"network": network})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            at = [str(part) for part in first["loc"]]
            field = ".".join(["network", *at] if error.title in _NETWORKS else at)
            message = first["msg"].removeprefix("Value error, ")
            raise OptionError(f"{where}{field + ': ' if field else ''}{message}") from error
        except ValueError as error:
            raise OptionError(f"{where}{error}") from error

    def to_json(self) -> dict[str, Any]:
        """All fields, defaults included; `build` reads it."""
        return self.model_dump(mode="json", exclude=_NO_CONDITIONS if self.architecture == "unet" else None)

    def with_training(self, **changes: Any) -> Recipe:
        """The same recipe with other training options; steps take the place of epochs. Raises OptionError."""
        values = self.to_json()
        if "steps" in changes:
            values["training"].pop("epochs")
        values["training"] |= changes
        return self.build(values, "option ")

    def check_continues(self, begun: Recipe) -> None:
        """Raises OptionError unless a run that `begun` describes can go on with this recipe."""
        old, new = (_flat(recipe.to_json()) for recipe in (begun, self))
        for name in {**old, **new}:
            field = name.rsplit(".", 1)[-1]
            if old.get(name) != new.get(name) and not (name.startswith("training.") and field in _MAY_CHANGE):
                raise OptionError(
                    f"{name}: the run was begun with {old.get(name)}, the recipe says {new.get(name)}; "
                    "choose another --run"
                )


_NETWORKS: Final = (TransformerConfig.__name__, UNetConfig.__name__)
_NO_CONDITIONS: Final = {"conditions"}


def _network(architecture: str, fields: Any) -> TransformerConfig | UNetConfig:
    kind = UNetConfig if architecture == "unet" else TransformerConfig
    if not isinstance(fields, dict):
        raise ValueError("network: expected a table of fields")
    unknown = sorted(set(fields) - {field.name for field in dataclasses.fields(kind)})
    if unknown:
        raise ValueError(f"network.{unknown[0]}: no such field of the {architecture}")
    if "behaviour" in fields:
        try:
            fields = fields | {"behaviour": Behaviour.of(fields["behaviour"])}
        except ValueError as error:
            raise ValueError(f"network.{error}") from error
    if architecture == "unet":
        return TypeAdapter(UNetConfig).validate_python(fields)
    return TypeAdapter(TransformerConfig).validate_python(fields)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, names joined by dots."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        out |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return out
