"""A person's wishes: taken from the options, and held against the film."""

from __future__ import annotations

from diffbgm.errors import OptionError
from diffbgm.options import ComposeOptions
from diffbgm.spotting.cuesheet import HitWish, Wishes
from diffbgm.spotting.hits import SAME_MOMENT_S
from diffbgm.spotting.keys import parse_key

_UNCHANGED = Wishes()


def wishes_from(options: ComposeOptions, base: Wishes = _UNCHANGED) -> Wishes:
    """The base wishes with whatever the options set put over them.

    `hit` adds to the base's hits, leaving out those already there within 0.1 s. Options that were not
    given leave the base as it is. The key is written in its short form; raises OptionError if it is none.
    """
    given = {
        "mood": options.mood,
        "style": options.style,
        "tempo_bpm": options.tempo,
        "key": None if options.key is None else parse_key(options.key),
        "energy": options.energy,
        "seed": options.seed,
    }
    hits = list(base.hits)
    for time_s in options.hit:
        if all(abs(hit.time_s - time_s) > SAME_MOMENT_S for hit in hits):
            hits.append(HitWish(time_s=time_s))
    update = {name: value for name, value in given.items() if value is not None}
    return base.model_copy(update={**update, "hits": tuple(hits)})


def check_wishes(wishes: Wishes, duration_s: float) -> None:
    """Raise OptionError, naming the field, where a wish does not fit the film."""
    if wishes.key is not None:
        try:
            parse_key(wishes.key)
        except OptionError as error:
            raise OptionError(f"wishes.{error}") from None
    for index, hit in enumerate(wishes.hits):
        _inside(hit.time_s, duration_s, f"wishes.hits.{index}.time_s")
    for index, time_s in enumerate(wishes.removed_hits_s):
        _inside(time_s, duration_s, f"wishes.removed_hits_s.{index}")
    for index, section in enumerate(wishes.sections):
        _inside(section.at_s, duration_s, f"wishes.sections.{index}.at_s")
        if section.start_s is not None and section.start_s > section.at_s:
            raise OptionError(
                f"wishes.sections.{index}.start_s: {section.start_s:g} s lies after at_s "
                f"({section.at_s:g} s); a section begins before the moment it lies around"
            )


def _inside(time_s: float, duration_s: float, name: str) -> None:
    if time_s >= duration_s:
        raise OptionError(f"{name}: {time_s:g} s is not inside the film, which lasts {duration_s:.3f} s")
