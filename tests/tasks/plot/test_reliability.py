"""The picture of reliability: drawn for classes, by what the files of the run say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from tasks.plot import Material, reliability
from tasks.plot._canvas import styled, write
from tasks.records import Problem, Proposal, Trained, Winner
from tasks.study import opened

N = 600


def material(folder: Path, problem: Problem) -> Material:
    rng = np.random.default_rng(0)
    prediction = rng.dirichlet(np.ones(len(problem.classes)), N)
    y = (prediction.cumsum(axis=1) < rng.random((N, 1))).sum(axis=1)
    names = [f"probability_{label}" for label in problem.classes]
    table = pd.DataFrame(prediction, columns=names)
    table.assign(target=y.astype(np.float64)).to_parquet(folder / "held.parquet")
    table.assign(target=np.array(problem.classes)[y]).to_parquet(folder / "out_of_fold.parquet")
    with opened(folder, "digest", is_higher_better=True) as study:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        return Material(
            folder, problem, study, (), Winner(Proposal(0, "linear", {}), 0.8, 0.1, (), None), "roc_auc", "mse",
            Trained(str(folder), "linear", 1, None), folder / "held.parquet", 0,
            out_of_fold=folder / "out_of_fold.parquet",
        )  # fmt: skip


@pytest.mark.parametrize("classes", [("no $", "yes"), (1, 2, 3)])
def test_shares_that_came_true_lie_near_the_probabilities(tmp_path: Path, classes: tuple[object, ...]) -> None:
    kind = "binary" if len(classes) == 2 else "multiclass"
    with styled():
        drawn = reliability.draw(material(tmp_path, Problem(kind, "y", classes)))
        assert drawn is not None
        _, out_of_fold, holdout = drawn.axes[0].lines
        for curve in (out_of_fold, holdout):
            x, y = np.asarray(curve.get_xydata()).T
            assert len(x) == reliability.N_BINS
            assert np.abs(x - y).max() < 0.25
        assert write(drawn, tmp_path / "reliability.png").stat().st_size > 5_000


def test_a_regression_has_none(tmp_path: Path) -> None:
    made = material(tmp_path, Problem("binary", "y", ("no", "yes")))
    regression = Problem("regression", "y", ())
    assert reliability.draw(Material(**{**vars(made), "problem": regression})) is None
