"""Forgetting: what the base could do on rows of its own source and the fine-tuned model can't any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from tasks import metric as metrics
from tasks import model as models
from tasks.bootstrap import resampled, resamples_for
from tasks.check import Case, in_classes_of, lost, number
from tasks.constant import constant
from tasks.metric import METRICS, Floats, Integers, prepared
from tasks.metric import label_predictions as most_probable
from tasks.model import Fitted, HasWeights, Weights, within
from tasks.records import Problem
from tasks.source_rows import Part, SourceRows, has_source_rows, source_rows
from tasks.verdict import Finding, Number
from tasks.workspace import Experiment

Labels = Callable[[Floats], Integers | None]  # (n, k) probabilities to (n,) class codes
NO_ROWS = "the base keeps no rows of its source to measure it on; source_data=FILE gives some"
PERPLEXITIES = ("perplexity_of_the_base", "perplexity")  # beside the metric, of a model that writes
NO_MODEL = "the base doesn't predict this target, so there is nothing of it to forget"


@dataclass(frozen=True)
class Forgetting:
    """The score on the base's own source holdout, of the base and of the model on the same rows.

    most_lost: of the base's gain over a constant prediction there; it fails only where the whole interval of the
    change speaks against the model.
    """

    name: ClassVar[str] = "forgetting"
    needs_base: ClassVar[bool] = True
    reads_pairs: ClassVar[bool] = True
    most_lost: Annotated[float, Field(gt=0)] | None
    resamples: Annotated[int, Field(ge=100)]

    def measure(self, case: Case) -> Finding:
        assert case.base is not None
        beside = _beside(case)
        if case.base_model is None:
            return Finding(self.name, "not_measurable", NO_MODEL, beside)
        if not has_source_rows(case.base):
            return Finding(self.name, "not_measurable", NO_ROWS, beside)
        labels = (case.labels_of_base, case.labels)
        numbers = forgotten(case.experiment, case.base, case.fitted, "holdout", self.resamples, labels)
        if not numbers:
            return Finding(self.name, "not_measurable", "the base's source has no rows in its holdout", beside)
        share = numbers["lost"].value
        if self.most_lost is None or share <= self.most_lost or not numbers["worse"].low > 0:
            return Finding(self.name, "passed", "", {**numbers, **beside})
        pooled = "" if case.problem.is_generation else "strategy=pooled trains on rows of the source too, and "
        reason = (
            f"{share:.0%} of what the base gains on its own source is gone, more than "
            f"check.forgetting.most_lost={self.most_lost:g}; {pooled}strategies that freeze more forget less"
        )
        return Finding(self.name, "failed", reason, {**numbers, **beside})


def forgotten(
    experiment: Experiment, base: Path, fitted: Fitted, part: Part, n_resamples: int,
    labels: tuple[Labels, Labels] = (most_probable, most_probable),
) -> Mapping[str, Number]:
    """The scores of a base and of a model that goes on from it on the same rows of the base's source: `base`,
    `fine_tuned`, by how much it is `worse` (positive, whichever way the metric points), which share of the base's gain
    over a constant is `lost`, and the `churn` of its predictions. Empty where that part of the source has no rows.

    part: `valid` for choices, which are made many times; `holdout` once, at the end. labels: by which predictions of
    the base and of the model become classes.

    Raises:
        Refusal: when the base keeps no rows.
    """
    rows, problem, metric = source_rows(base, part, experiment.problem), experiment.problem, experiment.metric
    if not len(rows.y):
        return {}
    before = in_classes_of(problem, base, models.load(base).predict(rows.X))
    pools = any(getattr(family, "pools", False) for family in experiment.families.values())
    after = (getattr(fitted, "predict_source", fitted.predict) if pools else fitted.predict)(rows.X)
    predictions = (before, after)
    classes = tuple(of(one) if problem.is_classification else None for of, one in zip(labels, predictions, strict=True))
    sign, unit = METRICS[metric].sign, _unit(rows.y, problem)
    told = PERPLEXITIES if problem.is_generation else ()
    which = [metric, *(["perplexity"] if told else [])]
    scores = [prepared(name, rows.y, *pair) for name in which for pair in zip(predictions, classes, strict=True)]
    changes = changed(problem, predictions, classes) / unit

    def every(weights: Floats) -> Floats:
        return np.stack([*(score(weights) for score in scores), weights @ changes / weights.sum(axis=1)], axis=1)

    value, found = resampled(
        every, rows.y, rows.weight, n_resamples=resamples_for(len(rows.y), n_resamples), seed=experiment.seed,
    )
    zero = _zero(rows, experiment)
    return {
        "base": number(value[0], found[:, 0]),
        "fine_tuned": number(value[1], found[:, 1]),
        "worse": number(sign * (value[0] - value[1]), sign * (found[:, 0] - found[:, 1])),
        "lost": Number(lost(sign * (value[0] - zero), sign * (value[1] - zero))),
        "churn": number(value[-1], found[:, -1]),
        **{name: number(value[k], found[:, k]) for k, name in enumerate(told, start=2)},
    }


def changed(problem: Problem, predictions: tuple[Floats, Floats], classes: Sequence[Integers | None]) -> Floats:
    """(n,) whether each row's class changes, or by how much its prediction does, of a text its loss per token.
    predictions, classes: before and after."""
    before, after = predictions
    if problem.is_classification:
        return np.asarray(classes[0] != classes[1], dtype=np.float64)
    if problem.is_generation:
        before, after = (given[:, 0] / given[:, 1] for given in (before, after))
    return np.asarray(np.abs(after - before))


def _unit(y: Floats, problem: Problem) -> float:
    """What a change of a prediction is counted in: the target's spread."""
    return float(np.std(y)) or 1.0 if problem.kind == "regression" else 1.0


def _zero(rows: SourceRows, experiment: Experiment) -> float:
    """What the best constant prediction of these very rows scores."""
    roles = pd.DataFrame({"target": rows.y, **({} if rows.weight is None else {"weight": rows.weight})})
    prediction = constant(roles, experiment.problem, experiment.loss, rows.y)
    return metrics.value(experiment.metric, rows.y, prediction, rows.weight)


def _beside(case: Case) -> dict[str, Number]:
    """What needs no row of the source: the churn on the holdout, and how far the weights moved where both are nets of
    one form."""
    numbers = {}
    if case.base_on_holdout is not None:
        predictions = (case.base_on_holdout, case.on_holdout)
        classes = (case.labels_of_base(case.base_on_holdout), case.labels(case.on_holdout))
        changes = changed(case.problem, predictions, classes) / _unit(case.holdout.y, case.problem)
        numbers["churn_on_holdout"] = Number(float(np.mean(changes)))
    after = within(case.fitted)
    if isinstance(after, HasWeights) and case.base_net is not None:
        moved = distance(case.base_net.weights(), after.weights())
        numbers |= {} if moved is None else {"distance": Number(moved)}
    return numbers


def distance(before: Weights, after: Weights) -> float | None:
    """How far the weights moved, as a share of the length that they had (relative L2), over those that both nets have
    in one shape; None where there are none."""
    shared = [name for name, value in before.items() if name in after and after[name].shape == value.shape]
    length = sum(float(np.sum(np.square(before[name]))) for name in shared)
    moved = sum(float(np.sum(np.square(after[name] - before[name]))) for name in shared)
    return float(np.sqrt(moved / length)) if length else None
