"""Shuffled target: the winner's hyperparameters on a target that means nothing, which must score as chance does."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from tasks.bootstrap import resampled, resamples_for
from tasks.check import Case, Rows, number
from tasks.constant import constant
from tasks.metric import Floats, Statistic, prepared
from tasks.model import Curve, OutOfTimeError, Training, reads_text, without_text
from tasks.verdict import Finding, Number
from tasks.workspace import training_of

LEAST_ROWS = 10  # of a half of a fold's validation rows


@dataclass(frozen=True)
class ShuffledTarget:
    """A model that scores above a constant prediction on a shuffled target has seen what it is judged by: a level's
    mean that was taken of all rows, a row that stands on both sides. Half of each fold's validation rows may end
    training early, as they do in a trial; the score is that of the other half, for what early stopping reaches on its
    own rows is above chance.

    It fails where the interval of the gain is above 0 and a second shuffle says the same: by chance once in 1,600.
    folds: the most that are fitted, each twice where the first shuffle speaks against the model.
    """

    name: ClassVar[str] = "shuffled_target"
    needs_base: ClassVar[bool] = False
    folds: Annotated[int, Field(ge=1)]
    resamples: Annotated[int, Field(ge=100)]

    def measure(self, case: Case) -> Finding:
        if len(case.members) > 1 or case.experiment.base is not None:
            return self._not("the model is of several trials, or goes on from a base")
        training = training_of(case.experiment)
        folds = case.experiment.order[: self.folds]
        if min(len(training.folds[fold][1]) for fold in folds) < 2 * LEAST_ROWS:
            return self._not(f"the folds validate fewer than {2 * LEAST_ROWS} rows")
        try:
            found = [self._gain(case, folds, seed=case.experiment.seed)]
            if found[0]["gain"].low > 0:
                found.append(self._gain(case, folds, seed=case.experiment.seed + 1))
        except OutOfTimeError:
            return self._not("search.seconds left no time for it")
        except (OSError, MemoryError):
            raise
        except Exception:  # whatever a library raises on a target that means nothing
            return self._not(f"a fit failed: {traceback.format_exc().strip().splitlines()[-1]}")
        if any(one["gain"].low <= 0 for one in found):
            return Finding(self.name, "passed", "", found[-1])
        return Finding(self.name, "failed", (
            f"with a shuffled target it gains {found[0]['gain'].value:.3g} of {case.metric} over a constant one, "
            f"with another shuffle {found[1]['gain'].value:.3g}: it has seen the rows that it is judged by"
        ), found[0])  # fmt: skip

    def _not(self, reason: str) -> Finding:
        return Finding(self.name, "not_measurable", reason, {})

    def _gain(self, case: Case, folds: Sequence[int], seed: int) -> dict[str, Number]:
        """
        Raises:
            OutOfTimeError: when the time is over.
        """
        experiment = case.experiment
        generator = np.random.default_rng(seed)
        seen = training_of(experiment)
        shuffled = replace(seen, y=generator.permutation(seen.y), computed=None)
        halves = {fold: _halves(seen.folds[fold][1], generator) for fold in folds}
        cut = replace(shuffled, folds=[(seen.folds[fold][0], halves[fold][0]) for fold in folds])
        family = experiment.families[case.members[0].proposal.family]
        cut = cut if reads_text(family) else without_text(cut)
        workspace = family.workspace(cut, None, experiment.n_threads)
        scored = [_scored(case, cut, workspace, place, halves[fold][1]) for place, fold in enumerate(folds)]
        rows = np.concatenate([halves[fold][1] for fold in folds])
        places = np.split(np.arange(len(rows)), np.cumsum([len(halves[fold][1]) for fold in folds])[:-1])
        weight = None if seen.weight is None else seen.weight[rows]
        value, drawn = resampled(
            partial(_both, scored, places), shuffled.y[rows], weight,
            n_resamples=resamples_for(len(rows), self.resamples), seed=seed,
        )  # fmt: skip
        gain = case.sign * (value[0] - value[1])
        return {
            "score": number(value[0], drawn[:, 0]),
            "of_a_constant": Number(float(value[1])),
            "gain": number(gain, case.sign * (drawn[:, 0] - drawn[:, 1])),
        }


def _both(scored: Sequence[tuple[Statistic, Statistic]], places: Sequence[Rows], weights: Floats) -> Floats:
    """(m, 2) the mean over the folds of the model's score, and of a constant's."""
    of_folds = [
        [statistic(np.take(weights, rows, axis=1)) for statistic in both]
        for both, rows in zip(scored, places, strict=True)
    ]
    return np.asarray(np.mean(of_folds, axis=0)).T


def _halves(valid: Rows, generator: np.random.Generator) -> tuple[Rows, Rows]:
    mixed = generator.permutation(np.unique(valid))
    return np.sort(mixed[: len(mixed) // 2]), np.sort(mixed[len(mixed) // 2 :])


def _scored(
    case: Case, training: Training, workspace: Any, place: int, judged: Rows
) -> tuple[Statistic, Statistic]:
    """The model of a fold and a constant prediction, each as a statistic of the judged rows.

    Raises:
        OutOfTimeError: when the time is over.
    """
    experiment, proposal = case.experiment, case.members[0].proposal

    def watch(curve: Curve) -> None:
        if case.deadline is not None and time.time() > case.deadline:
            raise OutOfTimeError

    watch(())
    family = experiment.families[proposal.family]
    done = family.validate(workspace, place, proposal.hyperparameters, experiment.seed, watch, proposal.n_rows)
    prediction = done.fitted.predict(training.X.iloc[judged])
    y, rows = training.y[judged], training.folds[place][0]
    roles = {"target": training.y[rows], **({} if training.weight is None else {"weight": training.weight[rows]})}
    zero = constant(pd.DataFrame(roles), case.problem, experiment.loss, y)
    return prepared(case.metric, y, prediction), prepared(case.metric, y, zero)
