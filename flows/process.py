"""The process of a Prefect server that finefold started: begun, found again by its record, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from flows.address import free_port

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
    """A server that a finefold process started: its process id, the time that process was made, and its address."""

    pid: int
    created: float
    url: str

    def is_alive(self) -> bool:
        """Whether that very process still runs: a process id alone may have passed to a stranger."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 1 and LAUNCH in process.cmdline()
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def stop(self, seconds: float = 10) -> None:
        """Ask it to end, and end it when it has not within so many seconds."""
        for request in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + seconds
            if self.is_alive():
                os.kill(self.pid, request)
            while self.is_alive() and time.monotonic() < deadline:
                time.sleep(0.02)
        with contextlib.suppress(ChildProcessError):  # another process's child is reaped elsewhere
            os.waitpid(self.pid, os.WNOHANG)


def spawn(home: Path, port: int) -> Process:
    """A server of its own session, so that a Ctrl-C meant for the flow can't end it before the drain."""
    import psutil

    url = f"http://127.0.0.1:{free_port(port)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    # Popen would warn about a child that outlives it, and this one may.
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", LAUNCH, url.rpartition(":")[2]],
        _environment(home, url),
        setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(home / "finefold-server.log"), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    begun = psutil.Process(pid)
    while not begun.cmdline():  # empty for a moment while the program is loaded, by which it would seem another's
        time.sleep(0.001)
    process = Process(pid, begun.create_time(), url)
    (home / "finefold-server.json").write_text(json.dumps(asdict(process)))
    return process


def _environment(home: Path, url: str) -> dict[str, str]:
    """What the server is told; what the user has set wins, but for its address and for the silence of its log."""
    quick: dict[str, str] = {}
    if not (home / "prefect.db").exists() and not any(name.endswith("DATABASE_CONNECTION_URL") for name in os.environ):
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
    return quick | dict(os.environ) | address


def recorded(home: Path) -> Process | None:
    try:
        process = Process(**json.loads((home / "finefold-server.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return process if process.is_alive() else None
