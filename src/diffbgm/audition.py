"""One film's music in every style, to be compared by ear: `diffbgm styles FILM`.

The film is composed once; each style plays the same notes, and an excerpt of each goes onto one page.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from diffbgm.diffusion.roll import PianoRoll
from diffbgm.errors import InputError, OptionError
from diffbgm.options import ComposeOptions
from diffbgm.outputs import check_input, check_places, roll_beside, staging
from diffbgm.pipeline import Model, check_player, write_cues
from diffbgm.progress import Listener, Stages
from diffbgm.report.listening import listen
from diffbgm.report.sampler import Sample, write_sampler
from diffbgm.score.arrange import arrange
from diffbgm.score.score import Part, Score
from diffbgm.score.styles import Style, load_style, style_names
from diffbgm.sound.figures import figures
from diffbgm.sound.files import fitted, read_raw, write_wav
from diffbgm.sound.loudness import amplitude, limited, measure
from diffbgm.sound.synth import render_music
from diffbgm.spotting.cuesheet import CueSheet, Plan
from diffbgm.takes.choose import choose
from diffbgm.timing import BEATS_PER_BAR, Span

# All styles are brought to this loudness, or the loudest would be liked best.
LOUDNESS_LUFS: Final = -16.0
_CEILING_DBTP: Final = -1.0
# Before the excerpt's end notes are let go and fade.
_RELEASE_S: Final = 0.8
_SHORTEST_NOTE_S: Final = 0.03


@dataclass(frozen=True)
class Audition:
    """The page that was written, its styles, and which seconds of the film they play."""

    page: Path
    styles: tuple[str, ...]
    chosen: str
    excerpt: Span
    timings_s: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        return {
            "page": str(self.page),
            "styles": list(self.styles),
            "chosen": self.chosen,
            "excerpt_s": [round(second, 3) for second in self.excerpt],
            "timings_s": {stage: round(seconds, 3) for stage, seconds in self.timings_s.items()},
        }


def audition(
    source: Path,
    output: Path | None,
    options: ComposeOptions,
    *,
    seconds: float = 20.0,
    styles: Sequence[str] | None = None,
    progress: Listener | None = None,
) -> Audition:
    """Play a film's music in all styles and put them on one HTML page, which needs nothing beside it.

    source: a film, or a cue sheet (.json) with the notes that `compose` kept beside it. output: default
    NAME.styles.html beside the source. seconds: of each style; the liveliest of the film, from a bar line.
    styles: names or TOML files instead of all shipped ones.
    Raises what `pipeline.compose` raises; OptionError if `seconds` is not within 2..120.
    """
    if not 2.0 <= seconds <= 120.0:
        raise OptionError(f"option seconds: {seconds:g} is not within 2 to 120")
    check_input(source)
    page = output or source.with_name(source.name.removesuffix(".json")).with_suffix(".styles.html")
    if page.suffix.lower() != ".html":
        raise OptionError(f"option output: {page} should end in .html")
    check_places((page,), force=options.force, inputs=(source,))
    check_player(options.soundfont)
    chosen = [load_style(name) for name in styles or style_names()]
    stages = Stages(progress)
    plan, roll = _notes(source, options, stages, progress)
    excerpt = liveliest(plan, seconds)
    samples = []
    with staging(page.parent) as place:
        with stages.stage("playing") as tell:
            for number, style in enumerate(chosen):
                samples.append(_sample(style, plan, roll, excerpt, options.soundfont, place.work))
                tell((number + 1) / len(chosen))
        with stages.stage("writing"):
            write_sampler(place.file(page), *_title_and_command(source), plan, excerpt, samples)
        place.move_in()
    return Audition(page, tuple(style.name for style in chosen), plan.style, excerpt, stages.timings_s)


def liveliest(plan: Plan, seconds: float) -> Span:
    """The span of so many seconds (the whole film if that is shorter) with the most energy.

    It begins with a bar; of equals the first.
    """
    starts = plan.bar_starts_s
    if plan.duration_s <= seconds:
        return 0.0, plan.duration_s
    energy = np.asarray(plan.energy).reshape(-1, BEATS_PER_BAR).mean(axis=1)
    until = np.concatenate([[0.0], np.cumsum(energy * np.diff(starts))])
    begins = [start for start in starts if start + seconds <= plan.duration_s]
    ends = np.interp(np.asarray(begins) + seconds, starts, until)
    start = begins[int(np.argmax(ends - until[: len(begins)]))]
    return start, start + seconds


def excerpt_of(score: Score, excerpt: Span) -> Score:
    """The notes that sound in these seconds, from second 0 on; its end is let go and fades."""
    start, end = excerpt
    last = end - start - _RELEASE_S

    def shifted(part: Part) -> Part:
        notes = tuple(
            replace(note, start_s=max(0.0, note.start_s - start), end_s=min(last, note.end_s - start))
            for note in part.notes
            if note.end_s > start + _SHORTEST_NOTE_S and note.start_s - start < last - _SHORTEST_NOTE_S
        )
        pedals = tuple(
            replace(pedal, start_s=max(0.0, pedal.start_s - start), end_s=min(last, pedal.end_s - start))
            for pedal in part.pedals
            if pedal.end_s > start and pedal.start_s - start < last
        )
        return replace(part, notes=notes, pedals=pedals)

    parts = tuple(part for part in map(shifted, score.parts) if part.notes)
    return replace(score, parts=parts, markers=(), duration_s=end - start)


def _notes(
    source: Path, options: ComposeOptions, stages: Stages, progress: Listener | None
) -> tuple[Plan, PianoRoll]:
    if source.suffix.lower() == ".json":
        for name in sorted(options.model_fields_set - {"soundfont", "force"}):
            raise OptionError(f"option {name.replace('_', '-')}: the notes kept beside {source} are played")
        plan, kept = CueSheet.load(source).plan, roll_beside(source)
        if plan is None or not kept.is_file():
            raise InputError(
                f"{source}: no notes lie beside it; `diffbgm compose` writes them, or give a film"
            )
        roll = PianoRoll.load(kept)
        if roll.n_beats != plan.tempo_map.n_beats:
            raise InputError(f"{kept}: has {roll.n_beats} beats, the plan of {source.name} another number")
        return plan, roll
    model = Model.open(options)
    if model.features is not None:
        model.features.check_film(source)
    with tempfile.TemporaryDirectory(prefix="diffbgm-") as folder:
        _, sheet = write_cues(source, Path(folder) / "cues.json", options, progress=progress)
    assert sheet.plan is not None
    with stages.stage("composing") as tell:
        choice, rolls = choose(sheet.plan, model.compose, model.usual_takes(sheet.plan), tell)
    return sheet.plan, rolls[choice.kept.number]


def _title_and_command(source: Path) -> tuple[str, str]:
    """What the page is called, and how all of the music is had in one of its styles."""
    if source.suffix.lower() == ".json":
        return CueSheet.load(source).video, f"diffbgm render {shlex.quote(source.name)} -o music.wav"
    return source.name, f"diffbgm compose {shlex.quote(source.name)}"


def _sample(
    style: Style, plan: Plan, roll: PianoRoll, excerpt: Span, soundfont: Path | None, folder: Path
) -> Sample:
    score = excerpt_of(arrange(roll, plan, style), excerpt)
    music = render_music(score, folder, soundfont)
    lufs = measure(read_raw(music.path), "stereo", true_peak=False).lufs
    gain = np.float32(1.0 if lufs is None else amplitude(LOUDNESS_LUFS - lufs))
    held = limited((block * gain for block in read_raw(music.path)), "stereo", _CEILING_DBTP)
    wav = folder / "style.wav"
    write_wav(wav, fitted(held, 2, music.n_samples), music.n_samples)
    measured = figures((block * gain for block in read_raw(music.path)), "stereo")
    return Sample(style.name, style.description, score, listen(wav, score.duration_s), measured.to_json())
