"""The process of a server that finefold started: begun, found again by its record, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows.address import free_port
from tasks.tracking import without_password

if TYPE_CHECKING:
    import psutil

# What `prefect server start` does, less its command line (0.4 s) and less the collections of garbage while nothing
# but imports happens (0.9 s of 4.9 s).
LAUNCH = """
import gc; gc.disable()
import sys, uvicorn
from prefect.server.api.server import create_app
class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        gc.freeze(); gc.enable()
Server(uvicorn.Config(create_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")).run()
"""


@dataclass(frozen=True)
class Process:
    """A program that a finefold process started.

    pid, created: its process id, and the Unix time when that process was made. url: its address, if it has one.
    mark: what stands in its command line. store: the database that it was given, without password; '' for none.
    """

    pid: int
    created: float
    url: str
    mark: str = "create_app"
    store: str = ""

    def is_alive(self) -> bool:
        """Whether that very process still runs: a process id alone may have passed to a stranger."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 1
            is_ours = same and any(self.mark in argument for argument in process.cmdline())
            return is_ours and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def stop(self, seconds: float = 10) -> None:
        """Ask it to end, and end it and what it started when they have not within so many seconds."""
        import psutil

        if not self.is_alive():
            return
        own = psutil.Process(self.pid)
        family = [own, *own.children(recursive=True)]
        for request in (signal.SIGTERM, signal.SIGKILL):
            for process in family if request == signal.SIGKILL else [own]:
                with contextlib.suppress(psutil.NoSuchProcess):  # that process, and none that has its number by now
                    process.send_signal(request)
            _wait_for(family, seconds)
        with contextlib.suppress(ChildProcessError):  # another process's child is reaped elsewhere
            os.waitpid(self.pid, os.WNOHANG)


def begin(
    arguments: list[str], environment: dict[str, str], log: Path, url: str = "", *, mark: str, store: str = ""
) -> Process:
    """A Python program in a session of its own, so that a Ctrl-C meant for the command that began it can't end it.

    log: its output, anew; only its owner may read it.
    """
    import psutil

    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    # Popen would warn about a child that outlives it, and this one may.
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, *arguments],
        environment,
        setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    begun = psutil.Process(pid)
    while not begun.cmdline():  # empty for a moment while the program is loaded, by which it would seem another's
        time.sleep(0.001)
    return Process(pid, begun.create_time(), url, mark, without_password(store))


def spawn(home: Path, port: int, database: str = "") -> Process:
    """A Prefect server. database: its URL; '' for the one that Prefect's own settings name."""
    url = f"http://127.0.0.1:{free_port(port)}"
    environment = _environment(home, url, database)
    arguments = ["-c", LAUNCH, url.rpartition(":")[2]]
    process = begin(arguments, environment, home / "finefold-server.log", url, mark="create_app", store=database)
    write_record(home / "finefold-server.json", process)
    return process


def write_record(path: Path, process: Process) -> None:
    """Whole or not at all, since others read it at any moment."""
    beside = path.with_name(f".{path.name}-{os.getpid()}")
    beside.write_text(json.dumps(asdict(process)))
    beside.replace(path)


def last_line(log: Path) -> str:
    """The last line with words of a log, without any password in it; '(nothing)' where there is none."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return without_password(next((line for line in reversed(lines) if line.strip()), "(nothing)").strip())


def _environment(home: Path, url: str, database: str) -> dict[str, str]:
    """What the server is told; what the user has set wins, but for its address and for the silence of its log."""
    quick: dict[str, str] = {}
    is_named = bool(database) or any(name.endswith("DATABASE_CONNECTION_URL") for name in os.environ)
    if not (home / "prefect.db").exists() and not is_named:
        # The catalogue of block types takes 1.1 s of a first start; it waits for the second. Prefect would note it as
        # registered, hence no memo.
        names = ("PREFECT_SERVER_REGISTER_BLOCKS_ON_START", "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION")
        quick = dict.fromkeys(names, "false")
    level = os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"]
    address = {
        "PREFECT_SERVER_API_PORT": url.rpartition(":")[2],
        "PREFECT_SERVER_UI_API_URL": f"{url}/api",  # without it the page at any other port asks port 4200
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING" if level == "CRITICAL" else level,
    }
    named = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database} if database else {}
    return quick | dict(os.environ) | address | named


def recorded(home: Path) -> Process | None:
    """The Prefect server that finefold started and that still runs."""
    return alive_in(home / "finefold-server.json")


def alive_in(record: Path) -> Process | None:
    """The process that a record names, if it still runs."""
    try:
        process = Process(**json.loads(record.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return process if process.is_alive() else None


def _wait_for(family: list[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(_runs(process) for process in family) and time.monotonic() < deadline:
        time.sleep(0.02)


def _runs(process: psutil.Process) -> bool:
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
