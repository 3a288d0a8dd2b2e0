"""What Prefect's server does by itself about runs that crash or fail, and about a model that decays."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from uuid import UUID

import pytest
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.events import emit_event
from prefect.states import Crashed, Failed, Pending, Running

from flows import automation
from flows.deployed import GOES_ON
from flows.server import Server
from tasks.refusal import Refusal

SECONDS = 120


@flow(name="watched")
def watched() -> None:
    """Only its states are looked at."""


@pytest.fixture(scope="module")
def told() -> Iterator[list[dict[str, str]]]:
    """What is posted to `http://127.0.0.1:PORT`, whose port stands first."""
    received: list[dict[str, str]] = []

    class Post(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Post) as posted:
        received.append({"port": str(posted.server_port)})
        threading.Thread(target=posted.serve_forever, daemon=True).start()
        yield received
        posted.shutdown()


@pytest.fixture(scope="module")
def client(prefect_server: Server, told: list[dict[str, str]]) -> Iterator[SyncPrefectClient]:
    """With the automations, of which those that wait for silence wait for 10 s, and a webhook that is told."""
    block = CustomWebhookNotificationBlock.model_validate({
        "name": "mine", "url": f"http://127.0.0.1:{told[0]['port']}",
        "json_data": {"about": "{{subject}}", "says": "{{body}}"},
    })  # fmt: skip
    block.save("mine", overwrite=True)
    with get_client(sync_client=True) as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr(automation, "SILENT_SECONDS", 10.0)
        notifier = automation.block(client, "custom-webhook/mine")
        for _ in range(2):  # the second one changes them in place
            automation.keep(client, 10, notifier)
        yield client
        for one in client.read_automations():
            client.delete_automation(one.id)


def begun(client: SyncPrefectClient, *tags: str) -> FlowRun:
    number = client.create_deployment(client.create_flow(watched), "watched", tags=list(tags))
    return client.create_flow_run_from_deployment(number)


def waited(done: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SECONDS
    while not done() and time.monotonic() < deadline:
        time.sleep(0.2)
    return done()


def names(client: SyncPrefectClient, run: UUID) -> list[str]:
    states = sorted(client.read_flow_run_states(run), key=lambda state: state.timestamp)
    return [f"{state.name}: {state.message}" if state.message == GOES_ON else str(state.name) for state in states]


def test_each_automation_is_there_once(client: SyncPrefectClient) -> None:
    assert sorted(one.name for one in client.read_automations()) == [
        "finefold: go on after a crash", "finefold: lost", "finefold: tell decay", "finefold: tell failures",
    ]  # fmt: skip


@pytest.mark.parametrize(("named", "said"), [
    ("custom-webhok/mine", "notify.block=custom-webhok/mine: no such type of block; did you mean 'custom-webhook'?"),
    ("custom-webhook/mime", "no such block is saved in Prefect; did you mean 'mine'?"),
    ("custom-webhook", "Write TYPE/NAME"),
    ("secret/hidden", "a block of type secret tells nobody anything"),
])  # fmt: skip
def test_a_block_that_tells_nobody_is_refused(client: SyncPrefectClient, named: str, said: str) -> None:
    Secret(value="x").save("hidden", overwrite=True)
    with pytest.raises(Refusal) as refused:
        automation.block(client, named)
    assert said in str(refused.value)


@pytest.mark.slow
def test_a_failure_and_decay_are_told(client: SyncPrefectClient, told: list[dict[str, str]]) -> None:
    run = begun(client, automation.TAG)
    client.set_flow_run_state(run.id, Running(), force=True)
    client.set_flow_run_state(run.id, Failed(message="there is no key 'serch.trials'"), force=True)
    emit_event(
        "finefold.monitor.finetune",
        resource={"prefect.resource.id": "finefold.model.sold", "prefect.resource.name": "sold"},
        payload={"action": "finetune", "reason": "age drifted"},
    )
    assert waited(lambda: len(told) >= 3), told
    about = {one["about"]: one["says"] for one in told[1:]}
    assert about["sold: finetune"] == "age drifted"
    assert "there is no key 'serch.trials'" in about["watched/watched: Failed"]


@pytest.mark.slow
def test_a_run_that_is_heard_of_no_more_has_crashed_and_goes_on_as_itself(client: SyncPrefectClient) -> None:
    run = begun(client, automation.TAG, automation.RESUMES)
    emit_event(automation.SIGN_OF_LIFE, resource={"prefect.resource.id": f"prefect.flow-run.{run.id}"}, related=[
        {"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"} for tag in run.tags
    ])  # fmt: skip
    client.set_flow_run_state(run.id, Running(), force=True)
    assert waited(lambda: f"AwaitingRetry: {GOES_ON}" in names(client, run.id)), names(client, run.id)
    assert names(client, run.id)[-2:] == ["Crashed", f"AwaitingRetry: {GOES_ON}"]


@pytest.mark.slow
@pytest.mark.parametrize("last", [Pending(), Pending(name="Submitting"), Running()], ids=lambda state: state.name)
def test_wherever_its_worker_died_a_run_goes_on(client: SyncPrefectClient, last: State) -> None:
    run = begun(client, automation.TAG, automation.RESUMES)
    for state in (Pending(), last):
        client.set_flow_run_state(run.id, state, force=True)
    assert waited(lambda: f"AwaitingRetry: {GOES_ON}" in names(client, run.id)), names(client, run.id)


@pytest.mark.slow
def test_a_run_that_still_gives_signs_of_life_is_left_alone(client: SyncPrefectClient) -> None:
    run = begun(client, automation.TAG, automation.RESUMES)
    client.set_flow_run_state(run.id, Running(), force=True)
    client.set_flow_run_state(run.id, Crashed(), force=True)
    for _ in range(2):
        time.sleep(0.5)
        emit_event(automation.SIGN_OF_LIFE, resource={"prefect.resource.id": f"prefect.flow-run.{run.id}"}, related=[
            {"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"} for tag in run.tags
        ])  # fmt: skip
    time.sleep(20)
    assert names(client, run.id)[-1] == "Crashed"
