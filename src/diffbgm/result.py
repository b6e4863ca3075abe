"""What `compose` gives back, and the JSON that the command line prints and the report stores."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffbgm.options import ComposeOptions
from diffbgm.outputs import Outputs
from diffbgm.sound.figures import Comparison
from diffbgm.sound.speech import SpeechLevel
from diffbgm.spotting.cuesheet import CueSheet, Plan
from diffbgm.takes.rank import Choice
from diffbgm.video.analysis import Analysis


@dataclass(frozen=True)
class Result:
    """One finished film. All times in seconds from the first video frame.

    plan: what the music was composed from; outputs.cues holds it with the person's wishes.
    loudness_lufs, true_peak_dbtp: measured on the finished film's sound; None where it is silent or too
    short to measure. own_music: the film's own beside what was composed, in figures.
    speech: how far the music lies under the words, span by span.
    timings_s: seconds a stage; of several takes, the analysis counts in each.
    peak_rss_mb: the most memory the process has held, None where the system does not tell (Windows).
    choice: the takes that were drawn, ranked; None where none was (an edit). other_takes: the further films
    of `all_takes`, the best first.
    """

    video: str
    analysis: Analysis = field(repr=False)
    cues: CueSheet = field(repr=False)
    plan: Plan = field(repr=False)
    options: ComposeOptions = field(repr=False)
    weights: str
    loudness_lufs: float | None
    true_peak_dbtp: float | None
    own_music: Comparison
    warnings: tuple[str, ...]
    outputs: Outputs
    timings_s: dict[str, float]
    peak_rss_mb: float | None
    version: str
    speech: tuple[SpeechLevel, ...] = ()
    choice: Choice | None = None
    other_takes: tuple[Result, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`. Where several takes became films, `films` lists each one's."""
        one = self._one()
        if self.other_takes:
            one["films"] = [self._one(), *(take._one() for take in self.other_takes)]
        return one

    def _one(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "video": self.video,
            "duration_s": self.analysis.duration_s,
            "fps": self.analysis.fps,
            "shots": [{"start_s": shot.start_s, "end_s": shot.end_s} for shot in self.analysis.shots],
            "hits": [hit.model_dump(include=_HIT_FIELDS) for hit in plan.hits],
            "tempo_map": [point.model_dump() for point in plan.tempo_points],
            "bars": plan.tempo_map.n_bars,
            "key": plan.key,
            "chords": plan.chords,
            "melody_notes": len(plan.melody),
            "style": plan.style,
            "seed": plan.seed,
            "take": plan.take,
            "takes": None if self.choice is None else self.choice.to_json(),
            "weights": self.weights,
            "sections": [section.model_dump(include=_SECTION_FIELDS) for section in plan.sections],
            "loudness_lufs": self.loudness_lufs,
            "true_peak_dbtp": self.true_peak_dbtp,
            "own_music": self.own_music.to_json(),
            "speech_over_music": [level.to_json() for level in self.speech],
            "speech_spans": [list(span) for span in self.analysis.speech_spans],
            "reconformed": None
            if (made := self.cues.reconformed) is None
            else {**made.model_dump(mode="json"), "summary": made.summary},
            "mood_understood": list(plan.mood_understood),
            "warnings": list(self.warnings),
            "outputs": self.outputs.to_json(),
            "timings_s": _rounded(self.timings_s),
            "peak_rss_mb": self.peak_rss_mb,
            "options": self.options.model_dump(mode="json", exclude_unset=True),
            "version": self.version,
        }


@dataclass(frozen=True)
class Rendering:
    """What `render` wrote: the sound file, its length, and where its notes came from."""

    source: str
    wav: Path
    duration_s: float
    notes: str
    timings_s: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "wav": str(self.wav),
            "duration_s": self.duration_s,
            "notes": self.notes,
            "timings_s": _rounded(self.timings_s),
        }


def _rounded(timings_s: dict[str, float]) -> dict[str, float]:
    return {stage: round(seconds, 3) for stage, seconds in timings_s.items()}


_HIT_FIELDS = {"time_s", "weight", "source", "landed_s", "error_ms", "on"}
_SECTION_FIELDS = {
    "start_s", "end_s", "role", "label", "energy", "valence", "arousal", "tempo_bpm", "key", "chords",
}  # fmt: skip


def peak_rss_mb() -> float | None:
    """The most memory this process has held so far, in MB of 10^6 bytes; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)
