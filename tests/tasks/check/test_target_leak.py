"""A copy of the target is certain, a column that is nearly one is suspected, and a good column is neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from divisions import CLASSES, NUMBER, divided

from tasks.check.target_leak import TargetLeak, agreements, copies_of_target
from tasks.records import Problem
from tasks.verdict import Finding

CHECK = TargetLeak(agreement=0.995, rows=5000)
N = 300
RNG = np.random.default_rng(0)
KINDS = {"binary": 2, "multiclass": 3, "regression": 0}
NUMBERS = RNG.lognormal(size=N)
LABELS = RNG.integers(0, 2, N)


def problem(kind: str) -> Problem:
    return Problem(kind, "y", tuple(range(KINDS[kind])))  # type: ignore[arg-type]


def found(root: Path, problem: Problem, y: Any, **columns: Any) -> Finding:
    X = pd.DataFrame({**columns, "noise": RNG.normal(size=len(y))})
    return CHECK.inspect(divided(root, problem, X, X.head(5), y))


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_that_gives_the_target_away_is_seen_and_noise_is_not(kind: str) -> None:
    y = RNG.integers(0, KINDS[kind], N) if KINDS[kind] else RNG.normal(size=N)
    leaks: dict[str, Any] = {"number": -y, "level": pd.Series([f"k{code}" for code in y], dtype="str")}
    if kind == "regression":
        leaks["level"] = leaks["number"]
    X = pd.DataFrame({**leaks, "noise": RNG.normal(size=N), "some": RNG.choice(["u", "v"], N)})
    known = agreements(X, np.asarray(y, dtype=float), problem(kind))
    assert {name for name, value in known.items() if value >= 0.995} == {"number", "level"}


def test_missing_values_hide_no_column_that_gives_the_target_away() -> None:
    level = pd.Series(np.where(LABELS == 1, "yes", "no"), dtype="str").mask(np.arange(N) < 100)
    assert agreements(pd.DataFrame({"level": level}), LABELS.astype(float), problem("binary"))["level"] == 1


def test_levels_of_few_rows_each_are_not_suspect() -> None:
    level = pd.Series([f"{code}-{place // 3}" for place, code in enumerate(LABELS)], dtype="str")
    assert agreements(pd.DataFrame({"level": level}), LABELS.astype(float), problem("binary")) == {"level": 0}


def test_a_number_that_tells_three_classes_is_seen_though_each_value_is_another() -> None:
    y = np.arange(1000) % 3
    X = pd.DataFrame({"sharp": y + RNG.normal(size=1000) / 50, "noise": RNG.normal(size=1000)})
    known = agreements(X, y.astype(float), problem("multiclass"))
    assert known["sharp"] > 0.95
    assert known["noise"] < 0.6


@pytest.mark.parametrize(("name", "values"), [
    ("renamed", pd.Series(np.where(LABELS == 1, "churned", "stayed"), dtype="str")),
    ("number", LABELS * -7.5),
    ("date_of_leaving", pd.Series(RNG.normal(size=N)).where(LABELS == 1)),
])  # fmt: skip
def test_a_copy_of_two_classes_is_certain(tmp_path: Path, name: str, values: Any) -> None:
    it = found(tmp_path, CLASSES, LABELS, **{name: values})
    assert it.state == "failed"
    assert it.reason.startswith(f"{name} is the target itself")
    assert it.reason.endswith(f"source.drop=[{name}]")


@pytest.mark.parametrize("copy", [3 * NUMBERS - 4, np.log(NUMBERS), np.exp(NUMBERS / 9), 1 / NUMBERS, NUMBERS**2])
def test_a_copy_of_a_number_is_certain_in_any_of_its_forms(tmp_path: Path, copy: Any) -> None:
    assert found(tmp_path, NUMBER, NUMBERS, copy=copy.astype(np.float32)).state == "failed"


def test_a_column_that_is_nearly_a_copy_is_suspected_and_nothing_more(tmp_path: Path) -> None:
    it = found(tmp_path, NUMBER, NUMBERS, near=NUMBERS * (1 + RNG.normal(size=N) / 100))
    assert (it.state, it.is_suspected) == ("told", True)
    assert "near alone nearly gives the target away" in it.reason
    one_wrong = np.where(np.arange(N) == 0, 1 - LABELS, LABELS)
    it = found(tmp_path / "classes", CLASSES, LABELS, near=one_wrong)
    assert (it.state, it.is_suspected) == ("told", True)


def test_a_column_that_rightly_tells_the_classes_apart_is_no_copy() -> None:
    """As petals tell one kind of iris from the others: no value stands for a class."""
    X = pd.DataFrame({"petal": np.where(LABELS == 1, 1.5, 4.5) + RNG.uniform(size=N)})
    assert copies_of_target(X, LABELS.astype(float), CLASSES) == {}


def test_few_rows_prove_no_copy() -> None:
    rare = (np.arange(100) < 3).astype(float)
    assert copies_of_target(pd.DataFrame({"x": rare}), rare, CLASSES) == {}
    assert copies_of_target(pd.DataFrame({"x": NUMBERS[:40]}), NUMBERS[:40], NUMBER) == {}


def test_columns_of_which_the_target_is_the_sum_are_suspected(tmp_path: Path) -> None:
    casual, registered = RNG.poisson(5, N), RNG.poisson(40, N)
    it = found(tmp_path, NUMBER, casual + registered, casual=casual, registered=registered, other=RNG.normal(size=N))
    assert it.is_suspected
    assert "y is a weighted sum of casual, registered in every row looked at" in it.reason
