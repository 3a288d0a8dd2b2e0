"""Target leak: a column that tells the target alone, as one does that was written down after the fact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.stats import rankdata

from tasks.divided import Divided, sampled
from tasks.model import Floats
from tasks.records import Problem
from tasks.verdict import Finding, Number, State

MOST_NAMED = 6
LEAST_ROWS = 50       # by which a copy is called one; of an unrelated column of two levels that would be chance in 2^50
LEAST_OF_A_CLASS = 5  # rows of each class for the same: among 50 rows chance would hit 5 of them once in two million
TOLERANCE = 1e-5      # of the target's range: features may be stored as float32, which has seven digits
N_NUMBERS = 200       # columns of numbers of which a sum is looked for


@dataclass(frozen=True)
class TargetLeak:
    """Certain (failed) is a copy: a column in which every class has one value and every value one class, that is there
    exactly where the class is one of two, or of which the target, a number, is a multiple, a power or a logarithm.
    Suspected is a column whose ranks agree with the target's from `agreement` on, and numbers whose weighted sum the
    target is. A model may rightly need but one column, so nothing less than a copy is certain.

    rows: training rows looked at. agreement: the area under the ROC curve (either way round) for two classes, the rank
    correlation for numbers, for more the share of rows, of those outside the largest class, whose class follows from
    the column; of columns of levels, with each level's mean target in place of the level.
    """

    name: ClassVar[str] = "target_leak"
    agreement: Annotated[float, Field(gt=0.5, le=1)]
    rows: Annotated[int, Field(ge=100)]

    def inspect(self, divided: Divided) -> Finding:
        rows = sampled(len(divided.y), self.rows, divided.seed)
        y, X = divided.y[rows], divided.take("train", rows).drop(columns=list(divided.text), errors="ignore")
        copies = copies_of_target(X, y, divided.problem)
        known = agreements(X, y, divided.problem)
        close = {name: value for name, value in known.items() if value >= self.agreement and name not in copies}
        parts = sum_of_columns(X, y) if not copies and divided.problem.kind == "regression" else []
        return self._finding(known, copies, close, parts, divided.problem.target)

    def _finding(
        self, known: Mapping[str, float], copies: Mapping[str, str], close: Mapping[str, float],
        summed: Sequence[str], target: str,
    ) -> Finding:  # fmt: skip
        numbers = {"highest_agreement": Number(max(known.values(), default=0.0))}
        named = dict(sorted(known.items(), key=lambda one: -one[1])[:MOST_NAMED])
        parts = {name: {"agreement": Number(known[name])} for name in named if name in close or name in copies}
        parts |= {name: {"agreement": Number(known.get(name, 1.0))} for name in copies}
        reasons = [f"{name} is the target itself: {why}" for name, why in list(copies.items())[:MOST_NAMED]]
        reasons += [
            f"{name} alone nearly gives the target away ({value:.3f} rank agreement)"
            for name, value in list(close.items())[:MOST_NAMED]
        ]
        reasons += [f"{target} is a weighted sum of {', '.join(summed)} in every row looked at"] if summed else []
        suspects = list(dict.fromkeys([*copies, *close, *summed]))[:MOST_NAMED]
        remedy = f"; if known only afterwards: source.drop=[{','.join(suspects)}]" if suspects else ""
        if copies:
            return Finding(self.name, "failed", "; ".join(reasons) + remedy, numbers, parts)
        is_suspected = bool(close or summed)
        state: State = "told" if is_suspected else "passed"
        return Finding(self.name, state, "; ".join(reasons) + remedy, numbers, parts, is_suspected)


def agreements(X: pd.DataFrame, y: Floats, problem: Problem) -> dict[str, float]:
    """How well the ranks of each column agree with the target's, see `TargetLeak`; 0 where that can't be told."""
    found = {}
    for place, name in enumerate(X.columns):
        codes = _codes(X.iloc[:, place], y, problem)
        found[str(name)] = 0.0 if codes is None else round(_agreement(codes, y, problem), 4)
    return found


def copies_of_target(X: pd.DataFrame, y: Floats, problem: Problem) -> dict[str, str]:
    """The columns that are copies of the target, each with why; none of fewer rows than tell a copy from chance."""
    if len(y) < LEAST_ROWS:
        return {}
    why = _why_of_classes if problem.is_classification else _why_of_numbers
    found = {str(name): why(X.iloc[:, place], y, problem) for place, name in enumerate(X.columns)}
    return {name: reason for name, reason in found.items() if reason}


def sum_of_columns(X: pd.DataFrame, y: Floats) -> list[str]:
    """The columns of numbers of which the target is a weighted sum, up to rounding; none where a single one is enough
    or nothing is."""
    known = {str(name): X[name].to_numpy(dtype=np.float64) for name in X.select_dtypes("number").columns}
    known = {name: values for name, values in known.items() if np.isfinite(values).all() and np.ptp(values) > 0}
    if not 2 <= len(known) <= min(N_NUMBERS, len(y) // 2 - LEAST_ROWS):
        return []
    A = np.column_stack([values / values.std() for values in known.values()])
    weights = np.linalg.lstsq(np.column_stack([A, np.ones(len(y))]), y, rcond=None)[0]
    residual = np.abs(A @ weights[:-1] + weights[-1] - y).max()
    if residual > TOLERANCE * np.ptp(y):
        return []
    size = np.abs(weights[:-1])
    return [name for name, one in zip(known, size, strict=True) if one > 1e-3 * size.max()][:MOST_NAMED]


def _why_of_classes(values: pd.Series[Any], y: Floats, problem: Problem) -> str:
    classes, counts = np.unique(y, return_counts=True)
    if len(classes) < 2 or counts.min() < LEAST_OF_A_CLASS:
        return ""
    if _is_one_to_one(pd.factorize(values, use_na_sentinel=False)[0], y):
        return f"each of its {len(classes)} values stands for one class in all {len(y):,} rows looked at"
    is_missing = values.isna().to_numpy()
    if len(classes) == 2 and _is_one_to_one(is_missing.astype(np.int64), y):
        label = problem.classes[int(y[~is_missing][0])]
        return f"it is known exactly where {problem.target} is {label}, in all {len(y):,} rows looked at"
    return ""


def _is_one_to_one(codes: Any, y: Floats) -> bool:
    n = len(np.unique(y))
    pairs = pd.DataFrame({"code": codes, "y": y}).drop_duplicates()
    return len(pairs) == n and pairs["code"].nunique() == n and pairs["y"].nunique() == n


def _why_of_numbers(values: pd.Series[Any], y: Floats, problem: Problem) -> str:
    if not pd.api.types.is_numeric_dtype(values):
        return ""
    x = values.to_numpy(dtype=np.float64)
    is_known = np.isfinite(x)
    x, y = x[is_known], y[is_known]
    if len(x) < max(LEAST_ROWS, len(is_known) / 2) or len(np.unique(y)) < 3:
        return ""
    forms = {"a multiple of it, plus a constant": (x, y)}
    if (y > 0).all():
        forms["an exponential of it"] = (x, np.log(y))
    if (x > 0).all():
        forms["a logarithm of it"] = (np.log(x), y)
    if (x > 0).all() and (y > 0).all():
        forms["a power of it"] = (np.log(x), np.log(y))
    what = next((name for name, (a, b) in forms.items() if _is_line(a, b)), "")
    return f"{problem.target} is {what} in all {len(x):,} rows looked at" if what else ""


def _is_line(x: Floats, y: Floats) -> bool:
    """Whether all points lie on the line through the two of them with the least and the greatest y."""
    low, high = int(np.argmin(y)), int(np.argmax(y))
    if x[low] == x[high]:
        return False
    slope = (y[high] - y[low]) / (x[high] - x[low])
    return bool(np.abs(y[low] + slope * (x - x[low]) - y).max() <= TOLERANCE * (y[high] - y[low]))


def _codes(values: pd.Series[Any], target: Floats, problem: Problem) -> Floats | None:
    """(n_rows,) numbers of a column, NaN where missing; None where so few rows share a level that any column would
    seem to know the target."""
    if pd.api.types.is_numeric_dtype(values):
        numbers = values.to_numpy(dtype=np.float64)
        return _binned(numbers) if problem.kind == "multiclass" else numbers
    places, levels = pd.factorize(values)
    if len(levels) > len(values) / 20:
        return None
    codes = np.where(places < 0, np.nan, places)
    if problem.kind == "multiclass":
        return codes
    means: Floats = pd.Series(target).groupby(codes).transform("mean").to_numpy()
    return means


def _binned(numbers: Floats) -> Floats:
    """Numbers with so many values that they would seem to know every class, in bins of about 40 rows."""
    n_bins = len(numbers) // 40
    if n_bins < 2 or len(np.unique(numbers[~np.isnan(numbers)])) <= len(numbers) / 20:
        return numbers
    edges = np.nanquantile(numbers, np.linspace(0, 1, n_bins + 1)[1:-1])
    return np.where(np.isnan(numbers), np.nan, np.searchsorted(edges, numbers))


def _agreement(x: Floats, y: Floats, problem: Problem) -> float:
    known = ~np.isnan(x)
    x, y = x[known], y[known]
    if len(x) < LEAST_ROWS or len(np.unique(y)) < 2 or len(np.unique(x)) < 2:
        return 0.0
    if problem.kind == "binary":
        positive = y == 1
        n_1, n_0 = positive.sum(), (~positive).sum()
        if min(n_1, n_0) < LEAST_OF_A_CLASS:
            return 0.0
        area = (rankdata(x)[positive].sum() - n_1 * (n_1 + 1) / 2) / (n_1 * n_0)
        return float(max(area, 1 - area))
    if problem.kind == "regression":
        return float(abs(np.corrcoef(rankdata(x), rankdata(y))[0, 1]))
    table = pd.crosstab(x, y)
    largest = float(table.sum().max() / len(x))  # which no column is needed for
    told = float(table.max(axis=1).sum() / len(x))
    return (told - largest) / (1 - largest) if len(table) <= len(x) / 20 else 0.0
