"""Every command of the README runs, and its first screen shows what is true."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client

from flows.server import Server

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = [line[2:] for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL) for line in block.splitlines()
            if line.startswith("$ ")]  # fmt: skip
STANDING = ("up", "status")  # one stands until Ctrl-C, one ends with 1 beside it: tests/flows/test_up.py runs them
SMALL = " search.trials=3 folds.n_splits=3 model.lightgbm.rounds=30"


def shell(command: str, place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as a user would, with this environment's programs first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, shell=True, cwd=place, env={**os.environ, "PATH": path, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_first_screen_holds_the_two_commands() -> None:
    assert COMMANDS[:2] == ["make run", "make test"]


@pytest.mark.parametrize("target", ["run", "test", "test-all", "install", "lint"])
def test_make_knows_what_the_readme_says(target: str) -> None:
    ended = shell(f"make --always-make --dry-run {target}", ROOT)
    assert ended.returncode == 0
    last = {"run": "finefold run", "install": "installed", "lint": "mypy"}.get(target, "-m pytest")
    assert last in ended.stdout


@pytest.fixture(scope="module")
def without_deployments(prefect_server: Server) -> Iterator[None]:
    """The server is other tests' before and afterwards."""
    with get_client(sync_client=True) as client:
        delete_deployments(client)
        yield
        delete_deployments(client)


def delete_deployments(client: SyncPrefectClient) -> None:
    for one in client.read_deployments():
        client.delete_deployment(one.id)


@pytest.mark.slow
@pytest.mark.usefixtures("without_deployments")
@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if one.startswith("finefold") and one.split()[1] not in STANDING]
)
def test_a_command_of_the_readme_runs(command: str, tmp_path: Path, prefect_server: Server) -> None:
    """With a smaller budget, on tables of the same form in the place of the user's."""
    for name, first in (("customers", 0), ("all_shops", 0), ("our_shop", 300)):
        numbers = range(first, first + 300)
        rows = [f"{20 + i % 40},{'ABC'[i % 3]},{'yes' if i % 40 > 15 + i % 3 else 'no'}" for i in numbers]
        (tmp_path / f"{name}.csv").write_text("\n".join(["age,plan,churned", *rows, ""]))
    for one in (*made_before(command), command):
        budget = SMALL if one.split()[1] in ("run", "compare", "pretrain", "finetune") and "--" not in one else ""
        ended = shell(one + budget, tmp_path)
        assert (ended.returncode, ended.stderr) == (0, "")


def made_before(command: str) -> list[str]:
    """The command that makes the base which this one goes on from."""
    name = command.partition("models:/")[2].partition("@")[0]
    return [one for one in COMMANDS if name and f"model_name={name}" in one.split()]


@pytest.mark.slow
def test_the_python_of_the_readme_runs(tmp_path: Path, prefect_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert json.dumps(str(names["result"]))


def test_the_output_shown_has_the_lines_that_a_run_prints() -> None:
    shown = README.partition("$ make run")[2].partition("```")[0]
    for line in ("rows sealed as the holdout", "best of 30 trials", "roc_auc", "95 % interval", "MLflow", "Prefect"):
        assert line in shown
