"""The piano roll on the beat grid: what the model writes and what arranging reads.

Steps are sixteenths, pitches the 88 keys of a piano (index 0 = MIDI 21). Tracks in this order:
melody, counter-melody, accompaniment. A note is one onset bit and a sustain bit at each later step
through which it sounds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.errors import InputError
from diffbgm.timing import STEPS_PER_BEAT, divide_exactly

TRACKS: Final = ("melody", "counter", "accompaniment")
ONSET: Final = 0
SUSTAIN: Final = 1
LOWEST_PITCH: Final = 21
N_PITCHES: Final = 88


@dataclass(frozen=True)
class PianoRoll:
    """Notes, dynamics and harmony in the film's own key.

    bits: bool (tracks, planes, steps, pitches) = (3, 2, 4 * beats, 88); planes: onset, sustain.
    velocity: uint8 (tracks, steps), MIDI velocity of the onsets at that step, 0 where there are none.
    chroma: bool (beats, 12), the pitch classes of the chord sounding at each beat, 0 = C.
    bass: int8 (beats,), the pitch class of the chord's bass, -1 where there is no chord.
    """

    bits: NDArray[np.bool_]
    velocity: NDArray[np.uint8]
    chroma: NDArray[np.bool_]
    bass: NDArray[np.int8]

    def __post_init__(self) -> None:
        tracks, planes, steps, pitches = self.bits.shape
        beats = divide_exactly(steps, STEPS_PER_BEAT)
        if (tracks, planes, pitches) != (len(TRACKS), 2, N_PITCHES):
            raise ValueError(f"roll of shape {self.bits.shape} is not (3, 2, steps, 88)")
        if self.velocity.shape != (tracks, steps):
            raise ValueError(f"velocities of shape {self.velocity.shape}, expected {(tracks, steps)}")
        if self.chroma.shape != (beats, 12) or self.bass.shape != (beats,):
            raise ValueError("chords do not have one entry a beat")

    @property
    def n_steps(self) -> int:
        return int(self.bits.shape[2])

    @property
    def n_beats(self) -> int:
        return divide_exactly(self.n_steps, STEPS_PER_BEAT)

    @property
    def digest(self) -> str:
        """SHA-256 over all that the roll holds, in hex."""
        arrays = (self.bits, self.velocity, self.chroma, self.bass)
        return hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in arrays)).hexdigest()

    def save(self, path: Path) -> None:
        """Write as a compressed .npz whose bytes depend on the notes alone."""
        with path.open("wb") as file:
            np.savez_compressed(
                file, bits=self.bits, velocity=self.velocity, chroma=self.chroma, bass=self.bass
            )

    @classmethod
    def load(cls, path: Path) -> PianoRoll:
        """Read what `save` wrote. Raises InputError if the file is not such a roll."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(file["bits"], file["velocity"], file["chroma"], file["bass"])
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{path}: not a piano roll written by diffbgm ({error})") from error
