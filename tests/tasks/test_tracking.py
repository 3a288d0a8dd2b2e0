"""Runs in MLflow: begun once, gone on with when unfinished, ended when given up."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from tasks import tracking
from tasks.refusal import Refusal
from tasks.tracking import Tracker


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[mlflow.MlflowClient, str, Path]:
    root = tmp_path_factory.mktemp("store") / "mlruns"
    client, uri = tracking.connect(None, root)
    return client, uri, root


def begin(
    store: tuple[mlflow.MlflowClient, str, Path], study: str, trials: int = 3, abandoned: tuple[str, ...] = ()
) -> Tracker:
    client, uri, root = store
    return tracking.begin(client, uri, "some", study, "name", {}, 1.7e9, root, trials=trials, abandoned=abandoned)


def test_an_unfinished_run_of_a_study_is_gone_on_with(store: tuple[mlflow.MlflowClient, str, Path]) -> None:
    first = begin(store, "a")
    again = begin(store, "a")
    assert (again.run_id, again.is_resumed) == (first.run_id, True)
    again.finish()
    assert begin(store, "a").run_id != first.run_id


def test_an_abandoned_run_ends_as_killed_with_its_trials(store: tuple[mlflow.MlflowClient, str, Path]) -> None:
    first = begin(store, "b-1")
    child = store[0].create_run(first.experiment_id, tags={"mlflow.parentRunId": first.run_id}).info.run_id
    assert begin(store, "b-2", abandoned=("b-1",)).run_id != first.run_id
    assert {store[0].get_run(run_id).info.status for run_id in (first.run_id, child)} == {"KILLED"}


def test_an_unfinished_run_of_another_budget_is_not_gone_on_with(
    store: tuple[mlflow.MlflowClient, str, Path],
) -> None:
    first = begin(store, "f", trials=3)
    assert begin(store, "f", trials=4).run_id != first.run_id
    assert store[0].get_run(first.run_id).info.status == "KILLED"


def test_a_series_has_a_value_for_each_step_and_a_long_one_is_thinned(
    store: tuple[mlflow.MlflowClient, str, Path],
) -> None:
    tracker = begin(store, "series")
    long = {f"cost/fold_{k}": [(n, n / 2) for n in range(10, 20_010, 10)] for k in range(12)}
    tracker.series({"fold_cost": [(0, 0.5), (1, float("nan")), (2, 0.25)], **long, "none": []})
    points = store[0].get_metric_history(tracker.run_id, "fold_cost")
    assert [(point.step, point.value) for point in points] == [(0, 0.5), (2, 0.25)]
    thinned = store[0].get_metric_history(tracker.run_id, "cost/fold_11")
    assert [(point.step, point.value) for point in thinned] == [(n, n / 2) for n in range(10, 20_010, 200)]


def test_a_server_that_does_not_answer_is_refused_with_key_and_remedy() -> None:
    with pytest.raises(Refusal, match=r"tracking.uri=http://127.0.0.1:9 does not answer .* leave tracking.uri out"):
        tracking.check("http://127.0.0.1:9")


def test_a_deleted_experiment_is_refused_by_name(store: tuple[mlflow.MlflowClient, str, Path]) -> None:
    client, uri, root = store
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(Refusal, match=r"tracking.experiment=gone was deleted"):
        tracking.begin(client, uri, "gone", "e", "name", {}, 1.7e9, root, trials=1)


def test_no_password_is_shown_that_mlflow_repeats() -> None:
    uri = "http://user:S3cr@t@127.0.0.1:9"
    with pytest.raises(Refusal) as refused, tracking.refusing(uri):
        raise mlflow.exceptions.MlflowException(f"API request to {uri}/api/2.0 failed")
    assert "S3cr" not in str(refused.value)
    assert "t@" not in str(refused.value)
    assert "API request to http://127.0.0.1:9/api/2.0 failed" in str(refused.value)


def test_a_whole_folder_is_logged(store: tuple[mlflow.MlflowClient, str, Path], tmp_path: Path) -> None:
    tracker = begin(store, "whole")
    (tmp_path / "model" / "variables").mkdir(parents=True)
    (tmp_path / "model" / "variables" / "data").write_text("x")
    tracker.folder(tmp_path, "export/some")
    assert [file.path for file in store[0].list_artifacts(tracker.run_id, "export/some/model/variables")] == [
        "export/some/model/variables/data"
    ]


def test_what_fails_on_the_way_becomes_a_refusal() -> None:
    with pytest.raises(Refusal, match="mlruns/ failed: no space"), tracking.refusing(None):
        raise mlflow.exceptions.MlflowException("no space\nTraceback")


@pytest.mark.slow
def test_a_full_database_is_refused_and_keeps_what_it_has(tmp_path: Path) -> None:
    """As the system tells it where a file may have no more than so many bytes."""
    client, _ = tracking.connect(None, tmp_path)
    size = (tmp_path / "mlflow.db").stat().st_size
    code = f"""
import resource
from pathlib import Path
from tasks import tracking
client, _ = tracking.connect(None, Path({str(tmp_path)!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
with tracking.refusing(f"sqlite:///{tmp_path}/mlflow.db"):
    for number in range(1_000):
        client.create_experiment(f"experiment {{number}}" * 30)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr
    assert said.splitlines()[-1].startswith("tasks.refusal.Refusal: tracking.uri=sqlite:///")
    assert "disk" in said.splitlines()[-1]
    assert "ERROR mlflow" not in said  # with a traceback of its own
    assert "Nothing is lost: mend it, and the same command goes on from here." in said.splitlines()[-1]
    assert [one.name for one in client.search_experiments()][-1] == "Default"


@pytest.mark.slow
def test_a_locked_database_is_refused(tmp_path: Path) -> None:
    tracking.connect(None, tmp_path)
    code = f"from pathlib import Path; from tasks import tracking; tracking.connect(None, Path({str(tmp_path)!r}))"
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as connection:
        connection.execute("begin exclusive")
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr
    assert said.splitlines()[-1].startswith("tasks.refusal.Refusal: tracking.uri=sqlite:///")
    assert "database is locked" in said.splitlines()[-1]
