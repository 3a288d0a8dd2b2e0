"""Several runs, one after the other: one that fails is a value, and the others go on."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from flows import config, screen
from flows.config import Composed
from flows.pipeline import run_on
from flows.plan import Plan, plan
from flows.record import tagged
from flows.server import Server
from tasks.records import Result
from tasks.refusal import Refusal

Given = TypeVar("Given")
Made = TypeVar("Made")

CHOICE_TAG = "finefold.choice"
NO_TAGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Outcome:
    """What came of one run: its result, or None and the error that ended it. name: what tells it from the others."""

    name: str
    overrides: list[str]
    result: Result | None
    error: str = ""


def planned(combinations: Mapping[str, list[str]]) -> dict[str, tuple[Composed, Plan]]:
    """Each configuration, and what it builds, by name: a fault of the last one shows before the first one runs.

    Raises:
        Refusal: with the faults of all.
    """

    def build(overrides: list[str]) -> tuple[Composed, Plan]:
        composed = config.compose(overrides)
        return composed, plan(composed)

    return for_each(combinations, build)


def for_each(many: Mapping[str, Given], make: Callable[[Given], Made]) -> dict[str, Made]:
    """What `make` gives for each, by name.

    Raises:
        Refusal: with the faults of all, none twice.
    """
    found: dict[str, Made] = {}
    faults: dict[str, None] = {}
    for name, one in many.items():
        try:
            found[name] = make(one)
        except Refusal as refusal:
            faults |= dict.fromkeys(refusal.faults)
    if faults:
        raise Refusal(*faults)
    return found


def run_each(
    running: Server, combinations: Mapping[str, list[str]], begun: float, tags: Mapping[str, str] = NO_TAGS
) -> Iterator[Outcome]:
    """Runs them in turn, and gives each outcome as soon as it is known.

    begun: when the command was given, Unix time in seconds. tags: of each run in MLflow. What the machine does (a full
    disk, no memory) ends the whole, since it would end the other runs too.
    """
    for number, (name, overrides) in enumerate(combinations.items(), start=1):
        screen.say(f"run {number} of {len(combinations)}: {name}", "bold")
        with tagged({**tags, CHOICE_TAG: name}):
            outcome = _outcome(running, name, overrides, begun if number == 1 else time.time())
        yield outcome


def _outcome(running: Server, name: str, overrides: list[str], begun: float) -> Outcome:
    try:
        return Outcome(name, overrides, run_on(running, overrides, begun))
    except (OSError, MemoryError):
        raise
    except Refusal as refusal:
        error = "; ".join(refusal.faults)
    except Exception as failure:  # whatever a library raises ends this run alone; the traceback is in Prefect's log
        error = "".join(traceback.format_exception_only(failure)).strip()
    screen.say(f"{name or 'the run'} failed: {error}", "red")
    return Outcome(name, overrides, None, error)
