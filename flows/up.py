"""Up: Prefect's server, MLflow's server and a worker, all on 127.0.0.1, until Ctrl-C or `finefold down`."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
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
STOPPABLE: tuple[Program, ...] = ("worker", "mlflow")
SHORT_LIFE = 30.0  # seconds; what ends sooner is started anew ever more slowly
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
                _stand(_all(servers, prefect, database))
            except KeyboardInterrupt:
                screen.say("stopping: the worker, then MLflow's server, then Prefect's")
            finally:
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
                stop_here()
    if prefect.process and recorded(home_folder()):
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


@dataclass
class Standing:
    """Something that is begun anew when it ends, and ever more slowly where it ends at once. begun: Unix time in
    seconds."""

    name: str
    log: Path
    is_alive: Callable[[], object]
    begin: Callable[[], object]
    begun: float
    n_short: int = 0
    next: float = 0.0

    def look(self) -> None:
        now = time.time()
        if self.is_alive() or now < self.next:
            return
        self.n_short = self.n_short + 1 if now - self.begun < SHORT_LIFE else 0
        self.begun, self.next = now, now + min(60, 2**self.n_short - 1)
        try:
            self.begin()
        except Refusal as refusal:
            screen.say(f"{self.name} ended, and can't be started anew: {'; '.join(refusal.faults)}", "red")
        else:
            screen.say(f"{self.name} ended; it is started anew. {self.log}: {last_line(self.log)}", "yellow")


def _all(servers: Servers, prefect: server.Server, database: str) -> list[Standing]:
    """What this command started."""
    now = time.time()
    mlflow = Standing("MLflow's server", log_of("mlflow"), lambda: running("mlflow"),
                      lambda: mlflow_server.start(servers), now)  # fmt: skip
    found = [mlflow]
    if prefect.process and prefect.home == (home := home_folder()):
        found.append(Standing("Prefect's server", home / "finefold-server.log", lambda: recorded(home),
                              lambda: server.revive(prefect, database), now))  # fmt: skip
    if servers.runs != 0:
        found.append(Standing("the worker", log_of("worker"), lambda: running("worker"),
                              lambda: worker.start(servers), now))  # fmt: skip
    return found


def _stand(every: Sequence[Standing]) -> None:
    """Until Ctrl-C: whatever ends is started anew."""
    screen.say("Ctrl-C stops them", "dim")
    while True:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        for one in every:
            one.look()


def stop_here() -> None:
    """Stops this folder's worker, whose runs can still report that they were ended, and then its MLflow server."""
    if found := running("worker"):
        worker.stop(found)
    if found := running("mlflow"):
        found.stop()
    for program in STOPPABLE:
        forget(program)
