"""`python -m benchmarks.task_runs`: are 200 task runs that ran in Prefect's database after their process has ended?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from uuid import UUID

from benchmarks import place, report
from flows import server

N_TASK_RUNS = 200
PARTS = ("start", "run", "drain", "stop")


def run_and_drain() -> dict[str, object]:
    """The ids that the futures had, the drain's warning, and the seconds of each part."""
    begin = time.monotonic()
    with server.start() as used:
        from prefect import flow, task
        from prefect.futures import wait
        from prefect.task_runners import ThreadPoolTaskRunner

        @task
        def work(n: int) -> int:
            return n

        @flow(task_runner=ThreadPoolTaskRunner(max_workers=4))  # type: ignore[arg-type]  # typed for other runners
        def many() -> list[str]:
            return [str(future.task_run_id) for future in wait([work.submit(n) for n in range(N_TASK_RUNS)]).done]

        used.wait()
        ready = time.monotonic()
        ids = many()
        ended = time.monotonic()
        warning = used.drain(task_run_ids=ids)
        drained = time.monotonic()
    stopped = time.monotonic()
    seconds = {"start": ready - begin, "run": ended - ready, "drain": drained - ended, "stop": stopped - drained}
    return {"ids": ids, "warning": warning, "seconds": seconds}


def recorded(ids: list[str]) -> tuple[int, int]:
    """How many of these a fresh server on the same database knows, and how many of them have not ended."""
    with server.start() as used:
        used.wait()
        from prefect import get_client
        from prefect.exceptions import ObjectNotFound

        n_known = n_unfinished = 0
        with get_client(sync_client=True) as client:
            for task_run_id in ids:
                try:
                    state = client.read_task_run(UUID(task_run_id)).state
                except ObjectNotFound:
                    continue
                n_known += 1
                n_unfinished += not (state and state.is_final())
    return n_known, n_unfinished


def main() -> None:
    """Run in a process of its own, then ask a fresh server; everything in a temporary PREFECT_HOME."""
    repeats, rows = report.argument("repeats", 3), []
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]
    for _ in range(repeats):
        with place.temporary() as root:
            where = place.fresh(root, "task-runs")
            os.environ |= {"PREFECT_HOME": str(where.home), "PREFECT_SERVER_API_PORT": str(where.port)}
            child = [sys.executable, "-m", "benchmarks.task_runs", "--child"]
            ran = subprocess.run(child, env=where.environment(), check=True, stdout=subprocess.PIPE, text=True)
            said = json.loads(ran.stdout)
            n_known, n_unfinished = recorded(said["ids"])
        seconds = [f"{said['seconds'][part]:.2f}" for part in PARTS]
        rows.append([len(said["ids"]), n_known, n_unfinished, *seconds, said["warning"] or "none"])
    headings = ("ran", "recorded", "not ended there", *(f"{part}, s" for part in PARTS), "warning")
    print(report.table(headings, rows))
    print(f"\n{report.machine(repeats)}; one row each")
    sys.exit(any(row[0] != row[1] or row[2] for row in rows))


if __name__ == "__main__":
    if "--child" in sys.argv:
        print(json.dumps(run_and_drain()))
    else:
        main()
