"""Schedules: what `conf/schedule` says of each, checked, and whose runs take which override."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, cast

from prefect.schedules import Cron, Interval
from prefect.schedules import Schedule as PrefectSchedule
from pydantic import Field

from flows import config as configs
from flows.build import validate
from flows.commands import COMMANDS
from flows.config import Composed
from flows.deployed import FIELDS
from flows.overrides import key_of
from tasks.refusal import Refusal, did_you_mean

N_FIELDS = 5  # of a cron; Prefect takes seconds in a sixth, too
LONGEST = 366 * 86_400  # seconds of an interval
ANCHOR = datetime(2024, 1, 1, tzinfo=UTC)  # a redeployed interval goes on in its step
OWN = ("schedule", "deploy", "notify", "output", "servers")  # keys that deploy itself takes
OF_OTHERS = ("labels", "monitor", "predictions", "replay")  # sections that say nothing to a training


@dataclass(frozen=True)
class Schedule:
    """flow: MODULE:FUNCTION. command: whose overrides its runs take. without: keys of these that are not passed on.
    needs: keys without which its runs would end at once. interval: seconds. limit: runs at a time."""

    flow: str
    command: str
    cron: str | None
    interval: Annotated[float, Field(ge=1, le=LONGEST)] | None
    timezone: str
    overrides: tuple[str, ...]
    without: tuple[str, ...]
    needs: tuple[str, ...]
    trials: Annotated[int, Field(ge=1)] | None
    limit: Annotated[int, Field(ge=1)]
    collision: Literal["ENQUEUE", "CANCEL_NEW"]
    resume: bool


def names() -> list[str]:
    """Every choice of `conf/schedule`, the user's too."""
    return configs.groups()["schedule"]


def schedules_of(composed: Composed) -> dict[str, Schedule]:
    """The chosen schedules by name.

    Raises:
        Refusal: all faults of all of them: a cron or time zone that there isn't, a limit below 1.
    """
    faults: list[str] = []
    found: dict[str, Schedule] = {}
    for name, node in cast(Mapping[str, Any], composed.recorded["schedule"]).items():
        key = f"schedule.{name}"
        try:
            found[name] = cast(Schedule, validate(Schedule, node, key))
        except Refusal as refusal:
            faults += refusal.faults
            continue
        faults += _faults(key, found[name])
    if faults:
        raise Refusal(*faults)
    return found


def _faults(key: str, one: Schedule) -> list[str]:
    found = []
    if (one.cron is None) == (one.interval is None):
        found.append(f"{key}: give one of cron and interval, and null for the other.")
    if one.timezone not in (zones := zoneinfo.available_timezones()):
        found.append(f"{key}.timezone={one.timezone}: no such time zone{did_you_mean(one.timezone, zones)}")
    if one.cron is not None and (fault := _cron_fault(one.cron)):
        found.append(f"{key}.cron='{one.cron}': {fault}. Write minute, hour, day, month, weekday: '0 3 * * 0'.")
    if one.command not in COMMANDS:
        found.append(f"{key}.command={one.command}: no such command{did_you_mean(one.command, COMMANDS)}")
    return found


def _cron_fault(cron: str) -> str:
    try:
        Cron(cron)
    except ValueError as error:
        return str(error).rstrip(".")
    if len(cron.split()) != N_FIELDS:
        return f"it has {len(cron.split())} fields"
    day, month, weekday = cron.split()[2:]
    never = {"30": {"2"}, "31": {"2", "4", "6", "9", "11"}}.get(day, set())
    return "there is no such day" if weekday == "*" and set(month.split(",")) <= never else ""


def when(name: str, one: Schedule) -> PrefectSchedule:
    """The same in Prefect's form; its slug is the schedule's name, by which a later deploy finds it again."""
    if one.cron is not None:
        return Cron(one.cron, timezone=one.timezone, slug=name)
    assert one.interval is not None  # `schedules_of` sees to it
    anchor = ANCHOR.replace(tzinfo=zoneinfo.ZoneInfo(one.timezone))
    return Interval(timedelta(seconds=one.interval), anchor_date=anchor, timezone=one.timezone, slug=name)


def parameters_of(one: Schedule, overrides: Sequence[str], fields: Sequence[str]) -> dict[str, Any]:
    """What runs of a schedule are given: its own overrides, then the user's that its command takes; those that have a
    field of their own (`fields`: of its flow) stand there, so that a form shows and changes them."""
    given = overrides_of(one, overrides)
    last = {key_of(text): text for text in given}  # the last one counts, as in a shell
    values: dict[str, Any] = {}
    for key, field in FIELDS.items():
        if key in last and field in fields:
            values[field] = _value(last.pop(key))
    return {**values, "overrides": list(last.values())}


def overrides_of(one: Schedule, overrides: Sequence[str]) -> list[str]:
    """What one would type for a run of the schedule: what it says itself, and then the user's that it takes; a number
    of trials of its own is what makes it cheap, and stays."""
    own = [] if one.trials is None else [f"search.trials={one.trials}"]
    theirs = [text for text in overrides if takes(one.command, key_of(text)) and key_of(text) not in one.without]
    return [*one.overrides, *(text for text in theirs if not own or key_of(text) != "search.trials"), *own]


def _value(text: str) -> Any:
    """As the configuration types it."""
    config = configs.compose([text]).config
    return {
        "model_name": config.model_name, "search.trials": config.search.trials, "search.seconds": config.search.seconds,
    }[key_of(text)]  # fmt: skip


def takes(command: str, key: str) -> bool:
    """Whether runs of a command have a use for the key: one of the few that it takes; of those that take all of the
    configuration, any but the sections of other commands."""
    root = key.partition(".")[0]
    if keys := COMMANDS[command].keys:
        is_whole = root in keys and not any(one.startswith(f"{root}.") for one in keys)  # a section, named as such
        return key in keys or is_whole
    return root not in (*OWN, *OF_OTHERS)
