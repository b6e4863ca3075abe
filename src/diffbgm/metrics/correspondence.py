"""Does the music fit the picture? Measured on a finished film: its sound is listened to, not its score.

`measure` takes a film and the analysis of its picture. Beside the film may lie what `compose` wrote there:
the music alone (NAME.wav), the cue sheet (NAME.cues.json) and the notes (NAME.mid). Without them, as for
another system's film, the film's own sound is heard, and what only a plan can say (hits, downbeats, asked
energy and mood, final chord) is None.

Every figure stands beside what the same music reaches by chance (see `alignment` and `association`).
docs/correspondence.md says what each key means and how far it can be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from diffbgm.metrics.alignment import (
    accented,
    accents_at,
    compare,
    finite,
    heard_at,
    share_met,
    tbiou,
)
from diffbgm.metrics.association import circular_shift_test, spearman
from diffbgm.metrics.notes import Notes, read_notes
from diffbgm.metrics.onsets import FRAME_HZ, Onsets, Sound, find_onsets, hear, read_sound
from diffbgm.metrics.tonality import NOTE_NAMES, chroma_of, final_chord, key_of, tempo_of
from diffbgm.spotting.cuesheet import CueSheet, Plan
from diffbgm.video.analysis import Analysis

FloatArray = NDArray[np.float64]
ListenTo = Literal["music", "film"]

MET_TOLERANCES_S: Final = {"40_ms": 0.04, "100_ms": 0.1}
TBIOU_TOLERANCES_S: Final = {"40_ms": 0.04, "100_ms": 0.1, "500_ms": 0.5}

WINDOW_S: Final = 2.0
HOP_S: Final = 0.5

_AUDIBLE_LUFS: Final = -60.0
_ENHARMONIC: Final = {"C#": "Db", "D#": "Eb", "F#": "Gb", "G#": "Ab", "A#": "Bb", "Cb": "B"}


@dataclass(frozen=True)
class Heard:
    """The music as it sounds.

    accents: bool (onsets,), which onsets are accents. chroma: float64 (12,), see `tonality.chroma_of`.
    """

    sound: Sound
    onsets: Onsets
    accents: NDArray[np.bool_]
    chroma: FloatArray


def measure(
    film: Path,
    *,
    analysis: Analysis,
    cuts_s: Sequence[float] | None = None,
    listen_to: ListenTo | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """All figures of a finished film as plain JSON values; None where something does not apply.

    analysis: the picture of the film. cuts_s: moments of the cuts where they are known better than the
    analysis found them. listen_to: `music`, the WAV beside the film; `film`, the film's sound; None takes
    the WAV where there is one. seed: of the random offsets.

    Raises InputError if the sound or the MIDI file cannot be read, CueSheetError if the cue sheet is not one.
    """
    plan = _plan_beside(film)
    notes_file = film.with_suffix(".mid")
    wav = film.with_suffix(".wav")
    if listen_to is None:
        listen_to = "music" if wav.exists() else "film"
    heard = listen(read_sound(wav if listen_to == "music" else film))
    cuts = np.sort(np.asarray(_cuts(analysis) if cuts_s is None else cuts_s, np.float64))
    rng = np.random.default_rng(seed)
    duration_s, fps = analysis.duration_s, analysis.fps
    kept = [hit.time_s for hit in plan.hits if hit.on is not None] if plan else None
    return {
        "film": film.name,
        "listened_to": listen_to,
        "duration_s": finite(duration_s),
        "fps": finite(fps),
        "onsets": len(heard.onsets),
        "onsets_per_s": finite(len(heard.onsets) / duration_s),
        "cuts": alignment_of(cuts, heard, plan, duration_s, fps, rng),
        "hits": None
        if kept is None
        else alignment_of(np.array(kept, np.float64), heard, plan, duration_s, fps, rng),
        "motion_density": motion_density(analysis, heard),
        "energy_loudness": energy_loudness(plan, heard) if plan else None,
        "mood": _mood(plan, heard),
        "length": length_errors(heard.sound, duration_s, fps),
        "final_chord": _ending(read_notes(notes_file), plan) if plan and notes_file.exists() else None,
    }


def listen(samples: NDArray[np.float32]) -> Heard:
    """Hear a sound, float32 (samples,) at `onsets.RATE`, and find its onsets and accents."""
    sound = hear(samples)
    onsets = find_onsets(samples, sound)
    return Heard(sound, onsets, accented(onsets.times_s, onsets.strength), chroma_of(samples))


def alignment_of(
    moments_s: FloatArray,
    heard: Heard,
    plan: Plan | None,
    duration_s: float,
    fps: float,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """How the music meets moments of the picture: share met and TBIoU by kind of event, and accents there.

    Kinds: `onset`, every onset heard; `accent`, see `alignment.accented`; `beat` and `downbeat`, the plan's
    positions at which an onset is heard within 40 ms (only with a plan).
    """
    times = heard.onsets.times_s
    events = {"onset": times, "accent": times[heard.accents]}
    tempo_map = plan.tempo_map if plan else None
    if tempo_map is not None:
        beats = tempo_map.seconds(np.arange(tempo_map.n_beats, dtype=np.float64))
        events["beat"] = heard_at(beats, times)
        events["downbeat"] = heard_at(beats[::4], times)
    out: dict[str, Any] = {"n": len(moments_s), "met": {}, "tbiou": {}}
    for kind, at in events.items():
        met = {"1_frame": 1.0 / fps} | MET_TOLERANCES_S
        for table, score, tolerances in (("met", share_met, met), ("tbiou", tbiou, TBIOU_TOLERANCES_S)):
            out[table][kind] = {
                name: compare(
                    lambda e, score=score, tolerance=tolerance: score(moments_s, e, tolerance),  # type: ignore[misc]
                    at,
                    duration_s,
                    rng=rng,
                    tempo_map=tempo_map,
                ).to_json()
                for name, tolerance in tolerances.items()
            }
    out["accents_there"] = _accents_there(moments_s, heard.onsets, duration_s, rng)
    return out


def length_errors(sound: Sound, duration_s: float, fps: float) -> dict[str, float | None]:
    """How the sound's length differs from the picture's, in frames; positive = the sound is longer.

    sound_frames: of the whole track. audible_frames: of its last audible moment (above -60 LUFS), so
    that a piece which falls silent early shows. Sound decoded from AAC or Opus carries a codec's padding of
    up to 1024 samples (about a frame); the WAV does not.
    """
    audible = np.flatnonzero(sound.power > 10 ** ((_AUDIBLE_LUFS + 0.691) / 10))
    last_s = (audible[-1] + 1) / FRAME_HZ if len(audible) else 0.0
    return {
        "sound_frames": finite((sound.duration_s - duration_s) * fps),
        "audible_frames": finite((min(last_s, sound.duration_s) - duration_s) * fps),
    }


def flatten(measured: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of `measure` under one flat key each, such as `cuts_met_onset_1_frame_value`; no None."""
    out: dict[str, float] = {}
    for key, value in measured.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            out |= flatten(value, f"{name}_")
        elif isinstance(value, int | float):
            out[name] = float(value)
    return out


def across_films(measured: Sequence[Mapping[str, Any]], seed: int = 0) -> dict[str, dict[str, float | None]]:
    """Does the key's mode follow the valence and the tempo the arousal, from film to film?

    Spearman's rho over the films that have a plan, beside a permutation null of 2000 orders:
    `{"mode_valence": {"rho", "p", "n"}, "tempo_arousal": ...}`; None for fewer than 3 films.
    """
    moods = [each["mood"] for each in measured if each["mood"]["valence"] is not None]
    rng = np.random.default_rng(seed)
    out: dict[str, dict[str, float | None]] = {}
    for name, heard, asked in (
        ("mode_valence", "mode_margin_heard", "valence"),
        ("tempo_arousal", "tempo_bpm", "arousal"),
    ):
        pairs = np.array([(m[heard], m[asked]) for m in moods if m[heard] is not None], np.float64)
        a, b = pairs.reshape(-1, 2).T
        rho = spearman(a, b)
        null = np.array([spearman(rng.permutation(a), b) for _ in range(2000)])
        p = (1 + (null >= rho - 1e-12).sum()) / (1 + len(null))
        out[name] = {"rho": finite(rho), "p": finite(p if np.isfinite(rho) else rho), "n": len(a)}
    return out


def _plan_beside(film: Path) -> Plan | None:
    for suffix in (".solved.cues.json", ".cues.json"):
        sheet = film.with_suffix(suffix)
        if sheet.exists():
            return CueSheet.load(sheet).plan
    return None


def _cuts(analysis: Analysis) -> list[float]:
    return [each.time_s for each in analysis.transitions if 0.0 < each.time_s < analysis.duration_s]


def _accents_there(
    moments_s: FloatArray, onsets: Onsets, duration_s: float, rng: np.random.Generator
) -> dict[str, Any]:
    found = accents_at(moments_s, onsets.times_s, onsets.strength)
    # Moving the moments round is moving the music round the other way, and leaves the strengths in place.
    percentile, local = (
        compare(
            lambda moved, name=name: getattr(accents_at(moved, onsets.times_s, onsets.strength), name),  # type: ignore[misc]
            moments_s,
            duration_s,
            rng=rng,
            n_offsets=200,
        ).to_json()
        for name in ("percentile", "local_percentile")
    )
    return {
        "heard": finite(found.heard),
        "percentile": percentile,
        "local_percentile": local,
        "strength_ratio": finite(found.strength_ratio),
    }


def _windows(duration_s: float) -> FloatArray:
    """Starts of the windows that lie within the film."""
    return np.arange(0.0, max(duration_s - WINDOW_S, 0.0) + 1e-9, HOP_S)


def _mean_over(values: FloatArray, hz: float, starts: FloatArray) -> FloatArray:
    """Mean of a curve over each window."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    low = np.clip(np.rint(starts * hz).astype(int), 0, len(values) - 1)
    high = np.clip(np.rint((starts + WINDOW_S) * hz).astype(int), low + 1, len(values))
    return np.asarray((sums[high] - sums[low]) / (high - low), np.float64)


def motion_density(analysis: Analysis, heard: Heard) -> dict[str, Any]:
    """Does more happen in the music where the picture moves more? Keys as `Association.to_json`."""
    starts = _windows(analysis.duration_s)
    motion = _mean_over(analysis.motion.values.astype(np.float64), analysis.motion.hz, starts)
    times = heard.onsets.times_s
    density = (np.searchsorted(times, starts + WINDOW_S) - np.searchsorted(times, starts)) / WINDOW_S
    return circular_shift_test(motion, density, round(WINDOW_S / HOP_S)).to_json()


def energy_loudness(plan: Plan, heard: Heard) -> dict[str, Any]:
    """Is the music louder where the plan asks for energy? Keys as `Association.to_json`."""
    starts = _windows(plan.duration_s)
    fine_s = (np.arange(round(plan.duration_s * 20)) + 0.5) / 20
    beat = np.clip(plan.tempo_map.beats(fine_s).astype(int), 0, len(plan.energy) - 1)
    energy = _mean_over(np.asarray(plan.energy, np.float64)[beat], 20.0, starts)
    loudness = np.array([heard.sound.loudness(start, start + WINDOW_S) for start in starts])
    return circular_shift_test(energy, loudness, round(WINDOW_S / HOP_S)).to_json()


def _mood(plan: Plan | None, heard: Heard) -> dict[str, Any]:
    key = key_of(heard.chroma)
    out: dict[str, Any] = {
        "key_heard": key.name if key else None,
        "mode_margin_heard": finite(key.mode_margin) if key else None,
        "tempo_heard_bpm": finite(tempo_of(heard.sound.rise, FRAME_HZ)),
    }
    asked = ("key", "key_agrees", "tempo_bpm", "valence", "arousal", "tempo_arousal_rho")
    if plan is None:
        return out | dict.fromkeys(asked)
    weight = np.array([section.end_s - section.start_s for section in plan.sections])
    valence, arousal, tempo = (
        np.array([getattr(section, name) for section in plan.sections], np.float64)
        for name in ("valence", "arousal", "tempo_bpm")
    )
    return out | {
        "key": plan.key,
        "key_agrees": key is not None and key.name == _plain(plan.key),
        "tempo_bpm": finite(float(np.average(plan.tempo_map.bpm_of_bars()))),
        "valence": finite(float(np.average(valence, weights=weight))),
        "arousal": finite(float(np.average(arousal, weights=weight))),
        "tempo_arousal_rho": finite(spearman(tempo, arousal)),
    }


def _plain(key: str) -> str:
    """The key spelt as `tonality.NOTE_NAMES` spells it."""
    tonic = key.removesuffix("m")
    return _ENHARMONIC.get(tonic, tonic) + key[len(tonic) :]


def _ending(notes: Notes, plan: Plan) -> dict[str, Any] | None:
    tonic = NOTE_NAMES.index(_plain(plan.key).removesuffix("m"))
    last_bar = plan.bar_starts_s[-2]
    rows = np.stack([notes.start_s, notes.end_s, notes.pitch.astype(np.float64)], axis=1)
    chord = final_chord(rows, tonic, minor=plan.key.endswith("m"), from_s=last_bar)
    if chord is None:
        return None
    return {
        "in_triad": finite(chord.in_triad),
        "bass_is_tonic": chord.bass_is_tonic,
        "resolves": chord.resolves,
    }
