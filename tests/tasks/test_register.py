"""The registered model is served by MLflow and answers as it does in Python."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from serving import ask_server

from flows.pipeline import run
from flows.server import Server


@pytest.mark.slow
def test_mlflow_serves_raw_rows_as_python_answers_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_server: Server
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.integers(18, 90, 300), "town": rng.choice(["A", "B", "C"], 300),
                          "paid": [" " if i % 50 == 7 else str(i % 7) for i in range(300)]})  # fmt: skip
    frame["sold"] = np.where((frame["age"] > 50) ^ (frame["town"] == "A"), "yes", "no")
    overrides = ["source.target=sold", "model_name=served", "search=none", "folds.n_splits=3"]
    made = run([*overrides, "model.lightgbm.rounds=30"], frame=frame)
    raw = frame.drop(columns="sold").head(60)
    expected = mlflow.pyfunc.load_model(made.model_uri).predict(raw)
    answer = pd.DataFrame(ask_server(made.model_uri, tmp_path, raw))
    assert list(answer["prediction"]) == list(expected["prediction"])
    np.testing.assert_allclose(answer["probability_yes"], expected["probability_yes"], rtol=1e-12)


@pytest.mark.slow
def test_mlflow_serves_an_ensemble_as_one_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_server: Server
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    numbers = pd.DataFrame(rng.normal(size=(600, 2)), columns=["a", "b"]).round(6)  # JSON from pandas has 10 digits
    frame = numbers.assign(town=rng.choice(["x", "y"], 600))
    frame["price"] = 2 * frame["a"] + 3 * np.abs(frame["b"]) * (frame["town"] == "x") + rng.normal(size=600) / 2
    overrides = ["source.target=price", "model_name=served", "search=none", "folds.n_splits=3", "ensemble=greedy"]
    made = run([*overrides, "model=[lightgbm,linear]", "model.lightgbm.rounds=10"], frame=frame)
    assert made.ensemble is not None
    assert made.ensemble["is_used"]
    raw = frame.drop(columns="price").head(60)
    raw.loc[0, "town"], raw.loc[1, "a"] = "never seen", np.nan
    expected = mlflow.pyfunc.load_model(made.model_uri).predict(raw)
    answer = pd.DataFrame(ask_server(made.model_uri, tmp_path, raw))
    np.testing.assert_allclose(answer["prediction"], expected["prediction"], rtol=1e-12)
