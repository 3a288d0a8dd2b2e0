"""Automations: what Prefect's server does by itself about runs of our deployments that crash or fail."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

from flows.deployed import GOES_ON
from tasks.refusal import Refusal, did_you_mean

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

TAG = "finefold"  # of all our deployments
RESUMES = "finefold-goes-on"  # of those whose crashed runs go on
DECAY = "finefold.monitor.*"  # events of `finefold monitor`
SIGN_OF_LIFE = "prefect.flow-run.heartbeat"
# After each of these another event must come; a worker may die between any two of them.
UNDER_WAY = {SIGN_OF_LIFE, *(f"prefect.flow-run.{state}" for state in ("Pending", "Submitting", "Running"))}
SILENT_SECONDS = 75.0  # after a crash: two signs of life would have come


def keep(client: SyncPrefectClient, lost_after: float, notifier: UUID | None) -> list[str]:
    """Makes the automations, or changes in place those that are there; their names.

    lost_after: seconds. notifier: the block that is told; None: nobody is, and nothing is changed about that.
    """
    wanted = [lost(lost_after), goes_on(), *([] if notifier is None else [failed(notifier), decayed(notifier)])]
    for one in wanted:
        known = client.read_automations_by_name(one.name)
        if known:
            client.update_automation(known[0].id, one.model_copy(update={"enabled": known[0].enabled}))
        else:
            client.create_automation(one)
    return [one.name for one in wanted]


def lost(seconds: float) -> AutomationCore:
    """A run that gave signs of life, or was taken by a worker, and is heard of no more, is marked Crashed."""
    return AutomationCore(
        name="finefold: lost",
        description="A run without a sign of life has crashed: its process, its worker or its machine is gone.",
        trigger=_trigger(
            TAG, after=UNDER_WAY, expect={"prefect.flow-run.*"}, posture=Posture.Proactive, within=seconds,
        ),
        actions=[
            ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=f"No sign of life for {seconds:g} s.")
        ],
    )  # fmt: skip


def goes_on() -> AutomationCore:
    """A run that crashed, and from which nothing came since, is scheduled again, as itself: what it finished is reused.

    Not at once: a process that was taken for lost gives signs of life every 30 s, and then is left alone; a worker
    reports the same crash up to 6 s later once more, which would hit the run that goes on already.
    """
    return AutomationCore(
        name="finefold: go on after a crash",
        description="A run that crashed is started again; its search goes on with every fold that was finished.",
        trigger=_trigger(
            RESUMES, after={"prefect.flow-run.Crashed"}, expect={"prefect.flow-run.*"}, posture=Posture.Proactive,
            within=SILENT_SECONDS,
        ),
        actions=[ChangeFlowRunState(state=StateType.SCHEDULED, name="AwaitingRetry", message=GOES_ON)],
    )  # fmt: skip


def failed(notifier: UUID) -> AutomationCore:
    """Failures are told; a crash, too."""
    return AutomationCore(
        name="finefold: tell failures",
        description="Runs that failed, crashed or took too long are told through notify.block.",
        trigger=_trigger(
            TAG, expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut"}
        ),
        actions=[
            SendNotification(
                block_document_id=notifier,
                subject="{{ flow.name }}/{{ deployment.name }}: {{ flow_run.state.name }}",
                body="{{ flow_run.name }}: {{ flow_run.state.message }}\n{{ flow_run | ui_url }}",
            )
        ],
    )


def decayed(notifier: UUID) -> AutomationCore:
    """What the monitor found is told."""
    return AutomationCore(
        name="finefold: tell decay",
        description="What finefold monitor says of a model that drifts or decays is told through notify.block.",
        trigger=EventTrigger(expect={DECAY}, posture=Posture.Reactive, threshold=1, within=timedelta(0)),
        actions=[
            SendNotification(
                block_document_id=notifier,
                subject="{{ event.resource.name }}: {{ event.payload.action }}",
                body="{{ event.payload.reason }}",
            )
        ],
    )


def _trigger(
    tag: str, expect: set[str], *, after: Iterable[str] = (), posture: Posture = Posture.Reactive, within: float = 0
) -> EventTrigger:
    """Of each flow run for itself that has the tag."""
    return EventTrigger.model_validate({
        "match": {"prefect.resource.id": "prefect.flow-run.*"},
        "match_related": {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{tag}"},
        "after": set(after), "expect": expect, "for_each": {"prefect.resource.id"},
        "posture": posture, "threshold": 1, "within": timedelta(seconds=within),
    })  # fmt: skip


def block(client: SyncPrefectClient, named: str | None) -> UUID | None:
    """The id of a saved block, `TYPE/NAME`.

    Raises:
        Refusal: where there is none, or of a type that tells nobody anything.
    """
    if named is None:
        return None
    kind, _, name = named.partition("/")
    key = f"notify.block={named}"
    types = {one.slug: one for one in client.read_block_types()}
    if kind not in types or not name:
        raise Refusal(f"{key}: no such type of block{did_you_mean(kind, types)} Write TYPE/NAME: slack-webhook/team.")
    try:
        document = client.read_block_document_by_name(name, kind)
    except ObjectNotFound:
        known = [str(one.name) for one in client.read_block_documents_by_type(kind)]
        raise Refusal(
            f"{key}: no such block is saved in Prefect{did_you_mean(name, known)} Save it first, in its pages."
        ) from None
    if document.block_schema is not None and "notify" not in document.block_schema.capabilities:
        raise Refusal(f"{key}: a block of type {kind} tells nobody anything; name slack-webhook/NAME or another such.")
    return document.id
