"""Footprint: how large a final model is and how long it takes to predict. What trials promise of it is counted from
their folds' models and never timed, so that the same seed gives the same trials and winner on any machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from tasks import model as models
from tasks.model import Fitted, Training
from tasks.records import FoldScore, Footprint, TrialResult

N_TIMED_ROWS, LEAST_TIMED_ROWS = 1_000, 100
N_TIMES = 3
LONG_SECONDS = 1.0  # of one time: a slow model predicts fewer rows, at least the least


@dataclass(frozen=True)
class Limits:
    """The most that a final model may come to, see `Footprint`; None: no limit."""

    megabytes: float | None = None
    milliseconds: float | None = None

    def __bool__(self) -> bool:
        return bool(self.known)

    @property
    def known(self) -> dict[str, float]:
        """The limits that are set."""
        return {key: limit for key, limit in asdict(self).items() if limit is not None}

    def excess(self, footprint: Footprint | None) -> dict[str, float]:
        """By which share of each limit that is set a model exceeds it; at most 0 where the limit is held, and 0 for a
        model of which nothing is known."""
        if footprint is None:
            return dict.fromkeys(self.known, 0.0)
        return {key: getattr(footprint, key) / limit - 1 for key, limit in self.known.items()}

    def described(self, excess: dict[str, float]) -> str:
        """What exceeds which limit, in words; nothing where all are held."""
        over = {key: by for key, by in excess.items() if by > 0}
        named = (f"{(1 + by) * self.known[key]:.3g} of search.{key}={self.known[key]:g}" for key, by in over.items())
        return " and ".join(named)


def promised(folds: Sequence[FoldScore]) -> Footprint | None:
    """What the final model of a trial will come to: the mean of what its folds have it; None where nothing is limited,
    and where no fold was finished."""
    known = [fold.footprint for fold in folds if fold.footprint is not None]
    if not known:
        return None
    return Footprint(fmean(one.megabytes for one in known), fmean(one.milliseconds for one in known))


def limited(result: TrialResult, limits: Limits) -> TrialResult:
    """The result with what its model exceeds the limits by."""
    return replace(result, excess=limits.excess(promised(result.folds))) if limits else result


def measured(folder: Path, training: Training) -> Footprint:
    """What a saved model comes to, by the clock of this machine."""
    X = training.some(N_TIMED_ROWS)[0].iloc[:N_TIMED_ROWS]
    return Footprint(models.megabytes(folder), milliseconds([models.load(folder)], X))


def milliseconds(fitted: Sequence[Fitted], X: pd.DataFrame) -> float:
    """What models take together on one core to predict 1,000 rows such as these, of which slow ones predict fewer: the
    least of three times."""
    with threadpool_limits(1):
        some = _spread(X, _affordable(fitted, X))
        return min(_milliseconds(fitted, some) for _ in range(N_TIMES))


def side_by_side(saved: Sequence[tuple[Path, Fitted, pd.DataFrame]]) -> list[tuple[Footprint, float]]:
    """What saved models come to, each with rows for it, and the most milliseconds that each took. They are timed in
    turn, so that what else the machine does weighs on all of them alike: three times."""
    times: list[list[float]] = [[] for _ in saved]
    with threadpool_limits(1):
        n_rows = min(_affordable([fitted], X) for _, fitted, X in saved)
        for _ in range(N_TIMES):
            for found, (_folder, fitted, X) in zip(times, saved, strict=True):
                found.append(_milliseconds([fitted], _spread(X, n_rows)))
    return [
        (Footprint(models.megabytes(folder), min(found)), max(found))
        for found, (folder, *_) in zip(times, saved, strict=True)
    ]


def _affordable(fitted: Sequence[Fitted], X: pd.DataFrame) -> int:
    """How many of the rows take no longer than is worth it, by a look after one that warms up."""
    some = _spread(X, LEAST_TIMED_ROWS)
    _, per_thousand = (_milliseconds(fitted, some) for _ in range(2))
    return max(LEAST_TIMED_ROWS, int(1_000 * 1_000 * LONG_SECONDS / per_thousand))


def _spread(X: pd.DataFrame, n: int) -> pd.DataFrame:
    """So many rows of all parts of a table, or all that there are."""
    return X.iloc[np.linspace(0, len(X) - 1, min(n, len(X))).astype(np.int64)]


def _milliseconds(fitted: Sequence[Fitted], X: pd.DataFrame) -> float:
    """For 1,000 such rows."""
    begun = time.perf_counter()
    for one in fitted:
        one.predict(X)
    return 1_000 * 1_000 * (time.perf_counter() - begun) / len(X)
