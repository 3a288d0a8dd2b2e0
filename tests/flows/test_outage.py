"""Servers that are killed in mid-run and come back: the run goes on, and nothing of it is missing."""

from __future__ import annotations

import functools
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer

from flows.address import is_healthy
from flows.process import LAUNCH, Process, begin
from tasks.served import answers

TRIALS = 40
AWAY = 60.0  # seconds, while the clients of both try again and again


def _port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def _environment(folder: Path, **own: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    home = {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_API_PORT": _port()}
    return inherited | home | {"PYTHONPATH": os.pathsep.join(sys.path)} | own


def _wait_until(is_so: Callable[[], Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _count(path: Path, query: str) -> list[Any]:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(query).fetchall()
    except sqlite3.OperationalError:  # no table yet
        return [(0,)]


def _run_through(
    folder: Path, environment: dict[str, str], launch: Callable[[], Process], is_up: Callable[[], bool],
    is_under_way: Callable[[], bool], *overrides: str, first: Sequence[str] = (),
) -> str:  # fmt: skip
    """What a command prints whose server is killed once it is under way, and is back a minute later. first: what is run
    before it."""
    server = launch()
    try:
        _wait_until(is_up)
        if first:
            command = [sys.executable, "-m", "flows.cli", *first]
            subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        command = [sys.executable, "-m", "flows.cli", *overrides]
        with (folder / "run.log").open("w") as log:
            run = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        _wait_until(is_under_way)
        os.killpg(server.pid, signal.SIGKILL)
        _wait_until(lambda: not server.is_alive())
        time.sleep(AWAY)
        assert run.poll() is None
        server = launch()
        status = run.wait(timeout=280)
        said = (folder / "run.log").read_text()
        assert status == 0, said
        return said
    finally:
        server.stop()


def _trials_of(name: str) -> range:
    """Of a task run: `trial-3`, or `trials-4-6`, which short trials share."""
    first, *last = map(int, name.split("-")[1:])
    return range(first, (last or [first])[0] + 1)


@pytest.mark.slow
def test_prefects_server_has_every_task_run_of_a_run_that_outlived_it(tmp_path: Path) -> None:
    port = _port()
    own = {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    environment, path = _environment(tmp_path, **own), tmp_path / "prefect" / "prefect.db"

    def launch() -> Process:
        return begin(["-c", LAUNCH, port], environment, tmp_path / "server.log", mark="create_app")

    def is_under_way() -> bool:
        return bool(_count(path, "select count(*) from task_run")[0][0] >= 10)

    is_up = functools.partial(is_healthy, own["PREFECT_API_URL"])
    said = _run_through(tmp_path, environment, launch, is_up, is_under_way, "run", f"search.trials={TRIALS}")
    assert "did not record" not in said
    assert _count(path, "select distinct state_type from task_run") == [("COMPLETED",)]
    names = [name for (name,) in _count(path, "select name from task_run where name like 'trial%-%'")]
    assert sorted(number for name in names for number in _trials_of(name)) == list(range(TRIALS))
    assert _count(path, "select state_type from flow_run") == [("COMPLETED",)]


@pytest.mark.slow
def test_mlflows_server_has_every_trial_of_a_run_that_outlived_it(tmp_path: Path) -> None:
    port, path = _port(), tmp_path / "server.db"
    url = f"http://127.0.0.1:{port}"
    environment = _environment(tmp_path, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", MLFLOW_DISABLE_TELEMETRY="true")
    where = ["--backend-store-uri", f"sqlite:///{path}", "--artifacts-destination", str(tmp_path / "artifacts")]

    def launch() -> Process:
        arguments = ["-m", "mlflow", "server", "--port", port, "--workers", "1", *where]
        return begin(arguments, environment, tmp_path / "server.log", mark="mlflow")

    def is_under_way() -> bool:
        return bool(_count(path, "select count(*) from runs")[0][0] >= 10)

    asked = ["run", f"search.trials={TRIALS}", f"tracking.uri={url}"]
    said = _run_through(tmp_path, environment, launch, lambda: answers(url), is_under_way, *asked)
    assert "View run" not in said
    kept = "from runs where lifecycle_stage = 'active'"
    assert _count(path, f"select status, count(*) {kept} group by status") == [("FINISHED", TRIALS + 1)]
    trials = "select count(distinct value), count(*) from tags where key = 'finefold.trial'"
    assert _count(path, f"{trials} and run_uuid in (select run_uuid {kept})") == [(TRIALS, TRIALS)]


@pytest.mark.slow
def test_a_scoring_that_outlived_prefects_server_delivers_every_row(tmp_path: Path) -> None:
    port = _port()
    own = {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    environment = _environment(tmp_path, **own)
    table = load_breast_cancer(as_frame=True).frame
    table.to_csv(tmp_path / "train.csv", index=False)
    many = pd.concat([table] * 600, ignore_index=True).drop(columns="target").rename_axis("id").reset_index()
    many.to_parquet(tmp_path / "many.parquet")
    first = ["run", "search=none", "check=[]", "model_name=cells", "source=file", "source.path=train.csv",
             "source.target=target"]  # fmt: skip
    asked = ["score", "model_name=cells", "source=file", "source.path=many.parquet", "source.key=[id]",
             "predictions.path=out.parquet"]  # fmt: skip

    def launch() -> Process:
        return begin(["-c", LAUNCH, port], environment, tmp_path / "server.log", mark="create_app")

    def is_under_way() -> bool:
        return bool(list(tmp_path.glob("data/scores/*/parts/[0-9]*.json")))

    is_up = functools.partial(is_healthy, own["PREFECT_API_URL"])
    said = _run_through(tmp_path, environment, launch, is_up, is_under_way, *asked, first=first)
    assert f"{len(many):,} rows in: {len(many):,} scored, 0 rejected" in said
    assert pd.read_parquet(tmp_path / "out.parquet")["id"].tolist() == many["id"].tolist()
    states = _count(tmp_path / "prefect" / "prefect.db", "select name, state_type from flow_run order by name")
    assert [state for _, state in states] == ["COMPLETED"] * 2
