"""What is noteworthy about a table is counted and said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.quality import density, quality
from tasks.records import Problem
from tasks.row_hash import row_hashes

N = 300
RNG = np.random.default_rng(0)
KINDS = {"binary": 2, "multiclass": 3, "regression": 0}


def report(features: pd.DataFrame, y: Any, kind: str = "binary", *, together: bool = True) -> dict[str, Any]:
    problem = Problem(kind, "y", tuple(range(KINDS[kind])))  # type: ignore[arg-type]
    target = np.asarray(y, dtype=float)
    return quality(features, target, problem, row_hashes(features, 0), together=together)


@pytest.mark.parametrize(("together", "where"), [(True, "stay on one side"), (False, "may stand on both sides")])
def test_duplicates_are_counted_with_where_they_stand(together: bool, where: str) -> None:
    features = pd.DataFrame({"a": [1.0, 1, 2, 3, 3, 3]})
    said = report(features, [0, 1] * 3, together=together)
    assert said["duplicate_rows"] == 3
    assert f"3 rows repeat another row; they {where} of the holdout" in said["notes"][0]


def test_missing_values_classes_and_levels_are_counted() -> None:
    many = pd.Series([f"k{place}" for place in range(1_500)], dtype="str")
    features = pd.DataFrame({"a": [None, *range(1_499)], "b": many}, dtype=object).astype({"a": float, "b": "str"})
    said = report(features, [0, 1] * 750)
    assert said["missing"] == {"a": round(1 / 1_500, 4)}
    assert said["classes"] == {"0": 750, "1": 750}
    assert said["notes"] == ["missing values in 1 column: a 0.1%", "b has 1,500 levels"]


def test_indicators_of_rare_things_cost_little_and_columns_of_many_values_one_each() -> None:
    n = 1_000
    rare = (np.arange(n) % 50 == 0).astype(float)  # 2 % ones: twice that of a column
    features = pd.DataFrame({"a": RNG.normal(size=n), "b": RNG.normal(size=n), "even": np.arange(n) % 2.0} | {
        f"rare{k}": np.roll(rare, k) for k in range(10)
    })  # fmt: skip
    assert report(features, [0, 1] * (n // 2))["n_dense"] == 4  # 3 + 10 x 0.04, rounded up
    assert density(pd.Series(["x"] * n)) == 0
    assert density(pd.Series([None, "x", "y", "z"] * 250)) == 1
