"""The worker of `finefold up`, and the work pool that it takes runs from."""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from pathlib import Path

from flows.process import Process, begin, last_line
from flows.servers import ROOT, Servers, log_of, remember, running
from tasks.refusal import Refusal

# What a run has no use for, and a server beside it was given.
SERVERS_OWN = (
    "PREFECT_SERVER_API_AUTH_STRING",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_API_DATABASE_CONNECTION_URL",
    "MLFLOW_BACKEND_STORE_URI",
)
ENGINE = "prefect.engine"  # in the command line of a run


def ensure_pool(name: str) -> bool:
    """Makes the work pool of type process where it is missing; whether it did.

    Raises:
        Refusal: when there is one of that name and another type.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
    from prefect.workers.process import ProcessWorker

    with get_client(sync_client=True) as client:
        try:
            found = client.read_work_pool(name)
        except ObjectNotFound:
            template = ProcessWorker.get_default_base_job_template()
            try:
                client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))
            except ObjectAlreadyExists:  # another process was quicker
                return False
            return True
    if found.type != "process":
        raise Refusal(f"servers.pool={name} is a work pool of type {found.type}; give another name.")
    return False


def name_of(folder: Path) -> str:
    """The worker's name, the same whenever it is started anew: `host-folder`."""
    return f"{platform.node() or 'here'}-{folder.resolve().name}"


def start(servers: Servers) -> Process:
    """The worker of this folder, found or newly started; the Prefect server must answer."""
    if found := running("worker"):
        return found
    ROOT.mkdir(exist_ok=True)
    limit = [] if servers.runs is None else ["--limit", str(servers.runs)]
    arguments = ["-m", "prefect", "worker", "start", "--type", "process", "--install-policy", "never"]
    arguments += ["--pool", servers.pool, "--name", name_of(Path()), *limit]
    return remember("worker", begin(arguments, _environment(), log_of("worker"), mark="prefect", store=servers.pool))


def _environment() -> dict[str, str]:
    """In its log stands what the worker and its runs say; a run whose process dies is missed after 90 s (three of
    Prefect's heartbeats)."""
    inherited = {name: value for name, value in os.environ.items() if name not in SERVERS_OWN}
    spoken = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO", "COLUMNS": "200"}
    return {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"} | inherited | spoken


def is_online(pool: str, name: str, since: float = 0) -> bool:
    """Whether Prefect's server has heard of that worker lately, and since that Unix time."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            found = client.read_workers_for_work_pool(pool)
        except ObjectNotFound:
            return False
    mine = [one for one in found if one.name == name and one.status and one.status.value == "ONLINE"]
    return any(one.last_heartbeat_time and one.last_heartbeat_time.timestamp() >= since for one in mine)


def wait(process: Process, pool: str, seconds: float = 60) -> None:
    """Returns once the worker has taken up its work.

    Raises:
        Refusal: when its process has died, or when nothing is heard of it within so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not is_online(pool, name_of(Path()), process.created):
        last = f"The last line of {log_of('worker')}: {last_line(log_of('worker'))}"
        if not process.is_alive():
            raise Refusal(f"the worker ended before it took up work. {last}")
        if time.monotonic() > deadline:
            raise Refusal(f"nothing was heard of the worker in {seconds:g} s. {last}")
        time.sleep(0.2)


def stop(process: Process, seconds: float = 20) -> None:
    """Stops a worker. Its runs are asked first, and given so many seconds to report that they were ended: the worker
    itself would end them so quickly that Prefect's server went on to show them as running."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        runs = [one for one in psutil.Process(process.pid).children(recursive=True) if ENGINE in one.cmdline()]
        for run in runs:
            run.terminate()
        psutil.wait_procs(runs, timeout=seconds)
    process.stop()
