"""The files of `docs/operations/`: known to systemd, Prefect and MLflow; two servers and a worker begun as they say."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml
from postgresql import postgresql

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations"
UNITS = sorted(OPERATIONS.glob("*.service"))
PASSWORDS = {name: f"{name}-pass-4711" for name in ("database", "prefect", "mlflow", "s3", "table")}
STORES = ("folder", "s3")
WORKERS = ("here-1", "here-2")
SUBMIT = """
import sys, time
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentUpdate
from flows.deploy import deploy
address, place = sys.argv[1:]
Secret(value=address).save("a-table")
done = deploy(["source=sql", "source.url=${oc.env:A_TABLE}", "source.query=SELECT * FROM iris",
               "source.target=species", "model_name=iris", "schedule=[train-weekly,score-hourly,monitor-hourly]",
               "schedule.train-weekly.trials=1", f"deploy.folder={place}"])
with get_client(sync_client=True) as client:
    of = {one.name: client.read_deployment_by_name(one.name) for one in done.deployments}
    for one in of.values():
        env = {**one.job_variables["env"], "A_TABLE": "{{ prefect.blocks.secret.a-table }}"}
        changed = DeploymentUpdate(paused=True, job_variables={**one.job_variables, "env": env})
        client.update_deployment(one.id, changed)
    for names in (["finefold/train-weekly"], ["finefold-score/score-hourly", "finefold-monitor/monitor-hourly"]):
        runs = [client.create_flow_run_from_deployment(of[name].id) for name in names]
        while not all((found := client.read_flow_run(run.id)).state.is_final() for run in runs):
            time.sleep(1)
        for run in runs:
            state = client.read_flow_run(run.id).state
            print(state.type.value, state.message or "")
"""


def variables(name: str, *, with_s3: bool = False) -> dict[str, str]:
    """with_s3: with the lines that are to be uncommented for such a store."""
    lines = (OPERATIONS / name).read_text().splitlines()
    if with_s3:
        lines = [line.removeprefix("#") if re.match("#(MLFLOW_S3|AWS)_", line) else line for line in lines]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def command_of(unit: str) -> list[str]:
    (line,) = re.findall(r"^ExecStart=\S*?/bin/(.*)$", (OPERATIONS / unit).read_text(), re.MULTILINE)
    return [sys.executable, "-m", *line.split()]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_has_nothing_to_say_but_that_the_programs_are_not_here(unit: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    instance = str(unit).replace("@.", "@1.")
    said = subprocess.run(["systemd-analyze", "verify", instance], capture_output=True, text=True).stderr
    assert not [line for line in said.splitlines() if "is not executable: No such file" not in line]


def test_every_setting_is_one_that_its_server_knows() -> None:
    import mlflow.cli
    import prefect.settings
    from mlflow import environment_variables

    of_command = {option.envvar for option in mlflow.cli.server.params if getattr(option, "envvar", None)}
    given = {*variables("server.env"), *variables("worker.env")}
    of_mlflow = {name for name in given if name.startswith("MLFLOW_")}
    assert not {name for name in of_mlflow if not hasattr(environment_variables, name)} - of_command
    of_prefect = {name for name in given if name.startswith("PREFECT_")}
    assert not {name for name in of_prefect if not hasattr(prefect.settings, name)}


def test_the_compose_file_names_only_what_it_has() -> None:
    content = yaml.safe_load((OPERATIONS / "compose.yaml").read_text())
    services, volumes = content["services"], content["volumes"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        named = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert {name for name in named if not name.startswith(".")} <= set(volumes)
        assert (OPERATIONS / service["env_file"]).exists()
    for name, unit in (("prefect", "prefect-server"), ("mlflow", "mlflow-server")):
        assert services[name]["command"].split() == command_of(f"{unit}.service")[2:]


@dataclass
class Team:
    """Both servers and two workers as the files say, on free ports of this machine; what they wrote lies in `folder`.
    s3: the address of the store where artifacts don't lie there too."""

    folder: Path
    database: int
    worker: dict[str, str]
    s3: str | None


def _environment(name: str, folder: Path, changes: dict[str, str], *, with_s3: bool = False) -> dict[str, str]:
    """Of a file, with this machine's ports, folders and passwords in the place of the examples."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_", "AWS_"))}
    given = variables(name, with_s3=with_s3)
    for key, value in given.items():
        for old, new in changes.items():
            value = value.replace(old, new)
        given[key] = value
    return own | given | {"PREFECT_HOME": str(folder / "prefect"), "PYTHONPATH": os.pathsep.join(sys.path)}


def _ports(n: int) -> list[str]:
    probes = [socket.socket() for _ in range(n)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [str(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _begin(unit: str, folder: Path, environment: dict[str, str], changes: dict[str, str]) -> psutil.Popen:
    command = command_of(unit)
    for old, new in {"0.0.0.0": "127.0.0.1", **changes}.items():
        command = [part.replace(old, new) for part in command]
    with (folder / f"{changes.get('%H-%i', unit)}.log").open("w") as log:
        return psutil.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)


def _end(process: psutil.Popen) -> None:
    family = [process, *process.children(recursive=True)]
    for one in family:
        one.terminate()
    for one in psutil.wait_procs(family, timeout=15)[1]:
        one.kill()
    process.wait()


def _wait_for(address: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            assert time.monotonic() < deadline, address
            time.sleep(0.3)


@contextmanager
def _s3(folder: Path, port: str) -> Iterator[str]:
    """The address of a store that speaks S3, with an empty bucket `finefold`."""
    import boto3

    address = f"http://127.0.0.1:{port}"
    with (folder / "s3.log").open("w") as log:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
        process = psutil.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(address)
        _bucket(boto3, address).create()
        yield address
    finally:
        _end(process)


def _bucket(boto3: Any, address: str) -> Any:
    login = {"aws_access_key_id": "key", "aws_secret_access_key": PASSWORDS["s3"], "region_name": "us-east-1"}
    return boto3.resource("s3", endpoint_url=address, **login).Bucket("finefold")


@pytest.fixture(scope="module", params=STORES)
def team(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    if find_spec("flask_wtf") is None:
        pytest.skip('needs MLflow\'s basic authentication: pip install "finefold[team]"')
    if request.param == "s3" and find_spec("moto") is None:
        pytest.skip('needs a store that speaks S3: pip install "finefold[store]"')
    folder = tmp_path_factory.mktemp("team")
    prefect, mlflow, s3 = _ports(3)
    with ExitStack() as stack:
        database = stack.enter_context(postgresql(tmp_path_factory.mktemp("postgresql"), PASSWORDS["database"]))
        store = stack.enter_context(_s3(folder, s3)) if request.param == "s3" else None
        changes = {
            ":5432": f":{database}", ":4200": f":{prefect}", ":5000": f":{mlflow}", "server.example": "127.0.0.1",
            "finefold@": "me@", "/etc/finefold": str(folder),
            **({"/srv/finefold/artifacts": "s3://finefold/artifacts", "https://s3.example": store} if store else {}),
            "/srv/finefold": str(folder),
            **{f"{name}-password": password for name, password in PASSWORDS.items()},
        }  # fmt: skip
        users = (OPERATIONS / "mlflow-users.ini").read_text()
        for old, new in changes.items():
            users = users.replace(old, new)
        (folder / "mlflow-users.ini").write_text(users)
        server = _environment("server.env", folder, changes, with_s3=store is not None)
        worker = _environment("worker.env", folder, changes)
        _fill(database)
        ports = {"4200": prefect, "5000": mlflow}
        begun = [_begin(f"{name}-server.service", folder, server, ports) for name in ("prefect", "mlflow")]
        try:
            _wait_for(f"http://127.0.0.1:{prefect}/api/health")
            _wait_for(f"http://127.0.0.1:{mlflow}/health")
            begun += [_begin("finefold-worker@.service", folder, worker, {"%H-%i": name}) for name in WORKERS]
            yield Team(folder, database, worker, store)
        finally:
            for process in reversed(begun):
                _end(process)


def _address(database: int, name: str, user: str = "me", password: str = PASSWORDS["database"]) -> str:
    return f"postgresql+psycopg://{user}:{password}@127.0.0.1:{database}/{name}"


def _fill(database: int) -> None:
    """The three databases of the servers, and one with a table to learn from, for a user of its own."""
    from sklearn.datasets import load_iris
    from sqlalchemy import create_engine, text

    frame = load_iris(as_frame=True).frame.rename(columns={"target": "species"}).astype({"species": str})
    engine = create_engine(_address(database, "postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name in ("prefect", "mlflow", "mlflow_users", "tables"):
            connection.execute(text(f"create database {name}"))
        connection.execute(text(f"create role reader login password '{PASSWORDS['table']}'"))
    engine.dispose()
    engine = create_engine(_address(database, "tables"))
    frame.to_sql("iris", engine, index=False)
    with engine.begin() as connection:
        connection.execute(text("grant select on iris to reader"))
    engine.dispose()


def _texts(database: int, name: str) -> str:
    """All rows of all tables of a database, as text."""
    from sqlalchemy import create_engine, text

    engine = create_engine(_address(database, name))
    with engine.connect() as connection:
        tables = connection.execute(text("select tablename from pg_tables where schemaname = 'public'")).scalars().all()
        rows = [str(connection.execute(text(f'select t::text from "{table}" t')).scalars().all()) for table in tables]
    engine.dispose()
    return "\n".join(rows)


@pytest.mark.slow
def test_workers_train_score_and_monitor_with_a_secret_and_no_password_is_written_anywhere(
    team: Team, tmp_path: Path
) -> None:
    address = _address(team.database, "tables", "reader", PASSWORDS["table"])
    command = [sys.executable, "-c", SUBMIT, address, str(team.folder)]
    done = subprocess.run(command, env=team.worker, cwd=tmp_path, capture_output=True, text=True, timeout=400)
    logs = [(team.folder / f"{name}.log").read_text() for name in WORKERS]
    states = [line.split()[0] for line in done.stdout.splitlines()[1:]]  # after a note on the secret
    assert states == ["COMPLETED"] * 3, done.stdout + done.stderr + "\n".join(logs)
    assert all("submitting flow run" in log for log in logs), logs  # each has one at a time
    assert len(pd.read_parquet(team.folder / "predictions" / "iris.parquet")) == 150
    if team.s3 is None:
        found = {path.name for path in (team.folder / "artifacts").rglob("*")}
    else:
        import boto3

        assert not (team.folder / "artifacts").exists()
        found = {part for one in _bucket(boto3, team.s3).objects.all() for part in one.key.split("/")}
    assert {"models", "monitor.json"} <= found
    written = {path: path.read_bytes() for path in team.folder.rglob("*") if path.is_file()}
    for password in PASSWORDS.values():
        assert not [path for path, content in written.items() if password.encode() in content]
        for name in ("prefect", "mlflow", "mlflow_users"):
            assert password not in _texts(team.database, name)
    assert "iris" in _texts(team.database, "mlflow")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"PREFECT_API_AUTH_STRING": "admin:wrong"}, "wants a login: export PREFECT_API_AUTH_STRING"),
        ({"MLFLOW_TRACKING_PASSWORD": "wrong"}, "Export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
    ],
)
def test_a_wrong_login_is_refused_by_name(team: Team, tmp_path: Path, change: dict[str, str], said: str) -> None:
    command = [sys.executable, "-m", "flows.cli", "run", "source.name=iris", "search.trials=1"]
    ended = subprocess.run(command, env=team.worker | change, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 2
    assert said in ended.stderr
