"""Prediction intervals of a regression, conformal, from residuals of rows that were predicted out of fold.

The interval of a row at a level is its prediction plus the (1 - level) / 2 and (1 + level) / 2 quantiles of the
residuals, with the finite-sample correction that counts the row to come as one more (Vovk et al. 2005; both tails
apart as in Romano, Patterson, Candes 2019, theorem 2). The centre is the final fit's prediction and not the folds'
own, so this is the cross-validated form of the jackknife, and not CV+ (Barber, Candes, Ramdas, Tibshirani 2021,
section 2), which would keep every fold's model: its coverage is that of the level where the final fit predicts as its
folds did, and is measured on the holdout. Rows with weights are counted by them, the one to come by their mean. Width
doesn't depend on the row.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.refusal import Refusal

FILE = "interval.json"
KEPT = 4_000  # residuals of a large table that are kept, evenly by rank; left ones widen an interval, never narrow it
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Residuals:
    """Of n rows, of which some are kept. values: (m,) true minus predicted, ascending. below, above: (m,) the share of
    all weight, the coming row's too, at or below each value, and at or above it."""

    values: tuple[float, ...]
    below: tuple[float, ...]
    above: tuple[float, ...]
    n_rows: int

    @classmethod
    def of(cls, residuals: Floats, weight: Floats | None = None) -> Residuals:
        order = np.argsort(residuals, kind="stable")
        counted = np.ones(len(order)) if weight is None else weight[order]
        total = counted.sum() + counted.mean()
        below, above = np.cumsum(counted) / total, np.cumsum(counted[::-1])[::-1] / total
        kept = np.unique(np.linspace(0, len(order) - 1, min(len(order), KEPT)).round().astype(np.int64))
        values = residuals[order][kept]
        return cls(tuple(values.tolist()), tuple(below[kept].tolist()), tuple(above[kept].tolist()), len(order))

    @property
    def highest(self) -> float:
        """The highest level that can be had: with 39 rows of equal weight 0.95."""
        return max(0.0, 2 * min(self.below[-1], self.above[0]) - 1)

    def can(self, level: float) -> bool:
        return 0 < level <= self.highest + 1e-12

    def bounds(self, level: float) -> tuple[float, float]:
        """What is added to a prediction for the lower and the upper end.

        Raises:
            Refusal: for a level that isn't between 0 and 1, or that needs more rows.
        """
        if not 0 < level < 1:
            raise Refusal(f"interval={level:g}: a level lies between 0 and 1; 0.9 asks for nine rows in ten.")
        if not self.can(level):
            raise Refusal(
                f"interval={level:g}: {self.n_rows:,} rows were predicted out of fold, which give levels up to "
                f"{np.floor(self.highest * 1e4) / 1e4:g}; ask for less, or train on more rows."
            )
        least = (1 + level) / 2 - 1e-12
        upper = int(np.searchsorted(np.array(self.below), least))
        lower = len(self.values) - 1 - int(np.searchsorted(np.array(self.above)[::-1], least))
        return self.values[lower], self.values[upper]

    def as_json(self) -> str:
        return json.dumps(asdict(self))


def read(folder: Path) -> Residuals | None:
    """What the model in the folder knows of its residuals; None for classes, and where none were kept."""
    path = folder / FILE
    if not path.exists():
        return None
    kept = json.loads(path.read_text(encoding="utf-8"))
    return Residuals(tuple(kept["values"]), tuple(kept["below"]), tuple(kept["above"]), kept["n_rows"])
