"""Remedying: the deployment that a monitor's decision calls for, started once, and an event that tells of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import httpx
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.events import emit_event
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from flows.monitored import Looked
from flows.overrides import key_of
from tasks import champion as champions
from tasks.records import jsonable
from tasks.remedy import Last

MODEL = "model_name"  # of a deployment: a parameter of its own, or among the overrides
BY_HAND = {
    "finetune": "finefold run base=models:/{name}@champion model_name={name} source=...",
    "search": "finefold run model_name={name} source=...",
}
ALARM, QUIET = "finefold.monitor", "finefold.look"  # and after a point the action


@dataclass(frozen=True)
class Begun:
    """flow_run_id: of the remedy's run, None where none was started. said: what was done about it, in words."""

    flow_run_id: str | None
    said: str


def begin(looked: Looked, last: Last | None, *, is_on_server: bool) -> Begun:
    """Starts the deployment of the decision's action, waits for nothing, and notes it in the registry, from where its
    cool-down counts. One that isn't deployed is named, and the command that does the same.

    A monitor that was killed between the two, or another at the same time, asks under the same key, by which Prefect
    gives the run that is there already.
    """
    action = looked.decision.action
    if action == "nothing":
        return Begun(None, "")
    deployment = getattr(looked.rules.deployments, action)
    if not is_on_server:
        return Begun(None, f"{deployment} was not started, for Prefect's server does not answer")
    before = "first" if last is None else f"{last.time:%Y%m%dT%H%M%S}"
    name, version = looked.champion.name, looked.champion.version
    try:
        if fault := _fault(deployment, name, BY_HAND[action].format(name=name)):
            return Begun(None, fault)
        run: Any = run_deployment(
            deployment, timeout=0, as_subflow=False, idempotency_key=f"finefold-{name}-{version}-{action}-{before}"
        )
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        return Begun(None, f"{deployment} was not started, for Prefect's server does not answer ({error})")
    champions.remember(looked.champion.client, name, Last(action, str(version), looked.now))
    return Begun(str(run.id), f"{deployment} was started: flow run {run.name}")


def _fault(deployment: str, name: str, by_hand: str) -> str:
    """Why it can't be started for this model, or nothing. by_hand: the command that does the same."""
    with get_client(sync_client=True) as prefect:
        try:
            found = prefect.read_deployment_by_name(deployment)
        except ObjectNotFound:
            return (
                f"{deployment} (monitor.deployments) is not deployed, so nothing was started; finefold deploy registers"
                f" it, and by hand it is: {by_hand}"
            )
    overrides = [text.partition("=")[2] for text in found.parameters.get("overrides") or () if key_of(text) == MODEL]
    of = found.parameters.get(MODEL) or (overrides[-1] if overrides else name)
    if of != name:
        return f"{deployment} trains {of}, so nothing was started for {name}; name another in monitor.deployments"
    return ""


def inform(looked: Looked, begun: Begun) -> None:
    """An event in Prefect, `finefold.monitor.finetune` or `.search`, on which a notification can hang, or
    `finefold.look.nothing`, on which none should. It only informs: no automation need start anything."""
    decision, evidence = looked.decision, looked.observed.evidence
    emit_event(
        f"{QUIET if decision.action == 'nothing' else ALARM}.{decision.action}",
        resource={
            "prefect.resource.id": f"finefold.model.{looked.champion.name}",
            "prefect.resource.name": looked.champion.name,
            "finefold.version": str(looked.champion.version),
        },
        payload=jsonable({
            **asdict(decision), **asdict(begun), "rows": evidence.n_rows,
            "drifted": [one.name for one in (*evidence.predictions, *evidence.inputs) if one.is_drifted],
            "decay": None if evidence.decay is None else asdict(evidence.decay),
        }),
    )  # fmt: skip
