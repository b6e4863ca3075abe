"""From a film to its features: the whole way, each step taken from the cache where it was done before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from diffbgm.errors import InputError
from diffbgm.features import captioner, language, visual
from diffbgm.features.captioner import CaptionSettings, shot_captions
from diffbgm.features.captions import Caption, read_captions
from diffbgm.features.film_features import LANGUAGE_WIDTH, VISUAL_WIDTH, FilmFeatures, Source, sha256_of
from diffbgm.features.kept import Kept
from diffbgm.features.language import Pooling, language_rows
from diffbgm.features.models import Model, check_width, find_model
from diffbgm.features.visual import VisualSettings, visual_rows
from diffbgm.options import Detector
from diffbgm.progress import Listener, Stages
from diffbgm.video.analysis import Shot, Transition
from diffbgm.video.decode import PictureReader
from diffbgm.video.shots import ShotDetector
from diffbgm.video.transnet import TransNetDetector, cache_folder

# Part of what shots were found from: raised whenever the same film and detector give other shots.
_SHOTS_VERSION = 1


@dataclass(frozen=True)
class FeatureSettings:
    """Which models make the features, and how.

    visual, captioner, language: folders, or names on the Hugging Face hub. captions: a file that takes the
    place of the captioner. download: fetch models that are not on this machine. any_width: take models whose
    rows are not 512 and 768 wide.
    """

    visual: str = visual.MODEL
    captioner: str = captioner.MODEL
    language: str = language.MODEL
    captions: Path | None = None
    shots: Detector = "builtin"
    download: bool = False
    any_width: bool = False
    visual_hz: float = 1.0
    visual_frames: int = 2
    caption: CaptionSettings = field(default_factory=CaptionSettings)
    pooling: Pooling = "mean"


def extract(
    film: Path,
    settings: FeatureSettings | None = None,
    *,
    cache: Path | None = None,
    progress: Listener | None = None,
) -> FilmFeatures:
    """The features of a film.

    cache: the folder for what was computed (default: `features` in the user's cache folder). A run that
    was stopped goes on from the last piece that it finished.

    Raises InputError for a film or captions that cannot be read, MissingToolError if a library or a model's
    file is missing, OptionError if a model is of another kind or width, OutputError if the cache cannot be
    written. Models, captions and widths are checked before the film is decoded.
    """
    settings = settings or FeatureSettings()
    cache = cache or cache_folder() / "features"
    stages = Stages(progress)
    given = None if settings.captions is None else read_captions(settings.captions)
    with stages.stage("models"):
        download = settings.download
        seer = find_model(settings.visual, "visual", pictures=True, download=download)
        reader = find_model(settings.language, "language", words=True, download=download)
        describer = None
        if given is None:
            describer = find_model(
                settings.captioner, "captioner", pictures=True, words=True, download=download
            )
        _check_widths(seer, reader, settings)
        source = Source(film.name, sha256_of(film))
    with stages.stage("shots") as tell:
        shots = find_shots(film, source, settings.shots, cache, tell)
    duration_s = shots[-1].end_s
    with stages.stage("visual") as tell:
        width = None if settings.any_width else VISUAL_WIDTH
        how = VisualSettings(settings.visual_hz, settings.visual_frames, width)
        seen = visual_rows(film, source, duration_s, seer, how, cache, tell)
    with stages.stage("captions") as tell:
        if describer is None:
            assert given is not None
            assert settings.captions is not None
            captions = clipped(given, duration_s, settings.captions)
            captions_by = Source(settings.captions.name, sha256_of(settings.captions))
        else:
            captions = shot_captions(film, source, shots, describer, settings.caption, cache, tell)
            captions_by = describer.source
    with stages.stage("language"):
        rows = language_rows([caption.text for caption in captions], reader, settings.pooling, cache)
    return FilmFeatures(
        film=source,
        duration_s=duration_s,
        visual=seen,
        visual_hz=settings.visual_hz,
        visual_by=seer.source,
        shots=shots,
        shots_by=settings.shots,
        captions=captions,
        captions_by=captions_by,
        language=rows,
        language_by=reader.source,
    )


def find_shots(
    film: Path, source: Source, detector: Detector, cache: Path, tell: Callable[[float], None]
) -> tuple[Shot, ...]:
    """The shots of a film from its beginning to its end. Raises as `video.analyze.analyze` does."""
    kept = Kept(cache, kind="shots", film=source.sha256, detector=detector, version=_SHOTS_VERSION)
    borders = kept.value(0)
    if borders is None:
        reader = PictureReader(film)
        finder = ShotDetector() if detector == "builtin" else TransNetDetector()
        expected_s = reader.facts.declared_s or float("inf")
        found: list[Transition] = []
        for frame in reader:
            found += finder.push(frame.time_s, frame.yuv)
            tell(frame.time_s / expected_s)
        found += finder.finish()
        borders = sorted({0.0, *(transition.time_s for transition in found), reader.facts.duration_s})
        kept.keep_value(0, borders)
    return tuple(Shot(start_s, end_s) for start_s, end_s in pairwise(borders))


def clipped(captions: tuple[Caption, ...], duration_s: float, path: Path) -> tuple[Caption, ...]:
    """The captions as far as the film goes. Raises InputError if none lies in it."""
    inside = tuple(
        Caption(each.start_s, min(each.end_s, duration_s), each.text)
        for each in captions
        if each.start_s < duration_s
    )
    if not inside:
        raise InputError(f"{path}: all captions begin after the film's end at {duration_s:.2f} s")
    return inside


def _check_widths(seer: Model, reader: Model, settings: FeatureSettings) -> None:
    """What the configurations already tell, so that it is not found out after hours of captioning."""
    if settings.any_width:
        return
    check_width(seer, "visual", int(seer.config.get("projection_dim", VISUAL_WIDTH)), VISUAL_WIDTH)
    check_width(reader, "language", int(reader.config.get("hidden_size", LANGUAGE_WIDTH)), LANGUAGE_WIDTH)
