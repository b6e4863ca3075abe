"""The conditions that music and film share, for the same beats of a song: once from its notes, once from the
picture, so that one row can train a network on either.

From the notes exactly as for training windows (`diffbgm.data.windows`), from the picture exactly as in use
(`spotting`, `diffusion.conditions`), only that the bars are the song's own. Both know 4/4 alone, so other
metres, and songs whose bars are not four beats throughout, have none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.data.alignment import curve_edges, majority, overlap_mean
from diffbgm.data.annotation.chords import harte_of
from diffbgm.data.annotation.music import MusicAnnotation, Span
from diffbgm.data.pop909 import Phrase, Song, parse_chord
from diffbgm.data.schema import FILM_CURVES
from diffbgm.data.windows import conditions_of_notes, song_features
from diffbgm.diffusion.conditions import Conditions, conditions_of
from diffbgm.pitch import pitch_class
from diffbgm.spotting.spot import spot_on_bars
from diffbgm.timing import BEATS_PER_BAR, FloatArray
from diffbgm.video.analysis import Analysis, Curve, Shot

LEAST_BARS: Final = 2
NO_SEGMENT: Final = -1


@dataclass(frozen=True)
class ItemConditions:
    """Conditions of a whole song; 0 = unknown, also before the first and after the last whole bar.

    dynamic: int64 (n_beats, 10). semantic: int64 (segments, 7). segment: int64 (n_beats,), the row of
    `semantic` each beat belongs to, -1 = none. dynamic_on_clock, segment_on_clock: of the beat that covers
    most of each tick.
    """

    dynamic: NDArray[np.int64]
    semantic: NDArray[np.int64]
    segment: NDArray[np.int64]
    dynamic_on_clock: NDArray[np.int64]
    segment_on_clock: NDArray[np.int64]

    def conditions(self) -> tuple[int, Conditions]:
        """The first beat that has conditions, and the conditions from there to the last that has."""
        known = np.flatnonzero(self.segment != NO_SEGMENT)
        beats = slice(int(known[0]), int(known[-1]) + 1)
        mask = self.segment[beats, None] == np.arange(len(self.semantic))
        return int(known[0]), Conditions(self.dynamic[beats], self.semantic, mask)


def whole_bars(music: MusicAnnotation) -> tuple[int, int] | None:
    """The beats [start, end) that are whole bars of 4/4, or None where the song is not in 4/4 throughout."""
    downbeats = np.flatnonzero(music.downbeat)
    if music.beats_per_bar != BEATS_PER_BAR or music.eighths_per_beat != 2 or len(downbeats) == 0:
        return None
    if np.any(np.diff(downbeats) != BEATS_PER_BAR):
        return None
    start = int(downbeats[0])
    bars = (music.n_beats - start) // BEATS_PER_BAR
    return (start, start + bars * BEATS_PER_BAR) if bars >= LEAST_BARS else None


def song_of(music: MusicAnnotation, song_id: str) -> Song | None:
    """The whole bars as a song for training windows; None where `whole_bars` has none.

    Keys and chords as given with the song where they are, else as estimated.
    """
    bars = whole_bars(music)
    if bars is None:
        return None
    start, end = bars
    chords = _at_beats(music.given_chords, start, end) or [
        harte_of(name) for name in _at_beats(music.chords, start, end)
    ]
    parsed = [parse_chord(name) for name in chords]
    keys = [_key(name) for name in _at_beats(music.given_keys or music.keys, start, end)]
    chroma = np.zeros((end - start, 12), bool)
    for beat, (classes, _, _) in enumerate(parsed):
        chroma[beat, sorted(classes)] = True
    return Song(
        song_id=song_id,
        bits=music.bits[start:end],
        velocity=music.velocity[start:end],
        chroma=chroma,
        bass=np.array([bass for _, bass, _ in parsed], np.int8),
        third=np.array([third for _, _, third in parsed], np.int8),
        tonic=np.array([tonic for tonic, _ in keys], np.int8),
        minor=np.array([minor for _, minor in keys], bool),
        bpm=(60 / np.diff(music.beats_s[start : end + 1])).astype(np.float32),
        phrases=tuple(
            Phrase(max(each.start_beat, start) - start, min(each.end_beat, end) - start, each.label)
            for each in music.phrases
            if max(each.start_beat, start) < min(each.end_beat, end)
        ),
    )


def conditions_from_notes(
    music: MusicAnnotation, offset_s: float, clock_s: FloatArray
) -> ItemConditions | None:
    """Conditions of the whole bars from the notes. clock_s: edges of the clock's ticks, video time.

    The register is that of the song in C major or A minor, by the key of most of its beats.
    """
    bars, song = whole_bars(music), song_of(music, "")
    if bars is None or song is None:
        return None
    shifts, counts = np.unique((np.where(song.minor, 9, 0) - song.tonic + 6) % 12 - 6, return_counts=True)
    semitones = int(shifts[counts.argmax()])
    most = max(len(song.phrases), 1)
    found = conditions_of_notes(song, song_features(song), 0, song.n_beats, semitones, most)
    return _placed(found, bars[0], music, offset_s, clock_s)


def conditions_from_film(
    music: MusicAnnotation, film: Analysis, offset_s: float, clock_s: FloatArray
) -> ItemConditions | None:
    """Conditions from the picture, of the whole bars that lie in the film; None where fewer than two do."""
    bars = whole_bars(music)
    if bars is None:
        return None
    bar_beats = np.arange(bars[0], bars[1] + 1, BEATS_PER_BAR)
    bar_s = music.beats_s[bar_beats] - offset_s
    inside = np.flatnonzero((bar_s >= -1e-6) & (bar_s <= film.duration_s + 1e-6))
    if len(inside) < LEAST_BARS + 1:
        return None
    bar_s = bar_s[inside]
    part = crop(film, float(bar_s[0]), float(bar_s[-1]))
    found = conditions_of(spot_on_bars(part, bar_s - bar_s[0]))
    return _placed(found, int(bar_beats[inside[0]]), music, offset_s, clock_s)


def crop(film: Analysis, start_s: float, end_s: float) -> Analysis:
    """The film from `start_s` to `end_s` as if it were all there is, without thumbnails.

    Curves keep their rate; each value is the mean over the time it then stands for.
    """
    shots = [(max(each.start_s, start_s), min(each.end_s, end_s)) for each in film.shots]
    spoken = [(max(a, start_s), min(b, end_s)) for a, b in film.speech_spans]
    transitions = [each for each in film.transitions if start_s < each.time_s < end_s]
    curves: dict[str, Any] = {
        name: _crop_curve(getattr(film, name), film.duration_s, start_s, end_s) for name in FILM_CURVES
    }
    return replace(
        film,
        duration_s=end_s - start_s,
        n_frames=round((end_s - start_s) * film.fps),
        shots=tuple(Shot(a - start_s, b - start_s) for a, b in shots if a < b),
        transitions=tuple(
            replace(
                each, time_s=each.time_s - start_s, from_s=each.from_s - start_s, to_s=each.to_s - start_s
            )
            for each in transitions
        ),
        speech_spans=tuple((a - start_s, b - start_s) for a, b in spoken if a < b),
        thumbnails=(),
        **curves,
    )


def _crop_curve(curve: Curve, duration_s: float, start_s: float, end_s: float) -> Curve:
    count = max(1, int(np.ceil((end_s - start_s) * curve.hz - 1e-6)))
    edges = np.minimum(start_s + np.arange(count + 1) / curve.hz, max(end_s, start_s + 1e-3))
    edges[-1] = max(edges[-1], edges[-2] + 1e-6)
    values = overlap_mean(curve.values, curve_edges(curve, duration_s), edges)
    return Curve(curve.hz, np.nan_to_num(values, nan=float(curve.values[-1])).astype(np.float32))


def _placed(
    found: Conditions, start: int, music: MusicAnnotation, offset_s: float, clock_s: FloatArray
) -> ItemConditions:
    """Conditions of some beats among all beats of the song, and on the clock."""
    end = start + len(found.dynamic)
    dynamic = np.zeros((music.n_beats, found.dynamic.shape[1]), np.int64)
    dynamic[start:end] = found.dynamic
    segment = np.full(music.n_beats, NO_SEGMENT, np.int64)
    segment[start:end] = found.mask.argmax(axis=1)
    beat = majority(clock_s, music.beats_s - offset_s)
    return ItemConditions(
        dynamic=dynamic,
        semantic=found.semantic,
        segment=segment,
        dynamic_on_clock=np.where(beat[:, None] >= 0, dynamic[beat], 0),
        segment_on_clock=np.where(beat >= 0, segment[beat], NO_SEGMENT),
    )


def _at_beats(spans: tuple[Span, ...], start: int, end: int) -> list[str]:
    """The label at each beat [start, end); before the first span and in gaps the nearest earlier or first."""
    if not spans:
        return []
    starts = np.array([each.start_beat for each in spans])
    index = np.clip(np.searchsorted(starts, np.arange(start, end), side="right") - 1, 0, None)
    return [spans[k].label for k in index]


def _key(name: str) -> tuple[int, bool]:
    """`Gb:maj`, `A:min`, `F#` or `Am` -> pitch class of the tonic, whether it is minor."""
    tonic, _, mode = name.partition(":")
    return pitch_class(tonic.removesuffix("m")), mode.startswith("min") or tonic.endswith("m")
