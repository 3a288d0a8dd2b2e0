"""The course of a search or of a fit: what it had reached on each fold by the time that so much had been spent.

    n   points of the course        k   folds
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.evidence import rung_of
from tasks.metric import METRICS, better
from tasks.records import TrialResult
from tasks.study import FoldRecord

Floats = NDArray[np.float64]
Shown = Literal["metric", "cost"]


@dataclass(frozen=True)
class Course:
    """spent: (n,) ascending; scores: (n, k), the best so far on each fold. A family without rounds has one point, and
    nothing spent."""

    name: str
    spent: Floats
    scores: Floats

    @property
    def is_flat(self) -> bool:
        return len(self.spent) == 0


def of_search(name: str, results: Sequence[TrialResult], winner: int, metric: str, *, in_seconds: bool) -> Course:
    """The folds of the best trial so far against the fold fits, or the seconds of computing, of all trials up to then.

    results: in the order of their trials. winner: the number of the trial that won; what was judged on less evidence
    than that, or ended early, counts as spent alone.
    """
    (won,) = (one for one in results if one.proposal.number == winner)
    costs = [one.seconds if in_seconds else float(len(one.folds)) for one in results]
    spent, scores, best = [], [], None
    for result, total in zip(results, accumulate(costs), strict=True):
        is_rival = result.error is None and rung_of(result.proposal) == rung_of(won.proposal)
        if not is_rival or len(result.folds) < len(won.folds):
            continue
        best = result if best is None or better(metric, result.score, best.score) else best
        spent.append(total)
        scores.append([fold.value for fold in best.folds])
    return Course(name, np.array(spent), np.array(scores))


def of_fit(name: str, records: Sequence[FoldRecord], shown: Shown, metric: str) -> Course:
    """The best so far on each fold against the rounds, or epochs, of a fit.

    shown: the metric, as the learning curves have it, or the cost; both on the validation rows. A family without
    rounds, or whose curves have something else, is flat at the folds' own values.
    """
    is_metric = shown == "metric"
    if not (watched_by(records) == "metric" if is_metric else all(record.costs for record in records)):
        own = [record.score.value if is_metric else record.score.cost for record in records]
        return Course(name, np.array([]), np.array([own]))
    sign = METRICS[metric].sign if is_metric else -1
    curves = [np.array(record.curve if is_metric else record.costs, dtype=np.float64) for record in records]
    rounds = np.unique(np.concatenate([curve[:, 0] for curve in curves]))
    rounds = rounds[rounds >= max(curve[0, 0] for curve in curves)]
    columns = []
    for curve in curves:
        best = sign * np.maximum.accumulate(sign * curve[:, 1])
        columns.append(best[np.searchsorted(curve[:, 0], rounds, side="right") - 1])
    return Course(name, rounds, np.stack(columns, axis=1))


def shown_by(choices: Sequence[Sequence[FoldRecord]], *, is_one_loss: bool) -> Shown | None:
    """What the courses of fits can show: the cost where all choices train on one loss and none with rounds lacks it,
    else the metric where learning curves have it; None where neither can be had.

    choices: the folds of each. A cost is what training lowers, and smooth where a metric jumps; that of another loss is
    in another unit.
    """
    every = [record for records in choices for record in records]
    with_rounds = [record for record in every if record.curve]
    if is_one_loss and with_rounds and all(record.costs for record in with_rounds):
        return "cost"
    curved = [records for records in choices if any(record.curve for record in records)]
    return "metric" if curved and all(watched_by(records) == "metric" for records in curved) else None


def watched_by(records: Sequence[FoldRecord]) -> Shown | None:
    """What learning curves show: families may watch the metric or the cost, and the chosen round's value tells."""
    chosen = [dict(record.curve).get(record.score.rounds or 0, np.nan) for record in records]
    if np.allclose(chosen, [record.score.value for record in records], rtol=1e-3):
        return "metric"
    return "cost" if np.allclose(chosen, [record.score.cost for record in records], rtol=1e-3) else None
