"""A flow as a deployment runs it: on a real server, with its form's fields, its faults and its crashes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_engine import run_flow
from prefect.states import Completed, Crashed, Scheduled

from flows import screen
from flows.alone import limit_of
from flows.deployed import GOES_ON, in_a_deployment, training
from flows.server import Server
from tasks.refusal import Refusal

GIVEN: list[list[str]] = []


@flow(name="small", persist_result=False)
@training
def small(overrides: list[str]) -> int:
    """Keeps what it was given, and refuses a seed of 13."""
    GIVEN.append(overrides)
    if "seed=13" in overrides:
        raise Refusal("seed=13: unlucky.", "And more.")
    with get_client(sync_client=True) as client:
        held = {of.name: of.active_slots for of in client.read_global_concurrency_limits()}
    screen.say(f"held {held.get(limit_of('sold'))}")
    return held.get(limit_of("sold"), 0)


@flow(name="smaller", persist_result=False)
@in_a_deployment
def smaller(overrides: list[str]) -> list[str]:
    """Gives back what it was given."""
    return overrides


@pytest.fixture(scope="module")
def client(prefect_server: Server) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def deployment(client: SyncPrefectClient) -> Any:
    return client.create_deployment(
        client.create_flow(small), "deployed", parameter_openapi_schema=small.parameters.model_dump()
    )


def begun(client: SyncPrefectClient, deployment: Any, **parameters: Any) -> FlowRun:
    return client.create_flow_run_from_deployment(deployment, parameters=parameters)


def ended(run: FlowRun, client: SyncPrefectClient) -> State:
    """Run as Prefect's engine runs it for a worker."""
    state = run_flow(small, flow_run=client.read_flow_run(run.id), parameters=run.parameters, return_type="state")
    assert isinstance(state, State)
    return state


def test_what_is_typed_counts_more_than_the_fields_and_the_run_is_alone(
    client: SyncPrefectClient, deployment: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = begun(client, deployment, overrides=["search.trials=7"], model_name="sold", trials=3, seconds=1.5)
    assert ended(run, client).is_completed()
    assert GIVEN[-1] == ["model_name=sold", "search.trials=3", "search.seconds=1.5", "search.trials=7"]
    assert client.read_global_concurrency_limit_by_name(limit_of("sold")).active_slots == 0
    assert "held" not in capsys.readouterr().out  # but in the run's log


@pytest.mark.parametrize(("override", "said"), [
    ("seed=13", "seed=13: unlucky.\nAnd more."),
    ("serch.trials=3", "there is no key 'serch.trials'; did you mean 'search.trials'?"),
    ("source.url=mysql://me:secret@host/db", "source.url holds a password"),
])  # fmt: skip
def test_a_fault_is_the_state_of_the_run_in_the_words_of_the_shell(
    client: SyncPrefectClient, deployment: Any, override: str, said: str
) -> None:
    state = ended(begun(client, deployment, overrides=[override], model_name="sold"), client)
    assert state.is_failed()
    assert (state.message or "").startswith(said)


@pytest.mark.slow
def test_three_crashes_in_a_row_are_enough(client: SyncPrefectClient, deployment: Any) -> None:
    run = begun(client, deployment, overrides=[], model_name="sold")
    assert ended(run, client).is_completed()
    for _ in range(3):
        client.set_flow_run_state(run.id, Scheduled(), force=True)
        client.set_flow_run_state(run.id, Crashed(), force=True)
    state = ended(run, client)
    assert state.is_failed()
    assert (state.message or "").startswith("It crashed 3 times in a row and is not started again.")


@pytest.mark.slow
def test_one_that_ended_when_it_was_taken_for_crashed_does_nothing(client: SyncPrefectClient, deployment: Any) -> None:
    run = begun(client, deployment, overrides=[], model_name="sold")
    assert ended(run, client).is_completed()
    n_given = len(GIVEN)
    for state in (Completed(), Scheduled(message=GOES_ON)):
        client.set_flow_run_state(run.id, state, force=True)
    assert ended(run, client).message == "It had ended when it was taken for crashed."
    assert len(GIVEN) == n_given


def test_a_shell_takes_the_limit_of_a_model_that_was_deployed_and_of_no_other(prefect_server: Server) -> None:
    assert small(["model_name=sold"]) == 1
    assert small(["model_name=elsewhere"]) == 0
    with pytest.raises(Refusal, match="unlucky"):
        small(["seed=13"])


def test_a_flow_that_trains_nothing_has_a_field_for_the_model_alone(prefect_server: Server) -> None:
    assert list(smaller.parameters.properties) == ["overrides", "model_name"]
    assert smaller(["a=1"]) == ["a=1"]
    assert smaller(["a=1", "model_name=other"], model_name="sold") == ["model_name=sold", "a=1", "model_name=other"]
