"""`python -m benchmarks.kill`: is a search that was killed with SIGKILL at random moments gone on with as if it never
had been?"""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, TrialState

from benchmarks import place, report
from benchmarks.place import Place

# Of ten kills: before the first trial, during the search, and during the final fit, its evaluation and registration.
PHASES = ("start-up",) * 2 + ("search",) * 5 + ("the rest",) * 3
POLL_SECONDS = 0.005
HEADINGS = (
    "killed in", "after", "trials told", "folds stored", "each trial once", "no fold twice", "same trials and winner",
    "no run left RUNNING", "one child per trial", "one version per run",
)  # fmt: skip
N_VERDICTS = 6


@dataclass(frozen=True)
class Moment:
    """`fraction` of the phase's usual length, counted from the phase's own beginning as seen from outside."""

    phase: str
    fraction: float


@dataclass(frozen=True)
class Reference:
    """The run that was never killed: its trials, its winner, and how long each phase took in seconds."""

    trials: list[dict[str, Any]]
    best: dict[str, Any]
    seconds: Mapping[str, float]


def main() -> None:
    n_kills, n_trials, seed = (
        report.argument("kills", 10),
        report.argument("trials", 20),
        report.argument("seed", 0),
    )
    generator = random.Random(seed)
    moments = [Moment(PHASES[k % len(PHASES)], generator.random()) for k in range(n_kills)]
    overrides = ["search.racing=null", f"search.trials={n_trials}"]
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows: list[list[str]] = []
    with place.temporary() as root:
        shared = place.fresh(root, "reference")
        with place.kept_server(shared):
            reference = refer(shared, overrides)
            for k, moment in enumerate(moments):
                killed = place.fresh(root, f"killed-{k}", shared.home, shared.port)
                rows.append(kill_and_go_on(killed, overrides, moment, reference, "kept server"))
        alone = place.fresh(root, "alone")
        try:
            rows.append(kill_and_go_on(alone, overrides, Moment("search", 0.5), reference, "no server"))
        finally:
            if alone.stop_server():
                rows.append(["a server was left running"] + ["NO"] * (len(HEADINGS) - 1))
    print(report.table(HEADINGS, rows))
    print(f"\n{report.machine(1)}; seed {seed}")
    sys.exit(any("NO" in cell for row in rows for cell in row))


def refer(where: Place, overrides: Sequence[str]) -> Reference:
    begun = time.monotonic()
    process = where.begin(overrides)
    searching = _wait(lambda: where.trials()[0] > 0, process)
    result = where.finish(process)
    lengths = {
        "start-up": searching - begun,
        "search": result["seconds"]["search"],
        "the rest": time.monotonic() - searching - result["seconds"]["search"],
    }
    return Reference([trial.params for trial in _trials(where)], result["best"], lengths)


def kill_and_go_on(
    where: Place, overrides: Sequence[str], moment: Moment, reference: Reference, setting: str
) -> list[str]:
    """One row: a kill, the same command again, and what is true afterwards."""
    process = where.begin(overrides)
    _wait_for_phase(where, process, moment.phase, len(reference.trials))
    delay = moment.fraction * reference.seconds[moment.phase]
    # A faster run than the reference is killed at its first trial at the latest, where start-up is meant.
    _wait(lambda: moment.phase == "start-up" and where.trials()[0] > 0, process, delay)
    ended_before = process.poll() is not None
    process.kill()
    process.wait()
    n_told, stored = where.trials()[1], _folds(where)
    try:
        verdicts = _verdicts(where, stored, where.run(overrides), reference)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        verdicts = (False,) * N_VERDICTS
    note = f"{moment.phase} ({setting}){', too late: it had ended' * ended_before}"
    row = [note, f"{delay:.1f} s", str(n_told), str(len(stored)), *("yes" if true else "NO" for true in verdicts)]
    print(*row, sep="; ", file=sys.stderr, flush=True)
    return row


def _wait_for_phase(where: Place, process: Any, phase: str, n_trials: int) -> None:
    if phase == "search":
        _wait(lambda: where.trials()[0] > 0, process)
    if phase == "the rest":
        _wait(lambda: where.trials()[1] == n_trials, process)


def _wait(is_there: Callable[[], bool], process: Any, seconds: float = 300) -> float:
    """The moment at which it was there, the process had ended, or the seconds were over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None and not is_there():
        time.sleep(POLL_SECONDS)
    return time.monotonic()


def _verdicts(
    where: Place, stored: Mapping[Path, tuple[int, int]], result: dict[str, Any], reference: Reference
) -> tuple[bool, ...]:
    """In the order of HEADINGS, from `each trial once`."""
    trials, now, n_trials = _trials(where), _folds(where), len(reference.trials)
    params = [trial.params for trial in trials]
    is_each_once = [t.number for t in trials] == list(range(n_trials)) and all(
        t.state is TrialState.COMPLETE for t in trials
    )
    n_folds = len(trials[0].user_attrs["folds"])
    is_same = params == reference.trials and result["best"] == reference.best
    return (
        is_each_once,
        all(now.get(path) == file for path, file in stored.items()) and len(now) == n_folds * n_trials,
        is_same,
        *_tracked(where.folder / "mlruns" / "mlflow.db", n_trials),
    )


def _tracked(database: Path, n_trials: int) -> tuple[bool, bool, bool]:
    """Of MLflow's own tables: no run is RUNNING; each run has one child per trial; none has two versions."""
    children = "SELECT r.run_uuid FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = 'mlflow.parentRunId'"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        n_unfinished = _one(connection, "SELECT COUNT(*) FROM runs WHERE status != 'FINISHED'")
        query = f"SELECT run_uuid FROM runs WHERE run_uuid NOT IN ({children})"
        parents = [run for (run,) in connection.execute(query)]
        of_parent = {parent: _trial_numbers(connection, parent) for parent in parents}
        versions = [n for (n,) in connection.execute("SELECT COUNT(*) FROM model_versions GROUP BY run_id")]
    connection.close()
    expected = [str(number) for number in range(n_trials)]
    are_children_right = all(sorted(numbers, key=int) == expected for numbers in of_parent.values())
    return n_unfinished == 0, are_children_right, versions == [1] * len(parents)


def _trial_numbers(connection: sqlite3.Connection, parent: str) -> list[str]:
    query = (
        "SELECT n.value FROM tags n JOIN tags p ON p.run_uuid = n.run_uuid AND p.key = 'mlflow.parentRunId' "
        "WHERE n.key = 'finefold.trial' AND p.value = ?"
    )
    return [number for (number,) in connection.execute(query, (parent,))]


def _one(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])


def _folds(where: Place) -> dict[Path, tuple[int, int]]:
    """Every stored fold with what would change if it were written again: inode and time in nanoseconds."""
    files = where.folder.glob("data/studies/*/*/folds/*/[0-9]*.npz")
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def _trials(where: Place) -> list[FrozenTrial]:
    study = where.study()
    assert study is not None
    storage = JournalStorage(JournalFileBackend(str(study / "journal.log")))
    return optuna.load_study(study_name=None, storage=storage).get_trials()


if __name__ == "__main__":
    main()
