"""Overfitting: what the model has learned of its training rows alone, and what the search of its folds alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from tasks.check import Case, OutOfFold, Rows, lost, number
from tasks.metric import Floats, Statistic
from tasks.verdict import Finding, Number, State
from tasks.workspace import training_of

Share = Annotated[float, Field(gt=0)] | None


@dataclass(frozen=True)
class Overfitting:
    """Three scores: of the final model on its own training rows, of the folds' models on rows that they had not seen,
    and of the final model on the holdout. Gains are over a constant prediction.

    most_lost_out_of_fold: of the gain in training; most_lost_on_holdout: of the gain out of fold; either fails only
    where the whole interval of its gap speaks against the model. rows: training rows looked at, about.
    """

    name: ClassVar[str] = "overfitting"
    needs_base: ClassVar[bool] = False
    reads_pairs: ClassVar[bool] = True
    most_lost_out_of_fold: Share
    most_lost_on_holdout: Share
    rows: Annotated[int, Field(ge=100)]
    resamples: Annotated[int, Field(ge=100)]

    def measure(self, case: Case) -> Finding:
        found = case.out_of_fold(self.rows)
        if not len(found.rows):
            return Finding(self.name, "not_measurable", "no prediction out of fold is stored", {})
        seen, held = self._on_training_rows(case, found), self._on_holdout(case)
        training = training_of(case.experiment)
        weight = None if training.weight is None else training.weight[found.rows]
        zero = case.constant_score(training.y[found.rows], weight)
        gains = [case.sign * (score - zero) for score in seen[0]]
        on_holdout = case.sign * (held[0][0] - case.constant_score(case.holdout.y, case.holdout.weight))
        of_training = number(gains[0] - gains[1], case.sign * (seen[1][:, 0] - seen[1][:, 1]))
        m = min(len(seen[1]), len(held[1]))
        of_holdout = number(
            case.sign * (seen[0][1] - held[0][0]), case.sign * (seen[1][:m, 1] - held[1][:m, 0])
        )
        numbers = {
            "training": number(seen[0][0], seen[1][:, 0]),
            "out_of_fold": number(seen[0][1], seen[1][:, 1]),
            "holdout": number(held[0][0], held[1][:, 0]),
            "worse_out_of_fold": of_training,
            "lost_out_of_fold": Number(lost(gains[0], gains[1])),
            "worse_on_holdout": of_holdout,
            "lost_on_holdout": Number(lost(gains[1], on_holdout)),
        }
        return Finding(self.name, *self._judged(numbers), numbers)

    def _judged(self, numbers: dict[str, Number]) -> tuple[State, str]:
        reasons = []
        out_of_fold, on_holdout = (numbers[f"lost_{where}"] for where in ("out_of_fold", "on_holdout"))
        if _is_over(numbers["worse_out_of_fold"], out_of_fold, self.most_lost_out_of_fold):
            reasons.append(
                f"{out_of_fold.value:.0%} of what it gains on its training rows is not there out of "
                f"fold, more than check.overfitting.most_lost_out_of_fold={self.most_lost_out_of_fold:g}: fewer "
                "parameters, more regularisation or more rows would help"
            )
        if _is_over(numbers["worse_on_holdout"], on_holdout, self.most_lost_on_holdout):
            reasons.append(
                f"{on_holdout.value:.0%} of what it gains out of fold is not there on the holdout, more than "
                f"check.overfitting.most_lost_on_holdout={self.most_lost_on_holdout:g}: the search has fitted the "
                "folds, or the holdout is unlike the training rows"
            )
        return ("failed", "; ".join(reasons)) if reasons else ("passed", "")

    def _on_training_rows(self, case: Case, found: OutOfFold) -> tuple[Floats, Floats]:
        """(2,) and (m, 2): the score of the final model, see `_learned`, and the mean of the folds', of as many."""
        training = training_of(case.experiment)
        y, weight = training.y[found.rows], None if training.weight is None else training.weight[found.rows]
        learned = _learned(case, found)
        whole = case.prepared(training.y[learned], case.fitted.predict(training.take(learned)))
        folds = [(rows, case.prepared(y[rows], prediction)) for rows, prediction in _with_rows(found.folds)]

        def both(weights: Floats) -> Floats:
            return np.stack([whole(weights), _mean_of_folds(folds, weights)], axis=1)

        return case.on_training(found.rows, y, weight).resampled(both, case, self.resamples)

    def _on_holdout(self, case: Case) -> tuple[Floats, Floats]:
        statistic = case.prepared(case.holdout.y, case.on_holdout)
        return case.holdout.resampled(statistic, case, self.resamples, seed=1)


def _learned(case: Case, found: OutOfFold) -> Rows:
    """Rows that the final model learned from: those that are looked at out of fold; of an ensemble whose members share
    one fold, whose rows their models of it have not seen, as many others."""
    others = np.setdiff1d(np.arange(len(training_of(case.experiment).y)), found.rows)
    if len(case.members) == 1 or len(found.folds) > 1 or not len(others):
        return found.rows
    return others[np.linspace(0, len(others) - 1, len(found.rows), dtype=np.int64)]


def _with_rows(folds: Sequence[tuple[Rows, Floats]]) -> Sequence[tuple[Rows, Floats]]:
    """Of folds of one row each (leave-one-out) all together: by themselves their scores have no spread, and the mean of
    their RMSEs would be an MAE."""
    if any(len(rows) > 1 for rows, _ in folds):
        return folds
    rows, predictions = zip(*folds, strict=True)
    return [(np.concatenate(rows), np.concatenate(predictions))]


def _mean_of_folds(folds: list[tuple[Rows, Statistic]], weights: Floats) -> Floats:
    return np.asarray(np.mean([statistic(np.take(weights, rows, axis=1)) for rows, statistic in folds], axis=0))


def _is_over(gap: Number, share: Number, most: float | None) -> bool:
    return most is not None and share.value > most and gap.low > 0
