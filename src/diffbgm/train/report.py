"""What a person sees of a run: a bar or lines on the terminal, a log, and TensorBoard's curves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

from diffbgm.errors import MissingToolError

LOG: Final = "log.txt"
CURVES: Final = "tensorboard"
CURVE_STEPS: Final = 10  # one point of a curve every so many updates


class RunReport:
    """Means of the figures over `every_s` seconds as lines in RUN/log.txt and on `stream`, curves in RUN.

    On a terminal a bar shows the step, the speed and the time that is left, and lines scroll above it.
    """

    def __init__(
        self, run: Path, stream: TextIO, steps: int, batch: int, begin: int, every_s: float = 60.0
    ) -> None:
        self.run, self.steps, self.batch, self.every_s = run, steps, batch, every_s
        self._stream = stream
        self._curves = _writer(run / CURVES, begin)
        self._losses: list[float] = []
        self._last = self._last_curve = (begin, time.monotonic())
        self._bar: Any = None
        self._task: Any = None

    @contextmanager
    def shown(self) -> Iterator[RunReport]:
        """The report while the block runs: bar drawn, curves closed at the end."""
        try:
            if self._stream.isatty():
                with _bar(self._stream) as self._bar:
                    self._task = self._bar.add_task("training", total=self.steps, rate="", loss="")
                    yield self
            else:
                yield self
        finally:
            self._bar = None
            self._curves.close()

    def update(self, step: int, spent_s: float, figures: dict[str, float]) -> None:
        self._losses.append(figures["loss"])
        now = time.monotonic()
        if step % CURVE_STEPS == 0 or step == self.steps:
            for name, value in figures.items():
                self._curves.add_scalar(name, value, step)
            self._curves.add_scalar("windows_per_second", self._speed(self._last_curve, step, now), step)
            self._last_curve = (step, now)
        if self._bar is not None:
            rate = f"{self._speed(self._last, step, now):.1f} windows/s"
            self._bar.update(self._task, completed=step, rate=rate, loss=f"loss {figures['loss']:.3f}")
        if now - self._last[1] >= self.every_s:
            mean = sum(self._losses) / len(self._losses)
            speed = self._speed(self._last, step, now)
            self._line(
                step, spent_s, f"loss {mean:.3f}  {speed:.1f} windows/s  lr {figures['learning_rate']:.2e}"
            )
            self._losses, self._last = [], (step, now)

    def heldout(self, step: int, spent_s: float, loss: float) -> None:
        self._curves.add_scalar("heldout_loss", loss, step)
        self._curves.flush()
        ended = "  finished" if step == self.steps else ""
        self._line(step, spent_s, f"held-out loss {loss:.4f}{ended}")

    def _speed(self, since: tuple[int, float], step: int, now: float) -> float:
        return (step - since[0]) * self.batch / max(now - since[1], 1e-9)

    def _line(self, step: int, spent_s: float, text: str) -> None:
        line = f"{spent_s / 60:6.1f} min  step {step}/{self.steps}  {text}"
        if self._bar is not None:
            self._bar.console.print(line, highlight=False)
        else:
            print(line, file=self._stream, flush=True)
        with (self.run / LOG).open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _writer(folder: Path, begin: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingToolError("tensorboard is not installed: pip install 'diffbgm[train]'") from error
    return SummaryWriter(str(folder), purge_step=begin + 1)  # points of steps that will be done again go


def _bar(stream: TextIO) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}  {task.fields[loss]}"),
        TimeRemainingColumn(),
        console=Console(file=stream),
    )
