"""From music on disk to the finished film: mix, master, encode, verify, join with the picture."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av

from diffbgm.errors import OutputError
from diffbgm.options import ComposeOptions
from diffbgm.sound.check import SoundCheck, check_sound, count_frames
from diffbgm.sound.encode import AudioCodec, encode, layout_for
from diffbgm.sound.files import replacing
from diffbgm.sound.fluidsynth import SAMPLE_RATE
from diffbgm.sound.master import Master, Mixed, solve_master, store
from diffbgm.sound.mix import balance
from diffbgm.sound.mux import FORMATS, Provenance, mux
from diffbgm.sound.source import SourceSound, first_frame_s, source_channels
from diffbgm.sound.speech import SpeechLevel
from diffbgm.sound.synth import Music
from diffbgm.timing import Span

Progress = Callable[[float], None]

# The limiter first aims here; a codec adds some tenths of a decibel to the peaks.
_CEILING_DBTP: Final = -1.5
# What the decoded file must keep to, with a margin to the promised -0.7 for other meters.
_HIGHEST_DBTP: Final = -0.9
_HEADROOM_DB: Final = 0.1
_TOLERANCE_LU: Final = 0.2
_PROMISED_LU: Final = 0.5
_MOST_ENCODINGS: Final = 5
_SHORTEST_MEASURABLE_S: Final = 3.0


@dataclass(frozen=True)
class Finished:
    """The finished film as it measures, read back from the file.

    loudness_lufs: None where it is silent or lasts under 0.4 s. true_peak_dbtp: None for digital
    silence. silences: spans of 1 s or longer below -60 dB, in seconds from the first frame. speech: how far
    the music lies under the words, span by span, from the levels before the limiter.
    """

    loudness_lufs: float | None
    true_peak_dbtp: float | None
    n_frames: int
    sound_duration_s: float
    silences: tuple[Span, ...]
    warnings: tuple[str, ...]
    speech: tuple[SpeechLevel, ...] = ()


def _nothing(_: float) -> None:
    """Progress that nobody follows."""


def finish(
    film: Path,
    output: Path,
    music: Music,
    speech_spans: tuple[Span, ...],
    options: ComposeOptions,
    provenance: Provenance,
    progress: Progress = _nothing,
) -> Finished:
    """Write the film with its music to `output`; the suffix says the container.

    Picture, subtitles, chapters, metadata and further sound tracks are copied as they are; the main
    sound track is mixed with the music as `options.original_audio` says (with `drop` the music is the
    only sound) in its own channel layout, brought to `options.loudness`, and encoded as AAC, in webm as
    Opus. The music's length is the film's. An existing `output` is replaced, and only by a whole film.

    speech_spans: seconds from the first frame, where the music goes down. progress: called with the
    share done, 0..1.
    Raises InputError if the film cannot be read, OutputError if the output cannot be written or its
    container cannot hold the film's picture.
    """
    form = FORMATS[output.suffix.lower()]
    warnings: list[str] = []
    start = first_frame_s(film)
    seconds = music.n_samples / SAMPLE_RATE
    with replacing(output) as temporary:
        with tempfile.TemporaryDirectory(prefix=".diffbgm-", dir=output.parent) as folder:
            source = _source(film, form.codec, start, music.n_samples, options)
            layout = source.layout if source else layout_for(form.codec, 2)
            mix = balance(music, source, layout, speech_spans, options)
            mixed = store(mix, Path(folder) / "mix.f32")
            progress(0.3)
            sound = Path(folder) / f"sound{form.sound_suffix}"
            gain_db = _encode_verified(mixed, options.loudness, form.codec, sound)
            if source is not None and source.n_damaged:
                warnings.append(f"{source.n_damaged} damaged packets of the film's sound were skipped")
            progress(0.7)
            try:
                warnings += mux(
                    film,
                    sound,
                    output,
                    temporary,
                    start,
                    provenance,
                    replace_all=options.original_audio == "drop",
                    reached=lambda at: progress(
                        0.7 + 0.15 * min(1.0, max(0.0, (at - float(start)) / seconds))
                    ),
                )
            except av.FFmpegError as error:
                if isinstance(error, OSError):
                    raise
                raise OutputError(
                    f"{output}: {output.suffix} cannot hold this film's tracks ({error.strerror}); "
                    "choose a name that ends in .mkv"
                ) from error
            progress(0.85)
        check = check_sound(temporary, first_frame_s(temporary))
        n_frames = count_frames(temporary)
        progress(1.0)
    warnings += _judge(check, options.loudness)
    return Finished(
        check.loudness.lufs,
        check.loudness.true_peak_dbtp,
        n_frames,
        check.duration_s,
        check.silences,
        tuple(warnings),
        tuple(level.louder(gain_db) for level in mix.speech),
    )


def _source(
    film: Path, codec: AudioCodec, start: Fraction, n_samples: int, options: ComposeOptions
) -> SourceSound | None:
    if options.original_audio == "drop":
        return None
    channels = source_channels(film)
    return None if channels is None else SourceSound(film, layout_for(codec, channels), start, n_samples)


def _encode_verified(mixed: Mixed, target_lufs: float, codec: AudioCodec, sound: Path) -> float:
    """Encode the mix so that it meets loudness and peak once it is decoded again; the gain in dB."""
    aim, ceiling = target_lufs, _CEILING_DBTP
    before: Master | None = None
    for _ in range(_MOST_ENCODINGS):
        guess_db = before.gain_db if before and before.ceiling_dbtp is not None else None
        master = solve_master(mixed, aim, ceiling, guess_db)
        if master == before:  # as near as it comes
            break
        encode(master.blocks(mixed), mixed.layout, codec, sound)
        got = check_sound(sound).loudness
        excess = 0.0 if got.true_peak_dbtp is None else got.true_peak_dbtp - _HIGHEST_DBTP
        missing = 0.0 if got.lufs is None else target_lufs - got.lufs
        if excess <= 0 and abs(missing) <= _TOLERANCE_LU:
            break
        if excess > 0:
            ceiling -= excess + _HEADROOM_DB
        if abs(missing) > _TOLERANCE_LU:
            aim += missing
        before = master
    return master.gain_db


def _judge(check: SoundCheck, target_lufs: float) -> list[str]:
    lufs = check.loudness.lufs
    if lufs is None or check.duration_s < _SHORTEST_MEASURABLE_S or abs(lufs - target_lufs) <= _PROMISED_LU:
        return []
    return [
        f"the sound came out at {lufs:.1f} LUFS instead of {target_lufs:.1f}: "
        "its peaks leave no room for more"
    ]
