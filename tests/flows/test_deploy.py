"""finefold deploy: what stands on the server afterwards, what a second one leaves as it was, and what is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.responses import DeploymentResponse

from flows import cli
from flows.alone import limit_of
from flows.config import compose
from flows.deploy import asked, deploy, deployments_of, unset
from tasks.refusal import Refusal
from tasks.remedy import Deployments

TRAININGS = "schedule=[train-weekly,finetune-daily]"
NAME = "breast_cancer"


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[SyncPrefectClient]:
    """The trainings of one model, deployed; the server is other tests' afterwards."""
    deploy([TRAININGS, f"model_name={NAME}", "search.trials=4"])
    with get_client(sync_client=True) as client:
        yield client
        for one in client.read_deployments():
            client.delete_deployment(one.id)


def deployment(server: SyncPrefectClient, name: str = "finefold/train-weekly") -> DeploymentResponse:
    return server.read_deployment_by_name(name)


def test_a_schedule_is_a_deployment_by_module_in_the_current_folder(server: SyncPrefectClient, place: Path) -> None:
    found = deployment(server)
    assert found.entrypoint == "flows.pipeline:pipeline"
    assert found.work_pool_name == "finefold"
    assert found.job_variables["working_dir"] == str(place)
    assert found.parameters == {"model_name": NAME, "trials": 4, "overrides": []}
    assert found.global_concurrency_limit is not None
    assert found.global_concurrency_limit.limit == 1
    assert [(of.slug, of.active, of.schedule.timezone) for of in found.schedules] == [("train-weekly", True, "UTC")]
    assert deployment(server, "finefold/finetune-daily").parameters["trials"] == 5  # of its own
    assert server.read_work_pool("finefold").type == "process"
    assert server.read_global_concurrency_limit_by_name(limit_of(NAME)).limit == 1


def test_the_form_knows_each_field_and_its_limits(server: SyncPrefectClient) -> None:
    fields: dict[str, Any] = deployment(server).parameter_openapi_schema["properties"]
    assert list(fields) == ["overrides", "model_name", "trials", "seconds"]
    assert all(field["description"] for field in fields.values())
    with pytest.raises(Exception, match="less than the minimum"):
        server.create_flow_run_from_deployment(deployment(server).id, parameters={"trials": 0})


@pytest.mark.slow
def test_the_server_schedules_runs_of_it(server: SyncPrefectClient) -> None:
    of_it = FlowRunFilter.model_validate({"deployment_id": {"any_": [str(deployment(server).id)]}})
    deadline = time.monotonic() + 60
    while not (runs := server.read_flow_runs(flow_run_filter=of_it)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert runs, "Prefect's scheduler made no run; is SQLAlchemy older than 2.1?"
    assert {run.state_name for run in runs} == {"Scheduled"}


def test_a_second_one_changes_in_place_and_leaves_what_a_person_did(server: SyncPrefectClient) -> None:
    known = deployment(server)
    server.update_deployment_schedule(known.id, known.schedules[0].id, active=False)
    server.update_deployment(known.id, DeploymentUpdate(paused=True))
    changed = "schedule.train-weekly.cron='0 4 * * 0'"
    done = deploy(["schedule=[train-weekly]", f"model_name={NAME}", "search=random", changed])
    found = deployment(server)
    assert found.id == known.id
    assert found.parameters == {"model_name": NAME, "overrides": ["search=random"]}
    assert [(of.id, of.active, getattr(of.schedule, "cron", "")) for of in found.schedules] == [
        (known.schedules[0].id, False, "0 4 * * 0")
    ]
    assert found.paused
    assert done.deployments[0].is_paused
    names = [one.name for one in server.read_automations()]
    assert sorted(names) == ["finefold: go on after a crash", "finefold: lost"]


@pytest.mark.parametrize(("overrides", "said"), [
    ([], "deploy needs the name that models are registered under: model_name=NAME."),
    (["model_name=other"], "finefold/train-weekly is deployed for model_name=breast_cancer; give this model's"),
    (["model_name=other", "deploy.suffix=a/b"], "deploy.suffix"),
    ([f"model_name={NAME}", "serch.trials=5"], "did you mean 'search.trials'?"),
    ([f"model_name={NAME}", "schedule=[train-weekl]"], "did you mean 'train-weekly'?"),
    ([f"model_name={NAME}", "schedule=[]"], "schedule: name at least one"),
    ([f"model_name={NAME}", "schedule=[score-hourly]"], "schedule=score-hourly needs source: write source=..."),
    ([f"model_name={NAME}", "schedule=[score-hourly]", "source=sklearn", "predictions.path=o.xlsx"],
     "predictions.path=o.xlsx: its name must end in .parquet"),
    ([f"model_name={NAME}", "predictions.path=out.csv"], "runs of train-weekly, finetune-daily have no use for it"),
    ([f"model_name={NAME}", "schedule=[finetune-daily]", "search.trials=9"], "schedule.finetune-daily.trials=NUMBER"),
    ([f"model_name={NAME}", "search.trials=0"], "search.trials must be at least 1, got 0."),
    ([f"model_name={NAME}", "source=sql", "source.url=mysql://me:secret@host/db"], "source.url holds a password"),
    ([f"model_name={NAME}", "deploy.lost_after=10"], "deploy.lost_after must be at least 90, got 10."),
    ([f"model_name={NAME}", "notify.block=mail"], "no such type of block"),
])  # fmt: skip
def test_what_can_not_be_deployed_is_refused(server: SyncPrefectClient, overrides: list[str], said: str) -> None:
    given = overrides if any(text.startswith("schedule=") for text in overrides) else [TRAININGS, *overrides]
    with pytest.raises(Refusal) as refused:
        deploy(given)
    assert said in str(refused.value)


def test_a_second_model_has_deployments_of_its_own_which_its_monitor_starts(server: SyncPrefectClient) -> None:
    given = ["model_name=other", "source=sklearn", "deploy.suffix=-other"]
    done = deploy(["schedule=[train-weekly,monitor-hourly]", *given])
    assert [one.name for one in done.deployments] == [
        "finefold/train-weekly-other", "finefold-monitor/monitor-hourly-other",
    ]  # fmt: skip
    assert deployment(server, "finefold/train-weekly-other").parameters["model_name"] == "other"
    assert deployment(server).parameters["model_name"] == NAME
    monitor = deployment(server, "finefold-monitor/monitor-hourly-other").parameters
    looks = [*monitor["overrides"], f"model_name={monitor['model_name']}"]
    rules = compose(looks).config.monitor
    assert rules.deployments == Deployments("finefold/finetune-daily-other", "finefold/train-weekly-other")


def test_runs_run_in_the_folder_that_the_workers_have(server: SyncPrefectClient) -> None:
    given = ["schedule=[monitor-hourly]", "model_name=other", "deploy.suffix=-other", "deploy.folder=/srv/finefold"]
    assert deploy(given).folder == "/srv/finefold"
    found = deployment(server, "finefold-monitor/monitor-hourly-other")
    assert found.job_variables["working_dir"] == "/srv/finefold"
    with pytest.raises(Refusal, match=r"deploy\.folder"):
        deploy([*given, "deploy.folder=here"])


def test_a_secret_of_the_workers_need_not_be_known_here(
    server: SyncPrefectClient, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["schedule=[train-weekly]", "model_name=other", "deploy.suffix=-other", "source=sql",
             "source.url=${oc.env:NOWHERE_SET}", "source.query=select 1", "source.target=sold"]  # fmt: skip
    (done,) = deploy(given).deployments
    assert "source.url=${oc.env:NOWHERE_SET}" in done.parameters["overrides"]
    assert "NOWHERE_SET not set here: what needs it is unchecked" in capsys.readouterr().out
    assert unset(["a=${oc.env:PATH}", "b=${oc.env:NO_1}/${oc.env:NO_2}"]) == ["NO_1", "NO_2"]


def test_a_pool_of_another_type_is_refused(server: SyncPrefectClient) -> None:
    server.create_work_pool(WorkPoolCreate(name="docks", type="docker"))
    with pytest.raises(Refusal, match=r"servers\.pool=docks is a work pool of type docker"):
        deploy([TRAININGS, f"model_name={NAME}", "servers.pool=docks"])


def test_without_a_server_the_remedy_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(SystemExit) as ended:
        cli.main(["deploy", TRAININGS, f"model_name={NAME}"])
    assert ended.value.code == 2
    assert "no Prefect server answers at http://127.0.0.1:9/api; start it, and keep it: finefold up" in (
        capsys.readouterr().err
    )


def test_prefects_own_file_says_the_same(place: Path) -> None:
    content = (Path(__file__).parents[2] / "prefect.yaml").read_text().replace("{{ $PWD }}", str(place))
    said = {one["name"]: one for one in yaml.safe_load(content)["deployments"]}
    wanted = asked([f"model_name={NAME}", "source=sklearn"])
    assert list(wanted.schedules) == sorted(said)
    for one in deployments_of(wanted.schedules, wanted.given, "finefold", place):
        found = said[one.name]
        assert found["entrypoint"] == one.entrypoint
        assert found["work_pool"] == {"name": one.work_pool_name, "job_variables": one.job_variables}
        assert found["tags"] == one.tags
        assert found["parameters"] == one.parameters
        assert found["concurrency_limit"]["limit"] == one.concurrency_limit
        assert one.concurrency_options is not None
        assert found["concurrency_limit"]["collision_strategy"] == one.concurrency_options.collision_strategy.value
        of = json.loads((one.schedules or [])[0].model_dump_json())
        assert found["schedules"] == [
            {"cron": of["schedule"]["cron"], "timezone": of["schedule"]["timezone"], "slug": of["slug"]}
        ]
