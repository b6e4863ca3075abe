"""Stages of the work: how far each has come, and how long it took."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

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
