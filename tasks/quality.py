"""What is noteworthy about a table: missing values, duplicates, many levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.columns import Table
from tasks.records import Problem

MAX_SHOWN = 6
N_LOOKED_AT = 10_000  # rows, evenly, for what is a rule of thumb


def quality(
    features: Table, y: npt.NDArray[np.float64], problem: Problem, hashes: npt.NDArray[np.uint64], *, together: bool,
    text: Sequence[str] = (),
) -> dict[str, Any]:
    """Counts per finding, and `notes` to say aloud.

    features: (n_rows, n_features) typed. y: (n_rows,) class codes or numbers. hashes: (n_rows,) of the rows' content.
    together: whether equal rows are kept on one side of the holdout. text: features that are prose, without levels.
    """
    missing, levels, n_features, dense = {}, {}, 0, 0.0
    for name, values in features.items():
        n_features += 1
        dense += density(values)
        if share := float(values.isna().to_numpy().mean()):
            missing[str(name)] = round(share, 4)
        if name not in text and not pd.api.types.is_numeric_dtype(values):
            levels[str(name)] = int(values.nunique())
    ordered = np.sort(hashes)  # np.unique hashes them once more: 11 s instead of 0.5 for five million
    report: dict[str, Any] = {
        "n_rows": len(y),
        "n_features": n_features,
        "n_dense": max(1, math.ceil(dense)),
        "missing": missing,
        "duplicate_rows": int((ordered[1:] == ordered[:-1]).sum()),
        "levels": levels,
    }
    if problem.is_classification:
        report["classes"] = {str(label): int((y == code).sum()) for code, label in enumerate(problem.classes)}
    report["notes"] = _notes(report, together=together)
    return report


def density(values: pd.Series) -> float:
    """What a column costs to learn from, in columns of many values: an indicator of a rare thing costs little, for
    trees hold those that exclude each other as one (Ke et al. 2017, exclusive feature bundling), and nets need no waves
    for two values. Twice the share of the rows that haven't the most frequent value, and 1 at most."""
    some = values.iloc[:: max(1, len(values) // N_LOOKED_AT)]
    shares = some.value_counts(normalize=True, dropna=False)
    return min(1.0, 2 * (1 - float(shares.iloc[0]))) if len(shares) else 0.0


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
