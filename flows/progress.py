"""What is told of each trial while a search runs: to the screen, to MLflow, and to Prefect's artifacts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any, Self
from uuid import UUID

from optuna.trial import FrozenTrial
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact

from flows.screen import TrialProgress
from tasks.evidence import Ladder, evidence_of
from tasks.footprint import promised
from tasks.metric import METRICS, better
from tasks.racing import best_of
from tasks.records import TrialResult
from tasks.search.genetic import generation
from tasks.tracking import Tracker
from tasks.trial_log import TrialLog

SECONDS_BETWEEN_UPDATES = 2.0
N_SHOWN = 10


class Progress:
    """Takes each told trial, in order; `close` leaves the table of the best trials behind."""

    def __init__(
        self, tracker: Future[Tracker], study: Path, metric: str, n_trials: int, seconds: float | None, ladder: Ladder,
        n_folds: int,
    ) -> None:
        self._metric = metric
        self._ladder = ladder
        self._n_folds = n_folds
        self._n_saved = 0
        self._n_trials = n_trials
        self._told: list[TrialResult] = []
        self._generations: dict[int, list[float]] = {}
        self._best: TrialResult | None = None
        self._tracker = tracker
        self._trial_log = TrialLog(tracker, study, metric)
        self._screen = TrialProgress(n_trials, metric, seconds)
        self._artifact: UUID | None = None
        self._last_update = 0.0
        # A server that is being restarted is waited for, which must not hold up the search.
        self._background = ThreadPoolExecutor(1, thread_name_prefix="finefold-progress")
        self._update: Future[Any] | None = None

    def __enter__(self) -> Self:
        self._screen.__enter__()
        self._artifact = create_progress_artifact(  # type: ignore[assignment]  # a coroutine in async flows alone
            0.0, key="search-progress", description=self._screen.said()
        )
        return self

    def __exit__(self, *error: Any) -> None:
        self._screen.__exit__(*error)
        self._background.shutdown(wait=False)
        self._trial_log.stop()

    def told(self, result: TrialResult, trial: FrozenTrial, *, is_reused: bool) -> None:
        """One more trial. Raises what tracking raised, so that a search does not go on for nothing."""
        if self._tracker.done():
            self._tracker.result()
        number_of_generation = generation(trial)
        tags = {} if number_of_generation is None else {"finefold.generation": str(number_of_generation)}
        if (comes_to := promised(result.folds)) is not None:
            tags |= {f"finefold.{key}": f"{value:.4g}" for key, value in asdict(comes_to).items()}
        self._trial_log.put(result, tags)
        if result.error is None:
            self._n_saved += (result.proposal.n_folds or self._n_folds) - len(result.folds)
            if number_of_generation is not None:
                self._generations.setdefault(number_of_generation, []).append(result.score)
        if result.error is None and result.estimate is None:
            known = [result] if self._best is None else [self._best, result]
            self._best = best_of(self._ladder.top(known, self._n_folds), self._metric) or self._best
        self._told.append(result)
        self._screen.advance(self._best, self._n_saved, is_reused=is_reused)
        self._update_artifact()

    def close(self) -> None:
        """Writes what is complete only now: the table of the best trials, the generations, the last trial's run."""
        self._background.shutdown()
        if self._artifact is not None:
            update_progress_artifact(self._artifact, 100.0, self._screen.said())
        sign = METRICS[self._metric].sign
        whole = [one for one in self._told if one.error is None and one.estimate is None and one.is_feasible]
        whole.sort(key=lambda one: (evidence_of(one.proposal), sign * one.score), reverse=True)
        ranked = [_row(one, self._metric) for one in whole[:N_SHOWN]]
        create_table_artifact(
            shown(ranked, self._metric), key="best-trials",
            description=f"The best trials by {self._metric}, what was judged on more first; of their hyperparameters "
            "those in which they differ",
        )  # fmt: skip
        if self._generations:
            for row in _generations(self._generations, self._metric):
                step = row.pop("generation")
                self._tracker.result().metrics({f"generation_{key}": value for key, value in row.items()}, step)
        self._trial_log.close()

    def _update_artifact(self) -> None:
        is_under_way = self._update is not None and not self._update.done()
        if self._artifact is None or is_under_way or time.monotonic() - self._last_update < SECONDS_BETWEEN_UPDATES:
            return
        self._last_update = time.monotonic()
        share = min(99.0, 100.0 * len(self._told) / max(1, self._n_trials))
        told, said = copy_context(), self._screen.said()
        self._update = self._background.submit(told.run, update_progress_artifact, self._artifact, share, said)


def _row(result: TrialResult, metric: str) -> dict[str, Any]:
    chosen: Mapping[str, Any] = {"model": result.proposal.family, **result.proposal.hyperparameters}
    sample = {} if result.proposal.n_rows is None else {"training rows": result.proposal.n_rows}
    return {
        "trial": result.proposal.number,
        metric: result.score,
        "folds": len(result.folds),
        **sample,
        "seconds": round(result.seconds, 2),
        **chosen,
    }


def shown(rows: Sequence[Mapping[str, Any]], metric: str) -> list[dict[str, Any]]:
    """Trials as a person compares them: five digits, and beside what they came to that alone in which they differ."""
    always = ("trial", metric, "seconds", "model")
    keys = [key for key in dict.fromkeys(key for row in rows for key in row)
            if key in always or len({str(row.get(key)) for row in rows}) > 1]  # fmt: skip
    return [{key: _short(row.get(key, "")) for key in keys} for row in rows]


def _short(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _generations(generations: Mapping[int, list[float]], metric: str) -> list[dict[str, Any]]:
    """Per generation: how many were evaluated, and the fitness of the best, the mean and the worst."""
    rows = []
    for number in sorted(generations):
        values = sorted(generations[number])
        best, worst = (values[-1], values[0]) if better(metric, values[-1], values[0]) else (values[0], values[-1])
        rows.append(
            {"generation": number, "evaluated": len(values), "best": best, "mean": fmean(values), "worst": worst}
        )
    return rows
