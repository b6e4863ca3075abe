"""Training windows: stretches of songs with the conditions computed from their own notes.

The counterpart of `diffbgm.diffusion.conditions.conditions_of`, which fills the same fields from a film.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.data.annotation.grid import unpacked
from diffbgm.data.pop909 import Phrase, Song
from diffbgm.diffusion import conditions as c
from diffbgm.diffusion.conditions import Conditions
from diffbgm.diffusion.roll import LOWEST_PITCH, N_PITCHES, ONSET
from diffbgm.diffusion.tokens import encode, shift_pitches
from diffbgm.timing import BEATS_PER_BAR

WINDOW_BEATS: Final = 64
SEGMENT_BEATS: Final = 8  # a window has at most one segment for so many beats
MIN_KEY_SHARE: Final = 0.9  # of a window's beats that must be in one key
MIN_SCALE_SHARE: Final = 0.9  # of its notes that must be in that key's scale, else the annotation is doubted


@dataclass(frozen=True)
class SongFeatures:
    """What conditions need of a song, computed once. One row a beat; accents (beats, 4) bool."""

    onsets: NDArray[np.float32]  # mean onsets a beat over the bar
    melody: NDArray[np.float32]  # the same of the melody
    intensity: NDArray[np.float32]  # mean velocity over the bar, NaN where nothing starts
    melody_pitch: NDArray[np.float32]  # mean melody pitch of the beat, NaN where nothing starts
    accents: NDArray[np.bool_]
    roles: tuple[int, ...]  # one a phrase: index into conditions.ROLES


@dataclass(frozen=True)
class Window:
    """Where a training example lies, and by how many semitones it goes to C major or A minor."""

    song: int
    start_beat: int
    semitones: int


class WindowSource:
    """All windows of a list of songs, one starting at every bar, materialised on request.

    features, windows: where they are known already. beats: length of a window.
    """

    def __init__(
        self,
        songs: list[Song],
        features: list[SongFeatures] | None = None,
        windows: list[Window] | None = None,
        beats: int = WINDOW_BEATS,
    ) -> None:
        self.songs = songs
        self.beats = beats
        self.features = [song_features(song) for song in songs] if features is None else features
        self.windows = (
            [w for k, song in enumerate(songs) for w in _windows(k, song, beats)]
            if windows is None
            else windows
        )

    def tokens(self, window: Window) -> NDArray[np.float32]:
        """Clean tokens, float32 (beats, 2148), in C major or A minor."""
        song, beats = self.songs[window.song], slice(window.start_beat, window.start_beat + self.beats)
        bits = shift_pitches(unpacked(song.bits[beats]), window.semitones)
        chroma = np.roll(song.chroma[beats], window.semitones, axis=1)
        bass = np.where(song.bass[beats] >= 0, (song.bass[beats] + window.semitones) % 12, -1)
        return encode(bits, song.velocity[beats], chroma, bass.astype(np.int8))

    def conditions(self, window: Window, speed: float = 1.0) -> Conditions:
        """Everything known of the window: no field dropped, every accent shown; the song `speed` times as
        fast as it is."""
        song, features = self.songs[window.song], self.features[window.song]
        if speed != 1.0:
            song = replace(song, bpm=song.bpm * np.float32(speed))
        end = window.start_beat + self.beats
        segments = self.beats // SEGMENT_BEATS
        return conditions_of_notes(song, features, window.start_beat, end, window.semitones, segments)


def conditions_of_notes(
    song: Song, features: SongFeatures, start: int, end: int, semitones: int, max_segments: int
) -> Conditions:
    """Everything known of the beats [start, end) from the notes, which begin a bar; no field dropped.

    semitones: by how many the stretch goes to C major or A minor, for the register. Phrases after the first
    `max_segments` have none of their own: their beats belong to the last one's.
    """
    n_beats = end - start
    dynamic = np.zeros((n_beats, len(c.DYNAMIC_FIELDS)), np.int64)
    dynamic[:, c.DYNAMIC_INDEX["density"]] = c.density_code(features.onsets[start:end])
    dynamic[:, c.DYNAMIC_INDEX["melody"]] = c.melody_code(features.melody[start:end])
    intensity = features.intensity[start:end]
    code = c.edge_code(np.nan_to_num(intensity), c.INTENSITY_EDGES)
    dynamic[:, c.DYNAMIC_INDEX["intensity"]] = np.where(np.isnan(intensity), c.UNKNOWN, code)
    dynamic[:, c.ACCENT] = features.accents[start:end]
    dynamic[:, c.DYNAMIC_INDEX["beat"]] = 1 + np.arange(n_beats) % BEATS_PER_BAR
    semantic: list[list[int]] = []
    columns = []
    for index, phrase in enumerate(song.phrases):
        first, last = max(phrase.start_beat, start), min(phrase.end_beat, end)
        if first >= last or len(semantic) == max_segments:
            continue
        beats = np.arange(first, last)
        dynamic[beats - start, c.DYNAMIC_INDEX["since"]] = c.distance_code(
            (beats - phrase.start_beat) // BEATS_PER_BAR
        )
        dynamic[beats - start, c.DYNAMIC_INDEX["until"]] = c.distance_code(
            (phrase.end_beat - 1 - beats) // BEATS_PER_BAR
        )
        semantic.append(_semantic(song, features, phrase, index, semitones))
        columns.append(np.isin(np.arange(start, end), beats))
    mask = np.stack(columns, axis=1) if columns else np.zeros((n_beats, 1), bool)
    rows = np.array(semantic, np.int64) if semantic else np.zeros((1, len(c.SEMANTIC_FIELDS)), np.int64)
    mask[~mask.any(axis=1), -1] = True  # past the last labelled phrase
    return Conditions(dynamic, c.renumber_labels(rows), mask)


def drop_fields(given: Conditions, rng: np.random.Generator) -> Conditions:
    """Condition dropout: what a person may leave open, the network must have seen open.

    A tenth each: nothing known, dynamic stream unknown, semantic stream unknown. Otherwise each field is
    unknown throughout with probability 0.15 (dynamic) or 0.2 (semantic). Accents are mostly sparse in
    use, so half the windows show none and the others a random share.
    """
    dynamic, semantic = given.dynamic.copy(), given.semantic.copy()
    case = rng.random()
    if case < 0.2:
        dynamic[:] = c.UNKNOWN
    if case < 0.1 or 0.2 <= case < 0.3:
        semantic[:] = c.UNKNOWN
    dynamic[:, rng.random(dynamic.shape[1]) < 0.15] = c.UNKNOWN
    semantic[:, rng.random(semantic.shape[1]) < 0.2] = c.UNKNOWN
    shown = rng.choice([0.0, 0.0, 0.0, 0.1, 0.3, 1.0])
    dynamic[:, c.ACCENT] *= rng.random((len(dynamic), 4)) < shown
    return Conditions(dynamic, semantic, given.mask)


def song_features(song: Song) -> SongFeatures:
    """Measures of a song's notes that do not depend on key or window."""
    onsets = unpacked(song.bits)[:, :, ONSET]  # (beats, tracks, 4, 88)
    counts = onsets.sum(axis=-1)
    weights = counts * song.velocity
    struck = counts.sum(axis=(1, 2))
    melody_counts = counts[:, 0].sum(axis=1)
    pitches = np.arange(LOWEST_PITCH, LOWEST_PITCH + N_PITCHES)
    melody_pitch = np.full(song.n_beats, np.nan, np.float32)
    has_melody = melody_counts > 0
    pitch_sum = (onsets[:, 0].sum(axis=1) * pitches).sum(axis=-1)
    melody_pitch[has_melody] = pitch_sum[has_melody] / melody_counts[has_melody]
    bar_struck = _per_bar(struck)
    with np.errstate(invalid="ignore"):
        intensity = np.where(bar_struck > 0, _per_bar(weights.sum(axis=(1, 2))) / bar_struck, np.nan)
    intensity = intensity.astype(np.float32)
    strength = weights.sum(axis=1).reshape(-1)
    smooth = np.convolve(strength, np.ones(17) / 17, mode="same")
    sounding = np.convolve(strength > 0, np.ones(17) / 17, mode="same")
    typical = smooth / np.maximum(sounding, 1e-6)
    accents = (strength > 1.6 * typical) & (counts.sum(axis=1).reshape(-1) >= 3)
    onsets_per_beat = (_per_bar(struck) / BEATS_PER_BAR).astype(np.float32)
    return SongFeatures(
        onsets=onsets_per_beat,
        melody=(_per_bar(melody_counts) / BEATS_PER_BAR).astype(np.float32),
        intensity=intensity,
        melody_pitch=melody_pitch,
        accents=accents.reshape(-1, 4),
        roles=_roles(song, onsets_per_beat, intensity, melody_pitch),
    )


def _semantic(song: Song, features: SongFeatures, phrase: Phrase, index: int, semitones: int) -> list[int]:
    beats = slice(phrase.start_beat, phrase.end_beat)
    minor = bool(song.minor[beats].mean() > 0.5)
    sung = ~np.isnan(features.melody_pitch[beats])
    pitch = float(features.melody_pitch[beats][sung].mean()) + semitones if sung.sum() >= 4 else None
    bpm = float(np.median(song.bpm))
    struck = ~np.isnan(features.intensity[beats])
    intensity = float(features.intensity[beats][struck].mean()) if struck.any() else 85.0
    level = (np.log2(bpm / 76) / 0.45 + (intensity - 85) / 9 + (features.onsets[beats].mean() - 5) / 2) / 3
    valence = (-0.35 if minor else 0.35) + 0.9 * (float(song.third[beats].mean()) - 0.2)
    fields = {
        "valence": int(c.edge_code(valence, c.SIGNED_EDGES)),
        "arousal": int(c.edge_code(float(np.tanh(1.2 * level)), c.SIGNED_EDGES)),
        "mode": 2 if minor else 1,
        "register": c.UNKNOWN if pitch is None else int(c.edge_code(pitch, c.REGISTER_EDGES)),
        "tempo": int(c.edge_code(bpm, c.TEMPO_EDGES)),
        "role": 1 + features.roles[index],
        "label": 1 + int.from_bytes(phrase.label.encode()),  # renumbered later
    }
    return [fields[name] for name in c.SEMANTIC_FIELDS]


def _roles(
    song: Song, onsets: NDArray[np.float32], intensity: NDArray[np.float32], pitch: NDArray[np.float32]
) -> tuple[int, ...]:
    """Film roles of the phrases: the strongest melodic letter is the climax, what leads into it a build."""
    levels: dict[str, list[float]] = {}
    for phrase in song.phrases:
        beats = slice(phrase.start_beat, phrase.end_beat)
        if phrase.label.isupper() and not np.isnan(pitch[beats]).all():
            level = onsets[beats].mean() / 2 + np.nanmean(pitch[beats]) / 4
            if not np.isnan(intensity[beats]).all():
                level += np.nanmean(intensity[beats]) / 9
            levels.setdefault(phrase.label, []).append(float(level))
    strongest = max(levels, key=lambda label: float(np.mean(levels[label])), default="")
    roles = []
    for index, phrase in enumerate(song.phrases):
        following = song.phrases[index + 1].label if index + 1 < len(song.phrases) else ""
        if phrase.label == "i":
            role = "intro"
        elif phrase.label == "o":
            role = "outro"
        elif phrase.label.islower():
            role = "calm"
        elif phrase.label == strongest:
            role = "climax"
        elif following == strongest:
            role = "build"
        else:
            role = "theme"
        roles.append(c.ROLES.index(role))
    return tuple(roles)


def _windows(index: int, song: Song, length: int) -> list[Window]:
    scale = np.isin(np.arange(12), [0, 2, 4, 5, 7, 9, 11])
    shift = np.where(song.minor, 9 - song.tonic.astype(int), -song.tonic.astype(int))
    shift = (shift + 6) % 12 - 6
    played = unpacked(song.bits)[:, :, ONSET].sum(axis=(1, 2))  # (beats, 88)
    classes = np.zeros((song.n_beats, 12))
    for key in range(N_PITCHES):
        classes[:, (key + LOWEST_PITCH) % 12] += played[:, key]
    out = []
    for start in range(0, song.n_beats - length + 1, BEATS_PER_BAR):
        beats = slice(start, start + length)
        values, counts = np.unique(shift[beats], return_counts=True)
        if counts.max() < MIN_KEY_SHARE * length:
            continue
        semitones = int(values[counts.argmax()])
        in_window = np.roll(classes[beats].sum(axis=0), semitones)
        if in_window[scale].sum() >= MIN_SCALE_SHARE * max(in_window.sum(), 1):
            out.append(Window(index, start, semitones))
    return out


def _per_bar(per_beat: NDArray[np.generic]) -> NDArray[np.float64]:
    """Sum over each bar, repeated on its beats."""
    return np.repeat(per_beat.reshape(-1, BEATS_PER_BAR).sum(axis=1), BEATS_PER_BAR).astype(np.float64)
