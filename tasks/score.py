"""Score: predict a table chunk by chunk, and put what came out in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import base_folder, parquet, registry
from tasks.base_folder import model_in
from tasks.chunks import Chunk, chunks
from tasks.deliver import Delivered, Output, delivered
from tasks.refusal import Refusal
from tasks.score_chunk import Champion, champion_in, check_columns, score_chunk
from tasks.score_job import Job
from tasks.source import Source

# Chunks that are predicted side by side: LightGBM uses all cores for each, and what is done around it (typing cells,
# naming classes, writing) uses one. Two were 1.3 times as fast as one after the other on two busy cores.
WORKERS = 2

Told = Callable[[int, bool], None]  # so many rows more, and whether they had been predicted before a kill
Say = Callable[[str], None]


class ChangedError(Exception):
    """The table is not the one whose first chunks were predicted before the kill."""


@task(name="load", task_run_name="load", cache_policy=NO_CACHE, persist_result=False)
def load(
    name: str, version: int, tracking_uri: str | None, keys: tuple[str, ...], interval: float | None,
    allow_packages: Sequence[str] = (),
) -> Champion:
    """A registered version, with what it was trained on, as far as it tells.

    Raises:
        Refusal: when its files aren't there, were changed since, may hold code, or can't be read.
    """
    named = f"models:/{name}/{version}"
    folder = model_in(Path(registry.download(named, tracking_uri, key="model_name")), named)
    base_folder.check(folder, f"model_name={name}: version {version}", allow_packages)
    return champion_in(folder, name, version, keys, interval)


@task(name="predict", task_run_name="predict", cache_policy=NO_CACHE, persist_result=False)
def predict(source: Source, champion: Champion, job: Job, told: Told, say: Say) -> int:
    """How many rows the table has, each of which lies in the job's folder then, scored or rejected with the reason.

    Chunks that a killed process had finished are not predicted again, unless the table has changed since.

    Raises:
        Refusal: for a table that lacks columns or has them in another type, and what the source refuses.
    """
    try:
        return _all_chunks(source, champion, job, told, say)
    except ChangedError:
        say("the table has changed since the interrupted scoring, which is given up")
        job.clear()
        return _all_chunks(source, champion, job, told, say)


@task(name="deliver", task_run_name="deliver", cache_policy=NO_CACHE, persist_result=False)
def deliver(job: Job, champion: Champion, output: Output, n_rows: int, source_name: str) -> Delivered:
    """The output, the rejects and the monitor's summary, each in its place as a whole.

    Raises:
        Refusal: where the output can't be written, or has come to be there meanwhile.
    """
    return delivered(job, champion, output, n_rows, source_name)


def _all_chunks(source: Source, champion: Champion, job: Job, told: Told, say: Say) -> int:
    parquet.give_back_large_blocks()
    n_rows = n_chunks = 0
    waiting: set[Future[Chunk]] = set()
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="finefold-score") as pool:
        for chunk in chunks(source.batches(), champion.chunk_rows):
            if chunk.number == 0:
                _check(chunk, champion, job, say)
            n_rows, n_chunks = n_rows + chunk.n_rows, chunk.number + 1
            known = job.record(chunk.number)
            if known is not None and known.digest != chunk.digest:
                raise ChangedError
            if known is not None:
                told(chunk.n_rows, True)
                continue
            waiting.add(pool.submit(score_chunk, chunk, champion, job))
            waiting = _waited(waiting, told, at_most=WORKERS)
        _waited(waiting, told, at_most=0)
    if job.n_finished > n_chunks:
        raise ChangedError
    return n_rows


def _waited(waiting: set[Future[Chunk]], told: Told, at_most: int) -> set[Future[Chunk]]:
    """Those that go on, once there are no more than so many; the first fault ends it."""
    while len(waiting) > at_most:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            told(future.result().n_rows, False)
    return waiting


def _check(chunk: Chunk, champion: Champion, job: Job, say: Say) -> None:
    try:
        for note in check_columns(chunk, champion):
            say(note)
    except Refusal:
        job.end()
        raise
