"""Going through a table whose law changes: what fires, what wins, what is left of it, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from flows.output import print_json
from flows.replay import ROOT, replay
from flows.replaying import checked, table_of
from tasks.refusal import Refusal
from tasks.replayed import Replayed, Step

N_ROWS, CHANGED, FIRST = 220, 5, 4  # of a month; the month, counted from 0, from which on the target is higher
GIVEN = ["source=file", "source.target=sold", "source.time=day", f"replay.first={FIRST}"]
SMALL = [*GIVEN, "check=[]", "model.lightgbm.rounds=40", "folds.n_splits=3", "search.trials=1", "search=none",
         "metric=rmse"]  # fmt: skip


def table(path: Path, n_months: int = 8, changed: int = CHANGED) -> Path:
    """220 rows a month of two numbers and a target that jumps by many times its noise."""
    generator = np.random.default_rng(0)
    day = pd.date_range("2024-01-01", periods=n_months * N_ROWS, freq=pd.Timedelta(days=30.4) / N_ROWS)
    price, size = generator.normal(size=(2, len(day)))
    sold = 2 * price + size + 0.3 * generator.normal(size=len(day))
    sold += np.where(day >= pd.Timestamp(2024, changed + 1, 1), 6.0, 0.0)
    made = pd.DataFrame({"day": day.strftime("%Y-%m-%d"), "price": price, "size": size, "sold": sold})
    made.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def overrides(place: Path) -> list[str]:
    return [*SMALL, f"source.path={table(place / 'sales.csv')}", "replay.policies=[never,monitor]"]


@pytest.fixture(scope="module")
def made(overrides: list[str]) -> Replayed:
    return replay(overrides)


def steps(made: Replayed, policy: str) -> list[Step]:
    return [one for one in made.steps if one.policy == policy]


@pytest.mark.slow
def test_the_monitor_fires_after_the_change_alone_and_wins(made: Replayed) -> None:
    never, monitor = made.policies
    assert made.periods == ("2024-05", "2024-06", "2024-07", "2024-08")
    fired = [one.period for one in steps(made, "monitor") if one.outcome]
    assert fired[0] == "2024-06"
    assert monitor.score < 0.8 * never.score
    assert (never.n_searches, never.n_finetunes, never.n_promoted) == (0, 0, 0)


@pytest.mark.slow
def test_a_period_is_predicted_by_a_model_that_never_saw_its_labels(made: Replayed) -> None:
    first = {policy: steps(made, policy)[: CHANGED - FIRST + 1] for policy in ("never", "monitor")}
    assert [one.score for one in first["never"]] == [one.score for one in first["monitor"]]
    assert first["monitor"][-1].score > 4  # the jump is there, and nobody knew of it


@pytest.mark.slow
def test_the_last_period_is_followed_by_no_training(made: Replayed) -> None:
    assert {one.outcome for one in made.steps if one.period == made.periods[-1]} == {""}


@pytest.mark.slow
def test_it_is_kept_as_a_run_with_one_for_each_step_below(made: Replayed, client: mlflow.MlflowClient) -> None:
    run = client.get_run(made.run_id)
    assert (run.data.tags["kind"], run.info.status) == ("replay", "FINISHED")
    assert "| monitor |" in run.data.tags["mlflow.note.content"]
    assert [file.path for file in client.list_artifacts(made.run_id, "plots")] == ["plots/replay.png"]
    below = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{made.run_id}'")
    assert len(below) == 1 + 2 * 4  # the first models, and the steps
    fired = next(one for one in steps(made, "monitor") if one.outcome)
    step = next(one for one in below if one.info.run_name == f"monitor {fired.period}")
    assert client.get_run(fired.run_id).data.tags["mlflow.parentRunId"] == step.info.run_id


@pytest.mark.slow
def test_what_it_came_to_is_one_json_object_with_the_time_of_each_remedy(
    made: Replayed, capsys: pytest.CaptureFixture[str]
) -> None:
    print_json(asdict(made), ["output=json"])
    told = json.loads(capsys.readouterr().out)
    last = [one.last for one in made.steps if one.last is not None][-1]
    assert [one["last"]["time"] for one in told["steps"] if one["last"]][-1] == last.time.isoformat()


@pytest.mark.slow
def test_after_a_kill_it_goes_on_and_comes_to_the_same(made: Replayed, overrides: list[str]) -> None:
    (folder,) = (path for path in ROOT.glob("*/1"))
    known = {path: path.stat().st_mtime_ns for path in folder.glob("*/2024-05.json")}
    for month in ("06", "07", "08"):
        (folder / "monitor" / f"2024-{month}.json").unlink()
    again = replay(overrides)
    assert known == {path: path.stat().st_mtime_ns for path in known}
    assert again.run_id != made.run_id
    for one, other in zip(again.steps, made.steps, strict=True):
        same = replace(one, seconds=0.0, run_id="", then=0, version=0, why="", last=None)
        assert same == replace(other, seconds=0.0, run_id="", then=0, version=0, why="", last=None)
    shutil.rmtree(folder.parent)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_that_is_wrong_with_what_was_asked_is_said_at_once(here: Path) -> None:
    with pytest.raises(Refusal) as refused:
        checked(["source=file", "source.path=a.csv", "base=models:/a/1", "replay.policies=[never,montor]"])
    said = "\n".join(refused.value.faults)
    assert "source.time=COLUMN" in said
    assert "base=models:/a/1: replay begins with a search of its own" in said
    assert "replay.policies=montor: no such policy; did you mean 'monitor'?" in said


def test_a_strategy_that_no_fine_tuning_can_take_is_refused_before_anything_starts(here: Path) -> None:
    with pytest.raises(Refusal, match="strategy=ladder climbs"):
        checked([*GIVEN, "source.path=a.csv", "strategy=ladder"])


def test_a_table_that_can_not_be_gone_through_is_refused_and_gaps_are_told(here: Path) -> None:
    config, planned = checked([*GIVEN, f"source.path={table(here / 'sales.csv')}", "replay.policies=[never]"])
    for asked, time, said in (
        ({"first": 7}, "day", "replay.first=7: the table has 8 periods, of which at least 2 must be left"),
        ({"period": "year"}, "day", "fall into 1 of them, and at least 3 are needed"),
        ({}, "price", "holds numbers, which fall into no month"),
        ({}, "date", "source.time=date: no such column; did you mean 'day'?"),
    ):
        with pytest.raises(Refusal) as refused:
            table_of(replace(config, replay=replace(config.replay, **asked)),
                     replace(planned, roles=replace(planned.roles, time=time)))  # fmt: skip
        assert said in str(refused.value)
    rows = pd.read_csv(here / "sales.csv")
    rows[~rows["day"].str.startswith("2024-03")].to_csv(here / "sales.csv", index=False)
    found, notes = table_of(config, planned)
    assert notes == ["no rows in 2024-03"]
    assert len(found.periods.names) == 7
