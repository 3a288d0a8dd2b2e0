"""Remedying: the right deployment, once, whoever asks and however often."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from registering import versions

from flows.config import compose
from flows.monitored import Looked
from flows.remedying import begin
from flows.server import Server
from tasks import champion as champions
from tasks import tracking
from tasks.champion import Champion
from tasks.observe import Observed
from tasks.remedy import Decision, Deployments, Evidence

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@flow(name="standing-in")
def stand_in(overrides: list[str]) -> None:
    """What a deployment of the tests would run; no worker takes it."""


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory, prefect_server: Server) -> Looked:
    """A model of which version 1 is the champion, and a decision that calls for fine-tuning."""
    client, uri = tracking.connect(None, tmp_path_factory.mktemp("remedying") / "mlruns")
    versions(client, "sold", 1)
    with get_client(sync_client=True) as prefect:
        flow_id = prefect.create_flow(stand_in)
        prefect.create_deployment(flow_id, "tune", parameters={"overrides": ["model_name=sold"]})
        prefect.create_deployment(flow_id, "others", parameters={"overrides": ["model_name=bought"]})
    rules = replace(compose([]).config.monitor, deployments=Deployments("standing-in/tune", "standing-in/others"))
    champion = Champion("sold", 1, Path(), "0", client, uri)
    observed = Observed(Evidence(1_000), None, None, "", ())
    return Looked(champion, observed, Decision("finetune", "finetune", "drift"), rules, NOW)


def test_a_remedy_is_started_once_however_often_it_is_asked_for(looked: Looked) -> None:
    first = begin(looked, None, is_on_server=True)
    again = begin(looked, None, is_on_server=True)  # killed before it was noted, or another monitor at the same time
    assert first.flow_run_id == again.flow_run_id is not None
    last = champions.last_of(looked.champion.client, "sold")
    assert last is not None
    assert (last.action, last.version, last.time) == ("finetune", "1", NOW)
    later = begin(replace(looked, now=NOW + timedelta(days=2)), last, is_on_server=True)
    assert later.flow_run_id != first.flow_run_id
    with get_client(sync_client=True) as prefect:
        state = prefect.read_flow_run(UUID(str(first.flow_run_id))).state
    assert state is not None
    assert state.is_scheduled()


def test_what_can_not_be_started_is_said(looked: Looked) -> None:
    nothing = replace(looked, decision=Decision("nothing", "finetune", ""))
    assert begin(nothing, None, is_on_server=True).flow_run_id is None
    assert "does not answer" in begin(looked, None, is_on_server=False).said
    search = replace(looked, decision=Decision("search", "search", ""))
    assert "trains bought, so nothing was started for sold" in begin(search, None, is_on_server=True).said
    rules = replace(looked.rules, deployments=Deployments("standing-in/absent", ""))
    said = begin(replace(looked, rules=rules), None, is_on_server=True).said
    assert "standing-in/absent (monitor.deployments) is not deployed" in said
    assert "finefold run base=models:/sold@champion" in said
