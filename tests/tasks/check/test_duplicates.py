"""Rows of the holdout and of folds that are copies of training rows are found; what is alike by chance is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from divisions import CLASSES, divided

from tasks.check.duplicates import Duplicates, Space, has_twin, wilson
from tasks.verdict import Finding

CHECK = Duplicates(near=0.01, most=0.01, rows=200, training_rows=2000)
RNG = np.random.default_rng(0)


def table(n: int, d: int = 5) -> pd.DataFrame:
    made = pd.DataFrame(RNG.normal(size=(n, d)), columns=[f"x{i}" for i in range(d)])
    return made.assign(town=pd.Series(RNG.choice(["a", "b", "c"], n), dtype="str"))


def jittered(rows: pd.DataFrame) -> pd.DataFrame:
    numbers = rows.select_dtypes("number")
    return rows.assign(**(numbers + RNG.normal(size=numbers.shape) / 1000))


def inspected(root: Path, train: pd.DataFrame, held: pd.DataFrame, check: Duplicates = CHECK, **roles: Any) -> Finding:
    return check.inspect(divided(root, CLASSES, train, held, np.arange(len(train)) % 2, **roles))


def values(finding: Finding) -> dict[str, float]:
    return {name: number.value for name, number in finding.numbers.items()}


def test_fresh_rows_have_no_twins(tmp_path: Path) -> None:
    it = inspected(tmp_path, table(400), table(100))
    assert (it.state, it.is_suspected, set(values(it).values())) == ("passed", False, {0.0})


def test_exact_and_near_copies_in_the_holdout_are_told_apart_and_suspected(tmp_path: Path) -> None:
    train = table(400)
    held = pd.concat([train.head(20), jittered(train.iloc[20:40]), table(160)], ignore_index=True)
    it = inspected(tmp_path, train, held)
    assert (values(it)["exact_in_the_holdout"], values(it)["near_in_the_holdout"]) == (0.1, 0.2)
    assert it.numbers["near_in_the_holdout"].low > 0.13
    assert (it.state, it.is_suspected) == ("told", True)
    assert it.reason.startswith("20.0% of the rows of the holdout are nearly rows that are trained on (10.0% exactly")


def test_a_holdout_of_which_half_are_exact_copies_is_certain(tmp_path: Path) -> None:
    train = table(400)
    assert inspected(tmp_path, train, pd.concat([train.head(60), table(40)], ignore_index=True)).state == "failed"


def test_copies_on_both_sides_of_a_fold_are_suspected_and_in_one_part_are_not(tmp_path: Path) -> None:
    rows = table(200)
    across = pd.concat([rows, jittered(rows)]).sort_index(ignore_index=True)  # folds take rows in turns
    it = inspected(tmp_path / "across", across, table(50))
    assert values(it)["near_in_folds"] > 0.95
    assert "rows that folds validate" in it.reason
    beside = pd.concat([rows, jittered(rows)], ignore_index=True)  # each copy 200 places, an even number, after its row
    assert values(inspected(tmp_path / "beside", beside, table(50)))["near_in_folds"] == 0


def test_rows_of_one_group_are_no_twins(tmp_path: Path) -> None:
    rows = table(200)
    both = pd.concat([rows, jittered(rows)]).sort_index(ignore_index=True)
    both = pd.concat([both, rows.head(10)], ignore_index=True)
    group = [str(n // 2) for n in range(400)] + [str(n) for n in range(10)]
    roles = {"train_roles": {"group": group}, "held_roles": {"group": [str(n) for n in range(50)]}}
    it = inspected(tmp_path, both, rows.head(50), **roles)
    assert set(values(it).values()) == {0.0}


def test_few_levels_are_alike_by_chance(tmp_path: Path) -> None:
    drawn = RNG.integers(0, 3, size=(900, 7)).astype(str)
    levels = pd.DataFrame(drawn, columns=[f"q{i}" for i in range(7)]).astype("str")
    it = inspected(tmp_path, levels.head(600), levels.tail(300).reset_index(drop=True))
    assert values(it)["exact_in_the_holdout"] > 0.1
    assert values(it)["by_chance_in_the_holdout"] > 0.05
    assert not it.is_suspected


def test_two_numbers_are_near_by_chance_among_many_rows(tmp_path: Path) -> None:
    numbers = pd.DataFrame(RNG.uniform(size=(2400, 2)), columns=["a", "b"])
    it = inspected(tmp_path, numbers.head(2000), numbers.tail(400).reset_index(drop=True))
    assert values(it)["near_in_the_holdout"] > 0.1
    assert not it.is_suspected


def test_of_a_large_table_a_sample_tells_the_share(tmp_path: Path) -> None:
    rows = table(2000)
    it = inspected(tmp_path, rows, jittered(rows.head(200)), Duplicates(0.01, 0.01, 200, 500))
    assert 0.6 < values(it)["near_in_the_holdout"] <= 1
    assert it.is_suspected


def test_missing_values_are_alike_and_unseen_levels_are_not() -> None:
    train = pd.DataFrame({"x": [1.0, np.nan, 3.0], "town": pd.Series(["a", None, "b"], dtype="str")})
    asked = pd.DataFrame({"x": [np.nan, 1.0, 1.0], "town": pd.Series([None, "new", "a"], dtype="str")})
    pairs = Space.of(train).pairs(asked, 3, 0.01)
    twins = [{int(place) for place in row[is_twin]} for row, is_twin in zip(pairs.places, pairs.is_twin, strict=True)]
    assert twins == [{1}, set(), {0}]


def test_a_twin_of_another_group_counts_beside_one_of_the_own() -> None:
    hashes = np.array([1, 1, 2], dtype=np.uint64)
    asked = np.array([1, 2], dtype=np.uint64)
    assert has_twin(asked, hashes, np.array([0, 0]), np.array([0, 1, 0])).tolist() == [True, False]
    assert has_twin(asked, hashes, None, None).tolist() == [True, True]


def test_the_interval_of_a_share_is_wilsons() -> None:
    """As statsmodels' proportion_confint(10, 100, method="wilson") has it."""
    assert np.allclose(wilson(10, 100), (0.0552291, 0.1743657), atol=1e-4)
    assert wilson(0, 50)[0] == 0
