"""A fit on all rows is held against what its trial's folds had on rows that they had not seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from judged import CLASSES, NUMBER, Sums, case

from tasks.gone_wrong import fault_of
from tasks.records import FoldScore

N = 40
TABLE = pd.DataFrame({"x": np.linspace(0.1, 0.9, N), "y": np.linspace(0.1, 0.9, N), "weight": np.ones(N)})
CODES = TABLE.assign(y=(TABLE["x"] > 0.5).astype(float))


def folds(*costs: float) -> list[FoldScore]:
    return [FoldScore(fold, cost, cost, None, 0.0) for fold, cost in enumerate(costs)]


@pytest.mark.parametrize(("off", "is_wrong"), [(0.0, False), (1.7, False), (1.8, True)])
def test_a_cost_beyond_the_worst_fold_and_the_folds_spread_is_a_fault(
    tmp_path: Path, off: float, is_wrong: bool
) -> None:
    it = case(tmp_path, NUMBER, "rmse", TABLE.assign(y=TABLE["y"] + off), TABLE, Sums())
    said = fault_of(it.experiment, it.fitted, folds(1.0, 2.0))  # 2 x 2 - 1 = 3 = 1.73 ** 2
    assert bool(said) == is_wrong
    assert not is_wrong or said.endswith("the folds had 1 to 2 on rows they had not seen")


def test_what_a_sample_of_the_rows_may_be_off_by_is_no_fault(tmp_path: Path) -> None:
    noise = np.where(np.arange(N) % 2, 0.0, 0.6)  # each other row has all the loss: a cost of .18, off by a sixth
    it = case(tmp_path, NUMBER, "rmse", TABLE.assign(y=TABLE["y"] + noise), TABLE, Sums())
    assert not fault_of(it.experiment, it.fitted, folds(0.17))
    assert fault_of(it.experiment, it.fitted, folds(0.08))


def test_of_classes_a_few_rows_without_a_fault_do_not_make_a_fault_of_a_small_cost(tmp_path: Path) -> None:
    it = case(tmp_path, CLASSES, "f1", CODES, CODES, Sums(is_classes=True))
    assert fault_of(it.experiment, it.fitted, folds(1e-9, 1e-9))
    sure = case(tmp_path / "sure", CLASSES, "f1", CODES.assign(x=0.05 + 0.9 * CODES["y"]), CODES, Sums(is_classes=True))
    assert not fault_of(sure.experiment, sure.fitted, folds(1e-9, 1e-9))


def test_a_target_that_is_learned_exactly_is_no_fault(tmp_path: Path) -> None:
    it = case(tmp_path, NUMBER, "rmse", TABLE.assign(y=TABLE["y"] + 1e-7), TABLE, Sums())
    assert not fault_of(it.experiment, it.fitted, folds(0.0, 0.0))
    off = case(tmp_path / "off", NUMBER, "rmse", TABLE.assign(y=TABLE["y"] + 1e-3), TABLE, Sums())
    assert fault_of(off.experiment, off.fitted, folds(0.0, 0.0))
