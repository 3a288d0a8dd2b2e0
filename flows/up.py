"""Up: Prefect's server, MLflow's server and a worker, all on 127.0.0.1, until Ctrl-C or `finefold down`."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from flows import config as configs
from flows import mlflow_server, screen, server, worker
from flows.address import given_url, holder_of, home_folder, is_healthy, is_taken, preferred_port
from flows.commands import ONLY_KEYS
from flows.databases import fault_of
from flows.output import print_json
from flows.overrides import key_of
from flows.process import Process, last_line, recorded
from flows.servers import ROOT, Program, Server, Servers, database_of, forget, log_of, remember, running
from tasks.refusal import Refusal
from tasks.store import check_writable
from tasks.tracking import without_password

SECONDS_BETWEEN_LOOKS = 1.0
STOPPABLE: dict[Program, float] = {"worker": 20.0, "mlflow": 10.0}  # in this order; the seconds given
SHORT_LIFE = 30.0  # seconds; a worker that ends sooner is started anew ever more slowly
WORKFLOWS = "?workflowType=machine_learning"  # else MLflow 3.17 opens its GenAI mode, where experiments look empty


@dataclass(frozen=True)
class Up:
    """What is up: addresses of pages, the work pool, and who works there ('' for nobody). The keys are public."""

    prefect: str
    mlflow: str
    pool: str
    worker: str


def command(arguments: Sequence[str], begun: float) -> int:
    """Starts what isn't up, shows where it is, and where this command started it stands until it is told to end."""
    servers = asked(arguments, "up")
    with in_charge() as is_ours:
        if not is_ours:
            show(what_is_up(servers), arguments, "already up; `finefold down` stops it")
            return 0
        database = prefect_database(servers)
        check_databases(servers)
        with interruptible(), server.start(database) as prefect:
            try:
                mlflow = mlflow_server.start(servers)
                show(_waited_for(servers, prefect, mlflow), arguments, f"up after {time.time() - begun:.0f} s")
                _stand(servers, prefect, mlflow)
            except KeyboardInterrupt:
                screen.say("stopping: the worker, then MLflow's server, then Prefect's")
            finally:
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
                stop_here()
    if prefect.process and prefect.process.is_alive():
        screen.say(f"a run still uses Prefect's server at {prefect.ui_url}, and will stop it")
    return 0


def asked(arguments: Sequence[str], command: str) -> Servers:
    """The section `servers` of the configuration that the arguments make.

    Raises:
        Refusal: for keys that the command has no use for, and faults of the configuration.
    """
    config = configs.compose(arguments).config
    keys = ONLY_KEYS[command]
    faults = [f"{text}: {command} looks at {', '.join(keys)} alone; leave it out."
              for text in arguments if key_of(text) not in keys]  # fmt: skip
    if faults:
        raise Refusal(*faults)
    return config.servers


def prefect_database(servers: Servers) -> str:
    """The URL for Prefect's server, after a look at whether it could be started.

    Raises:
        Refusal: when its port is taken by something else, or one with another database was started here.
    """
    if servers.prefect.port:
        os.environ["PREFECT_SERVER_API_PORT"] = str(servers.prefect.port)
    database, port, found = database_of("prefect", servers.prefect.database), preferred_port(), recorded(home_folder())
    if given_url():
        return database
    if found and database and found.store != without_password(database):
        raise Refusal(f"a Prefect server at {found.url} runs already, with another database; `finefold down` stops it.")
    if not found and is_taken(port) and not is_healthy(f"http://127.0.0.1:{port}/api"):
        raise Refusal(f"servers.prefect.port={port} is taken by {holder_of(port)}; stop that, or give another port.")
    return database


def check_databases(servers: Servers) -> None:
    """Looks whether the databases answer that were given.

    Raises:
        Refusal: for each one that does not.
    """
    given: tuple[tuple[Server, str | None], ...] = (
        ("prefect", servers.prefect.database), ("mlflow", servers.mlflow.database),
    )  # fmt: skip
    faults = [fault_of(database_of(name, url), f"servers.{name}.database") for name, url in given if url]
    if any(faults):
        raise Refusal(*filter(None, faults))


@contextmanager
def in_charge() -> Iterator[bool]:
    """Whether this process is the one that stands for this folder's servers; the kernel ends that with the process."""
    check_writable(ROOT)
    ROOT.mkdir(exist_ok=True)
    with (ROOT / "finefold-up.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        own = psutil.Process()
        remember("up", Process(own.pid, own.create_time(), "", mark="up"))
        try:
            yield True
        finally:
            forget("up")


@contextmanager
def interruptible() -> Iterator[None]:
    """To be told to end (SIGTERM), or to lose the terminal (SIGHUP), is the same as Ctrl-C, which a shell lets
    programs in its background ignore."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def what_is_up(servers: Servers) -> Up:
    """What other commands started in this folder, as far as it runs."""
    prefect, mlflow = recorded(home_folder()), running("mlflow")
    works = running("worker") is not None
    return Up(prefect.url if prefect else given_url() or f"http://127.0.0.1:{preferred_port()}",
              f"{mlflow.url}/#/experiments{WORKFLOWS}" if mlflow else "",
              servers.pool, worker.name_of(Path()) if works else "")  # fmt: skip


def _waited_for(servers: Servers, prefect: server.Server, mlflow: Process) -> Up:
    prefect.wait(120)
    worker.ensure_pool(servers.pool)
    works = servers.runs != 0
    if works:
        worker.wait(worker.start(servers), servers.pool)
    mlflow_server.wait(mlflow)
    name = worker.name_of(Path()) if works else ""
    return Up(prefect.ui_url, f"{mlflow.url}/#/experiments{WORKFLOWS}", servers.pool, name)


def show(up: Up, arguments: Sequence[str], title: str) -> None:
    screen.say(title, "bold")
    for name, what in (("Prefect", up.prefect), ("MLflow", up.mlflow or "not up")):
        screen.say(f"  {name:<8}{what}")
    takes = f"worker {up.worker} takes runs from" if up.worker else "no worker of this folder takes runs from"
    screen.say(f"  {takes} pool {up.pool}; logs: {log_of('mlflow')}, {log_of('worker')}")
    print_json(asdict(up), arguments)


def _stand(servers: Servers, prefect: server.Server, mlflow: Process) -> None:
    """Until Ctrl-C: a worker that ends is started anew, a server that ends is said."""
    screen.say("Ctrl-C stops them", "dim")
    said: set[str] = set()
    begun, lives = time.time(), 0
    while True:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        dead = [name for name, process in (("Prefect", prefect.process), ("MLflow", mlflow))
                if process and not process.is_alive()]  # fmt: skip
        for name in set(dead) - said:
            log = home_folder() / "finefold-server.log" if name == "Prefect" else log_of("mlflow")
            screen.say(f"{name}'s server ended; Ctrl-C and `finefold up` start it anew. {log}: {last_line(log)}", "red")
        said |= set(dead)
        if servers.runs == 0 or running("worker"):
            continue
        lives = lives + 1 if time.time() - begun < SHORT_LIFE else 0
        time.sleep(min(60, 2**lives - 1))
        screen.say(f"the worker ended; it is started anew. {log_of('worker')}: {last_line(log_of('worker'))}", "yellow")
        begun = time.time()
        worker.start(servers)


def stop_here() -> None:
    """Stops this folder's worker, whose runs can still report how they ended, and then its MLflow server."""
    for program, seconds in STOPPABLE.items():
        if found := running(program):
            found.stop(seconds)
        forget(program)
