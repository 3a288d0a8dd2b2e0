"""`finefold run` with its defaults, a command as a user gives it; its start-up counts in what it took, not in its
budget, and so does the server that it starts."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import place
from benchmarks.peers._job import write_answer

ENDLESS = 100_000  # trials


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    where = place.fresh(Path.cwd(), "run", Path(os.environ["FINEFOLD_BENCHMARK_PREFECT"]))
    result = where.run(overrides(job))
    seconds = result["seconds"]
    said = {
        "fit_seconds": seconds["search"] + seconds["fit"],
        "notes": {"seconds": seconds, "trials": result["trials"], "cv": result["cv"], "best": result["best"]},
    }
    write_answer(Path(job["answer"]), predictions(where.folder, job), said)


def overrides(job: dict[str, Any]) -> list[str]:
    """What is typed after `finefold run`."""
    time = [f"source.time={job['time']}"] if job["time"] else []
    return [
        "source=file", f"source.path={job['train']}", f"holdout.path={job['test']}", f"source.target={job['target']}",
        *time, f"problem={job['problem']}", f"metric={job['metric']}", f"seed={job['seed']}",
        f"search.seconds={job['seconds']}", f"search.trials={ENDLESS}", f"runner.workers={job['n_jobs']}",
        *job["options"].get("overrides", []),
    ]  # fmt: skip


def predictions(folder: Path, job: dict[str, Any]) -> np.ndarray:
    """Of the holdout's rows in the order of their file: (n, k), or (n,) for a regression."""
    (path,) = folder.glob("data/**/*-predictions.parquet")
    table = pd.read_parquet(path)
    y = pd.read_parquet(job["test"], columns=[job["target"]])[job["target"]]
    if not job["classes"]:
        assert np.allclose(table["target"], y), "other rows than the holdout's, or in another order"
        return table["prediction"].to_numpy()
    codes = y.map({label: code for code, label in enumerate(job["classes"])})
    assert (table["target"] == codes).all(), "other rows than the holdout's, or in another order"
    return table[[f"probability_{label}" for label in job["classes"]]].to_numpy()


if __name__ == "__main__":
    main()
