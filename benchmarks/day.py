"""`python -m benchmarks.day`: a day in fast motion. Of so many scheduled runs, some of which are killed with their
worker or without it, is each accounted for, and none done twice?

The flow is as small as one can be, since its accounting is what is measured: `small` notes that it begins, waits for
half a second and notes that it has ended, in a process of its own that a worker starts. It is wrapped as every flow of
finefold is (`flows/deployed.py`), and deployed by `finefold deploy`.

The server's database is SQLite, or, where the environment variable DAY_DATABASE is set, the one of that URL, empty.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from prefect import flow
from prefect.runtime import flow_run

from flows.deployed import in_a_deployment

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

NOTES = Path("notes.txt")
SCHEDULE = """# @package schedule.tick
flow: benchmarks.day:small
command: run
cron: null
interval: {interval}
timezone: UTC
overrides: []
without: []
needs: []
trials: null
limit: 100
collision: ENQUEUE
resume: true
"""
# Of five kills: of a run's process, of the worker alone, of the worker with all it had begun, and two as the first.
KINDS = ("process", "worker", "both", "process", "process")
PAGE = 200
HEADINGS = (
    "due", "completed", "crashed", "otherwise ended", "not ended", "kills", "went on", "never began", "done twice",
    "beside itself", "seconds late", "minutes",
)  # fmt: skip


@flow(name="small", persist_result=False)
@in_a_deployment
def small(overrides: list[str]) -> None:
    """Waits half a second; one that had ended before it was killed has nothing to do any more."""
    number = str(flow_run.id)
    if any(note.what == "ended" and note.run == number for note in notes()):
        return
    _note("began", number)
    time.sleep(0.5)
    _note("ended", number)


@dataclass(frozen=True)
class Note:
    """at: Unix time in seconds."""

    what: str
    run: str
    pid: int
    at: float


def _note(what: str, number: str) -> None:
    with NOTES.open("a") as file:  # one short write at the end of a file is whole
        file.write(f"{what} {number} {os.getpid()} {time.time()}\n")


def notes() -> list[Note]:
    """All that was noted, in its order."""
    lines = NOTES.read_text().splitlines() if NOTES.exists() else []
    return [Note(what, run, int(pid), float(at)) for what, run, pid, at in map(str.split, lines)]


@dataclass
class Worker:
    """A worker that can be killed, and is begun again."""

    n_at_once: int
    process: subprocess.Popen[bytes] | None = None
    killed: Counter[str] = field(default_factory=Counter)

    def begin(self) -> None:
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "finefold", "--type", "process"]
        with Path("worker.txt").open("ab") as said:
            self.process = subprocess.Popen(
                [*command, "--limit", str(self.n_at_once)], stdout=said, stderr=said, start_new_session=True
            )

    def kill(self, kind: str, generator: random.Random) -> None:
        """process: of one run that is at work; the next one where there is none, but for two minutes at most."""
        assert self.process is not None
        if kind == "process":
            deadline = time.monotonic() + 120
            while not (running := _at_work()):
                time.sleep(0.05)
                if time.monotonic() > deadline:
                    return
            with suppress(ProcessLookupError):
                os.kill(generator.choice(running), signal.SIGKILL)
                self.killed[kind] += 1
            return
        children = psutil.Process(self.process.pid).children(recursive=True) if kind == "both" else []
        self.process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait()
        self.killed[kind] += 1
        self.begin()

    def end(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:  # a worker waits for every run that it took
                self.process.kill()
                self.process.wait()


def _at_work() -> list[int]:
    """The processes of runs that began and have not ended."""
    found: dict[str, int] = {}
    for note in notes():
        if note.what == "began":
            found[note.run] = note.pid
        else:
            found.pop(note.run, None)
    return [pid for pid in found.values() if psutil.pid_exists(pid)]


def main() -> None:
    from benchmarks import place, report
    from flows import server
    from flows.address import free_port

    n_runs, n_kills = report.argument("runs", 500), report.argument("kills", 25)
    generator = random.Random(report.argument("seed", 0))
    interval, n_at_once = report.argument("milliseconds", 4000) / 1000, report.argument("at_once", 6)
    with place.temporary() as root:
        os.chdir(root)
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            del os.environ[name]
        os.environ |= {
            "PREFECT_HOME": str(root / "prefect"), "PREFECT_SERVER_API_PORT": str(free_port(0)),
            "PREFECT_WORKER_QUERY_SECONDS": "3", "PYTHONPATH": os.pathsep.join([str(place.ROOT), *_paths()]),
            "FINEFOLD_CONF": str(root / "conf"),
        }  # fmt: skip
        (root / "conf" / "schedule").mkdir(parents=True)
        (root / "conf" / "schedule" / "tick.yaml").write_text(SCHEDULE.format(interval=interval))
        with server.start(os.environ.get("DAY_DATABASE", "")) as running:
            running.wait(300)
            row = _day(n_runs, n_kills, n_at_once, interval, generator)
    print(report.table(HEADINGS, [row]))
    print()
    print(report.machine(1))


def _paths() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _day(n_runs: int, n_kills: int, n_at_once: int, interval: float, generator: random.Random) -> list[object]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import DeploymentUpdate

    from flows.deploy import deploy

    begun, worker = time.time(), Worker(n_at_once)
    deploy(["schedule=[tick]", "model_name=day", "deploy.lost_after=90"])
    with get_client(sync_client=True) as client:
        number = client.read_deployment_by_name("small/tick").id
        worker.begin()
        end = time.time() + n_runs * interval
        moments = sorted(generator.uniform(time.time() + 20, end) for _ in range(n_kills))
        for index, moment in enumerate(moments):
            time.sleep(max(0.0, moment - time.time()))
            worker.kill(KINDS[index % len(KINDS)], generator)
        time.sleep(max(0.0, end - time.time()))
        due = datetime.now(UTC)
        client.update_deployment(number, DeploymentUpdate(paused=True))
        runs = _ended(client, due, patience=600)
        worker.end()
    return _accounted(runs, worker, time.time() - begun)


def _runs(client: SyncPrefectClient, due: datetime) -> list[FlowRun]:
    """All that were due."""
    from prefect.client.schemas.filters import FlowRunFilter

    wanted = FlowRunFilter.model_validate({"expected_start_time": {"before_": due.isoformat()}})
    found: list[FlowRun] = []
    while page := client.read_flow_runs(flow_run_filter=wanted, limit=PAGE, offset=len(found)):
        found += page
    return found


def _ended(client: SyncPrefectClient, due: datetime, patience: float) -> list[FlowRun]:
    """The same, once all have completed or so many seconds have passed; a crashed one may still go on."""
    deadline = time.time() + patience
    while time.time() < deadline:
        if all(run.state is not None and run.state.is_completed() for run in _runs(client, due)):
            break
        time.sleep(5)
    return _runs(client, due)


def _accounted(runs: Sequence[FlowRun], worker: Worker, seconds: float) -> list[object]:
    noted = notes()
    ends = Counter(note.run for note in noted if note.what == "ended")
    states = Counter("none" if run.state is None else run.state.type.value for run in runs)
    final = sum(run.state is not None and run.state.is_final() for run in runs)
    first = {note.run: note.at for note in reversed(noted) if note.what == "began"}
    late = sorted(
        first[str(run.id)] - run.expected_start_time.timestamp()
        for run in runs
        if str(run.id) in first and run.expected_start_time is not None
    )
    return [
        len(runs), states["COMPLETED"], states["CRASHED"], final - states["COMPLETED"] - states["CRASHED"],
        len(runs) - final, ", ".join(f"{n} {kind}" for kind, n in worker.killed.items()),
        sum(run.run_count > 1 for run in runs), len(runs) - len(first), sum(n > 1 for n in ends.values()),
        _beside(noted), f"{late[len(late) // 2]:.1f} (at most {late[-1]:.0f})" if late else "", f"{seconds / 60:.1f}",
    ]  # fmt: skip


def _beside(noted: Sequence[Note]) -> int:
    """How many runs began while another process was at work on the same run, and went on with it."""
    found = set()
    for note in noted:
        if note.what == "ended":
            others = [
                other for other in noted
                if other.run == note.run and other.pid != note.pid and other.what == "ended"
            ]  # fmt: skip
            began = max(one.at for one in noted if (one.what, one.run, one.pid) == ("began", note.run, note.pid))
            found |= {note.run for other in others if began <= other.at <= note.at}
    return len(found)


if __name__ == "__main__":
    main()
