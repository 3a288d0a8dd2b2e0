"""finefold score: a table, a registered model and a place, in words; all else is refused with the key."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from registering import versions

from flows import cli
from flows.pipeline import run
from flows.score import score, scoring
from tasks import scored, tracking
from tasks.refusal import Refusal

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a registry of one name, of which version 1 is the champion, and of one without a champion."""
    place = tmp_path_factory.getbasetemp() / "score"
    client, _ = tracking.connect(None, place / "mlruns")
    if not client.search_registered_models("name='sold'"):
        versions(client, "sold", 2)
        versions(client, "new", 1)
        client.delete_registered_model_alias("new", "champion")
        pd.DataFrame({"id": [1, 2], "a": [0.5, 1.5]}).to_csv(place / "in.csv", index=False)
        (place / "there.csv").write_text("of another\n")
    monkeypatch.chdir(place)
    return place


TABLE = ["source=file", "source.path=in.csv"]


@pytest.mark.parametrize(("overrides", "said"), [
    ([*TABLE, "predictions.path=o.csv"], "score needs the name that models are registered under: model_name=NAME"),
    (["model_name=sold", "predictions.path=o.csv"], "score needs a table: source=file source.path=FILE"),
    (["model_name=sold", *TABLE], "predictions need one place: predictions.path=FILE"),
    (["model_name=sold", *TABLE, "predictions.path=o.csv", "search.trials=3"], "search.trials=3: score looks at"),
    (["model_name=sold", *TABLE, "predictions.path=o.xlsx"], "predictions.path=o.xlsx: its name must end in .parquet"),
    (["model_name=sold", *TABLE, "predictions.url=sqlite:///x"], "predictions.url and predictions.table go together"),
    (["model_name=sold", *TABLE, "predictions.path=in.csv/o.csv"], "in.csv"),
    (["model_name=sold", *TABLE, "predictions.path=./in.csv", "predictions.if_exists=replace"],
     "predictions.path=./in.csv: that is the table itself; name another file"),
    (["model_name=sold", *TABLE, "predictions.path=o.csv", "predictions.rejects=in.csv"],
     "predictions.rejects=in.csv: that is the table itself"),
    (["model_name=sold", *TABLE, "predictions.path=o.csv", "predictions.rejects=./o.csv"],
     "predictions.rejects=./o.csv: that is where the predictions go"),
    (["model_name=sold", *TABLE, "predictions.path=s3://bucket/o.csv"],
     "predictions.path=s3://bucket/o.csv: predictions go into a file of this machine, or a database"),
    (["model_name=sold", *TABLE, "predictions.path=o.csv", "predictions.if_exists=maybe"], "not one of fail, append"),
    (["model_name=a/b", *TABLE, "predictions.path=o.csv"], "model_name=a/b"),
    (["model_name=sold", *TABLE, "predictions.path=o.csv", "tracking.uri=http://127.0.0.1:9"], "does not answer"),
])  # fmt: skip
def test_what_can_not_be_asked_is_refused_with_the_key_before_anything_starts(
    folder: Path, overrides: list[str], said: str
) -> None:
    with pytest.raises(Refusal) as refused:
        score(overrides)
    assert said in str(refused.value)


@pytest.mark.parametrize(("given", "said"), [
    (["model_name=sol"], "model_name=sol: no such model is registered; did you mean 'sold'?"),
    (["model_name=new"], "predictions.version=champion: new has no such version or alias. Aliases: none. Versions: 1"),
    (["model_name=new"], "Give one of these; finefold run model_name=new makes a champion of what passes"),
    (["model_name=sold", "predictions.version=7"], "Aliases: champion (version 1). Versions: 1, 2"),
    (["model_name=sold", "predictions.path=there.csv"], "there.csv is there already; name another place"),
])  # fmt: skip
def test_a_model_or_version_that_there_is_not_is_refused_with_those_there_are(
    folder: Path, given: list[str], said: str
) -> None:
    overrides = ["predictions.path=o.csv", *TABLE, *given]
    with pytest.raises(Refusal) as refused:
        scoring.fn(overrides)
    assert said in str(refused.value)
    assert not (folder / "o.csv").exists()


def test_a_folder_without_runs_is_refused_and_stays_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal, match=r"there is no mlruns/mlflow\.db here"):
        score(["model_name=sold", *TABLE, "predictions.path=sub/o.csv"])
    assert list(tmp_path.iterdir()) == []


def test_its_keys_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["score", "--help"])
    assert "predictions.if_exists" in capsys.readouterr().out


@pytest.fixture(scope="module")
def trained(place: Path) -> pd.DataFrame:
    """A table of 400 rows, on which the champion of `sold` was trained here."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id": np.arange(400), "age": rng.integers(18, 90, 400), "town": rng.choice(["A", "B"], 400)})
    table["sold"] = np.where((table["age"] > 50) ^ (table["town"] == "A"), "yes", "no")
    run(["source.target=sold", "source.key=[id]", "model_name=sold", "search=none", "folds.n_splits=3",
         "model.lightgbm.rounds=20", "check=[]"], frame=table)  # fmt: skip
    return table


@pytest.mark.slow
def test_a_model_whose_files_were_changed_is_refused_before_any_row_is_scored(
    place: Path, trained: pd.DataFrame, client: mlflow.MlflowClient
) -> None:
    trained.to_csv(place / "same.csv", index=False)
    source = client.get_model_version_by_alias("sold", "champion")
    (booster,) = Path(mlflow.artifacts.download_artifacts(f"models:/sold/{source.version}")).rglob("booster.txt")
    whole = booster.read_text()
    booster.write_text(whole[: len(whole) // 2])
    try:
        with pytest.raises(Refusal, match=r"model_name=sold: version \d+: booster\.txt was changed since"):
            score(["model_name=sold", "source=file", "source.path=same.csv", "predictions.path=never.parquet"])
    finally:
        booster.write_text(whole)
    assert not (place / "never.parquet").exists()


@pytest.mark.slow
def test_predictions_are_those_of_the_registered_model_and_the_monitor_knows_both_sides(
    place: Path, trained: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    trained.astype({"age": "str"}).replace({"age": {"20": "twenty"}}).to_csv(place / "new.csv", index=False)
    with pytest.raises(SystemExit) as ended:
        cli.main(["score", "model_name=sold", "source=file", "source.path=new.csv", "predictions.path=out.parquet",
                  "output=json"])  # fmt: skip
    assert ended.value.code == 0
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    n_bad = int((trained["age"] == 20).sum())
    assert (made["rows"], made["scored"], made["rejected"]) == (400, 400 - n_bad, n_bad)
    good = trained[trained["age"] != 20].reset_index(drop=True)
    expected = mlflow.pyfunc.load_model("models:/sold@champion").predict(good.drop(columns=["id", "sold"]))
    out = pd.read_parquet(place / "out.parquet")
    assert out["id"].tolist() == good["id"].tolist()  # the key that the model was trained with
    np.testing.assert_allclose(out["probability_yes"], expected["probability_yes"], rtol=1e-12)
    (batch,) = scored.read("sold", 1, place / "data" / "monitor")
    model = mlflow.artifacts.download_artifacts("models:/sold@champion")
    reference = next(found for path in Path(model).rglob("family.json")
                     if (found := scored.reference_in(path.parent, "sold", 1)))  # fmt: skip
    assert reference is not None
    assert [one.name for one in batch.summary.columns] == [one.name for one in reference.columns] == ["age", "town"]
    assert (batch.summary.n_rows, reference.n_rows) == (400 - n_bad, 313)  # the rows that are not sealed


@pytest.mark.slow
def test_a_killed_command_goes_on_and_every_row_is_there_once(place: Path, trained: pd.DataFrame) -> None:
    many = pd.concat([trained] * 2_000).assign(id=range(800_000))
    many.to_parquet(place / "many.parquet")
    command = [sys.executable, "-m", "flows.cli", "score", "model_name=sold", "source=file", "source.path=many.parquet",
               "predictions.path=many_out.parquet", "output=json"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.DEVNULL)
    while len(list(place.glob("data/scores/*/parts/[0-9]*.json"))) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (place / "many_out.parquet").exists()
    again = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=True)
    made = json.loads(again.stdout.splitlines()[-1])
    assert made["scored"] == 800_000
    assert made["before"] >= 3 * 65_536
    assert pd.read_parquet(place / "many_out.parquet")["id"].tolist() == list(range(800_000))
