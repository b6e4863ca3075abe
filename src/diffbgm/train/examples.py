"""Training examples: windows of songs as the arrays that each network takes, conditions dropped at random.

A source of examples knows how many windows it has and makes the arrays of one. What is random in an example
comes from the generator handed in; without one nothing is dropped and nothing transposed at random, which is
how held-out windows are seen. In all of them "unknown" is 0 throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from diffbgm.data.bgm909 import Part, read_songs, song_ids
from diffbgm.data.mapped import MappedPairs, MappedWindows
from diffbgm.data.paired import PairedSource
from diffbgm.data.pop909 import read_songs as read_pop909
from diffbgm.data.reader import DROPPED, augmented, note_planes, planes_of, streams_kept, transposition
from diffbgm.data.store import DESCRIPTION
from diffbgm.data.windows import WINDOW_BEATS, WindowSource
from diffbgm.diffusion import unet
from diffbgm.diffusion.behaviour import Behaviour, no_condition, stream_mask, visible_rows
from diffbgm.diffusion.segments import segment_mask
from diffbgm.diffusion.selector import streams
from diffbgm.errors import InputError
from diffbgm.features.film_features import Rows
from diffbgm.features.published import load_pth
from diffbgm.options import Selector
from diffbgm.timing import STEPS_PER_BEAT
from diffbgm.train.recipe import ConditionOptions, DataOptions, Recipe
from diffbgm.train.unet import UNetConfig

Arrays = dict[str, NDArray[Any]]
Rng = np.random.Generator


class Examples(Protocol):
    """Windows to learn from.

    draw(k, level, rng): the arrays of window k for noise level 0..1; `clean` is what noise is added to.
    """

    def __len__(self) -> int: ...

    def draw(self, k: int, level: float, rng: Rng | None) -> Arrays: ...


class CodeExamples:
    """Songs alone, for the beat transformer: tokens and the codes computed from the notes."""

    def __init__(self, source: WindowSource, data: DataOptions, conditions: ConditionOptions) -> None:
        self.source, self.data, self.conditions = source, data, conditions

    def __len__(self) -> int:
        return len(self.source.windows)

    def draw(self, k: int, level: float, rng: Rng | None) -> Arrays:
        window, given = augmented(self.source, self.source.windows[k], self.data.augmentation, rng)
        semantic, dynamic = speaking(level, self.conditions.selector, self.conditions.threshold, rng)
        return {
            "clean": self.source.tokens(window),
            "dynamic": given.dynamic * dynamic,
            "semantic": given.semantic * semantic,
            "mask": segment_mask(given.mask, self.conditions.segments),
        }


class FeatureExamples:
    """Paired data, for the beat transformer: tokens, visual rows a beat, the mean caption of each segment."""

    def __init__(self, source: PairedSource, data: DataOptions, conditions: ConditionOptions) -> None:
        self.source, self.data, self.conditions = source, data, conditions

    def __len__(self) -> int:
        return len(self.source.windows)

    def draw(self, k: int, level: float, rng: Rng | None) -> Arrays:
        window = self.source.windows[k]
        semitones = transposition(window, self.data.transpose, rng)
        visual, caption = rolled(self.source.features(window), semitones, self.data)
        given = unet.FeatureRows(visual, caption, self.source.mask(window)).as_conditions()
        semantic, dynamic = speaking(level, self.conditions.selector, self.conditions.threshold, rng)
        if rng is not None and self.data.drop_conditions:
            semantic_stays, dynamic_stays = streams_kept(rng)
            semantic, dynamic = semantic and semantic_stays, dynamic and dynamic_stays
        return {
            "clean": self.source.tokens(window, semitones),
            "dynamic": given.dynamic * np.float32(dynamic),
            "semantic": given.semantic * np.float32(semantic),
            "mask": segment_mask(given.mask, self.conditions.segments),
        }


class PlaneExamples:
    """For the U-Net: eight bars as two planes, a row of each stream a beat, and what each step may see.

    `look(k, rng)` says what is to be learned: note bits (32, 3, 2, 4, 88) and the rows.
    """

    def __init__(
        self,
        count: int,
        look: Callable[[int, Rng | None], tuple[NDArray[np.bool_], unet.FeatureRows]],
        data: DataOptions,
        behaviour: Behaviour,
    ) -> None:
        self.count, self.look, self.data, self.behaviour = count, look, data, behaviour

    def __len__(self) -> int:
        return self.count

    def draw(self, k: int, level: float, rng: Rng | None) -> Arrays:
        bits, rows = self.look(k, rng)
        behaviour = self.behaviour
        visual, visible = rows.visual, visible_rows(rows.segments, behaviour.segments, behaviour.n_blocks)
        semantic, dynamic = speaking(level, behaviour.selector, behaviour.threshold, rng)
        mask = stream_mask(visible, semantic, dynamic)
        if rng is not None and self.data.drop_conditions:
            case = rng.random()
            if case < DROPPED:
                visual, mask = no_condition(visual, visible, behaviour)
            elif semantic and dynamic and case < 3 * DROPPED:
                mask = stream_mask(visible, semantic=case < 2 * DROPPED, dynamic=case >= 2 * DROPPED)
        return {
            "clean": planes_of(bits),
            "visual": visual,
            "caption": rows.caption,
            "mask": np.repeat(mask, STEPS_PER_BEAT, axis=0),
        }


def speaking(level: float, selector: Selector, threshold: float, rng: Rng | None) -> tuple[bool, bool]:
    """Whether the semantic and the dynamic stream speak at a level; a held-out window's coin is fixed."""
    coin = np.random.default_rng(int(level * 1e9)) if rng is None else rng
    semantic, dynamic = streams(np.array(level), selector, threshold, coin)
    return bool(semantic), bool(dynamic)


def rolled(features: tuple[Rows, Rows], semitones: int, data: DataOptions) -> tuple[Rows, Rows]:
    """The features as they are, or turned with the music as the published code does."""
    if not data.roll_features:
        return features
    visual, caption = (np.roll(rows, semitones, axis=1) for rows in features)
    return visual, caption


def open_examples(recipe: Recipe, folder: Path, table: Path | None) -> tuple[Examples, Examples]:
    """What to train on and what is held out, as the recipe says, from the data in `folder`.

    table: the table of songs, for `pop909`. Raises InputError for data that is missing or broken.
    """
    if recipe.data.set == "dataset":
        return _checked(folder, [_of_dataset(recipe, folder, part) for part in ("train", "heldout")])
    if (folder / DESCRIPTION).is_file():
        raise InputError(
            f'{folder}: a built dataset; the recipe says set = "{recipe.data.set}", which is '
            'another layout; write set = "dataset" below [data]'
        )
    if recipe.data.set == "pop909":
        table = table or folder / "POP909-songs.csv"
        learned = list(read_pop909(folder, table, "train"))
        if recipe.data.phrases == "both":
            learned += read_pop909(folder, table, "train", "label2")
        kept = list(read_pop909(folder, table, "heldout"))
        beats = recipe.data.window_beats
        sources = [WindowSource(songs, beats=beats) for songs in (learned, kept)]
        return _checked(folder, [from_songs(source, recipe) for source in sources])
    paired = [_paired(recipe, folder, part) for part in ("train", "heldout")]
    return _checked(folder, [from_pairs(source, recipe) for source in paired])


def _of_dataset(recipe: Recipe, folder: Path, part: Part) -> Examples:
    if recipe.data.conditions == "notes":
        return from_songs(MappedWindows(folder, part), recipe)
    beats = unet.WINDOW_BEATS if isinstance(recipe.network, UNetConfig) else WINDOW_BEATS
    return from_pairs(MappedPairs(folder, part, beats, recipe.alignment), recipe)


def from_songs(source: WindowSource, recipe: Recipe) -> Examples:
    """Examples of songs alone for the recipe's network."""
    network = recipe.network
    if not isinstance(network, UNetConfig):
        return CodeExamples(source, recipe.data, recipe.conditions)

    def look(k: int, rng: Rng | None) -> tuple[NDArray[np.bool_], unet.FeatureRows]:
        return note_planes(source, source.windows[k], recipe.data.augmentation, rng)

    return PlaneExamples(len(source.windows), look, recipe.data, network.behaviour)


def from_pairs(source: PairedSource, recipe: Recipe) -> Examples:
    """Examples of paired data for the recipe's network."""
    network = recipe.network
    if not isinstance(network, UNetConfig):
        return FeatureExamples(source, recipe.data, recipe.conditions)

    def look(k: int, rng: Rng | None) -> tuple[NDArray[np.bool_], unet.FeatureRows]:
        window = source.windows[k]
        semitones = transposition(window, recipe.data.transpose, rng)
        visual, caption = rolled(source.features(window), semitones, recipe.data)
        return source.bits(window, semitones), unet.FeatureRows(visual, caption, source.mask(window))

    return PlaneExamples(len(source.windows), look, recipe.data, network.behaviour)


def _paired(recipe: Recipe, folder: Path, part: Part) -> PairedSource:
    songs = read_songs(
        folder,
        song_ids(folder, recipe.data.split, part),
        load_pth,
        visual_row_s=recipe.data.visual_row_s,
        with_times=recipe.alignment == "time",
    )
    beats = unet.WINDOW_BEATS if isinstance(recipe.network, UNetConfig) else WINDOW_BEATS
    return PairedSource(list(songs), beats, recipe.alignment)


def _checked(folder: Path, examples: list[Examples]) -> tuple[Examples, Examples]:
    train, heldout = examples
    for name, one in (("train on", train), ("hold out", heldout)):
        if not len(one):
            raise InputError(f"{folder}: no windows to {name}; expected more songs there")
    return train, heldout
