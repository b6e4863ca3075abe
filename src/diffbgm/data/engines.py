"""Who does the work: processes of this machine, or the machines of a Ray cluster, with the same worker.

An engine takes jobs and yields outcomes as they come, in any order. All that several machines need in common
is a file system on which they see the media and the dataset's folder under the same paths.
"""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any, Final, Literal

from diffbgm.data.worker import ItemWorker, Outcome, failed, outcome_from_json, task_from_json
from diffbgm.errors import MissingToolError

Engine = Literal["local", "ray"]
Job = dict[str, str]

_AHEAD: Final = 4  # jobs waiting for each process
_BLOCKS: Final = 16  # Ray takes this many portions for each worker, or a job a portion where there are fewer

_worker: ItemWorker | None = None


def run(engine: Engine, arguments: Sequence[Any], jobs: Iterable[Job], workers: int) -> Iterator[Outcome]:
    """The outcomes of all tasks of the jobs. arguments: what each `ItemWorker` is made with.

    Raises MissingToolError if Ray is asked for and not installed.
    """
    yield from (_local if engine == "local" else _ray)(arguments, jobs, workers)


def _local(arguments: Sequence[Any], jobs: Iterable[Job], workers: int) -> Iterator[Outcome]:
    """In a pool of processes. A job during which processes died is done again in a process of its own; if
    that dies too, the job's items have failed, and the others go on."""
    waiting = iter(jobs)
    while True:
        suspects: list[Job] = []
        with _pool(arguments, workers) as pool:
            yield from _drain(pool, waiting, workers, suspects)
        if not suspects:
            return
        for job in suspects:
            alone: list[Job] = []
            with _pool(arguments, 1) as pool:
                yield from _drain(pool, iter([job]), 1, alone)
            if alone:
                yield from _died(job)


def _drain(
    pool: ProcessPoolExecutor, waiting: Iterator[Job], workers: int, suspects: list[Job]
) -> Iterator[Outcome]:
    """Outcomes until nothing waits; once a process has died, what was not finished goes to `suspects`."""
    running: dict[Future[list[Job]], Job] = {}
    while True:
        while not suspects and len(running) < workers * _AHEAD and (job := next(waiting, None)) is not None:
            try:
                running[pool.submit(_work, job)] = job
            except BrokenProcessPool:
                suspects.append(job)
        if not running:
            return
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            job = running.pop(future)
            if isinstance(future.exception(), BrokenProcessPool):
                suspects.append(job)
            else:
                yield from (outcome_from_json(each["outcome"]) for each in future.result())


def _died(job: Job) -> Iterator[Outcome]:
    for content in json.loads(job["job"]):
        reason = "the process that built it died: out of memory, or a fault of a library"
        yield failed(task_from_json(content), reason, expected=False)


@contextmanager
def _pool(arguments: Sequence[Any], workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end when this one does, however it ends: they hold the other end of a pipe."""
    context = get_context("spawn")
    leash, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, _start, (tuple(arguments), leash))
    try:
        yield pool
        pool.shutdown()
    finally:
        held.close()
        pool.shutdown(cancel_futures=True)
        leash.close()


def _start(arguments: tuple[Any, ...], leash: Connection) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends them at once and without a word
    Thread(target=_follow, args=(leash,), daemon=True).start()
    _worker = ItemWorker(*arguments)


def _follow(leash: Connection) -> None:
    with suppress(EOFError):
        leash.recv_bytes()
    os._exit(1)


def _work(job: Job) -> list[Job]:
    assert _worker is not None
    return _worker(job)


def _ray(arguments: Sequence[Any], jobs: Iterable[Job], workers: int) -> Iterator[Outcome]:
    """With Ray Data: on the cluster that RAY_ADDRESS names, else on a Ray of this machine alone."""
    try:
        import ray
    except ImportError as error:
        raise MissingToolError("engine ray: Ray is not installed; install diffbgm[ray]") from error
    started = not ray.is_initialized()
    if started:
        here: dict[str, Any] = {"num_cpus": workers + 1, "include_dashboard": False}
        if os.environ.get("RAY_ADDRESS"):
            here = {}
        ray.init(logging_level=logging.WARNING, log_to_driver=False, **here)
    try:
        rows = list(jobs)
        if not rows:
            return
        ray.data.DataContext.get_current().enable_progress_bars = False
        data = ray.data.from_items(rows, override_num_blocks=min(len(rows), workers * _BLOCKS))
        outcomes = data.flat_map(
            ItemWorker, fn_constructor_args=list(arguments), concurrency=workers, num_cpus=1
        )
        for row in outcomes.iter_rows():
            yield outcome_from_json(row["outcome"])
    finally:
        if started:
            ray.shutdown()
