"""More labels: whether twice as many labelled rows would help, from how the winner did on fewer."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from tasks.check import Case
from tasks.comparison import Interval, interval
from tasks.metric import Floats, value
from tasks.model import Curve, OutOfTimeError
from tasks.study import FoldRecord, fold_file, read_fold
from tasks.verdict import Finding, Number
from tasks.workspace import training_of, workspace_of

LEAST_ROWS = 20  # of the smallest fit


@dataclass(frozen=True)
class MoreLabels:
    """The winner's hyperparameters on half of each fold's training rows, a quarter, and so on, beside what they did on
    all: compared on the same validation rows, fold by fold.

    halvings: how often the rows are halved. folds: the most that are fitted.
    """

    name: ClassVar[str] = "more_labels"
    needs_base: ClassVar[bool] = True
    reads_pairs: ClassVar[bool] = True
    halvings: Annotated[int, Field(ge=1)]
    folds: Annotated[int, Field(ge=1)]

    def measure(self, case: Case) -> Finding:
        proposal, training = case.members[0].proposal, training_of(case.experiment)
        if len(case.members) > 1 or proposal.n_rows is not None:
            return self._not("the model is not that of one trial that was judged on all rows")
        folds = [fold for fold in case.experiment.order if _stored(case, fold) is not None][: self.folds]
        if not folds:
            return self._not("no fold of the winner is stored any more")
        n_train = fmean(len(training.folds[fold][0]) for fold in folds)
        if n_train / 2**self.halvings < LEAST_ROWS:
            return self._not(f"{n_train:,.0f} rows are too few to be halved {self.halvings} times")
        try:
            lacks = [[_lack(case, fold, 2**k) for fold in folds] for k in range(1, self.halvings + 1)]
        except OutOfTimeError:
            return self._not("search.seconds left no time for it")
        except (OSError, MemoryError):
            raise
        except Exception:  # whatever a library raises on so few rows
            return self._not(f"a fit on fewer rows failed: {traceback.format_exc().strip().splitlines()[-1]}")
        rho = fmean(len(training.folds[fold][1]) for fold in folds) / n_train
        whole = fmean(_whole(case, fold)[1] for fold in folds)
        return self._told(case, whole, lacks, rho, n_train)

    def _not(self, reason: str) -> Finding:
        return Finding(self.name, "not_measurable", reason, {})

    def _told(
        self, case: Case, whole: float, lacks: Sequence[Sequence[float]], rho: float, n_train: float
    ) -> Finding:
        """whole: the score on all rows. lacks: for each number of halvings by how much each fold was worse."""
        parts = {f"{n_train:,.0f} rows": {"rows": Number(round(n_train)), "score": Number(whole)}}
        for k, by_fold in enumerate(lacks, 1):
            n_rows, off = n_train / 2**k, interval([-case.sign * lack for lack in by_fold], rho)
            score = Number(whole + off.value, whole + off.low, whole + off.high)
            parts = {f"{n_rows:,.0f} rows": {"rows": Number(round(n_rows)), "score": score}, **parts}
        last = interval(lacks[0], rho)
        before = None if len(lacks) < 2 else fmean(lacks[1]) - last.value
        gain = next_gain(last.value, before)
        numbers = {
            "bought_by_the_last_doubling": Number(last.value, last.low, last.high),
            "estimate_of_the_next_doubling": Number(gain),
        }
        n_rows = len(training_of(case.experiment).y)
        return Finding(self.name, "told", _said(case.metric, gain, last, n_rows), numbers, parts)


def next_gain(last: float, before: float | None) -> float:
    """What the next doubling of the rows buys where errors fall as a + b n^-c (Hestness et al. 2017, Deep Learning
    Scaling is Predictable, Empirically): each doubling buys the same share of what the one before it did, whatever a, b
    and c are. That share is taken for 1 where the doubling before bought nothing, so for at most the last gain."""
    if last <= 0:
        return 0.0
    share = last / before if before is not None and before > 0 else 1.0
    return last * min(1.0, share)


def _said(metric: str, gain: float, last: Interval, n_rows: int) -> str:
    bought = f"{last.value:.2g}" + ("" if last.low != last.low else f" ({last.low:.2g} to {last.high:.2g})")
    doubt = ", which can't be told from nothing" if last.holds_zero else ""
    return (
        f"an estimate: twice as many labelled rows ({2 * n_rows:,}) would buy about {gain:.2g} of {metric}; the last "
        f"doubling bought {bought}{doubt}"
    )


def _lack(case: Case, fold: int, divisor: int) -> float:
    """By how much the winner is worse on a share of the fold's training rows, on validation rows that both predict.

    Raises:
        OutOfTimeError: when the time is over.
    """
    experiment, proposal, training = case.experiment, case.members[0].proposal, training_of(case.experiment)

    def watch(curve: Curve) -> None:
        if case.deadline is not None and time.time() > case.deadline:
            raise OutOfTimeError

    watch(())
    family, workspace = experiment.families[proposal.family], workspace_of(experiment, proposal.family)
    n_rows = len(training.folds[fold][0]) // divisor
    done = family.validate(workspace, fold, proposal.hyperparameters, experiment.seed, watch, n_rows)
    rows, valid = training.fold(fold, n_rows)[1], training.folds[fold][1]
    order = np.argsort(valid, kind="stable")
    places = order[np.searchsorted(valid, rows, sorter=order)]
    y, weight = training.y[rows], None if training.weight is None else training.weight[rows]
    scores = [
        value(case.metric, y, prediction, weight) for prediction in (_whole(case, fold)[0][places], done.prediction)
    ]
    return case.sign * (scores[0] - scores[1])


def _whole(case: Case, fold: int) -> tuple[Floats, float]:
    """What the winner predicted for the fold's validation rows when it was trained on all others, and its score."""
    stored = _stored(case, fold)
    assert stored is not None
    return stored.prediction.astype(np.float64), stored.score.value


def _stored(case: Case, fold: int) -> FoldRecord | None:
    return read_fold(fold_file(Path(case.experiment.folder), case.members[0].proposal, fold))
