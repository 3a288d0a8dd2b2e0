"""Trials in MLflow: one nested run each, completed where a kill left it half logged."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pytest

from tasks import tracking
from tasks.records import FoldScore, Proposal, TrialResult
from tasks.study import adapters_folder, fold_file
from tasks.tracking import Tracker
from tasks.trial_log import TrialLog


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[mlflow.MlflowClient, str, Path]:
    root = tmp_path_factory.mktemp("store") / "mlruns"
    client, uri = tracking.connect(None, root)
    return client, uri, root


def begin(store: tuple[mlflow.MlflowClient, str, Path], study: str) -> Tracker:
    client, uri, root = store
    return tracking.begin(client, uri, "some", study, "name", {}, 1.7e9, root, trials=3)


def result(number: int, error: str | None = None) -> TrialResult:
    folds = tuple(FoldScore(fold, 0.5 + fold / 10, 0.7, 20, 0.1) for fold in range(3))
    return TrialResult(Proposal(number, "lightgbm", {"num_leaves": 31}), folds, error, was_cut=False)


def test_a_trial_is_one_nested_run_with_its_folds_as_steps(
    store: tuple[mlflow.MlflowClient, str, Path], tmp_path: Path
) -> None:
    tracker = begin(store, "c")
    future: Future[Tracker] = Future()
    future.set_result(tracker)
    log = TrialLog(future, tmp_path, "roc_auc")
    adapters = adapters_folder(tmp_path, result(0).proposal, 2)
    adapters.mkdir(parents=True)
    (adapters / "adapter_config.json").write_text("{}")
    model = fold_file(tmp_path, result(0).proposal, 1).with_suffix("")  # kept for an ensemble, until others are better
    model.mkdir()
    (model / "booster.txt").write_text("")
    log.put(result(0), {"finefold.generation": "0"})
    log.put(result(1, "Traceback: no"), {})
    log.close()
    good, bad = store[0].search_runs(
        [tracker.experiment_id], f"tags.`mlflow.parentRunId` = '{tracker.run_id}'", order_by=["tags.`finefold.trial`"]
    )
    assert (good.info.status, bad.info.status) == ("FINISHED", "FAILED")
    assert [m.value for m in store[0].get_metric_history(good.info.run_id, "fold_roc_auc")] == [0.5, 0.6, 0.7]
    assert good.data.metrics["cv_roc_auc"] == pytest.approx(0.6)
    assert [file.path for file in store[0].list_artifacts(bad.info.run_id)] == ["adapters", "error.txt"]
    assert [file.path for file in store[0].list_artifacts(good.info.run_id, "adapters")] == ["adapters/fold_2"]


def test_a_trial_that_was_half_logged_is_completed_not_doubled(
    store: tuple[mlflow.MlflowClient, str, Path], tmp_path: Path
) -> None:
    client = store[0]
    tracker = begin(store, "d")
    half = client.create_run(
        tracker.experiment_id, tags={"mlflow.parentRunId": tracker.run_id, "finefold.trial": "0"}
    ).info.run_id
    future: Future[Tracker] = Future()
    future.set_result(begin(store, "d"))
    log = TrialLog(future, tmp_path, "roc_auc")
    log.put(result(0), {})
    log.close()
    (only,) = client.search_runs([tracker.experiment_id], f"tags.`mlflow.parentRunId` = '{tracker.run_id}'")
    assert (only.info.run_id, only.info.status) == (half, "FINISHED")


BOTH = [("0", "FINISHED"), ("1", "FINISHED")]


def two_trials(tracker: Tracker, study: Path) -> list[tuple[str, str]]:
    """Logs two, and gives the number and state of every run below the tracker's."""
    future: Future[Tracker] = Future()
    future.set_result(tracker)
    log = TrialLog(future, study, "roc_auc")
    for number in range(2):
        log.put(result(number), {})
    log.close()
    runs = tracker.client.search_runs([tracker.experiment_id], f"tags.`mlflow.parentRunId` = '{tracker.run_id}'")
    return sorted((run.data.tags["finefold.trial"], run.info.status) for run in runs)


class DoublingClient(mlflow.MlflowClient):
    """Of a server that made a run, was killed before it said so, and was asked again by MLflow itself."""

    def create_run(self, *args: Any, **kwargs: Any) -> Any:
        super().create_run(*args, **kwargs)
        return super().create_run(*args, **kwargs)


def test_a_trial_that_was_made_twice_unheard_is_there_once(
    store: tuple[mlflow.MlflowClient, str, Path], tmp_path: Path
) -> None:
    tracker = replace(begin(store, "doubled"), client=DoublingClient(store[1]))
    assert two_trials(tracker, tmp_path) == BOTH


class TornClient(mlflow.MlflowClient):
    """Of a server that goes away while it answers, once: what it was asked is done, and nobody is told."""

    is_torn = False

    def create_run(self, *args: Any, **kwargs: Any) -> Any:
        made = super().create_run(*args, **kwargs)
        if self.is_torn:
            return made
        self.is_torn = True
        raise mlflow.MlflowException("Connection broken: IncompleteRead")


def test_a_trial_whose_answer_was_lost_is_logged_once(
    store: tuple[mlflow.MlflowClient, str, Path], tmp_path: Path
) -> None:
    tracker = replace(begin(store, "torn"), client=TornClient(store[1]))
    assert two_trials(tracker, tmp_path) == BOTH
