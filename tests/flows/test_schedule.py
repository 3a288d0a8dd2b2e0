"""Schedules: what conf/schedule says, refused where it can't be, and which override goes to whose runs."""

from __future__ import annotations

from typing import Any

import pytest

from flows import config
from flows.plan import plan
from flows.schedule import Schedule, names, overrides_of, parameters_of, schedules_of, takes, when
from tasks.refusal import Refusal

FIELDS = ["overrides", "model_name", "trials", "seconds"]


def schedules(*overrides: str) -> dict[str, Schedule]:
    return schedules_of(config.compose([f"schedule=[{','.join(names())}]", "model_name=sold", *overrides]))


@pytest.mark.parametrize(("override", "said"), [
    ("schedule.train-weekly.cron='0 25 * * 0'", "schedule.train-weekly.cron='0 25 * * 0': "),
    ("schedule.train-weekly.cron=weekly", "Write minute, hour, day, month, weekday"),
    ("schedule.train-weekly.cron='0 0 31 2 *'", "schedule.train-weekly.cron='0 0 31 2 *': there is no such day"),
    ("schedule.train-weekly.cron='0 0 31 4,11 *'", "there is no such day"),
    ("schedule.train-weekly.cron='0 0 0 * * *'", "it has 6 fields. Write minute, hour"),
    ("schedule.train-weekly.cron='@weekly'", "it has 1 fields. Write minute, hour"),
    ("schedule.train-weekly.timezone=Europe/Berln", "no such time zone; did you mean 'Europe/Berlin'?"),
    ("schedule.train-weekly.limit=0", "schedule.train-weekly.limit must be at least 1, got 0."),
    ("schedule.train-weekly.collision=WAIT", "schedule.train-weekly.collision=WAIT: not one of ENQUEUE, CANCEL_NEW"),
    ("schedule.train-weekly.interval=60", "give one of cron and interval"),
    ("schedule.train-weekly.interval=1e12", "schedule.train-weekly.interval must be at most"),
    ("schedule.train-weekly.cron=null", "give one of cron and interval"),
    ("schedule.train-weekly.command=rnu", "no such command; did you mean 'run'?"),
    ("schedule.train-weekl.limit=2", "did you mean 'schedule.train-weekly.limit'?"),
])  # fmt: skip
def test_what_no_schedule_can_be_is_refused_with_its_key(override: str, said: str) -> None:
    with pytest.raises(Refusal) as refused:
        schedules(override)
    assert said in str(refused.value)


def test_a_run_has_no_use_for_what_is_deploys_alone() -> None:
    with pytest.raises(Refusal, match=r"notify\.block=x/y: finefold deploy alone looks at it; leave it out\."):
        plan(config.compose(["notify.block=x/y"]))


def test_all_faults_of_all_schedules_come_at_once() -> None:
    with pytest.raises(Refusal) as refused:
        schedules("schedule.train-weekly.limit=0", "schedule.finetune-daily.timezone=Mars")
    assert len(refused.value.faults) == 2


def test_an_interval_keeps_its_step_when_it_is_deployed_again() -> None:
    one = schedules("schedule.train-weekly.cron=null", "schedule.train-weekly.interval=900")["train-weekly"]
    first, second = when("train-weekly", one), when("train-weekly", one)
    assert first.interval == second.interval
    assert first.anchor_date == second.anchor_date


@pytest.mark.parametrize(("name", "given", "expected"), [
    ("train-weekly", ["search.trials=50", "search=random"], {"trials": 50, "overrides": ["search=random"]}),
    ("train-weekly", ["search.seconds=1.5", "search.seconds=2"], {"seconds": 2.0, "overrides": []}),
    ("train-weekly", ["model_name=sold", "predictions.path=out.csv"], {"model_name": "sold", "overrides": []}),
    ("finetune-daily", ["search.trials=50"], {"trials": 5, "overrides": ["base=models:/sold@champion"]}),
    ("monitor-hourly", ["source=file", "source.path=sales.csv", "source.target=sold", "source.key=[id]"],
     {"overrides": ["source.key=[id]"]}),
    ("score-hourly", ["source=file", "source.path=new.csv", "source.target=sold", "predictions.path=o.csv"],
     {"overrides": ["predictions.path=o.csv", "predictions.if_exists=replace", "source=file", "source.path=new.csv"]}),
    ("finetune-daily", ["base=models:/sold/3"], {"trials": 5, "overrides": ["base=models:/sold/3"]}),
])  # fmt: skip
def test_what_has_a_field_stands_there_and_the_last_one_counts(
    name: str, given: list[str], expected: dict[str, Any]
) -> None:
    assert parameters_of(schedules()[name], given, FIELDS) == expected


def test_a_flow_without_fields_gets_all_as_overrides() -> None:
    one = schedules()["train-weekly"]
    assert parameters_of(one, ["model_name=sold"], ["overrides"]) == {"overrides": ["model_name=sold"]}
    assert overrides_of(one, ["model_name=sold"]) == ["model_name=sold"]


def test_a_command_takes_its_own_keys_alone() -> None:
    assert takes("rollback", "model_name")
    assert not takes("rollback", "search.trials")
    assert takes("run", "search.trials")
    assert not takes("run", "deploy.lost_after")
    assert takes("monitor", "monitor.window_hours")
    assert not takes("score", "source.target")
