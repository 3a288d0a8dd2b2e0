"""finefold monitor: a table, or what was scored, against the champion's own rows; a decision, a report, a refusal."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from registering import versions

from flows import cli
from flows.monitor import Monitored, monitor
from flows.pipeline import run
from tasks import tracking
from tasks.refusal import Refusal

FAST = ("search.trials=1", "check=[]", "folds.n_splits=2", "model.lightgbm.rounds=30")


def rows(n: int, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    size, kind = generator.normal(size=n), generator.choice(["a", "b", "c"], n)
    sold = (size + (kind == "a") + generator.normal(size=n) > 0.3).astype(int)
    return pd.DataFrame({"id": np.arange(n) + 1_000_000 * seed, "size": size, "kind": kind, "sold": sold})


@pytest.fixture(scope="module")
def shop(place: Path) -> Path:
    """A folder with the champion of `shop`."""
    rows(1_500, 0).to_csv(place / "shop.csv", index=False)
    run(["source=file", "source.path=shop.csv", "source.target=sold", "source.key=[id]", "model_name=shop", *FAST])
    return place


def look(table: pd.DataFrame, *overrides: str) -> Monitored:
    table.to_csv("now.csv", index=False)
    return monitor(["model_name=shop", "source.path=now.csv", *overrides])


@pytest.mark.slow
def test_equal_rows_call_for_nothing_and_the_report_is_in_the_model_s_experiment(
    shop: Path, client: mlflow.MlflowClient
) -> None:
    made = look(rows(800, 1))
    assert (made.action, made.n_rows) == ("nothing", 800)
    assert "roc_auc" in made.reason  # whether it holds, 800 labels may leave open
    assert "<html" in Path(made.report).read_text()
    found = client.search_runs(["1"], "tags.kind = 'monitor'")[0]
    assert found.data.tags["finefold.action"] == "nothing"
    assert {one.path for one in client.list_artifacts(found.info.run_id, "plots")} >= {
        "plots/drift.png", "plots/columns.png",
    }  # fmt: skip


@pytest.mark.slow
def test_far_inputs_without_labels_call_for_a_remedy_and_labels_overrule_them(shop: Path) -> None:
    far = rows(800, 2).assign(size=lambda table: table["size"] + 2)
    made = look(far.drop(columns="sold"))
    assert made.action == "finetune"
    assert {one.name for one in made.drifted} >= {"size", "output: prediction"}
    assert "so nothing was started" in made.begun.said
    pd.concat([far, far.head(5)])[["id", "sold"]].to_csv("labels.csv", index=False)
    judged = look(far.drop(columns="sold"), "labels.path=labels.csv", "source.key=[id]")
    assert judged.decay is not None
    assert judged.decay.n_rows == 800
    assert judged.notes == ("5 labels came twice and count once",)


@pytest.mark.slow
def test_known_rows_few_rows_and_a_lost_column_are_said(shop: Path) -> None:
    grown = look(pd.concat([pd.read_csv("shop.csv"), rows(500, 3)]).drop(columns="sold"))
    assert any("that the model was trained on are left out" in note for note in grown.notes)
    assert 500 < grown.n_rows < 1_000  # and those of its holdout
    assert "50 rows are too few" in look(rows(50, 4).drop(columns="sold")).reason
    assert look(rows(500, 5).drop(columns=["sold", "kind"])).reason.startswith("columns that the model was trained on")
    assert "no rows were scored yet" in monitor(["model_name=shop"]).reason


@pytest.mark.slow
def test_without_prefect_the_report_is_made_and_nothing_begun(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    made = look(rows(800, 2).assign(size=lambda table: table["size"] + 2).drop(columns="sold"))
    assert made.action == "finetune"
    assert "Prefect's server does not answer" in made.begun.said
    assert Path(made.report).exists()
    assert json.loads((Path(made.report).parent.parent / "monitor.json").read_text())["action"] == "finetune"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with a name that has no champion."""
    folder = tmp_path_factory.mktemp("registry")
    client, _ = tracking.connect(None, folder / "mlruns")
    versions(client, "sold", 1)
    client.delete_registered_model_alias("sold", "champion")
    return folder


@pytest.mark.parametrize(("overrides", "said"), [
    ([], "monitor needs the name that models are registered under: model_name=NAME"),
    (["model_name=sold", "search.trials=5"], "search.trials=5: monitor has no use for it"),
    (["model_name=sold", "monitor.rows=0"], "monitor.rows must be at least 1, got 0"),
    (["model_name=sold", "monitor.psy.alarm=1"], "there is no key 'monitor.psy.alarm'; did you mean"),
    (["model_name=sold", "tracking.uri=http://127.0.0.1:9"], "tracking.uri=http://127.0.0.1:9 does not answer"),
])  # fmt: skip
def test_what_it_can_not_look_at_is_refused_with_the_key(
    registry: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str], said: str
) -> None:
    monkeypatch.chdir(registry)
    with pytest.raises(Refusal) as refused:
        monitor(overrides)
    assert said in str(refused.value)


def test_without_a_champion_it_says_so_and_begins_nothing(
    registry: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(registry)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(SystemExit) as ended:
        cli.main(["monitor", "model_name=sold", "output=json"])
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["action"] == "nothing"
    assert "has no champion yet" in told["reason"]


def test_a_name_that_nobody_registered_is_refused(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(registry)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(Refusal, match="did you mean 'sold'"):
        monitor(["model_name=sodl"])
