"""The local Prefect server, with real servers and real processes: found or started, shared, drained, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flows import server
from flows.address import is_healthy
from flows.process import Process
from tasks.refusal import Refusal

USE = """
import sys
from flows import server
from flows.address import is_healthy
from flows.process import Process
with server.start() as used:
    used.wait()
    print(used.ui_url, used.process.pid if used.process else 0, flush=True)
    sys.stdin.readline()
"""


class User:
    """Another finefold process that uses a server until it is told to leave."""

    def __init__(self, **environment: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", USE],
            env=_clean() | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer(self) -> tuple[str, int]:
        """The address it uses, and the process id of the server where finefold started it, else 0."""
        assert self.popen.stdout
        ui_url, pid = self.popen.stdout.readline().split()
        return ui_url, int(pid)

    def leave(self) -> None:
        self.popen.communicate("\n", timeout=20)

    def kill(self) -> None:
        self.popen.send_signal(signal.SIGKILL)
        self.popen.communicate(timeout=20)


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture(autouse=True)
def _prefect_reads_the_environment_again() -> Iterator[None]:
    """After a test has changed it: Prefect, imported once, keeps the settings that it read last."""
    from prefect.context import refresh_global_settings_context

    yield
    refresh_global_settings_context()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PREFECT_HOME that the tests share, because a database costs 4 s to make; no server outlives it."""
    path = tmp_path_factory.mktemp("home")
    yield str(path)
    record = path / "finefold-server.json"
    if record.exists() and (left := Process(**json.loads(record.read_text()))).is_alive():
        left.stop()


def test_importing_the_module_imports_nothing_heavy() -> None:
    code = "import sys, flows.server; print({'prefect', 'httpx', 'psutil', 'mlflow', 'pandas'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"


def test_two_processes_at_once_share_one_server_and_the_last_one_stops_it(home: str) -> None:
    port = _free_port()
    first, second = (User(PREFECT_HOME=home, PREFECT_SERVER_API_PORT=port) for _ in range(2))
    assert (answer := first.answer()) == second.answer()
    assert answer[0] == f"http://127.0.0.1:{port}"
    first.leave()
    assert is_healthy(f"{answer[0]}/api")
    second.leave()
    assert not is_healthy(f"{answer[0]}/api")


def test_the_server_of_a_killed_process_is_reused_and_stopped_by_the_next(home: str) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        taken = str(stranger.getsockname()[1])
        killed = User(PREFECT_HOME=home, PREFECT_SERVER_API_PORT=taken)
        ui_url, pid = killed.answer()
        assert ui_url != f"http://127.0.0.1:{taken}"
        killed.kill()
        assert is_healthy(f"{ui_url}/api")
        heir = User(PREFECT_HOME=home, PREFECT_SERVER_API_PORT=taken)
        assert heir.answer() == (ui_url, pid)
        heir.leave()
    assert not is_healthy(f"{ui_url}/api")


def test_a_server_that_was_given_is_used_and_left_running(prefect_server: server.Server, tmp_path: Path) -> None:
    user = User(PREFECT_HOME=str(tmp_path), PREFECT_API_URL=prefect_server.api_url)
    assert user.answer() == (prefect_server.ui_url, 0)
    user.leave()
    assert is_healthy(prefect_server.api_url)


def test_a_server_of_another_home_at_the_port_is_shared_and_the_last_one_stops_it(home: str, tmp_path: Path) -> None:
    port = _free_port()
    first = User(PREFECT_HOME=home, PREFECT_SERVER_API_PORT=port)
    ui_url, pid = first.answer()
    second = User(PREFECT_HOME=str(tmp_path), PREFECT_SERVER_API_PORT=port)
    assert second.answer() == (ui_url, pid)
    first.leave()
    assert is_healthy(f"{ui_url}/api")
    second.leave()
    assert not is_healthy(f"{ui_url}/api")


def test_a_server_at_the_port_that_no_home_knows_is_used_and_left_running(
    prefect_server: server.Server, tmp_path: Path
) -> None:
    assert prefect_server.home is not None
    port, record = prefect_server.ui_url.rpartition(":")[2], prefect_server.home / "finefold-server.json"
    with contextlib.ExitStack() as restored:
        restored.callback(record.with_suffix(".away").rename, record)
        record.rename(record.with_suffix(".away"))
        user = User(PREFECT_HOME=str(tmp_path), PREFECT_SERVER_API_PORT=port)
        assert user.answer() == (prefect_server.ui_url, 0)
        user.leave()
    assert is_healthy(prefect_server.api_url)


def test_a_server_of_another_user_is_used_and_not_held(
    prefect_server: server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = server._shared(prefect_server.ui_url)
    assert held is not None
    assert (held.process, held.home) == (prefect_server.process, prefect_server.home)
    held.hold.close() if held.hold else None
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: -7)
        assert server._shared(prefect_server.ui_url) is None
    monkeypatch.setattr(server, "home_of", lambda _: Path("/root/.prefect/of/a/container"))
    assert server._shared(prefect_server.ui_url) is None


def test_the_page_asks_its_own_api(prefect_server: server.Server) -> None:
    with urllib.request.urlopen(f"{prefect_server.ui_url}/ui-settings", timeout=5) as answer:
        assert json.load(answer)["api_url"] == prefect_server.api_url


def test_an_unreachable_given_server_is_refused_by_name_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    port = _free_port()
    monkeypatch.setenv("PREFECT_API_URL", f"http://me:secret@127.0.0.1:{port}/api")
    with pytest.raises(
        Refusal, match=f"PREFECT_API_URL=http://127.0.0.1:{port}/api .*unset PREFECT_API_URL"
    ) as refusal:
        server.start()
    assert "secret" not in str(refusal.value)


def test_the_address_of_the_active_profile_counts_as_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    port = _free_port()
    profiles = f'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "http://127.0.0.1:{port}/api"\n'
    (tmp_path / "profiles.toml").write_text(profiles)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    with pytest.raises(Refusal, match=f"127.0.0.1:{port}/api does not answer"):
        server.start()


def test_a_server_that_dies_is_refused_with_the_last_line_of_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_SERVER_API_PORT", _free_port())
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "nonsense://")
    before = dict(os.environ)
    with server.start() as dying, pytest.raises(Refusal, match=r"ended before .*finefold-server\.log: .*nonsense"):
        dying.wait(30)
    assert "PREFECT_API_URL" not in os.environ
    assert before.items() <= os.environ.items()


def test_a_process_that_only_has_the_id_of_our_server_is_no_server_of_ours() -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)
    try:
        recorded = Process(stranger.pid, time.time(), "http://127.0.0.1:1")
        assert not recorded.is_alive()
        recorded.stop(seconds=0.1)
        assert stranger.poll() is None
    finally:
        stranger.communicate("\n")


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "true")
    server.quieten()
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "true"
    assert os.environ["DO_NOT_TRACK"] == "1"


def test_task_runs_of_a_flow_and_of_its_subflow_are_in_the_database_by_id(prefect_server: server.Server) -> None:
    from prefect import flow, get_client, task
    from prefect.context import TaskRunContext
    from prefect.futures import wait

    @task
    def work(n: int) -> str:
        context = TaskRunContext.get()
        assert context
        if n == 7:
            raise ValueError("one that fails is recorded too")
        return str(context.task_run.id)

    @flow
    def inner() -> list[str]:
        return [str(future.task_run_id) for future in wait([work.submit(n) for n in range(50)]).done]

    @flow
    def outer() -> list[str]:
        futures = wait([work.submit(n) for n in range(149)]).done
        return [work(0), *(str(future.task_run_id) for future in futures), *inner()]

    ids = outer()
    assert len(set(ids)) == 200
    assert set(ids) <= set(prefect_server.seen.ids)
    assert prefect_server.drain() == ""
    with get_client(sync_client=True) as client:
        states = [client.read_task_run(uuid.UUID(task_run_id)).state for task_run_id in ids]
    assert sorted(state.type.value for state in states if state) == ["COMPLETED"] * 198 + ["FAILED"] * 2


def test_a_task_run_that_never_arrives_is_named_and_no_error(prefect_server: server.Server) -> None:
    stray = str(uuid.uuid4())
    before = time.monotonic()
    warning = prefect_server.drain(task_run_ids=[stray], seconds=0.3)
    assert time.monotonic() - before < 3
    assert "1 are missing" in warning
    assert stray in warning


def test_an_idle_server_leaves_the_processor_alone(prefect_server: server.Server) -> None:
    """A share of a core that a loop without a pause would exceed several times over, on a busy machine too."""
    assert prefect_server.process is not None
    process = psutil.Process(prefect_server.process.pid)
    before = process.cpu_times()
    time.sleep(4)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    assert used < 0.8
