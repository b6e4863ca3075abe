"""A network as an ONNX graph of one denoising step: written, compared with the network, stored at half size.

What a graph takes and gives is described by a `Graph`; the rest is the same for every network.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper

OPSET: Final = 18
HALF_FROM: Final = 1024  # smaller tensors stay float32: they weigh nothing and set scales

Example = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Graph:
    """Named tensors of a network.

    free: tensor -> axis -> name, for axes of any length; axes of one name have one length. The keys are the
    network's arguments in their order, then the output. example: random inputs for a seed; sizes of free
    axes vary with it.
    """

    free: Mapping[str, Mapping[int, str]]
    example: Callable[[int], Example]

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self.free)[:-1]

    @property
    def output(self) -> str:
        return tuple(self.free)[-1]

    def tensors(self, seed: int) -> tuple[torch.Tensor, ...]:
        """The example of a seed as the network takes it."""
        example = self.example(seed)
        return tuple(torch.from_numpy(example[name]) for name in self.inputs)

    def write(self, network: torch.nn.Module, path: Path) -> None:
        """Write the network in float32."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter warns of itself
            torch.onnx.export(
                network.eval(),
                self.tensors(0),
                str(path),
                input_names=list(self.inputs),
                output_names=[self.output],
                dynamic_axes={name: dict(axes) for name, axes in self.free.items()},
                opset_version=OPSET,
                dynamo=False,
            )

    def largest_difference(self, network: torch.nn.Module, model: bytes, seeds: int = 3) -> float:
        """Largest |torch - ONNX Runtime| over random inputs of several sizes."""
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        worst = 0.0
        for seed in range(seeds):
            (found,) = session.run([self.output], self.example(seed))
            with torch.no_grad():
                expected = network(*self.tensors(seed))
            worst = max(worst, float(np.abs(expected.numpy() - found).max()))
        return worst


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store large float32 tensors as float16 behind a Cast; ONNX Runtime folds it when it loads."""
    casts = []
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < HALF_FROM:
            continue
        wide = tensor.name
        narrow = numpy_helper.from_array(array.astype(np.float16), wide + "_half")
        tensor.CopyFrom(narrow)
        casts.append(onnx.helper.make_node("Cast", [narrow.name], [wide], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
