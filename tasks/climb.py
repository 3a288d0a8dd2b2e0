"""A climb of the ladder of strategies: what each rung came to, and which one is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks import metric as metrics
from tasks.comparison import Interval
from tasks.model import Fitted, Training
from tasks.records import ProblemKind
from tasks.strategy.ladder import beats

N_TRAINING_ROWS = 20_000  # on which the final fit's own score is measured, at most


@dataclass(frozen=True)
class Kept:
    """The metric on the same rows of the source, by the base and by the fine-tuned model."""

    before: float
    after: float


@dataclass(frozen=True)
class Rung:
    """One strategy. With an `error` it was passed by, and there is nothing else but what a look at it cost.

    score: the metric over the folds of its best trial; folds: the same, by fold. difference: to the best rung, None for
    itself. seconds: of computing, over all trials and the final fit; fit_seconds: of the latter. megabytes: the most
    that the process held. training: the metric on the rows that its final fit was trained on. kept: None where the base
    keeps no rows.
    """

    strategy: str
    error: str = ""
    score: Interval | None = None
    folds: Mapping[int, float] | None = None
    difference: Interval | None = None
    n_trials: int = 0
    hyperparameters: Mapping[str, Any] | None = None
    seconds: float = 0.0
    fit_seconds: float = 0.0
    megabytes: float = 0.0
    n_parameters: int = 0
    n_trained: int = 0
    training: float = 0.0
    kept: Kept | None = None
    run_id: str = ""


@dataclass(frozen=True)
class Climb:
    """What `finefold finetune` gives beside the result of the chosen rung's run. The keys are public.

    best: the rung with the best score over the folds; chosen: the cheapest that is no more than one standard error
    behind it. rho: validation rows per training row of a fold. ended: why the last rungs were not tried, or nothing.
    per_hour: what an hour of computing costs, in the unit, or None.
    """

    problem: ProblemKind
    metric: str
    split: str
    n_folds: int
    rho: float
    base: str
    rungs: tuple[Rung, ...]
    best: str
    chosen: str
    ended: str
    per_hour: float | None
    unit: str
    run_id: str
    mlflow_url: str

    @property
    def reached(self) -> tuple[Rung, ...]:
        return tuple(rung for rung in self.rungs if not rung.error)

    def saving(self, rung: Rung) -> float | None:
        """Seconds less than from scratch with as many trials, where the score is as good, by one standard error of
        their difference; else None."""
        scratch = next((one for one in self.reached if one.strategy == "from_scratch"), None)
        if scratch is None or scratch is rung or rung.folds is None or scratch.folds is None:
            return None
        is_behind = beats(scratch.folds, rung.folds, self.metric, self.rho)
        a_trial = (scratch.seconds - scratch.fit_seconds) / scratch.n_trials
        return None if is_behind else rung.n_trials * a_trial + scratch.fit_seconds - rung.seconds

    @property
    def keeps_more(self) -> Rung | None:
        """Where the chosen rung lost some of the source, the one that kept the most of it among those whose interval on
        the target reaches the best's, if that is another."""
        chosen = next(rung for rung in self.reached if rung.strategy == self.chosen)
        if chosen.kept is None or not metrics.better(self.metric, chosen.kept.before, chosen.kept.after):
            return None
        near = [
            one for one in self.reached
            if one.kept and one.kept.after == one.kept.after
            and (one.difference is None or one.difference.low <= 0 <= one.difference.high)
        ]  # fmt: skip
        sign = metrics.METRICS[self.metric].sign
        most = max(near, key=lambda one: sign * one.kept.after if one.kept else 0.0, default=chosen)
        is_more = most.kept is not None and metrics.better(self.metric, most.kept.after, chosen.kept.after)
        return most if is_more else None


def gap(metric: str, rung: Rung) -> float:
    """How much worse the score out of fold is than that on the training rows."""
    assert rung.score is not None
    return metrics.METRICS[metric].sign * (rung.training - rung.score.value)


def training_score(training: Training, fitted: Fitted) -> float:
    """The metric on the rows that the model was trained on, or a sample of them."""
    X, rows = training.some(N_TRAINING_ROWS)
    weight = None if training.weight is None else training.weight[rows]
    return metrics.value(training.metric, np.asarray(training.y[rows]), fitted.predict(X), weight)
