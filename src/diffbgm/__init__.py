"""Background music for a finished video, composed to its cuts on an ordinary computer.

    import diffbgm

    result = diffbgm.compose("film.mp4", mood="calm, hopeful", style="piano")
    print(result.outputs.video, result.loudness_lufs)

Everything here loads on first use, so that `import diffbgm` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffbgm.diffusion.roll import PianoRoll
    from diffbgm.editing.reconform import reconform
    from diffbgm.errors import DiffbgmError
    from diffbgm.options import ComposeOptions
    from diffbgm.pipeline import compose
    from diffbgm.result import Result
    from diffbgm.spotting.cuesheet import CueSheet
    from diffbgm.video.analysis import Analysis
    from diffbgm.video.analyze import analyze

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "ComposeOptions",
    "CueSheet",
    "DiffbgmError",
    "PianoRoll",
    "Result",
    "__version__",
    "analyze",
    "compose",
    "reconform",
]

_HOME = {
    "Analysis": "diffbgm.video.analysis",
    "ComposeOptions": "diffbgm.options",
    "CueSheet": "diffbgm.spotting.cuesheet",
    "DiffbgmError": "diffbgm.errors",
    "PianoRoll": "diffbgm.diffusion.roll",
    "Result": "diffbgm.result",
    "analyze": "diffbgm.video.analyze",
    "compose": "diffbgm.pipeline",
    "reconform": "diffbgm.editing.reconform",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'diffbgm' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
