"""A run whose model is calibrated and decides by a threshold scores, draws, registers and goes on from that one."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from flows.pipeline import run
from tasks.records import Result
from tasks.refusal import Refusal

pytestmark = pytest.mark.slow  # whole runs; the core suite has those of test_pipeline

SMALL = ["search=none", "folds.n_splits=3", "model.lightgbm.rounds=40", "source.target=sold", "model_name=concluded"]
FEW = [*SMALL, "model.lightgbm.check_every=20", "model.lightgbm.patience=40"]


def table(seed: int, n: int = 700) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"a": rng.normal(size=n).round(4), "town": rng.choice(["x", "y"], n)})
    chance = 1 / (1 + np.exp(-(rows["a"] - 1.5 + (rows["town"] == "x"))))
    return rows.assign(sold=np.where(rng.random(n) < chance, "yes", "no"))


@pytest.fixture(scope="module")
def made(place: Path) -> Result:
    return run([*FEW, "calibration=temperature", "threshold=f1"], frame=table(0))


@pytest.fixture(scope="module")
def served(made: Result) -> mlflow.pyfunc.PyFuncModel:
    return mlflow.pyfunc.load_model(made.model_uri)


def test_the_registered_model_labels_and_scores_as_the_run_did(
    made: Result, served: mlflow.pyfunc.PyFuncModel, client: mlflow.MlflowClient
) -> None:
    logged = client.get_run(made.run_id).data
    assert logged.metrics["cv_log_loss_calibrated"] < logged.metrics["cv_log_loss_uncalibrated"]
    assert logged.params["calibration"] == "temperature"
    assert logged.params["threshold"] == "f1"
    predicted = served.predict(table(0))
    at = logged.metrics["threshold"]
    assert (predicted["prediction"] == np.where(predicted["probability_yes"] > at, "yes", "no")).all()
    assert at != 0.5
    found = {one.check: one for one in made.checks.findings}
    assert found["decision"].parts["f1 on the holdout"]["decided"].value == pytest.approx(made.holdout["f1"].value)
    assert found["calibration"].parts["holdout"]["log_loss"].value == pytest.approx(made.holdout["log_loss"].value)
    worst = pd.read_csv(client.download_artifacts(made.run_id, "losses/worst.csv"))
    assert (worst["prediction"] == np.where(worst["probability_yes"] > at, "yes", "no")).all()
    assert Path(client.download_artifacts(made.run_id, "plots/reliability.png")).stat().st_size > 5_000


def test_contributions_are_served_on_request_by_the_user_s_columns(served: mlflow.pyfunc.PyFuncModel) -> None:
    told = served.predict(table(0).head(5), params={"contributions": True})
    assert list(told)[-3:] == ["contribution_a", "contribution_town", "bias"]
    assert list(served.predict(table(0).head(5))) == ["prediction", "probability_no", "probability_yes"]
    raw = told.iloc[:, -3:].sum(axis=1)
    assert np.corrcoef(raw, told["probability_yes"])[0, 1] > 0.9


@pytest.mark.slow
def test_the_base_as_it_is_labels_as_the_base_does(made: Result, served: mlflow.pyfunc.PyFuncModel) -> None:
    unchanged = run([*FEW, f"base={made.model_uri}", "strategy=as_is", "model_name=unchanged"], frame=table(5, 200))
    again = mlflow.pyfunc.load_model(unchanged.model_uri).predict(table(0))
    pd.testing.assert_frame_equal(again, served.predict(table(0)))


@pytest.mark.slow
def test_a_calibrated_base_is_gone_on_from_by_its_inner_model_and_predicts_whole(made: Result) -> None:
    new = table(5, 200)
    on = [*FEW, f"base={made.model_uri}", "model_name=on"]
    full = run([*on, "strategy=full"], frame=new)
    folder = Path(mlflow.artifacts.download_artifacts(full.model_uri)) / "artifacts" / "model"
    files = [path for path in folder.rglob("levels.json") if "n_frozen" in path.read_text()]
    assert json.loads(files[0].read_text())["n_frozen"] > 0
    as_is = run([*on, "strategy=as_is"], frame=new)
    whole, base = (mlflow.pyfunc.load_model(it.model_uri).predict(new) for it in (as_is, made))
    assert whole["probability_yes"].tolist() == base["probability_yes"].tolist()


def test_a_regression_serves_intervals(place: Path, client: mlflow.MlflowClient) -> None:
    frame = table(1).drop(columns="sold")
    frame["sold"] = frame["a"] + np.random.default_rng(0).normal(size=len(frame))
    made = run(FEW, frame=frame)
    it = mlflow.pyfunc.load_model(made.model_uri)
    told = it.predict(frame, params={"interval": 0.8})
    assert list(told) == ["prediction", "lower", "upper"]
    assert np.mean((frame["sold"] > told["lower"]) & (frame["sold"] < told["upper"])) > 0.75
    assert 0.6 < client.get_run(made.run_id).data.metrics["check.calibration.coverage_0.8"] < 0.95
    with pytest.raises(Refusal, match="ask for less"):
        it.predict(frame, params={"interval": 0.9999})
