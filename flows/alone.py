"""Alone: of the trainings of one model, in whatever deployment or shell, one at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound

from flows import config as configs
from flows import screen
from flows.base import with_own_family
from flows.build import build
from flows.overrides import key_of
from tasks import registry
from tasks.refusal import Refusal

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse

FORBIDDEN = "/%&<>"  # in Prefect's names
# A lease is renewed after three quarters of it, so a server may be away for 75 s; that of a process that was killed
# holds others up for as long, and 15 s more.
LEASE_SECONDS = 300.0
PAUSES = (5, 10, 20, 40, 80, 160)  # seconds, after each of which Prefect's client itself tries for a minute


def limit_of(model_name: str) -> str:
    """The name of Prefect's global concurrency limit for the trainings of a model."""
    return "training-" + "".join("_" if letter in FORBIDDEN else letter for letter in model_name)


def keep_limit(client: SyncPrefectClient, model_name: str) -> None:
    """Makes the limit where it is missing: one training at a time, whatever it was."""
    client.upsert_global_concurrency_limit_by_name(limit_of(model_name), limit=1)


@contextmanager
def alone(overrides: Sequence[str], flow_run_id: UUID, *, is_asked: bool) -> Iterator[None]:
    """While no other training of the same model runs on this server; waits for it.

    overrides: of a run. is_asked: whether the limit is made where there is none; where not, only models that were
    deployed have one, and others cost one request.

    Raises:
        Refusal: for faults of the configuration; when this run has been ended elsewhere while it waited.
    """
    with get_client(sync_client=True) as client:
        if not is_asked and not _any_limit(client):
            yield
            return
        name = _model_name(overrides)
        if is_asked:
            keep_limit(client, name)
        limit = _limit(client, limit_of(name))
        if limit is None:
            yield
            return
        if limit.active_slots >= limit.limit:
            screen.say(f"waits until another training of {name} has ended (Prefect's limit {limit.name})")
        with ExitStack() as held:
            _take(held, limit.name, flow_run_id)
            state = client.read_flow_run(flow_run_id).state
            if state is not None and state.is_final():
                raise Refusal(f"this run was ended as {state.name} while it waited.")
            yield


def _take(held: ExitStack, name: str, flow_run_id: UUID) -> None:
    """Takes the limit until `held` is closed. A server that is busy or away for some minutes is waited for."""
    holder = ConcurrencyLeaseHolder(type="flow_run", id=flow_run_id)
    for pause in (*PAUSES, None):
        # A lease that can't be renewed is no reason to lose hours of work.
        taking = concurrency(
            name, occupy=1, strict=True, lease_duration=LEASE_SECONDS, holder=holder,
            raise_on_lease_renewal_failure=False,
        )  # fmt: skip
        try:
            held.enter_context(taking)
        except ConcurrencySlotAcquisitionError:
            if pause is None:
                raise
            time.sleep(pause)
        else:
            return


def _any_limit(client: SyncPrefectClient) -> bool:
    return bool(client.read_global_concurrency_limits(limit=1))


def _limit(client: SyncPrefectClient, name: str) -> GlobalConcurrencyLimitResponse | None:
    try:
        return client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound:
        return None


def _model_name(overrides: Sequence[str]) -> str:
    """As `register` will find it; keys of a ladder, which `finefold finetune` alone takes, change nothing of it."""
    own = [text for text in overrides if key_of(text).partition(".")[0] != "strategy"]
    config = configs.compose(with_own_family(own)).config
    if config.model_name is not None:
        return config.model_name
    source = build(configs.source_node(config), "source", config.allow_packages)
    return registry.possible_name(source.name)
