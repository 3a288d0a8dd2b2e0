"""A table's folds as nets take them, each encoded once from its own training rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tasks.model import Floats, Rows, Training
from tasks.model._encode import relative
from tasks.model._inputs import Indices, Inputs, Singles
from tasks.model._kept import Kept

N_LOOKED_AT = 10_000  # rows, for the numbers that have two values
ALIKE = 0.95  # folds of which the smallest has at least that share of the largest's rows share their steps per epoch


@dataclass(frozen=True)
class Side:
    """Encoded rows: numbers and flags (n, N + F), levels (n, C), y (n,) as it is in the table, weight (n,) or None."""

    numbers: Singles
    levels: Indices
    y: Floats
    weight: Floats | None


@dataclass(frozen=True)
class Encoded:
    """One fold, or all rows: what was learned of its training rows, and both sides in that form. with_waves: places of
    the numbers with more than two values in the table, the same for all folds."""

    inputs: Inputs
    train: Side
    valid: Side | None
    with_waves: tuple[int, ...] = ()

    @property
    def n_bytes(self) -> int:
        return sum(side.numbers.nbytes + side.levels.nbytes for side in (self.train, self.valid) if side is not None)


@dataclass(frozen=True)
class Sizes:
    """How many rows folds have."""

    training: Training
    counts: Kept[list[int]] = field(default_factory=lambda: Kept(lambda counts: 0))

    def of(self, n_rows: int | None) -> list[int]:
        """Training rows of every fold."""
        fold = self.training.fold
        return self.counts.get(n_rows, lambda: [len(fold(k, n_rows)[0]) for k in range(len(self.training.folds))])

    def n_train(self, fold: int, n_rows: int | None) -> int:
        """Training rows by which a fold's steps per epoch are counted: those of the largest fold, where folds are
        nearly of one size, so that they can be trained together; else its own."""
        sizes = self.of(n_rows)
        return max(sizes) if are_alike(sizes) else sizes[fold]


@dataclass(frozen=True)
class Workspace:
    """A fold is encoded once for each scaling, when a trial first needs it, from its training rows alone."""

    training: Training
    min_rows: int
    sizes: Sizes
    folds: Kept[Encoded] = field(default_factory=lambda: Kept(lambda encoded: encoded.n_bytes))

    def fold(self, fold: int, n_rows: int | None, scaling: str) -> Encoded:
        rows = self.training.fold
        return self.folds.get((fold, n_rows, scaling), lambda: self._encode(scaling, *rows(fold, n_rows)))

    def all_rows(self, scaling: str) -> Encoded:
        """All training rows, for the final fit; not kept."""
        return self._encode(scaling, np.arange(len(self.training.y)), None)

    def _encode(self, scaling: str, rows: Rows, valid: Rows | None) -> Encoded:
        X = self.training.X.iloc[rows]
        inputs = Inputs.learn(X, scaling, self.min_rows)
        weight = relative(self.training.fit_weight(rows))
        train = Side(*inputs.encode(X), self.training.y[rows], weight)
        with_waves = inputs.many_valued(self.training.some(N_LOOKED_AT)[0])
        return Encoded(inputs, train, None if valid is None else self._valid(inputs, valid), with_waves)

    def _valid(self, inputs: Inputs, rows: Rows) -> Side:
        weight = None if self.training.weight is None else self.training.weight[rows]
        return Side(*inputs.encode(self.training.X.iloc[rows]), self.training.y[rows], weight)


def are_alike(sizes: list[int]) -> bool:
    """Whether folds of these sizes can be trained together."""
    return min(sizes) >= ALIKE * max(sizes)
