"""A search within each fold, the looks at the holdout and the corrected score, on a real server and a real store."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from flows.pipeline import run
from tasks.records import Result

pytestmark = pytest.mark.slow  # whole runs; the core suite has those of test_pipeline

SMALL = ["model=linear", "search.trials=2", "folds.n_splits=3", "check=[]"]


@pytest.fixture(scope="module")
def nested(place: Path) -> Result:
    return run([*SMALL, "evaluation=nested"])


@pytest.fixture(scope="module")
def again(nested: Result) -> Result:
    return run(SMALL)


def test_nested_cross_validation_is_a_search_within_each_fold(nested: Result, client: mlflow.MlflowClient) -> None:
    made = nested.nested
    assert made is not None
    assert (len(made.folds), made.n_fold_fits) == (3, 18)
    assert made.value == pytest.approx(np.mean(made.folds))
    assert made.low < made.value < made.high
    assert abs(made.value - nested.cv["mean"]) < 0.01
    logged = client.get_run(nested.run_id).data.metrics
    assert (logged["nested_roc_auc"], logged["nested_roc_auc_low"]) == (made.value, made.low)
    assert "roc_auc of nested cross-validation" in client.get_run(nested.run_id).data.tags["mlflow.note.content"]


def test_no_inner_search_sees_a_sealed_row_or_what_it_is_scored_on(nested: Result, place: Path) -> None:
    sealed = set(pd.read_parquet(place / "data" / "splits" / nested.split / "holdout_labels.parquet")["hash"])
    scored = []
    for folder in (place / "data" / "splits").iterdir():
        if folder.name != nested.split:
            train, valid = (set(pd.read_parquet(folder / f"{name}.parquet")["hash"])
                            for name in ("train_roles", "holdout_labels"))  # fmt: skip
            assert not (train | valid) & sealed
            assert not train & valid
            scored.append(len(valid))
    assert len(scored) == 3


def test_every_score_stands_beside_a_linear_model_and_the_search_beside_its_corrected_score(
    nested: Result, client: mlflow.MlflowClient
) -> None:
    score, corrected = nested.holdout["roc_auc"], nested.corrected
    assert score.linear > 0.95 > score.baseline
    assert corrected is not None
    assert corrected.uncorrected == nested.cv["mean"]
    assert corrected.low < corrected.value < corrected.high
    assert corrected.value <= corrected.uncorrected + 1e-4
    logged = client.get_run(nested.run_id).data.metrics
    assert (logged["corrected_roc_auc"], logged["linear_roc_auc"]) == (corrected.value, score.linear)


def test_the_same_model_is_one_look_and_another_one_a_second(
    again: Result, nested: Result, client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    assert again.nested is None
    assert again.trials.reused == 2
    assert (nested.looks, again.looks) == (1, 1)
    capsys.readouterr()
    # Other folds, the same sealed rows.
    other = run([*SMALL, "folds.n_splits=2", "search=none", "model.linear.hyperparameters.penalty=9"])
    assert other.split != nested.split
    assert other.looks == 2
    assert f"look 2 at this holdout: 2 models were scored by its 102 rows (runs {nested.run_id}, {other.run_id})" in (
        capsys.readouterr().out
    )
    assert client.get_run(other.run_id).data.metrics["holdout_looks"] == 2
