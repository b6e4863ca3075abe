"""The record of the dataset: what is known of one pair of song and video.

Two clocks. What belongs to the music is in *song time*, what belongs to the film in *video time* (seconds
from its first frame), and song time = video time + offset_s. `diffbgm.data.schema` has the columns,
`diffbgm.data.rows` turns a record into a Parquet row and back.
"""

from __future__ import annotations

from dataclasses import dataclass

from diffbgm.data.alignment import Aligned
from diffbgm.data.annotation.music import MusicAnnotation
from diffbgm.data.shared_conditions import ItemConditions
from diffbgm.diffusion.behaviour import Alignment
from diffbgm.features.captions import Caption
from diffbgm.features.film_features import FilmFeatures, Rows
from diffbgm.video.analysis import Analysis


@dataclass(frozen=True)
class Media:
    """A file, or the folder of a song, by reference.

    path: as in the manifest, relative to its folder. sha256: of the bytes; of a folder, of the lines
    `<sha256 of file>  <name>` sorted by name (what `sha256sum * | sha256sum` prints).
    """

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class LearnedFeatures:
    """Features of pretrained networks and how they lie on the beats: float32 (n_beats, width) each.

    alignment: `time`, or `stretched` for published features, which have no times. language_on_beats is None
    where there are no captions.
    """

    film: FilmFeatures
    alignment: Alignment
    visual_on_beats: Rows
    language_on_beats: Rows | None


@dataclass(frozen=True)
class Item:
    """All that a row says.

    media: by role of `schema.MEDIA_ROLES`, those that are there. film: None for a song without video; it has
    no thumbnails, which the video itself has. music_conditions, film_conditions: None where they cannot be
    had (`shared_conditions`). inputs_sha256: over everything the row was computed from. split: None until
    the item has its place in a dataset.
    """

    item_id: str
    song_id: str
    video_id: str | None
    source: str
    title: str | None
    artist: str | None
    offset_s: float
    pair_confidence: float | None
    pair_method: str | None
    media: dict[str, Media]
    inputs_sha256: str
    music: MusicAnnotation
    film: Analysis | None
    captions: tuple[Caption, ...]
    features: LearnedFeatures | None
    aligned: Aligned
    music_conditions: ItemConditions | None
    film_conditions: ItemConditions | None
    split: str | None = None
