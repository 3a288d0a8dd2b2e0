"""Status: what of Prefect's server, MLflow's server and this folder's worker is up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from flows import screen, server, worker
from flows.address import (
    LOGIN,
    bypass_proxy,
    given_url,
    home_folder,
    is_healthy,
    point_prefect_at,
    preferred_port,
    wants_login,
)
from flows.commands import FAILED
from flows.output import print_json
from flows.process import recorded
from flows.servers import ROOT, Servers, running
from flows.up import asked
from tasks import served, tracking


@dataclass(frozen=True)
class Part:
    """One of the three: where it is, and what is known of it, in words. The keys are public."""

    name: str
    is_up: bool
    address: str
    said: str


def command(arguments: Sequence[str], begun: float) -> int:
    parts = status(asked(arguments, "status"))
    for part in parts:
        screen.say(f"{part.name:<8} {'up' if part.is_up else 'down':<5} {part.address:<28} {part.said}",
                   "" if part.is_up else "yellow")  # fmt: skip
    if not all(part.is_up for part in parts):
        screen.say("`finefold up` starts what is down; `finefold doctor` says what is in its way")
    print_json({"parts": [asdict(part) for part in parts]}, arguments)
    return 0 if all(part.is_up for part in parts) else FAILED


def status(servers: Servers) -> tuple[Part, Part, Part]:
    prefect = prefect_part()
    return prefect, mlflow_part(servers), worker_part(servers, prefect)


def prefect_url() -> str:
    """Of the API that commands use here: given, or of the server that finefold started, or at the usual port."""
    found = recorded(home_folder())
    return given_url() or (f"{found.url}/api" if found else f"http://127.0.0.1:{preferred_port()}/api")


def prefect_part() -> Part:
    url, found = prefect_url().rstrip("/"), recorded(home_folder())
    shown = tracking.without_password(url).removesuffix("/api")
    if given_url():
        said = "given by PREFECT_API_URL"
    elif found and found.url == shown:
        said = f"process {found.pid}, {found.store or f'database as Prefect has it, else {home_folder()}/prefect.db'}"
    else:
        said = ""
    return Part("Prefect", is_healthy(url, seconds=2), shown, said)


def mlflow_part(servers: Servers) -> Part:
    given, found = tracking.address(None, ROOT), running("mlflow")
    if found is None and given:
        return Part("MLflow", served.answers(given), tracking.without_password(given), "given by MLFLOW_TRACKING_URI")
    if found is None:
        return Part("MLflow", False, f"http://127.0.0.1:{servers.mlflow.port}", "runs write into mlruns/ themselves")
    return Part("MLflow", served.answers(found.url), found.url, f"process {found.pid}, {found.store}")


def worker_part(servers: Servers, prefect: Part) -> Part:
    """The worker of this folder, as Prefect's server knows it."""
    name, found, pool = worker.name_of(Path()), running("worker"), f"pool {servers.pool}"
    said = name if found is None else f"{name}, process {found.pid}"
    if not prefect.is_up:
        return Part("worker", False, pool, f"{said}; Prefect's server can't be asked")
    server.quieten()
    bypass_proxy()
    point_prefect_at(prefect_url())
    try:
        return Part("worker", worker.is_online(servers.pool, name), pool, said)
    except (httpx.HTTPError, OSError) as error:
        why = f"Prefect's server {LOGIN}" if wants_login(error) else tracking.said_by(error)
        return Part("worker", False, pool, f"{said}; {why}")
