"""`python -m benchmarks.overhead`: what orchestration and tracking cost per trial, against a bare loop of the same
trials in as many threads, without Prefect, Optuna and MLflow."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import place, report
from benchmarks.place import Place

WORKERS = 2
HEADINGS = ("table", "trials", "finefold run, ms per trial", "bare loop, ms per trial", "difference, ms", "ratio")
SYNTHETIC_ROWS, SYNTHETIC_COLUMNS = 50_000, 20


@dataclass(frozen=True)
class Case:
    """A table by its overrides, and how many trials are run on it."""

    name: str
    overrides: tuple[str, ...]
    n_trials: int


def main() -> None:
    repeats = report.argument("repeats", 3)
    with place.temporary() as root:
        cases = (
            Case("breast_cancer, 569 x 30", (), report.argument("trials", 30)),
            Case("synthetic, 50,000 x 20", synthetic(root), report.argument("synthetic_trials", 12)),
        )
        shared = place.fresh(root, "server")
        with place.kept_server(shared):
            rows = [compare(root, case, shared, repeats) for case in cases]
    print(report.table(HEADINGS, rows))
    print(f"\n{WORKERS} workers, LightGBM with one thread per trial. Median (range). {report.machine(repeats)}")


def compare(root: Path, case: Case, shared: Place, repeats: int) -> list[str]:
    """One row; the two ways take turns, so that what else the machine does falls on both."""
    full, bare = [], []
    for k in range(repeats):
        where = place.fresh(root, f"{case.name.partition(',')[0]}-{k}", shared.home, shared.port)
        budget = [f"search.trials={case.n_trials}", f"runner.workers={WORKERS}", "search.racing=null"]
        overrides = [*case.overrides, *budget]
        result = where.run(overrides)
        assert result["trials"]["finished"] == case.n_trials
        full.append(result["seconds"]["search"] / case.n_trials * 1000)
        bare.append(run_bare_in_a_process(where, overrides) / case.n_trials * 1000)
    differences = [a - b for a, b in zip(full, bare, strict=True)]
    ratio = median(full) / median(bare)
    cells = (report.spread(values, 0) for values in (full, bare, differences))
    return [case.name, str(case.n_trials), *cells, f"{ratio:.2f}"]


def synthetic(root: Path) -> tuple[str, ...]:
    """The overrides of a made table of two classes, with a tenth of its labels wrong."""
    import pandas as pd
    from sklearn.datasets import make_classification

    X, y = make_classification(
        SYNTHETIC_ROWS, SYNTHETIC_COLUMNS, n_informative=12, n_redundant=4, flip_y=0.1, random_state=0
    )
    frame = pd.DataFrame(X, columns=[f"x{k}" for k in range(SYNTHETIC_COLUMNS)]).assign(y=y)
    frame.to_parquet(root / "synthetic.parquet")
    return "source=file", f"source.path={root / 'synthetic.parquet'}", "source.target=y"


def run_bare_in_a_process(where: Place, overrides: Sequence[str]) -> float:
    """Seconds of the bare loop, in a process that has nothing made or read yet, as `finefold run` had."""
    command = [sys.executable, "-m", "benchmarks.overhead", "--bare", *overrides]
    said = subprocess.run(
        command, cwd=where.folder, env=where.environment(), check=True, stdout=subprocess.PIPE, text=True
    )
    return float(json.loads(said.stdout)["seconds"])


def run_bare(overrides: Sequence[str]) -> float:
    """Seconds of the same trials, on the same folds, in a study folder where no fold is stored yet.

    The current folder is that of a finished run; its proposals are read from its study.
    """
    from tasks.trial import run_trial

    experiment, proposals = _of_finished_run(overrides)
    begun = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(lambda proposal: run_trial(experiment, proposal), proposals))
    seconds = time.perf_counter() - begun
    errors = [result.error for result in results if result.error]
    assert not errors, errors[0]
    return seconds


def _of_finished_run(overrides: Sequence[str]) -> tuple[Any, list[Any]]:
    """The experiment, but for a study folder of its own, and the proposals. What is prepared and split is found on
    disk by its content."""
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    from flows.config import compose
    from flows.decide import decide
    from flows.plan import plan
    from tasks.prepare import prepare
    from tasks.split import split
    from tasks.workspace import Experiment

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    composed = compose(overrides)
    planned, config = plan(composed), composed.config
    prepared = prepare.fn(planned.source, planned.roles, config.problem, None, config.holdout.seed, None)
    decided = decide(composed, prepared)
    divided = split.fn(prepared, decided.splitter, decided.composed.choices["folds"], config.holdout.fraction)
    (journal,) = Path("data/studies").glob("*/*/journal.log")
    study = optuna.load_study(study_name=None, storage=JournalStorage(JournalFileBackend(str(journal))))
    proposals = [planned.space.proposal(trial) for trial in study.get_trials()]
    experiment = Experiment(
        digest="bare", folder="bare", split=divided.folder, problem=prepared.problem, families=planned.families,
        loss=decided.loss, metric=decided.metric, base=None, seed=config.seed, n_folds=divided.n_folds,
        growth=divided.growth, n_threads=1, keep_models=False,
    )  # fmt: skip
    return experiment, proposals


if __name__ == "__main__":
    if "--bare" in sys.argv:
        print(json.dumps({"seconds": run_bare(sys.argv[sys.argv.index("--bare") + 1 :])}))
    else:
        main()
