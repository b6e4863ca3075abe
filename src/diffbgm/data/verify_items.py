"""One item of a built dataset: is it what its media say, and does it agree with itself?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.data.annotation.grid import GridNotes, unpacked
from diffbgm.data.item import Item
from diffbgm.data.leakage import passages_of
from diffbgm.data.pairing import read_soundtrack, song_file
from diffbgm.data.pairing_audio import align, song_print
from diffbgm.data.schema import FILM_CURVES
from diffbgm.data.sources import Sources
from diffbgm.data.verify_beats import LEAST_ON_GRID, Bars, check_bars, check_intervals
from diffbgm.data.verify_report import Finding, finding
from diffbgm.diffusion.roll import PianoRoll
from diffbgm.errors import InputError
from diffbgm.features.captions import Caption
from diffbgm.metrics.notes import Notes, notes_of_roll, read_notes
from diffbgm.timing import STEPS_PER_BEAT
from diffbgm.video.analysis import Analysis, Shot

MISALIGNED_S: Final = 0.1
"""An offset that is off by more than the 50 ms that pairing promises, on both sides."""
SURE, UNSURE = 0.9, 0.1  # confidences above and below which the ear is believed
AT_SHOT_S: Final = 0.25
MOST_OFF_SHOTS: Final = 0.25
_SAME_S: Final = 0.05
_EVEN: Final = 1e-6


def notes_of(item: Item) -> Notes:
    """The notes of an item, in beats of its song (`start_q`) and without times; part 0 is the melody."""
    music = item.music
    bits = unpacked(music.bits)  # (beats, tracks, planes, steps, pitches)
    tracks, planes, steps, pitches = bits.shape[1:]
    return notes_of_roll(
        PianoRoll(
            bits=bits.transpose(1, 2, 0, 3, 4).reshape(
                tracks, planes, music.n_beats * STEPS_PER_BEAT, pitches
            ),
            velocity=music.velocity.transpose(1, 0, 2).reshape(tracks, music.n_beats * steps),
            chroma=np.zeros((music.n_beats, 12), bool),
            bass=np.full(music.n_beats, -1, np.int8),
        )
    )


def tune_of(notes: Notes) -> NDArray[np.uint64]:
    """The melody's passages (`leakage`)."""
    melody = notes.part == 0
    return passages_of(notes.start_q[melody], notes.pitch[melody])


def check_item(item: Item, sources: Sources, *, media: bool) -> tuple[list[Finding], NDArray[np.uint64]]:
    """Findings about an item, and its tune.

    media: also read the media whole, to compare their hashes and to listen for the song in the soundtrack;
    without, they must be there and of the same size.
    """
    notes = notes_of(item)
    out = list(check_media(item, sources, media=media))
    if media and not any(each.check.startswith("media") for each in out):
        out += check_soundtrack(item, sources)
    out += check_music(item, notes)
    if item.film is not None:
        out += check_film(item.item_id, item.film)
    out += check_span(item)
    out += check_features(item)
    out += check_captions(item)
    return out, tune_of(notes)


def check_media(item: Item, sources: Sources, *, media: bool) -> Iterator[Finding]:
    """media_missing and media_changed."""
    for role, known in item.media.items():
        try:
            size = sources.stamp(known.path).size_bytes if "!/" not in known.path else known.size_bytes
            found = sources.media(known.path) if media else None
        except InputError as error:
            yield finding("media_missing", item.item_id, f"{role}: {error}", role=role, path=known.path)
            continue
        if size != known.size_bytes or (found is not None and found.sha256 != known.sha256):
            yield finding(
                "media_changed", item.item_id, f"{role}: {known.path} is not the file that was built from",
                role=role, path=known.path, size_bytes=size, expected_bytes=known.size_bytes,
            )  # fmt: skip


def check_soundtrack(item: Item, sources: Sources) -> Iterator[Finding]:
    """pair_misaligned and pair_unconfirmed, from the video's own sound."""
    if "video" not in item.media or "song" not in item.media or item.film is None or not item.film.has_audio:
        return
    song = song_file(sources.path(item.media["song"].path), item.song_id)
    try:
        sound = read_soundtrack(sources.path(item.media["video"].path))
        found = align(song_print(read_notes(song.midi)), sound)
    except InputError as error:
        yield finding("media_changed", item.item_id, str(error), role="video", path=item.media["video"].path)
        return
    confidence = found.confidence if found else 0.0
    if found and confidence >= SURE and abs(found.offset_s - item.offset_s) > MISALIGNED_S:
        yield finding(
            "pair_misaligned", item.item_id,
            f"offset_s is {item.offset_s:.3f}, the soundtrack says {found.offset_s:.3f}",
            offset_s=item.offset_s, heard_s=round(found.offset_s, 4), confidence=round(confidence, 4),
        )  # fmt: skip
    elif confidence < UNSURE:
        yield finding(
            "pair_unconfirmed", item.item_id, f"the song is not heard in the soundtrack ({confidence:.3f})",
            confidence=round(confidence, 4),
        )  # fmt: skip


def check_music(item: Item, notes: Notes) -> Iterator[Finding]:
    """Beats, bars, grid, tracks and whether anything is annotated."""
    music = item.music
    yield from check_intervals(item.item_id, music.beats_s)
    if music.grid_fit < LEAST_ON_GRID:
        yield finding(
            "off_grid", item.item_id, f"{music.grid_fit:.0%} of the notes fall on the grid",
            grid_fit=round(float(music.grid_fit), 3),
        )  # fmt: skip
    else:
        on_beats = GridNotes(
            music.n_beats, notes.start_q, notes.end_q, notes.pitch, notes.velocity, notes.part
        )
        yield from check_bars(
            item.item_id, on_beats, Bars(music.beats_s, music.downbeat, music.beats_per_bar)
        )
    if not (notes.part == 0).any():
        yield finding(
            "track_empty", item.item_id, "the melody has no notes", severity="error", track="melody"
        )
    empty = [name for name in ("chords", "keys", "phrases") if not getattr(music, name)]
    empty = [name for name in empty if not getattr(music, f"given_{name}", ())]
    if empty:
        yield finding("annotation_empty", item.item_id, f"no {', '.join(empty)}", empty=empty)
    if len(notes) and len(np.unique(notes.velocity)) == 1:
        yield finding("velocity_constant", item.item_id, f"all notes have velocity {int(notes.velocity[0])}")


def check_film(item: str, film: Analysis) -> Iterator[Finding]:
    """shots_broken, and the curves of the film."""
    borders = [(shot.start_s, shot.end_s) for shot in film.shots]
    faults = [f"at {b[0]:.2f} s" for a, b in pairwise(borders) if abs(a[1] - b[0]) > _SAME_S]
    faults += [f"a shot from {start:.2f} to {end:.2f} s" for start, end in borders if end <= start]
    if not borders or borders[0][0] > _SAME_S or abs(borders[-1][1] - film.duration_s) > 0.5:
        faults.append(f"they do not cover 0 to {film.duration_s:.2f} s")
    if faults:
        yield finding(
            "shots_broken", item, f"{len(faults)} faults in the shots: {faults[0]}", faults=len(faults)
        )
    curves = {name: getattr(film, name).values for name in FILM_CURVES}
    for name, values in curves.items():
        if len(values) == 0:
            yield finding("feature_empty", item, f"the curve {name} has no values", feature=name)
        elif not np.isfinite(values).all():
            yield finding("feature_broken", item, f"the curve {name} is not finite", feature=name)
    if all(len(values) > 1 and float(np.ptp(values)) < _EVEN for values in curves.values()):
        yield finding("feature_constant", item, "none of the film's curves ever changes", feature="film")


def check_span(item: Item) -> Iterator[Finding]:
    """pair_apart, and grids of other lengths than the song's."""
    beats_s = item.music.beats_s - item.offset_s
    if item.film is not None and (beats_s[-1] <= 0 or beats_s[0] >= item.film.duration_s):
        yield finding(
            "pair_apart", item.item_id,
            f"the song lies from {beats_s[0]:.1f} to {beats_s[-1]:.1f} s of a film of "
            f"{item.film.duration_s:.1f} s", offset_s=item.offset_s,
        )  # fmt: skip
    lengths = {"on_beats": len(item.aligned.on_beats.start_s)}
    for name in ("music_conditions", "film_conditions"):
        if (conditions := getattr(item, name)) is not None:
            lengths[name] = len(conditions.dynamic)
    if item.features is not None:
        lengths["visual_on_beats"] = len(item.features.visual_on_beats)
        if item.features.language_on_beats is not None:
            lengths["language_on_beats"] = len(item.features.language_on_beats)
    for name, length in lengths.items():
        if length != item.music.n_beats:
            yield finding(
                "feature_broken", item.item_id, f"{name} has {length} rows for {item.music.n_beats} beats",
                feature=name, rows=length, expected=item.music.n_beats,
            )  # fmt: skip


def check_features(item: Item) -> Iterator[Finding]:
    """Learned features that say nothing."""
    if item.features is None:
        return
    for name, rows in (("visual", item.features.film.visual), ("language", item.features.film.language)):
        if rows.size == 0:
            if name == "visual":
                yield finding("feature_empty", item.item_id, "there are no visual rows", feature=name)
        elif not np.isfinite(rows).all():
            yield finding("feature_broken", item.item_id, f"{name} rows are not finite", feature=name)
        elif not rows.any():
            yield finding("feature_empty", item.item_id, f"all {name} rows are zero", feature=name)
        elif len(rows) > 1 and float(np.ptp(rows, axis=0).max()) < _EVEN:
            yield finding("feature_constant", item.item_id, f"all {name} rows are equal", feature=name)


def check_captions(item: Item) -> Iterator[Finding]:
    """Captions outside the film, over each other, without words, or not at the shots."""
    learned = item.features.film if item.features is not None else None
    if item.film is not None:
        end_s, shots = item.film.duration_s, item.film.shots
    elif learned is not None:
        end_s, shots = learned.duration_s, learned.shots
    else:
        return
    for captions in {item.captions, learned.captions if learned else ()}:
        yield from _check_captions(item.item_id, captions, end_s, shots)


def _check_captions(
    item: str, captions: tuple[Caption, ...], end_s: float, shots: tuple[Shot, ...]
) -> Iterator[Finding]:
    for number, each in enumerate(captions, 1):
        where = f"caption {number}, {each.start_s:.2f} to {each.end_s:.2f} s"
        if each.start_s < -_SAME_S or each.end_s > end_s + AT_SHOT_S or each.end_s <= each.start_s:
            yield finding(
                "caption_outside", item, f"{where}, lies outside a film of {end_s:.2f} s", caption=number
            )
        if not each.text.strip():
            yield finding("caption_empty", item, f"{where}, has no words", caption=number)
    ordered = sorted(captions, key=lambda each: each.start_s)
    over = [b for a, b in pairwise(ordered) if b.start_s < a.end_s - _SAME_S]
    if over:
        yield finding(
            "caption_overlap", item, f"{len(over)} captions begin before the one before ends, the first at "
            f"{over[0].start_s:.2f} s", captions=len(over),
        )  # fmt: skip
    borders = np.array([edge for shot in shots for edge in (shot.start_s, shot.end_s)])
    if len(shots) < 2 or not captions:
        return
    edges = np.array([edge for each in captions for edge in (each.start_s, each.end_s)])
    away = np.abs(edges[:, None] - borders).min(axis=1).reshape(-1, 2).max(axis=1) > AT_SHOT_S
    if away.mean() > MOST_OFF_SHOTS:
        yield finding(
            "caption_off_shots", item, f"{int(away.sum())} of {len(captions)} captions are not at the shots",
            captions=len(captions), off=int(away.sum()),
        )  # fmt: skip
