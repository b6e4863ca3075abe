"""Training windows of paired data: stretches of songs with the features of their films on the beats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from diffbgm.data.bgm909 import PairedSong
from diffbgm.data.pop909 import Song
from diffbgm.diffusion.behaviour import Alignment
from diffbgm.diffusion.roll import LOWEST_PITCH, N_PITCHES
from diffbgm.diffusion.tokens import BITS_SHAPE, N_BITS, encode, shift_pitches
from diffbgm.errors import InputError
from diffbgm.features.film_features import Rows
from diffbgm.features.rows import shots_of_beats
from diffbgm.metrics.tonality import key_of
from diffbgm.pitch import pitch_class
from diffbgm.timing import BEATS_PER_BAR

F32 = NDArray[np.float32]
Bits = NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class PairedWindow:
    """Where an example lies, and by how many semitones its song goes to C major or A minor."""

    song: int
    start_beat: int
    semitones: int


class PairedNotes(Protocol):
    """What windows need of a song's notes: arrays as in `PairedSong`."""

    @property
    def bits(self) -> NDArray[np.uint8]: ...
    @property
    def velocity(self) -> NDArray[np.uint8]: ...
    @property
    def chroma(self) -> NDArray[np.bool_]: ...
    @property
    def bass(self) -> NDArray[np.int8]: ...
    @property
    def starts(self) -> NDArray[np.int64]: ...
    @property
    def n_beats(self) -> int: ...


class PairedSource:
    """All windows of `beats` beats, one at every downbeat that begins eight whole bars.

    A window that reaches past its song ends in silence with rows of zeros, as in the published code; windows
    longer than eight bars must lie within their song, unless the song is shorter than a window.
    """

    def __init__(self, songs: list[PairedSong], beats: int, alignment: Alignment) -> None:
        self._fill(
            songs,
            beats,
            [rows_on_beats(song, alignment) for song in songs],
            [segments_of(song, alignment) for song in songs],
            [semitones_home(song) for song in songs],
        )

    def _fill(
        self,
        songs: Sequence[PairedNotes],
        beats: int,
        rows: list[tuple[Rows, Rows]],
        segments: list[NDArray[np.int64]],
        homes: Iterable[int],
    ) -> None:
        self.songs, self.beats, self.rows, self.segments = songs, beats, rows, segments
        self.windows: list[PairedWindow] = []
        for k, (song, home) in enumerate(zip(songs, homes, strict=True)):
            last = song.n_beats - beats if beats > 8 * BEATS_PER_BAR else song.n_beats
            inside = [int(start) for start in song.starts if start <= max(0, last)]
            self.windows += [PairedWindow(k, start, home) for start in inside]
        if not self.windows:
            raise InputError("the songs hold no eight whole bars to learn from")

    def bits(self, window: PairedWindow, semitones: int) -> Bits:
        """Note bits, bool (beats, 3, 2, 4, 88), moved up by `semitones`."""
        packed = _stretch(self.songs[window.song].bits, window.start_beat, self.beats)
        unpacked = np.unpackbits(packed, axis=1, count=N_BITS).reshape(-1, *BITS_SHAPE).astype(bool)
        return shift_pitches(unpacked, semitones)

    def tokens(self, window: PairedWindow, semitones: int) -> F32:
        """Clean tokens, float32 (beats, 2148)."""
        song, start = self.songs[window.song], window.start_beat
        bass = _stretch(song.bass, start, self.beats, fill=-1)
        bass = np.where(bass >= 0, (bass + semitones) % 12, -1).astype(np.int8)
        chroma = np.roll(_stretch(song.chroma, start, self.beats), semitones, axis=1)
        velocity = _stretch(song.velocity, start, self.beats)
        return encode(self.bits(window, semitones), velocity, chroma, bass)

    def features(self, window: PairedWindow) -> tuple[Rows, Rows]:
        """Visual and language rows, float32 (beats, 512) and (beats, 768)."""
        visual, language = self.rows[window.song]
        return (
            _stretch(visual, window.start_beat, self.beats).astype(np.float32, copy=False),
            _stretch(language, window.start_beat, self.beats).astype(np.float32, copy=False),
        )

    def mask(self, window: PairedWindow) -> Bits:
        """Which segment each beat lies in, bool (beats, segments); past the song's end one of its own."""
        owner = _stretch(self.segments[window.song], window.start_beat, self.beats, fill=-1)
        return np.asarray(owner[:, None] == np.unique(owner))


def rows_on_beats(song: PairedSong, alignment: Alignment) -> tuple[Rows, Rows]:
    """A visual and a language row for each beat of the song, aligned as films are in use.

    Raises InputError if alignment by time is asked for without beat times.
    """
    edges_s = _edges(song, alignment)
    return (
        song.features.visual_on_beats(edges_s, alignment),
        song.features.language_on_beats(edges_s, alignment),
    )


def segments_of(song: PairedSong, alignment: Alignment) -> NDArray[np.int64]:
    """Number of the shot that each beat lies in, int64 (beats,), from 0, as for films in use."""
    return shots_of_beats(song.features, _edges(song, alignment), alignment)


def semitones_home(song: PairedNotes | Song) -> int:
    """Semitones from the song's key to C major or A minor, -6..5, by its pitch classes; 0 without notes."""
    sounding = np.unpackbits(song.bits, axis=1, count=N_BITS).sum(axis=0).reshape(BITS_SHAPE)
    chroma = np.zeros(12)
    np.add.at(chroma, (np.arange(N_PITCHES) + LOWEST_PITCH) % 12, sounding.sum(axis=(0, 1, 2)))
    key = key_of(chroma)
    if key is None:
        return 0
    home = 9 if key.name.endswith("m") else 0
    return (home - pitch_class(key.name.removesuffix("m")) + 6) % 12 - 6


def _edges(song: PairedSong, alignment: Alignment) -> NDArray[np.float64]:
    if alignment == "stretched":
        return np.arange(song.n_beats + 1, dtype=np.float64)
    if song.beats_s is None:
        raise InputError(f"song {song.song_id}: alignment by time needs beat times, which were not read")
    return song.beats_s


def _stretch(rows: NDArray[T], start: int, count: int, fill: int = 0) -> NDArray[T]:
    """`count` rows from `start`, filled up past the end."""
    part = rows[start : start + count]
    missing = count - len(part)
    if not missing:
        return part
    width = ((0, missing), *((0, 0) for _ in range(rows.ndim - 1)))
    return np.pad(part, width, constant_values=fill)
