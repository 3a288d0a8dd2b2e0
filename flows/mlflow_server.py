"""The MLflow server of `finefold up`: what it is told, started, waited for."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from flows.address import holder_of, is_taken
from flows.process import Process, begin, last_line
from flows.servers import ROOT, Servers, database_of, log_of, remember, running
from tasks import served, tracking
from tasks.refusal import Refusal
from tasks.store import check_writable


@dataclass(frozen=True)
class Kept:
    """Where a server keeps runs (a SQLAlchemy URL, with its password) and artifacts (a folder or an address)."""

    database: str
    artifacts: str

    @property
    def store(self) -> str:
        """Both in one text without password, by which a run knows whether they are its own folder's."""
        return f"{tracking.without_password(self.database)} {self.artifacts}"


def kept(servers: Servers) -> Kept:
    """Where the server that the configuration asks for keeps what it is told.

    Raises:
        Refusal: for a database that won't do.
    """
    folder, asked = Path(servers.folder), servers.mlflow
    database = database_of("mlflow", asked.database) or f"sqlite:///{(folder / 'mlflow.db').resolve()}"
    artifacts = asked.artifacts or str(folder / "artifacts")
    return Kept(database, artifacts if "://" in artifacts else str(Path(artifacts).expanduser().resolve()))


def start(servers: Servers) -> Process:
    """The server of this folder, found or newly started, at once, before it answers.

    Raises:
        Refusal: when its port is taken, its folder can't be written, or one with another database runs here.
    """
    asked, port = kept(servers), servers.mlflow.port
    url = f"http://127.0.0.1:{port}"
    if found := running("mlflow"):
        if found.store != asked.store:
            raise Refusal(f"an MLflow server at {found.url} runs here with {found.store}; `finefold down` stops it.")
        return found
    if is_taken(port):
        raise Refusal(f"servers.mlflow.port={port} is taken by {holder_of(port)}; stop that, or give another port.")
    ROOT.mkdir(exist_ok=True)
    for folder in (Path(servers.folder), Path(asked.artifacts)) if "://" not in asked.artifacts else ():
        check_writable(folder)
        folder.mkdir(parents=True, exist_ok=True)
    arguments = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    process = begin(arguments, _environment(asked), log_of("mlflow"), url, mark="mlflow", store=asked.store)
    return remember("mlflow", process)


def wait(process: Process, seconds: float = 120) -> None:
    """Returns once the server answers.

    Raises:
        Refusal: when its process has died, or when it does not answer within so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not served.answers(process.url):
        last = f"The last line of {log_of('mlflow')}: {last_line(log_of('mlflow'))}"
        if not process.is_alive():
            raise Refusal(f"MLflow's server ended before it answered at {process.url}. {last}")
        if time.monotonic() > deadline:
            raise Refusal(f"MLflow's server did not answer at {process.url} in {seconds:g} s. {last}")
        time.sleep(0.1)


def _environment(asked: Kept) -> dict[str, str]:
    """Its own settings go by the environment: a command line can be read by every user of the machine."""
    own = {
        "MLFLOW_BACKEND_STORE_URI": asked.database,
        "MLFLOW_ARTIFACTS_DESTINATION": asked.artifacts,
        "MLFLOW_SERVE_ARTIFACTS": "true",
    }
    # Jobs are MLflow's background work on traces of language models: a process more, and nothing that runs here uses.
    quiet = {**tracking.QUIET, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return quiet | inherited | own
