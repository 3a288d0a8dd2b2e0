"""What a process keeps for the trials of a study, and what it says of it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from judged import NUMBER, Sums, case

from tasks.workspace import Experiment, forget, making_seconds, workspace_of


def experiment(root: Path, seconds: list[float]) -> Experiment:
    """Whose workspace takes so long to make the first time, the second, and so on."""

    def workspace(*_: object) -> object:
        time.sleep(seconds.pop(0))
        return object()

    table = pd.DataFrame({"x": np.arange(8.0), "y": np.arange(8.0)})
    family: Any = SimpleNamespace(workspace=workspace)
    return replace(case(root, NUMBER, "rmse", table, table, Sums()).experiment, families={"slow": family})


def test_what_was_let_go_is_made_again_and_told_by_its_dearest_making(tmp_path: Path) -> None:
    it = experiment(tmp_path, [0.01, 0.3, 0.01])
    assert making_seconds(it) == 0
    first = workspace_of(it, "slow")
    assert workspace_of(it, "slow") is first
    for _ in range(2):
        forget()
        assert workspace_of(it, "slow") is not first
    assert 0.3 <= making_seconds(it) < 0.32
