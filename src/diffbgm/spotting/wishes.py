"""A person's wishes: taken from the options, and held against the film."""

from __future__ import annotations

from diffbgm.errors import OptionError
from diffbgm.options import ComposeOptions
from diffbgm.spotting.cuesheet import HitWish, MelodyNote, Wishes
from diffbgm.spotting.hits import SAME_MOMENT_S
from diffbgm.spotting.keys import parse_key
from diffbgm.timing import BEATS_PER_BAR

# Rounding of note ends to a file's ticks.
_SAME_BEAT = 1e-3
_UNCHANGED = Wishes()


def wishes_from(options: ComposeOptions, base: Wishes = _UNCHANGED) -> Wishes:
    """The base wishes with whatever the options set put over them.

    `hit` adds to the base's hits, leaving out those already there within 0.1 s. Where the film's own sound is
    dropped nobody is heard speaking, and the music makes no room. Options that were not given leave the base
    as it is. The key is written in its short form; raises OptionError if it is none.
    """
    given: dict[str, object] = {
        "mood": options.mood,
        "style": options.style,
        "tempo_bpm": options.tempo,
        "key": None if options.key is None else parse_key(options.key),
        "chords": options.chords,
        "modulate": options.modulate or None,
        "energy": options.energy,
        "seed": options.seed,
    }
    if "original_audio" in options.model_fields_set:
        given["room_for_speech"] = options.original_audio != "drop"
    hits = list(base.hits)
    for time_s in options.hit:
        if all(abs(hit.time_s - time_s) > SAME_MOMENT_S for hit in hits):
            hits.append(HitWish(time_s=time_s))
    update = {name: value for name, value in given.items() if value is not None}
    return base.model_copy(update={**update, "hits": tuple(hits)})


def fitted_melody(notes: tuple[MelodyNote, ...], n_bars: int) -> tuple[tuple[MelodyNote, ...], list[str]]:
    """The notes of a given melody that a film of `n_bars` bars has room for, and what to say of the rest.

    A melody that ends with the film or before stays whole. A longer one ends with its last note that ends
    before the last bar, which is the final chord's.
    """
    n_beats = n_bars * BEATS_PER_BAR
    if all(note.beat + note.beats <= n_beats + _SAME_BEAT for note in notes):
        return notes, []
    last = n_beats - BEATS_PER_BAR + _SAME_BEAT
    kept = tuple(note for note in notes if note.beat + note.beats <= last)
    return kept, [
        f"the given melody is longer than the film's {n_bars} bars: {len(notes) - len(kept)} of its "
        f"{len(notes)} notes are left out"
    ]


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
