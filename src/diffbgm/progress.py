"""Stages of the work: how far each has come, how long it took, and how a terminal shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TextIO

Listener = Callable[[str, float], None]
"""Called with the stage's name and the share of it that is done, from 0.0 at its start to 1.0 at its end."""


class Stages:
    """Times each stage and tells a listener how far it is.

    `timings_s` holds the seconds of each stage in the order in which they were first entered; a stage
    entered twice adds up.
    """

    def __init__(self, listener: Listener | None = None) -> None:
        self.timings_s: dict[str, float] = {}
        self._listener = listener

    def fork(self) -> Stages:
        """Stages that begin with the times so far, for one of several ways to go on."""
        other = Stages(self._listener)
        other.timings_s = dict(self.timings_s)
        return other

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[float], None]]:
        """Time the block; it receives the function to call with the share done, 0..1.

        The listener hears 1.0 once, when the block has ended without an error.
        """

        def tell(share: float) -> None:
            if self._listener is not None and share < 1.0:
                self._listener(name, share)

        tell(0.0)
        begin = perf_counter()
        try:
            yield tell
        finally:
            self.timings_s[name] = self.timings_s.get(name, 0.0) + perf_counter() - begin
        if self._listener is not None:
            self._listener(name, 1.0)


@contextmanager
def progress_to(stream: TextIO) -> Iterator[Listener]:
    """A listener that draws bars on a terminal, and elsewhere writes one line for each finished stage."""
    if stream.isatty():
        with _bars(stream) as listener:
            yield listener
    else:
        yield _lines(stream)


def _lines(stream: TextIO) -> Listener:
    begun: dict[str, float] = {}

    def listen(stage: str, share: float) -> None:
        begun.setdefault(stage, perf_counter())
        if share >= 1.0:
            stream.write(f"{stage}: done in {perf_counter() - begun.pop(stage):.1f} s\n")
            stream.flush()

    return listen


@contextmanager
def _bars(stream: TextIO) -> Iterator[Listener]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=stream)) as progress:
        running: dict[str, TaskID] = {}

        def listen(stage: str, share: float) -> None:
            if stage not in running:
                running[stage] = progress.add_task(stage, total=1.0)
            progress.update(running[stage], completed=share)
            if share >= 1.0:
                running.pop(stage)

        yield listen
