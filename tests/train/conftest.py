from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def fresh_accelerator() -> Iterator[None]:
    """Precision and number of parts are kept by accelerate for the process: each test starts without."""
    yield
    state = pytest.importorskip("accelerate.state")
    state.AcceleratorState._reset_state(True)
    state.GradientState._reset_state()
