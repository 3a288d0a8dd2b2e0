"""Deploy: the schedules of `conf/schedule` as deployments on the Prefect server that is up."""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.exceptions import ObjectNotFound
from prefect.types.entrypoint import EntrypointType
from pydantic import Field

from flows import automation, screen
from flows import config as configs
from flows.address import given_url, home_folder, is_healthy, point_prefect_at, preferred_port, without_password
from flows.alone import keep_limit
from flows.build import validate
from flows.config import Composed
from flows.deployed import FORM
from flows.output import print_json
from flows.overrides import key_of
from flows.plan import plan
from flows.process import recorded as recorded_process
from flows.schedule import OWN, Schedule, names, overrides_of, parameters_of, schedules_of, when
from flows.score import faults_of
from flows.worker import ensure_pool
from tasks import registry
from tasks.refusal import Refusal

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.deployments.runner import RunnerDeployment

SUFFIX = "deploy.suffix"  # a monitor is told it too, so that it finds what it may start
HEARTBEAT_SECONDS = 30  # Prefect's least
VARIABLE = re.compile(r"\$\{oc\.env:(\w+)\}")
BUSY_SECONDS = 30.0  # a server of many runs answers late; where there is none, that shows at once


@dataclass(frozen=True)
class Settings:
    """Of the section `deploy`; suffix: of each deployment's name. folder: of the workers' machines, in which runs run;
    None is the current one. lost_after: seconds."""

    suffix: Annotated[str, Field(pattern=r"^[-\w.]*$", max_length=100)]
    lost_after: Annotated[float, Field(ge=3 * HEARTBEAT_SECONDS)]
    folder: Annotated[str, Field(pattern="^/")] | None = None


@dataclass(frozen=True)
class Scheduled:
    """A deployment: NAME as `FLOW/SCHEDULE`, and its next run, in ISO format; None where it is paused."""

    name: str
    schedule: str
    parameters: dict[str, Any]
    page: str
    is_paused: bool


@dataclass(frozen=True)
class Deployed:
    """What `finefold deploy` set up. The keys are public."""

    model_name: str
    pool: str
    folder: str
    deployments: tuple[Scheduled, ...]
    automations: tuple[str, ...]


def command(arguments: Sequence[str], begun: float) -> int:
    done = deploy(arguments)
    for one in done.deployments:
        screen.say(f"{one.name}: {one.schedule}{', paused as it was' if one.is_paused else ''}  {one.page}")
    screen.say(f"in work pool {done.pool}, in {done.folder}; automations: {', '.join(done.automations)}")
    print_json(asdict(done), [text for text in arguments if key_of(text) == "output"])
    return 0


def deploy(overrides: Sequence[str]) -> Deployed:
    """Registers schedules as deployments, whose runs run in the current folder or `deploy.folder`, or changes in place
    those that are there.

    overrides: `["model_name=NAME", "source=file", "source.path=P", ...]`: what one would type after `finefold run`, and
    `schedule=[...]` for some of the schedules alone.

    What a person did to a deployment stays: a paused schedule is paused, schedules that were added are there, runs that
    wait or run go on.

    Raises:
        Refusal: all faults of the schedules and of what their runs are given, before anything is registered; where no
            server answers, or a deployment of that name is another model's.
    """
    wanted = asked(overrides)
    recorded, model_name, pool = wanted.composed.recorded, wanted.model_name, wanted.composed.config.servers.pool
    settings = cast(Settings, validate(Settings, recorded["deploy"], "deploy"))
    folder = Path.cwd() if settings.folder is None else Path(settings.folder)
    if names := unset(wanted.given):
        screen.say(f"{', '.join(names)} not set here: what needs it is unchecked, and workers must have it", "yellow")
    made = deployments_of(wanted.schedules, wanted.given, pool, folder, settings.suffix)
    api_url = _server()
    point_prefect_at(api_url)
    page = f"{without_password(api_url)[0].removesuffix('/api')}/deployments/deployment"
    with get_client(sync_client=True) as client:
        _refuse_another_model(client, made, model_name)
        notifier = automation.block(client, recorded["notify"]["block"])
        ensure_pool(pool)
        keep_limit(client, model_name)
        automations = automation.keep(client, settings.lost_after, notifier)
        done = [_applied(client, one, of, page) for one, of in zip(made, wanted.schedules.values(), strict=True)]
    return Deployed(model_name, pool, str(folder), tuple(done), tuple(automations))


@dataclass(frozen=True)
class Asked:
    """given: what is left for runs."""

    composed: Composed
    schedules: dict[str, Schedule]
    model_name: str
    given: tuple[str, ...]


def asked(overrides: Sequence[str]) -> Asked:
    """The schedules, all where none are named, and what their runs are given.

    Raises:
        Refusal: for faults of the configuration, no name, or an override that no run of the schedules would take.
    """
    is_named = any(key_of(text) == "schedule" for text in overrides)
    every = [] if is_named else [f"schedule=[{','.join(names())}]"]
    composed = configs.compose([*every, *overrides])
    if not composed.recorded.get("schedule"):
        raise Refusal(f"schedule: name at least one: {', '.join(names())}.")
    schedules = schedules_of(composed)
    given = tuple(text for text in overrides if key_of(text) == SUFFIX or key_of(text).partition(".")[0] not in OWN)
    faults = [f"{text}: {_unused(schedules, text)}" for text in given if _unused(schedules, text)]
    faults += [
        f"schedule={name} needs {key}: write {key}=..., or leave {name} out by schedule=[...]."
        for name, one in schedules.items()
        for key in one.needs
        if key not in {key_of(text) for text in overrides_of(one, given)}
    ]
    if composed.config.model_name is None:
        faults.append("deploy needs the name that models are registered under: model_name=NAME.")
    if faults or composed.config.model_name is None:
        raise Refusal(*faults)
    registry.check_name(composed.config.model_name)
    return Asked(composed, schedules, composed.config.model_name, given)


def _unused(schedules: Mapping[str, Schedule], text: str) -> str:
    """Why no run of the schedules would take it, or ''."""
    if key_of(text) == SUFFIX or any(text in overrides_of(one, [text]) for one in schedules.values()):
        return ""
    if key_of(text) == "search.trials":
        return f"change what the schedule has of its own: schedule.{next(iter(schedules))}.trials=NUMBER."
    return f"runs of {', '.join(schedules)} have no use for it; leave it out."


def deployments_of(
    schedules: Mapping[str, Schedule], given: Sequence[str], pool: str, folder: Path, suffix: str = ""
) -> list[RunnerDeployment]:
    """Each schedule as a deployment of its flow, by module, checked as its command would.

    Raises:
        Refusal: all faults of all of them.
    """
    made, faults = [], []
    for name, one in schedules.items():
        try:
            made.append(_deployment(name, one, given, pool, folder, suffix))
        except Refusal as refusal:
            faults += [fault for fault in refusal.faults if fault not in faults]
    if faults:
        raise Refusal(*faults)
    return made


def _deployment(
    name: str, one: Schedule, given: Sequence[str], pool: str, folder: Path, suffix: str
) -> RunnerDeployment:
    flow = _flow(name, one)
    parameters = parameters_of(one, given, list(inspect.signature(flow.fn).parameters))
    _check(one, given)
    made: RunnerDeployment = flow.to_deployment(
        f"{name}{suffix}",
        schedules=[when(name, one)],
        concurrency_limit=ConcurrencyLimitConfig.model_validate(
            {"limit": one.limit, "collision_strategy": one.collision}
        ),
        parameters=parameters,
        description=(flow.description or "").partition(FORM)[0],
        tags=[automation.TAG, *([automation.RESUMES] if one.resume else [])],
        work_pool_name=pool,
        job_variables=job_variables(folder),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    made.entrypoint = one.flow
    return made


def job_variables(folder: Path) -> dict[str, Any]:
    """Where and how runs are started: in this folder, and giving signs of life."""
    return {"working_dir": str(folder), "env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS)}}


def _flow(name: str, one: Schedule) -> Any:
    module, _, function = one.flow.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise Refusal(f"schedule.{name}.flow={one.flow} can't be imported: {error}; write MODULE:FUNCTION.") from error


def _check(one: Schedule, given: Sequence[str]) -> None:
    """What can be said before there is a base or a champion: all of a search's components, or the keys alone."""
    overrides = overrides_of(one, given)
    composed = configs.compose(overrides)
    if one.command == "run" and composed.config.base is None and not unset(overrides):
        plan(composed)
    if one.command == "score" and (faults := faults_of(composed, overrides)):
        raise Refusal(*faults)


def unset(overrides: Sequence[str]) -> list[str]:
    """The environment variables that the overrides name and that are not set here; those of a worker may be."""
    named = dict.fromkeys(VARIABLE.findall(" ".join(overrides)))
    return [name for name in named if name not in os.environ]


def _server() -> str:
    """The API of the server that is up.

    Raises:
        Refusal: where none answers; runs that a schedule starts need one that stays.
    """
    url = given_url() or f"http://127.0.0.1:{preferred_port()}/api"
    if is_healthy(url, seconds=BUSY_SECONDS):
        return url.rstrip("/")
    process = recorded_process(home) if (home := home_folder()).is_dir() and not given_url() else None
    if process is not None and is_healthy(f"{process.url}/api", BUSY_SECONDS):
        return f"{process.url}/api"
    raise Refusal(f"no Prefect server answers at {without_password(url)[0]}; start it, and keep it: finefold up")


def _refuse_another_model(client: SyncPrefectClient, made: Sequence[RunnerDeployment], model_name: str) -> None:
    faults = []
    for one in made:
        known = _known(client, one)
        of = None if known is None else model_of(known.parameters)
        if of not in (None, model_name):
            faults.append(
                f"{one.full_name} is deployed for model_name={of}; give this model's another name: "
                f"{SUFFIX}=-{model_name}, or delete it (prefect deployment delete '{one.full_name}')."
            )
    if faults:
        raise Refusal(*faults)


def model_of(parameters: Mapping[str, Any]) -> str | None:
    """The model that a deployment's runs are about."""
    if parameters.get("model_name"):
        return str(parameters["model_name"])
    named = [text for text in parameters.get("overrides", []) if key_of(text) == "model_name"]
    return configs.compose(named[-1:]).config.model_name if named else None


def _known(client: SyncPrefectClient, one: RunnerDeployment) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(one.full_name)
    except ObjectNotFound:
        return None


def _applied(client: SyncPrefectClient, one: RunnerDeployment, schedule: Schedule, page: str) -> Scheduled:
    known = _known(client, one)
    if known is not None:
        _keep_what_is_a_persons(one, known)
    number = one.apply()
    paused = [bool(known and known.paused), *(not of.active for of in one.schedules or [])]
    said = schedule.cron or f"every {schedule.interval:g} s"
    return Scheduled(one.full_name, f"{said} {schedule.timezone}", one.parameters, f"{page}/{number}", any(paused))


def _keep_what_is_a_persons(one: RunnerDeployment, known: DeploymentResponse) -> None:
    """Whether it is paused, and schedules that were added in Prefect's pages."""
    one.paused = known.paused
    ours = {of.slug: of for of in one.schedules or []}
    for of in known.schedules:
        if of.slug in ours:
            ours[of.slug].active = of.active
