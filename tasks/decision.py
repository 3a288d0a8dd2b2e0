"""Decision: which class a row is labelled with, from the probabilities of its classes and what each mistake costs.

    n   rows        prediction  (n, k) float64 probabilities       y  (n,) float64 class codes 0..k-1
    k   classes     labels      (n,) int64 class codes
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tasks.metric import METRICS, Floats, Integers, label_predictions, prepared

FILE = "decision.json"
MOST_THRESHOLDS = 2_000  # looked at; more of a large table would tell thresholds apart that differ by chance


@dataclass(frozen=True)
class Decision:
    """The class of least expected cost is taken (Bayes' rule, Elkan 2001); of equals the first.

    costs: (k, k) of the true class, in rows, and the one that is taken, in columns. threshold: of two classes, the
    second is taken where its probability is larger; then costs are [[0, t], [1 - t, 0]]. tuned_for: the metric that the
    threshold was chosen by, or None.
    """

    costs: tuple[tuple[float, ...], ...]
    threshold: float | None = None
    tuned_for: str | None = None

    @classmethod
    def at(cls, threshold: float, tuned_for: str | None = None) -> Decision:
        return cls(((0.0, threshold), (1 - threshold, 0.0)), threshold, tuned_for)

    def labels(self, prediction: Floats) -> Integers:
        if self.threshold is not None:
            return np.asarray(prediction[:, 1] > self.threshold, dtype=np.int64)
        # Summed class by class: a product by BLAS rounds differently in batches of different size.
        expected = sum(prediction[:, [code]] * np.array([row]) for code, row in enumerate(self.costs))
        return np.asarray(np.argmin(expected, axis=1), dtype=np.int64)

    def cost(self, y: Floats, labels: Integers) -> Floats:
        """(n,) what each row's label costs."""
        return np.asarray(np.array(self.costs)[y.astype(np.int64), labels], dtype=np.float64)

    def as_json(self) -> str:
        return json.dumps(asdict(self))


def read(folder: Path) -> Decision | None:
    """The decision of the model in the folder; None where its most probable class is taken."""
    path = folder / FILE
    if not path.exists():
        return None
    kept = json.loads(path.read_text(encoding="utf-8"))
    return Decision(tuple(map(tuple, kept["costs"])), kept.get("threshold"), kept.get("tuned_for"))


def labels_of(prediction: Floats, decision: Decision | None) -> Integers:
    return label_predictions(prediction) if decision is None else decision.labels(prediction)


def tuned(metric: str, y: Floats, prediction: Floats, weight: Floats | None) -> float:
    """The threshold of two classes at which the metric is best on these rows; of equals the one nearest to a half.

    Thresholds lie midway between neighbouring probabilities, so that no row is on one.
    """
    weight = np.ones(len(y)) if weight is None else weight
    score = prediction[:, 1]
    order = np.argsort(score, kind="stable")
    ascending = score[order]
    cuts = np.flatnonzero(np.diff(ascending) > 0)  # after each of these rows
    cuts = cuts[np.unique(np.linspace(0, len(cuts) - 1, min(len(cuts), MOST_THRESHOLDS)).astype(np.int64))]
    if not len(cuts):
        return 0.5
    thresholds = (ascending[cuts] + ascending[cuts + 1]) / 2
    below = [np.cumsum(weight[order] * (y[order] == code)) for code in (0, 1)]
    counts = [np.stack([under[cuts], under[-1] - under[cuts]], axis=1) for under in below]
    # Four rows, one of each true class and label, stand for all: their weights are what differs between thresholds.
    values = prepared(metric, np.array([0.0, 0, 1, 1]), np.full((4, 2), 0.5), np.array([0, 1, 0, 1]))(np.hstack(counts))
    values = np.nan_to_num(METRICS[metric].sign * values, nan=-np.inf)
    best = np.flatnonzero(values >= values.max() - 1e-12)
    return float(thresholds[best[np.argmin(np.abs(thresholds[best] - 0.5))]])


def cross_tuned(
    metric: str, y: Floats, prediction: Floats, weight: Floats | None, parts: Sequence[Integers]
) -> Integers:
    """(n,) labels of each part of the rows by the threshold that is best on the others."""
    labels = np.zeros(len(y), dtype=np.int64)
    for own in parts:
        others = np.ones(len(y), dtype=np.bool_)
        others[own] = False
        at = tuned(metric, y[others], prediction[others], None if weight is None else weight[others])
        labels[own] = prediction[own, 1] > at
    return labels
