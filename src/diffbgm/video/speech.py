"""Where people speak, by silero-vad (MIT licence, version 6.2, shipped as ONNX).

The model takes the sound in windows of 32 ms, each preceded by the last 4 ms of the one before, carries a
recurrent state along, and gives the probability of speech in each window.
"""

from __future__ import annotations

from array import array
from importlib import resources

import numpy as np
import onnxruntime
from numpy.typing import NDArray

RATE = 16_000

_WINDOW = 512
_CONTEXT = 64
_WINDOWS_A_RUN = 128

# The thresholds of silero-vad's own `get_speech_timestamps`; the shortest pause is longer here, because
# the music should not jump up between two words.
_ENTER = 0.5
_LEAVE = 0.35
_SHORTEST_SPEECH_S = 0.25
_SHORTEST_PAUSE_S = 0.3
_MARGIN_S = 0.03


class SpeechDetector:
    """Feed it sound in order, block by block; memory grows by 4 bytes for each 32 ms."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model = resources.files("diffbgm").joinpath("assets/silero_vad.onnx").read_bytes()
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._h = np.zeros((1, 1, 128), np.float32)
        self._c = np.zeros((1, 1, 128), np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._waiting: list[NDArray[np.float32]] = []
        self._n_waiting = 0
        self._probabilities: array[float] = array("f")

    def push(self, sound: NDArray[np.float32]) -> None:
        """sound: float32 (samples,), mono at RATE, -1..1, any length."""
        self._waiting.append(sound)
        self._n_waiting += len(sound)
        if self._n_waiting >= _WINDOW * _WINDOWS_A_RUN:
            joined = np.concatenate(self._waiting)
            whole = len(joined) // _WINDOW * _WINDOW
            self._run(joined[:whole])
            self._waiting, self._n_waiting = [joined[whole:]], len(joined) - whole

    def finish(self) -> tuple[tuple[float, float], ...]:
        """Speech spans (start, end) in seconds of the sound given, in order and apart."""
        if self._n_waiting:
            joined = np.concatenate(self._waiting)
            self._run(np.pad(joined, (0, -len(joined) % _WINDOW)))
            self._waiting, self._n_waiting = [], 0
        return spans(np.asarray(self._probabilities), _WINDOW / RATE)

    def _run(self, sound: NDArray[np.float32]) -> None:
        windows = sound.reshape(-1, _WINDOW)
        context = np.vstack([self._context, windows[:-1, -_CONTEXT:]])
        inputs = {"input": np.hstack([context, windows]), "h": self._h, "c": self._c}
        probabilities, self._h, self._c = self._session.run(None, inputs)
        self._context = windows[-1, -_CONTEXT:]
        self._probabilities.extend(probabilities.ravel().tolist())


def spans(probabilities: NDArray[np.float64], window_s: float) -> tuple[tuple[float, float], ...]:
    """Turn probabilities of consecutive windows into spans of speech, in seconds.

    Speech begins where the probability reaches 0.5. It ends where the probability falls below 0.35 and
    does not reach 0.5 again within the shortest pause. Spans shorter than the shortest speech are dropped,
    the others widened by a small margin.
    """
    found: list[tuple[float, float]] = []
    start: float | None = None
    fallen: float | None = None
    for index, probability in enumerate(probabilities):
        now_s = index * window_s
        if probability >= _ENTER:
            start, fallen = (now_s if start is None else start), None
        elif start is not None:
            if fallen is None and probability < _LEAVE:
                fallen = now_s
            if fallen is not None and now_s - fallen >= _SHORTEST_PAUSE_S:
                found.append((start, fallen))
                start = fallen = None
    end_s = len(probabilities) * window_s
    if start is not None:
        found.append((start, end_s if fallen is None else fallen))
    return tuple(
        (max(a - _MARGIN_S, 0.0), min(b + _MARGIN_S, end_s)) for a, b in found if b - a >= _SHORTEST_SPEECH_S
    )
