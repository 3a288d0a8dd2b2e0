"""What a run on another loss than the default decides, logs and serves, on a real Prefect server and MLflow store."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from flows.pipeline import run
from tasks.metric import value
from tasks.records import Result

pytestmark = pytest.mark.slow  # whole runs; the core suite has those of test_pipeline

SMALL = ["search.trials=2", "folds.n_splits=3", "model.lightgbm.rounds=40"]
N = 900
GENERATOR = np.random.default_rng(0)
TABLE = pd.DataFrame(GENERATOR.normal(size=(N, 3)).round(3), columns=["a", "b", "c"])
TABLE["customer"] = [f"C{n}" for n in range(N)]
SCORE = TABLE["a"] + GENERATOR.normal(size=N) / 2
RARE = TABLE.assign(left=np.where(SCORE > 1.6, "> half", "no, none"))  # 8 % of the rows
AMOUNT = TABLE.assign(amount=SCORE)


@pytest.fixture(scope="module")
def focal(place: Path) -> Result:
    return run([*SMALL, "source.target=left", "source.key=customer", "loss=focal", "model_name=focal"], frame=RARE)


@pytest.fixture(scope="module")
def balanced(place: Path, focal: Result) -> Result:
    weights = "class_weight={> half: 9}"
    return run([*SMALL, "source.target=left", "source.key=customer", "loss=focal", weights], frame=RARE)


def losses(client: mlflow.MlflowClient, result: Result) -> tuple[pd.DataFrame, pd.DataFrame]:
    folder = Path(client.download_artifacts(result.run_id, "losses"))
    return pd.read_parquet(folder / "out_of_fold.parquet"), pd.read_csv(folder / "worst.csv")


def test_the_losses_of_rows_out_of_fold_are_an_artifact_with_the_worst_on_top(
    focal: Result, client: mlflow.MlflowClient
) -> None:
    every, worst = losses(client, focal)
    assert len(worst) == 100
    assert every["loss"].is_monotonic_decreasing
    assert every["target"].tolist() == RARE["left"].iloc[every["row"]].tolist()
    assert worst["customer"].tolist() == [f"C{row}" for row in worst["row"]]
    np.testing.assert_allclose(worst["a"], RARE["a"].iloc[worst["row"]], rtol=1e-6)
    by_fold = every.groupby("fold")["loss"].mean().tolist()
    logged = sorted(client.get_metric_history(focal.run_id, "fold_cost"), key=lambda point: point.step)
    np.testing.assert_allclose(by_fold, [point.value for point in logged], rtol=1e-4)
    assert client.get_run(focal.run_id).data.metrics["cv_cost"] == pytest.approx(np.mean(by_fold), rel=1e-4)


def test_the_cost_is_logged_by_round_and_fold(focal: Result, client: mlflow.MlflowClient) -> None:
    for fold in range(3):
        curve = client.get_metric_history(focal.run_id, f"cost/fold_{fold}")
        assert sorted(point.step for point in curve)[:3] == [10, 20, 30]


def test_a_model_of_a_given_loss_is_served_with_the_probabilities_of_its_holdout_scores(
    focal: Result, place: Path
) -> None:
    model = mlflow.pyfunc.load_model(focal.model_uri)
    answer = model.predict(RARE)
    probabilities = answer[["probability_no, none", "probability_> half"]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    (stored,) = place.glob(f"data/studies/*/*/models/{model.metadata.metadata['finefold.fit']}-predictions.parquet")
    holdout = pd.read_parquet(stored)
    assert set(holdout["probability_> half"].round(9)) <= set(answer["probability_> half"].round(9))
    of_holdout = holdout.filter(like="probability_").to_numpy()
    auc = value("roc_auc", holdout["target"].to_numpy(np.float64), of_holdout)
    assert auc == pytest.approx(focal.holdout["roc_auc"].value)
    assert auc > 0.85


def test_class_weights_begin_a_study_of_their_own_and_find_more_of_the_rare_class(
    focal: Result, balanced: Result, client: mlflow.MlflowClient
) -> None:
    assert balanced.trials.reused == 0
    one, other = (losses(client, result)[0] for result in (focal, balanced))
    found = [(table["prediction"] == "> half")[table["target"] == "> half"].mean() for table in (one, other)]
    assert found[1] > found[0] + 0.1
    assert client.get_run(balanced.run_id).data.metrics["fold_cost"] > 0


@pytest.mark.slow
def test_a_parameter_of_the_loss_begins_a_study_of_its_own(focal: Result, place: Path) -> None:
    again = ["source.target=left", "source.key=customer", "loss=focal"]
    assert run([*SMALL, *again, "loss.gamma=2.0"], frame=RARE).trials.reused == 2
    assert run([*SMALL, *again, "loss.gamma=0.5"], frame=RARE).trials.reused == 0


def test_a_quantile_is_selected_and_reported_by_its_own_metric(place: Path, client: mlflow.MlflowClient) -> None:
    loss = ["loss=quantile", "loss.level=0.8"]
    made = run([*SMALL, "source.target=amount", "source.drop=customer", *loss], frame=AMOUNT)
    assert made.metric == "pinball_0.8"
    assert next(iter(made.holdout)) == "pinball_0.8"
    score = made.holdout["pinball_0.8"]
    assert score.low < score.value < score.high < score.baseline
    assert client.get_run(made.run_id).data.metrics["cv_cost"] == pytest.approx(made.cv["mean"], rel=1e-6)
    every, _ = losses(client, made)
    assert (every["target"] <= every["prediction"]).mean() == pytest.approx(0.8, abs=0.06)


def test_a_huber_loss_left_to_the_data_takes_a_share_of_the_training_rows_spread(
    place: Path, client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    made = run([*SMALL, "source.target=amount", "source.drop=customer", "loss=huber"], frame=AMOUNT)
    delta = float(client.get_run(made.run_id).data.params["loss.delta"])
    assert f"trained on huber with loss.delta={delta:g}, selected on rmse" in capsys.readouterr().out
    spread = np.subtract(*np.quantile(AMOUNT["amount"], [0.75, 0.25])) / 2
    assert delta == pytest.approx(0.3 * spread, rel=0.1)
