"""Several runs: what fails is told, and loses none of the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.cli import main
from flows.multirun import planned
from flows.server import Server
from tasks.refusal import Refusal

SMALL = ["search=none", "folds.n_splits=3", "model.lightgbm.rounds=10"]


def test_the_faults_of_all_runs_are_told_before_the_first_one_runs() -> None:
    with pytest.raises(Refusal) as refused:
        planned({"a": ["runner.workers=0"], "b": ["seed=1"], "c": ["source.name=irs"], "d": ["source.name=irs"]})
    assert [fault.split()[0] for fault in refused.value.faults] == ["runner.workers", "source.name=irs:"]


@pytest.mark.slow
def test_a_run_that_fails_is_told_and_the_others_go_on(
    prefect_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["run", "--multirun", "model.lightgbm.hyperparameters.num_leaves=1,7", "output=json", *SMALL])
    failed, good = json.loads(capsys.readouterr().out.splitlines()[-1])["runs"]
    assert ended.value.code == 1
    assert failed["run"] == "model.lightgbm.hyperparameters.num_leaves=1"
    assert "num_leaves" in failed["error"]
    assert good["best"]["hyperparameters"]["num_leaves"] == 7
