"""A pre-trained model takes along what fine-tuning needs, and a model that was made of it says so."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightgbm
import mlflow
import pandas as pd
import pytest
from sources import QUICK, table

from flows.pipeline import run
from flows.pretrain import pretrain
from tasks.records import Result
from tasks.registry import download

pytestmark = pytest.mark.slow  # whole runs; the core suite has those of test_pipeline

SOURCE, TARGET = table(400, 0), table(120, 1, shift=0.5)
GIVEN = ["model_name=broad", "pretrain.licence=CC0-1.0", "pretrain.origin=a public survey, 2011"]


@pytest.fixture(scope="module")
def broad(place: Path) -> Result:
    return pretrain([*QUICK, *GIVEN], frame=SOURCE)


@pytest.fixture(scope="module")
def pooled(broad: Result) -> Result:
    given = ["base=models:/broad@champion", "strategy=pooled", "strategy.hyperparameters.domain=true"]
    return run([*QUICK, *given, "model_name=narrow"], frame=TARGET)


def folder_of(made: Result) -> Path:
    return download(made.model_uri, None) / "artifacts" / "model"


def told(made: Result) -> dict[str, Any]:
    known: dict[str, Any] = json.loads((folder_of(made) / "base.json").read_text())
    return known


def test_what_is_known_of_a_model_stands_beside_it(broad: Result, client: mlflow.MlflowClient) -> None:
    known = told(broad)
    assert (known["licence"], known["origin"], known["family"]) == ("CC0-1.0", "a public survey, 2011", "lightgbm")
    assert known["source"]["digest"] == client.get_run(broad.run_id).data.tags["finefold.data"]
    score = broad.holdout["log_loss"]
    assert known["scores"]["log_loss"] == pytest.approx(asdict(score))
    booster = (folder_of(broad) / "booster.txt").read_bytes()
    assert known["files"]["booster.txt"] == hashlib.sha256(booster).hexdigest()
    assert known["versions"]["lightgbm"]
    assert known["lineage"] == []


def test_rows_of_the_source_are_those_of_its_split(broad: Result) -> None:
    roles = pd.read_parquet(folder_of(broad) / "source" / "roles.parquet")
    features = pd.read_parquet(folder_of(broad) / "source" / "features.parquet")
    split = Path("data/splits") / broad.split
    counts = roles["part"].value_counts().to_dict()
    assert counts == told(broad)["source"]["kept"]
    own = (roles["part"] == "train").to_numpy()
    pd.testing.assert_frame_equal(features[own], pd.read_parquet(split / "train_features.parquet"))
    held = pd.read_parquet(split / "holdout_features.parquet")
    assert sorted(features["size"][~own]) == sorted(held["size"])
    assert min(counts["valid"], counts["holdout"]) > 0.3 * len(held)
    assert roles["target"].isin([0, 1, 2]).all()


@pytest.mark.slow
def test_as_many_rows_are_kept_as_the_user_says_and_none_by_an_ordinary_run(broad: Result) -> None:
    few = pretrain([*QUICK, "model_name=few", "pretrain.rows=20"], frame=SOURCE)
    assert told(few)["source"]["kept"] == {"train": 20, "valid": 20, "holdout": 20}
    for name, made in (
        ("none", pretrain([*QUICK, "model_name=none", "pretrain.rows=0"], frame=SOURCE)),
        ("plain", run([*QUICK, "model_name=plain"], frame=SOURCE)),
    ):
        assert not (folder_of(made) / "source").exists(), name
        assert told(made)["source"]["kept"] == {}
        assert told(made)["sha256"] == told(broad)["sha256"]


def test_a_model_names_the_base_that_it_was_made_of(
    broad: Result, pooled: Result, client: mlflow.MlflowClient
) -> None:
    again = run([*QUICK, "base=models:/narrow@champion", "strategy=as_is", "model_name=third"], frame=TARGET)
    parent, first = told(again)["lineage"]
    assert (parent["base"], parent["strategy"], parent["licence"]) == ("models:/narrow/1", "as_is", None)
    assert (first["base"], first["strategy"], first["licence"]) == ("models:/broad/1", "pooled", "CC0-1.0")
    assert first["sha256"] == told(broad)["sha256"]
    version = client.get_model_version("narrow", "1")
    tags = client.get_run(pooled.run_id).data.tags
    for kept in (version.tags, tags):
        assert kept["finefold.base"] == "models:/broad/1"
        assert kept["finefold.base.sha256"] == told(broad)["sha256"]
        assert kept["finefold.base.licence"] == "CC0-1.0"
        assert kept["finefold.base.origin"] == "a public survey, 2011"
        assert kept["finefold.licence"] == "unknown"


def test_a_pooled_model_learned_of_the_source_rows(pooled: Result) -> None:
    model = mlflow.pyfunc.load_model(pooled.model_uri)
    right = (model.predict(TARGET.drop(columns="y"))["prediction"] == TARGET["y"]).mean()
    assert right > 0.7
    booster = lightgbm.Booster(model_file=folder_of(pooled) / "pooled" / "booster.txt")
    assert booster.num_feature() == TARGET.shape[1]  # all but y, and the domain
