"""Where trials run in parallel: each runner is a function that `conf/runner/` names."""

from __future__ import annotations

import os
from typing import Any, Literal

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from tasks.refusal import Refusal


def threads(workers: int | Literal["auto"]) -> TaskRunner[Any]:
    """Threads of this process.

    Raises:
        Refusal: for a number of workers that is none.
    """
    return ThreadPoolTaskRunner(max_workers=count(workers))


def count(workers: int | str) -> int:
    """The number of workers; `auto` is one per core that this process may use."""
    if workers == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise Refusal(f"runner.workers must be auto or at least 1, got {workers}.")
    return workers
