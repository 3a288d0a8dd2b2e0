"""Promotion: whether a new version takes the champion's place, one file per rule, found from `conf/promotion/`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.bootstrap import resampled, resamples_for
from tasks.metric import METRICS, Floats, Statistic, prepared
from tasks.records import Footprint, Problem
from tasks.ruling import Ruling

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Duel:
    """What champion and challenger predict for the same rows, which neither has seen.

    y: (n,). weight: (n,) or None. groups: (n,), drawn together, or None. champion, challenger, and constant, which sees
    no feature: (n,) or (n, n_classes) each. labels: (n,) codes of the classes that champion and challenger name by
    their own decisions, or None: the most probable ones. slices: (n, n_columns) as text, or None. costs: of the
    champion and of the challenger, measured in turn on one machine, or None; slowest: the most milliseconds that the
    challenger took then.
    """

    problem: Problem
    metric: str
    y: Floats
    champion: Floats
    challenger: Floats
    constant: Floats
    weight: Floats | None = None
    groups: Rows | None = None
    labels: tuple[Rows, Rows] | None = None
    slices: pd.DataFrame | None = None
    costs: tuple[Footprint, Footprint] | None = None
    slowest: float = math.inf
    seed: int = 0

    @property
    def sign(self) -> int:
        """Of a difference of scores: positive is better."""
        return METRICS[self.metric].sign

    @property
    def n_units(self) -> int:
        """Of what is drawn by the bootstrap: groups where there are any, else rows."""
        return len(self.y) if self.groups is None else len(np.unique(self.groups))

    def statistics(self, rows: Rows | None = None) -> tuple[Statistic, Statistic]:
        """The metric of the champion and of the challenger as functions of weights: of all rows, or of those at some
        places."""
        at: Rows | slice = slice(None) if rows is None else rows
        labels = (None, None) if self.labels is None else (self.labels[0][at], self.labels[1][at])
        champion, challenger = (
            prepared(self.metric, self.y[at], prediction[at], own)
            for prediction, own in zip((self.champion, self.challenger), labels, strict=True)
        )
        return champion, challenger

    def resampled(self, statistic: Statistic, n_resamples: int) -> tuple[Floats, Floats]:
        """Numbers (k,) and the same on resamples of the rows, (at most n_resamples, k), see `bootstrap.resampled`."""
        return resampled(
            statistic, self.y, self.weight, groups=self.groups,
            n_resamples=resamples_for(len(self.y), n_resamples), seed=self.seed,
        )  # fmt: skip

    def of(self, rows: Rows) -> Duel:
        """The same on some of the rows, by their places."""
        return replace(
            self,
            y=self.y[rows],
            champion=self.champion[rows],
            challenger=self.challenger[rows],
            constant=self.constant[rows],
            weight=None if self.weight is None else self.weight[rows],
            groups=None if self.groups is None else self.groups[rows],
            labels=None if self.labels is None else (self.labels[0][rows], self.labels[1][rows]),
            slices=None if self.slices is None else self.slices.iloc[rows].reset_index(drop=True),
        )


@dataclass(frozen=True)
class Contest:
    """A challenger that passed its checks. champion: the version that has that alias, or None. duel: the two on the
    same rows; where there is a champion and no duel, `obstacle` says why they can't be compared. footprint: of the
    challenger. left_out: rows of the holdout that one of the two may have seen."""

    champion: int | None
    duel: Duel | None = None
    obstacle: str = ""
    footprint: Footprint | None = None
    left_out: int = 0


class Promotion(Protocol):
    """A rule; its fields are thresholds. compares: whether it asks for a duel, so that the champion is scored."""

    name: ClassVar[str]
    compares: ClassVar[bool]

    def rule(self, contest: Contest) -> Ruling: ...
