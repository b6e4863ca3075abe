"""What all tests share."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from diffbgm.cli import main

from .media import make_video, texture
from .stand_in import stand_in_roll, stand_in_weights

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The large data: $DIFFBGM_SHARED, else the folder `shared` beside the checkout."""
    folder = Path(os.environ.get("DIFFBGM_SHARED", CHECKOUT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"the shared data is not at {folder}; set DIFFBGM_SHARED")
    return folder


@dataclass(frozen=True)
class Run:
    """What a command line left: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def diffbgm(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Run]]:
    """Runs the command line in this process: `diffbgm("compose", film)`."""
    monkeypatch.setattr("sys.excepthook", sys.excepthook)  # put back afterwards
    on_terminate = signal.getsignal(signal.SIGTERM)

    def run(*arguments: object) -> Run:
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Run(int(caught.value.code or 0), captured.out, captured.err)

    yield run
    signal.signal(signal.SIGTERM, on_terminate)


@pytest.fixture
def stand_in_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Composes with `stand_in.stand_in_roll` in place of the trained model."""
    monkeypatch.setattr("diffbgm.pipeline.compose_roll", stand_in_roll)
    monkeypatch.setattr("diffbgm.pipeline.open_weights", lambda name: stand_in_weights)


@pytest.fixture(scope="session")
def short_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 s at 24 fps with sound and cuts at 2 s and 4.25 s; copy it before writing beside it."""
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    shots = [(2.0, texture(1)), (2.25, (200, 60, 30)), (1.75, texture(3))]
    return make_video(path, shots, size=(160, 90), audio="tone", metadata={"title": "A film"})


@pytest.fixture
def film(short_film: Path, tmp_path: Path) -> Path:
    """The short film alone in a folder."""
    return Path(shutil.copy(short_film, tmp_path / "film.mp4"))
