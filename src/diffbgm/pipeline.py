"""The way of a film through the stations, on one page.

    video file -> Analysis -> CueSheet -> PianoRoll -> Score -> Music -> finished film, and a report of it

Every step is a function of a station's own module; here they only follow each other. What can be known
before the film is decoded (options, style, key, weights, places to write) is checked first, so that nothing
fails after minutes of work that could have failed at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from diffbgm import __version__
from diffbgm.diffusion.compose import alignment_of, check_features, compose_roll
from diffbgm.diffusion.roll import PianoRoll
from diffbgm.diffusion.sampling import Sampling
from diffbgm.diffusion.weights import Weights, open_weights
from diffbgm.errors import CueSheetError, MissingToolError, OptionError
from diffbgm.features.captions import read_captions
from diffbgm.features.film_features import FilmFeatures
from diffbgm.features.mood import read_moods
from diffbgm.features.rows import check_widths, rows_on_beats
from diffbgm.options import ComposeOptions, Detector
from diffbgm.outputs import (
    Outputs,
    Staging,
    check_input,
    check_places,
    check_stems,
    film_path,
    name_outputs,
    of_take,
    roll_beside,
    staging,
)
from diffbgm.progress import Listener, Stages
from diffbgm.report.page import write_report
from diffbgm.result import Rendering, Result, peak_rss_mb
from diffbgm.score.arrange import arrange
from diffbgm.score.lead import read_melody
from diffbgm.score.midi import read_midi, write_midi
from diffbgm.score.score import Score
from diffbgm.score.styles import load_style
from diffbgm.sound.figures import compare
from diffbgm.sound.files import read_raw, write_wav
from diffbgm.sound.finish import finish
from diffbgm.sound.fluidsynth import Synth
from diffbgm.sound.master import music_gain
from diffbgm.sound.mux import Provenance, check_container
from diffbgm.sound.synth import SOUNDFONT, Music, render_music, write_stems
from diffbgm.spotting.cuesheet import CaptionWish, CueSheet, Plan
from diffbgm.spotting.keys import parse_key
from diffbgm.spotting.provenance import Finish, Picture
from diffbgm.spotting.settle import settled
from diffbgm.spotting.spot import digest, resolve
from diffbgm.spotting.wishes import wishes_from
from diffbgm.takes.choose import choose, most_drawn, usual_takes
from diffbgm.takes.rank import Choice
from diffbgm.video.analysis import Analysis
from diffbgm.video.analyze import analyze

_MIDI_MAGIC: Final = b"MThd"


class Model(NamedTuple):
    """What composes. features: of the film, for weights that follow them."""

    weights: Weights
    sampling: Sampling
    features: FilmFeatures | None

    @classmethod
    def open(cls, options: ComposeOptions) -> Model:
        """Raises MissingToolError, InputError or OptionError if something is missing or does not fit."""
        weights = open_weights(options.weights)
        check_features(weights, options.features is not None)
        features = None if options.features is None else FilmFeatures.load(options.features)
        if features is not None:
            check_widths(features, weights)
        return cls(weights, Sampling.of(weights.sampling, **options.sampling), features)

    def usual_takes(self, plan: Plan) -> int:
        """How many takes of a plan are drawn where nobody says; one of what takes minutes."""
        slow = self.weights.architecture == "unet"
        return 1 if slow else usual_takes(plan.tempo_map.n_beats, self.sampling.steps)

    def compose(self, plan: Plan, tell: Callable[[float], None]) -> PianoRoll:
        """The notes for a plan; `tell` is called with the share done."""
        rows = None
        if self.features is not None:
            rows = rows_on_beats(self.features, plan.tempo_map, alignment_of(self.weights))
        return compose_roll(plan, self.weights, sampling=self.sampling, features=rows, progress=tell)


def compose(
    video: str | Path,
    options: ComposeOptions | None = None,
    *,
    progress: Listener | None = None,
    **given: Any,
) -> Result:
    """Compose music for a film; write the film with it, and beside it all that `Result.outputs` names.

    Options as a `ComposeOptions`, or by name: `compose("film.mp4", mood="calm", takes=3)`; names win.
    progress: called with a stage's name and the share of it that is done.

    Of several takes of the notes (`takes=N`, by default a few) the best is kept: see `Result.choice`. With
    `all_takes=True` every take that passed becomes a film; the result is the best one's, the others are in
    its `other_takes`. Each film appears with everything beside it, or nothing does.

    Raises the classes of `diffbgm.errors`. Films that were finished before a failure stay.
    """
    options = _options(options, given)
    film = Path(video)
    check_input(film)
    sheet = _sheet(film, options)
    places = _places(film, options)
    check_container(film, places[0].video)
    check_player(options.soundfont)
    model = Model.open(options)
    if model.features is not None:
        model.features.check_film(film)

    stages = Stages(progress)
    with stages.stage("analysis") as tell:
        analysis = analyze(film, tell, options.shots)
    with stages.stage("spotting"):
        sheet, plan = _spotted(sheet, options.seed, analysis)
    with stages.stage("composing") as tell:
        choice, rolls = _composed(plan, model, options, tell)
    made = {"weights": model.weights.name, "finish": Finish.of(options), "picture": Picture.of(analysis)}
    sheet = sheet.model_copy(update={**made, "edits": (), "reconformed": None})
    results = []
    for ranked in choice.takes if options.all_takes else (choice.kept,):
        if ranked.faults and ranked is not choice.kept:
            continue
        outputs = places[ranked.number if options.all_takes else 0]
        taken = sheet.model_copy(update={"plan": plan.model_copy(update={"take": ranked.number})})
        roll, forked = rolls[ranked.number], stages.fork()
        with staging(outputs.video.parent) as place:
            results.append(finish_film(place, film, analysis, taken, roll, outputs, options, forked, choice))
    return replace(results[0], other_takes=tuple(results[1:]))


def _composed(
    plan: Plan, model: Model, options: ComposeOptions, tell: Callable[[float], None]
) -> tuple[Choice, dict[int, PianoRoll]]:
    """Takes of the plan, ranked; of a plan whose take was chosen before that one alone, unless asked."""
    if plan.take is not None and options.takes is None:
        return choose(plan, model.compose, 1, tell, plan.take)
    return choose(plan, model.compose, options.takes or model.usual_takes(plan), tell)


def finish_film(
    place: Staging,
    film: Path,
    analysis: Analysis,
    sheet: CueSheet,
    roll: PianoRoll,
    outputs: Outputs,
    options: ComposeOptions,
    stages: Stages,
    choice: Choice | None = None,
) -> Result:
    """From the notes on: the film with their sound and all that lies beside it, moved in from `place`.

    choice: the takes among which these notes were chosen.
    """
    plan = sheet.plan
    assert plan is not None
    with stages.stage("arranging"):
        score = arrange(roll, plan, load_style(plan.style))
    with stages.stage("rendering") as tell:
        music = render_music(score, place.work, options.soundfont, tell)
        gain = music_gain(music, options.loudness)
    with stages.stage("finishing") as tell:
        finished = finish(
            film,
            place.file(outputs.video),
            music,
            analysis.speech_spans,
            options,
            Provenance(__version__, authors(sheet), plan.seed),
            tell,
        )
        own_music = compare(film, music, gain, analysis.speech_spans, analysis.has_music)
    result = Result(
        video=str(film),
        analysis=analysis,
        cues=sheet,
        plan=plan,
        options=options,
        weights=authors(sheet),
        loudness_lufs=finished.loudness_lufs,
        true_peak_dbtp=finished.true_peak_dbtp,
        own_music=own_music,
        speech=finished.speech,
        warnings=(
            *_said_of_film(analysis, options),
            *plan.warnings,
            *(choice.warnings if choice else ()),
            *finished.warnings,
        ),
        outputs=outputs,
        timings_s=stages.timings_s,
        peak_rss_mb=peak_rss_mb(),
        version=__version__,
        choice=choice,
    )
    with stages.stage("writing"):
        sheet.save(place.file(outputs.cues))
        roll.save(place.file(outputs.roll))
        write_midi(score, place.file(outputs.midi))
        wav = place.file(outputs.wav)
        _write_wav(music, wav, gain)
        if outputs.stems is not None:
            write_stems(score, place.folder(outputs.stems), gain, options.soundfont)
    if outputs.report is not None:
        with stages.stage("report"):
            write_report(
                place.file(outputs.report),
                analysis=analysis,
                plan=plan,
                roll=roll,
                score=score,
                result=result.to_json(),
                music=wav,
            )
    place.move_in()
    return replace(result, timings_s=stages.timings_s, peak_rss_mb=peak_rss_mb())


def authors(sheet: CueSheet) -> str:
    """The models that wrote the notes kept beside a sheet, the first one first."""
    names = dict.fromkeys([sheet.weights, *(edit.weights for edit in sheet.edits)])
    return ", ".join(name for name in names if name) or "unknown"


def analyze_film(video: Path, *, shots: Detector = "builtin", progress: Listener | None = None) -> Analysis:
    """The first station alone. Raises InputError."""
    check_input(video)
    with Stages(progress).stage("analysis") as tell:
        return analyze(video, tell, shots)


def write_cues(
    video: Path, output: Path | None, options: ComposeOptions, *, progress: Listener | None = None
) -> tuple[Path, CueSheet]:
    """Spot a film and write its cue sheet to `output`, or to NAME.cues.json beside the film."""
    check_input(video)
    sheet = _sheet(video, options)
    path = output or video.with_suffix(".cues.json")
    check_places((path,), force=options.force, inputs=_inputs(video, options))
    stages = Stages(progress)
    with stages.stage("analysis") as tell:
        analysis = analyze(video, tell, options.shots)
    with stages.stage("spotting"):
        sheet, _ = _spotted(sheet, options.seed, analysis)
    with staging(path.parent) as place:
        sheet.save(place.file(path))
        place.move_in()
    return path, sheet


def render(
    source: Path, output: Path, options: ComposeOptions, *, progress: Listener | None = None
) -> Rendering:
    """Play a cue sheet or a MIDI file into a WAV file, at the level at which `compose` writes the music.

    A cue sheet is played from the notes that `compose` kept beside it where they have as many beats as its
    plan; otherwise its plan is composed. `options.style` takes the place of the plan's.
    """
    check_input(source)
    if output.suffix.lower() != ".wav":
        raise OptionError(f"option output: {output} should end in .wav")
    check_places((output,), force=options.force, inputs=(source,))
    check_player(options.soundfont)
    stages = Stages(progress)
    if source.read_bytes()[:4] == _MIDI_MAGIC:
        if options.style is not None:
            raise OptionError(f"option style: {source} is a MIDI file, which has its own instruments")
        _refuse_composing(options, f"{source} is a MIDI file, and nothing is composed")
        score, notes = read_midi(source), "of the MIDI file"
    else:
        score, notes = _score_of_sheet(source, options, stages)
    with staging(output.parent) as place:
        with stages.stage("rendering") as tell:
            music = render_music(score, place.work, options.soundfont, tell)
        with stages.stage("writing"):
            _write_wav(music, place.file(output), music_gain(music, options.loudness))
        place.move_in()
    return Rendering(str(source), output, score.duration_s, notes, stages.timings_s)


def _score_of_sheet(source: Path, options: ComposeOptions, stages: Stages) -> tuple[Score, str]:
    plan = CueSheet.load(source).plan
    if plan is None:
        raise CueSheetError(f"{source}: plan: is missing; `diffbgm cues VIDEO --cues {source}` solves it")
    plan = settled(plan)
    style = load_style(options.style or plan.style)
    kept = roll_beside(source)
    roll = PianoRoll.load(kept) if kept.is_file() else None
    if roll is not None and roll.n_beats == plan.tempo_map.n_beats:
        _refuse_composing(options, f"the notes kept in {kept} are played; without it they are composed")
        return arrange(roll, plan, style), f"kept in {kept.name}"
    model = Model.open(options)
    with stages.stage("composing") as tell:
        roll = model.compose(plan, tell)
    return arrange(roll, plan, style), f"composed with {model.weights.name}"


def _refuse_composing(options: ComposeOptions, why: str) -> None:
    """Raises OptionError if something is asked of the model where it is not used."""
    asked = {"weights": options.weights, "features": options.features} | options.sampling
    for name, value in asked.items():
        if value is not None:
            raise OptionError(f"option {name.replace('_', '-')}: {why}")


def _write_wav(music: Music, path: Path, gain: float) -> None:
    write_wav(path, (block * np.float32(gain) for block in read_raw(music.path)), music.n_samples)


def _options(options: ComposeOptions | None, given: dict[str, Any]) -> ComposeOptions:
    set_before = {} if options is None else options.model_dump(exclude_unset=True)
    return ComposeOptions.build({**set_before, **given})


def _sheet(film: Path, options: ComposeOptions) -> CueSheet:
    """The sheet to start from: the one given, or an empty one, with the options over its wishes.

    Style and key are looked at now. The seed is not put in: each take has its own.
    """
    sheet = CueSheet() if options.cues is None else CueSheet.load(options.cues)
    wishes = wishes_from(options.model_copy(update={"seed": None}), sheet.wishes)
    if options.melody is not None:
        wishes = wishes.model_copy(update={"melody": read_melody(options.melody, options.melody_bar)})
    if options.captions is not None:
        captions = [CaptionWish(**vars(each)) for each in read_captions(options.captions)]
        wishes = wishes.model_copy(update={"captions": tuple(captions)})
    if options.mood_model is not None:
        texts = [wishes.mood or "", *(caption.text for caption in wishes.captions)]
        wishes = wishes.model_copy(update={"mood_read": read_moods(texts, options.mood_model)})
    if wishes.style is not None:
        load_style(wishes.style)
    if wishes.key is not None:
        parse_key(wishes.key)
    return sheet.model_copy(update={"video": film.name, "weights": "", "wishes": wishes, "edits": ()})


def _places(film: Path, options: ComposeOptions) -> list[Outputs]:
    """Where the film goes, or with all takes where each one's would, by their numbers.

    Raises OutputError if a place is taken or cannot be written, OptionError for all of one take.
    """
    path = film_path(film, options.output)
    named = [(path, options.stems)]
    if options.all_takes:
        if options.takes is None or options.takes == 1:
            raise OptionError("option all-takes: say with --takes how many, 2 or more")
        named = [of_take(path, options.stems, number) for number in range(most_drawn(options.takes))]
    places = [
        name_outputs(path, report=options.report, stems=stems, cues=options.cues) for path, stems in named
    ]
    for place in places:
        check_places(place.files, force=options.force, inputs=_inputs(film, options))
        if place.stems is not None:
            check_stems(place.stems, force=options.force)
    return places


def check_player(soundfont: Path | None) -> None:
    """Open the synthesizer once (0.02 s), so that a missing library or soundfont is known at once."""
    if soundfont is not None and not soundfont.is_file():
        raise MissingToolError(f"{soundfont}: no such soundfont; give an SF2 or SF3 file with --soundfont")
    with Synth(soundfont or SOUNDFONT, 1):
        pass


def _said_of_film(analysis: Analysis, options: ComposeOptions) -> tuple[str, ...]:
    """The warnings about the film, without advice that has been followed."""
    followed = "--original-audio drop" if options.original_audio == "drop" else None
    return tuple(said for said in analysis.warnings if followed is None or followed not in said)


def _inputs(film: Path, options: ComposeOptions) -> tuple[Path, ...]:
    given = (film, options.cues, options.melody, options.captions, options.features)
    return tuple(path for path in given if path is not None)


def _spotted(sheet: CueSheet, seed: int | None, analysis: Analysis) -> tuple[CueSheet, Plan]:
    """The sheet with a plan for this film and this seed.

    A plan that still holds for the film and the wishes is kept with all that a person changed in it; only
    the seed is put in, and another seed has takes of its own.
    """
    plan = sheet.plan
    if seed is not None:
        wishes = sheet.wishes.model_copy(update={"seed": seed})
        if plan is not None and plan.solved_from == digest(sheet.wishes, analysis):
            take = plan.take if plan.seed == seed else None
            plan = plan.model_copy(
                update={"seed": seed, "take": take, "solved_from": digest(wishes, analysis)}
            )
        sheet = sheet.model_copy(update={"wishes": wishes, "plan": plan})
    sheet = resolve(sheet, analysis)
    assert sheet.plan is not None
    return sheet, sheet.plan
