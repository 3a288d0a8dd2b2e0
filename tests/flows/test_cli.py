"""The command line: what it prints, what it refuses, how it exits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows.cli import COMMANDS, main
from flows.server import Server

SMALL = ["folds.n_splits=3", "model.lightgbm.rounds=30"]


class Exit:
    """How a command ended, and what it wrote."""

    def __init__(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        self.status = ended.value.code
        self.out, self.err = capsys.readouterr()


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    ended = Exit([], capsys)
    assert ended.status == 0
    assert all(command in ended.out for command in COMMANDS)


def test_help_of_run_names_every_choice_and_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    out = Exit(["run", "--help"], capsys).out
    assert "model=forest, lightgbm, linear" in out
    assert all(flag in out for flag in ("--cfg", "--multirun", "--shell-completion", "--debug"))
    assert "search:" in out


def test_help_of_compare_names_every_choice_and_no_flag_that_it_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    out = Exit(["compare", "--help"], capsys).out
    assert out.startswith("finefold compare [flags]")
    assert "search=bayesian, genetic" in out
    assert "--multirun" not in out


def test_help_shows_the_choices_of_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("# @package model.mine\n")
    monkeypatch.setenv("FINEFOLD_CONF", str(tmp_path))
    assert "model=forest, lightgbm, linear, mine" in Exit(["run", "--help"], capsys).out


def test_cfg_job_prints_the_configuration_as_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    printed = yaml.safe_load(Exit(["run", "--cfg", "job", "seed=7", "search=random"], capsys).out)
    assert printed["seed"] == 7
    assert printed["search"]["sampler"]["_target_"] == "tasks.search.random.Random"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rn"], "no command 'rn'; did you mean 'run'?"),
        (["run", "--multirn"], "no flag '--multirn'; did you mean '--multirun'?"),
        (["run", "--cfg", "hydra"], "--cfg hydra: only `--cfg job` is known"),
        (["comapre"], "no command 'comapre'; did you mean 'compare'?"),
        (["compare", "search=random"], "no key has several values to compare"),
        (["compare", "search=random,genetik"], "search=genetik: no such choice; did you mean 'genetic'?"),
        (["compare", "serch=random,genetic"], "there is no key 'serch'; did you mean 'search'?"),
        (["compare", "seed=1,2"], "seed=1,2 changes the folds"),
        (["compare", "--multirun", "search=random,genetic"], "leave --multirun out"),
        (["finetune", "--multirun", "base=models:/x/1", "model=lightgbm"], "leave --multirun out"),
        (["run", "search=random,genetic"], "finefold compare"),
        (["run", "search.trials=many"], "search.trials must be a whole number, got 'many'."),
        (["run", "--multirun", "seed=1,2", "modl=linear,forest"], "there is no key 'modl'"),
    ],
)
def test_a_mistake_exits_with_2_and_says_what_was_meant(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = Exit(arguments, capsys)
    assert ended.status == 2
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_json_is_the_last_line_of_standard_output(
    prefect_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = Exit(["run", "output=json", "search=none", *SMALL], capsys)
    result = json.loads(ended.out.splitlines()[-1])
    assert ended.status == 0
    none = dict.fromkeys(("failed", "stopped_early", "reused", "over_limits"), 0)
    assert result["trials"] == {"requested": 1, "finished": 1, **none}
    assert ended.err == ""


@pytest.mark.slow
def test_a_multirun_ends_with_one_line_per_combination(
    prefect_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = Exit(["run", "--multirun", "search=none", "seed=0,1", *SMALL], capsys)
    assert ended.status == 0
    assert [line.split()[0] for line in ended.out.splitlines()[-2:]] == ["seed=0", "seed=1"]


@pytest.mark.slow
def test_plain_lines_where_standard_output_is_no_terminal(prefect_server: Server, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", "run", "search=none", *SMALL]
    root = str(Path(__file__).parent.parent.parent)
    ended = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\x1b" not in ended.stdout
    assert "Warning" not in ended.stdout
