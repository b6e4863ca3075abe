"""Read a built dataset for training: windows as numpy arrays, augmented, in an order that survives stops.

    from diffbgm.data.reader import Augmentation, Shuffled, Windows

    windows = Windows(Path("DIR"), "train", augmentation=Augmentation(drop_conditions=True))
    stream = Shuffled(windows, seed=0)
    for arrays in stream:
        ...                            # a dict of arrays; stream.state_dict() goes into the checkpoint

Two forms. `tokens` is what the beat transformer takes: 64 beats. `planes` is the paper's roll as the U-Net
takes it: 32 beats. Two kinds of conditions. `notes`: codes of the conditions that music and film share,
computed from the notes of any song. `features`: learned features of the item's film. The arrays:

| form | array | |
|---|---|---|
| `tokens` | `clean` | float32 (64, 2148), `diffbgm.diffusion.tokens` |
| | `dynamic` | int64 (64, 10) codes, or float32 (64, 512) visual rows |
| | `semantic` | int64 (segments, 7) codes, or float32 (segments, 768) language rows |
| | `mask` | bool (64, segments), which segment a beat lies in |
| `planes` | `clean` | float32 (2, 128, 128), onsets and sustains of all tracks, sixteenths by MIDI pitch |
| | `visual` | float32 (32, 512), visual rows, or codes as rows of 0 and 1 |
| | `caption` | float32 (32, 768), language rows, or codes as rows of 0 and 1 |
| | `mask` | bool (32, segments), which segment a beat lies in |

In both, 0 is "unknown". `diffbgm train` with `set = "dataset"` learns from the same windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from diffbgm.data.mapped import MappedPairs, MappedWindows
from diffbgm.data.order import EXAMPLE, windows_at
from diffbgm.data.paired import PairedSource, PairedWindow
from diffbgm.data.pop909 import Split
from diffbgm.data.windows import WINDOW_BEATS, Window, WindowSource, drop_fields
from diffbgm.diffusion.behaviour import Alignment
from diffbgm.diffusion.conditions import Conditions
from diffbgm.diffusion.planes import merged_planes
from diffbgm.diffusion.roll import N_PITCHES
from diffbgm.diffusion.tokens import BITS, BITS_SHAPE, drop_orphans
from diffbgm.diffusion.unet import WINDOW_BEATS as PLANE_BEATS
from diffbgm.diffusion.unet import FeatureRows
from diffbgm.errors import InputError, OptionError
from diffbgm.timing import STEPS_PER_BEAT

Form = Literal["tokens", "planes"]
Steering = Literal["notes", "features"]
Transposition = Literal["key", "random", "none"]
Arrays = dict[str, NDArray[Any]]
Rng = np.random.Generator

# A tenth of the windows each: nothing known, visual rows unknown, captions unknown; as in `drop_fields`.
DROPPED: Final = 0.1


@dataclass(frozen=True)
class Augmentation:
    """How windows differ each time they are seen.

    transpose: by `key`, to C major or A minor; at `random` by -6..5 semitones; or `none`.
    tempo: largest change of tempo as a share, 0.1 for 0.91 to 1.1 times, drawn evenly in log; notes lie on
    beats and stay, the conditions that say how fast the music is follow. For conditions from notes only: a
    film cannot be played faster with its song. drop_conditions: leave out streams and fields.
    """

    transpose: Transposition = "key"
    tempo: float = 0.0
    drop_conditions: bool = False


class Windows:
    """The windows of one split of a built dataset.

    split: None for all of it. alignment: how learned features were put on the beats. Raises InputError
    if there is no dataset or it holds no such windows, OptionError for an augmentation that cannot be had.
    """

    def __init__(
        self,
        folder: Path,
        split: Split | None = "train",
        *,
        form: Form = "tokens",
        conditions: Steering = "notes",
        augmentation: Augmentation | None = None,
        alignment: Alignment = "time",
    ) -> None:
        self.form, self.how = form, augmentation or Augmentation()
        if not 0 <= self.how.tempo < 1:
            raise OptionError(f"tempo {self.how.tempo}: expected a share, 0 or more and below 1")
        if conditions == "features" and self.how.tempo:
            raise OptionError("tempo: windows with features of a film keep theirs; set it to 0")
        beats = WINDOW_BEATS if form == "tokens" else PLANE_BEATS
        self.source: WindowSource | PairedSource = (
            MappedWindows(folder, split)
            if conditions == "notes"
            else MappedPairs(folder, split, beats, alignment)
        )
        if not len(self):
            raise InputError(f"{folder}: no windows in it to read; expected songs of 16 bars or more in 4/4")

    def __len__(self) -> int:
        return len(self.source.windows)

    def draw(self, number: int, rng: Rng | None = None) -> Arrays:
        """The arrays of a window. Without a generator nothing is drawn: no change of key or tempo at random,
        nothing left out, of the longer windows the first half for planes."""
        if isinstance(self.source, PairedSource):
            return self._of_pair(self.source, self.source.windows[number], rng)
        return self._of_song(self.source, self.source.windows[number], rng)

    def _of_song(self, source: WindowSource, window: Window, rng: Rng | None) -> Arrays:
        if self.form == "tokens":
            window, given = augmented(source, window, self.how, rng)
            return _tokens(source.tokens(window), given)
        return _planes(*note_planes(source, window, self.how, rng))

    def _of_pair(self, source: PairedSource, window: PairedWindow, rng: Rng | None) -> Arrays:
        semitones = transposition(window, self.how.transpose, rng)
        visual, language = source.features(window)
        if rng is not None and self.how.drop_conditions:
            semantic, dynamic = streams_kept(rng)
            visual, language = visual * np.float32(dynamic), language * np.float32(semantic)
        rows = FeatureRows(visual, language, source.mask(window))
        if self.form == "tokens":
            return _tokens(source.tokens(window, semitones), rows.as_conditions())
        return _planes(source.bits(window, semitones), rows)


class Shuffled:
    """Windows for ever, each once an epoch in an order of its own; goes on where it was.

    seed: of the order and of all that is drawn. position: how many windows were handed out.
    """

    def __init__(self, windows: Windows, seed: int = 0, position: int = 0) -> None:
        self.windows, self.seed, self.position = windows, seed, position

    def __iter__(self) -> Iterator[Arrays]:
        while True:
            arrays = self.at(self.position)
            self.position += 1
            yield arrays

    def at(self, position: int) -> Arrays:
        """The window at a position: the same whoever asks, in whatever order."""
        (number,) = windows_at(np.array([position]), len(self.windows), self.seed).tolist()
        return self.windows.draw(number, np.random.default_rng((self.seed, EXAMPLE, position)))

    def state_dict(self) -> dict[str, int]:
        return {"seed": self.seed, "position": self.position, "windows": len(self.windows)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where `state_dict` was asked for. Raises InputError if the dataset has other windows now."""
        if state["windows"] != len(self.windows):
            raise InputError(
                f"the dataset has {len(self.windows)} windows, and had {state['windows']} when the run was "
                "stopped; begin anew"
            )
        self.seed, self.position = state["seed"], state["position"]


def augmented(
    source: WindowSource, window: Window, how: Augmentation, rng: Rng | None
) -> tuple[Window, Conditions]:
    """The window as it is transposed this time, and its conditions with tempo changed and fields dropped."""
    window = replace(window, semitones=transposition(window, how.transpose, rng))
    speed = 1.0 if rng is None or not how.tempo else float((1 + how.tempo) ** rng.uniform(-1, 1))
    given = source.conditions(window, speed)
    return window, drop_fields(given, rng) if rng is not None and how.drop_conditions else given


def streams_kept(rng: Rng) -> tuple[bool, bool]:
    """Condition dropout: whether captions (semantic) and visual rows (dynamic) of a window stay."""
    case = rng.random()
    return not (case < DROPPED or 2 * DROPPED <= case < 3 * DROPPED), case >= 2 * DROPPED


def transposition(window: Window | PairedWindow, how: Transposition, rng: Rng | None) -> int:
    """Semitones by which a window is moved, -6..5; without a generator not at random."""
    if how == "key":
        return window.semitones
    return int(rng.integers(-6, 6)) if how == "random" and rng is not None else 0


def note_planes(
    source: WindowSource, window: Window, how: Augmentation, rng: Rng | None
) -> tuple[NDArray[np.bool_], FeatureRows]:
    """Half of a window for the U-Net, the first or one drawn.

    Note bits (32, 3, 2, 4, 88), and the conditions as rows of 0 and 1.
    """
    start = 0 if rng is None else PLANE_BEATS * int(rng.integers(WINDOW_BEATS // PLANE_BEATS))
    window, given = augmented(source, window, how, rng)
    beats = slice(start, start + PLANE_BEATS)
    bits = source.tokens(window)[beats, BITS].reshape(-1, *BITS_SHAPE) > 0
    return bits, FeatureRows.of_conditions(given.window(start, PLANE_BEATS))


def planes_of(bits: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The paper's roll, float32 (2, 4 * beats, 128), of note bits (beats, 3, 2, 4, 88)."""
    by_track = bits.transpose(1, 2, 0, 3, 4).reshape(len(bits[0]), 2, len(bits) * STEPS_PER_BEAT, N_PITCHES)
    return merged_planes(drop_orphans(by_track))


def _tokens(clean: NDArray[np.float32], given: Conditions) -> Arrays:
    return {"clean": clean, "dynamic": given.dynamic, "semantic": given.semantic, "mask": given.mask}


def _planes(bits: NDArray[np.bool_], rows: FeatureRows) -> Arrays:
    return {"clean": planes_of(bits), "visual": rows.visual, "caption": rows.caption, "mask": rows.segments}
