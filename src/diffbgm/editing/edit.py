"""`diffbgm edit`: some bars of a finished film's music composed anew, and the way back.

The cue sheet says what was edited; beside it, in `NAME.versions`, lie the sheet and the notes as they were
before each edit: version k is what there was after k edits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, get_args

from diffbgm.diffusion.compose import alignment_of
from diffbgm.diffusion.inpaint import recompose
from diffbgm.diffusion.roll import PianoRoll
from diffbgm.errors import CueSheetError, InputError, OptionError
from diffbgm.features.rows import rows_on_beats
from diffbgm.options import ComposeOptions
from diffbgm.outputs import (
    CONTAINERS,
    Outputs,
    Staging,
    check_input,
    check_places,
    film_path,
    name_outputs,
    roll_beside,
    staging,
)
from diffbgm.pipeline import Model, check_player, finish_film
from diffbgm.progress import Listener, Stages
from diffbgm.result import Result
from diffbgm.sound.mux import check_container
from diffbgm.spotting.cuesheet import CueSheet, Edit, Like, Plan, Track
from diffbgm.spotting.edits import with_edit
from diffbgm.spotting.provenance import Finish
from diffbgm.video.analyze import analyze

TRACKS: Final[tuple[Track, ...]] = get_args(Track)
# A film is the sheet's if it lasts as long, within a frame or so.
_SAME_FILM_S = 0.1


class Piece(NamedTuple):
    """A film's music as it stands: the sheet, its plan, its notes and where all of it lies."""

    path: Path
    sheet: CueSheet
    plan: Plan
    roll: PianoRoll
    film: Path
    outputs: Outputs

    @classmethod
    def open(cls, cues: Path, video: Path | None) -> Piece:
        """Read the sheet and the notes kept beside it. Raises InputError, saying what is missing."""
        sheet, plan, roll = read_music(cues)
        film = video or cues.with_name(sheet.video)
        if not sheet.video or not film.is_file():
            raise InputError(f"{film}: no such film beside the cue sheet; say with --video where it is")
        return cls(cues, sheet, plan, roll, film, _outputs(cues, film, roll_beside(cues)))

    @property
    def versions(self) -> Path:
        """The folder of what was before each edit."""
        return self.outputs.video.with_suffix(".versions")

    def version(self, number: int) -> tuple[CueSheet, PianoRoll] | None:
        """Sheet and notes after `number` edits, as kept; None if they are not there."""
        cues = self.versions / f"{number}.cues.json"
        if not cues.is_file() or not roll_beside(cues).is_file():
            return None
        return CueSheet.load(cues), PianoRoll.load(roll_beside(cues))


def read_music(cues: Path) -> tuple[CueSheet, Plan, PianoRoll]:
    """A composed sheet, its plan and the notes beside it. Raises InputError, saying what is missing."""
    sheet = CueSheet.load(cues)
    if sheet.plan is None:
        raise CueSheetError(f"{cues}: plan: is missing; compose the film first, then edit its music")
    kept = roll_beside(cues)
    if not kept.is_file():
        raise InputError(f"{kept}: no such file; `diffbgm compose` writes these notes beside the cue sheet")
    roll = PianoRoll.load(kept)
    if roll.n_beats != sheet.plan.tempo_map.n_beats:
        raise InputError(
            f"{kept}: has {roll.n_beats} beats, the plan of {cues.name} {sheet.plan.tempo_map.n_beats}; "
            "compose the film anew"
        )
    return sheet, sheet.plan, roll


def edit(
    cues: Path,
    bars: tuple[int, int],
    options: ComposeOptions,
    *,
    tracks: Sequence[str] = (),
    like: Like | None = None,
    video: Path | None = None,
    progress: Listener | None = None,
) -> Result:
    """Compose some bars of a film's music anew; the rest of its notes stays bit for bit.

    cues: the sheet that `compose` wrote, with the notes beside it. bars: first and last, counted from 1.
    tracks: of melody, counter and accompaniment; none means all. like: see `recompose`.
    options: `energy`, `mood`, `chords` and `seed` for these bars (seed: one more than the last one used), the
    weights and sampling, and how the film is finished; what else they hold does not count. The film with
    everything beside it is written anew, what was there before is kept in `NAME.versions`.
    Raises the classes of `diffbgm.errors`; nothing is changed then.
    """
    unknown = [track for track in tracks if track not in TRACKS]
    if unknown:
        raise OptionError(f"option track: there is no track {unknown[0]!r}; expected {', '.join(TRACKS)}")
    chosen = tuple(track for track in TRACKS if track in (tracks or TRACKS))
    piece = Piece.open(cues, video)
    if options.chords is not None and ("accompaniment" not in chosen or like == "notes"):
        raise OptionError("option chords: new chords need a new accompaniment, and notes that may change")
    model = Model.open(options)
    made = Edit(
        bars=bars,
        tracks=chosen,
        like=like,
        energy=options.energy,
        mood=options.mood,
        chords=options.chords,
        seed=next_seed(piece.sheet, piece.plan) if options.seed is None else options.seed,
        weights=model.weights.name,
        before=piece.roll.digest,
    )
    plan = with_edit(piece.plan, made)

    def change(tell: Callable[[float], None]) -> tuple[CueSheet, PianoRoll]:
        rows = None
        if model.features is not None:
            rows = rows_on_beats(model.features, plan.tempo_map, alignment_of(model.weights))
        roll = recompose(
            piece.roll, plan, made, model.weights, sampling=model.sampling, features=rows, progress=tell
        )
        changes = {"plan": plan, "edits": (*piece.sheet.edits, made)}
        return piece.sheet.model_copy(update=changes), roll

    return _renewed(piece, change, options, progress)


def undo(
    cues: Path, options: ComposeOptions, *, video: Path | None = None, progress: Listener | None = None
) -> Result:
    """Take the last edit back: sheet and notes as they were before it. Raises InputError if there is none."""
    piece = Piece.open(cues, video)
    if not piece.sheet.edits:
        raise InputError(f"{cues}: there is no edit to undo")
    before = piece.version(len(piece.sheet.edits) - 1)
    if before is None or before[1].digest != piece.sheet.edits[-1].before:
        raise InputError(f"{piece.versions}: the notes before the last edit are not there any more")
    return _renewed(piece, lambda _: before, options, progress)


def redo(
    cues: Path, options: ComposeOptions, *, video: Path | None = None, progress: Listener | None = None
) -> Result:
    """Make the edit again that was undone last. Raises InputError if none was undone since the last edit."""
    piece = Piece.open(cues, video)
    after = piece.version(len(piece.sheet.edits) + 1)
    if (
        after is None
        or after[0].edits[:-1] != piece.sheet.edits
        or after[0].edits[-1].before != piece.roll.digest
    ):
        raise InputError(f"{cues}: there is no undone edit to make again")
    return _renewed(piece, lambda _: after, options, progress)


def _renewed(
    piece: Piece,
    change: Callable[[Callable[[float], None]], tuple[CueSheet, PianoRoll]],
    options: ComposeOptions,
    progress: Listener | None,
) -> Result:
    """Everything of a piece written anew from a changed sheet and roll; what was there becomes a version."""
    outputs = piece.outputs if options.report else replace(piece.outputs, report=None)
    check_input(piece.film)
    check_places(outputs.files, force=True, inputs=(piece.film,))
    check_container(piece.film, outputs.video)
    check_player(options.soundfont)
    stages = Stages(progress)
    with staging(outputs.video.parent) as place:
        with stages.stage("analysis") as tell:
            analysis = analyze(piece.film, tell, options.shots)
        if abs(analysis.duration_s - piece.plan.duration_s) > _SAME_FILM_S:
            raise InputError(
                f"{piece.film}: lasts {analysis.duration_s:.2f} s, the film of {piece.path.name} "
                f"{piece.plan.duration_s:.2f} s; give that film with --video"
            )
        with stages.stage("composing") as tell:
            sheet, roll = change(tell)
        options = finished_as_before(sheet, options)
        sheet = sheet.model_copy(update={"finish": Finish.of(options)})
        _keep(piece, place)
        return finish_film(place, piece.film, analysis, sheet, roll, outputs, options, stages)


def next_seed(sheet: CueSheet, plan: Plan) -> int:
    """One more than the last seed that the music was composed from."""
    last = plan.seed if sheet.reconformed is None else sheet.reconformed.seed
    return [last, *(made.seed for made in sheet.edits)][-1] + 1


def finished_as_before(sheet: CueSheet, options: ComposeOptions) -> ComposeOptions:
    """The options, and where they leave open how the sound is finished, what the sheet says of it."""
    return options if sheet.finish is None else sheet.finish.under(options)


def _keep(piece: Piece, place: Staging) -> None:
    """Put sheet and notes as they stand into the folder of versions."""
    number = len(piece.sheet.edits)
    folder = place.folder(piece.versions)
    piece.sheet.save(folder / f"{number}.cues.json")
    piece.roll.save(roll_beside(folder / f"{number}.cues.json"))


def _outputs(cues: Path, film: Path, kept: Path) -> Outputs:
    """The files that `compose` wrote beside this sheet; a report only if there is one."""
    base = kept.name.removesuffix(".roll.npz")
    suffixes = dict.fromkeys([*CONTAINERS, film_path(film, None).suffix])
    there = [kept.with_name(base + suffix) for suffix in suffixes]
    video = next((path for path in there if path.is_file()), there[-1])
    outputs = name_outputs(video, report=video.with_suffix(".html").is_file(), stems=None, cues=None)
    return replace(outputs, cues=cues, roll=kept)
