"""From the score to sound: FluidSynth and a General MIDI soundfont, at 48 kHz, block by block.

A whole film is never held in memory: the music goes to a raw float32 file (see `files`), stems straight
to WAV. Stems are rendered by a second run of the synthesizer, which repeats the first one exactly; that
costs less than keeping every part of an hour of film on disk meanwhile.

Notes begin on the nearest border of FluidSynth's 64-sample blocks, at most 0.67 ms from their time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.errors import MissingToolError
from diffbgm.score.score import Part, Score
from diffbgm.sound.files import output_error, pcm24, replacing, wav_header, write_raw
from diffbgm.sound.fluidsynth import BLOCK, SAMPLE_RATE, Synth
from diffbgm.sound.tone import Equalizer, widened
from diffbgm.sound.touch import touch_cents

Progress = Callable[[float], None]

SOUNDFONT: Final = Path(__file__).resolve().parent.parent / "assets" / "FluidR3Mono_GM.sf3"

_CHUNK: Final = 750 * BLOCK  # one second
_SHORTEST_FADE_S: Final = 0.05
_LONGEST_FADE_S: Final = 2.0
_PEDAL, _VOLUME, _PAN, _REVERB, _CHORUS = 64, 7, 10, 91, 93

# Within a block, in this order: a note struck again is let go first, and a pedal changed on a chord
# lets the old chord go and holds the new one.
_NOTE_OFF, _PEDAL_UP, _NOTE_ON, _PEDAL_DOWN = range(4)


@dataclass(frozen=True)
class Event:
    """Something a part does at a block border: `kind` as above; pitch and velocity for notes."""

    block: int
    kind: int
    part: int
    pitch: int = 0
    velocity: int = 0


@dataclass(frozen=True)
class Music:
    """The music before mastering: raw stereo float32 in `path`, `n_samples` long.

    peak, stem_peaks: the largest absolute sample of the whole and of each part.
    """

    path: Path
    n_samples: int
    peak: float
    stem_peaks: tuple[float, ...]


def n_samples_of(duration_s: float) -> int:
    """Length of a film's sound in samples."""
    return round(duration_s * SAMPLE_RATE)


def _block_at(time_s: float) -> int:
    return max(0, round(time_s * SAMPLE_RATE / BLOCK))


def _events_of(index: int, part: Part) -> Iterator[Event]:
    sounding: dict[int, int] = {}  # pitch -> block where its latest note would end
    for note in sorted(part.notes, key=lambda note: (note.pitch, note.start_s)):
        start, end = _block_at(note.start_s), _block_at(note.end_s)
        if sounding.get(note.pitch, -1) > start:  # struck again before its end: the first one ends here
            yield Event(start, _NOTE_OFF, index, note.pitch)
        elif note.pitch in sounding:
            yield Event(sounding[note.pitch], _NOTE_OFF, index, note.pitch)
        yield Event(start, _NOTE_ON, index, note.pitch, note.velocity)
        sounding[note.pitch] = max(end, start + 1)
    for pitch, end in sounding.items():
        yield Event(end, _NOTE_OFF, index, pitch)
    for pedal in part.pedals:
        yield Event(_block_at(pedal.start_s), _PEDAL_DOWN, index)
        yield Event(_block_at(pedal.end_s), _PEDAL_UP, index)


def events(score: Score) -> list[Event]:
    """All that the synthesizer is told, in order of time."""
    found = [event for index, part in enumerate(score.parts) for event in _events_of(index, part)]
    return sorted(found, key=lambda event: (event.block, event.kind, event.part, event.pitch))


def _send(synth: Synth, event: Event) -> None:
    if event.kind == _NOTE_ON:
        synth.note_on(event.part, event.pitch, event.velocity)
    elif event.kind == _NOTE_OFF:
        synth.note_off(event.part, event.pitch)
    else:
        synth.control(event.part, _PEDAL, 127 if event.kind == _PEDAL_DOWN else 0)


def _set_up(synth: Synth, parts: tuple[Part, ...], touch: Sequence[float]) -> None:
    for index, part in enumerate(parts):
        synth.set_instrument(index, part.program, part.is_drums)
        for controller, value in (
            (_VOLUME, part.volume),
            (_PAN, part.pan),
            (_REVERB, part.reverb),
            (_CHORUS, part.chorus),
        ):
            synth.control(index, controller, value)
        synth.set_touch(index, touch[index])


def fade_s(score: Score) -> float:
    """How long the music fades: from where its last note is let go to the end of the film, 0.05 to 2 s."""
    last_s = max((note.end_s for part in score.parts for note in part.notes), default=0.0)
    return min(_LONGEST_FADE_S, max(_SHORTEST_FADE_S, score.duration_s - last_s))


def _fade_out(sound: NDArray[np.float32], left: int, fade: int) -> None:
    """Let what still rings die away, in the last `fade` samples.

    left: samples from the start of `sound` to the end of the film. A raised cosine: sound that decays by
    itself goes on decaying, without a kink, and reaches zero.
    """
    to_end = left - np.arange(sound.shape[-1])
    sound *= (np.sin(np.pi / 2 * np.clip(to_end / fade, 0.0, 1.0)) ** 2).astype(np.float32)


def render_blocks(score: Score, soundfont: Path | None = None) -> Iterator[NDArray[np.float32]]:
    """The sound of each part, second by second: float32 (parts, 2, up to 48000), in all the film's length.

    soundfont: an SF2 or SF3 file, None for the one that is shipped.
    Raises MissingToolError without FluidSynth or the soundfont, InputError if the latter is not one.
    """
    soundfont = soundfont or SOUNDFONT
    if not soundfont.is_file():
        raise MissingToolError(f"{soundfont}: soundfont not found; give an SF2 or SF3 file with --soundfont")
    total = n_samples_of(score.duration_s)
    pending = events(score)
    following = 0
    fade = int(fade_s(score) * SAMPLE_RATE)
    touch = touch_cents(score.parts, soundfont)
    equalizers = [Equalizer(part.tone, score.tone) for part in score.parts]
    with Synth(soundfont, max(1, len(score.parts)), score.room) as synth:
        _set_up(synth, score.parts, touch)
        for start in range(0, total, _CHUNK):
            sound = np.zeros((max(1, len(score.parts)), 2, _CHUNK), np.float32)
            at = 0
            while at < _CHUNK:
                block = (start + at) // BLOCK
                while following < len(pending) and pending[following].block <= block:
                    _send(synth, pending[following])
                    following += 1
                until = pending[following].block * BLOCK - start if following < len(pending) else _CHUNK
                until = min(until, _CHUNK)
                synth.process(sound, at, until - at)
                at = until
            for stem, equalizer, part in zip(sound, equalizers, score.parts, strict=False):
                stem[:] = widened(equalizer(stem), part.width)
            if start + _CHUNK >= total - fade:
                _fade_out(sound, total - start, fade)
            yield sound[: len(score.parts), :, : total - start]


def render_music(
    score: Score, folder: Path, soundfont: Path | None = None, progress: Progress | None = None
) -> Music:
    """Play the score into `folder`/music.f32 and say how loud it peaks.

    progress: called with the share done, 0..1.
    Raises OutputError if the folder cannot be written, and what `render_blocks` raises.
    """
    path = folder / "music.f32"
    total = n_samples_of(score.duration_s)
    peak, stem_peaks, done = 0.0, np.zeros(len(score.parts)), 0
    try:
        with path.open("wb") as file:
            for stems in render_blocks(score, soundfont):
                music = stems.sum(axis=0, dtype=np.float32)
                peak = max(peak, float(np.abs(music).max()))
                stem_peaks = np.maximum(stem_peaks, np.abs(stems).max(axis=(1, 2)))
                write_raw(file, music)
                done += music.shape[1]
                if progress:
                    progress(done / total)
    except OSError as error:
        raise output_error(path, error) from error
    return Music(path, total, peak, tuple(map(float, stem_peaks)))


def stem_names(score: Score) -> tuple[str, ...]:
    """File names of the stems, such as `01_piano.wav`."""
    slugs = (re.sub(r"[^a-z0-9]+", "-", part.name.lower()).strip("-") or "part" for part in score.parts)
    return tuple(f"{number:02d}_{slug}.wav" for number, slug in enumerate(slugs, 1))


def write_stems(
    score: Score,
    folder: Path,
    gain: float,
    soundfont: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Path, ...]:
    """Play each part into its own 24-bit 48 kHz WAV in `folder`, all times `gain`, all of equal length.

    With the gain of `mix.music_gain` they add up to the music's own WAV. The folder is made if its parent
    exists. Raises OutputError, and what `render_blocks` raises.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error
    paths = tuple(folder / name for name in stem_names(score))
    total = n_samples_of(score.duration_s)
    done = 0
    with ExitStack() as stack:
        files = [stack.enter_context(stack.enter_context(replacing(path)).open("wb")) for path in paths]
        for file in files:
            file.write(wav_header(total))
        for stems in render_blocks(score, soundfont):
            for file, stem in zip(files, stems, strict=True):
                file.write(pcm24(stem * np.float32(gain)))
            done += stems.shape[2]
            if progress:
                progress(done / total)
    return paths
