"""The trials of a run in MLflow: each a nested run, logged in a thread of its own."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.records import TrialResult
from tasks.study import adapters_folder
from tasks.tracking import MAX_PARAM, PARENT_TAG, Tracker

if TYPE_CHECKING:
    from mlflow.entities import Run

TRIAL_TAG = "finefold.trial"


class TrialLog:
    """Logs each trial as a nested run, with the adapters of its folds where it has some, in a thread of its own: 20 ms
    per trial off the search's path. study: its folder."""

    def __init__(self, tracker: Future[Tracker], study: Path, metric: str) -> None:
        self._future = tracker
        self._study = study
        self._metric = metric
        self._queue: queue.Queue[tuple[TrialResult, Mapping[str, str]] | None] = queue.Queue()
        self._logged: dict[str, Run] | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="finefold-trial-log", daemon=True)
        self._thread.start()

    def put(self, result: TrialResult, tags: Mapping[str, str]) -> None:
        self._queue.put((result, tags))

    def close(self) -> None:
        """Waits until all is logged.

        Raises:
            Exception: what the tracking server raised, if it did.
        """
        self.stop()
        if self._error is not None:
            raise self._error
        _delete_doubles(self._future.result())

    def stop(self) -> None:
        """Waits until the trials told so far are logged, whatever came of it; a second call does nothing."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._error is not None:
                continue
            try:
                self._log_twice(self._future.result(), *item)
            except Exception as error:  # kept for close(): a thread has nobody to raise to
                self._error = error

    def _log_twice(self, tracker: Tracker, result: TrialResult, tags: Mapping[str, str]) -> None:
        """A server that goes away while it answers leaves unknown what it did: that is looked up, and the rest done.
        MLflow itself tries again where there was no connection, or none of an answer came."""
        from mlflow.exceptions import MlflowException

        try:
            self._log(tracker, result, tags)
        except MlflowException:
            self._logged = _children(tracker)
            self._log(tracker, result, tags)

    def _log(self, tracker: Tracker, result: TrialResult, tags: Mapping[str, str]) -> None:
        number = str(result.proposal.number)
        if self._logged is None:
            self._logged = _children(tracker) if tracker.is_resumed else {}
        earlier = self._logged.get(number)
        if earlier is not None and earlier.info.status in ("FINISHED", "FAILED"):
            return
        client = tracker.client
        run_id = (
            earlier.info.run_id
            if earlier is not None
            else client.create_run(
                tracker.experiment_id,
                run_name=f"trial-{number}",
                tags={PARENT_TAG: tracker.run_id, TRIAL_TAG: number, **tags},
            ).info.run_id
        )
        params, metrics = _trial_content(result, self._metric)
        client.log_batch(run_id, metrics=metrics, params=params)
        for fold in result.folds:
            adapters = adapters_folder(self._study, result.proposal, fold.fold)
            if adapters.exists():
                client.log_artifacts(run_id, str(adapters), f"adapters/fold_{fold.fold}")
        if result.error:
            client.log_text(run_id, result.error, "error.txt")
        client.set_terminated(run_id, "FAILED" if result.error else "FINISHED")


def _trial_content(result: TrialResult, metric: str) -> tuple[list[Any], list[Any]]:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    evidence = {key: n for key in ("n_rows", "n_folds") if (n := getattr(result.proposal, key)) is not None}
    chosen = {"model": result.proposal.family, **result.proposal.hyperparameters, **evidence}
    params = [Param(key, str(value)[:MAX_PARAM]) for key, value in chosen.items()]
    metrics = [Metric(f"fold_{metric}", fold.value, now, fold.fold) for fold in result.folds]
    metrics += [Metric("fold_cost", fold.cost, now, fold.fold) for fold in result.folds]
    metrics += [Metric("fold_rounds", fold.rounds, now, fold.fold) for fold in result.folds if fold.rounds is not None]
    if result.error is None:
        kind = "cv" if result.estimate is None else "estimated"
        metrics.append(Metric(f"{kind}_{metric}", result.score, now, 0))
        metrics.append(Metric("seconds", result.seconds, now, 0))
        metrics.append(Metric("folds", len(result.folds), now, 0))
    return params, metrics


def _children(tracker: Tracker) -> dict[str, Run]:
    """By the trial's number. Of doubles the one that was ended, if any was."""
    found: dict[str, Run] = {}
    token = None
    while True:
        page = tracker.client.search_runs([tracker.experiment_id], _below(tracker), page_token=token)
        for run in page:
            number = run.data.tags.get(TRIAL_TAG, "")
            if number not in found or found[number].info.status == "RUNNING":
                found[number] = run
        token = page.token
        if not token:
            return found


def _delete_doubles(tracker: Tracker) -> None:
    """Where a server made a run and was killed before it said so, MLflow asks for it again, and a second one is made.
    To be called when every trial is logged: what still runs then is such an empty first one."""
    asked = f"{_below(tracker)} and attributes.status = 'RUNNING'"
    for run in tracker.client.search_runs([tracker.experiment_id], asked):
        if TRIAL_TAG in run.data.tags:
            tracker.client.delete_run(run.info.run_id)


def _below(tracker: Tracker) -> str:
    return f"tags.`{PARENT_TAG}` = '{tracker.run_id}'"
