"""`python -m benchmarks.nets tables=DIR [trials=30] [seeds=1] [only=telco,housing]`: `finefold run model=mlp` beside
scikit-learn's MLP with RandomizedSearchCV at the same wall time, by the holdout's score, on two cores.

The search and the final fit of finefold take what they take; scikit-learn's searches get the same time. Start-up counts
for neither.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import arguments, place, ranking, report, tables
from benchmarks.place import Place
from benchmarks.tables import Divided
from tasks.metric import value

N_JOBS = 2
HEADINGS = (
    "table", "metric", "seed", "seconds", "finefold", "95 % interval", "scikit-learn", "trials, settings",
)  # fmt: skip


def main() -> None:
    arguments.check(("tables", "trials", "seeds", "only"))
    folder, n_trials = Path(arguments.text("tables", "")).resolve(), report.argument("trials", 30)
    rows = []
    with place.temporary() as root:
        shared = place.fresh(root, "server")
        with place.kept_server(shared):
            for name in arguments.names("only", ["telco", "housing"]):
                divided = tables.divided(name, folder, root / "tables")
                rows += [compare(root, divided, shared, n_trials, seed) for seed in range(report.argument("seeds", 1))]
    print(report.table(HEADINGS, rows))
    print(f"\n{n_trials} trials, two workers; the same holdout for both. torch {version('torch')}, {report.machine(1)}")


def compare(root: Path, table: Divided, shared: Place, n_trials: int, seed: int) -> list[str]:
    where = place.fresh(root, f"{table.name}-{seed}", shared.home, shared.port)
    result = where.run([
        "model=mlp", "source=file", f"source.path={table.folder}/train.parquet", f"source.target={table.target}",
        f"holdout.path={table.folder}/test.parquet", f"problem={table.problem}", f"metric={table.metric}",
        f"seed={seed}", f"search.trials={n_trials}", f"runner.workers={N_JOBS}",
    ])  # fmt: skip
    seconds = result["seconds"]["total"] - result["seconds"]["start_up"]
    score = result["holdout"][table.metric]
    other, n_settings = beside(where.folder, table, seconds, seed)
    interval = f"{score['low']:.5g} to {score['high']:.5g}"
    return [
        table.name, table.metric, str(seed), f"{seconds:.0f}", f"{score['value']:.5g}", interval, f"{other:.5g}",
        f"{result['trials']['finished']} ({result['trials']['stopped_early']} ended early), {n_settings}",
    ]  # fmt: skip


def beside(folder: Path, table: Divided, seconds: float, seed: int) -> tuple[float, int]:
    """scikit-learn's score on the holdout, and how many settings it tried."""
    answer = folder / "answer.parquet"
    job: dict[str, Any] = {
        "train": f"{table.folder}/train.parquet", "test": f"{table.folder}/test.parquet", "target": table.target,
        "time": table.time, "problem": table.problem, "metric": table.metric, "classes": table.classes,
        "seconds": seconds, "seed": seed, "n_jobs": N_JOBS, "answer": str(answer), "options": {},
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job))
    command = [sys.executable, "-m", "benchmarks.peers.sklearn_mlp", str(folder / "job.json")]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(place.ROOT)}, cwd=folder, check=True)
    prediction = ranking.as_prediction(pd.read_parquet(answer))
    said = json.loads(answer.with_suffix(".json").read_text())
    return value(table.metric, table.y_test(), prediction), int(said["notes"]["settings"])


if __name__ == "__main__":
    main()
