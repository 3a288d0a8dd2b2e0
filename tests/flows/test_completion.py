"""Completion: commands, keys and choices."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.completion import complete, script
from tasks.refusal import Refusal

COMMANDS = ("run", "compare")


def test_a_command_completes() -> None:
    assert complete(["finefold r"], COMMANDS) == ["run"]
    assert complete(["finefold c"], COMMANDS) == ["compare"]


def test_a_key_completes() -> None:
    assert "search.trials=" in complete(["finefold run search.t"], COMMANDS)
    assert complete(["finefold reproduce models:/x@champion source"], COMMANDS) == [
        "source.path=", "source.url=", "source_data=",
    ]  # fmt: skip


def test_a_key_of_a_chosen_source_completes() -> None:
    assert complete(["finefold run source=file source.pa"], COMMANDS) == ["source.path="]


def test_a_choice_completes_after_the_equals_sign() -> None:
    assert complete(["finefold run model=li"], COMMANDS) == ["lightgbm", "linear"]
    assert complete(["--whole", "finefold run model=li"], COMMANDS) == ["model=lightgbm", "model=linear"]


def test_each_of_several_values_completes_and_none_comes_twice() -> None:
    assert complete(["finefold compare model=linear,li"], COMMANDS) == ["linear,lightgbm"]
    assert complete(["--whole", "finefold compare model=linear,f"], COMMANDS) == ["model=linear,forest"]


ASKED = {
    "bash": """source <(finefold --shell-completion bash)
        COMP_LINE="finefold run model=lin"; COMP_POINT=${#COMP_LINE}; COMP_WORDS=(finefold run model = lin)
        COMP_CWORD=4; _finefold; echo "${COMP_WORDS[2]}=${COMPREPLY[0]}" """,
    "fish": """finefold --shell-completion fish | source; complete -C "finefold run model=lin" """,
    "zsh": """zmodload zsh/zpty; zpty typed zsh -f -i
        zpty -w typed 'autoload -Uz compinit; compinit -u -D; source <(finefold --shell-completion zsh); print READY'
        zpty -r typed seen $'*\nREADY*'
        zpty -w -n typed $'finefold run model=lin\t'; zpty -r typed seen '*model=linear*'; echo $seen; zpty -d typed""",
}


def test_a_command_with_keys_of_its_own_completes_these_alone() -> None:
    assert complete(["finefold rollback "], COMMANDS) == ["model_name=", "output=", "tracking.uri="]


@pytest.mark.parametrize("shell", ASKED)
def test_a_shell_completes_a_choice(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"needs the package {shell}")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    asked = [shell, *(["-f"] if shell == "zsh" else []), "-c", ASKED[shell]]
    done = subprocess.run(
        asked, env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60
    )
    assert done.returncode == 0
    assert "model=linear" in done.stdout


def test_another_shell_is_refused() -> None:
    with pytest.raises(Refusal, match="bash"):
        script("bsh")
