"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The large data: $DIFFBGM_SHARED, else the folder `shared` beside the checkout."""
    folder = Path(os.environ.get("DIFFBGM_SHARED", CHECKOUT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"the shared data is not at {folder}; set DIFFBGM_SHARED")
    return folder
