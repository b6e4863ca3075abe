"""What the tests of features share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from ..media import make_video, texture


@dataclass(frozen=True)
class Folders:
    """Tiny models with random weights, each in its folder."""

    clip: Path
    blip: Path
    bert: Path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Never changed: copy a folder before breaking it."""
    pytest.importorskip("torch", reason="features need torch")
    pytest.importorskip("transformers", reason="features need transformers")
    from .models import save_bert, save_blip, save_clip

    home = tmp_path_factory.mktemp("models")
    return Folders(save_clip(home / "clip"), save_blip(home / "blip"), save_bert(home / "bert"))


@pytest.fixture(scope="session")
def three_shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 s without sound at 12 fps; cuts at 2 s and 4.25 s."""
    path = tmp_path_factory.mktemp("films") / "three.mp4"
    shots = [(2.0, texture(1)), (2.25, (200, 60, 30)), (1.75, texture(3))]
    return make_video(path, shots, fps=12, size=(160, 90))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever tries to reach a host fails the test, even where the failure would be caught."""
    import socket

    def refuse(*arguments: object, **_: object) -> object:
        pytest.fail(f"the network was touched: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
