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
import logging
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from flows.address import (
    bypass_proxy,
    given_url,
    home_folder,
    home_of,
    is_healthy,
    point_prefect_at,
    preferred_port,
    without_password,
)
from flows.drain import TaskRunsSeen, flush, wait_until_recorded
from flows.process import Process, last_line, recorded, spawn
from tasks.refusal import Refusal

if TYPE_CHECKING:
    from uuid import UUID


QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # What an automation waits for is forgotten a minute after its time is up; a busy server needs longer to see it.
    "PREFECT_SERVER_EVENTS_EXPIRED_BUCKET_BUFFER": "PT1H",
    # In memory, leases of concurrency limits are lost with the server, and what they held stays taken for ever.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # By default after 15 s. Each mark is a transaction that SQLite refuses beside others: where several runs are late,
    # it keeps the server busier to mark them than to run them.
    "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "120",
    # By default each of the three events of a task run is a transaction of its own.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    # The console's handlers alone are silenced: logs of runs go on to the API and stand in the UI.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_HANDLERS_DEBUG_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # Waits of 2, 4, 8 ... s between tries, two minutes in all: for a server that is restarted in mid-run.
    "PREFECT_CLIENT_MAX_RETRIES": "6",
}


def quieten() -> None:
    """Set Prefect to no telemetry, no temporary server and a silent console, where the user has not said otherwise.

    To be called before Prefect is imported; `start` does.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


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
        point_prefect_at(self.api_url)

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
                process = recorded(self.home) or self.process  # another one, where that was begun anew
                if not self.is_given and process and _is_last_user(self.hold):
                    flush(5)
                    process.stop()
                    (self.home / "finefold-server.json").unlink(missing_ok=True)
        if not self.is_given and os.environ.get("PREFECT_API_URL") == self.api_url:
            point_prefect_at(None)

    def _last_words(self) -> str:
        if not self.home or not self.process:
            return "Start it again, or stop what else answers there."
        log = self.home / "finefold-server.log"
        return f"The last line of {log}: {last_line(log)}"


def start(database: str = "") -> Server:
    """The server to use, at once, before it answers: given, found, left over, or newly started, in this order.

    1. PREFECT_API_URL, from the environment or wherever Prefect would read it: used, never started or stopped;
    2. a healthy server on 127.0.0.1 at PREFECT_SERVER_API_PORT (4200); where a finefold process of another PREFECT_HOME
       started it, it runs until the last process has left it, whichever home that is of;
    3. one that an earlier finefold process started and that still runs;
    4. a new one at that port, or at a free one.

    database: the URL of a new one's database; '' for the one that Prefect's own settings name.

    Raises:
        Refusal: when PREFECT_API_URL does not answer, or when PREFECT_HOME can't be written.
    """
    quieten()
    if url := given_url():
        server = _use_given(url.rstrip("/"))
    else:
        server = _find_or_start(home_folder(), database)
        bypass_proxy()
        point_prefect_at(server.api_url)
    logging.getLogger("prefect.task_runs").addFilter(server.seen)
    return server


def _use_given(url: str) -> Server:
    if not is_healthy(url):
        shown, _ = without_password(url)
        raise Refusal(
            f"PREFECT_API_URL={shown} does not answer as a Prefect API (it ends in /api). Start that server, or let"
            " finefold start one: unset PREFECT_API_URL (`prefect config unset PREFECT_API_URL` for a profile)."
        )
    ui_url = without_password(url)[0].removesuffix("/api")
    process = recorded(home) if (home := home_folder()).is_dir() else None
    if process is None or f"{process.url}/api" != url:
        return Server(ui_url, url, is_given=True)
    with _alone(home):  # another finefold process started it: keep that one from stopping it under us
        return Server(ui_url, url, is_given=True, process=process, home=home, hold=_hold(home))


def revive(server: Server, database: str = "") -> None:
    """Begins a server that finefold started, and whose process ended, anew at its address."""
    assert server.home is not None
    with _alone(server.home):
        if recorded(server.home) is None:
            spawn(server.home, int(server.ui_url.rpartition(":")[2]), database)


def stop_unused() -> bool:
    """Stops the server that a finefold process left over, unless another one uses it; whether none runs any more."""
    home = home_folder()
    if recorded(home) is None:
        return True
    with _alone(home), _hold(home) as hold:
        if (process := recorded(home)) and _is_last_user(hold):
            process.stop()
            (home / "finefold-server.json").unlink(missing_ok=True)
    return recorded(home) is None


def _find_or_start(home: Path, database: str) -> Server:
    with _alone(home):
        process, port = recorded(home), preferred_port()
        url = f"http://127.0.0.1:{port}"
        if (process and process.url == url) or not is_healthy(f"{url}/api", seconds=2):
            process = process or spawn(home, port, database)
            return Server(process.url, f"{process.url}/api", process=process, home=home, hold=_hold(home))
    if found := _shared(url):
        return found
    if is_healthy(f"{url}/api"):
        return Server(url, f"{url}/api")
    return _find_or_start(home, database)  # its last user has stopped it meanwhile


def _shared(url: str) -> Server | None:
    """The server there, held, if a finefold process of this user's and of another PREFECT_HOME started it."""
    theirs = home_of(f"{url}/api")
    with contextlib.suppress(Refusal, OSError):
        if theirs is None or (theirs / "finefold-server.json").stat().st_uid != os.getuid():
            return None
        with _alone(theirs):
            process = recorded(theirs)
            if process is not None and process.url == url:
                return Server(url, f"{url}/api", process=process, home=theirs, hold=_hold(theirs))
    return None


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


