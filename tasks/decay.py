"""Decay: what a model's score lost since it was judged on its holdout, with an interval.

The loss is counted as a share of the gain over a constant prediction that the model had on its holdout, which has no
unit, so that one threshold serves every metric. Both scores are uncertain: their standard errors (of the holdout's by
its 95 % interval, of today's by the bootstrap) add in squares, for the rows are others.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, isfinite, nan

from scipy import stats

from tasks import metric as metrics
from tasks.bootstrap import intervals, resamples_for
from tasks.decision import Decision, labels_of
from tasks.metric import METRICS, Floats
from tasks.records import HoldoutScore

N_RESAMPLES = 1_000
Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class Decay:
    """A score of today with its 95 % interval against that of the holdout. lost: the share of the gain over a constant
    that is gone, with its 95 % interval; below 0 where the score is better; NaN where the model had no gain."""

    metric: str
    n_rows: int
    value: float
    low: float
    high: float
    before: float
    lost: float
    lost_low: float
    lost_high: float

    @property
    def is_sure(self) -> bool:
        """Whether the whole interval says that the score fell."""
        return self.lost_low > 0

    def in_words(self) -> str:
        if not isfinite(self.value):
            return f"{self.metric} isn't defined on these {self.n_rows:,} labelled rows"
        return (
            f"{self.metric} {self.value:.4g} ({self.low:.4g} to {self.high:.4g}) on {self.n_rows:,} labelled rows, "
            f"{self.before:.4g} on the holdout: {self.lost:.0%} of the gain over a constant lost "
            f"({self.lost_low:.0%} to {self.lost_high:.0%})"
        )


def decay_of(
    metric: str, y: Floats, prediction: Floats, before: HoldoutScore, decision: Decision | None, seed: int = 0
) -> Decay:
    """What the score of these rows lost.

    y: (n,) codes of classes, or the target. prediction: (n, k) probabilities or (n,) numbers. before: of the holdout.
    decision: how the model takes a class.
    """
    labels = labels_of(prediction, decision) if prediction.ndim == 2 else None
    value = metrics.value(metric, y, prediction, labels=labels)
    n_resamples = resamples_for(len(y), N_RESAMPLES)
    low, high = intervals([metric], y, prediction, labels=labels, n_resamples=n_resamples, seed=seed)[metric]
    sign = METRICS[metric].sign
    gain = sign * (before.value - before.baseline)
    if not gain > 0 or not isfinite(value):
        return Decay(metric, len(y), value, low, high, before.value, nan, nan, nan)
    lost = sign * (before.value - value) / gain
    spread = Z * hypot((high - low) / (2 * Z), (before.high - before.low) / (2 * Z)) / gain
    return Decay(metric, len(y), value, low, high, before.value, lost, lost - spread, lost + spread)
