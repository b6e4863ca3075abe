"""The FluidSynth library, reached through ctypes.

Which library: the system's when there is one, else the copy that the pygame-ce wheel carries on Linux
and macOS (found as a file; pygame itself is never imported). Any FluidSynth 2.x will do.

Conventions: a `Synth` has one MIDI channel, one stereo output and its own reverb and chorus for each
part, so that the parts' sounds add up to the whole exactly. All reverbs are of the same room.

Soft notes are darker: General MIDI soundfonts mostly play one recording at all velocities, only quieter. A
modulator (SF2 2.04 section 8.2) closes each voice's low-pass filter by depth * (1 - velocity / 128) cents.
The depth is each part's own, since instruments' own filters differ; `touch` finds it.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from diffbgm.errors import InputError, MissingToolError
from diffbgm.score.score import Room

SAMPLE_RATE: Final = 48_000
# FluidSynth renders in blocks of this many samples; events take effect at their borders.
BLOCK: Final = 64

# Kinds of channel, and the bank in which each finds its programs.
_MELODIC, _DRUMS = 0, 1
_BANKS: Final = {_MELODIC: 0, _DRUMS: 128}
_LOG_LEVELS = 5
# What a modulator of a soundfont is made of: its sources' kinds, and where it leads.
_FILTER_CUTOFF, _VELOCITY, _FALLING, _CONTROLLER, _ADDED = 8, 2, 1, 16, 1
# The controller, free in General MIDI, that says how deep: all of MOST_TOUCH_CENTS at 127.
_TOUCH: Final = 20
MOST_TOUCH_CENTS: Final = 20_000.0
_SYSTEM_NAMES: Final = {
    "linux": ("libfluidsynth.so.3", "libfluidsynth.so.2"),
    "darwin": (
        "libfluidsynth.3.dylib",
        "/opt/homebrew/lib/libfluidsynth.3.dylib",
        "/usr/local/lib/libfluidsynth.3.dylib",
    ),
    "win32": ("libfluidsynth-3.dll", "libfluidsynth-2.dll", "fluidsynth.dll"),
}
_INSTALL_HINT: Final = {
    "linux": "`pip install pygame-ce` brings it, and so does the system package libfluidsynth3",
    "darwin": "`pip install pygame-ce` brings it, and so does `brew install fluid-synth`",
    "win32": "install FluidSynth 2 (for example `choco install fluidsynth`) and put its folder on PATH",
}

# Names and argument types of the functions used; c_void_p stands for the library's own objects.
_P, _I, _D, _S = ctypes.c_void_p, ctypes.c_int, ctypes.c_double, ctypes.c_char_p
_SIGNATURES: Final = {
    "new_fluid_settings": (_P, ()),
    "delete_fluid_settings": (None, (_P,)),
    "fluid_settings_setint": (_I, (_P, _S, _I)),
    "fluid_settings_setnum": (_I, (_P, _S, _D)),
    "new_fluid_synth": (_P, (_P,)),
    "delete_fluid_synth": (None, (_P,)),
    "fluid_set_log_function": (_P, (_I, _P, _P)),
    "fluid_synth_sfload": (_I, (_P, _S, _I)),
    "fluid_synth_set_channel_type": (_I, (_P, _I, _I)),
    "fluid_synth_bank_select": (_I, (_P, _I, _I)),
    "fluid_synth_program_change": (_I, (_P, _I, _I)),
    "fluid_synth_cc": (_I, (_P, _I, _I, _I)),
    "fluid_synth_noteon": (_I, (_P, _I, _I, _I)),
    "fluid_synth_noteoff": (_I, (_P, _I, _I)),
    "fluid_synth_all_sounds_off": (_I, (_P, _I)),
    "fluid_synth_add_default_mod": (_I, (_P, _P, _I)),
    "new_fluid_mod": (_P, ()),
    "delete_fluid_mod": (None, (_P,)),
    "fluid_mod_set_source1": (None, (_P, _I, _I)),
    "fluid_mod_set_source2": (None, (_P, _I, _I)),
    "fluid_mod_set_dest": (None, (_P, _I)),
    "fluid_mod_set_amount": (None, (_P, _D)),
    "fluid_synth_process": (_I, (_P, _I, _I, _P, _I, _P)),
}

# Set rather than left to defaults, which differ between FluidSynth 2.3 and 2.4.
_NUMBERS: Final = {
    "synth.sample-rate": float(SAMPLE_RATE),
    "synth.gain": 0.3,
    "synth.chorus.level": 0.6,
    "synth.chorus.speed": 0.2,
    "synth.chorus.depth": 4.25,
}
_INTEGERS: Final = {
    "synth.polyphony": 512,
    "synth.cpu-cores": 1,
    "synth.chorus.nr": 3,
    # Only the instruments that a score uses are read and decoded from the soundfont.
    "synth.dynamic-sample-loading": 1,
}


def _room_settings(room: Room) -> dict[str, float]:
    return {
        "synth.reverb.room-size": room.size,
        "synth.reverb.damp": room.damping,
        "synth.reverb.width": room.width,
        "synth.reverb.level": room.level,
    }


def _wheel_libraries() -> Iterator[Path]:
    """FluidSynth inside the installed pygame-ce wheel, found without importing pygame."""
    spec = importlib.util.find_spec("pygame")
    if spec is None or spec.origin is None:
        return
    package = Path(spec.origin).parent
    for folder in (package.parent / "pygame_ce.libs", package / ".dylibs"):
        yield from sorted(folder.glob("libfluidsynth*"))


def _candidates() -> Iterator[str]:
    platform = sys.platform if sys.platform in _SYSTEM_NAMES else "linux"
    yield from _SYSTEM_NAMES[platform]
    if platform == "win32":
        found = ctypes.util.find_library("fluidsynth")
        if found:
            yield found
    yield from map(str, _wheel_libraries())


@cache
def load_library() -> ctypes.CDLL:
    """The first FluidSynth 2 that loads, with its functions declared and its own logging silenced.

    Raises MissingToolError if there is none.
    """
    for name in _candidates():
        try:
            library = ctypes.CDLL(name)
        except OSError:  # not there, or built for another machine: try the next
            continue
        for function, (result, arguments) in _SIGNATURES.items():
            entry = getattr(library, function)
            entry.restype, entry.argtypes = result, arguments
        for level in range(_LOG_LEVELS):
            library.fluid_set_log_function(level, None, None)
        return library
    hint = _INSTALL_HINT.get(sys.platform, _INSTALL_HINT["linux"])
    raise MissingToolError(f"FluidSynth: no library found on this machine, needed to play the music; {hint}")


class Synth:
    """A synthesizer with one channel, one stereo output and its own effects for each of `n_parts` parts.

    soundfont: an SF2 or SF3 file. room: the reverb's. Raises InputError if the soundfont cannot be read as
    one, MissingToolError without the library. Use as a context manager.
    """

    def __init__(self, soundfont: Path, n_parts: int, room: Room = Room()) -> None:  # noqa: B008
        self._library = library = load_library()
        self._settings = library.new_fluid_settings()
        groups = {"synth.audio-channels": n_parts, "synth.audio-groups": n_parts}
        groups |= {"synth.effects-groups": n_parts, "synth.midi-channels": -(-n_parts // 16) * 16}
        for name, integer in (_INTEGERS | groups).items():
            library.fluid_settings_setint(self._settings, name.encode(), integer)
        for name, number in (_NUMBERS | _room_settings(room)).items():
            library.fluid_settings_setnum(self._settings, name.encode(), number)
        self._synth = library.new_fluid_synth(self._settings)
        if library.fluid_synth_sfload(self._synth, str(soundfont).encode(), 0) < 0:
            self.close()
            raise InputError(f"{soundfont}: cannot be read as a soundfont; expected an SF2 or SF3 file")
        self._n_parts = n_parts
        self._add_touch()

    def _add_touch(self) -> None:
        """Let velocity close the filter of every voice, as deep as each channel's controller says."""
        library = self._library
        modulator = library.new_fluid_mod()
        library.fluid_mod_set_source1(modulator, _VELOCITY, _FALLING)
        library.fluid_mod_set_source2(modulator, _TOUCH, _CONTROLLER)
        library.fluid_mod_set_dest(modulator, _FILTER_CUTOFF)
        library.fluid_mod_set_amount(modulator, -MOST_TOUCH_CENTS)
        library.fluid_synth_add_default_mod(self._synth, modulator, _ADDED)
        library.delete_fluid_mod(modulator)

    def __enter__(self) -> Synth:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the synthesizer; it cannot be used afterwards."""
        self._library.delete_fluid_synth(self._synth)
        self._library.delete_fluid_settings(self._settings)

    def set_instrument(self, part: int, program: int, is_drums: bool) -> None:
        """Give a part its General MIDI program, or its drum kit."""
        kind = _DRUMS if is_drums else _MELODIC
        self._library.fluid_synth_set_channel_type(self._synth, part, kind)
        self._library.fluid_synth_bank_select(self._synth, part, _BANKS[kind])
        self._library.fluid_synth_program_change(self._synth, part, program)

    def control(self, part: int, controller: int, value: int) -> None:
        """Send a MIDI controller change, both numbers 0..127."""
        self._library.fluid_synth_cc(self._synth, part, controller, value)

    def set_touch(self, part: int, cents: float) -> None:
        """How deep softness closes a part's filter: by `cents * (1 - velocity / 128)`."""
        self.control(part, _TOUCH, round(127 * min(1.0, cents / MOST_TOUCH_CENTS)))

    def silence(self, part: int) -> None:
        """End all that a part plays at once, without a release."""
        self._library.fluid_synth_all_sounds_off(self._synth, part)

    def note_on(self, part: int, pitch: int, velocity: int) -> None:
        self._library.fluid_synth_noteon(self._synth, part, pitch, velocity)

    def note_off(self, part: int, pitch: int) -> None:
        self._library.fluid_synth_noteoff(self._synth, part, pitch)

    def process(self, out: NDArray[np.float32], start: int, length: int) -> None:
        """Add the next `length` samples, a multiple of BLOCK, to `out` from sample `start` on.

        out: float32 C-contiguous (parts, 2, samples), each part's dry sound, reverb and chorus together.
        """
        side = out.strides[1]
        first = out.ctypes.data + start * out.itemsize
        dry = [first + side * index for index in range(2 * self._n_parts)]
        # Effects of part k: reverb left, right, chorus left, right; all go where its dry sound goes.
        effects = [dry[2 * part + channel % 2] for part in range(self._n_parts) for channel in range(4)]
        pointers = (ctypes.c_void_p * len(dry))(*dry)
        effect_pointers = (ctypes.c_void_p * len(effects))(*effects)
        self._library.fluid_synth_process(
            self._synth, length, len(effects), effect_pointers, len(dry), pointers
        )
