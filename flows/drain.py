"""Waiting until Prefect's server has recorded every task run that ended here.

Task runs reach the server as events over a websocket; whoever stops the server when the flow has ended loses those
that are still on their way.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

PAGE = 200  # the most rows that Prefect's API gives for one request
STATES_UNFINISHED = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING")


class TaskRunsSeen(logging.Filter):
    """The ids of the task runs that ended in this process, gathered from the line that Prefect logs at each end.

    This is how drain knows what to expect without being told by each flow, subflows included. It does not depend on
    the queue of events that it checks. Tried instead: Prefect 3.8 counts no task runs in its flow run context, ignores
    subclasses of its events client, and a state hook writes two lines into every task run's log. Limits: runs of
    another process (process pool, Dask) and of a log level above INFO are not seen; `drain` takes their ids.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ids: dict[str, None] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if task_run_id := getattr(record, "task_run_id", None):
            self.ids[str(task_run_id)] = None
        return True


def wait_until_recorded(seen: TaskRunsSeen, expected: list[str], flow_run_ids: list[str], seconds: float) -> str:
    """Waits until the end of each expected task run, and of all that the server knows of the flow runs, stands in its
    database; '' or, after so many seconds, what is missing."""
    flush(seconds)
    expected = list(dict.fromkeys([*expected, *seen.ids]))  # the last ones ended while the queue was emptied
    seen.ids.clear()
    return wait_for(expected, seconds, flow_run_ids)


def wait_for(task_run_ids: list[str], seconds: float, flow_run_ids: list[str] | None = None) -> str:
    """Waits until the server has recorded that these task runs have ended, wherever they ran, and all that it knows
    of these flow runs; '' or, after so many seconds, what is missing."""
    import httpx

    deadline = time.monotonic() + seconds
    missing, problem = task_run_ids, ""
    while True:
        try:
            missing, unfinished = unrecorded(missing), _unfinished(flow_run_ids or [])
            if not missing and not unfinished:
                return ""
            problem = f"{len(missing)} are missing, not ended there: {', '.join((missing + unfinished)[:5])}"
        except (OSError, RuntimeError, httpx.HTTPError) as error:
            problem = f"it does not answer: {error}"
        if time.monotonic() > deadline:
            return problem
        time.sleep(0.1)


def flush(seconds: float) -> None:
    """Send what Prefect's workers still hold, events (they carry the task runs) and logs.

    In a thread of its own, because in a thread with a running event loop (a notebook) they would not wait.
    """
    if "prefect.events.worker" not in sys.modules:
        return
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    def send() -> None:
        EventsWorker.drain_all(timeout=seconds)
        APILogWorker.drain_all(timeout=seconds)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(2 * seconds)


def unrecorded(task_run_ids: list[str]) -> list[str]:
    """Of these task runs those whose end the server has not recorded."""
    from prefect.client.orchestration import get_client

    missing = list(task_run_ids)
    with get_client(sync_client=True) as client:
        for start_of_page in range(0, len(task_run_ids), PAGE):
            page = task_run_ids[start_of_page : start_of_page + PAGE]
            ended = _ended(client, page)
            missing = [task_run_id for task_run_id in missing if task_run_id not in ended]
            if len(ended) < len(page):  # recorded in the order they ended: what comes later is not there yet either
                break
    return missing


def _ended(client: SyncPrefectClient, task_run_ids: list[str]) -> set[str]:
    from prefect.client.schemas.filters import TaskRunFilter

    wanted = TaskRunFilter.model_validate({"id": {"any_": task_run_ids}})
    rows = client.read_task_runs(task_run_filter=wanted, limit=PAGE)
    return {str(row.id) for row in rows if row.state and row.state.is_final()}


def _unfinished(flow_run_ids: list[str]) -> list[str]:
    """All of these flow runs' task runs that the server knows and that have not ended there."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter

    if not flow_run_ids:
        return []
    flows = FlowRunFilter.model_validate({"id": {"any_": flow_run_ids}})
    states = TaskRunFilter.model_validate({"state": {"type": {"any_": STATES_UNFINISHED}}})
    with get_client(sync_client=True) as client:
        rows = client.read_task_runs(flow_run_filter=flows, task_run_filter=states, limit=PAGE)
    return [str(row.id) for row in rows]
