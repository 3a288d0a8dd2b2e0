"""finefold runs and finefold show: what a person sees of runs, and the same as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import left
import pytest

from flows import cli
from flows.runs import runs
from flows.show import show
from tasks.refusal import Refusal


@pytest.fixture
def ids(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    place = tmp_path_factory.getbasetemp() / "left-to-list"
    _, _, made = left.place(place)
    monkeypatch.chdir(place)
    return made


def test_runs_prints_a_line_for_each_and_json_when_asked(
    ids: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["runs", "model_name=sold", "output=json"])
    assert ended.value.code == 0
    heading, champion, old, told = capsys.readouterr().out.splitlines()
    assert " ".join(heading.split()) == "run when name model metric folds holdout state version seconds"
    assert champion.split()[0] == ids["champion"][:8]
    assert " ".join(champion.split()[3:]) == "champion lightgbm rmse 2 2.5 finished sold 1 @champion 60"
    assert old.split()[3] == "old"
    assert [one["run_id"] for one in json.loads(told)["runs"]] == [ids["champion"], ids["old"]]


def test_show_tells_scores_with_intervals_trials_and_versions(
    ids: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["show", "models:/sold@champion"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert f"champion: run {ids['champion']}" in out
    assert "2.25 to 2.75" in out
    assert "trials: 1 failed" in out
    assert "version  sold 1 @champion" in out
    assert f"runs/{ids['champion']}?workflowType=machine_learning" in out


def test_they_refuse_what_they_do_not_look_at(ids: dict[str, str]) -> None:
    with pytest.raises(Refusal, match=r"runs\.stat=x: runs looks at .* did you mean 'runs\.state'"):
        runs(["runs.stat=x"])
    with pytest.raises(Refusal, match=r"runs\.state"):
        runs(["runs.state=done"])
    with pytest.raises(Refusal, match="show mine: not the name of a run"):
        show("mine")


def test_a_folder_without_runs_is_refused_and_stays_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for call in (runs, lambda: show("f" * 32)):
        with pytest.raises(Refusal, match=r"there is no mlruns/mlflow\.db here"):
            call()
    assert list(tmp_path.iterdir()) == []
