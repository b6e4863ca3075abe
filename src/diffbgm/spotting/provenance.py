"""What a cue sheet says of the film that its music was made for, how it was finished and whence it came."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from diffbgm.options import ComposeOptions, OriginalAudio
from diffbgm.spotting.document import Document
from diffbgm.video.analysis import Analysis

PICTURE_HZ: Final = 5.0
_BYTES: Final = 16

Bar = Annotated[int, Field(ge=1)]


def _fingerprints(text: str) -> str:
    try:
        whole = len(base64.b64decode(text, validate=True)) % _BYTES == 0
    except binascii.Error:
        whole = False
    if not whole:
        raise PydanticCustomError("fingerprints", "is no whole number of fingerprints in base64")
    return text


class Picture(Document):
    """By what the film's shots are found again in another cut: 6.4 KB a minute.

    fingerprints: base64 of 16 bytes a moment (`diffbgm.video.fingerprints`), of the frame to be seen every
    1/hz seconds from 0. cuts_s: the borders between shots.
    """

    duration_s: Annotated[float, Field(gt=0.0)]
    fps: Annotated[float, Field(gt=0.0)]
    cuts_s: tuple[float, ...]
    hz: Annotated[float, Field(gt=0.0)]
    fingerprints: Annotated[str, AfterValidator(_fingerprints)]

    @classmethod
    def of(cls, analysis: Analysis) -> Picture:
        times_s = moments(analysis.duration_s, PICTURE_HZ)
        return cls(
            duration_s=analysis.duration_s,
            fps=analysis.fps,
            cuts_s=tuple(round(each.time_s, 6) for each in analysis.transitions),
            hz=PICTURE_HZ,
            fingerprints=base64.b64encode(analysis.fingerprints.on_screen(times_s).tobytes()).decode("ascii"),
        )

    @property
    def times_s(self) -> NDArray[np.float64]:
        """The moments, float64 (moments,)."""
        return np.arange(len(self.bits)) / self.hz

    @property
    def bits(self) -> NDArray[np.uint8]:
        """The fingerprints, uint8 (moments, 16)."""
        return np.frombuffer(base64.b64decode(self.fingerprints), np.uint8).reshape(-1, _BYTES)


def moments(duration_s: float, hz: float) -> NDArray[np.float64]:
    """The moments at which a film of this length is looked at, every 1/hz seconds from 0."""
    return np.arange(max(1, int(np.ceil(duration_s * hz - 1e-6)))) / hz


class Finish(Document):
    """How the film's sound was finished: `compose` options of these names, kept for what is made anew."""

    original_audio: OriginalAudio
    loudness: float
    duck_db: float
    duck_ramp_s: float

    @classmethod
    def of(cls, options: ComposeOptions) -> Finish:
        return cls(**{name: getattr(options, name) for name in cls.model_fields})

    def under(self, options: ComposeOptions) -> ComposeOptions:
        """The options, and where they leave something open, what was chosen before."""
        return ComposeOptions.model_validate({**self.model_dump(), **options.model_dump(exclude_unset=True)})


class Stretch(Document):
    """Some bars of music for a new cut. bars, was: first and last, counted from 1.

    was: which bars of the old music they are, None where they were composed. tempo_kept: each of them lies on
    the picture as it did; otherwise the tempo was bent, so that whole bars fit.
    """

    bars: tuple[Bar, Bar]
    was: tuple[Bar, Bar] | None = None
    tempo_kept: bool = True


class Reconformed(Document):
    """From which music that of a new cut was made. cues, video: names of the files, without folders.

    before: `PianoRoll.digest` of the old notes. seed, weights: what the new notes came from.
    """

    cues: str
    video: str
    before: str
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    weights: str
    stretches: Annotated[tuple[Stretch, ...], Field(min_length=1)]

    @property
    def summary(self) -> str:
        """What became of the bars, such as `kept 1-8, moved 17-24 to 9-16, composed 25-28`."""
        return ", ".join(_said(each) for each in self.stretches)


def _said(stretch: Stretch) -> str:
    here = _range(stretch.bars)
    if stretch.was is None:
        return f"composed {here}"
    bent = "" if stretch.tempo_kept else " (tempo bent)"
    if stretch.was == stretch.bars:
        return f"kept {here}{bent}"
    return f"moved {_range(stretch.was)} to {here}{bent}"


def _range(bars: tuple[int, int]) -> str:
    return str(bars[0]) if bars[0] == bars[1] else f"{bars[0]}-{bars[1]}"
