"""One process with all that it starts: run to its end or its limit, its processor time told from that of others."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

POLL_SECONDS = 1.0  # one look at the tree takes some 10 ms


@dataclass(frozen=True)
class Watched:
    """How a process went. `foreign_share`: processor time that others used meanwhile, as a fraction of what all cores
    had; `own_share` the same of the process and all its descendants."""

    status: int
    was_killed: bool
    seconds: float
    own_share: float
    foreign_share: float
    peak_bytes: int


@dataclass
class _Tree:
    """Every process seen below the root, also one that left it; `used`: the last processor seconds of each."""

    seen: dict[tuple[int, float], psutil.Process] = field(default_factory=dict)
    used: dict[tuple[int, float], float] = field(default_factory=dict)
    peak_bytes: int = 0

    def look(self, root: psutil.Process) -> None:
        for process in [root, *self.seen.values()]:
            with contextlib.suppress(psutil.Error):
                for found in [process, *process.children(recursive=True)]:
                    self.seen.setdefault((found.pid, found.create_time()), found)
        now = 0
        for key, process in self.seen.items():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                self.used[key] = times.user + times.system
                now += process.memory_info().rss
        self.peak_bytes = max(self.peak_bytes, now)

    def kill(self) -> None:
        """All of them; back when they have ended."""
        for process in self.seen.values():
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(list(self.seen.values()), timeout=10)


def run(command: Sequence[str], cwd: Path, environment: Mapping[str, str], log: Path, limit: float) -> Watched:
    """Runs the command; kills it and all that it started after `limit` seconds. What it says goes to `log`."""
    busy, waited_for, begun = _busy(), _waited_for(), time.perf_counter()
    tree, was_killed = _Tree(), False
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=cwd, env=dict(environment), stdout=out, stderr=subprocess.STDOUT)
        root = psutil.Process(process.pid)
        while process.poll() is None:
            tree.look(root)
            if time.perf_counter() - begun > limit:
                was_killed = True
                tree.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
    seconds = time.perf_counter() - begun
    own = max(sum(tree.used.values()), _waited_for() - waited_for)
    busy = _busy() - busy
    tree.kill()  # nothing is left to compete with the next one
    cores = seconds * (psutil.cpu_count() or 1)
    return Watched(process.returncode, was_killed, seconds, own / cores, max(0.0, busy - own) / cores, tree.peak_bytes)


def _busy() -> float:
    """Seconds that all cores together have worked since the machine started."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted in user and nice already
    return float(sum(times) - idle - guests)


def _waited_for() -> float:
    """Processor seconds of all descendants that have ended and were waited for by their parents."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
