"""`finefold up`, `status`, `doctor` and `down` with real servers and a real worker."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows import mlflow_server, up
from flows.address import is_healthy
from flows.config import compose
from flows.process import Process
from flows.servers import MlflowServer, PrefectServer, Servers, database_of, running
from tasks.refusal import Refusal
from tasks.served import answers


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Place:
    """A folder with servers of its own. said: what `up` printed as JSON."""

    folder: Path
    environment: dict[str, str]
    popen: subprocess.Popen[str]
    said: dict[str, str]
    overrides: list[str]

    def finefold(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flows.cli", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=280
        )

    def process(self, program: str) -> Process:
        records = {"prefect": Path(self.environment["PREFECT_HOME"]) / "finefold-server.json"}
        record = records.get(program, self.folder / "mlruns" / f"finefold-{program}.json")
        return Process(**json.loads(record.read_text()))


def begin_up(folder: Path, *overrides: str) -> Place:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    home = {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_API_PORT": str(free_port())}
    environment |= {**home, "PYTHONPATH": os.pathsep.join(sys.path)}
    asked = [f"servers.mlflow.port={free_port()}", *overrides]
    command = [sys.executable, "-m", "flows.cli", "up", "output=json", *asked]
    popen = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    assert popen.stdout
    said = next((line for line in popen.stdout if line.startswith("{")), None)
    assert said is not None, "up ended before it said what is up"
    return Place(folder, environment, popen, json.loads(said), asked)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = begin_up(tmp_path_factory.mktemp("place"))
    yield made
    made.finefold("down")
    made.popen.communicate(timeout=60)


def wait_until(is_so: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.slow
def test_a_run_uses_what_is_up_and_leaves_it_up(place: Place) -> None:
    ran = place.finefold("run", "source.name=iris", "search.trials=1", "output=json")
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout.splitlines()[-1])
    assert result["prefect_url"].startswith(place.said["prefect"])
    assert result["mlflow_url"].startswith(place.said["mlflow"].partition("/#")[0])
    assert "To open these pages" not in ran.stdout
    assert is_healthy(f"{place.said['prefect']}/api")
    assert (place.folder / "mlruns" / "artifacts" / result["run_id"]).is_dir()


@pytest.mark.slow
def test_a_second_up_finds_the_first_and_ends(place: Place) -> None:
    second = place.finefold("up", "output=json", *place.overrides)
    assert second.returncode == 0
    assert json.loads(second.stdout.splitlines()[-1]) == place.said
    assert place.process("worker").is_alive()


@pytest.mark.slow
def test_status_and_doctor_find_nothing_wrong(place: Place) -> None:
    status = place.finefold("status", "output=json", *place.overrides)
    assert status.returncode == 0, status.stdout
    assert [part["is_up"] for part in json.loads(status.stdout.splitlines()[-1])["parts"]] == [True] * 3
    doctor = place.finefold("doctor", "output=json", *place.overrides)
    assert doctor.returncode == 0, doctor.stdout
    about = {finding["about"] for finding in json.loads(doctor.stdout.splitlines()[-1])["findings"]}
    assert about >= {"python", "packages", "writable", "database", "reachable", "version"}


@pytest.mark.slow
@pytest.mark.parametrize("program", ["worker", "mlflow", "prefect"])
def test_what_was_killed_is_started_anew_at_its_address(place: Place, program: str) -> None:
    killed = place.process(program)
    for one in psutil.Process(killed.pid).children(recursive=True):
        one.kill()
    os.kill(killed.pid, signal.SIGKILL)
    wait_until(lambda: place.process(program).pid != killed.pid)
    assert place.process(program).is_alive()
    if killed.url:
        assert place.process(program).url == killed.url
        wait_until(lambda: answers(killed.url) if program == "mlflow" else is_healthy(f"{killed.url}/api"))


@pytest.mark.slow
def test_a_folder_of_ones_own_and_artifacts_elsewhere_are_used_by_runs_until_ctrl_c_stops_all(tmp_path: Path) -> None:
    folders = f"servers.folder={tmp_path}/kept", f"servers.mlflow.artifacts={tmp_path}/shared"
    place = begin_up(tmp_path, *folders, "servers.runs=0")
    assert place.said["worker"] == ""
    ran = place.finefold("run", "source.name=iris", "search.trials=1", "output=json")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "kept" / "mlflow.db").exists()
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()
    assert list((tmp_path / "shared").rglob("report.html"))
    server = place.process("mlflow")
    family = psutil.Process(server.pid).children(recursive=True)
    place.popen.send_signal(signal.SIGINT)
    place.popen.communicate(timeout=60)
    assert place.popen.returncode == 0
    assert not server.is_alive()
    assert not [process for process in family if process.is_running()]
    assert not is_healthy(f"{place.said['prefect']}/api")


@pytest.mark.slow
def test_down_stops_all_and_status_says_so(place: Place) -> None:
    begun = [place.process(program) for program in ("up", "mlflow", "worker")]
    assert place.finefold("down").returncode == 0
    assert not [process for process in begun if process.is_alive()]
    assert not answers(place.said["mlflow"].partition("/#")[0])
    assert place.finefold("status", *place.overrides).returncode == 1
    assert "nothing was up" in place.finefold("down").stdout


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        yield stranger.getsockname()[1]


def test_a_taken_port_is_refused_with_who_holds_it(
    taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("PREFECT_API_URL", "PREFECT_SERVER_API_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    servers = Servers("mlruns", "finefold", None, PrefectServer(taken, None), MlflowServer(taken, None, None))
    said = rf"port={taken} is taken by .*process {os.getpid()}\); stop that, or give another port"
    with pytest.raises(Refusal, match=f"servers.mlflow.{said}"):
        mlflow_server.start(servers)
    monkeypatch.setenv("PREFECT_SERVER_API_PORT", "1")  # to be put back
    with pytest.raises(Refusal, match=f"servers.prefect.{said}"):
        up.prefect_database(servers)


def test_a_key_that_up_has_no_use_for_is_refused() -> None:
    with pytest.raises(Refusal, match=r"search.trials=5: up looks at output, servers.folder, .* alone; leave it out"):
        up.asked(["search.trials=5"], "up")


@pytest.mark.slow
def test_a_second_process_is_not_in_charge_and_learns_who_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "import sys; from flows.up import in_charge\nwith in_charge() as ours: print(ours); sys.stdin.readline()"
    with up.in_charge() as is_ours:
        other = subprocess.run([sys.executable, "-c", code], input="\n", capture_output=True, text=True, check=True)
        assert (is_ours, other.stdout) == (True, "False\n")
    with up.in_charge() as is_ours:
        assert is_ours
    assert running("up") is None


@pytest.mark.parametrize(
    ("server", "given", "used"),
    [
        ("prefect", "postgresql://me@host/db", "postgresql+asyncpg://me@host/db"),
        ("mlflow", "postgresql+psycopg2://me@host/db", "postgresql+psycopg://me@host/db"),
        ("prefect", "sqlite:////srv/prefect.db", "sqlite+aiosqlite:////srv/prefect.db"),
    ],
)
def test_a_database_is_given_the_driver_that_its_server_needs(server: Any, given: str, used: str) -> None:
    assert database_of(server, given) == used


def test_another_kind_of_database_is_refused() -> None:
    with pytest.raises(Refusal, match=r"servers.mlflow.database must be postgresql://.* got mysql://"):
        database_of("mlflow", "mysql://me:secret@host/db")


def test_a_password_is_taken_from_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal, match=r"servers.mlflow.database holds a password"):
        compose(["servers.mlflow.database=postgresql://me:secret@host/db"])
    monkeypatch.setenv("A_DATABASE", "postgresql://me:secret@host/db")
    servers = compose(["servers.mlflow.database=${oc.env:A_DATABASE}"]).config.servers
    kept = mlflow_server.kept(servers)
    assert kept.database == "postgresql+psycopg://me:secret@host/db"
    assert "secret" not in kept.store
