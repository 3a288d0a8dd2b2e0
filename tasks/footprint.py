"""Footprint: how large a final model is and how long it takes to predict. What trials promise of it is counted from
their folds' models and never timed, so that the same seed gives the same trials and winner on any machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean

import pandas as pd
from threadpoolctl import threadpool_limits

from tasks import model as models
from tasks.model import Fitted, Training
from tasks.records import FoldScore, Footprint, TrialResult

N_TIMED_ROWS, LEAST_TIMED_ROWS = 1_000, 100  # fewer would flatter no model: LightGBM takes as many in parts
N_TIMES = 3
LONG_SECONDS = 1.0  # of one time, for which a slow model predicts fewer rows


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
        X = _affordable(fitted, X)
        return min(_milliseconds(fitted, X) for _ in range(N_TIMES))


def side_by_side(saved: Sequence[tuple[Path, Fitted, pd.DataFrame]]) -> list[tuple[Footprint, float]]:
    """What saved models come to, each with rows for it, and the most milliseconds that each took. They are timed in
    turn, so that what else the machine does weighs on all of them alike: three times."""
    times: list[list[float]] = [[] for _ in saved]
    with threadpool_limits(1):
        each = [([fitted], _affordable([fitted], X)) for _, fitted, X in saved]
        for _ in range(N_TIMES):
            for found, (fitted, X) in zip(times, each, strict=True):
                found.append(_milliseconds(fitted, X))
    return [
        (Footprint(models.megabytes(folder), min(found)), max(found))
        for found, (folder, *_) in zip(times, saved, strict=True)
    ]


def _affordable(fitted: Sequence[Fitted], X: pd.DataFrame) -> pd.DataFrame:
    """As many of the rows as take no longer than is worth it, by a first look, which warms up too."""
    per_row = _milliseconds(fitted, X.iloc[:LEAST_TIMED_ROWS]) / 1e6
    return X.iloc[: max(LEAST_TIMED_ROWS, int(LONG_SECONDS / per_row))]


def _milliseconds(fitted: Sequence[Fitted], X: pd.DataFrame) -> float:
    """For 1,000 such rows."""
    begun = time.perf_counter()
    for one in fitted:
        one.predict(X)
    return 1_000 * 1_000 * (time.perf_counter() - begun) / len(X)
