"""`diffbgm dataset view`: one item of a dataset as a page to look at and to hear.

The page is made of the row, and of pictures from the item's video where it still lies at its place. Like
the report of a finished film, whose drawing it shares, it is one file that needs nothing beside it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, Final

import numpy as np

from diffbgm.data import store
from diffbgm.data.item import Item
from diffbgm.data.rows import items_of
from diffbgm.data.view_model import Clock, score_of, view_model
from diffbgm.errors import InputError
from diffbgm.features.film_features import sha256_of
from diffbgm.report import tables
from diffbgm.report.listening import Listening, listen
from diffbgm.report.page import audio_source, policy
from diffbgm.report.view import to_json
from diffbgm.score.score import Score
from diffbgm.sound.files import read_raw, replacing, write_wav
from diffbgm.sound.synth import render_music
from diffbgm.video.analysis import Analysis, Thumbnail
from diffbgm.video.decode import PictureReader
from diffbgm.video.thumbnails import EVERY_S, MOST, encode

SCRIPTS: Final = (
    "model.js", "range.js", "paint.js", "lanes.js", "roll.js", "item.js", "player.js", "main.js",
)  # fmt: skip
_LOUDEST: Final = 0.7  # peak of the sound, of full scale
_SHOWN_IDS: Final = 8


def read_item(folder: Path, item_id: str) -> Item:
    """One item of a dataset. Raises InputError if it holds none of that name."""
    files = store.data_files(folder)
    known: list[str] = []
    for path in files:
        ids = [table.column("item_id")[0].as_py() for table in store.read_rows([path], ["item_id"])]
        if item_id in ids:
            for number, table in enumerate(store.read_rows([path])):
                if number == ids.index(item_id):
                    return next(iter(items_of(table)))
        known += ids
    some = ", ".join(known[:_SHOWN_IDS])
    raise InputError(f"{folder}: has no item {item_id}; there are {len(known)}: {some}...")


def write_view(
    folder: Path,
    item_id: str,
    output: Path,
    *,
    sound: bool = True,
    progress: Callable[[float], None] | None = None,
) -> list[str]:
    """Write the page of an item to `output`; what could not be shown comes back, and stands in the page.

    sound: whether the notes can be heard; drawing alone is faster and takes no FluidSynth. Raises InputError
    if there is no such item, OutputError if the page cannot be written, MissingToolError without FluidSynth.
    """
    item = read_item(folder, item_id)
    score = score_of(item)
    thumbnails, warnings = _pictures(item, folder)
    listening = _heard(score, progress) if sound else None
    page = _page(item, score, thumbnails, listening, warnings, output)
    with replacing(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return warnings


def _pictures(item: Item, folder: Path) -> tuple[list[Thumbnail], list[str]]:
    """Small pictures of the item's video, or why there are none."""
    if item.film is None:
        return [], []
    media = item.media["video"]
    path = folder / store.description(folder)["media_root"] / media.path
    if not path.is_file():
        return [], [f"there are no pictures: {media.path} is no longer at its place"]
    warnings = []
    if path.stat().st_size != media.size_bytes or sha256_of(path) != media.sha256:
        warnings = [f"the pictures may not fit: {media.path} has changed since the dataset was built"]
    return list(_thumbnails(path, item.film)), warnings


def _thumbnails(path: Path, film: Analysis) -> Iterator[Thumbnail]:
    """A picture from the middle of every shot, and of every `EVERY_S` of a long one; `MOST` at the most."""
    times = []
    for shot in film.shots:
        count = max(1, round((shot.end_s - shot.start_s) / EVERY_S))
        edges = np.linspace(shot.start_s, shot.end_s, count + 1)
        times += ((edges[:-1] + edges[1:]) / 2).tolist()
    wanted = iter(
        [times[k] for k in np.unique(np.linspace(0, len(times) - 1, min(len(times), MOST)).astype(int))]
    )
    at_s = next(wanted, None)
    reader = PictureReader(path)
    for frame in reader:
        if at_s is None:
            return
        if frame.time_s >= at_s:
            yield Thumbnail(frame.time_s, encode(frame.yuv, reader.facts.aspect, reader.facts.rotation))
            at_s = next(wanted, None)


def _heard(score: Score, progress: Callable[[float], None] | None) -> Listening:
    """The notes as sound, no louder than `_LOUDEST`."""
    with tempfile.TemporaryDirectory(prefix="diffbgm-") as name:
        music = render_music(score, Path(name), progress=progress)
        gain = np.float32(_LOUDEST / max(music.peak, 1e-6))
        wav = Path(name) / "song.wav"
        write_wav(wav, (gain * block for block in read_raw(music.path)), music.n_samples)
        return listen(wav, score.duration_s)


def _page(
    item: Item,
    score: Score,
    thumbnails: list[Thumbnail],
    listening: Listening | None,
    warnings: list[str],
    output: Path,
) -> str:
    template = resources.files("diffbgm.report") / "template"
    script = "\n".join((template / name).read_text(encoding="utf-8") for name in SCRIPTS)
    view = view_model(item, score, thumbnails, listening)
    film = item.film

    def hidden(absent: bool) -> str:
        return "hidden" if absent else ""

    return Template((template / "item.html").read_text(encoding="utf-8")).substitute(
        policy=policy(script, embedded=True),
        style=(template / "page.css").read_text(encoding="utf-8"),
        script=script,
        view=to_json(view),
        title=tables.text(item.item_id),
        subtitle=_subtitle(item),
        figures=_figures(item),
        warnings=tables.warnings_box(warnings),
        duration=tables.clock(score.duration_s),
        duration_s=f"{score.duration_s:.3f}",
        audio=_audio(listening, output),
        legend=tables.legend(score.parts),
        phrase_source=tables.text(item.music.phrase_source),
        key_rows=_row_names(view, "keys"),
        chord_rows=_row_names(view, "harmony"),
        film_hidden=hidden(film is None),
        captions_hidden=hidden(not item.captions),
        speech_hidden=hidden(film is None or not film.speech_spans),
        lyrics_hidden=hidden(not item.music.lyrics),
        wave_hidden=hidden(listening is None),
        learned_hidden=hidden("learned" not in view["heat"]),
        notes_hidden=hidden("notes_conditions" not in view["heat"]),
        picture_hidden=hidden("film_conditions" not in view["heat"]),
        phrases=_phrases(item),
        provenance=_pairs(_provenance(item)),
        media=_pairs(
            (role, f"{each.path} · {each.size_bytes:,} bytes · {each.sha256[:16]}…")
            for role, each in item.media.items()
        ),
    )


def _audio(listening: Listening | None, output: Path) -> str:
    """The sound in the page; a song too long for that is only drawn."""
    if listening is None or listening.m4a is None:
        return ""
    return f'src="{audio_source(listening, output, output)}"'


def _row_names(view: dict[str, Any], lane: str) -> str:
    return "".join(f"<li>{tables.text(row['name'])}</li>" for row in view["spans"][lane])


def _subtitle(item: Item) -> str:
    song = " – ".join(each for each in (item.artist, item.title) if each)
    film = "no video" if item.film is None else tables.subtitle(item.film)
    return " · ".join(each for each in (tables.text(song), film) if each)


def _figures(item: Item) -> str:
    music = item.music
    bpm = float(np.median(60 / np.diff(music.beats_s)))
    keys = music.given_keys or music.keys
    compound = " compound" if music.eighths_per_beat == 3 else ""
    entries = [
        ("Split", tables.text(item.split or tables.UNKNOWN)),
        ("Key", tables.text(keys[0].label if keys else tables.UNKNOWN)),
        ("Tempo", tables.number(bpm, 1, "BPM")),
        ("Metre", f"{music.beats_per_bar}{compound}"),
        ("Beats", str(music.n_beats)),
        ("On the grid", tables.number(100 * music.grid_fit, 0, "% of notes")),
    ]
    if item.film is not None:
        entries.append(("Offset", tables.number(item.offset_s, 3, "s")))
        entries.append(("Paired by", tables.text(item.pair_method or tables.UNKNOWN)))
    return "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in entries)


def _phrases(item: Item) -> str:
    music = item.music
    beats_s = Clock.of(item).beats(music)
    rows = "".join(
        f"<tr><td>{tables.seek(float(beats_s[each.start_beat]))}</td><td>{tables.text(each.label)}</td>"
        f'<td class="num">{each.end_beat - each.start_beat}</td>'
        f'<td class="num">{each.confidence:.2f}</td></tr>'
        for each in music.phrases
    )
    if not rows:
        return '<p class="empty">No phrases were given or found.</p>'
    return tables.table(("At", "Label", "Beats", "Confidence"), rows, "Phrases")


def _provenance(item: Item) -> Iterator[tuple[str, str]]:
    yield "Item", item.item_id
    yield "Song", f"{item.song_id} ({item.source})"
    if item.video_id is not None:
        yield "Video", item.video_id
        yield "Song time at video time 0", f"{item.offset_s:+.3f} s"
    if item.pair_method is not None:
        yield "Paired by", item.pair_method
    if item.pair_confidence is not None:
        yield "Confidence of the pair", f"{item.pair_confidence:.2f}"
    yield "Roles of the tracks", ", ".join(item.music.roles)
    if item.features is not None:
        found = item.features
        yield "Visual features", f"{found.film.visual_by.name}, {found.alignment}"
        yield "Language features", f"{found.film.language_by.name}, {found.alignment}"
    yield "Digest of the inputs", item.inputs_sha256


def _pairs(entries: Any) -> str:
    return "".join(
        f"<div><dt>{tables.text(name)}</dt><dd>{tables.text(value)}</dd></div>" for name, value in entries
    )
