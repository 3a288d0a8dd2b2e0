"""What each column adds to each prediction: exactly where a family can tell, else by sampled Shapley values.

    n   rows        o   outputs: one for a regression and for two classes (the second), else one for each class
    d   columns
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.refusal import Refusal

Floats = npt.NDArray[np.float64]
# Hybrid rows that are predicted for each row explained: fewer columns get more orders. Never fewer than one order and
# its reverse from one row of the background, 2 (d + 1) rows.
N_HYBRIDS = 400
ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Contributions:
    """values: (n, o, d) in the order of `columns`; bias: (n, o). Their sum is the prediction, or the family's score
    before its link function (log-odds, logarithms), as `scale` says."""

    columns: tuple[str, ...]
    values: Floats
    bias: Floats
    scale: Literal["score", "prediction"]


@runtime_checkable
class Explains(Protocol):
    """A model that tells exactly what each column adds."""

    def explain(self, X: pd.DataFrame) -> Contributions | None:
        """None where this very model can't, though others of its family can."""
        ...


class Predicts(Protocol):
    def predict(self, X: pd.DataFrame) -> Floats: ...


def explained(fitted: Predicts, X: pd.DataFrame, background: pd.DataFrame | None) -> Contributions:
    """The model's own account, or where it has none Shapley values of its predictions, sampled.

    Raises:
        Refusal: where they would have to be sampled, and there is no row to begin from.
    """
    own = fitted.explain(X) if isinstance(fitted, Explains) else None
    if own is not None:
        return own
    if background is None or not len(background):
        raise Refusal("contributions: this model keeps no example rows to begin from; train and register it anew.")
    return sampled(fitted, X, background)


def sampled(fitted: Predicts, X: pd.DataFrame, background: pd.DataFrame) -> Contributions:
    """Shapley values against the rows of `background`, typed as X: columns change one by one, in an order drawn at
    random and in its reverse, from a background row's cell to the row's own, and each is credited with what its
    change does (Strumbelj and Kononenko 2014; the reverse orders as in Mitchell et al. 2022).

    They and the bias sum to the prediction exactly, whatever is drawn; a column's own share has a sampling error. All
    rows are given the same orders, so that a row's values depend on no other row.
    """
    columns = tuple(X.columns)
    d = max(1, len(columns))
    starts = background.iloc[: max(1, N_HYBRIDS // (2 * (d + 1)))]
    n_pairs = max(1, N_HYBRIDS // (2 * (d + 1) * len(starts)))
    drawn = [np.random.default_rng(seed).permutation(len(columns)) for seed in range(n_pairs * len(starts))]
    values, bias = [], []
    for begin in range(0, len(X), max(1, ROWS_AT_ONCE // (d + 1))):
        part = X.iloc[begin : begin + max(1, ROWS_AT_ONCE // (d + 1))]
        walks = [
            _walk(fitted, part, starts.iloc[[number % len(starts)]], order)
            for number, one in enumerate(drawn)
            for order in (one, one[::-1])
        ]
        values.append(np.mean([steps for steps, _ in walks], axis=0))
        bias.append(np.mean([first for _, first in walks], axis=0))
    return Contributions(columns, np.concatenate(values), np.concatenate(bias), "prediction")


def _walk(fitted: Predicts, X: pd.DataFrame, start: pd.DataFrame, order: npt.NDArray[np.int64]) -> tuple[Floats,
Floats]:
    """(n, o, d) what each column's change does on the way, and (n, o) the prediction where it begins."""
    n, d = X.shape
    step_of = np.argsort(order)
    hybrid: dict[Any, Any] = {}
    for column, step in zip(X.columns, step_of, strict=True):
        is_own = np.arange(d + 1) > step
        cells = np.where(is_own, X[column].to_numpy(dtype=object)[:, None], start[column].to_numpy(dtype=object)[0])
        hybrid[column] = pd.Series(cells.ravel(), dtype=object).astype(X[column].dtype)
    made = outputs(fitted.predict(pd.DataFrame(hybrid))).reshape(n, d + 1, -1)
    return np.diff(made, axis=1)[:, step_of].transpose(0, 2, 1), made[:, 0]


def outputs(prediction: Floats) -> Floats:
    """(n, o) of a prediction (n,) or (n, n_classes)."""
    if prediction.ndim == 1:
        return prediction[:, None]
    return prediction[:, 1:] if prediction.shape[1] == 2 else prediction
