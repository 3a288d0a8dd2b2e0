"""Decision: what a threshold or a matrix of costs brings against taking the most probable class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from tasks.check import Case, Rows, Sample, number
from tasks.decision import Decision, cross_tuned
from tasks.metric import METRICS, Floats, Statistic, label_predictions, prepared
from tasks.out_of_fold import pooled
from tasks.verdict import Finding, Number


@dataclass(frozen=True)
class Decided:
    """The cost of a row, or the metric that the threshold was tuned for too, of the labels by the decision and by
    default; on the holdout and out of fold, there with each fold's threshold tuned on the others. Told, not
    judged."""

    name: ClassVar[str] = "decision"
    needs_base: ClassVar[bool] = False
    resamples: Annotated[int, Field(ge=100)]

    def measure(self, case: Case) -> Finding | None:
        decision = case.decision
        if decision is None or not case.problem.is_classification:
            return None
        samples = [("on the holdout", case.holdout, case.on_holdout, decision.labels(case.on_holdout))]
        found = pooled(case.experiment, case.members)
        if len(found.rows):
            prediction = found.prediction if case.curve is None else case.curve(found.prediction)
            labels = decision.labels(prediction)
            if decision.tuned_for is not None:
                labels = cross_tuned(decision.tuned_for, found.y, prediction, found.weight, found.parts)
            samples.append(("out of fold", case.on_training(found.rows, found.y, found.weight), prediction, labels))
        parts: dict[str, dict[str, Number]] = {}
        for where, sample, prediction, labels in samples:
            parts |= self._parts(case, decision, where, sample, prediction, labels)
        numbers = {} if decision.threshold is None else {"threshold": Number(decision.threshold)}
        numbers["cost_per_row"] = parts["cost per row on the holdout"]["decided"]
        return Finding(self.name, "told", _described(case, decision), numbers, parts)

    def _parts(
        self, case: Case, decision: Decision, where: str, sample: Sample, prediction: Floats, labels: Rows
    ) -> dict[str, dict[str, Number]]:
        default = label_predictions(prediction)
        costs = [_mean(decision.cost(sample.y, given)) for given in (labels, default)]
        parts = {f"cost per row {where}": self._pair(case, sample, costs, -1)}
        if (name := decision.tuned_for) is not None:
            of_labels = [prepared(name, sample.y, prediction, given) for given in (labels, default)]
            parts[f"{name} {where}"] = self._pair(case, sample, of_labels, METRICS[name].sign)
        return parts

    def _pair(self, case: Case, sample: Sample, two: Sequence[Statistic], sign: int) -> dict[str, Number]:
        """By the decision, and by default, on the same resamples."""
        value, found = sample.resampled(
            lambda weights: np.stack([one(weights) for one in two], axis=1), case, self.resamples
        )
        return {
            "decided": number(value[0], found[:, 0]),
            "by_default": number(value[1], found[:, 1]),
            "better": number(sign * (value[0] - value[1]) + 0.0, sign * (found[:, 0] - found[:, 1]) + 0.0),  # no -0
        }


def _mean(of_rows: Floats) -> Statistic:
    return lambda weights: weights @ of_rows / weights.sum(axis=1)


def _described(case: Case, decision: Decision) -> str:
    if decision.threshold is None:
        return "the class of least expected cost is taken, by costs"
    tuned = f", tuned for {decision.tuned_for} out of fold" if decision.tuned_for else ""
    label, t = case.problem.classes[1], decision.threshold
    costs = f"{1 - t:.3g} for a {label} that is missed, {t:.3g} for a false one"
    return f"{label} is taken where its probability is above {t:.4g}{tuned}; a threshold stands for costs of {costs}"
