"""What steers the model: the fields of the two condition streams and how a plan fills them.

Both streams hold small integers; 0 always means "unknown", has an embedding of its own, and is what the
network saw where a condition was dropped in training. The same fields are computed from the notes of a
song in training (`diffbgm.data.windows`) and from the cue sheet in use (`conditions_of`), so every scale
below is one that music and film share; the quantile tables were counted on the training songs.

Dynamic stream, one token a beat: how much happens and where the accents fall.
Semantic stream, one token for each field of each segment: character, harmony, role, recurrence.
The segment mask says which segment's tokens a beat may attend to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.timing import BEATS_PER_BAR, STEPS_PER_BEAT

if TYPE_CHECKING:
    from diffbgm.spotting.cuesheet import Plan, Section

UNKNOWN: Final = 0

# Field name -> number of values, "unknown" included.
DYNAMIC_FIELDS: Final = {
    "density": 25,  # 1 + note onsets in the bar / 2
    "melody": 9,  # 1 + melody onsets in the bar / 2, rounded up
    "intensity": 9,  # octile of the bar's mean velocity
    "accent_1": 2,  # 1 = an accent falls on this sixteenth of the beat
    "accent_2": 2,
    "accent_3": 2,
    "accent_4": 2,
    "beat": 5,  # beat in bar
    "since": 9,  # bars since the segment began
    "until": 9,  # bars until it ends
}
SEMANTIC_FIELDS: Final = {
    "valence": 6,
    "arousal": 6,
    "mode": 3,  # 1 = major, 2 = minor
    "register": 7,  # of the melody, in thirds of an octave around its usual place
    "tempo": 9,
    "role": 7,
    "label": 9,  # order of first appearance: equal numbers are the same material
}
DYNAMIC_INDEX: Final = {name: k for k, name in enumerate(DYNAMIC_FIELDS)}
SEMANTIC_INDEX: Final = {name: k for k, name in enumerate(SEMANTIC_FIELDS)}
ACCENT: Final = slice(DYNAMIC_INDEX["accent_1"], DYNAMIC_INDEX["accent_4"] + 1)
# In the songs these roles come from phrases labelled as having no melody.
UNSUNG_ROLES: Final = ("intro", "calm", "outro")
ROLES: Final = ("intro", "theme", "build", "climax", "calm", "outro")

# Onsets a beat (mean over a bar, all tracks) at every twentieth of the training bars.
DENSITY_QUANTILES: Final = (
    0.0, 2.25, 2.75, 3.25, 3.5, 3.75, 4.0, 4.25, 4.5, 4.75, 5.0,
    5.25, 5.5, 5.75, 6.0, 6.25, 6.5, 7.0, 7.5, 8.5, 11.0,
)  # fmt: skip
# Faster songs have fewer onsets a beat: the songs' medians follow (bpm / 76) ** -0.55.
TYPICAL_BPM: Final = 76.0
DENSITY_BY_TEMPO: Final = -0.55
INTENSITY_EDGES: Final = (73.0, 78.0, 81.5, 85.0, 88.5, 93.5, 99.5)
TEMPO_EDGES: Final = (62.0, 67.0, 72.0, 78.0, 87.0, 100.0, 118.0)
REGISTER_EDGES: Final = (62.0, 66.0, 69.0, 72.0, 76.0)
# Mean pitch of a melody in the middle register, and how far the lowest and the highest lie from it.
USUAL_MELODY: Final = 71.0
REGISTER_REACH: Final = 9.0
SIGNED_EDGES: Final = (-0.6, -0.2, 0.2, 0.6)

# Onsets a beat of a melody that answers the words.
MELODY_IN_PAUSES: Final = 1.25

PHRASE_BARS: Final = 8
SHORTEST_PHRASE_BARS: Final = 4
FORM_OF_PHRASES: Final = "aaba"
"""Which phrases of a section are the same material; the most frequent way of the songs but aabb."""

FORM_OF_FEW: Final = {2: "ab", 3: "aba"}
"""Where a section has few phrases: themes return with their sections, and more often would tire."""


@dataclass(frozen=True)
class Conditions:
    """Condition of a stretch of music.

    dynamic: int64 (beats, 10). semantic: int64 (segments, 7). mask: bool (beats, segments), True where a
    beat may attend to a segment's tokens and to the dynamic tokens of the beats of that segment.

    For weights that follow features of a film, both are rows of numbers in place of codes, float32; 0
    throughout is unknown there too.
    """

    dynamic: NDArray[Any]
    semantic: NDArray[Any]
    mask: NDArray[np.bool_]

    def without_dynamic(self) -> Conditions:
        """The same with the dynamic stream unknown."""
        return replace(self, dynamic=np.zeros_like(self.dynamic))

    def without_semantic(self) -> Conditions:
        """The same with the semantic stream unknown."""
        return replace(self, semantic=np.zeros_like(self.semantic))

    def window(self, start_beat: int, n_beats: int) -> Conditions:
        """The stretch of `n_beats` from `start_beat`; past the end all is unknown, a segment of its own.

        Only the segments that occur are kept; recurrence labels are numbered anew from 1.
        """
        dynamic = self.dynamic[start_beat : start_beat + n_beats]
        mask = self.mask[start_beat : start_beat + n_beats]
        used = np.flatnonzero(mask.any(axis=0))
        missing = n_beats - len(dynamic)
        semantic = self.semantic[used]
        if semantic.dtype == np.int64:
            semantic = renumber_labels(semantic)
        mask = mask[:, used]
        if missing:
            dynamic = np.pad(dynamic, ((0, missing), (0, 0)))
            mask = np.pad(mask, ((0, missing), (0, 1)))
            mask[-missing:, -1] = True
            semantic = np.pad(semantic, ((0, 1), (0, 0)))
        return Conditions(dynamic, semantic, mask)


def density_code(onsets_per_beat: NDArray[np.floating] | float) -> NDArray[np.int64]:
    """Code of the mean number of note onsets a beat over a bar."""
    last = DYNAMIC_FIELDS["density"] - 2
    return np.asarray(1 + np.clip(np.floor(2 * np.asarray(onsets_per_beat) + 0.5), 0, last), np.int64)


def melody_code(onsets_per_beat: NDArray[np.floating] | float) -> NDArray[np.int64]:
    """Code of the mean number of melody onsets a beat over a bar; 1 = none at all."""
    last = DYNAMIC_FIELDS["melody"] - 2
    return np.asarray(1 + np.clip(np.ceil(2 * np.asarray(onsets_per_beat)), 0, last), np.int64)


def distance_code(bars: NDArray[np.integer]) -> NDArray[np.int64]:
    """Code of a distance in whole bars: 0..4 apart, then 5-6, 7-8, more."""
    return np.asarray(1 + np.searchsorted([1, 2, 3, 4, 5, 7, 9], bars, side="right"), np.int64)


def edge_code(values: NDArray[np.floating] | float, edges: tuple[float, ...]) -> NDArray[np.int64]:
    """1 + the number of `edges` at or below each value."""
    return np.asarray(1 + np.searchsorted(edges, values, side="right"), np.int64)


def renumber_labels(semantic: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels in order of first appearance, 1, 2, ...; past the last value they share it. A new array."""
    out = semantic.copy()
    seen: dict[int, int] = {}
    column = SEMANTIC_INDEX["label"]
    for row in out:
        if row[column] != UNKNOWN:
            number = seen.setdefault(int(row[column]), len(seen) + 1)
            row[column] = min(number, SEMANTIC_FIELDS["label"] - 1)
    return out


def conditions_of(plan: Plan) -> Conditions:
    """Conditions of the whole film from its plan.

    A section longer than eight bars is cut into phrases, since the model learned from phrases; which of
    them are the same material follows from how many there are. Every beat belongs to exactly one phrase.
    Density and energy go through the quantiles of the training songs, so that 0.5 asks for as much as the
    median bar of a song of that tempo has. Accents are asked at kept hits and left unknown elsewhere.
    Bars full of speech are to have no melody, those between them one. An intro, calm or outro that is to
    have a melody is a theme to the model.
    """
    n_beats = plan.tempo_map.n_beats
    dynamic = np.zeros((n_beats, len(DYNAMIC_FIELDS)), np.int64)
    semantic_rows: list[list[int]] = []
    mask_columns: list[NDArray[np.bool_]] = []
    labels: dict[tuple[str, str], int] = {}

    by_bar = np.asarray(plan.density).reshape(-1, BEATS_PER_BAR).mean(axis=1)
    onsets = np.interp(by_bar, np.linspace(0, 1, len(DENSITY_QUANTILES)), DENSITY_QUANTILES)
    for section in plan.sections:
        onsets[section.start_bar : section.end_bar] *= (section.tempo_bpm / TYPICAL_BPM) ** DENSITY_BY_TEMPO
    dynamic[:, DYNAMIC_INDEX["density"]] = np.repeat(density_code(onsets), BEATS_PER_BAR)
    energy_by_bar = np.asarray(plan.energy).reshape(-1, BEATS_PER_BAR).mean(axis=1)
    intensity = 1 + np.minimum((energy_by_bar * 8).astype(np.int64), 7)
    dynamic[:, DYNAMIC_INDEX["intensity"]] = np.repeat(intensity, BEATS_PER_BAR)
    dynamic[:, DYNAMIC_INDEX["beat"]] = 1 + np.arange(n_beats) % BEATS_PER_BAR
    for hit in plan.hits:
        if hit.step is not None:
            beat, step = divmod(hit.step, STEPS_PER_BEAT)
            if beat < n_beats:
                dynamic[beat, ACCENT.start + step] = 1

    for section in plan.sections:
        phrases = _phrases(section)
        form = FORM_OF_FEW.get(len(phrases), FORM_OF_PHRASES)
        for number, (start_bar, end_bar) in enumerate(phrases):
            material = (section.label, form[number % len(form)])
            label = labels.setdefault(material, len(labels) + 1)
            beats = slice(start_bar * BEATS_PER_BAR, end_bar * BEATS_PER_BAR)
            bars = np.repeat(np.arange(end_bar - start_bar), BEATS_PER_BAR)
            dynamic[beats, DYNAMIC_INDEX["since"]] = distance_code(bars)
            dynamic[beats, DYNAMIC_INDEX["until"]] = distance_code(bars[::-1])
            if not section.melody:
                dynamic[beats, DYNAMIC_INDEX["melody"]] = melody_code(0.0)
            semantic_rows.append(_semantic_row(section, section.key or plan.key, label))
            column = np.zeros(n_beats, bool)
            column[beats] = True
            mask_columns.append(column)
    _leave_to_words(dynamic[:, DYNAMIC_INDEX["melody"]], plan.spoken_beats)
    if plan.melody:
        # The network is told how many notes the given tune has.
        onsets = np.bincount([int(note.beat) // BEATS_PER_BAR for note in plan.melody], minlength=n_beats)
        codes = np.repeat(melody_code(onsets / BEATS_PER_BAR), BEATS_PER_BAR)
        given = slice(*plan.melody_span)
        dynamic[given, DYNAMIC_INDEX["melody"]] = codes[given]
    return Conditions(dynamic, np.array(semantic_rows, np.int64), np.stack(mask_columns, axis=1))


def _leave_to_words(melody: NDArray[np.int64], spoken: NDArray[np.bool_]) -> None:
    """Ask for no melody in bars full of speech, and for one in the whole bars between them.

    Changes `melody`, the field's code at each beat, in pauses only where it is unknown.
    """
    bars = spoken.reshape(-1, BEATS_PER_BAR)
    touched = np.flatnonzero(bars.any(axis=1))
    pause = np.zeros(len(bars), dtype=np.bool_)
    if len(touched):
        pause[touched[0] : touched[-1]] = True
        pause[touched] = False
    melody[np.repeat(pause, BEATS_PER_BAR) & (melody == UNKNOWN)] = melody_code(MELODY_IN_PAUSES)
    melody[np.repeat(bars.all(axis=1), BEATS_PER_BAR)] = melody_code(0.0)


def _semantic_row(section: Section, key: str, label: int) -> list[int]:
    role = "theme" if section.melody and section.role in UNSUNG_ROLES else section.role
    fields = {
        "valence": int(edge_code(section.valence, SIGNED_EDGES)),
        "arousal": int(edge_code(section.arousal, SIGNED_EDGES)),
        "mode": 2 if key.endswith("m") else 1,
        "register": _register(section.melody_register),
        "tempo": int(edge_code(section.tempo_bpm, TEMPO_EDGES)),
        "role": 1 + ROLES.index(role),
        "label": label,
    }
    return [fields[name] for name in SEMANTIC_FIELDS]


def _register(asked: float | None) -> int:
    if asked is None:
        return UNKNOWN
    return int(edge_code(USUAL_MELODY + REGISTER_REACH * asked, REGISTER_EDGES))


def _phrases(section: Section) -> list[tuple[int, int]]:
    """Bars of the phrases of a section: of eight from its beginning on, so that a section that returns longer
    or shorter has the same; nine to eleven bars that are left make two.
    """
    borders = [section.start_bar]
    while (left := section.end_bar - borders[-1]) > PHRASE_BARS:
        enough_for_another = left >= PHRASE_BARS + SHORTEST_PHRASE_BARS
        borders.append(borders[-1] + (PHRASE_BARS if enough_for_another else -(-left // 2)))
    return list(pairwise([*borders, section.end_bar]))
