"""What is noteworthy about a table: missing values, duplicates, and columns that give the target away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from tasks.columns import Table
from tasks.records import Problem

N_SAMPLED = 5_000
GIVES_AWAY = 0.995  # rank agreement with the target from which on a column is suspect
MAX_SHOWN = 6


def quality(
    features: Table, y: npt.NDArray[np.float64], problem: Problem, hashes: npt.NDArray[np.uint64], *, together: bool,
    text: Sequence[str] = (),
) -> dict[str, Any]:
    """Counts per finding, and `notes` to say aloud.

    features: (n_rows, n_features) typed. y: (n_rows,) class codes or numbers. hashes: (n_rows,) of the rows' content.
    together: whether equal rows are kept on one side of the holdout. text: features that are prose, without levels.
    """
    missing, levels, n_features = {}, {}, 0
    for name, values in features.items():
        n_features += 1
        if share := float(values.isna().to_numpy().mean()):
            missing[str(name)] = round(share, 4)
        if name not in text and not pd.api.types.is_numeric_dtype(values):
            levels[str(name)] = int(values.nunique())
    ordered = np.sort(hashes)  # np.unique hashes them once more: 11 s instead of 0.5 for five million
    report: dict[str, Any] = {
        "n_rows": len(y),
        "n_features": n_features,
        "missing": missing,
        "duplicate_rows": int((ordered[1:] == ordered[:-1]).sum()),
        "levels": levels,
    }
    if problem.is_classification:
        report["classes"] = {str(label): int((y == code).sum()) for code, label in enumerate(problem.classes)}
    report["notes"] = _notes(report, together=together)
    return report


def _notes(report: dict[str, Any], *, together: bool) -> list[str]:
    notes = []
    if report["missing"]:
        worst = sorted(report["missing"].items(), key=lambda item: -item[1])
        shown = ", ".join(f"{name} {share:.1%}" for name, share in worst[:MAX_SHOWN])
        columns = f"{len(worst):,} column{'s' * (len(worst) > 1)}"
        notes.append(f"missing values in {columns}: {shown}{', ...' * (len(worst) > MAX_SHOWN)}")
    if report["duplicate_rows"]:
        n = report["duplicate_rows"]
        where = "they stay on one side of the holdout" if together else "they may stand on both sides of the holdout"
        notes.append(f"{n:,} row{'s repeat' if n > 1 else ' repeats'} another row; {where}, and on any side of a fold")
    many = {name: n for name, n in report["levels"].items() if n > 1_000}
    notes += [f"{name} has {n:,} levels" for name, n in list(many.items())[:MAX_SHOWN]]
    return notes


def sampled(n_rows: int) -> npt.NDArray[np.int64]:
    """The places of the rows, ascending, that are looked at for columns which give the target away."""
    rows = np.random.default_rng(0).choice(n_rows, min(n_rows, N_SAMPLED), replace=False)
    return np.sort(rows).astype(np.int64)


def leak_notes(sample: pd.DataFrame, y: npt.NDArray[np.float64], problem: Problem) -> list[str]:
    """What to say of columns that give the target away; for training rows, since it looks at the target."""
    return [
        f"{name} alone nearly gives the target away ({agreement:.3f} rank agreement); "
        f"if it is known only afterwards: source.drop=[{name}]"
        for name, agreement in list(gives_target_away(sample, y, problem).items())[:MAX_SHOWN]
    ]


def gives_target_away(sample: pd.DataFrame, y: npt.NDArray[np.float64], problem: Problem) -> dict[str, float]:
    """Columns whose ranks agree with the target's: area under the ROC curve (either way round) for two classes,
    rank correlation for numbers; of categorical columns, with each level's mean target in place of the level.

    sample: (n_sampled, n_features), and y: (n_sampled,) of the `sampled` rows. With more than two classes the codes
    have no order, so only the share of rows is taken whose class follows from the column's value.
    """
    agreements = {}
    for place, name in enumerate(sample.columns):
        codes = _codes(sample.iloc[:, place], y, problem)
        agreement = 0.0 if codes is None else _agreement(codes, y, problem)
        if agreement >= GIVES_AWAY:
            agreements[str(name)] = round(agreement, 4)
    return agreements


def _codes(values: pd.Series[Any], target: npt.NDArray[np.float64], problem: Problem) -> npt.NDArray[np.float64] | None:
    """(n_rows,) numbers of a column, NaN where missing; None where so few rows share a level that any column would
    seem to know the target."""
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(dtype="float64")
    places, levels = pd.factorize(values)
    if len(levels) > len(values) / 20:
        return None
    codes = np.where(places < 0, np.nan, places)
    if problem.kind == "multiclass":
        return codes
    means: npt.NDArray[np.float64] = pd.Series(target).groupby(codes).transform("mean").to_numpy()
    return means


def _agreement(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], problem: Problem) -> float:
    known = ~np.isnan(x)
    x, y = x[known], y[known]
    if len(x) < 20 or len(np.unique(y)) < 2 or len(np.unique(x)) < 2:
        return 0.0
    if problem.kind == "binary":
        positive = y == 1
        n_1, n_0 = positive.sum(), (~positive).sum()
        area = (rankdata(x)[positive].sum() - n_1 * (n_1 + 1) / 2) / (n_1 * n_0)
        return float(max(area, 1 - area))
    if problem.kind == "regression":
        return float(abs(np.corrcoef(rankdata(x), rankdata(y))[0, 1]))
    table = pd.crosstab(x, y)
    return float(table.max(axis=1).sum() / len(x)) if len(table) <= len(x) / 20 else 0.0
