"""A folder in which runs were made: an MLflow store with runs of several ages, and what they left in data/."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import tracking
from tasks.tracking import PARENT_TAG, STUDY_TAG, Tracker
from tasks.trial_log import TRIAL_TAG

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

DAY = 86_400.0
# By name: how many days ago, its status, its letter (of study, table and split).
RUNS = {
    "old": (100, "FINISHED", "a"), "champion": (90, "FINISHED", "b"), "stopped": (80, "FAILED", "c"),
    "new": (1, "FINISHED", "d"),
}  # fmt: skip
ERROR = "ValueError: none"


def place(root: Path) -> tuple[MlflowClient, str, dict[str, str]]:
    """The runs' ids by name, in a store under `root/mlruns`, made where it isn't there yet; the one of `champion`
    registered version 1 of `sold`, the one of `old` version 2 without an alias."""
    client, uri = tracking.connect(None, root / "mlruns")
    experiment = tracking.experiment_of(client, uri, "finefold", root / "mlruns")
    known = client.search_runs([experiment], "tags.`finefold.data` != ''")
    if known:
        return client, uri, {run.info.run_name: run.info.run_id for run in known}
    ids = {name: _run(client, uri, experiment, root, name) for name in RUNS}
    client.create_registered_model("sold")
    for name in ("champion", "old"):
        client.create_model_version("sold", f"runs:/{ids[name]}/model", ids[name])
    client.set_registered_model_alias("sold", "champion", "1")
    return client, uri, ids


def _run(client: MlflowClient, uri: str, experiment: str, root: Path, name: str) -> str:
    days, status, letter = RUNS[name]
    begun = int((time.time() - days * DAY) * 1000)
    tags = {STUDY_TAG: f"{letter * 16}-1", "finefold.data": letter * 16, "finefold.split": letter * 16}
    run_id = str(client.create_run(experiment, start_time=begun, tags=tags, run_name=name).info.run_id)
    tracker = Tracker(client, uri, experiment, run_id, is_resumed=False)
    tracker.params({"metric": "rmse", "overrides": "source.path=a.csv", "best.model": "lightgbm"})
    tracker.metrics({"cv_rmse": 2.0, "holdout_rmse": 2.5, "holdout_rmse_low": 2.25, "holdout_rmse_high": 2.75,
                     "baseline_rmse": 5.0})  # fmt: skip
    of_run = {PARENT_TAG: run_id, TRIAL_TAG: "0"}
    trial = client.create_run(experiment, start_time=begun, tags=of_run, run_name="trial-0")
    client.log_text(trial.info.run_id, ERROR, "error.txt")
    client.set_terminated(trial.info.run_id, "FAILED", begun + 1_000)
    client.set_terminated(run_id, status, begun + 60_000)
    for kind, inner in (("studies", "1/folds"), ("prepared", "."), ("splits", ".")):
        _file(root / "data" / kind / (letter * 16) / inner / "content", days)
    return run_id


def _file(path: Path, days: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"1" * 1_000)
    os.utime(path, (time.time() - days * DAY,) * 2)
