"""`diffbgm reconform`: the music of a film for a new cut of it.

    old sheet and notes, new film -> what survived -> bars -> plan -> notes -> finished film

Scenes that survived keep their music, bar for bar and note for note; where they moved it moves with them.
Only what is new, and a bar or two that lead over from one scene to another, is composed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from diffbgm.diffusion.compose import alignment_of
from diffbgm.diffusion.inpaint import recompose_all
from diffbgm.diffusion.roll import PianoRoll
from diffbgm.editing.alignment import surviving
from diffbgm.editing.bars import NewBars, lay_bars, stretches_of
from diffbgm.editing.conform import carried, carried_melody, composed_stretches, conformed, taken_over
from diffbgm.editing.edit import TRACKS, finished_as_before, next_seed, read_music
from diffbgm.errors import InputError, OptionError
from diffbgm.features.rows import rows_on_beats
from diffbgm.options import ComposeOptions
from diffbgm.outputs import (
    check_input,
    check_places,
    check_stems,
    film_path,
    name_outputs,
    roll_beside,
    staging,
)
from diffbgm.pipeline import Model, authors, check_player, finish_film
from diffbgm.progress import Listener, Stages
from diffbgm.result import Result
from diffbgm.sound.mux import check_container
from diffbgm.spotting.cuesheet import CueSheet, Edit, Plan
from diffbgm.spotting.hits import candidate_hits
from diffbgm.spotting.provenance import Finish, Picture, Reconformed, Stretch
from diffbgm.spotting.spot import spot_on_bars
from diffbgm.video.analysis import Analysis
from diffbgm.video.analyze import analyze

_PLANNED: Final = (
    "mood", "style", "tempo", "key", "energy", "chords", "melody", "captions", "hit", "modulate", "takes",
    "cues",
)  # fmt: skip


def reconform(
    cues: str | Path,
    video: str | Path,
    options: ComposeOptions | None = None,
    *,
    progress: Listener | None = None,
    **given: Any,
) -> Result:
    """Fit the music of a film to a new cut of it; write the new film and all that lies beside it.

    cues: the sheet that `compose` wrote for the old cut, with the notes beside it. video: the new cut.
    options: `output`, `report`, `force`, how the sound is finished (by default as it was), the weights and
    sampling for bars that are composed, and their `seed`. Wishes stay those of the sheet, moved with their
    scenes; asking for others raises OptionError. What became of the bars is in `Result.cues.reconformed`.

    Bars whose picture survived whole keep their notes bit for bit, and their place on the picture within half
    a frame; next to a break up to 16 of them may be played up to 8 % faster or slower so that whole bars fit.
    Raises InputError if nothing of the old cut, or not one bar of it, is found in the new one.
    """
    set_before = {} if options is None else options.model_dump(exclude_unset=True)
    options = ComposeOptions.build({**set_before, **given})
    sheet_path, film = Path(cues), Path(video)
    for name in _PLANNED:
        if name in options.model_fields_set:
            raise OptionError(
                f"option {name}: the old music keeps its plan; change bars of the new one with `diffbgm edit`"
            )
    sheet, plan, roll = read_music(sheet_path)
    options = finished_as_before(sheet, options)
    check_input(film)
    outputs = name_outputs(
        film_path(film, options.output), report=options.report, stems=options.stems, cues=sheet_path
    )
    inputs = (film, sheet_path, roll_beside(sheet_path))
    check_places(outputs.files, force=options.force, inputs=inputs)
    if outputs.stems is not None:
        check_stems(outputs.stems, force=options.force)
    check_container(film, outputs.video)
    check_player(options.soundfont)
    model = Model.open(options)
    if model.features is not None:
        model.features.check_film(film)
    stages = Stages(progress)
    with staging(outputs.video.parent) as place:
        picture = sheet.picture
        if picture is None:
            with stages.stage("old film") as tell:
                picture = Picture.of(analyze(_old_film(sheet_path, sheet, film), tell, options.shots))
        with stages.stage("analysis") as tell:
            analysis = analyze(film, tell, options.shots)
        with stages.stage("matching"):
            sheet, plan, bars = _planned(sheet_path, film, sheet, plan, picture, analysis)
        with stages.stage("composing") as tell:
            made = Reconformed(
                cues=sheet_path.name,
                video=sheet.video,
                before=roll.digest,
                seed=next_seed(sheet, plan) if options.seed is None else options.seed,
                weights=model.weights.name,
                stretches=tuple(_stretches(bars)),
            )
            roll = _composed(roll, plan, bars, made, model, tell)
        writers = dict.fromkeys(authors(sheet).split(", "))
        if any(each.was is None for each in made.stretches):
            writers[model.weights.name] = None
        sheet = CueSheet(
            video=film.name,
            weights=", ".join(writers),
            wishes=sheet.wishes,
            plan=plan,
            reconformed=made,
            finish=Finish.of(options),
            picture=Picture.of(analysis),
        )
        return finish_film(place, film, analysis, sheet, roll, outputs, options, stages)


def _old_film(cues: Path, sheet: CueSheet, new: Path) -> Path:
    """The old film, for sheets that say nothing of its picture. Raises InputError if it is not there."""
    film = cues.with_name(sheet.video)
    if not sheet.video or not film.is_file() or film.samefile(new):
        raise InputError(
            f"{cues}: does not say what the old cut looked like, and that film ({sheet.video or 'unnamed'}) "
            "is not beside it; put it there under its old name"
        )
    return film


def _planned(
    cues: Path, film: Path, sheet: CueSheet, plan: Plan, picture: Picture, analysis: Analysis
) -> tuple[CueSheet, Plan, NewBars]:
    """The sheet with the wishes moved, the new plan and its bars. Raises InputError if nothing survives."""
    spans = surviving(picture, analysis)
    if not spans:
        raise InputError(
            f"{film}: shows nothing of the film of {cues.name}; compose it with `diffbgm compose` instead"
        )
    wishes = carried(sheet.wishes, spans)
    hits = candidate_hits(analysis, wishes)
    bars = lay_bars(plan.bar_starts_s, spans, analysis.duration_s, 1 / analysis.fps, hits)
    if bars is None:
        raise InputError(
            f"{film}: no bar of the music of {cues.name} survives whole in this cut; compose it with "
            "`diffbgm compose` instead"
        )
    wishes = wishes.model_copy(update={"melody": carried_melody(wishes.melody, bars)})
    fresh = spot_on_bars(analysis, np.array(bars.starts_s), wishes)
    return sheet.model_copy(update={"wishes": wishes}), conformed(plan, fresh, bars), bars


def _composed(
    roll: PianoRoll,
    plan: Plan,
    bars: NewBars,
    made: Reconformed,
    model: Model,
    tell: Callable[[float], None],
) -> PianoRoll:
    """The old notes on the new bars, and new ones where there are none."""
    kept = taken_over(roll, bars)
    edits = [
        Edit(bars=(first + 1, end), tracks=TRACKS, seed=made.seed, weights=made.weights, before=made.before)
        for first, end in composed_stretches(bars)
    ]
    if not edits:
        return kept
    rows = None
    if model.features is not None:
        rows = rows_on_beats(model.features, plan.tempo_map, alignment_of(model.weights))
    return recompose_all(
        kept, plan, edits, model.weights, sampling=model.sampling, features=rows, progress=tell
    )


def _stretches(bars: NewBars) -> list[Stretch]:
    return [
        Stretch(
            bars=(first + 1, end),
            was=None if was < 0 else (was + 1, was + end - first),
            tempo_kept=was >= 0 and kept,
        )
        for first, end, was, kept in stretches_of(bars.was, bars.tempo_kept)
    ]
