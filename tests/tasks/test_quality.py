"""What is noteworthy about a table is counted and said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.quality import quality
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
