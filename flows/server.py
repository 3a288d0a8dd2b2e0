"""The local Prefect server: find one or start it, wait until it answers, drain what was reported to it, stop it.

Why not Prefect's own temporary server: of 630 task runs it kept 102. Nothing heavy is imported before it is needed,
so that a command can start the server first and load its own libraries while the server loads its own.

Files in PREFECT_HOME, all named finefold-server.*: `json` (who runs where), `log` (the server's output), `lock` (one
process at a time finds, starts or stops), `users` (every process that uses the server holds a shared lock on it; the
kernel lets go of it even after a kill -9, so that whoever gets it exclusively is the last user).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import signal
import socket
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from flows.drain import TaskRunsSeen, flush, wait_until_recorded
from tasks.refusal import Refusal

if TYPE_CHECKING:
    from uuid import UUID


QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # The console's handlers alone are silenced: logs of runs go on to the API and stand in the UI.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_HANDLERS_DEBUG_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}

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


def quieten() -> None:
    """Set Prefect to no telemetry, no temporary server and a silent console, where the user has not said otherwise.

    To be called before Prefect is imported; `start` does.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


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


@dataclass(frozen=True)
class Server:
    """A Prefect server in use by this process; leaving the `with` block releases it."""

    ui_url: str
    api_url: str
    is_given: bool = False
    process: Process | None = None
    home: Path | None = None
    hold: IO[str] | None = None
    seen: TaskRunsSeen = field(default_factory=TaskRunsSeen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def wait(self, seconds: float = 60) -> None:
        """Return once the server answers.

        Raises:
            Refusal: when its process has died, or when it does not answer within so many seconds.
        """
        deadline = time.monotonic() + seconds
        while not self.is_given and not is_healthy(self.api_url):
            if self.process and not self.process.is_alive():
                raise Refusal(f"Prefect's server ended before it answered at {self.ui_url}. {self._last_words()}")
            if time.monotonic() > deadline:
                raise Refusal(
                    f"Prefect's server did not answer at {self.ui_url} in {seconds:g} s. {self._last_words()}"
                )
            time.sleep(0.05)
        _point_prefect_at(self.api_url)

    def drain(
        self, flow_run_ids: Iterable[UUID | str] = (), task_run_ids: Iterable[UUID | str] = (), seconds: float = 60
    ) -> str:
        """Wait until the server's database holds the end of every task run; '' or a warning that says what is missing.

        Expected are all task runs that ended in this process since the last drain (of flows and of their subflows),
        those of `task_run_ids`, and the end of everything that the server knows of `flow_run_ids`.
        """
        expected = list(dict.fromkeys([*self.seen.ids, *map(str, task_run_ids)]))
        problem = wait_until_recorded(self.seen, expected, list(map(str, flow_run_ids)), seconds)
        if not problem:
            return ""
        return (
            f"Prefect's server at {self.ui_url} did not record all of {len(expected)} task runs in {seconds:g} s; "
            f"{problem}. The results are complete; only Prefect's pages are not."
        )

    def release(self) -> None:
        """Stop using the server; the last user of a server that finefold started stops it. A second call does nothing.

        A server that was given or found is left as it is.
        """
        logging.getLogger("prefect.task_runs").removeFilter(self.seen)
        if self.hold and not self.hold.closed and self.home:
            with _alone(self.home), self.hold:
                if not self.is_given and self.process and _is_last_user(self.hold):
                    flush(5)
                    self.process.stop()
                    (self.home / "finefold-server.json").unlink(missing_ok=True)
        if not self.is_given and os.environ.get("PREFECT_API_URL") == self.api_url:
            _point_prefect_at(None)

    def _last_words(self) -> str:
        if not self.home or not self.process:
            return "Start it again, or stop what else answers there."
        log = self.home / "finefold-server.log"
        lines = log.read_text(errors="replace").split("\n") if log.exists() else []
        last = next((line for line in reversed(lines) if line.strip()), "(nothing)")
        return f"The last line of {log}: {last.strip()}"


def start() -> Server:
    """The server to use, at once, before it answers: given, found, left over, or newly started, in this order.

    1. PREFECT_API_URL, from the environment or wherever Prefect would read it: used, never started or stopped;
    2. a healthy server on 127.0.0.1 at PREFECT_SERVER_API_PORT (4200);
    3. one that an earlier finefold process started and that still runs;
    4. a new one at that port, or at a free one.

    Raises:
        Refusal: when PREFECT_API_URL does not answer, or when PREFECT_HOME can't be written.
    """
    quieten()
    if url := _given_url():
        server = _use_given(url.rstrip("/"))
    else:
        with _alone(_home()):
            server = _find_or_start(_home())
        _bypass_proxy()
        _point_prefect_at(server.api_url)
    logging.getLogger("prefect.task_runs").addFilter(server.seen)
    return server


def is_healthy(api_url: str, seconds: float = 5) -> bool:
    """Whether a Prefect API answers there; one that wants to know who asks is healthy too."""
    import http.client
    import urllib.error
    import urllib.request

    address, authority = _without_password(api_url)
    is_local = authority.rpartition(":")[0] in ("127.0.0.1", "localhost")  # a proxy can't know these
    proxies = [urllib.request.ProxyHandler({})] if is_local else []
    try:
        with urllib.request.build_opener(*proxies).open(f"{address}/health", timeout=seconds) as answer:
            return bool(answer.read(10).strip() == b"true")
    except urllib.error.HTTPError as error:
        with error:
            return error.code in (401, 403)
    except (OSError, ValueError, http.client.HTTPException):
        return False


def _use_given(url: str) -> Server:
    if not is_healthy(url):
        shown, _ = _without_password(url)
        raise Refusal(
            f"PREFECT_API_URL={shown} does not answer as a Prefect API (it ends in /api). Start that server, or let"
            " finefold start one: unset PREFECT_API_URL (`prefect config unset PREFECT_API_URL` for a profile)."
        )
    ui_url = _without_password(url)[0].removesuffix("/api")
    process = _recorded(home) if (home := _home()).is_dir() else None
    if process is None or f"{process.url}/api" != url:
        return Server(ui_url, url, is_given=True)
    with _alone(home):  # another finefold process started it: keep that one from stopping it under us
        return Server(ui_url, url, is_given=True, process=process, home=home, hold=_hold(home))


def _find_or_start(home: Path) -> Server:
    process, port = _recorded(home), _preferred_port()
    url = f"http://127.0.0.1:{port}"
    if (process is None or process.url != url) and is_healthy(f"{url}/api", seconds=2):
        return Server(url, f"{url}/api")
    process = process or _spawn(home, port)
    return Server(process.url, f"{process.url}/api", process=process, home=home, hold=_hold(home))


def _spawn(home: Path, port: int) -> Process:
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
    process = Process(pid, psutil.Process(pid).create_time(), url)
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


def _recorded(home: Path) -> Process | None:
    try:
        process = Process(**json.loads((home / "finefold-server.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return process if process.is_alive() else None


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One process at a time of those that share this PREFECT_HOME."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (home / "finefold-server.lock").open("a")
    except OSError as error:
        raise Refusal(
            f"PREFECT_HOME={home} can't be written ({error.strerror}); set PREFECT_HOME to a folder"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _hold(home: Path) -> IO[str]:
    users = (home / "finefold-server.users").open("a")
    fcntl.flock(users, fcntl.LOCK_SH)
    return users


def _is_last_user(hold: IO[str]) -> bool:
    try:
        fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _home() -> Path:
    return Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()


def _preferred_port() -> int:
    text = os.environ.get("PREFECT_SERVER_API_PORT") or "4200"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise Refusal(f"PREFECT_SERVER_API_PORT must be a port from 1 to 65535, got {text!r}.")
    return int(text)


def free_port(preferred: int) -> int:
    """The preferred port of 127.0.0.1 where nothing listens, else one that is free."""
    for port in (preferred, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise Refusal("no port is free on 127.0.0.1 for Prefect's server; close something, or set PREFECT_API_URL.")


def _given_url() -> str | None:
    """PREFECT_API_URL where Prefect looks for it, in its order; reading it through Prefect would take a second."""
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    if Path(".env").is_file():
        import dotenv

        if url := dotenv.dotenv_values(".env").get("PREFECT_API_URL"):
            return url
    tables = (_toml(Path("prefect.toml")), _toml(Path("pyproject.toml")).get("tool", {}).get("prefect", {}))
    for table in tables:
        if url := table.get("api", {}).get("url"):
            return str(url)
    profiles = _toml(Path(os.environ.get("PREFECT_PROFILES_PATH") or _home() / "profiles.toml"))
    active = os.environ.get("PREFECT_PROFILE") or profiles.get("active")
    return profiles.get("profiles", {}).get(active, {}).get("PREFECT_API_URL") or None


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError):  # Prefect itself says what is wrong with it
        return {}


def _without_password(url: str) -> tuple[str, str]:
    """The address without `user:password@`, and its host and port."""
    scheme, slashes, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    authority = authority.rpartition("@")[2]
    return f"{scheme}{slashes}{authority}{slash}{path}", authority


def _point_prefect_at(api_url: str | None) -> None:
    """Make this process's Prefect use that API, whether it is imported later or has been already (a notebook)."""
    if api_url is None:
        os.environ.pop("PREFECT_API_URL", None)
    else:
        os.environ["PREFECT_API_URL"] = api_url
    if "prefect.context" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def _bypass_proxy() -> None:
    """Keep Prefect's client from asking a proxy for 127.0.0.1, which it does where NO_PROXY does not name that."""
    exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if "127.0.0.1" not in exempt and exempt != "*":
        os.environ |= dict.fromkeys(("no_proxy", "NO_PROXY"), f"{exempt},127.0.0.1".lstrip(","))
