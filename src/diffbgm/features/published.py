"""Published features as torch files: one tensor each, and nothing else is let in."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


def load_pth(path: Path) -> NDArray[Any]:
    """The one tensor of a torch file, float32. Raises ValueError if it holds anything else."""
    import torch

    if path.exists() and not zipfile.is_zipfile(path):  # what torch wrote before version 1.6 is not read
        raise ValueError("not a torch file")
    tensor = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(tensor, torch.Tensor):
        raise ValueError(f"holds {type(tensor).__name__}, expected one tensor")
    return tensor.float().numpy()
