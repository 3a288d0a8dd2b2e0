"""Completion: commands, keys and choices."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from flows.completion import complete, script
from tasks.refusal import Refusal

COMMANDS = ("run", "compare")


def test_a_command_completes() -> None:
    assert complete(["finefold r"], COMMANDS) == ["run"]
    assert complete(["finefold c"], COMMANDS) == ["compare"]


def test_a_key_completes() -> None:
    assert "search.trials=" in complete(["finefold run search.t"], COMMANDS)


def test_a_key_of_a_chosen_source_completes() -> None:
    assert complete(["finefold run source=file source.pa"], COMMANDS) == ["source.path="]


def test_a_choice_completes_after_the_equals_sign() -> None:
    assert complete(["finefold run model=li"], COMMANDS) == ["lightgbm", "linear"]
    assert complete(["--whole", "finefold run model=li"], COMMANDS) == ["model=lightgbm", "model=linear"]


def test_each_of_several_values_completes_and_none_comes_twice() -> None:
    assert complete(["finefold compare model=linear,li"], COMMANDS) == ["linear,lightgbm"]
    assert complete(["--whole", "finefold compare model=linear,f"], COMMANDS) == ["model=linear,forest"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_valid_in_its_shell(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"needs the package {shell}")
    assert subprocess.run([shell, "-n"], input=script(shell), text=True, check=False).returncode == 0


def test_another_shell_is_refused() -> None:
    with pytest.raises(Refusal, match="bash"):
        script("bsh")
