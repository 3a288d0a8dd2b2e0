"""`python -m benchmarks.start_up`: the wall time of `finefold run` on the default table, split into its parts."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import place, report
from benchmarks.place import Place
from flows.address import is_healthy

LIMITS = {"cold": 12.0, "second cold": 12.0, "warm": 5.0}  # seconds until the first trial
HEADINGS = (
    "", "until the first trial", "limit", "server answers after", "search", "final fit to registration", "drain, stop",
    "total",
)  # fmt: skip
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Parts:
    """Seconds of one run, as seen from outside of its process. `first_trial` is from the command to the first trial,
    `server` from the command to the server's first answer; `final` and `stop` are what comes after the search."""

    first_trial: float
    server: float
    search: float
    final: float
    stop: float
    total: float


def main() -> None:
    repeats, n_trials = report.argument("repeats", 3), report.argument("trials", 20)
    overrides = [f"search.trials={n_trials}"]
    measured: dict[str, list[Parts]] = {name: [] for name in LIMITS}
    with place.temporary() as root:
        for k in range(repeats):
            cold = place.fresh(root, f"cold-{k}")
            measured["cold"].append(measure(cold, overrides))
            # Databases and prepared data are there; a search of its own, so that trials are run and not reused.
            measured["second cold"].append(measure(cold, [*overrides, "seed=1"]))
            with place.kept_server(cold):
                measured["warm"].append(measure(cold, [*overrides, "seed=2"]))
    print(report.table(HEADINGS, [row(name, parts) for name, parts in measured.items()]))
    print(f"\nSeconds, search.trials={n_trials}. Median (range). {report.machine(repeats)}")


def row(name: str, parts: Sequence[Parts]) -> list[str]:
    worst = max(part.first_trial for part in parts)
    return [
        name,
        report.spread([part.first_trial for part in parts]),
        f"{LIMITS[name]:.0f}, {'held' if worst < LIMITS[name] else 'MISSED'}",
        "runs already" if name == "warm" else report.spread([part.server for part in parts]),
        *(report.spread([getattr(part, key) for part in parts]) for key in ("search", "final", "stop", "total")),
    ]


def measure(where: Place, overrides: Sequence[str]) -> Parts:
    known = where.n_asked()
    begun = time.time()
    process = where.begin(overrides)
    server = first_trial = None
    while process.poll() is None and (server is None or first_trial is None):
        now = time.time()
        if server is None and is_healthy(f"http://127.0.0.1:{where.port}/api", seconds=0.5):
            server = now
        if first_trial is None and where.n_asked() > known:
            first_trial = now
        time.sleep(POLL_SECONDS)
    result = where.finish(process)
    ended = time.time()
    assert server is not None
    assert first_trial is not None
    searched = first_trial + result["seconds"]["search"]
    closed = _closed(where, result["run_id"])
    return Parts(
        first_trial - begun, server - begun, searched - first_trial, closed - searched, ended - closed, ended - begun
    )


def _closed(where: Place, run_id: str) -> float:
    """When the MLflow run was ended, Unix time in seconds: the model is registered then."""
    with contextlib.closing(sqlite3.connect(where.folder / "mlruns" / "mlflow.db")) as connection:
        query = "SELECT end_time FROM runs WHERE run_uuid = ?"
        return float(connection.execute(query, (run_id,)).fetchone()[0]) / 1000


if __name__ == "__main__":
    main()
